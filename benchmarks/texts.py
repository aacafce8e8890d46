"""Passages to measure with: the docstrings of the installed Python packages, so that nothing is downloaded."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

QUERY_WORDS = 8


def paragraphs() -> Iterator[str]:
    """Paragraphs of at least ten words from the docstrings of the installed packages, in the order of their files."""
    for path in sorted(Path(sysconfig.get_path("purelib")).rglob("*.py")):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                    if len(paragraph.split()) >= 10:
                        yield " ".join(paragraph.split())


def collect(count: int) -> list[str]:
    """At most so many different paragraphs, in random order (fixed seed), so that none stands beside its neighbours."""
    texts: dict[str, None] = {}
    for text in paragraphs():
        texts[text] = None
        if len(texts) == count:
            break
    return [list(texts)[i] for i in np.random.default_rng(0).permutation(len(texts))]


def as_queries(texts: list[str]) -> list[str]:
    """The first words of each text."""
    return [" ".join(text.split()[:QUERY_WORDS]) for text in texts]


def unit_vectors(n: int, dimension: int, seed: int) -> np.ndarray:
    """Random vectors (n, dimension) of length one, float32."""
    vectors = np.random.default_rng(seed).standard_normal((n, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def vectors_in_groups(n: int, dimension: int, seed: int) -> np.ndarray:
    """Random unit vectors around a thousandth as many centres, as texts lie: an inverted file has something to find."""
    centres = unit_vectors(max(n // 1000, 16), dimension, 0)
    rng = np.random.default_rng(seed + 1)
    near = centres[rng.integers(0, len(centres), n)] + 0.7 * unit_vectors(n, dimension, seed + 2)
    return near / np.linalg.norm(near, axis=1, keepdims=True)
