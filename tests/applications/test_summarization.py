"""Sentences that are chosen, texts that are read within a budget, and what a command makes of bad input."""

import re
from itertools import pairwise

import networkx
import numpy as np
import pytest
from fakes import FixedGenerator, HashEncoder
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.__main__ import main, parser
from rag_lib.applications.extraction import (
    READ,
    NotAbout,
    choose,
    leans,
    mmr,
    pagerank,
    passages_of,
    read_for,
    relevance,
    sentences_of,
    textrank,
    word_overlap,
)
from rag_lib.applications.grounding import Grounds
from rag_lib.applications.summarization import (
    METHODS,
    in_groups,
    map_reduce,
    read_document,
    refine,
    retrieve_first,
    summarize,
    words_in,
)
from rag_lib.generation.generators import Generation
from rag_lib.generation.jobs import SUMMARIZE
from rag_lib.generation.sentence_ranker import SentenceScore
from rag_lib.indexing.documents import Document, Source, Unreadable
from rag_lib.indexing.splitting import sentence_spans

TEXT = (
    "Laika was a dog from Moscow. She flew in Sputnik 2 in 1957. The dog Belka flew in a later Sputnik. "
    "Cheese is made of milk. Sputnik was launched from Baikonur. Milk and cheese are sold in Moscow."
)


class Echo:
    """A generator that writes the first words of what it reads, and keeps what it was given."""

    threshold, apart = 0.0, False

    def __init__(self, words: int = 3) -> None:
        self.words, self.read = words, []

    def generate(self, questions, sources, job):
        assert job == SUMMARIZE
        self.read += [[source.text for source in each] for each in sources]
        return [
            Generation(" ".join(w for s in each for w in s.text.split()[: self.words]), 1.0, None, ())
            for each in sources
        ]


def passages(count: int, words: int = 10) -> list[Source]:
    return [Source("Long", " ".join(f"w{i}x{j}" for j in range(words))) for i in range(count)]


WEIGHTS = st.integers(1, 7).flatmap(
    lambda n: st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=n, max_size=n), min_size=n, max_size=n)
)


@given(WEIGHTS)
def test_pagerank_is_that_of_networkx(rows):
    weights = np.array(rows)
    graph = networkx.from_numpy_array(weights, create_using=networkx.DiGraph)
    theirs = networkx.pagerank(graph, alpha=0.85, tol=1e-12, max_iter=1000)
    np.testing.assert_allclose(pagerank(weights), [theirs[i] for i in range(len(weights))], atol=1e-7)


def test_word_overlap_is_the_formula_and_textrank_takes_what_shares_most():
    sentences = sentences_of(TEXT)
    overlap = word_overlap(sentences)
    assert overlap[0, 5] == pytest.approx(1 / (np.log(4) + np.log(4)))  # four terms each, and they share Moscow
    assert (overlap == overlap.T).all() and not overlap.diagonal().any()
    assert textrank(["a cup of tea", "dog moon star", "dog moon sun", "dog star sun"], 3) == [1, 2, 3]


def test_mmr_by_hand_and_at_its_ends():
    vectors = np.array([[1, 0], [1, 0], [0.6, 0.8]])
    scores = np.array([0.9, 0.8, 0.5])
    assert mmr(scores, vectors, 2, balance=1.0) == [0, 1]  # relevance only
    assert mmr(scores, vectors, 2, balance=0.5) == [0, 2]  # 0.4 - 0.5 < 0.25 - 0.3
    assert sorted(mmr(scores, vectors, 9)) == [0, 1, 2]
    assert mmr(scores, vectors, 2, allowed=lambda i, chosen: i != 0) == [1, 2]
    assert mmr(scores, vectors, 2, allowed=lambda i, chosen: False) == []


def test_relevance_for_a_question_looks_at_the_neighbours():
    vectors = np.eye(4)
    np.testing.assert_allclose(relevance(vectors, np.array([0, 3.0, 0, 0])), [1, 1, 1, 0])
    assert relevance(np.array([[1.0, 0], [1, 0], [0, 1]])).argmin() == 2


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("She flew.", True),
        ("“But why?”", True),
        ("Its mirror broke.", True),
        ("Sheila flew.", False),
        ("Item 3.", False),
    ],
)
def test_leans(sentence, expected):
    assert leans(sentence) == expected


