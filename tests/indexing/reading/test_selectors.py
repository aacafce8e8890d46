"""Selectors mean what lexbor, which tries them element by element, finds too."""

import pytest
import tinycss2
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from rag_lib.indexing.reading.base import Unreadable
from rag_lib.indexing.reading.elements import Elements
from rag_lib.indexing.reading.selectors import selected, specificity

ELEMENTS = "<b>x <i> <p> <u> </b> </i> </p> </u> <b,class='a'> <i,class='a,c'> <p,id=d> <u,title=Ab-c>".split()
PAGES = st.lists(st.sampled_from(ELEMENTS), max_size=25).map(lambda parts: "<!doctype html>" + "".join(parts))


# The root is a first child for browsers, and not for lexbor: what stands at a place has a name here.
NAMES = st.sampled_from(
    """* b i p u .a .c #d [title] [title=Ab-c] [title|=Ab] [title^=A] [title$=c] [title*=b-] [class~=c] b.a i.a.c :root
    b:first-child i:last-child p:only-child .a:first-of-type u:last-of-type .c:nth-child(2n+1) i:nth-child(-n+2)
    b:nth-last-child(2) p:nth-of-type(2) .a:nth-last-of-type(2n)""".split()
)


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    more = st.tuples(st.sampled_from([" ", " > ", " + ", " ~ "]), parts).map("".join)
    return st.tuples(parts, st.lists(more, max_size=3).map("".join)).map("".join)


IN_LISTS = st.tuples(st.sampled_from(("", "b", "*", ".a")), st.sampled_from(("is", "not", "has")), joined(NAMES))
SELECTORS = joined(st.one_of(NAMES, IN_LISTS.map(lambda parts: f"{parts[0]}:{parts[1]}({parts[2]})")))


def found_by_reader(page: LexborHTMLParser, selector: str) -> set[int]:
    elements = Elements(page)
    tokens = tinycss2.parse_component_value_list(selector)
    return {elements.ids[i] for found, _ in selected(elements, tokens, None) for i in found.nonzero()[0]}


@given(PAGES, SELECTORS)
def test_selectors_mean_what_lexbor_finds(text, selector):
    page = LexborHTMLParser(text.replace(",", " "))
    assert found_by_reader(page, selector) == {node.mem_id for node in page.css(selector)}


@pytest.mark.parametrize(
    ("selector", "counts"),
    [
        ("#a .b i", (1, 1, 1)),
        ("*", (0, 0, 0)),
        (":is(#a, b) > i", (1, 0, 1)),
        (":where(#a) i:not(.b)", (0, 1, 1)),
        ("a[b]:nth-child(2):hover", (0, 3, 1)),
    ],
)
def test_specificity(selector, counts):
    assert specificity(tinycss2.parse_component_value_list(selector)) == counts


@pytest.mark.parametrize(
    "selector", ["", "b >", "> b", "b > > i", "b::before", "b:nonsense", "b:not(:nonsense)", "[", "."]
)
def test_what_is_not_understood_means_no_element(selector):
    assert found_by_reader(LexborHTMLParser("<b><i>x"), selector) == set()


def test_too_many_steps_are_refused(monkeypatch):
    monkeypatch.setattr("rag_lib.indexing.reading.elements.STEPS", 10_000)
    with pytest.raises(Unreadable):
        found_by_reader(LexborHTMLParser("<b>x"), ":first-child," * 100)
