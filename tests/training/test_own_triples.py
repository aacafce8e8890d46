"""Training on a user's own triples."""

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BartConfig

from rag_lib.__main__ import main
from rag_lib.evaluation.squad import parse
from rag_lib.generation.generators import Generation
from rag_lib.models.adapters import is_head
from rag_lib.models.reader import BartReader
from rag_lib.models.weights import GENERATOR, load_perigee, save_perigee
from rag_lib.museum.collection import Question
from rag_lib.museum.report import compare
from rag_lib.training.generator.examples import Phase, search_contexts
from rag_lib.training.generator.features import Featurizer, GeneratorSettings, batches
from rag_lib.training.generator.recipes import (
    OWN,
    OWN_PHASE,
    Evaluate,
    own_evaluation,
    own_settings,
    own_tasks,
    readable,
)
from rag_lib.training.generator.triples import UnanswerableTask, hold_out, read_triples, triple_from_row
from rag_lib.training.run import first_and_best

NAMES = ["Ada", "Bela", "Cora", "Dora", "Edda", "Fred", "Gus", "Hal", "Ida", "Jan"]
PLACES = ["Aarhus", "Bergen", "Cadiz", "Delft", "Essen", "Faro", "Ghent", "Hull", "Izmir", "Jena"]


def rows() -> list[dict]:
    """Fifty rows about ten people, in all the layouts that are read."""
    made = []
    for i, (name, place) in enumerate(zip(NAMES, PLACES, strict=True)):
        context = f"{name} Finch was born in {place}. The boat of {name} is called Gull {i}. It has {i + 2} masts."
        about = {"title": f"{name}_Finch", "context": context}
        start = context.index(place)
        made += [
            {
                "question": f"Where was {name} Finch born?",
                **about,
                "answers": {"text": [place], "answer_start": [start]},
            },
            {"question": f"What is the boat of {name} called?", "passage": context, "answers": [f"gull {i}"]},
            {"question": f"How many masts has Gull {i}?", "text": context, "answer": f"{i + 2} masts"},
            {"question": f"Who owns Gull {i}?", **about, "answers": [f"{name} Finch", name]},
            {"question": f"When was {name} Finch born?", **about, "answers": []},
        ]
    return made


BROKEN = {
    2: ("{not json", "Expecting"),
    5: ('["a list"]', "not a JSON object"),
    7: ('{"question": "Who?", "answers": ["Ada"]}', "context or passage or text is missing"),
    9: ('{"question": " ", "context": "Ada.", "answers": ["Ada"]}', "question is missing"),
    11: ('{"question": "Who?", "context": "Ada."}', "answers is missing"),
    13: ('{"question": "Who?", "context": "Ada.", "answers": ["Bela"]}', "does not hold the answer 'Bela'"),
    15: ('{"question": "Who?", "context": "Adam.", "answers": "Ada"}', "as whole words"),
    17: ('{"question": "Who?", "context": "Ada.", "title": 3, "answers": "Ada"}', "title is not a text"),
}


@pytest.fixture
def data(tmp_path) -> Path:
    """A folder of fifty good rows and some broken ones."""
    lines = [json.dumps(row) for row in rows()]
    for number, (line, _) in BROKEN.items():
        lines.insert(number - 1, line)
    folder = tmp_path / "data"
    folder.mkdir()
    text = "\n".join(lines).encode()
    (folder / "mine.jsonl").write_bytes(text + b'\n\n{"question": "\xff"}\n')
    return folder


def test_good_rows_are_read_and_broken_ones_named_with_file_and_line(data):
    training, held_out, broken = read_triples(data)
    assert len(training) + len(held_out) == 50 and len(broken) == len(BROKEN) + 1
    for message, (number, (_, reason)) in zip(map(str, broken), BROKEN.items(), strict=False):
        assert message.startswith(f"{data / 'mine.jsonl'}, line {number}: ") and reason in message, message
    for t in (*training, *held_out):
        assert t.context[t.start : t.start + len(t.answer)] == t.answer
    assert {t.title for t in training} <= {f"{name} Finch" for name in NAMES} | {""}
    assert any(t.answer == "Gull 3" and t.aliases == ("gull 3",) for t in (*training, *held_out)), (
        "case is the context's"
    )


def test_what_is_held_out_is_about_other_contexts_and_a_validation_file_is_taken_whole(data):
    training, held_out, _ = read_triples(data)
    assert len(held_out) == 5 and not {t.context for t in training} & {t.context for t in held_out}
    (data / "validation.jsonl").write_text("\n".join(map(json.dumps, rows()[:3])))
    training, held_out, _ = read_triples(data)
    assert len(training) == 50 and [t.question for t in held_out] == [r["question"] for r in rows()[:3]]


