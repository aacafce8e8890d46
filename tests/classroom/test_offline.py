"""The folder for laptops without a network holds every package that is locked, and its script asks no index."""

import re
import sys

import pytest
from conftest import ROOT
from packaging.markers import Marker

from rag_lib import setup
from rag_lib.classroom.offline import OFFLINE, SYSTEMS, downloads, main, needed, scripts

LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
PINS = {
    line.removesuffix(" \\").partition(" ;")[0]: line.removesuffix(" \\").partition(" ;")[2]
    for line in LOCK.splitlines()
    if re.match(r"\w", line)
}  # each package with its version, and where it is needed


def pins_of(text: str) -> set[str]:
    return {line.removesuffix(" \\") for line in text.splitlines() if re.match(r"\w", line)}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_list_names_every_package_of_the_lock_that_the_laptop_needs(name, python):
    listed = pins_of(needed(LOCK, SYSTEMS[name], python))
    everywhere = {pin for pin, marker in PINS.items() if not marker}
    assert len(everywhere) > 100 and everywhere <= listed <= set(PINS)


def test_all_laptops_together_need_the_whole_lock():
    lists = [needed(LOCK, system, python) for system in SYSTEMS.values() for python in ("3.11", "3.12", "3.13")]
    left = set(PINS) - set().union(*map(pins_of, lists))
    assert {pin for pin in left if "emscripten" not in PINS[pin] and "< '3.11.5'" not in PINS[pin]} == set()


def test_the_list_for_this_machine_is_what_pip_would_take_here():
    name = {"linux": "linux", "darwin": "macos", "win32": "windows"}[sys.platform]
    here = {pin for pin, marker in PINS.items() if not marker or Marker(marker).evaluate()}
    assert pins_of(needed(LOCK, SYSTEMS[name], f"{sys.version_info[0]}.{sys.version_info[1]}")) == here


def test_what_only_one_system_needs_goes_to_that_one():
    lists = {name: needed(LOCK, system, "3.11") for name, system in SYSTEMS.items()}
    assert "pywinpty==" in lists["windows"] and "pywinpty==" not in lists["linux"] + lists["macos"]
    assert "\npexpect==" in lists["linux"] + lists["macos"] and "\npexpect==" not in lists["windows"]


def test_every_package_keeps_its_hashes():
    text = needed(LOCK, SYSTEMS["linux"], "3.11")
    hashes = dict(re.findall(r"^(\S+==\S+)[^\\\n]*\\\n((?: +--hash.*\n)+)", LOCK, re.MULTILINE))
    listed = dict(re.findall(r"^(\S+==\S+) \\\n((?: +--hash.*\n)+)", text, re.MULTILINE))
    assert set(listed) == pins_of(text) and listed.items() <= hashes.items()
    assert ";" not in text, "pip would ask a marker about the computer that downloads"


def test_pip_is_told_the_laptops_system_and_checks_the_hashes(tmp_path):
    first, second, torch = downloads(tmp_path, "linux", "3.12")
    assert "--require-hashes" in first and str(tmp_path / "packages.txt") in first
    assert setup.CHAT_MODEL in second and "setuptools>=77" in second
    assert torch[-1].startswith("torch==") and "https://download.pytorch.org/whl/cpu" in torch
    assert len(list(downloads(tmp_path, "windows", "3.12"))) == 2, "PyPI's torch for Windows is the one for the CPU"
    for arguments in downloads(tmp_path, "windows", "3.12"):
        assert arguments[4:8] == ["--python-version", "3.12.99", "--platform", "win_amd64"]


def test_the_laptop_installs_from_the_folder_and_from_nowhere_else():
    assert {"PIP_NO_INDEX", "UV_OFFLINE"} <= set(OFFLINE)
    for text in scripts().values():
        assert "rag_lib.setup install" in text
        assert all(f"{name}={value}" in text for name, value in OFFLINE.items())
    assert scripts()["set_up.bat"].count("\r\n") == scripts()["set_up.bat"].count("\n")
    assert " " not in OFFLINE["PIP_FIND_LINKS"], "pip would end the path there"


def test_a_missing_system_is_asked_for(capsys):
    with pytest.raises(SystemExit):
        main(["folder"])
    assert "--system" in capsys.readouterr().err
