"""The start of a process: the imports that a question might cost, and a second question to the museum."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from benchmarks.side_by_side import Peer, Row, side_by_side

QUESTION = "Who was the first woman in space?"
COMMANDS = {
    "a second `ask`": ["-m", "rag_lib", "ask", "--", QUESTION],
    "PyTorch": ["-c", "import torch"],
    "Transformers and its models": ["-c", "import transformers.modeling_utils, transformers.generation.utils"],
    "Sentence Transformers": ["-c", "import sentence_transformers"],
}


def command(arguments: Sequence[str]) -> str:
    """What a fresh process prints."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, env=os.environ
    ).stdout


def measure(sizes: Sequence[int], rounds: int, items: int) -> Iterator[Row]:
    """Each in a process of its own."""
    peers = [Peer(name, "", lambda a=a: lambda: command(a)) for name, a in COMMANDS.items()]
    yield from side_by_side("start", "a fresh process", peers, rounds, 1)
