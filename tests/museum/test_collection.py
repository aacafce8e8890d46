"""The collection is sound, and the check that says so would notice if it were not."""

import json
import shutil
from dataclasses import asdict, fields, replace

import pytest

from rag_lib.files import MUSEUM
from rag_lib.museum.check import check_museum, check_practice_texts
from rag_lib.museum.collection import (
    PRACTICE,
    SPLITS,
    Evidence,
    Question,
    as_dataset,
    load_articles,
    load_practice_questions,
    load_practice_texts,
    load_questions,
    load_splits,
    load_visitor_questions,
)


def test_nothing_is_wrong_with_the_collection():
    assert check_museum() == []


def test_it_is_as_large_as_the_data_card_says():
    everything = [q for split in SPLITS for q in load_questions(split)]
    visitors = [q for split in SPLITS for q in load_visitor_questions(split)]
    answerable = [q for q in everything if q.evidence]
    assert len(load_articles()) >= 240
    assert len(answerable) >= 2400 and len(everything) - len(answerable) >= 240
    assert sum(len(q.evidence) == 2 for q in answerable) >= 150
    assert sum(bool(q.evidence) for q in visitors) >= 1500 and sum(not q.evidence for q in visitors) >= 150
    assert sum(q.verdict == "no" for q in visitors) >= 0.3 * sum(bool(q.verdict) for q in visitors) >= 0.3 * 400
    shares = [list(load_splits().values()).count(split) / len(load_articles()) for split in SPLITS]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.02)


def test_a_third_of_what_visitors_ask_is_practical():
    fictional = {a.id for a in load_articles() if a.metadata.get("fictional")}
    visitors = [q for split in SPLITS for q in load_visitor_questions(split) if q.evidence]
    assert 0.2 <= sum(q.evidence[0].article in fictional for q in visitors) / len(visitors) <= 0.4


def test_an_unknown_split_or_style_is_named():
    with pytest.raises(ValueError, match="no split is called 'dev'"):
        load_questions("dev")
    with pytest.raises(ValueError, match="no questions are called 'riddles'"):
        load_questions("train", style="riddles")


def test_records_become_a_dataset():
    dataset = as_dataset(load_questions("validation"))
    assert set(dataset.column_names) == {f.name for f in fields(Question)}
    assert dataset[0]["answers"] == list(load_questions("validation")[0].answers)


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(MUSEUM, tmp_path / "museum")


