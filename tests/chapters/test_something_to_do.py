"""Chapters that ask the learner: predictions hide what comes out, cells to write are checked, and the end is theirs."""

import json

import pytest
from conftest import ROOT

CHAPTERS = ["00_start_here", "01_documents_and_passages", "02_bm25", "03_embeddings", "04_vector_index"]
CHAPTERS += ["05_retrieval", "14_deployment", "15_beyond_one_machine"]
ASKING = [*CHAPTERS, "06_generation", "08_finetune_retriever", "09_finetune_generator"]  # with checks of their own
ASKING += ["07_rag_pipeline", "12_summarization", "13_recommendation"]


def cells_of(chapter: str) -> list[dict]:
    return json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]


@pytest.fixture(params=CHAPTERS)
def cells(request) -> list[dict]:
    return cells_of(request.param)


def source(cell: dict) -> str:
    return "".join(cell["source"])


def is_hidden(cell: dict) -> bool:
    return cell["metadata"].get("jupyter", {}).get("outputs_hidden", False)


@pytest.mark.parametrize("chapter", ASKING)
def test_what_a_prediction_is_about_is_hidden_until_it_is_run(chapter):
    cells = cells_of(chapter)
    asked = [i for i, cell in enumerate(cells) if "> **Before you run" in source(cell)]
    assert len(asked) >= 3
    for i in asked:
        following = [cell for cell in cells[i + 1 :] if cell["cell_type"] == "code"][:4]
        assert any(map(is_hidden, following)), source(cells[i])
    assert sum(map(is_hidden, cells)) >= len(asked)


def test_cells_to_write_are_checked(cells):
    checked = [cell for cell in cells if "check_yours(my_" in source(cell)]
    assert len(checked) >= 2
    for cell in checked:
        said = "".join("".join(output.get("text", "")) for output in cell["outputs"])
        assert said.startswith("Not yet: my_"), "what is to be written is not written, and the check says so"


@pytest.mark.parametrize("chapter", ASKING)
def test_something_is_to_be_written_and_it_ends_with_the_learners_own(chapter):
    cells = cells_of(chapter)
    assert sum("\ndef my_" in "\n" + source(cell) for cell in cells) >= 2
    assert any(source(cell).startswith("## Your turn") or "\n## Your turn" in source(cell) for cell in cells)


def test_it_says_what_one_needs_and_ends_with_the_learners_own(cells):
    text = "\n".join(source(cell) for cell in cells if cell["cell_type"] == "markdown")
    for part in ("**You need** ", "**Study time:**", "## Your turn"):
        assert part in text


def test_cells_are_short(cells):
    assert max(len(source(cell).splitlines()) for cell in cells if cell["cell_type"] == "code") <= 12
