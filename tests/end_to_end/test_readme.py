"""The README's commands, word for word, in a fresh clone with nothing set up."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(make .+)$", README, re.MULTILINE)
pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="make is for Linux and macOS; Windows has its own route"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of the last commit and an environment as on a new machine, but for the packages uv already has."""
    folder = tmp_path_factory.mktemp("newcomer")
    subprocess.run(["git", "clone", "--quiet", ROOT, folder / "course"], check=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "PYTHON", "PYTEST", "RAG_"))}
    environment |= {"RAG_CACHE": str(folder / "cache"), "BROWSER": "true", "HF_HUB_OFFLINE": "1"}
    yield folder / "course", environment
    shutil.rmtree(folder, ignore_errors=True)


def run(clone, command: str, **more) -> subprocess.CompletedProcess:
    folder, environment = clone
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment | more, capture_output=True, text=True, timeout=1200
    )


def test_the_readme_names_its_commands():
    assert "make lab" in COMMANDS and "make test" in COMMANDS
    assert 'make ask Q="Who was the first woman in space?"' in COMMANDS


def test_ask_sets_everything_up_and_answers(clone):
    command = 'make ask Q="Who was the first woman in space?"'
    first = run(clone, command)
    assert first.returncode == 0, first.stderr[-2000:]
    assert re.search(r"^Answer: +.*Tereshkova", first.stdout, re.MULTILINE)
    assert "Setting up" in first.stdout and "first woman in space" in first.stdout
    second = run(clone, command)
    assert "Setting up" not in second.stdout and "Tereshkova" in second.stdout


def test_what_was_installed_is_compiled(clone):
    """Else every start compiles it anew where Python may not write, as in many containers: twice the time to import."""
    folder, _ = clone
    for package in ("torch", "transformers", "sklearn"):
        assert [*folder.glob(f".venv/lib/python3*/site-packages/{package}/__pycache__/__init__.*.pyc")], package


def test_test_finds_all_tests(clone):
    result = run(clone, "make test", PYTEST_ADDOPTS="--collect-only")
    assert result.returncode == 0 and "00_start_here.ipynb" in result.stdout, (
        result.stdout[-2000:] + result.stderr[-2000:]
    )


def test_lab_opens_the_first_notebook_in_the_browser(clone, tmp_path):
    folder, environment = clone
    browser, opened, log = tmp_path / "browser", tmp_path / "opened", tmp_path / "log"
    browser.write_text(f'#!/bin/sh\ncat "${{1#file://}}" > {opened}\n')  # Jupyter opens a page that redirects
    browser.chmod(0o755)
    environment = environment | {"BROWSER": str(browser)}
    with log.open("w") as file:
        lab = subprocess.Popen(
            ["make", "lab"], cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not (opened.exists() and "</html>" in opened.read_text()):
            assert lab.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.5)
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(30)
    assert re.search(r"http://(localhost|127\.0\.0\.1):\d+/lab/tree/00_start_here\.ipynb", opened.read_text())


def test_an_empty_question_fails_in_one_line(clone):
    result = run(clone, "make ask")
    assert result.returncode != 0
    assert [line for line in result.stderr.splitlines() if not line.startswith("make")] == [
        "error: the question is empty"
    ]


def test_without_a_fitting_python_there_is_one_clear_line(clone):
    result = run(clone, "make ask PYTHON= Q=x")
    assert result.returncode != 0 and result.stderr.startswith("error: Python 3.11, 3.12 or 3.13 is needed")
