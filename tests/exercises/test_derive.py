"""Exercises are derived from the solutions as nbgrader would, and the two folders never drift apart."""

import copy
import json
import re

import nbformat
import pytest
from conftest import ROOT

from rag_lib.exercises.catalogue import CHAPTERS, EXERCISES
from rag_lib.exercises.derive import STUB, derive_all, derived, derived_cell, text_of, without_region

SCHEMA = {"schema_version", "grade", "solution", "locked", "task", "grade_id"}  # nbgrader/nbgraderformat/v3.json
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))


def read(path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def settings(cell) -> dict:
    return cell["metadata"].get("nbgrader", {})


def graded(name: str, source: str, **changes) -> dict:
    marks = {"grade_id": name, "grade": False, "solution": True, "locked": False, "schema_version": 3, "task": False}
    metadata = {"nbgrader": marks | changes}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [1], "execution_count": 3}


def test_the_folders_hold_the_same_notebooks():
    assert [p.name for p in SOLUTIONS] == sorted(p.name for p in (ROOT / "exercises").glob("*.ipynb"))
    assert [p.name[:2] for p in SOLUTIONS] == list(CHAPTERS)


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_exercises_are_those_of_the_solutions(path):
    derived_text = (ROOT / "exercises" / path.name).read_text(encoding="utf-8")
    assert derived_text == text_of(derived(read(path))), "run `make exercises`"


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_nothing_of_a_solution_is_left(path):
    text = (ROOT / "exercises" / path.name).read_text(encoding="utf-8")
    assert "### " not in text.replace("#### ", "")
    notebook = read(ROOT / "exercises" / path.name)
    to_write = [c for c in notebook["cells"] if settings(c).get("solution")]
    assert to_write and all("".join(c["source"]).rstrip().endswith(STUB[-1]) for c in to_write)


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_notebooks_are_valid_and_marked_as_nbgrader_needs_them(path):
    for folder, added in (("solutions", set()), ("exercises", {"cell_type", "checksum"})):
        notebook = nbformat.read(ROOT / folder / path.name, 4)
        nbformat.validate(notebook)
        marked = [settings(c) for c in notebook.cells if settings(c)]
        assert len({m["grade_id"] for m in marked}) == len(marked)
        for marks in marked:
            assert marks.keys() == SCHEMA | added | ({"points"} if marks["grade"] else set())
            assert marks["schema_version"] == 3 and re.fullmatch(r"[\w-]+", marks["grade_id"], re.ASCII)
            assert marks["task"] is False and marks["locked"] is not marks["solution"]
            assert marks.get("points", 1) > 0 and marks["grade"] | marks["solution"]


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_every_exercise_has_its_cell_its_check_and_its_hidden_test(path):
    cells = {settings(c).get("grade_id"): c for c in read(path)["cells"]}
    names = [e.name for e in CHAPTERS[path.name[:2]]]
    assert 4 <= len(names) + 1 <= 7 and set(names) == EXERCISES.keys() & cells.keys()
    for name in names:
        source = "".join(cells[f"check_{name}"]["source"])
        assert source.startswith(f'check("{name}", {name})\n### BEGIN HIDDEN TESTS\n') and "assert " in source
        assert f"def {name}(" in "".join(cells[name]["source"])
    open_ends = [c for c in cells.values() if settings(c).get("grade") and settings(c)["solution"]]
    assert len(open_ends) == 1, "one problem with an open end"


def test_a_region_becomes_a_stub_with_its_indentation():
    lines = ["def f():", "    ### BEGIN SOLUTION", "    return 1", "    ### END SOLUTION", "g()"]
    assert without_region(lines, "SOLUTION", STUB) == ["def f():", *(f"    {line}" for line in STUB), "g()"]


@pytest.mark.parametrize(
    "lines", [["### BEGIN SOLUTION"], ["### BEGIN SOLUTION", "### BEGIN SOLUTION", "### END SOLUTION"]]
)
def test_a_region_that_is_not_one_is_refused(lines):
    with pytest.raises(ValueError, match="region SOLUTION"):
        without_region(lines, "SOLUTION")


def test_a_solution_without_its_mark_is_refused():
    source = "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"
    with pytest.raises(ValueError, match="do not go together"):
        derived_cell(graded("f", source, solution=False, locked=True))
    with pytest.raises(ValueError, match="do not go together"):
        derived_cell(graded("f", "x = 1"))
    with pytest.raises(ValueError, match="not graded"):
        derived_cell(graded("f", source + "\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS"))


def test_a_checked_cell_is_locked_and_a_cell_to_write_is_not():
    check = graded("check_f", "check()", grade=True, points=2, solution=False, locked=True)
    write = graded("f", "### BEGIN SOLUTION\n### END SOLUTION")
    locked, free = derived_cell(check)["metadata"], derived_cell(write)["metadata"]
    assert (locked["deletable"], locked["editable"]) == (False, False)
    assert free["deletable"] is False and "editable" not in free
    changed = copy.deepcopy(check) | {"source": "check( )"}
    assert derived_cell(changed)["metadata"]["nbgrader"]["checksum"] != locked["nbgrader"]["checksum"]


def test_deriving_names_the_notebook_that_is_wrong(tmp_path):
    (tmp_path / "07_wrong.ipynb").write_text(json.dumps({"cells": [graded("f", "x = 1")]}))
    with pytest.raises(ValueError, match=r"07_wrong\.ipynb: a solution and its mark"):
        derive_all(tmp_path, tmp_path / "out")


@pytest.mark.model
@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_before_anything_is_written_a_notebook_says_so_and_raises_nothing_else(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace, said = {"__name__": "__main__"}, {}
    for cell in read(ROOT / "exercises" / path.name)["cells"]:
        if cell["cell_type"] == "code" and cell["id"] not in ("colab", "quiz"):
            try:
                exec("".join(cell["source"]), namespace)
            except NotImplementedError as error:
                said[cell["id"]] = str(error)
    names = [e.name for e in CHAPTERS[path.name[:2]]]
    not_written = [text for text in said.values() if "not written yet" in text]
    assert sorted(text.split(":")[0] for text in not_written) == sorted(f"… {name}" for name in names)
    assert capsys.readouterr().out.count("not kept: not written yet") == len(names)


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_nbgrader_itself_makes_the_same(path):
    """Run where nbgrader is installed; it is no part of the course's environment, for it brings a database."""
    preprocessors = pytest.importorskip("nbgrader.preprocessors")
    notebook, resources = nbformat.read(path, 4), {"nbgrader": {}}
    for name in "LockCells ClearSolutions ClearOutput CheckCellMetadata ComputeChecksums ClearHiddenTests".split():
        notebook, resources = getattr(preprocessors, name)().preprocess(notebook, resources)
    notebook, _ = preprocessors.ComputeChecksums().preprocess(notebook, resources)
    assert json.loads(nbformat.writes(notebook)) == read(ROOT / "exercises" / path.name)