def test_a_leaning_sentence_is_only_chosen_after_the_one_before(encoder):
    sentences = sentences_of(TEXT)
    for n in (1, 2, 3):
        chosen = choose(sentences, encoder, n=n)
        assert len(chosen) == n and (1 not in chosen or 0 in chosen)


def test_a_question_with_nothing_to_do_with_the_text(encoder):
    with pytest.raises(NotAbout, match="nothing to say"):
        choose(sentences_of(TEXT), encoder, "How do I change the oil of a tractor?")


class Alike:
    """An encoder to which all texts are the same."""

    def encode_passages(self, texts, progress=False):
        return np.ones((len(texts), 1))

    encode_queries = encode_passages


class NumbersRanker:
    """Thinks the more of a sentence, the larger the number in it."""

    read = ()

    def score(self, question, sources):
        self.read = sources
        spans = [sentence_spans(source.text) for source in sources]
        return [
            [SentenceScore(a, b, float(re.search(r"\d+", source.text[a:b]).group()), 0.0) for a, b in each]
            for source, each in zip(sources, spans, strict=True)
        ]


@given(st.lists(st.integers(0, 99), min_size=5, max_size=60))
def test_each_sentence_gets_what_the_ranker_thinks_of_it(numbers):
    text = "\n\n".join(f"There are {n} moons in the sky of a very far planet. Moon {n + 100} is blue." for n in numbers)
    document, ranker = Document("d", "Moons", text), NumbersRanker()
    log_odds = read_for("How many moons?", document, Alike(), ranker)
    assert len(ranker.read) == min(READ, len(passages_of(document)))
    in_text = [float(re.search(r"\d+", sentence).group()) for sentence in sentences_of(text)]
    assert len(log_odds) == len(in_text)
    seen = sum(len(sentence_spans(source.text)) for source in ranker.read)
    assert log_odds[:seen].tolist() == in_text[:seen], "those nearest, here the first ones"
    assert set(log_odds[seen:]) <= {min(in_text[:seen])}, "of what was not read, the least is thought"


def test_a_ranker_finds_what_answers(encoder):
    text = " ".join(f"Laika ate {n} cheeses in Moscow." for n in (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9))
    text += " The dog slept for 700 hours. A cat ate 2 cheeses."
    document = Document("d", "Dogs", text)
    found = summarize(document, encoder, question="How many cheeses did Laika eat?", ranker=NumbersRanker())
    assert "700" in found.text and len(found.claims) == 3
    assert "700" not in summarize(document, encoder, question="How many cheeses did Laika eat?").text


def test_relevance_with_a_ranker_is_the_mean_of_neighbours():
    vectors, question = np.eye(4), np.array([0, 0.6, 0.8, 0])
    found = relevance(vectors, question, np.array([1.0, 2, 6, 4]))
    np.testing.assert_allclose(found, [4 / 3, 3, 4, 14 / 3])
    np.testing.assert_allclose(relevance(vectors, question, np.full(4, -3.0)), -3)  # the ends are no better


@given(st.lists(st.integers(1, 30), max_size=12), st.integers(1, 60))
def test_groups_keep_the_order_and_the_budget(lengths, budget):
    each = [Source("t", "w " * length) for length in lengths]
    groups = in_groups(each, budget)
    assert [p for group in groups for p in group] == each
    assert all(len(group) == 1 or words_in(group) <= budget for group in groups)
    assert all(words_in([*a, b[0]]) > budget for a, b in pairwise(groups))


def test_retrieve_first_reads_once_within_the_budget_in_order():
    generator, each = Echo(), passages(20)
    retrieve_first(each, generator, HashEncoder(), budget=55)
    (read,) = generator.read
    texts = [p.text for p in each]
    assert len(read) == 5 and [texts.index(t) for t in read] == sorted(texts.index(t) for t in read)


def test_map_reduce_reads_everything_once_and_then_what_was_written():
    generator, each = Echo(), passages(20)
    text = map_reduce(each, generator, HashEncoder(), budget=50)
    first = [t for group in generator.read[:4] for t in group]
    assert first == [p.text for p in each]
    assert all(sum(len(t.split()) for t in group) <= 50 for group in generator.read)
    assert text.startswith("w0x0") and len(generator.read) > 5


