"""The collection is sound, and the check that says so would notice if it were not."""

import json
import shutil

import pytest

from rag_lib.files import MUSEUM
from rag_lib.museum.check import check_museum
from rag_lib.museum.collection import SPLITS, as_dataset, load_articles, load_questions, load_splits


def test_nothing_is_wrong_with_the_collection():
    assert check_museum() == []


def test_it_is_as_large_as_the_data_card_says():
    questions = {split: load_questions(split) for split in SPLITS}
    everything = [q for split in SPLITS for q in questions[split]]
    answerable = [q for q in everything if q.answers]
    assert len(load_articles()) >= 240
    assert len(answerable) >= 2400 and len(everything) - len(answerable) >= 240
    assert sum(len(q.evidence) == 2 for q in answerable) / len(answerable) >= 0.08
    shares = [list(load_splits().values()).count(split) / len(load_articles()) for split in SPLITS]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.02)


def test_records_become_a_dataset():
    dataset = as_dataset(load_questions("validation"))
    assert set(dataset.column_names) == {"id", "question", "answers", "evidence", "kind", "near"}
    assert dataset[0]["answers"] == list(load_questions("validation")[0].answers)


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(MUSEUM, tmp_path / "museum")


def change_question(museum, **values):
    path = museum / "questions" / "train.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    row = next(r for r in rows if r["answers"])
    row |= values
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")


def first_validation_question():
    return load_questions("validation")[0].question


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"answers": ["forty-two zebras"]}, "is not in the evidence"),
        (
            {"evidence": [{"article": "valentina-tereshkova", "sentence": "She was never born."}]},
            "the evidence is not in",
        ),
        ({"evidence": [{"article": "nobody", "sentence": "x"}]}, "nobody is not in train"),
        ({"kind": "whence"}, "kind 'whence'"),
        ({"question": first_validation_question()}, "same question"),
        ({"question": "And " + first_validation_question()}, "nearly the same question"),
    ],
)
def test_a_broken_question_is_noticed(copy, values, problem):
    change_question(copy, **values)
    assert any(problem in line for line in check_museum(copy))


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
