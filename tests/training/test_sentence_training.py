"""Training a sentence ranker: the loss, what is shown, and a run that learns, goes on and leaves the rest alone."""

import random
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from fakes import chat_tokenizer, tiny_chat_model
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.generation import sentence_ranker
from rag_lib.generation.sentence_ranker import SentenceRanker
from rag_lib.indexing.documents import Source
from rag_lib.training.run import CheckpointUnusable
from rag_lib.training.sentences import VERDICT, Learner, Lesson, SentenceSettings, sentence_loss, train

COLOURS = {"sky": "blue", "grass": "green", "blood": "red", "snow": "white"}
SENTENCES = {thing: f"The {thing} is {colour}." for thing, colour in COLOURS.items()}
PASSAGES = {thing: Source("Colours", f"Look here. {sentence}") for thing, sentence in SENTENCES.items()}
LESSONS = [
    Lesson(
        f"Is the {thing} {asked}?",
        (SENTENCES[thing],),
        (PASSAGES[thing],),
        tuple(p for other, p in PASSAGES.items() if other != thing),
        verdict="yes" if asked == colour else "no",
    )
    for thing, colour in COLOURS.items()
    for asked in (colour, "pink")
]
SETTINGS = SentenceSettings(
    {"colours": 1.0}, {"colours": 1.0}, steps=16, looks=2, frozen=1, rate=2e-2, head_rate=5e-2, rank=4, save_every=0.0
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(sentence_ranker, "load_bundled", lambda: (tiny_chat_model(), deepcopy(chat_tokenizer())))


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=6), st.integers(0, 5))
def test_with_one_right_sentence_the_loss_is_torchs_cross_entropy(answers, right):
    right %= len(answers)
    logits = torch.tensor([[a, 1.0] for a in answers])
    mask = torch.arange(len(answers)) == right
    expected = torch.nn.functional.cross_entropy(torch.tensor([[*answers, 0.0]]), torch.tensor([right]))
    assert sentence_loss(logits, mask).item() == pytest.approx(expected.item(), abs=1e-5)


def test_several_right_sentences_share_and_none_is_a_choice_too():
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    p = torch.tensor([2.0, 1.0, -1.0, 0.0]).softmax(0)
    assert sentence_loss(logits, torch.tensor([True, True, False])).item() == pytest.approx(-(p[0] + p[1]).log())
    assert sentence_loss(logits, torch.tensor([False] * 3)).item() == pytest.approx(-p[3].log())


def test_yes_and_no_are_learnt_from_the_right_sentences_alone():
    logits = torch.tensor([[1.0, 3.0], [1.0, -2.0]], requires_grad=True)
    plain, yes, no = (sentence_loss(logits, torch.tensor([True, False]), v) for v in ("", "yes", "no"))
    binary = torch.nn.functional.binary_cross_entropy_with_logits
    for verdict, loss in ((1.0, yes), (0.0, no)):
        expected = VERDICT * binary(torch.tensor(3.0), torch.tensor(verdict))
        assert (loss - plain).item() == pytest.approx(expected.item(), abs=1e-6)
    (gradient,) = torch.autograd.grad(no, logits)
    assert gradient[0, 1] > 0 and gradient[1, 1] == 0


def test_traps_are_always_read_and_the_answer_nearly_always(tmp_path):
    learner = Learner(SentenceRanker(2), {"colours": LESSONS}, tmp_path, replace(SETTINGS, others=(1, 3), missing=0.3))
    rng, lesson = random.Random(0), replace(LESSONS[0], traps=1, verdict="")
    shown = [learner.shown(lesson, rng) for _ in range(200)]
    assert all(lesson.others[0] in passages for passages in shown)
    assert 0.2 < sum(lesson.passages[0] not in passages for passages in shown) / 200 < 0.4
    assert {len(passages) for passages in shown} == {1, 2, 3, 4}
    assert all(LESSONS[0].passages[0] in learner.shown(LESSONS[0], rng) for _ in range(50)), "it asks for yes or no"


def right(model: SentenceRanker) -> dict[str, float]:
    """For how many questions the right one of all sentences is liked best."""
    found = 0
    for lesson in LESSONS:
        judged = [
            (j.relevance, source.text[j.start : j.end])
            for source, each in zip(
                PASSAGES.values(), model.score(lesson.question, list(PASSAGES.values())), strict=True
            )
            for j in each
        ]
        found += max(judged)[1] in lesson.right
    return {"right": found / len(LESSONS)}


def test_it_learns_and_leaves_the_lowest_layers_alone(tmp_path):
    model = SentenceRanker(2)
    train(model, {"colours": LESSONS}, tmp_path, replace(SETTINGS, steps=120), lambda: right(model))
    assert right(model)["right"] >= 0.75, "by chance it would be an eighth"
    b = {n: p for n, p in model.named_parameters() if n.endswith("difference.b")}
    assert all((p == 0).all() for n, p in b.items() if n.startswith("body.layers.0."))
    assert any((p != 0).any() for n, p in b.items() if n.startswith("body.layers.1."))
    for lesson in LESSONS:
        ((_, right_one),) = model.score(lesson.question, lesson.passages)
        assert (right_one.says_yes > 0) == (lesson.verdict == "yes")


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    def logits(model):
        return torch.cat(model([model.lay_out(lesson.question, lesson.passages[0]) for lesson in LESSONS]))

    whole, first, second = (SentenceRanker(2) for _ in range(3))
    train(whole, {"colours": LESSONS}, tmp_path / "whole", SETTINGS)
    learner = Learner(first, {"colours": LESSONS}, tmp_path / "stopped", SETTINGS)
    for number in range(5):
        learner.step(0, number)
    learner.run.save()
    train(second, {"colours": LESSONS}, tmp_path / "stopped", SETTINGS)
    torch.testing.assert_close(logits(second), logits(whole))
    with pytest.raises(CheckpointUnusable, match="other settings or data"):
        train(SentenceRanker(2), {"colours": LESSONS[:2]}, tmp_path / "stopped", SETTINGS)


def test_a_task_without_lessons_and_odd_settings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing to learn for 'colours'"):
        Learner(SentenceRanker(1), {"shapes": LESSONS}, tmp_path, SETTINGS)
    with pytest.raises(ValueError, match="steps must be above 0"):
        replace(SETTINGS, steps=0)
