"""A notebook alone in an empty folder, as on Colab: its first cell fetches the course, the rest runs."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

NOTEBOOK = "00_start_here.ipynb"
# What Colab has before the first cell: a torch of its own, a plotting library, and a module called google.colab.
COLAB_PACKAGES = ["torch==2.13.0", "matplotlib", "ipykernel", "ipywidgets", "nbclient", "pip"]
STAND_IN = """
import importlib.machinery, sys, types
colab = types.ModuleType("google.colab")
colab.__spec__ = importlib.machinery.ModuleSpec("google.colab", None)
sys.modules["google.colab"] = colab
"""
RUN = """
import nbformat, nbclient, sys
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
print("code cells:", sum(c.cell_type == "code" and c.execution_count is not None for c in notebook.cells))
"""


@pytest.mark.skipif(os.name == "nt", reason="Colab is Linux")
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_first_notebook_runs_where_only_it_is(tmp_path):
    content = tmp_path / "content"
    content.mkdir()
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, content)
    bare = tmp_path / "course.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, bare], check=True)

    kept = {k: v for k, v in os.environ.items() if k == "PATH" or k.startswith(("PIP_", "UV_", "SSL_"))}
    if "PIP_FIND_LINKS" in kept:  # uv does not read pip's variable
        kept["UV_FIND_LINKS"] = kept["PIP_FIND_LINKS"]
    environment = kept | {"HOME": str(tmp_path), "RAG_REPOSITORY": bare.as_uri(), "HF_HUB_OFFLINE": "1"}
    environment["UV_CACHE_DIR"] = subprocess.run(
        [sys.executable, "-m", "uv", "cache", "dir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    python = tmp_path / "venv" / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True, env=environment)
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *COLAB_PACKAGES], check=True, env=environment)
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
    profile = tmp_path / ".ipython" / "profile_default" / "startup"
    profile.mkdir(parents=True)
    (profile / "00-colab.py").write_text(STAND_IN)

    result = subprocess.run(
        [python, "-c", RUN, NOTEBOOK], cwd=content, env=environment, capture_output=True, text=True, timeout=800
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert (content / "rag-from-scratch" / "rag_lib").is_dir()
    assert "code cells: " in result.stdout
