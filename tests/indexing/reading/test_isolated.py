import json
import random
import sys

import pytest
from pdfs import pdf_of

from rag_lib.indexing.reading import worker
from rag_lib.indexing.reading.base import Unreadable
from rag_lib.indexing.reading.isolated import IsolatedReader

PAGE = b"<title>Io</title><p>A moon."
DEEP = b"<div>" * 200_000  # the parser takes as long as the square of the depth


def test_files_are_read_one_after_the_other_by_one_process():
    with IsolatedReader() as reader:
        assert reader.read(".html", PAGE).text == "A moon."
        assert reader.read(".pdf", pdf_of(["Philae landed."])).text.strip() == "Philae landed."
        assert reader.started == 1


def test_no_process_starts_without_a_file():
    with IsolatedReader() as reader:
        pass
    assert reader.started == 0


def test_a_file_that_takes_too_long_is_left_out_and_the_next_one_is_read():
    with IsolatedReader() as reader:
        reader.read(".html", PAGE)
        reader.seconds = -4.0
        with pytest.raises(Unreadable, match="took more than 1 s"):
            reader.read(".html", DEEP)
        reader.seconds = 40.0
        assert reader.read(".html", PAGE).text == "A moon." and reader.started == 2


def test_a_crash_is_no_crash_of_ours():
    with IsolatedReader() as reader:
        reader._running().kill()
        reader._process.wait()
        with pytest.raises(Unreadable, match="crashed"):
            reader.read(".html", PAGE)
        assert reader.read(".html", PAGE).text == "A moon."


@pytest.mark.parametrize("error", [ZeroDivisionError, AttributeError, RecursionError, KeyError, AssertionError])
def test_whatever_a_parser_raises_is_a_reason(monkeypatch, error):
    def broken(data):
        raise error("inside")

    monkeypatch.setattr(worker, "reader_of", lambda kind: broken)
    assert worker.answer(".pdf", b"") == {"error": f"PDF that cannot be read ({error.__name__})"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
def test_memory_has_a_limit():
    import subprocess

    code = "from rag_lib.indexing.reading import worker; worker.limit_memory(); x = bytearray(3 << 30)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MemoryError" in found.stderr


def test_replies_hold_any_text():
    with IsolatedReader() as reader:
        text = reader.read(".html", "<p>é 故 🚀 \u2028 &#10;".encode()).text
    assert "🚀" in text and json.dumps(text)


def test_damaged_files_of_all_kinds_are_read_or_named():
    draw = random.Random(7)
    good = pdf_of(["Philae landed on a comet.", "It was 2014."], "(Philae)", {"X": "D835"})
    with IsolatedReader(seconds=20) as reader:
        for _ in range(60):
            data = bytearray(good)
            for _ in range(draw.randrange(1, 30)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            try:
                assert isinstance(reader.read(".pdf", bytes(data[: draw.randrange(len(data))])).text, str)
            except Unreadable as error:
                assert "\n" not in str(error) and "took more" not in str(error)
