import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.indexing.reading.base import Unreadable
from rag_lib.indexing.reading.encodings import decode
from rag_lib.museum.collection import load_articles

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))
ACCENTED = [a.text for a in load_articles() if re.search("[À-ÿ]", a.text)]


@given(st.text())
def test_utf8_is_always_read_as_it_was_written(text):
    if not re.search("[\x00-\x08\x0e-\x1f\x7f\ufdd0-\ufdef\ufffd-\uffff]", text) and not text.startswith("\ufeff"):
        assert decode(text.encode()) == (text, "")


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("text", ["The Moon is grey, and round.", "Она полетела в космос в 1963 году.", "Félicette’s"])
def test_unicode_is_certain_with_and_without_its_mark(text, encoding):
    assert decode(text.encode(encoding)) == (text, "")


@pytest.mark.parametrize(
    "text",
    [
        "The set menu costs €14.",
        "Dr. Müller of Zürich spoke.",
        "Anders Ångström",
        "Æsa Þórsdóttir flew “Heron” – it’s true… ÉLAN",
        "Señor Núñez: ¿qué? £5, ½ of 20 °C ± 1, 5 µm, § 3, ©",
        "GRÖSSE, Größe, Ölfaß; garçon, œuvre, Škoda, Žižka, ÿ",
        "x² + y³ = 10·z",
    ],
)
def test_western_windows_is_read_and_called_a_guess(text):
    assert decode(text.encode("cp1252")) == (text, "cp1252")


def test_every_article_with_accents_survives_western_windows():
    assert len(ACCENTED) >= 44
    for text in ACCENTED:
        assert decode(text.encode("cp1252", "replace")).text == text.encode("cp1252", "replace").decode("cp1252")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Валентина Терешкова родилась в деревне под Ярославлем."),
        ("koi8_r", "Валентина Терешкова родилась в деревне под Ярославлем."),
        ("cp1253", "Η Ελένη πέταξε στο διάστημα το 1986."),
        ("gb18030", "床前明月光，疑是地上霜。举头望明月，低头思故乡。"),
        ("big5", "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。"),
        ("cp932", "宇宙船は1986年に打ち上げられました。とても速いです。"),
        ("cp949", "우주선은 1986년에 발사되었습니다. 매우 빠릅니다."),
        ("cp1250", "Łódź jest piękna. Żółw idzie powoli przez ulicę."),
        ("mac_roman", "The café of Dr. Müller in Zürich isn’t open."),
        ("cp850", "The café of Dr. Müller in Zürich is open."),
    ],
)
def test_another_code_page_needs_strong_evidence_and_gets_it(encoding, text):
    found = decode(text.encode(encoding))
    assert found.text == text and found.guess


@pytest.mark.parametrize("bad", [b"\xe9", b"\xff", b"\xc3", b"\x80", b"\xf0\x9f\x98"])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_bad_byte_in_utf8_costs_one_character(bad, place):
    parts = ["The café. ".encode()] * 3
    parts.insert(place, bad + b" ")
    assert decode(b"".join(parts)) == ("The café. " * place + "\ufffd " + "The café. " * (3 - place), "")


def test_a_damaged_file_with_a_mark_is_read_as_far_as_it_goes():
    assert decode("The Moon is grey.".encode("utf-16") + b"x").text == "The Moon is grey.\ufffd"


@pytest.mark.parametrize(
    "data",
    [
        PNG,
        bytes(range(256)) * 20,
        b"\x7fELF\x02\x01\x01" + bytes(60),
        b"PK\x03\x04\x14\0\x08\0" * 30,
        b"\xff\xfe" + PNG,
    ],
)
def test_binary_data_is_no_text(data):
    with pytest.raises(Unreadable, match="binary"):
        decode(data)


def test_random_bytes_are_read_or_refused():
    draw = random.Random(1)
    for length in (1, 2, 5, 50, 3000):
        for _ in range(20):
            try:
                decode(draw.randbytes(length))
            except Unreadable:
                continue
