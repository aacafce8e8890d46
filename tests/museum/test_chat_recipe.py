"""What the chat model learns from the museum: replies that cite the passages which hold their evidence."""

import random

import pytest

from rag_lib.generation.citations import cited, without_marks
from rag_lib.generation.generators import Generation, Place
from rag_lib.generation.jobs import REPLY, REWRITE, SUMMARIZE
from rag_lib.indexing.documents import Source
from rag_lib.museum.chat_recipe import CHAT, Asked, GuideTask, asked_in_training, follow_ups, is_right, summaries
from rag_lib.museum.collection import Evidence, Question, load_articles
from rag_lib.training.generator.examples import Phase

ARTICLES = {a.id: a for a in load_articles()}


def search(question: str) -> list[Source]:
    """Whatever was asked, the beginnings of some articles."""
    return [Source(a.title, a.text[:300]) for a in list(ARTICLES.values())[:8]]


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_a_reply_cites_the_passages_that_hold_its_evidence(missing):
    task, rng = GuideTask(asked_in_training(), list(ARTICLES.values()), search), random.Random(0)
    phase = Phase(1, words=(40, 90), sources=(1, 5), missing=missing)
    silent = 0
    for i in range(0, len(task), 7):
        asked, example = task.asked[i], task.example(i, phase, rng)
        if example is None:
            continue
        assert example.job is REPLY and 1 <= len(example.sources) <= max(5, len(asked.evidence))
        if not example.target:
            silent += bool(asked.evidence)
            assert not any(e.sentence in s.text for e in asked.evidence for s in example.sources)
            assert not any(word.lower() in s.text.lower() for word in asked.wrong for s in example.sources)
            continue
        assert without_marks(example.target) == asked.reply and asked.evidence
        chosen = [example.sources[n] for n in cited(example.target, len(example.sources))]
        assert len(chosen) == len(asked.evidence)
        for e in asked.evidence:
            assert any(e.sentence in s.text and s.title == ARTICLES[e.article].title for s in chosen)
    assert (silent > 20) == (missing > 0)


def test_the_evidence_stands_at_any_number():
    asked = Asked("Who?", "He did.", (Evidence("ranger-7", ARTICLES["ranger-7"].text.split(". ")[0] + "."),))
    task, rng = GuideTask([asked], list(ARTICLES.values()), search), random.Random(0)
    targets = {task.example(0, Phase(1, (40, 90), sources=(3, 3)), rng).target for _ in range(60)}
    assert targets == {"He did [1].", "He did [2].", "He did [3]."}


def test_the_mixture_names_all_tasks_once_and_adds_up():
    names, shares = zip(*CHAT.phases[0].mixture, strict=True)
    assert sorted(names) == sorted({"read", "ask", "unanswerable", "guide", "no reply", "follow up", "summarize"})
    assert sum(shares) == pytest.approx(1)


def test_turns_and_texts_have_what_a_person_wrote():
    assert all(e.job is REWRITE and e.target.endswith("?") for e in follow_ups()[:50]) and len(follow_ups()) > 100
    assert all(e.job is SUMMARIZE and len(e.target) < sum(len(s.text) for s in e.sources) for e in summaries())


SOURCES = [Source("a", "The hall is blue. It was painted in 1990.")]
SENTENCE = Evidence("a", "The hall is blue.")


@pytest.mark.parametrize(
    ("text", "place", "right"),
    [
        ("It is blue [1].", None, True),
        ("It is bluebell.", None, False),
        ("It is red [1].", Place(0, 0, 17), True),
        ("It is red [1].", Place(0, 18, 41), False),
        ("", None, False),
    ],
)
def test_a_reply_is_right_that_says_the_answer_or_cites_its_sentence(text, place, right):
    question = Question("q", "What colour?", ("blue",), (SENTENCE,), "what")
    assert is_right(question, Generation(text, 0.5, place, (0,)), SOURCES) == right


def test_yes_and_no_must_be_said_and_silence_is_right_where_nothing_is_known():
    verdict = Question("q", "Is it blue?", (), (SENTENCE,), "yes or no", verdict="yes")
    nowhere = Question("q", "Is it wet?", (), (), "yes or no")
    for text, of_verdict, of_nowhere in (("Yes, it is.", True, False), ("No [1].", False, False), ("", False, True)):
        generation = Generation(text, 0.5, Place(0, 0, 17) if text else None, (0,))
        assert is_right(verdict, generation, SOURCES) == of_verdict
        assert is_right(nowhere, generation, SOURCES) == of_nowhere
