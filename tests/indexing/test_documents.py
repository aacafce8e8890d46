from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.indexing.documents import NoDocuments, decode, folder_digest, load_documents, parse_front_matter

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))


def write(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def test_text_files_become_documents_in_the_order_of_their_names(tmp_path):
    write(tmp_path, b__txt="Beta, café".encode(), a__md=b"# Alpha\n\nFirst letter.")
    documents = load_documents(tmp_path).documents
    assert [(d.id, d.title, d.text) for d in documents] == [
        ("a.md", "Alpha", "# Alpha\n\nFirst letter."),
        ("b.txt", "b", "Beta, café"),
    ]


def test_front_matter_gives_id_title_and_metadata(tmp_path):
    write(tmp_path, x__txt=b"---\nid: moon\ntitle: The Moon\nhall: Moon Hall\n---\n\nGrey: and round.")
    (moon,) = load_documents(tmp_path).documents
    assert (moon.id, moon.title, moon.text, moon.metadata["hall"]) == (
        "moon",
        "The Moon",
        "Grey: and round.",
        "Moon Hall",
    )


def test_a_rule_of_dashes_that_is_no_front_matter_stays_in_the_text():
    text = "---\nno key here\n---\nBody"
    assert parse_front_matter(text) == ({}, text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp1251"])
def test_other_encodings_are_read(encoding):
    text = {"cp1251": "Валентина Терешкова родилась в деревне под Ярославлем и стала первой женщиной в космосе. "}.get(
        encoding, "Félicette flew above Algeria; the naïve rôle of the Mélies café in Orléans was over. "
    )
    assert decode((text * 5).encode(encoding)) == text * 5


@given(st.text())
def test_utf8_is_always_read_as_it_was_written(text):
    if "\0" not in text and not text.startswith(("\ufeff", "\ufffe")):
        assert decode(text.encode()) == text


def test_what_cannot_be_read_is_left_out_with_its_reason(tmp_path):
    write(
        tmp_path,
        good__txt=b"Fine.",
        empty__txt=b"",
        blank__txt=b" \n ",
        binary__txt=PNG,
        picture__png=PNG,
        broken__pdf=b"%PDF-1.4 no",
    )
    write(tmp_path, huge__txt=b"x" * 2000)
    collection = load_documents(tmp_path, max_bytes=1000)
    reasons = {s.path: s.reason for s in collection.skipped}
    assert [d.id for d in collection.documents] == ["good.txt"]
    assert reasons["empty.txt"] == "empty file"
    assert reasons["blank.txt"] == "empty file"
    assert "binary" in reasons["binary.txt"]
    assert "not one of" in reasons["picture.png"]
    assert "PDF that cannot be read" in reasons["broken.pdf"]
    assert "more than the limit" in reasons["huge.txt"]


def test_an_id_taken_twice_is_reported_not_overwritten(tmp_path):
    write(tmp_path, a__txt=b"---\nid: same\n---\nfirst", b__txt=b"---\nid: same\n---\nsecond")
    collection = load_documents(tmp_path)
    assert [d.text for d in collection.documents] == ["first"]
    assert collection.skipped[0].path == "b.txt" and "'same'" in collection.skipped[0].reason


def test_html_gives_its_visible_text_and_title(tmp_path):
    head = "<head><title>Io</title><script>var x = 1;</script></head>"
    page = f"<html>{head}<body><h1>Io</h1><p>It has <b>volcanoes</b>.</p></body></html>"
    write(tmp_path, io__html=page.encode())
    (io,) = load_documents(tmp_path).documents
    assert io.title == "Io" and "volcanoes" in io.text and "var x" not in io.text


def test_pdf_gives_its_text(tmp_path):
    matplotlib = pytest.importorskip("matplotlib.figure")
    figure = matplotlib.Figure()
    figure.text(0.1, 0.5, "Philae landed on a comet in 2014")
    figure.savefig(tmp_path / "philae.pdf", metadata={"Title": "Philae"})
    (philae,) = load_documents(tmp_path).documents
    assert philae.title == "Philae" and "comet in 2014" in philae.text


@pytest.mark.parametrize("files", [{}, {"picture__png": PNG}])
def test_a_folder_without_documents_says_what_it_holds(tmp_path, files):
    with pytest.raises(NoDocuments, match="empty" if not files else "picture.png"):
        load_documents(write(tmp_path, **files))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(NoDocuments, match="nowhere"):
        load_documents(tmp_path / "nowhere")


def test_the_digest_changes_with_names_and_bytes_only(tmp_path):
    write(tmp_path, a__txt=b"one")
    first = folder_digest(tmp_path)
    (tmp_path / "a.txt").touch()
    assert folder_digest(tmp_path) == first
    write(tmp_path, a__txt=b"two")
    assert folder_digest(tmp_path) != first