def test_one_context_is_enough(tmp_path):
    file = tmp_path / "one.jsonl"
    file.write_text("\n".join(map(json.dumps, rows()[:3])))
    training, held_out, _ = read_triples(file)
    assert (len(training), len(held_out)) == (2, 1)


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "no .jsonl file"), ("", "holds 0 usable"), ('{"question": 1}', "line 1")]
)
def test_too_little_data_is_refused_in_one_line(tmp_path, capsys, text, reason):
    if text is not None:
        (tmp_path / "a.jsonl").write_text(text)
    assert main(["train", "generator", "--data", str(tmp_path), "--output", str(tmp_path / "run")]) == 1
    assert reason in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named_as_such(tmp_path):
    with pytest.raises(ValueError, match=r"^there is no \S*nowhere$"):
        read_triples(tmp_path / "nowhere")


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40))
def test_nothing_is_lost_or_doubled_by_holding_out(contexts):
    triples = [
        triple_from_row(parse({"question": f"{i}?", "text": f"{c}.", "answer": ""})) for i, c in enumerate(contexts)
    ]
    first, second = hold_out(triples)
    assert first and second and sorted(map(repr, [*first, *second])) == sorted(map(repr, triples))


def test_a_question_without_an_answer_is_asked_of_its_own_context_among_others():
    triples = [triple_from_row(parse(row)) for row in rows()]
    search = search_contexts(triples)
    tasks = own_tasks(triples, search)
    assert {name: len(task) for name, task in tasks.items()} == {"ask": 40, "unanswerable": 10}
    task, rng = tasks["unanswerable"], random.Random(0)
    assert isinstance(task, UnanswerableTask)
    for i in range(10):
        example = task.example(i, Phase(1, (3, 30), sources=(3, 3)), rng)
        assert example.target == "" and len(example.sources) == 3
        assert sum(s.text in task.triples[i].context for s in example.sources) == 1


def test_settings_fit_the_number_of_triples():
    triples = [triple_from_row(parse(row)) for row in rows()]
    tasks = own_tasks(triples, search_contexts(triples))
    made = own_settings(tasks, batch_size=8)
    (phase,) = made.phases
    assert phase.examples == 400 and dict(phase.mixture) == {"ask": 0.8, "unanswerable": 0.2}
    assert made.warmup_steps < 400 / 8 and made.evaluate_every == 50
    for wrong in ({"batch_size": 0}, {"rank": -1}, {"encoder_rate": 0.0}, {"share": -1.0}):
        with pytest.raises(ValueError, match="must be above 0"):
            own_settings(tasks, **wrong)


def test_examples_none_of_which_fits_are_refused_instead_of_drawn_for_ever():
    tokenizer = load_perigee(GENERATOR)[1]
    triples = [triple_from_row(parse(row)) for row in rows()]
    tasks = {"ask": own_tasks(triples, search_contexts(triples))["ask"]}
    narrow = GeneratorSettings(
        phases=(Phase(8, (5, 9), mixture=(("ask", 1.0),)),), batch_size=2, pool_batches=2, max_tokens=8
    )
    with pytest.raises(ValueError, match="hardly any fits into 8 tokens"):
        next(batches(Featurizer(tokenizer, narrow), tasks, narrow, 0))


def test_a_users_own_triples_train_a_generator_that_answers(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))
    rising = itertools.count()  # so small a model hardly learns, and weights that are no better are not kept

    def getting_better(*arguments: object) -> Evaluate:
        evaluate = own_evaluation(*arguments)
        return lambda model: evaluate(model) | {"likelihood": next(rising) / 100}

    monkeypatch.setattr("rag_lib.training.generator.recipes.own_evaluation", getting_better)
    torch.manual_seed(0)
    config = BartConfig.from_pretrained(GENERATOR, encoder_layers=1, decoder_layers=1)
    save_perigee(BartReader(config), tmp_path / "start")
    command = ["train", "generator", "--data", str(data), "--output", str(tmp_path / "run"), "--examples", "0.2"]
    command += ["--start", str(tmp_path / "start"), "--batch-size", "4", "--rank", "2"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert f"{data / 'mine.jsonl'}, line 5: not a JSON object" in captured.err and "9 rows left out" in captured.out
    assert (
        "held-out rows, before -> after: exact match" in captured.out
        and "the bundled generator, on the same rows" in captured.out
    )
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all({"em", "f1"} <= set(row) for row in log if "em" in row) and log[-1]["seen"] >= 16
    weights = tmp_path / "run" / "weights"
    start, trained = (load_perigee(folder)[0].state_dict() for folder in (tmp_path / "start", weights))
    changed = {name for name in start if not torch.equal(start[name].half(), trained[name].half())}
    assert changed and all(".layers." in name or is_head(name) for name in changed)

    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "zog.txt").write_text("King Zog of Perelandia was born in 1887.")
    asked = ["ask", "When was King Zog born?", "--documents", str(tmp_path / "documents")]
    assert main([*asked, "--generator", str(weights)]) == 0
    assert "Question: When was King Zog born?" in capsys.readouterr().out

    assert main([*command[:-1], "3"]) == 1, "another rank is another run"
    assert "remove it to start anew" in capsys.readouterr().err


