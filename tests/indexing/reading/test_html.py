import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.indexing.reading.base import Unreadable
from rag_lib.indexing.reading.cleaning import clean
from rag_lib.indexing.reading.html import read_html


def text_of(page: str) -> str:
    return clean(read_html(page.encode()).text)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>Dr. <b>Jo</b>anna <a href=x>Okafor</a> in 1984.</p>", "Dr. Joanna Okafor in 1984."),
        (
            "CO<sub>2</sub>, m<sup>2</sup>, 10<sup>5</sup> km, 1969<sup>3</sup>, 5<sup>th</sup>",
            "CO2, m2, 10⁵ km, 1969³, 5th",
        ),
        ("<!doctype html><html><head><title>x</title><body><p>Read.", "Read."),
        ("<p>One<p>Two<div>three</div>four", "One\n\nTwo\n\nthree\nfour"),
        ("One<br>two<br/>three", "One\ntwo\nthree"),
        ("<h1>Head</h1>Text", "Head\n\nText"),
        ("<ul><li>one<li>two</ul>", "one\ntwo"),
        ("<table><tr><th>Name<th>Year<tr><td><p>Io</p><td>19<b>79</b></table>", "Name\tYear\nIo\t1979"),
        ("<pre>a\n  b\nc</pre>", "a\n  b\nc"),
        ("a\n  b <span> c</span>\n d", "a b c d"),
        ("A&nbsp;B &amp; C&shy;D &#8364;5 &nosuch;", "A B & CD €5 &nosuch;"),
        ("exp<wbr>eri<i></i>ment <ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", "experiment 漢kan"),
        ("<p>if a < b and <c", "if a < b and"),
    ],
)
def test_only_blocks_break_lines(page, text):
    assert text_of(page) == text


HIDDEN = [
    *(
        f"<p style='{style}'>hidden</p>"
        for style in (
            "display:none",
            "DISPLAY : None !important",
            "visibility:hidden",
            "visibility:collapse",
            "opacity:0",
            "opacity:.01",
            "opacity:0%",
            "font-size:0",
            "font-size:1px",
            "font-size:0.1em",
            "font:0/0 a",
            "position:absolute;left:-9999px",
            "position:fixed;top:-100vh",
            "position:absolute;left:200vw",
            "text-indent:-9999px",
            "text-indent:100%;overflow:hidden",
            "margin-left:-9999px",
            "clip:rect(0,0,0,0);position:absolute",
            "clip:rect(1px, 1px, 1px, 1px)",
            "clip-path:inset(100%)",
            "clip-path:circle(0)",
            "height:0;overflow:hidden",
            "max-height:0;overflow-y:hidden",
            "width:1px;height:1px;overflow:hidden",
            "transform:scale(0)",
            "transform:translateX(-9999px)",
            "filter:opacity(0)",
            "content-visibility:hidden",
            "color:white",
            "color:#fefefe",
            "color:transparent",
            "color:rgba(0,0,0,0)",
            "color:#000;background:black",
        )
    ),
    "<p hidden>hidden</p>",
    "<details><summary></summary>hidden<p>hidden</p></details>",
    "<dialog>hidden</dialog>",
    "<svg><text>hidden</text><title>hidden</title></svg>",
    "<![CDATA[hidden]]>",
    "<!-- hidden -->",
    "<script>hidden</script><style>hidden</style><noscript>hidden</noscript><template>hidden</template>",
    "<iframe>hidden</iframe><object>hidden</object><canvas>hidden</canvas><textarea>hidden</textarea>",
    "<select><option>hidden</select><datalist><option>hidden</datalist>",
    "<input type=hidden value=hidden><img alt=hidden><p title=hidden data-x=hidden></p>",
    "<font color=white>hidden</font>",
    "<div style=display:none><p style=display:block>hidden</p></div>",
    "<style>.a{display:none}</style><p class=a>hidden",
    "<style>#b > i{font-size:0}</style><p id=b><i>hidden",
    "<style>/* } */ .c, .d{visibility:hidden}</style><div class=d><p>hidden",
    "<style>@media screen{.e{display:none}}</style><p class=e>hidden",
    "<style>@supports (a:b){.f{display:none}}</style><p class=f>hidden",
    "<style>p{display:block} p.g{display:none} p{display:block}</style><p class=g>hidden",
    "<style>.h{display:none!important}</style><p class=h style=display:block>hidden",
    "<style>body{background:#123}</style><p style=color:#123>hidden",
]


