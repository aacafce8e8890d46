"""The wheel and the container: what is installed elsewhere answers there, with the data that it brings."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

from rag_lib import setup

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built in a folder that holds what the Dockerfile copies and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    names = [n for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE) for n in line.split()]
    assert {"pyproject.toml", "setup.py", "data", "rag_lib"} <= set(names)
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    subprocess.run(command, cwd=folder, check=True)
    (built,) = (folder / "dist").glob("*.whl")
    return built


def test_the_wheel_carries_the_page_the_weights_and_the_museum(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("rag_lib/service/web", "data/models", "data/museum"):
        files = [p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*") if p.is_file()]
        assert files and {f if f.startswith("rag_lib") else f"rag_lib/{f}" for f in files} <= names
    assert not any("tests" in name.split("/") or name.endswith(".ipynb") for name in names)


def test_what_was_installed_from_the_wheel_answers_in_another_folder(wheel, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)],
        check=True,
    )
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "zog.txt").write_text("King Zog of Perelandia was born in 1887. He collected 412 umbrellas.")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "RAG_CACHE": str(tmp_path / "cache")}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=850)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    where = python("-c", "from rag_lib import files; print(files.DATA, files.ARTICLES.is_dir(), files.MODELS.is_dir())")
    assert where.split() == [str((tmp_path / "site" / "rag_lib" / "data").resolve()), "True", "True"]
    out = python("-m", "rag_lib", "ask", "How many umbrellas did King Zog collect?", "--documents", "texts")
    assert re.search(r"^Answer: +.*412", out, re.MULTILINE)


def test_the_dockerfile_has_no_fault_that_hadolint_knows():
    hadolint = shutil.which("hadolint", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_container_holds_the_locked_versions_and_is_nobody_in_particular():
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    (torch,) = re.findall(r"torch==(\S+)", DOCKERFILE)
    assert f"torch=={torch}\n" in lock or f"torch=={torch} " in lock
    assert setup.CHAT_MODEL in DOCKERFILE
    assert "USER 10001" in DOCKERFILE and "HEALTHCHECK" in DOCKERFILE and "HF_HUB_OFFLINE=1" in DOCKERFILE
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert kept[0] == "*", "only what is named goes into the image"
