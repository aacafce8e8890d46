"""What the options of the command line accept: each type makes a value of a word, or says in one line what is wrong."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, and ends with 2."""

    def error(self, message: str) -> NoReturn:
        """Ends the program."""
        print(f"error: {' '.join(message.split())} (see {self.prog} --help)", file=sys.stderr)
        self.exit(2)


def whole(least: int, most: int = 1_000_000) -> Callable[[str], int]:
    """A whole number from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {least} (at most {most}), not {text!r}"
            )
        return value

    return parse


def number(above: float, most: float) -> Callable[[str], float]:
    """A number above `above` and not above `most`, so neither nan nor infinite."""
    return parsed(lambda value: above < value <= most, f"above {above:g} and at most {most:g}")


def share(text: str) -> float:
    """A number from 0 to 1."""
    return parsed(lambda value: 0 <= value <= 1, "from 0 to 1")(text)


def parsed(is_right: Callable[[float], bool], what: str) -> Callable[[str], float]:
    """A number that is right; `what` says which are."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not is_right(value):
            raise argparse.ArgumentTypeError(f"must be a number {what}, not {text!r}")
        return value

    return parse


def folder(text: str) -> Path:
    """A folder that is there."""
    path = there(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file, not a folder")
    return path


def file(rows: str) -> Callable[[str], Path]:
    """A file that is there, or what can be read like one; `rows` says of what."""

    def parse(text: str) -> Path:
        path = there(text)
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{text} is a folder; a file of {rows} was expected")
        return path

    return parse


def there(text: str) -> Path:
    """A file or a folder that is there."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it needs a name")
    if not is_there(text):
        raise argparse.ArgumentTypeError(f"there is no {text[:200]}")
    return Path(text)


def new_folder(text: str) -> Path:
    """A folder that is there or can be made, and can be written into."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it needs a name")
    if is_there(text) and not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file, not a folder")
    nearest = next(p for p in (Path(text), *Path(text).absolute().parents) if is_there(p))
    check_writable(nearest, text)
    return Path(text)


def new_file(text: str) -> Path:
    """A file that can be written, or written anew."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it needs a name")
    if is_there(text) and Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder, not a file")
    check_writable(Path(text).absolute().parent, text)
    return Path(text)


def unused_file(text: str) -> Path:
    """A file that can be written and is not there yet: nothing of the user's is overwritten."""
    path = new_file(text)
    if is_there(path):
        raise argparse.ArgumentTypeError(f"{text} is there already, and nothing is overwritten: name another file")
    return path


def is_there(path: str | Path) -> bool:
    """Whether there is something of this name; not where it is no name, or too long for one."""
    try:
        return bool(str(path).strip()) and Path(path).exists()
    except (OSError, ValueError):
        return False


def check_writable(folder: Path, name: str) -> None:
    """Raises argparse.ArgumentTypeError where no file can be made in a folder, without leaving one there."""
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.stat(name)  # fails for what can be no name
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise argparse.ArgumentTypeError(f"{name[:200]} cannot be written ({reason})") from error


def model_name(text: str) -> str:
    """A model by its name, or its folder."""
    if not is_there(text) and not HUB_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"there is no folder {text[:200]!r}, and a model's name is like owner/name")
    return text


def retriever_name(known: Collection[str], others: str) -> Callable[[str], str]:
    """One of the known names, a published cross-encoder's, or the folder of a trained model."""

    def parse(text: str) -> str:
        trained = is_there(text) and any(is_there(Path(text) / part) for part in ("question", "shards.json"))
        if text in known or text.startswith("cross-encoder/") or trained:
            return text
        said = f"no retriever is called {text[:200]!r}; there are {', '.join(known)}, {others}"
        raise argparse.ArgumentTypeError(said)

    return parse


def device(text: str) -> str:
    """A device to train on."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"must be cpu or cuda, not {text[:200]!r}")
    return text
