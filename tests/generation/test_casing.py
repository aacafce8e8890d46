import pytest

from rag_lib.generation.casing import restore_case
from rag_lib.models.weights import load_minilm

TEXT = (
    'The U.S. agency NASA launched "Eagle" with Neil Armstrong. It cost $25.4 billion, or so (by 1973) people said. '
    "Sally Ride's flight was STS-7; she was twenty-nine."
)


@pytest.fixture(scope="module")
def tokenizer():
    return load_minilm()[1]


def restored(tokenizer, written: str, *texts: str) -> str:
    def tokens(text: str) -> tuple[list[int], list[tuple[int, int]]]:
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return encoded["input_ids"], encoded["offset_mapping"]

    return restore_case(tokens(written)[0], [(t, tokens(t)) for t in texts], tokenizer)


def test_a_quotation_comes_back_letter_by_letter(tokenizer):
    assert restored(tokenizer, TEXT, TEXT) == TEXT


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("neil armstrong flew for nasa.", "Neil Armstrong flew for NASA."),
        ("sally ride ' s flight, sts - 7, was in the u. s.", "Sally Ride's flight, STS-7, was in the U.S."),
        ("she was there. it cost $ 25. 4 billion", "She was there. It cost $25.4 billion"),
        ("he said the agency spent it", "He said the agency spent it"),
        ("a well - known zebra", "A well-known zebra"),
    ],
)
def test_names_are_written_as_in_the_text_and_sentences_begin_with_a_capital(tokenizer, written, text):
    assert restored(tokenizer, written, TEXT) == text


def test_words_that_no_text_has_are_put_together_from_their_pieces(tokenizer):
    assert restored(tokenizer, "unheliotropically strange") == "Unheliotropically strange"
    assert restored(tokenizer, "") == ""
