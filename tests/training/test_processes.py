"""Both trainings with several processes, and in one that is killed and started again."""

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
from safetensors.torch import load_file
from train_small import EPOCHS, ROWS, Weights, file_of_weights, read_by, start_of, train, weights_of

SCRIPT = str(ROOT / "tests" / "training" / "train_small.py")
MODELS = list(EPOCHS)
# Adding a number to all keys changes no attention, so their bias has no gradient but the noise of rounding.
NOISE = ("k_proj.bias", "key.bias")
# What the log must hold: at how many examples or steps there is a row, and the figure it is about. The generator is
# evaluated after every step of four examples, the retriever after every epoch of two steps; its losses are logged every
# ten steps and at the end.
LOGGED = {
    "generator": [(seen, "em") for seen in range(0, 65, 4)],
    "retriever": sorted(
        [*((step, "nDCG@10") for step in range(0, 33, 2)), *((step, "loss") for step in (10, 20, 30, 32))],
        key=lambda row: (row[0], row[1] != "loss"),
    ),
}


def environment() -> dict[str, str]:
    """That of a process that trains with one thread and finds the tests' modules."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}


def assert_same(model: str, a: Weights, b: Weights) -> None:
    """All weights that matter are equal within 1e-5, and are not those that training started with."""
    assert a.keys() == b.keys()
    start = weights_of(start_of(model))
    assert any(not torch.allclose(a[name], start[name], atol=1e-3) for name in a), "it must have trained"
    for name in a:
        if not name.endswith(NOISE):
            assert torch.allclose(a[name], b[name], rtol=0, atol=1e-5), name


def logged(folder: Path) -> list[tuple[int, str]]:
    """The rows of a log, laid out as in LOGGED."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    figures = ("em", "nDCG@10", "loss")
    return [(row["seen"] if "seen" in row else row["step"], next(f for f in figures if f in row)) for row in rows]


@pytest.fixture(scope="module", params=MODELS)
def trained(request, tmp_path_factory) -> tuple[str, Path, Weights]:
    """A model, the weights that one process ends with, and the folder: that process was in `one`, two in `two`."""
    model, folder = request.param, tmp_path_factory.mktemp(request.param)
    alone = train(model, start_of(model), folder / "one")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", SCRIPT, model]
    done = subprocess.run(
        [sys.executable, *command, str(folder / "two")], env=environment(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return model, folder, alone


def test_two_processes_do_what_one_does(trained):
    model, folder, alone = trained
    first, second = (load_file(file_of_weights(folder / "two", process)) for process in (0, 1))
    assert_same(model, alone, first)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert logged(folder / "one") == logged(folder / "two") == LOGGED[model], "only the first process writes"


def bare(text: str) -> str:
    """A text in lower case without blanks: the tokenizer does not keep them all."""
    return "".join(text.lower().split())


def test_two_processes_read_every_row_once_an_epoch(trained):
    model, folder, _ = trained
    first, second = (read_by(folder / "two", process) for process in (0, 1))
    assert all(first) and all(second), "each has a share of every step"
    together = [a + b for a, b in zip(first, second, strict=True)]
    questions = [bare(row["question"]) for row in ROWS]
    assert len(set(questions)) == len(ROWS)
    read = [q for texts in together for text in texts for q in questions if q in bare(text)]
    assert len(read) == EPOCHS[model] * len(ROWS)
    for start in range(0, len(read), len(ROWS)):
        assert sorted(read[start : start + len(ROWS)]) == sorted(questions)
    assert [sorted(texts) for texts in together] == [sorted(texts) for texts in read_by(folder / "one", 0)]
    assert all(len(set(texts)) == len(texts) for texts in together), "nothing is read twice in a step"


@pytest.mark.parametrize("model", MODELS)
def test_a_process_killed_at_any_moment_and_resumed_ends_as_if_nothing_had_happened(model, tmp_path):
    whole, folder = train(model, start_of(model), tmp_path / "whole"), tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, SCRIPT, model, str(folder)],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    time.sleep(random.Random(model).random())  # the sixteen evaluations to come take 1.6 s at least
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    assert process.wait() != 0 and not file_of_weights(folder, 0).exists()
    with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
        log.write('{"seen": 64, "step": 32, "half a li')
    assert_same(model, whole, train(model, start_of(model), folder))
    assert logged(folder) == logged(tmp_path / "whole") == LOGGED[model], "every row once"
