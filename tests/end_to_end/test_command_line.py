"""The command line, as a user meets it: what it prints, and how it says no."""

import gzip
import io
import json
import os
import pickle
import re
import subprocess
import sys
import time

import pytest

from rag_lib.__main__ import main
from rag_lib.files import sha256_of
from rag_lib.indexing.store import FILE


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "zog.txt").write_text("King Zog of Perelandia was born in 1887. He collected 412 umbrellas.")
    (folder / "tower.md").write_text(
        "# The Tower of Quill\n\nThe tower has 99 steps and was painted blue by Ada Finch."
    )
    return folder


def test_ask_answers_from_a_users_own_files_with_source_and_time(folder, capsys):
    assert main(["ask", "Who painted the tower blue?", "--documents", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "Answer:   Ada Finch" in out and "The Tower of Quill" in out and "tower.md" in out
    assert " s to load the models" in out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_a_terminal_of_any_encoding_gets_the_answer(tmp_path, monkeypatch, encoding):
    (tmp_path / "łódź.txt").write_text("Łódź → the gate was painted by Zoë Żak in 1931.", encoding="utf-8")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["ask", "Who painted the gate in 1931?", "--documents", str(tmp_path)]) == 0
    terminal.flush()
    shown = terminal.buffer.getvalue().decode(encoding)
    assert "gate was painted by Zo" in shown and "d?.txt" in shown.replace("dź", "d?"), "what it lacks is a ?"


def test_an_index_is_built_saved_and_asked(folder, tmp_path, capsys):
    assert main(["index", "--documents", str(folder), "--index", str(tmp_path / "index")]) == 0
    assert "2 documents, 2 passages" in capsys.readouterr().out
    assert main(["ask", "How many umbrellas did King Zog collect?", "--index", str(tmp_path / "index")]) == 0
    assert "412" in capsys.readouterr().out


def refused(capsys, *arguments) -> str:
    """The one line that a refused command prints."""
    assert main(list(arguments)) == 1
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert "Answer" not in captured.out and "Traceback" not in captured.err
    return line


@pytest.mark.parametrize("question", ["", "  "])
def test_an_empty_question(capsys, question):
    assert "the question is empty" in refused(capsys, "ask", question)


def test_a_question_of_ten_thousand_words(folder, capsys):
    assert "no passage fits" in refused(capsys, "ask", "tower " * 10_000, "--documents", str(folder))


def test_an_empty_folder(tmp_path, capsys):
    assert "empty" in refused(capsys, "ask", "Who?", "--documents", str(tmp_path))


def test_a_folder_of_pictures(tmp_path, capsys):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"\x89PNG\0")
    assert "3 files, none readable" in refused(capsys, "ask", "Who?", "--documents", str(tmp_path))


def test_k_beyond_the_collection_is_all_of_it(folder, capsys):
    assert main(["ask", "Who painted the tower?", "--documents", str(folder), "-k", "1000"]) == 0
    assert "Ada Finch" in capsys.readouterr().out


def test_a_damaged_index(folder, tmp_path, capsys):
    index = tmp_path / "index"
    main(["index", "--documents", str(folder), "--index", str(index)])
    path = index / FILE
    path.write_bytes(path.read_bytes()[:-7])
    assert "damaged" in refused(capsys, "ask", "Who?", "--index", str(index))


def test_an_index_of_another_encoder(folder, tmp_path, capsys):
    index = tmp_path / "index"
    main(["index", "--documents", str(folder), "--index", str(index)])
    line = refused(capsys, "ask", "Who?", "--index", str(index), "--encoder", "museum-minilm")
    assert "made by another encoder than museum-minilm" in line


def test_a_model_that_is_not_there(folder, capsys, monkeypatch):
    def embed(*_):
        raise AssertionError("the texts were embedded first")

    monkeypatch.setattr("rag_lib.pipeline.commands.open_folder", embed)
    line = refused(capsys, "ask", "Who?", "--documents", str(folder), "--generator", "nobody/nothing")
    assert "nobody/nothing is not on this machine" in line


