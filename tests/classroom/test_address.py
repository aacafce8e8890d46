"""The repository's address stands in one place, and what repeats it does not drift."""

import json
import re

import pytest
from conftest import ROOT

from rag_lib.classroom.address import Address, read_address, stamped, stamped_notebook, stamped_text
from rag_lib.setup import CHAT_MODEL

FORK = Address("https://github.com/somebody/a.fork", "v1.0")
FILES = dict(stamped(read_address()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_has_drifted(path):
    assert path.read_text(encoding="utf-8") == FILES[path], "run `make stamp`"


def test_a_fork_is_named_wherever_the_original_was():
    """Every link to the repository: none is left that the patterns do not know."""
    for path, text in stamped(FORK):
        text = text.replace("codespaces.new", "github.com")
        slugs = re.findall(r"github\.com/([\w-]+/[\w.-]*\w)|mybinder\.org/v2/gh/([\w-]+/[\w.-]*\w)", text)
        slugs = {a or b for a, b in slugs} - {"github/somebody"}
        assert slugs <= {"somebody/a.fork"}, path
        assert "blob/main" not in text


def test_the_links_of_the_readme_lead_to_the_address():
    text = stamped_text((ROOT / "README.md").read_text(encoding="utf-8"), FORK)
    assert "git clone https://github.com/somebody/a.fork\ncd a.fork\n" in text
    assert "https://colab.research.google.com/github/somebody/a.fork/blob/v1.0/notebooks/00_start_here.ipynb" in text
    assert "https://mybinder.org/v2/gh/somebody/a.fork/v1.0?urlpath=lab/tree/notebooks/00_start_here.ipynb" in text
    assert "https://codespaces.new/somebody/a.fork" in text


def test_a_notebook_without_badge_gets_one_and_keeps_its_outputs():
    notebook = json.loads((ROOT / "notebooks" / "04_vector_index.ipynb").read_text(encoding="utf-8"))
    bare = notebook | {"cells": [{"cell_type": "markdown", "source": ["# Title"]}, *notebook["cells"][1:]]}
    once = stamped_notebook(bare, FORK, "notebooks/x.ipynb")
    assert "".join(once["cells"][0]["source"]).startswith("# Title\n\n[![Open in Colab](")
    assert stamped_notebook(once, FORK, "notebooks/x.ipynb") == once, "stamping twice is stamping once"
    assert [c.get("outputs") for c in once["cells"]] == [c.get("outputs") for c in bare["cells"]]


def test_the_first_cell_installs_the_chat_model_alone_and_names_neither_torch_nor_numpy():
    lines = FORK.first_cell.splitlines()
    assert f"    %pip install --quiet --no-deps {CHAT_MODEL}" in lines
    assert not re.search("torch|numpy", FORK.first_cell)


def test_an_address_elsewhere_is_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://example.org/x"\n')
    with pytest.raises(ValueError, match=r"example\.org/x.*https://github\.com/owner/name"):
        read_address(tmp_path)
