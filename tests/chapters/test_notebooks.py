"""What every notebook has in common. That they run, and with these outputs, is for nbval to say."""

import json
from pathlib import Path

import pytest
from conftest import ROOT

CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOKS = [*CHAPTERS, *sorted((ROOT / "solutions").glob("*.ipynb"))]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def notebook(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def source(cell) -> str:
    return "".join(cell["source"])


def code_cells(notebook) -> list[dict]:
    return [c for c in notebook["cells"] if c["cell_type"] == "code"]


def outputs(notebook) -> list[dict]:
    return [output for cell in code_cells(notebook) for output in cell["outputs"]]


def test_there_are_notebooks():
    assert "00_start_here" in [path.stem for path in NOTEBOOKS]


def test_outputs_are_from_one_run_on_a_fresh_kernel(notebook):
    cells = code_cells(notebook)
    assert [c["execution_count"] for c in cells] == list(range(1, len(cells) + 1))
    assert len(outputs(notebook)) >= len(cells) / 3
    assert [o for o in outputs(notebook) if o["output_type"] == "error"] == []


def test_cells_are_small(notebook):
    assert max(len(source(c).splitlines()) for c in code_cells(notebook)) <= 25


def test_every_picture_has_a_text(notebook):
    for output in outputs(notebook):
        if "image/png" in output.get("data", {}):
            assert len(output["metadata"]["image/png"]["alt"]) > 20


def test_nothing_of_the_machine_it_ran_on_is_in_it(notebook):
    assert "widgets" not in notebook["metadata"]
    for path in ("/home/", "/tmp/", "/Users/", str(Path.home()), str(ROOT)):
        assert path not in json.dumps(notebook)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_its_parts(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    text = "\n".join(source(c) for c in notebook["cells"] if c["cell_type"] == "markdown")
    for part in ("In this chapter you will", "two CPU cores", "What you know now", "Further reading", "Next:"):
        assert part in text, part


def test_a_chapter_with_exercises_leads_to_them():
    for path in CHAPTERS:
        if (ROOT / "exercises" / path.name).exists():
            text = "\n".join(source(c) for c in json.loads(path.read_text(encoding="utf-8"))["cells"])
            assert f"(../exercises/{path.name})" in text, path.name
