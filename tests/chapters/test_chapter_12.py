"""What notebook 12 builds step by step is what rag_lib computes, and its forgers forge what they say."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import HashEncoder
from hypothesis import given
from hypothesis import strategies as st
from notebook_definitions import definitions

from rag_lib.applications import extraction, summarization
from rag_lib.applications.grounding import Grounds
from rag_lib.evaluation import rouge_l, rouge_n
from rag_lib.generation.generators import Generation
from rag_lib.indexing.documents import Source

SOURCE = [
    "Laika was a small dog from the streets of Moscow.",
    "She flew in Sputnik 2 on 3 November 1957, and Oleg Gazenko had trained her.",
    "The ship was not built to come back, and she died in orbit.",
    "In 1960 the dogs Belka and Strelka flew for a day.",
    "Both of them came back to Earth alive, and Oleg Gazenko showed them to Nikita Khrushchev.",
    "The museum sells two soft toys of Laika for twelve euros.",
]
WORDS = st.lists(st.sampled_from(["moon", "Mars", "orbit,", "1969", "a"]), max_size=9).map(" ".join)


class Echo:
    """A generator that writes the first words of what it reads."""

    def generate(self, questions, sources, job):
        return [Generation(" ".join(w for s in each for w in s.text.split()[:3]), 1.0, None, ()) for each in sources]


@pytest.fixture(scope="module")
def chapter() -> SimpleNamespace:
    """The notebook's definitions, with a small dossier and an encoder of the tests."""
    chapter = definitions("12_summarization")
    encoder = HashEncoder()
    vectors = {"dogs": encoder.encode_passages(SOURCE)}
    chapter.near.__globals__.update(sentences={"dogs": SOURCE}, vectors=vectors, encoder=encoder)
    chapter.near.__globals__.update(analyze=extraction.Analyzer(), forgers={"number": chapter.forge_number})
    return chapter


@given(WORDS, WORDS)
def test_rouge(chapter, summary, reference):
    assert chapter.rouge_l(summary, reference) == pytest.approx(rouge_l(summary, reference))
    for n in (1, 2, 3):
        assert chapter.rouge_n(summary, reference, n) == pytest.approx(rouge_n(summary, reference, n))


def test_textrank(chapter):
    weights = extraction.word_overlap(SOURCE)
    np.testing.assert_allclose(chapter.graph_of(SOURCE), weights, atol=1e-6)
    np.testing.assert_allclose(chapter.pagerank(weights), extraction.pagerank(weights), atol=1e-8)
    assert sorted(chapter.textrank(SOURCE)) == extraction.textrank(SOURCE)


@pytest.mark.parametrize("seed", range(5))
def test_relevance_and_mmr(chapter, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(12, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    question = vectors[3]
    np.testing.assert_allclose(chapter.centrality(vectors), extraction.relevance(vectors))
    np.testing.assert_allclose(chapter.smoothed(vectors @ question), extraction.relevance(vectors, question))
    for balance in (0.3, 0.85, 1.0):
        scores = chapter.centrality(vectors)
        assert chapter.mmr(scores, vectors, 5, balance) == extraction.mmr(scores, vectors, 5, balance)


@pytest.mark.parametrize("budget", [200, 400, 5000])
def test_the_three_ways_to_keep_to_a_budget(chapter, budget, monkeypatch):
    monkeypatch.setattr(extraction, "ABOUT", -1.0)
    parts = [Source("t", " ".join(f"w{i}x{j}" for j in range(80))) for i in range(11)]
    for name in ("retrieve_first", "map_reduce", "refine"):
        for question in ("", "w3x1 w3x2?"):
            writer = chapter.Counting(Echo())
            ours = getattr(chapter, name)(writer, parts, question, budget)
            assert ours == getattr(summarization, name)(parts, Echo(), HashEncoder(), question, budget)
            assert writer.calls >= 1


@pytest.mark.parametrize(
    "sentence",
    [
        "The dogs Belka and Strelka flew for a day in 1961.",
        "The dogs Belka and Laika flew in Paris for a day.",
        "The ship was built to come back, and she died in orbit.",
        "The museum never sells two soft toys of Laika for twelve euros.",
        "The dogs Belka and Strelka flew for a day, in 1960.",
    ],
)
def test_the_check_finds_what_the_finished_one_finds(chapter, sentence):
    (claim,) = Grounds(SOURCE, HashEncoder()).check([sentence])
    lookups = [f for f in claim.faults if "not said" in f or "denied" in f]
    missing = chapter.wrong_numbers("dogs", sentence) | chapter.wrong_names("dogs", sentence)
    clashes = chapter.clashes("dogs", sentence)
    assert {f.split()[0].strip("“”") for f in lookups} == missing | clashes


def test_the_forgers_change_what_they_say(chapter):
    source = " ".join([*SOURCE, "All of it was reported to Sergei Korolev."])
    for seed in range(20):
        forged = chapter.forge_number(SOURCE[1], source, random.Random(seed))
        assert chapter.numbers(forged) != chapter.numbers(SOURCE[1])
        forged = chapter.forge_name(SOURCE[4], source, random.Random(seed))
        assert forged != SOURCE[4] and chapter.names(forged) <= chapter.names(source)
        assert chapter.forge_negation(SOURCE[2], source, random.Random(seed)) == SOURCE[2].replace(" not", "")
        assert " not " in chapter.forge_negation(SOURCE[0], source, random.Random(seed))
    for forge in (chapter.forge_number, chapter.forge_name, chapter.forge_negation):
        assert forge("Nothing here changes.", "", random.Random(0)) is None


def test_the_check_of_exercises_speaks(chapter, capsys):
    cases = [(1, 2), (3, 4)]
    for yours in (lambda a, b: None, lambda a, b: a, lambda a, b: a + b):
        chapter.check(yours, lambda a, b: a + b, cases)
    out = capsys.readouterr().out.splitlines()
    assert "not written yet" in out[0] and "should be 3" in out[1] and "right in 2 cases" in out[2]


def test_summaries_are_shown_against_the_file(chapter):
    assert chapter.joined("dogs", [2, 0]) == f"{SOURCE[0]} {SOURCE[2]}"
    assert chapter.alone("dogs", [1]) == [1] and chapter.alone("dogs", [0, 1]) == []
