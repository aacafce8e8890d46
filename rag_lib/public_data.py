"""SQuAD, QED and SciTLDR, from the folder that RAG_DATASETS names, else from the Hugging Face hub."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

from datasets import Dataset, load_dataset

SQUAD = "rajpurkar/squad"
QED = "google-research-datasets/qed"
SCITLDR = "allenai/scitldr"


class DataUnavailable(RuntimeError):
    """A public data set is neither in the folder that RAG_DATASETS names nor to be had from the hub."""


def local_file(name: str, split: str) -> Path | None:
    """The file of a split under RAG_DATASETS, or None where there is none."""
    folder = os.environ.get("RAG_DATASETS")
    if not folder:
        return None
    path = Path(folder) / name / f"{split}.jsonl.gz"
    return path if path.is_file() else None


def load_public(name: str, split: str) -> Dataset:
    """A split of a public data set, by its name on the hub.

    Raises:
        DataUnavailable: no local file, and the hub did not give it.
    """
    path = local_file(name, split)
    if path is not None:
        return load_dataset("json", data_files=str(path), split="train")
    try:
        return load_dataset(name, split=split)
    except Exception as error:  # the hub client raises a dozen kinds
        raise DataUnavailable(
            f"{name} ({split}) could not be loaded: set RAG_DATASETS to a folder that holds {name}/{split}.jsonl.gz, "
            f"or connect to the network ({type(error).__name__})"
        ) from error


def read_rows(path: Path, limit: int | None = None, seed: int = 0) -> list[dict]:
    """Rows laid out as in SQuAD from a file of JSON lines, gzipped or not; with `limit`, so many drawn with the seed.

    Raises:
        ValueError: a line is no such row; the message has its number.
    """
    rows = []
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                complete = isinstance(row["question"], str) and isinstance(row["context"], str)
                complete = complete and isinstance(row["answers"]["text"], list)
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not a row with question, context and answers") from error
            if not complete:
                raise ValueError(f"{path}, line {number}: question and context must be texts, answers.text a list")
            rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return random.Random(seed).sample(rows, limit) if limit and limit < len(rows) else rows
