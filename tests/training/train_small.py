"""Trains a small model in a process of its own: python train_small.py generator|retriever FOLDER.

Several processes (torchrun) share the training. Each writes what it read, a step or a part of one a line, to a file of
its own in FOLDER, and the weights that it ends with to another.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
from fakes import SETTINGS, save_tiny_encoder, small_model
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerBase

from rag_lib.evaluation.squad import parse
from rag_lib.files import append_json
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.models.reader import BartReader
from rag_lib.models.weights import load_minilm
from rag_lib.training.generator import learning
from rag_lib.training.generator.examples import ReadingTask, search_contexts
from rag_lib.training.generator.triples import triple_from_row
from rag_lib.training.processes import joined, rank
from rag_lib.training.retriever import contrastive
from rag_lib.training.retriever.contrastive import OneTower, RetrieverSettings
from rag_lib.training.retriever.pairs import bm25_scores, distinct_passages, pair_from_row, with_negatives

PEOPLE = {
    "Ada": "Aarhus", "Bela": "Bergen", "Cora": "Cadiz", "Dora": "Delft",
    "Edda": "Essen", "Fred": "Faro", "Gus": "Ghent", "Hal": "Hull",
}  # fmt: skip
ROWS = [
    {
        "question": question,
        "title": f"{name} Finch",
        "context": f"{name} Finch was born in {place}. The boat of {name} is Gull {i}. It has {i + 2} masts.",
        "answers": [answer],
    }
    for i, (name, place) in enumerate(PEOPLE.items())
    for question, answer in (
        (f"Where was {name} Finch born?", place),
        (f"How many masts has Gull {i}?", f"{i + 2} masts"),
    )
]
# An epoch of the generator is a pool of 16 examples, four steps; one of the retriever two batches of four passages.
GENERATOR = replace(
    SETTINGS, bfloat16=False, encoder_rate=1e-3, decoder_rate=1e-3, evaluate_every=4, patience=99, save_every=0.0
)
RETRIEVER = RetrieverSettings(
    epochs=16, batch_size=4, rate=1e-3, rank=0, late=0.5, max_tokens=48, bfloat16=False, save_every=0.0
)
EPOCHS = {"generator": 4, "retriever": 16}

Weights = dict[str, torch.Tensor]


def file_of_reading(folder: Path, process: int) -> Path:
    """The file for what a process reads."""
    return folder / f"read-{process}.jsonl"


def file_of_weights(folder: Path, process: int) -> Path:
    """The file for the weights that a process ends with."""
    return folder / f"final-{process}.safetensors"


def write_down(folder: Path, tokenizer: PreTrainedTokenizerBase, ids: torch.Tensor) -> None:
    """Adds a line to the file of this process: the texts that it now reads, ids (R, L)."""
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in ids.tolist()]
    append_json(file_of_reading(folder, rank()), {"texts": texts})


def read_by(folder: Path, process: int) -> list[list[str]]:
    """The texts that a process read, line by line."""
    lines = file_of_reading(folder, process).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["texts"] for line in lines]


def start_of(model: str) -> BartReader | SentenceEncoder:
    """What training starts from, the same in every process.

    Made before a process joins others: of these, only the first would save anything.
    """
    if model == "generator":
        return small_model(load_minilm()[1])
    with tempfile.TemporaryDirectory() as folder:
        return SentenceEncoder(save_tiny_encoder(Path(folder)))


def weights_of(trained: BartReader | SentenceEncoder) -> Weights:
    """A copy of the weights, each named once."""
    module = trained.model if isinstance(trained, SentenceEncoder) else trained
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def train_generator(model: BartReader, folder: Path, pause: float) -> None:
    """Trains on all rows, four times over."""
    tokenizer = load_minilm()[1]
    triples = [triple_from_row(parse(row)) for row in ROWS]
    losses = learning.losses

    def observed(model, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The losses of this process's share of a batch; an example is known by the first of its rows."""
        items = batch["items"].tolist()
        firsts = [row for row, item in enumerate(items) if item not in items[:row]]
        write_down(folder, tokenizer, batch["input_ids"][firsts])
        return losses(model, batch)

    def evaluate(_) -> dict[str, float]:
        """Ever better, so that the last weights are the ones kept."""
        time.sleep(pause)
        return {"em": time.time()}

    with mock.patch.object(learning, "losses", observed):
        tasks = {"read": ReadingTask(triples, search_contexts(triples))}
        learning.train(model, tokenizer, tasks, folder, GENERATOR, evaluate)


def train_retriever(encoder: SentenceEncoder, folder: Path, pause: float) -> None:
    """Trains on all rows, sixteen times over."""
    pairs = [pair_from_row(parse(row)) for row in ROWS]
    passages = distinct_passages(pairs)

    class Observed(OneTower):
        """Writes down this process's share of a batch's questions, and then of its passages."""

        def embed(self, module, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            write_down(folder, self.model.tokenizer, inputs["input_ids"])
            return super().embed(module, inputs)

    def evaluate() -> dict[str, float]:
        """Ever better, so that the last weights are the ones kept."""
        time.sleep(pause)
        return {"nDCG@10": time.time()}

    negatives = with_negatives(pairs, passages, bm25_scores(pairs, passages), 3)
    contrastive.train(Observed(encoder, RETRIEVER.max_tokens), negatives, folder, RETRIEVER, evaluate)


def train(model: str, start: BartReader | SentenceEncoder, folder: Path, pause: float = 0.0) -> Weights:
    """Trains what `start_of` made and returns its final weights; `pause` is how many seconds an evaluation takes."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    (train_generator if model == "generator" else train_retriever)(start, folder, pause)
    return weights_of(start)


if __name__ == "__main__":
    model, folder = sys.argv[1], Path(sys.argv[2])
    start = start_of(model)
    with joined("cpu"):
        save_file(train(model, start, folder, pause=0.1), file_of_weights(folder, rank()))