@pytest.mark.parametrize("shards", ['["a.safetensors"]', '{"../a.bin": "x"}', '{"a.safetensors": "DIGEST"}', "3", "{"])
def test_shards_that_are_a_pickle_or_a_list_are_refused(folder, tmp_path, capsys, shards):
    model = tmp_path / "model"
    model.mkdir()
    (model / "a.safetensors").write_bytes(pickle.dumps({"weights": [1.0]}))
    (model / "shards.json").write_text(shards.replace("DIGEST", sha256_of(model / "a.safetensors")))
    line = refused(capsys, "ask", "Who?", "--documents", str(folder), "--generator", str(model))
    assert str(model) in line and ("not complete" in line or "cannot be loaded" in line)


def test_a_passage_that_is_too_long_is_no_reason_to_refuse_a_question(folder, capsys):
    (folder / "steps.txt").write_text("\n".join(f"lift,{i},doors,{i * 7919 % 1000},rusty;green" for i in range(900)))
    (folder / "tower 2.html").write_text(f"<title>{'蓝塔' * 90}</title><p>It has a red door.</p>")
    assert main(["ask", "Who painted the tower blue?", "--documents", str(folder)]) == 0
    captured = capsys.readouterr()
    assert "Answer:   Ada Finch" in captured.out
    assert re.search(r"^cut: of \d+ passages the title", captured.err, re.MULTILINE)


def test_evaluate_generation_prints_intervals_and_writes_predictions(tmp_path, capsys):
    row = {"id": "1", "title": "Zog", "context": "King Zog was born in 1887.", "question": "When was Zog born?"}
    rows = [
        row | {"answers": {"text": ["1887"], "answer_start": [21]}},
        row | {"id": "2", "answers": {"text": ["never"]}},
    ]
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    assert main(["evaluate", "generation", str(path), "--predictions", str(tmp_path / "out.jsonl")]) == 0
    out = capsys.readouterr().out
    assert "exact match     0.500 [0.000, 1.000] (n = 2)" in out and "answers per s" in out
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert written == [{"id": "1", "prediction": "1887"}, {"id": "2", "prediction": "1887"}]


PACKED = gzip.compress(b"{}" * 999)


@pytest.mark.parametrize("data", [b"mine", PACKED[:-9], PACKED[:12] + b"x" * 40], ids=["plain", "cut off", "damaged"])
def test_a_file_that_cannot_be_unpacked_is_named(tmp_path, capsys, data):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(data)
    line = refused(capsys, "evaluate", "generation", str(path))
    assert line.startswith(f"error: {path} cannot be unpacked (") and "not foreseen" not in line


@pytest.mark.parametrize(
    "line", ["not json", '{"question": "Who?"}', '{"question": 1, "context": "x", "answers": {"text": []}}']
)
def test_a_broken_row_is_named_by_its_line(tmp_path, capsys, line):
    (tmp_path / "rows.jsonl").write_text(line)
    assert "line 1" in refused(capsys, "evaluate", "generation", str(tmp_path / "rows.jsonl"))


def test_recommend_says_what_it_understood_and_why(capsys):
    wish = "Something for a six-year-old who likes comets, under 20 euros"
    assert main(["recommend", wish, "-k", "2"]) == 0
    out = capsys.readouterr().out
    assert "Understood: about “comets”, for age 6, at most €19.99" in out and "1. Pebble and the Comet" in out
    assert main(["recommend", "--visitor", "v-003"]) == 0
    out = capsys.readouterr().out
    assert "Understood: for age 64" in out and "which you bought" in out
    assert main(["recommend", "cough medicine", "-k", "1"]) == 0
    assert "nothing in the shop is really about “cough medicine”" in capsys.readouterr().out
    assert "of its 260 products" in refused(capsys, "recommend", "for a baby, under 2 euros")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([""], "the wish is empty"),
        (["comet " * 10_000], "a wish of 10,000 words is too long"),
        (["a book for a -3-year-old"], "nobody is -3 years old"),
        (["comets", "--visitor", "v-999"], "no visitor is called 'v-999'; there are v-001 to v-450"),
    ],
)
def test_a_wish_that_cannot_be(capsys, arguments, reason):
    assert reason in refused(capsys, "recommend", *arguments)