def change(path, wanted, **values):
    """Changes the first row of a file that is as `wanted`."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    row = next(r for r in rows if wanted(r))
    row |= values
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")


def first_validation_question():
    return load_questions("validation")[0].question


SENTENCE = {"article": "valentina-tereshkova", "sentence": "She was never born."}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"answers": ["forty-two zebras"]}, "is not in the evidence"),
        ({"answers": []}, "no answer"),
        ({"evidence": [SENTENCE]}, "the evidence is not in"),
        ({"also_evidence": [SENTENCE]}, "the evidence is not in"),
        ({"evidence": [{"article": "nobody", "sentence": "x"}]}, "nobody is not in train"),
        ({"evidence": []}, "without evidence, but with an answer"),
        ({"also_accepted": [" "]}, "accepted twice, or empty"),
        ({"near": "yuri-gagarin"}, "near an article, but with an answer"),
        ({"kind": "whence"}, "not 'whence'"),
        ({"question": "Tell me more."}, "no question mark"),
        ({"question": first_validation_question()}, "same question"),
        ({"question": "And " + first_validation_question()}, "nearly the same question"),
    ],
)
def test_a_broken_question_is_noticed(copy, values, problem):
    change(copy / "questions" / "train.jsonl", lambda r: r["answers"], **values)
    assert any(problem in line for line in check_museum(copy))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"reply": ""}, "without a reply"),
        ({"verdict": "perhaps"}, "the verdict is 'perhaps'"),
        ({"reply": "Of course."}, "the reply does not begin with"),
        ({"id": "valentina-tereshkova-01"}, "valentina-tereshkova-01: twice"),
    ],
)
def test_a_broken_visitors_question_is_noticed(copy, values, problem):
    change(copy / "visitor_questions" / "train.jsonl", lambda r: r.get("verdict"), **values)
    assert any(problem in line for line in check_museum(copy))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"traps": [SENTENCE]}, "the evidence is not in"),
        ({"verdict": "yes"}, "neither an answer nor a verdict, or both"),
        ({"question": first_validation_question()}, "same question"),
        ({"id": "valentina-tereshkova-01"}, "valentina-tereshkova-01: twice"),
    ],
)
def test_a_broken_practice_question_is_noticed(copy, values, problem):
    change(copy / PRACTICE, lambda r: r["answers"], **values)
    assert any(problem in line for line in check_museum(copy))


def test_a_trap_that_answers_is_noticed(copy):
    row = next(q for q in load_practice_questions() if q.traps and q.evidence)
    change(copy / PRACTICE, lambda r: r["id"] == row.id, traps=[asdict(row.evidence[0])])
    assert any("a trap that answers it" in line for line in check_museum(copy))


def test_practice_is_about_articles_of_the_train_split_alone():
    splits = load_splits()
    practice = load_practice_questions()
    assert {splits[q.evidence[0].article if q.evidence else q.near] for q in practice} == {"train"}
    assert sum(bool(q.verdict) for q in practice) >= 1500 and sum(bool(q.traps) for q in practice) >= 1300


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"verdict": ""}, "neither an answer nor a verdict"),
        ({"answers": ("zebra",), "verdict": ""}, "'zebra' is not in the evidence"),
        ({"also_evidence": (Evidence("", "It was never there."),)}, "evidence that is no sentence"),
    ],
)
def test_a_broken_practice_text_is_noticed(values, problem):
    text = load_practice_texts()[0]
    asked = next(q for q in text.questions if q.verdict)
    broken = replace(text, questions=(replace(asked, **values),))
    assert list(check_practice_texts([text])) == []
    assert problem in next(check_practice_texts([broken]))


def test_practice_texts_ask_for_yes_as_often_as_for_no():
    questions = [q for text in load_practice_texts() for q in text.questions]
    yes, no = (sum(q.verdict == verdict for q in questions) for verdict in ("yes", "no"))
    assert abs(yes - no) < 20 and min(yes, no) > 700 and len(questions) > 3000


def test_a_broken_dialogue_is_noticed(copy):
    path = copy / "dialogues" / "train.jsonl"
    turns = json.loads(path.read_text(encoding="utf-8").splitlines()[0])["turns"]
    change(path, lambda r: True, turns=[turns[0] | {"evidence": SENTENCE}, *turns[1:2]])
    found = "\n".join(check_museum(copy))
    assert ": 2 turns" in found and "its evidence is not in valentina-tereshkova" in found


def test_a_summary_that_leans_on_something_else_is_noticed(copy):
    change(copy / "summaries" / "train.jsonl", lambda r: True, summary="It was led by Zebedee Quill. That was in 1799.")
    found = "\n".join(check_museum(copy))
    for missing in ("'1799'", "'Zebedee'", "'Quill'"):
        assert f"a summary has {missing}, which the dossier lacks" in found


def test_a_broken_article_is_noticed(copy):
    path = copy / "articles" / "valentina-tereshkova.txt"
    other = (copy / "articles" / "yuri-gagarin.txt").read_text(encoding="utf-8").split("\n\n")[1]
    path.write_text(path.read_text(encoding="utf-8").replace("hall:", "room:") + "\n" + other, encoding="utf-8")
    found = "\n".join(check_museum(copy))
    assert "valentina-tereshkova: no hall" in found and "shares a sentence" in found


def test_an_article_in_no_split_is_noticed(copy):
    splits = json.loads((copy / "splits.json").read_text())
    splits["train"].remove("valentina-tereshkova")
    (copy / "splits.json").write_text(json.dumps(splits))
    assert "valentina-tereshkova: in no split" in check_museum(copy)