@pytest.mark.parametrize("part", HIDDEN)
def test_what_nobody_sees_is_not_read(part):
    assert text_of(f"<body><p>before</p>{part}<p>after</p>").split() in (["before", "after"], ["before"])


@pytest.mark.parametrize(
    "part",
    [
        "<style>.a{display:none} .a.b{display:block}</style><p class='a b'>seen",
        "<style>.a{display:none}</style><p class=a style=display:block>seen",
        "<style>@media print{.a{display:none}} @media (max-width:600px){.a{display:none}}</style><p class=a>seen",
        "<style>.a:hover{display:none} .a::before{display:none}</style><p class=a>seen",
        "<style>.a{</style><style>b{</style><p class=b>seen",
        "<div style=visibility:hidden><p style=visibility:visible>seen</div>",
        "<div style=font-size:0><p style=font-size:16px>seen</div>",
        "<p style='color:#fff;background:#000'>seen",
        "<div style='background:url(x.png)'><p style=color:white>seen</div>",
        "<link rel=stylesheet href=x.css><p style=color:white>seen",
        "<p style='display:none;display:block'>seen",
        "<p style='opacity:0.6;height:0;left:-9999px'>seen",
        "<details open>seen</details>",
        "<details><summary>seen</summary>no</details>",
        "<p aria-hidden=true>seen",
        "<p style='color:nonsense;font-size:x'>seen",
    ],
)
def test_what_is_seen_is_read(part):
    assert "seen" in text_of(f"<body>{part}")


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title> Io,\n a moon </title><h1>No</h1>", "Io, a moon"),
        ("<svg><title>No</title></svg><h1>Io</h1>", "Io"),
        ("<p>Text", ""),
        ("<title></title><h1>Io</h1>", ""),
    ],
)
def test_titles(page, title):
    assert " ".join(read_html(page.encode()).metadata.get("title", "").split()) == title


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("<meta charset=iso-8859-1><p>Müller".encode("cp1252"), "Müller"),
        ("<meta http-equiv=x content='text/html; charset=windows-1251'><p>Елена".encode("cp1251"), "Елена"),
        ("<?xml version='1.0' encoding='shift_jis'?><p>宇宙".encode("cp932"), "宇宙"),
        ("<meta charset=iso-8859-1><p>Müller".encode(), "Müller"),
        ("<meta charset=nonsense><p>Müller".encode("cp1252"), "Müller"),
        ("<meta charset=utf-8><p>Müller".encode("cp1252"), "Müller"),
        ("<p>Müller".encode("utf-16"), "Müller"),
        (b"<meta charset=x-user-defined><p>Mars", "Mars"),
    ],
)
def test_the_declared_encoding_holds_unless_the_page_is_utf8(data, text):
    assert clean(read_html(data).text) == text


def test_binary_data_called_html_is_named():
    with pytest.raises(Unreadable, match="binary"):
        read_html(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))


PARTS = st.sampled_from(
    "<p> <b> </b> <table> <td> <tr> </table> <div> </div> <style> .a{ display:none } </style> <details> <pre> "
    "</pre> text <!-- --> <svg> </svg> <![CDATA[ ]]> <a <li> &amp; &#0; \x00 é <sup> 5 <br> <select> <frameset> <math> "
    "<plaintext> <template> </template> <style=' <p/style='opacity: \ud83d".split()
)


@given(st.lists(PARTS, max_size=30).map("".join))
def test_any_page_is_read(page):
    with contextlib.suppress(Unreadable):  # too many zeros
        assert isinstance(clean(read_html(page.encode("utf-8", "surrogatepass")).text), str)
