"""Trains the small model of test_training in a process of its own: python train_small.py FOLDER."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from test_training import SETTINGS, load_minilm, reading, small_model

from rag_lib.training.generator import train
from rag_lib.training.processes import is_first, joined

EXACT = replace(
    SETTINGS, bfloat16=False, encoder_rate=1e-3, decoder_rate=1e-3, evaluate_every=4, patience=99, save_every=0.0
)
FINAL = "final.safetensors"


def run(folder: Path, pause: float = 0.0) -> dict[str, torch.Tensor]:
    """The final weights, each named once; `pause` is how many seconds every step takes at least."""
    torch.set_num_threads(1)
    tokenizer = load_minilm()[1]
    model = small_model(tokenizer)

    def evaluate(_) -> dict[str, float]:
        """Ever better, so that the last weights are the ones kept."""
        time.sleep(pause)
        return {"em": time.time()}

    train(model, tokenizer, {"read": reading()}, folder, EXACT, evaluate)
    return {name: p.detach().clone() for name, p in model.named_parameters()}


if __name__ == "__main__":
    with joined("cpu"):
        weights = run(Path(sys.argv[1]), pause=0.1)
        if is_first():
            save_file(weights, Path(sys.argv[1]) / FINAL)