def test_weights_that_stayed_as_they_were_are_no_success(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"seen": 0, "likelihood": 0.5}\n{"seen": 8, "token": 2.0}\n{"seen": 16, "likelihood": 0.5}\n')
    with pytest.raises(ValueError, match="nothing was gained: none of 1 looks"):
        first_and_best(tmp_path, "likelihood")
    with log.open("a") as file:
        file.write('{"seen": 24, "likelihood": 0.6}\n{"seen": 32, "likelihood": 0.55}\n')
    before, best = first_and_best(tmp_path, "likelihood")
    assert (before["seen"], best["seen"]) == (0, 24)


def test_a_stage_takes_no_settings_of_its_own(tmp_path, capsys):
    assert main(["train", "generator", "--stage", "museum", "--output", str(tmp_path), "--rank", "3"]) == 1
    assert "go with --data" in capsys.readouterr().err


def transcript(answer: str, at: int, words: int = 500) -> str:
    """A text without a full stop, as speech is written down by machines."""
    return " ".join(answer if i == at else f"and{i % 37} then" for i in range(words // 2))


TRANSCRIPTS = [
    {"question": f"Who spoke in {place}?", "title": place, "context": transcript(name, 20 + 20 * i), "answers": [name]}
    for i, (name, place) in enumerate(zip(NAMES, PLACES, strict=True))
]


def test_transcripts_without_a_full_stop_are_trained_on_and_never_become_no_answer():
    tokenizer = load_perigee(GENERATOR)[1]
    triples = [triple_from_row(parse(row)) for row in TRANSCRIPTS]
    featurizer = Featurizer(tokenizer, OWN)
    assert readable(triples, featurizer) == (triples, [])
    tasks = own_tasks(triples, search_contexts(triples))
    phase = replace(OWN_PHASE, mixture=(("ask", 1.0),), quotes=0.5)
    settings = replace(OWN, phases=(phase,), batch_size=16, pool_batches=8)
    drawn = list(itertools.islice(batches(featurizer, tasks, settings, 0), 8))
    silent = [f.labels[0] == tokenizer.mask_token_id for batch in drawn for f in batch]
    assert len(silent) == 128 and sum(silent) / 128 < 2 * phase.missing
    rng = random.Random(0)
    for i in range(60):
        example = tasks["ask"].example(i % 10, replace(phase, missing=0.0), rng)
        assert (
            example.target == triples[i % 10].answer and len(example.sources[example.place.source].text.split()) < 160
        )


def test_a_row_that_no_cut_makes_short_enough_is_named(tmp_path, capsys, monkeypatch):
    """Text without spaces cannot be cut at words."""
    long = {"question": "谁画了塔？", "context": "塔" * 900 + "安娜" + "蓝" * 900}
    long |= {"answers": {"text": ["安娜"], "answer_start": [900]}}
    triples = [triple_from_row(parse(row)) for row in (*TRANSCRIPTS, long, long | {"answers": []})]
    kept, left_out = readable(triples, Featurizer(load_perigee(GENERATOR)[1], OWN))
    assert len(kept) == 10 and [t.question for t in left_out] == ["谁画了塔？"] * 2

    def stop(*_):
        raise RuntimeError("training would begin")

    monkeypatch.setattr("rag_lib.training.generator.recipes.train", stop)
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [*TRANSCRIPTS, long])), encoding="utf-8")
    (tmp_path / "validation.jsonl").write_text(json.dumps(TRANSCRIPTS[0]))
    assert main(["train", "generator", "--data", str(tmp_path), "--output", str(tmp_path / "run")]) == 1
    captured = capsys.readouterr()
    assert "left out: 谁画了塔？ (the context cannot be cut" in captured.err and "1 rows left out" in captured.out
    assert "10 triples to train on" in captured.out


def test_the_comparison_is_paired():
    questions = [Question(str(i), "Who?", (name,), (), "fact") for i, name in enumerate(["Ada", "Bela"] * 4)]
    before = {"gold": [Generation("Ada", 1.0, None, ()) for _ in questions]}
    after = {"gold": [Generation(q.answers[0], 1.0, None, ()) for q in questions]}
    found = compare(questions, before, after)["gold"]["exact match"]
    assert (found["before"]["mean"], found["after"]["mean"], found["difference"]["mean"]) == (0.5, 1.0, 0.5)
    assert found["difference"]["n"] == 8 and found["difference"]["low"] > 0
