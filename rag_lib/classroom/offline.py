"""One folder to copy to thirty laptops that have no network: the course, and every package of the lock.

`python -m rag_lib.classroom.offline FOLDER --system windows` makes it, on a computer with a network, for one kind of
laptop: `linux`, `macos` (Apple silicon) or `windows`. `--python 3.12` and `--model NAME` (of the Hugging Face hub, as
often as needed) add to it. On a laptop, `set_up.sh` or `set_up.bat` in the folder does the rest.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from rag_lib.files import write_atomically
from rag_lib.setup import CHAT_MODEL, ROOT, locked

BLOCK = re.compile(r"^(\S+==[^\\\n]+?) \\\n(?: +--hash.*\n)+", re.MULTILINE)
NEWEST = 99  # stands for the newest release of a Python: some packages want more than its first
BUILDER = "setuptools>=77"  # builds the course itself, and the few packages that come as source
TORCH_FOR_THE_CPU = "https://download.pytorch.org/whl/cpu"  # on Linux, as in rag_lib/setup.py


@dataclass(frozen=True)
class System:
    """A kind of laptop: the platforms of its wheels, and what the markers of the lock ask about it."""

    platforms: tuple[str, ...]
    markers: dict[str, str]


SYSTEMS = {
    "linux": System(
        (*(f"manylinux_2_{n}_x86_64" for n in range(34, 4, -1)), "manylinux2014_x86_64", "manylinux1_x86_64"),
        {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    ),
    "macos": System(
        ("macosx_14_0_arm64", "macosx_14_0_universal2"),
        {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    ),
    "windows": System(
        ("win_amd64",),
        {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
    ),
}
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": "../wheels",  # relative: pip takes a space in a path for the end of it
    "UV_OFFLINE": "1",
    "UV_FIND_LINKS": "../wheels",
}


def needed(lock: str, system: System, python: str) -> str:
    """The part of the lock that is for this kind of laptop and the newest release of this Python (`3.11`).

    Hashes stay. Markers go, for pip would ask them about the computer that downloads.
    """
    environment = system.markers | {
        "python_version": python,
        "python_full_version": f"{python}.{NEWEST}",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    fitting = []
    for block in BLOCK.finditer(lock):
        marker = Requirement(block[1]).marker
        if marker is None or marker.evaluate(environment):
            fitting.append(block[0].replace(block[1], block[1].partition(" ;")[0], 1))
    return "".join(fitting)


def downloads(folder: Path, name: str, python: str) -> Iterator[list[str]]:
    """The arguments of pip that fetch all wheels; the list that they name is `packages.txt` in the folder."""
    system = SYSTEMS[name]
    fetch = ["download", "--no-deps", "--dest", str(folder / "wheels"), "--python-version", f"{python}.{NEWEST}"]
    fetch += [word for platform in system.platforms for word in ("--platform", platform)]
    yield [*fetch, "--require-hashes", "-r", str(folder / "packages.txt")]
    yield [*fetch, BUILDER, CHAT_MODEL]
    if name == "linux":
        yield [*fetch, "--index-url", TORCH_FOR_THE_CPU, locked("torch").split()[0]]


def scripts() -> dict[str, str]:
    """What sets the course up on a laptop, by file name."""
    setting = {"sh": "export", "bat": "set"}
    offline = {kind: [f"{word} {name}={value}" for name, value in OFFLINE.items()] for kind, word in setting.items()}
    shell = [
        "#!/bin/sh",
        'cd "$(dirname "$0")/course" || exit 1',
        *offline["sh"],
        "exec python3 -m rag_lib.setup install",
    ]
    batch = ["@echo off", 'cd /d "%~dp0course"', *offline["bat"], "py -m rag_lib.setup install", "pause"]
    return {"set_up.sh": "\n".join([*shell, ""]), "set_up.bat": "\r\n".join([*batch, ""])}


def make_folder(folder: Path, name: str, python: str = "3.11", models: Sequence[str] = ()) -> None:
    """Makes the folder.

    Raises:
        subprocess.CalledProcessError: git or pip failed, and has said why.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "course").exists():
        clone = ["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(folder / "course")]
        subprocess.run(clone, check=True)
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    listed = needed(lock, SYSTEMS[name], python)
    if name == "linux":
        listed = listed.replace(locked("torch"), "")
    write_atomically(folder / "packages.txt", listed.encode())
    for arguments in downloads(folder, name, python):
        subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)
    for file, text in scripts().items():
        write_atomically(folder / file, text.encode())
        (folder / file).chmod(0o755)
    for model in models:
        from huggingface_hub import snapshot_download

        snapshot_download(model, cache_dir=folder / "huggingface" / "hub")


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m rag_lib.classroom.offline", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--system", choices=SYSTEMS, required=True, help="what the laptops run")
    parser.add_argument("--python", choices=["3.11", "3.12", "3.13"], default="3.11", help="the laptops' Python")
    parser.add_argument("--model", action="append", default=[], help="a model of the Hugging Face hub to take along")
    options = parser.parse_args(arguments)
    try:
        make_folder(options.folder.resolve(), options.system, options.python, options.model)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"error: the folder is not complete: {error}", file=sys.stderr)
        return 1
    print(f"{options.folder} is complete: copy it to each laptop, then run set_up.sh or set_up.bat there")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
