"""Notebooks alone in an empty folder, as on Colab: the first cell fetches the course, the rest runs."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

NOTEBOOKS = ["00_start_here.ipynb", "01_documents_and_passages.ipynb", "02_bm25.ipynb"]
# What Colab has before the first cell: torch and numpy of its own (not the newest), a plotting library, and a module
# called google.colab.
ITS_OWN = ["torch==2.13.0", "numpy==2.2.6"]
COLAB_PACKAGES = [*ITS_OWN, "matplotlib", "ipykernel", "ipywidgets", "nbclient", "pip"]
STAND_IN = """
import importlib.machinery, sys, types
colab = types.ModuleType("google.colab")
colab.__spec__ = importlib.machinery.ModuleSpec("google.colab", None)
sys.modules["google.colab"] = colab
"""
RUN = """
import nbformat, nbclient, sys
for name in sys.argv[1:]:
    notebook = nbformat.read(name, 4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    print(name, "ran to its end", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Colab is Linux")
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_first_notebooks_run_where_only_they_are(tmp_path):
    content = tmp_path / "content"
    content.mkdir()
    for name in NOTEBOOKS:
        shutil.copy(ROOT / "notebooks" / name, content)
    bare = tmp_path / "course.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, bare], check=True)
    subprocess.run(["git", "-C", bare, "branch", "tested", "HEAD"], check=True)

    kept = {k: v for k, v in os.environ.items() if k == "PATH" or k.startswith(("PIP_", "UV_", "SSL_", "OMP_"))}
    if "PIP_FIND_LINKS" in kept:  # uv does not read pip's variable
        kept["UV_FIND_LINKS"] = kept["PIP_FIND_LINKS"]
    environment = kept | {"HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    environment |= {"RAG_REPOSITORY": bare.as_uri(), "RAG_REVISION": "tested"}
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
        [python, "-c", RUN, *NOTEBOOKS], cwd=content, env=environment, capture_output=True, text=True, timeout=800
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("ran to its end") == len(NOTEBOOKS)

    def said(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    assert said("git", "-C", str(content / "rag-from-scratch"), "branch", "--show-current") == "tested\n"
    frozen = said(*uv, "pip", "freeze", "--python", str(python))
    assert set(ITS_OWN) <= {line.split("+")[0] for line in frozen.splitlines()}, "Colab's own stays as it was"
