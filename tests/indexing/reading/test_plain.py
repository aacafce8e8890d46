import time

import pytest

from rag_lib.indexing.reading.plain import parse_front_matter, read_markdown, read_text

YAML = """---
# about this page
title: "The Moon: a guide"

tags:
  - grey
  - round
year: 1969
deeper:
  left: out
---

It is grey."""


def test_a_head_is_read_as_yaml():
    assert parse_front_matter(YAML) == (
        {"title": "The Moon: a guide", "tags": "grey, round", "year": "1969"},
        "It is grey.",
    )


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("title: Io: a moon\ntags:\n  - hot", "Io: a moon"),
        ("title: 'Io: a moon'\nsummary: 12 km: not far", "Io: a moon"),
        ("title: >\n  Io,\n  a moon", "Io, a moon"),
        ("title: 007", "007"),
        ("title: yes", "yes"),
        ("title: 2026-11-29", "2026-11-29"),
        ("tags: [a, b]\ntitle: Io  # the moon", "Io"),
        ("title: Łódź", "Łódź"),
    ],
)
@pytest.mark.parametrize("end", ["---", "--- ", "..."])
def test_titles_survive(head, title, end):
    fields, text = parse_front_matter(f"---\n{head}\n{end}\nBody")
    assert (fields["title"], text) == (title, "Body")


@pytest.mark.parametrize(
    "text",
    [
        "---\nno key here\n---\nBody",
        "---\n- a\n- b\n---\nBody",
        "Text\n---\ntitle: x\n---\n",
        "---\ntitle: never closed",
        "---\n{[\n---\nBody",
        "---\n" + "[" * 5000 + "\n---\nBody",
        "----\ntitle: x\n----\n",
    ],
)
def test_what_is_no_head_stays_in_the_text(text):
    assert parse_front_matter(text) == ({}, text)


def test_a_head_cannot_make_objects_or_grow():
    aliases = "a: &a [x, x]\n" + "".join(
        f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    )
    fields, text = parse_front_matter(f"---\n{aliases}evil: !!python/object/apply:os.getcwd []\n---\nBody")
    assert text == "Body" and sum(map(len, fields.values())) < 1000


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Alpha\n\nText", "Alpha"),
        ("\n\n#\tAlpha #\nText", "Alpha"),
        ("Alpha\n=====\nText", "Alpha"),
        ("# C#\nText", "C#"),
        ("#\nThe first sentence.", ""),
        ("# \nThe first sentence.", ""),
        ("##\nThe first sentence.", ""),
        ("# #\nThe first sentence.", ""),
        ("#hashtag\nText", ""),
        ("## Second\nText", ""),
        ("Text\n# Late", ""),
        ("---\ntitle: Head\n---\n# Alpha\nText", "Head"),
    ],
)
def test_a_heading_at_the_top_of_markdown_is_its_title(text, title):
    assert read_markdown(text.encode()).metadata.get("title", "") == title


@pytest.mark.parametrize("text", ["# of visitors grew.", "Alpha\n=====\nText", "#\nThe first sentence."])
def test_a_text_file_has_no_headings(text):
    assert "title" not in read_text(text.encode()).metadata


def test_comments_of_markdown_are_not_read():
    text = "Seen.<!-- hidden -->\n<!--\nhidden\n--> Seen too. <!-- open"
    assert read_markdown(text.encode()).text.split() == ["Seen.", "Seen", "too.", "<!--", "open"]


@pytest.mark.parametrize("piece", ["<!--", "# ", "#\t", "---\n", "a:\n", "- a\n", "[", "{", "=\n", "a=\n"])
def test_time_grows_with_the_length_only(piece):
    for start in ("", "---\n", "# "):
        started = time.process_time()
        read_markdown((start + piece * (100_000 // len(piece))).encode())
        assert time.process_time() - started < 10