def test_map_reduce_ends_when_nothing_gets_shorter():
    with pytest.raises(RuntimeError, match="no shorter"):
        map_reduce(passages(20), Echo(words=99), HashEncoder(), budget=50)


def test_refine_carries_the_summary_on():
    generator, each = Echo(), passages(4, words=100)
    refine(each, generator, HashEncoder(), budget=250)
    assert len(generator.read) == 4 and generator.read[1][0] == "w0x0 w0x1 w0x2"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_only_what_the_text_supports(method, encoder):
    generator = FixedGenerator(Generation("Laika was a dog from Moscow. Laika flew in 1983.", 1.0, None, (0,)))
    summary = summarize(Document("d", "Dogs", TEXT), encoder, generator, method=method)
    assert 1 <= len(summary.claims) <= 3 and all(claim.sentence in TEXT for claim in summary.claims)
    if generator.asked:
        assert [claim.sentence for claim in summary.left_out] == ["Laika flew in 1983."]
        assert "1983" in summary.left_out[0].faults[0]


def test_the_command_line_names_every_method():
    (commands,) = (a for a in parser()._actions if a.dest == "command")
    (method,) = (a for a in commands.choices["summarize"]._actions if a.dest == "method")
    assert tuple(method.choices) == METHODS


def test_what_is_short_already_stays_as_it_is(encoder):
    for question in ("", "Who was Laika?"):
        assert (
            summarize(Document("d", "Dogs", "Laika was a dog."), encoder, question=question).text == "Laika was a dog."
        )


def test_a_method_without_its_generator_is_refused(encoder):
    for method in ("retrieve", "nothing"):
        with pytest.raises(ValueError, match=method):
            summarize(Document("d", "Dogs", TEXT), encoder, method=method)


def test_a_question_is_not_silently_passed_over(encoder):
    with pytest.raises(ValueError, match="knows nothing of a question"):
        summarize(Document("d", "Dogs", TEXT), encoder, question="Who flew?", method="textrank")


def test_passages_and_sentences_cover_a_text_without_full_stops():
    text = "word " * 1000
    assert sum(len(s.split()) for s in sentences_of(text)) == words_in(passages_of(Document("d", "d", text))) == 1000


def scanned_pdf() -> bytes:
    from io import BytesIO

    from pypdf import PdfWriter

    writer, data = PdfWriter(), BytesIO()
    writer.add_blank_page(200, 200)
    writer.write(data)
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", "empty file"),
        ("a.txt", b" \n", "empty file"),
        ("a.pdf", scanned_pdf(), "no text in it; a scanned PDF"),
        ("a.png", b"\x89PNG", "not one of"),
    ],
)
def test_files_without_text_get_one_clear_line(tmp_path, capsys, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    for named in (path, str(path)):
        with pytest.raises(Unreadable, match=message):
            read_document(named)
    assert main(["summarize", str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and name in line and message in line


def test_the_command_on_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["summarize", str(tmp_path / "none.txt")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_the_command_prints_a_focused_summary(tmp_path, capsys, encoder):
    path = tmp_path / "dogs.txt"
    path.write_text(TEXT)
    assert main(["summarize", str(path), "--question", "Where is cheese sold?"]) == 0
    assert "cheese are sold in Moscow" in capsys.readouterr().out
    assert main(["summarize", str(path), "--question", "How do I change the oil of a tractor?"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: the text has nothing to say on this question"


def test_a_text_of_100_000_words_is_read_within_the_budget():
    text = " ".join(f"Sentence {i} is about the {i % 97} moons of planet {i % 13}." for i in range(11_000))
    document, generator = Document("d", "Moons", text), Echo()
    assert len(text.split()) > 100_000
    retrieve_first(passages_of(document), generator, HashEncoder())
    (read,) = generator.read
    assert 800 < sum(len(t.split()) for t in read) <= 900


def test_an_empty_source_supports_nothing():
    (claim,) = Grounds([], HashEncoder()).check(["Laika flew."])
    assert not claim.supported
