"""The learner's `my_rag.py`: right parts are kept, and the file runs by itself."""

import json
import math
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from conftest import ROOT

from rag_lib.exercises.catalogue import EXERCISES, cell_source
from rag_lib.exercises.learner import keep, load, my_parts, ours, report

HELPER = 3


def idf(df, n):
    return np.log(1 + (n - df + 0.5) / (df + 0.5))


def quote_span(text, answer):
    match = re.search(re.escape(answer), text, re.IGNORECASE)
    return match.span() if match else None


def retrieve(question, texts, k):
    scores = [words_in_common(question, text) for text in texts]
    rows = sorted(range(len(texts)), key=lambda row: (-scores[row], row))
    return [row for row in rows if scores[row]][:k]


def words_in_common(question, text):
    a, b = (Counter(re.findall(r"\w+", t.lower())) for t in (question, text))
    return len(a & b)


def answer_or_silence(guesses, threshold):
    raise NotImplementedError


def rrf(rankings, constant):
    return [HELPER]


def with_pairs(terms):
    return terms + [f"{a}_{b}" for a, b in pairwise(terms)][: HELPER * 10**6]


def test_right_parts_are_kept_and_wrong_ones_are_named(tmp_path, capsys):
    path = tmp_path / "my_rag.py"
    keep(idf, quote_span, answer_or_silence, rrf, with_pairs, path=path)
    said = capsys.readouterr().out
    assert re.search(r"^idf +kept in my_rag\.py$", said, re.MULTILINE)
    assert re.search(r"^answer_or_silence +not kept: not written yet$", said, re.MULTILINE)
    assert re.search(r"^rrf +not kept: For two rankings", said, re.MULTILINE)
    assert re.search(r"^with_pairs +not kept: it uses HELPER, which stands only in the notebook", said, re.MULTILINE)
    module = load(path)
    assert module.idf(1, 3) == pytest.approx(math.log(8 / 3)) and module.quote_span("a b", "B") == (2, 3)
    assert not hasattr(module, "rrf") and path.read_text().index("def quote_span") < path.read_text().index("def idf")


def test_a_part_is_replaced_and_what_the_learner_added_stays(tmp_path):
    path = tmp_path / "my_rag.py"
    keep(quote_span, path=path)
    path.write_text(path.read_text().replace("re.IGNORECASE", "2") + "\n\nMINE = 3\n\n\ndef own():\n    return MINE\n")
    keep(idf, quote_span, path=path)
    assert path.read_text().count("def quote_span") == 1 and "IGNORECASE" in path.read_text()
    assert load(path).own() == 3
    keep(idf, path=path)
    before = path.read_text()
    keep(idf, quote_span, path=path)
    assert path.read_text() == before, "keeping the same again changes nothing"


def test_missing_parts_are_lent_even_to_other_parts(tmp_path):
    path = tmp_path / "my_rag.py"
    keep(words_in_common, retrieve, path=path)
    path.write_text(path.read_text().replace("def words_in_common", "def another_name"))
    parts = my_parts("retrieve", "idf", path=path)
    assert parts.retrieve("moon", ["sun", "moon"], 1) == [1] and parts.idf(1, 3) == pytest.approx(math.log(8 / 3))
    assert my_parts("idf", path=tmp_path / "none.py").idf(1, 3) == parts.idf(1, 3)


def test_all_our_parts_together_make_a_file_that_passes_every_check(tmp_path):
    path = tmp_path / "my_rag.py"
    notebooks = (json.loads(p.read_text(encoding="utf-8")) for p in sorted((ROOT / "solutions").glob("*.ipynb")))
    cells = [c for n in notebooks for c in n["cells"] if "imports" in c["metadata"].get("tags", [])]
    path.write_text("\n".join("".join(cell["source"]) for cell in cells))
    for name in EXERCISES:
        path.write_text(f"{path.read_text()}\n\n{cell_source(name)}\n")
    assert report(path)


def test_the_report_is_a_command(tmp_path):
    path = tmp_path / "my_rag.py"
    keep(idf, path=path)
    path.write_text(path.read_text() + "\n\ndef rrf(rankings, constant):\n    return []\n")
    command = [sys.executable, "-m", "rag_lib.exercises.learner"]
    result = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert re.search(r"^02  idf +right$", result.stdout, re.MULTILINE)
    assert re.search(r"^05  rrf +For two rankings", result.stdout, re.MULTILINE)
    assert re.search(r"^04  kmeans_step +still to come$", result.stdout, re.MULTILINE)
    missing = subprocess.run([*command, str(tmp_path / "no.py")], capture_output=True, text=True, cwd=ROOT)
    assert missing.returncode == 1 and missing.stderr.startswith("error: there is no ")


def test_our_functions_come_from_the_solutions():
    assert ours("retrieve")("moon", ["sun", "moon"], 1) == [1]
    with pytest.raises(ValueError, match="no 'nothing'"):
        ours("nothing")
