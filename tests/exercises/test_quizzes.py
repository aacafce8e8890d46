"""Every quiz is well formed: one right answer a question, every answer explained, nothing that needs the network."""

import json

import pytest
from conftest import ROOT

from rag_lib.exercises.catalogue import CHAPTERS
from rag_lib.exercises.quizzes import questions, quiz

FILES = sorted((ROOT / "exercises" / "quizzes").glob("*.json"))


def test_every_chapter_with_exercises_has_a_quiz_of_its_name():
    assert [p.stem for p in FILES] == [p.stem for p in sorted((ROOT / "exercises").glob("*.ipynb"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_quiz_is_well_formed(path):
    asked = questions(path.stem[:2])
    assert asked == json.loads(path.read_text(encoding="utf-8")) and 5 <= len(asked) <= 8
    assert len({q["question"] for q in asked}) == len(asked)
    for question in asked:
        assert question.keys() == {"question", "type", "answers"} and question["type"] == "multiple_choice"
        answers = question["answers"]
        assert 3 <= len(answers) <= 5 and sum(a["correct"] for a in answers) == 1
        assert len({a["answer"] for a in answers}) == len({a["feedback"] for a in answers}) == len(answers)
        for answer in answers:
            assert answer.keys() == {"answer", "correct", "feedback"} and len(answer["feedback"]) > 15
            assert answer["feedback"].startswith("Right") == answer["correct"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_quiz_needs_no_network(path):
    text = path.read_text(encoding="utf-8")
    assert not [sign for sign in ("$", "http", "`", "<") if sign in text], (
        "mathematics would be fetched from the network"
    )


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_quiz_is_shown(chapter, monkeypatch):
    shown = []
    monkeypatch.setattr("jupyterquiz.dynamic.display.display", shown.append)
    quiz(chapter)
    assert json.dumps(questions(chapter)[0]["question"]) in shown[1].data


def test_a_chapter_without_a_quiz_is_named():
    with pytest.raises(ValueError, match="no quiz for chapter '99'"):
        quiz("99")
