"""Every check, proved: right answers pass, the stub and wrong ones fail, and the message names what is wrong."""

import importlib

import pytest

from rag_lib.exercises import exercise as core
from rag_lib.exercises.catalogue import CHAPTERS, EXERCISES, CheckFailed, NotWritten, check
from rag_lib.exercises.learner import ours

ANSWERS = {chapter: importlib.import_module(f"answers_{chapter}") for chapter in CHAPTERS}
RIGHT = [(name, f) for answers in ANSWERS.values() for name, fs in answers.RIGHT.items() for f in fs]
WRONG = [(name, f, says) for answers in ANSWERS.values() for name, fs in answers.WRONG.items() for f, says in fs]
FAULTS = [(e, fault) for e in EXERCISES.values() for fault in e.faults]


def stub(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize("name", EXERCISES)
def test_every_check_is_proved(name):
    chapter = next(c for c, group in CHAPTERS.items() if name in [e.name for e in group])
    assert len(ANSWERS[chapter].RIGHT[name]) >= 2 and len(ANSWERS[chapter].WRONG[name]) >= 3
    assert EXERCISES[name].hints and len(EXERCISES[name].faults) >= 3


@pytest.mark.parametrize("name", EXERCISES)
def test_our_solution_passes(name, capsys):
    check(name, ours(name))
    assert capsys.readouterr().out == f"✓ {name}: right.\n"


@pytest.mark.parametrize(("name", "function"), RIGHT, ids=lambda value: getattr(value, "__name__", value))
def test_another_right_answer_passes(name, function):
    check(name, function)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_stub_is_not_written_yet(name):
    with pytest.raises(NotWritten, match=f"{name}: not written yet"):
        check(name, stub)


@pytest.mark.parametrize(("name", "function", "says"), WRONG, ids=lambda value: getattr(value, "__name__", value))
def test_a_wrong_answer_is_told_what_is_wrong(name, function, says):
    with pytest.raises(CheckFailed) as failure:
        check(name, function)
    assert says in str(failure.value)
    assert "\n" not in str(failure.value) and len(str(failure.value)) < 600


@pytest.mark.parametrize(("exercise", "fault"), FAULTS, ids=lambda value: getattr(value, "name", "fault"))
def test_every_fault_is_known_by_its_own_sentence(exercise, fault, monkeypatch):
    monkeypatch.setattr(core, "BORROWED", frozenset())  # the faults stand in rag_lib themselves
    assert core.judge(exercise, fault.function).startswith(fault.sentence)