def test_help_loads_no_model():
    started = time.perf_counter()
    code = (
        "import sys; from rag_lib.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True
    ).stdout
    assert out.endswith("False\n") and time.perf_counter() - started < 60


def test_a_question_imports_no_more_than_it_needs(folder):
    """Each of these takes seconds to import, and `ask` has no use for it."""
    heavy = "sentence_transformers sklearn scipy datasets pandas pyarrow matplotlib uvicorn"
    code = (
        "import sys; from rag_lib.__main__ import main\n"
        f"main(['ask', 'Where was King Zog born?', '--documents', {str(folder)!r}])\n"
        f"print([name for name in {heavy.split()} if sys.modules.get(name)])\nimport scipy"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True
    ).stdout
    assert "Zog" in out and out.splitlines()[-1] == "[]"


def test_an_index_is_never_written_among_a_users_files(folder, tmp_path, capsys):
    target = tmp_path / "home"
    (target / "v-2019-thesis").mkdir(parents=True)
    (target / "v-2019-thesis" / "chapter.txt").write_text("two years of work")
    assert "not empty and is no index" in refused(capsys, "index", "--documents", str(folder), "--index", str(target))
    assert (target / "v-2019-thesis" / "chapter.txt").read_text() == "two years of work"


@pytest.mark.parametrize("row", [{"answers": ["1887"]}, {"answer": "1887"}, {"answers": {"text": ["1887"]}}])
def test_evaluate_reads_the_rows_that_train_reads(tmp_path, capsys, row):
    """Plain lists of answers, a single answer, SQuAD's layout, and a byte-order mark."""
    row = {"question": "When was Zog born?", "passage": "King Zog was born in 1887.", **row}
    (tmp_path / "rows.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(row).encode() + b"\n")
    assert main(["evaluate", "generation", str(tmp_path / "rows.jsonl")]) == 0
    assert "exact match     1.000" in capsys.readouterr().out


def test_files_that_were_left_out_are_named_on_every_ask(folder, tmp_path, capsys):
    (folder / "picture.png").write_bytes(b"\x89PNG")
    for _ in range(2):  # the second answer comes from the cache
        assert main(["ask", "Who painted the tower?", "--documents", str(folder)]) == 0
        assert "left out: picture.png: " in capsys.readouterr().err
    main(["index", "--documents", str(folder), "--index", str(tmp_path / "index")])
    capsys.readouterr()
    assert main(["ask", "Who painted the tower?", "--index", str(tmp_path / "index")]) == 0
    assert "left out: picture.png: " in capsys.readouterr().err


SQUAD_2 = [
    {"id": "1", "question": "When was the Heron probe launched?", "answers": {"text": ["4 May 1986"]}},
    {"id": "2", "question": "Who invented the steam engine?", "answers": {"text": []}},
    {"id": "3", "question": "How many moons does Jupiter have?", "answers": []},
]


def test_where_a_row_has_no_answer_silence_is_right_and_the_threshold_counts(tmp_path, capsys):
    context = {"title": "Heron", "context": "The Heron probe was launched on 4 May 1986 from Bristol."}
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row | context) for row in SQUAD_2))
    out = tmp_path / "out.jsonl"
    assert main(["evaluate", "generation", str(tmp_path / "rows.jsonl"), "--predictions", str(out)]) == 0
    said = capsys.readouterr().out
    assert "rows without an answer" in said and "(n = 1) of those with answer" in said
    assert [json.loads(line)["prediction"] for line in out.read_text().splitlines()] == ["4 May 1986", "", ""]
    assert "exact match     1.000 [1.000, 1.000] (n = 3)" in said


@pytest.mark.parametrize("answers", [[1887], 1887, {"text": [1887]}, {"text": "1887"}, None, [["1887"]], {"a": 1}])
def test_answers_that_are_no_texts_are_named_by_their_line(tmp_path, capsys, answers):
    row = {"question": "When was Zog born?", "context": "King Zog was born in 1887.", "answers": answers}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    assert "line 1: answers is not a list" in refused(capsys, "evaluate", "generation", str(tmp_path / "rows.jsonl"))
