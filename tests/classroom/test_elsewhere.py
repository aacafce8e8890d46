"""Binder and the container for Visual Studio Code set up what everybody else has."""

import json
import os
import re
import tomllib

import pytest
from conftest import ROOT
from packaging.specifiers import SpecifierSet

from rag_lib import setup

PYTHONS = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"])
README = (ROOT / "README.md").read_text(encoding="utf-8")
POST_BUILD = (ROOT / ".binder" / "postBuild").read_text()
CONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())


def test_both_have_a_python_that_the_course_supports():
    (binder,) = re.findall(r"^python-([\d.]+)$", (ROOT / ".binder" / "runtime.txt").read_text())
    (container,) = re.findall(r"/python:([\d.]+)-", CONTAINER["image"])
    assert binder in PYTHONS and container in PYTHONS


def test_binder_runs_the_readmes_lines_for_pip():
    lines = re.findall(r"^python -m pip install .*$", README, re.MULTILINE)
    assert len(lines) == 3
    assert re.findall(r"^python -m pip install .*$", POST_BUILD, re.MULTILINE) == lines


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such right")
def test_binder_may_run_its_script():
    assert POST_BUILD.startswith("#!/bin/bash\n") and "set -euo pipefail" in POST_BUILD
    assert os.access(ROOT / ".binder" / "postBuild", os.X_OK)


def test_the_container_is_set_up_by_make_and_uses_the_environment_that_it_made():
    assert CONTAINER["postCreateCommand"] == "make install"
    assert re.search(
        r"^install:\n(?:\t.*\n)*\t@\$\(PYTHON\) -m rag_lib\.setup install", (ROOT / "Makefile").read_text(), re.M
    )
    environment = setup.VENV.relative_to(setup.ROOT).as_posix()
    python = CONTAINER["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert python == f"${{containerWorkspaceFolder}}/{environment}/bin/python"
    assert int(CONTAINER["hostRequirements"]["storage"].removesuffix("gb")) * 1e9 > 2 * setup.DISK_BYTES
