"""Odd options are refused in one line, with exit code 2, before anything is loaded or written."""

import shlex
import sys

import pytest
import torch

from rag_lib.__main__ import main
from rag_lib.grammar import parser
from rag_lib.training.processes import joined

ODD = {
    "ask x -k 0": "-k: must be a whole number of at least 1",
    "ask x -k -3": "-k: must be a whole number",
    "ask x -k 1.5": "-k: must be a whole number",
    "ask x -k 99999999999999999999": "-k: must be a whole number",
    "ask x --documents nowhere": "there is no nowhere",
    "ask x --documents file": "is a file, not a folder",
    "ask x --documents ''": "it needs a name",
    "ask x --documents {long}": "there is no",
    "ask x --index nowhere": "there is no nowhere",
    "ask x --index folder --documents nowhere": "there is no nowhere",
    "ask x --index folder --documents folder": "not allowed with argument --index",
    "ask x --retriever magic": "no retriever is called 'magic'; there are bm25, dense",
    "ask x --retriever folder": "no retriever is called",
    "ask x --retriever {long}": "no retriever is called",
    "ask x --encoder ' '": "a model's name is like owner/name",
    "ask x --encoder 'my model'": "a model's name is like owner/name",
    "ask x --encoder /nowhere/model": "there is no folder '/nowhere/model'",
    "evaluate generation file --predictions {long}": "cannot be written (File name too long)",
    "evaluate generation file --predictions file": "file is there already, and nothing is overwritten",
    "index --index {long}/{long}": "cannot be written",
    "ask x --generator ''": "a model's name is like owner/name",
    "ask x --generator 'a b/c'": "a model's name is like owner/name",
    "ask x y": "unrecognized arguments: y",
    "ask x --colour": "unrecognized arguments: --colour",
    "index --index ''": "it needs a name",
    "index --index file": "is a file, not a folder",
    "index --index file/inside": "cannot be written",
    "index": "required: --index",
    "index --index new --documents nowhere": "there is no nowhere",
    "evaluate generation nowhere": "there is no nowhere",
    "evaluate generation folder": "folder is a folder; a file of rows was expected",
    "evaluate service folder --history out": "folder is a folder; a file of rows was expected",
    "serve --readers folder": "folder is a folder; a file of tokens was expected",
    "evaluate generation file --limit 0": "--limit: must be a whole number of at least 1",
    "evaluate generation file --limit -1": "--limit: must be a whole number",
    "evaluate generation file --beams 0": "--beams: must be a whole number of at least 1",
    "evaluate generation file --beams 100000": "--beams: must be a whole number",
    "evaluate generation file --predictions folder": "is a folder, not a file",
    "evaluate generation file --predictions nowhere/out": "cannot be written (No such file or directory)",
    "evaluate generation file --predictions file/out": "cannot be written (Not a directory)",
    "evaluate retrieval nowhere": "there is no nowhere",
    "evaluate retrieval folder --figures nowhere/out": "cannot be written",
    "evaluate museum --split nonsense": "invalid choice: 'nonsense'",
    "evaluate museum --retrievers bm25 magic": "no retriever is called 'magic'",
    "evaluate": "required: what",
    "train generator --data folder --output out --examples inf": "--examples: must be a number above 0",
    "train generator --data folder --output out --examples nan": "--examples: must be a number above 0",
    "train generator --data folder --output out --examples 0": "--examples: must be a number above 0",
    "train generator --data folder --output out --rate nan": "--rate: must be a number above 0",
    "train generator --data folder --output out --rate -1": "--rate: must be a number above 0",
    "train generator --data folder --output out --rank -1": "--rank: must be a whole number of at least 0",
    "train generator --data folder --output out --batch-size 0": "--batch-size: must be a whole number of at least 1",
    "train generator --data folder --output out --device nonsense": "--device: must be cpu or cuda, not 'nonsense'",
    "train generator --data folder --output file": "is a file, not a folder",
    "train generator --data nowhere --output out": "there is no nowhere",
    "train generator --data folder --stage read --output out": "not allowed with argument --data",
    "train generator --stage jobs --output out --start nowhere": "there is no nowhere",
    "train retriever --output out --data nowhere": "there is no nowhere",
    "train retriever --output out --data folder --epochs 0": "--epochs: must be a whole number of at least 1",
    "train retriever --output out --data folder --rate inf": "--rate: must be a number above 0 and at most 1",
    "train retriever --output out --data folder --warmup 2": "--warmup: must be a number from 0 to 1",
    "train retriever --output out --data folder --late nan": "--late: must be a number from 0 to 1",
    "train retriever --output out --data folder --scale 0": "--scale: must be a number above 0",
    "train retriever --output out --data folder --batch-size 1": "--batch-size: must be a whole number of at least 2",
    "train retriever --output out --data folder --max-tokens 1": "--max-tokens: must be a whole number",
    "train retriever --output out --data folder --seed -1": "--seed: must be a whole number",
    "train retriever --output out --data folder --device ''": "--device: must be cpu or cuda",
    "dance": "invalid choice: 'dance'",
    "": "required: command",
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with a folder and a file."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(line: str) -> list[str]:
    return [word.format(long="x" * 5000) for word in shlex.split(line)]


@pytest.mark.parametrize("line", ODD)
def test_an_odd_call_is_one_line_with_code_2_and_leaves_nothing_behind(here, capsys, line):
    with pytest.raises(SystemExit) as ended:
        main(words(line))
    captured = capsys.readouterr()
    (said,) = captured.err.splitlines()
    assert ended.value.code == 2 and said.startswith("error: ") and ODD[line] in said and "--help)" in said
    assert captured.out == "" and sorted(p.name for p in here.iterdir()) == ["file", "folder"]


IGNORED = {
    "evaluate retrieval folder --encoder museum-minilm": "bm25 has no encoder",
    "train generator --stage read --output out --start folder": "leave --start out",
    "train generator --stage jobs --output out --rank 3": "go with --data",
    "train retriever --data folder --output out --measure squad": "leave --data out",
    "train retriever --data folder --output out --model dpr --encoder museum-minilm": "leave --encoder out",
    "train retriever --output out --rate 0.1": "has its own settings",
    "summarize file --method lead --generator perigee": "the method lead copies sentences and needs no generator",
    "summarize file --method sentences --generator perigee": "leave --generator out",
    "summarize file --question '  '": "the question is empty",
    "summarize file --question ''": "the question is empty",
    "recommend x --visitor ''": "no visitor is called ''",
    "recommend --visitor ''": "no visitor is called ''",
}


@pytest.mark.parametrize("line", IGNORED)
def test_an_option_that_would_be_ignored_is_refused(here, capsys, line):
    assert main(words(line)) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ") and IGNORED[line] in said and not (here / "out").exists()


@pytest.mark.parametrize(
    "line", ["train generator --data folder --output out", "train retriever --data folder --output out"]
)
def test_a_device_that_is_not_there_is_said_before_any_work(here, capsys, monkeypatch, line):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with joined("cuda") as device:
        assert device == "cuda"
    assert main([*words(line), "--device", "cuda:1"]) == 1
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert main([*words(line), "--device", "cuda"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "no device cuda:1" in first and "no device cuda " in second and "leave --device out" in second
    assert not (here / "out").exists()


def test_what_makes_sense_is_taken(here):
    for line in (
        "ask 'Who?' -k 3 --documents folder --retriever bm25 --encoder museum-minilm --generator google/flan-t5-small",
        "ask 'Who?' --index folder --encoder folder",
        "index --documents folder --index new/deeper",
        "evaluate generation file --limit 5 --beams 4 --predictions out.jsonl",
        "train generator --data file --output out --examples 0.2 --rate 1e-4 --rank 0 --device cuda:1",
        "train retriever --output out --data file --warmup 0 --late 1 --negatives 0 --seed 7 --device cuda",
    ):
        assert parser().parse_args(words(line))
    assert sorted(p.name for p in here.iterdir()) == ["file", "folder"], "looking writes nothing"


@pytest.mark.parametrize(("question", "reason"), [("x" * 1_000_000, "1,000,000 characters"), (" ", "is empty")])
def test_a_question_that_cannot_be_asked_is_refused_before_anything_is_loaded(monkeypatch, capsys, question, reason):
    monkeypatch.delitem(sys.modules, "rag_lib.pipeline.commands", raising=False)
    assert main(["ask", question]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert reason in said and len(said) < 200 and "rag_lib.pipeline.commands" not in sys.modules


def test_an_unforeseen_error_is_one_line_too(monkeypatch, capsys):
    def broken(options):
        raise KeyError("kind")

    monkeypatch.delenv("RAG_DEBUG", raising=False)
    monkeypatch.setattr("rag_lib.__main__.run", broken)
    assert main(["ask", "Who?"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: KeyError: 'kind'") and "RAG_DEBUG=1" in said
    monkeypatch.setenv("RAG_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["ask", "Who?"])
