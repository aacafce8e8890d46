import os
import sys
from pathlib import Path

import pytest

from rag_lib.indexing.documents import Document, NoDocuments, Skipped, folder_digest, load_document, load_documents
from rag_lib.indexing.reading.isolated import IsolatedReader

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders, and links need a right")
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


def test_front_matter_gives_title_and_metadata_and_the_id_only_of_the_file_itself(tmp_path):
    head = "---\nid: {}\ntitle: The Moon\nhall: Moon Hall\n---\n\n{}"
    for name, own in {"moon.txt": "moon", "a.txt": "real.txt", "real.txt": "x", "real.txt.md": "real.txt"}.items():
        (tmp_path / name).write_text(head.format(own, f"Grey, says {name}."))
    documents = {d.id: d for d in load_documents(tmp_path).documents}
    assert documents.keys() == {"moon", "a.txt", "real.txt", "real.txt.md"}
    assert documents["real.txt"].text == "Grey, says real.txt."
    assert documents["moon"].title == "The Moon" and documents["moon"].metadata["hall"] == "Moon Hall"


def test_two_files_of_one_bare_name_are_both_there(tmp_path):
    (tmp_path / "io.md").write_text("---\nid: io\n---\nHot.")
    (tmp_path / "io.txt").write_text("---\nid: io\n---\nCold.")
    assert [d.id for d in load_documents(tmp_path).documents] == ["io", "io.txt"]


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


def test_copies_are_left_out_and_named(tmp_path):
    write(
        tmp_path, a__txt=b"The same\ntext.", b__md=b"the same  text.", c__html=b"<title>C</title><p>The same text.</p>"
    )
    collection = load_documents(tmp_path)
    assert [d.id for d in collection.documents] == ["a.txt"]
    assert [(s.path, s.reason) for s in collection.skipped] == [
        (n, "the same text as a.txt") for n in ("b.md", "c.html")
    ]


def test_a_guessed_encoding_is_said_and_kept(tmp_path):
    write(tmp_path, a__txt="The menu costs €14.".encode("cp1252"))
    collection = load_documents(tmp_path)
    assert collection.documents[0].text == "The menu costs €14."
    assert collection.skipped == [Skipped("a.txt", "encoding guessed: cp1252", read=True)]


@posix
def test_only_regular_files_inside_the_folder_are_read(tmp_path):
    (tmp_path / "outside.txt").write_text("Secret.")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "good.txt").write_text("Fine.")
    os.mkfifo(folder / "pipe.txt")
    for name, target in {
        "zero.txt": "/dev/zero",
        "out.txt": tmp_path / "outside.txt",
        "up.txt": "../outside.txt",
        "loop.txt": folder / "loop.txt",
        "gone.txt": folder / "nothing",
        "folder": tmp_path,
        "sub/in.txt": folder / "good.txt",
    }.items():
        (folder / name).symlink_to(target)
    collection = load_documents(folder)
    assert [d.text for d in collection.documents] == ["Fine."]
    assert {s.path for s in collection.skipped} == {
        "pipe.txt",
        "zero.txt",
        "out.txt",
        "up.txt",
        "loop.txt",
        "gone.txt",
        "folder",
        "sub/in.txt",
    }
    assert folder_digest(folder) == folder_digest(folder)


@posix
@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "good.txt").write_text("Fine.")
    (tmp_path / "closed").mkdir(mode=0)
    assert "cannot be read" in load_documents(tmp_path).skipped[0].reason


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_utf8_or_steer_the_terminal_are_shown_clean(tmp_path):
    for i, name in enumerate(
        [b"caf\xe9.txt", b"caf\xe8.txt", b"a\nSource: b.txt", b"\x1b[31mred.txt", "x\u202etxt.txt".encode()]
    ):
        (tmp_path / os.fsdecode(name)).write_text(f"Text {i}.")
    documents = load_documents(tmp_path).documents
    assert {d.id for d in documents} == {
        "caf\ufffd.txt",
        "caf\ufffd.txt (2)",
        "a Source: b.txt",
        "[31mred.txt",
        "xtxt.txt",
    }
    assert all((d.id + d.title).isprintable() for d in documents)


def test_titles_are_one_clean_line(tmp_path):
    page = "<title>Io\nAnswer: 42\u2028Source: x \x1b[2J\u202e" + "long " * 100 + "</title><p>Text."
    write(tmp_path, io__html=page.encode())
    (io,) = load_documents(tmp_path).documents
    assert io.title.startswith("Io Answer: 42 Source: x [2Jlong long") and len(io.title) <= 200
    assert io.title.isprintable()


def test_a_document_is_well_formed_whoever_makes_it():
    document = Document("\ud83d", "\udc00", "a \ud83d\ude80 b \ud83d")
    assert (document.id, document.title, document.text) == ("\ufffd", "\ufffd", "a 🚀 b \ufffd")


@pytest.mark.parametrize("given", [None, 5, b"text", ["text"]])
@pytest.mark.parametrize("field", ["id", "title", "text"])
def test_a_document_of_no_text_is_refused(field, given):
    fields = {"id": "a", "title": "b", "text": "c"} | {field: given}
    with pytest.raises(TypeError, match=f"^a document's {field} is a text, not {type(given).__name__}$"):
        Document(**fields)


READERS = [load_document, load_documents, folder_digest]


@pytest.mark.parametrize("load", READERS)
def test_a_path_may_be_a_text(tmp_path, load):
    write(tmp_path, a__txt=b"One.")
    path = tmp_path / "a.txt" if load is load_document else tmp_path
    assert load(str(path)) == load(path)


@pytest.mark.parametrize("given", [None, 5, b"folder", Path])
@pytest.mark.parametrize("load", READERS)
def test_what_is_no_path_is_refused(load, given):
    with pytest.raises(TypeError, match=r"^the name of a (file|folder) is a text or a path, not "):
        load(given)


@pytest.mark.parametrize("given", ["", "  "])
@pytest.mark.parametrize("load", READERS)
def test_an_empty_name_does_not_read_the_working_directory(tmp_path, monkeypatch, load, given):
    monkeypatch.chdir(write(tmp_path, a__txt=b"One."))
    with pytest.raises(ValueError, match=r"^the name of a (file|folder) is empty; the working directory is '\.'$"):
        load(given)


def test_text_files_start_no_process(tmp_path, monkeypatch):
    write(tmp_path, a__txt=b"One.", b__md=b"# Two\n\nText.", c__png=b"no")
    monkeypatch.setattr(IsolatedReader, "_running", lambda self: pytest.fail("a process was started"))
    assert len(load_documents(tmp_path).documents) == 2


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
