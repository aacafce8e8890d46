"""Rounds of an evaluation set: judged, kept, compared, and an alarm when, and only when, quality fell."""

import json
import random
from itertools import pairwise

import pytest
from conftest import TEXTS
from services import open_service, serving

from rag_lib.__main__ import main
from rag_lib.evaluation.squad import Row
from rag_lib.evaluation.statistics import paired_difference
from rag_lib.indexing.documents import Document
from rag_lib.service.quality import Judged, Round, Said, alarms, ask_round, compared, read_history, watch
from rag_lib.service.settings import Settings

ROWS = [
    Row("Who flew?", "Vostok", "Gagarin flew.", (("Gagarin", 0),), "1"),
    Row("Who sank?", "Vostok", "Gagarin flew.", (), "2"),
    Row("When?", "Sputnik", "In 1957.", (("1957", 3),)),
]


def test_silence_is_right_where_there_is_no_answer():
    said = {"Who flew?": Said("Gagarin.", 0.9), "Who sank?": Said("", 0.2), "When?": Said("1958", 0.6)}
    answers = ask_round(said.__getitem__, ROWS, "day 1").answers
    assert answers == (
        Judged("1", "Vostok", 1.0, 0.9, 0.0),
        Judged("2", "Vostok", 1.0, 0.2, 1.0),
        Judged("When?", "Sputnik", 0.0, 0.6, 0.0),
    )


def made(right: list[float], name: str = "day", sure: float = 0.8, silent: float = 0.0) -> Round:
    return Round(name, tuple(Judged(str(i), f"t{i // 2}", r, sure, silent) for i, r in enumerate(right)))


def test_rounds_are_compared_question_by_question():
    rng = random.Random(0)
    first, second = ([float(rng.random() < p) for _ in range(60)] for p in (0.8, 0.6))
    found = compared(made(first), Round("day", made(second).answers[::-1]), level=0.95)["right"]
    assert found.mean == pytest.approx(sum(second) / 60 - sum(first) / 60) and found.n == 60
    expected = paired_difference(second, first, groups=[i // 2 for i in range(60)])
    assert abs(found.low - expected.low) < 0.03 and abs(found.high - expected.high) < 0.03


def test_rows_that_one_round_lacks_do_not_count():
    assert compared(made([1.0, 1.0]), made([1.0, 1.0, 0.0, 0.0]))["right"].mean == 0
    with pytest.raises(ValueError, match="no row in common"):
        compared(made([1.0]), Round("day", (Judged("other", "", 1.0, 1.0, 0.0),)))


@pytest.mark.parametrize(
    ("latest", "named"),
    [
        (made([1.0] * 40), []),
        (made([1.0] * 39 + [0.0]), []),
        (made([1.0] * 20 + [0.0] * 20), ["right"]),
        (made([1.0] * 40, sure=0.5), ["sure"]),
        (made([1.0] * 40, silent=1.0), ["silent"]),
        (made([1.0] * 40, sure=0.9), []),
    ],
)
def test_the_alarm_is_raised_by_what_fell_and_by_nothing_else(latest, named):
    assert [line.split()[0] for line in alarms(compared(made([1.0] * 40), latest))] == named


def test_equal_quality_raises_few_false_alarms():
    rng = random.Random(1)
    rounds = [made([float(rng.random() < 0.7) for _ in range(60)]) for _ in range(60)]
    assert sum(bool(alarms(compared(a, b))) for a, b in pairwise(rounds)) <= 4


def test_history_is_kept_and_the_first_round_stays_the_reference(tmp_path):
    path = tmp_path / "history.jsonl"
    assert watch(path, made([1.0] * 40)) == [] and watch(path, made([1.0] * 20 + [0.0] * 20)) != []
    assert watch(path, made([1.0] * 20 + [0.0] * 20)) != [], "what has fallen stays fallen"
    assert [len(r.answers) for r in read_history(path)] == [40, 40, 40]
    path.write_text('{"question": "?"}\n')
    with pytest.raises(ValueError, match="no round"):
        read_history(path)


def test_a_service_is_watched_from_the_command_line(tmp_path, capsys):
    documents = [Document(i, i.title(), text) for i, text in TEXTS.items()]
    rows, history = tmp_path / "rows.jsonl", tmp_path / "history.jsonl"
    whole = "She flew in Sputnik 2 on 3 November 1957."
    made = [
        {"question": f"{word}: flew in Sputnik 2 on 3 November 1957?", "title": word, "context": TEXTS["laika"]}
        for word in "Please Tell Now Well Then Again Oh So And But".split()
    ]
    rows.write_text("".join(json.dumps(row | {"answers": [whole]}) + "\n" for row in made))
    assistant = open_service(tmp_path, documents)
    with serving(assistant, Settings(feedback=tmp_path / "f")) as (port, _):
        command = ["evaluate", "service", str(rows), "--url", f"http://127.0.0.1:{port}", "--history", str(history)]
        assert main(command) == 0 and "right    1.000" in capsys.readouterr().out
        assert main(command) == 0
        assistant.remove("laika")
        assert main(command) == 1
        assert "error: since the first round right fell by" in capsys.readouterr().err
    assert len(read_history(history)) == 3
    assert main(command) == 1 and "cannot be asked" in capsys.readouterr().err
