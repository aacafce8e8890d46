"""The command line: `python -m rag_lib ask|chat|serve|summarize|recommend|index|evaluate|train`.

Each command lives in its room, in `commands`.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from importlib import import_module

from rag_lib.grammar import parser
from rag_lib.retrieval.base import check_query


def import_transformers() -> None:
    """Imports Transformers as on a machine without SciPy, which only its object detectors want: seconds less."""
    if "scipy" not in sys.modules:
        sys.modules["scipy"] = None  # so Python marks what cannot be imported
        import_module("transformers.modeling_utils")
        del sys.modules["scipy"]


def run(options: argparse.Namespace) -> None:
    """Runs the command that was parsed."""
    home = options.command if isinstance(options.command, str) else options.command(options)
    if home == "pipeline.commands:ask":
        check_query(options.question)  # before anything is loaded
    import_transformers()
    module, name = home.split(":")
    getattr(import_module(f"rag_lib.{module}"), name)(options)


def line_of(error: Exception) -> str:
    """An error in one line; one that was not foreseen says how to see more."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, (ValueError, RuntimeError, OSError)):
        return line
    return f"{type(error).__name__}: {line} (not foreseen; with RAG_DEBUG=1 it says where)"


def main(arguments: list[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0 when it went well, 1 with one clear line when it did not, 2 for options that make no sense, 130 when stopped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows "?" and the rest
    options = parser().parse_args(arguments)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # our own line says what is wrong
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    try:
        run(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except Exception as error:  # a stack trace says nothing to whoever asks a question
        if os.environ.get("RAG_DEBUG"):
            raise
        print(f"error: {line_of(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
