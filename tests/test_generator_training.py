"""Training on a user's own triples, with several processes, killed and resumed; and the search for settings."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from test_training import small_model
from train_small import FINAL, run
from transformers import BartConfig, BartForConditionalGeneration

from rag_lib.__main__ import main
from rag_lib.models import GENERATOR, load_minilm, load_perigee, save_perigee
from rag_lib.training.examples import Phase, search_contexts
from rag_lib.training.features import Featurizer, Settings, batches
from rag_lib.training.halving import best, grid, successive_halving
from rag_lib.training.recipes import Evaluate, own_evaluation, own_settings, own_tasks
from rag_lib.training.report import compare
from rag_lib.training.rows import parse
from rag_lib.training.triples import Unanswerable, hold_out, read_triples, triple_from_row

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
    for message, (number, (_, reason)) in zip(broken, BROKEN.items(), strict=False):
        assert message.startswith(f"mine.jsonl, line {number}: ") and reason in message, message
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
    assert isinstance(task, Unanswerable)
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
    narrow = Settings(phases=(Phase(8, (5, 9), mixture=(("ask", 1.0),)),), batch_size=2, pool_batches=2, max_tokens=8)
    with pytest.raises(ValueError, match="hardly any fits into 8 tokens"):
        next(batches(Featurizer(tokenizer, narrow), tasks, narrow, 0))


def test_a_users_own_triples_train_a_generator_that_answers(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))
    rising = itertools.count()  # so small a model hardly learns, and weights that are no better are not kept

    def getting_better(*arguments: object) -> Evaluate:
        evaluate = own_evaluation(*arguments)
        return lambda model: evaluate(model) | {"em": next(rising) / 100}

    monkeypatch.setattr("rag_lib.training.recipes.own_evaluation", getting_better)
    torch.manual_seed(0)
    config = BartConfig.from_pretrained(GENERATOR, encoder_layers=1, decoder_layers=1)
    save_perigee(BartForConditionalGeneration(config), tmp_path / "start")
    command = ["train", "generator", "--data", str(data), "--output", str(tmp_path / "run"), "--examples", "0.2"]
    command += ["--start", str(tmp_path / "start"), "--batch-size", "4", "--rank", "2"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "mine.jsonl, line 5: not a JSON object" in captured.err and "9 rows left out" in captured.out
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all({"em", "f1"} <= set(row) for row in log if "em" in row) and log[-1]["seen"] >= 16
    weights = tmp_path / "run" / "weights"
    start, trained = (load_perigee(folder)[0].state_dict() for folder in (tmp_path / "start", weights))
    changed = {name for name in start if not torch.equal(start[name].half(), trained[name].half())}
    assert changed and all(".layers." in name and name.endswith("weight") for name in changed)

    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "zog.txt").write_text("King Zog of Perelandia was born in 1887.")
    asked = ["ask", "When was King Zog born?", "--documents", str(tmp_path / "documents")]
    assert main([*asked, "--generator", str(weights)]) == 0
    assert "Question: When was King Zog born?" in capsys.readouterr().out

    assert main([*command[:-1], "3"]) == 1, "another rank is another run"
    assert "remove it to start anew" in capsys.readouterr().err


def test_a_stage_takes_no_settings_of_its_own(tmp_path, capsys):
    assert main(["train", "generator", "--stage", "museum", "--output", str(tmp_path), "--rank", "3"]) == 1
    assert "go with --data" in capsys.readouterr().err


# Adding a number to all keys changes no attention, so their bias has no gradient but the noise of rounding.
NOISE = "k_proj.bias"


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    """All weights that matter are equal within 1e-5, and are not those that training started with."""
    assert a.keys() == b.keys()
    start = dict(small_model(load_minilm()[1]).named_parameters())
    assert any(not torch.allclose(a[name], start[name], atol=1e-3) for name in a), "it must have trained"
    for name in a:
        if not name.endswith(NOISE):
            assert torch.allclose(a[name], b[name], rtol=0, atol=1e-5), name


def environment() -> dict[str, str]:
    """That of a process that trains with one thread and finds the tests' modules."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}


SCRIPT = str(ROOT / "tests" / "train_small.py")


def test_two_processes_do_what_one_does(tmp_path):
    whole = run(tmp_path / "one")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", SCRIPT, str(tmp_path / "two")]
    subprocess.run([sys.executable, *command], env=environment(), check=True, capture_output=True, timeout=600)
    assert_same(whole, load_file(tmp_path / "two" / FINAL))
    one, two = ((tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("one", "two"))
    assert len(one) == len(two) == 17, "only the first process writes"


def test_a_process_killed_at_any_moment_and_resumed_ends_as_if_nothing_had_happened(tmp_path):
    whole, folder = run(tmp_path / "whole"), tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, SCRIPT, str(folder)], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    time.sleep(random.random())  # sixteen steps take 1.6 s at least
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    assert process.wait() != 0 and not (folder / FINAL).exists()
    with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
        log.write('{"seen": 64, "half a li')
    assert_same(whole, run(folder))
    seen = [json.loads(line)["seen"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert seen == [4 * n for n in range(17)], "every row once"


def test_halving_finds_the_best_of_a_toy_objective_and_spends_most_on_it():
    spent = {}

    def score(choice, examples):
        """Best at rate 3 and size 8; the noise falls with the examples."""
        spent[tuple(choice.values())] = spent.get(tuple(choice.values()), 0) + examples
        noise = random.Random(str((choice, examples))).gauss(0, 8 / examples)
        return -abs(choice["rate"] - 3) - 0.1 * abs(choice["size"] - 8) + noise

    choices = grid(rate=[1, 2, 3, 4], size=[8, 16])
    trials = successive_halving(choices, score, [8, 16, 32, 64])
    assert best(trials).choice == {"rate": 3, "size": 8}
    assert [t.examples for t in trials] == [8] * 8 + [16] * 4 + [32] * 2 + [64]
    assert max(spent, key=spent.get) == (3, 8) and sum(spent.values()) == 8 * 8 + 4 * 16 + 2 * 32 + 64


@settings(max_examples=50)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12), st.integers(1, 5))
def test_without_noise_halving_keeps_the_best(scores, rungs):
    choices = [{"i": i} for i in range(len(scores))]
    trials = successive_halving(choices, lambda choice, _: scores[choice["i"]], range(1, rungs + 1))
    assert best(trials).score == max(scores)
    assert best(trials).choice["i"] == scores.index(max(scores)), "of equals the first"


def test_a_search_needs_something_to_search():
    with pytest.raises(ValueError, match="choices and rungs"):
        successive_halving([], lambda *_: 0.0, [1])


def test_the_comparison_is_paired():
    from types import SimpleNamespace as Record

    questions = [Record(answers=("Ada",)), Record(answers=("Bela",))] * 4
    before = {"gold": [Record(text="Ada")] * 8}
    after = {"gold": [Record(text=q.answers[0]) for q in questions]}
    found = compare(questions, before, after)["gold"]["exact match"]
    assert (found["before"]["mean"], found["after"]["mean"], found["difference"]["mean"]) == (0.5, 1.0, 0.5)
    assert found["difference"]["n"] == 8 and found["difference"]["low"] > 0
