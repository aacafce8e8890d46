"""The command `train`, but for what is the museum's."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace

from rag_lib.training.processes import is_first, joined
from rag_lib.training.retriever.contrastive import RetrieverSettings


def generator_settings(options: argparse.Namespace) -> dict[str, float]:
    """The generator's settings that were given, by name."""
    given = {"rank": options.rank, "batch_size": options.batch_size}
    given |= {"encoder_rate": options.rate, "decoder_rate": options.rate}
    return {name: value for name, value in given.items() if value is not None}


def retriever_settings(options: argparse.Namespace) -> dict[str, float]:
    """The retriever's settings that were given, by name."""
    given = vars(options)
    return {f.name: given[f.name] for f in fields(RetrieverSettings) if given.get(f.name) is not None}


def train_generator(options: argparse.Namespace) -> None:
    """Trains on a user's own triples, or a public stage of the bundled generator."""
    from rag_lib.training.generator.recipes import train_own, train_stage

    changes = generator_settings(options)
    if options.stage and changes:
        raise ValueError("--rank, --rate and --batch-size go with --data; a stage has its own")
    with joined(options.device) as device:
        if options.data:
            train_own(options.data, options.output, options.start, options.examples, device, **changes)
        else:
            train_stage(options.stage, options.output, options.start, options.examples, device)


def train_retriever(options: argparse.Namespace) -> None:
    """Trains an encoder, or DPR's two, on a user's own pairs."""
    from rag_lib.training.retriever.recipes import DPR, OWN, train_dpr, train_on_pairs

    if options.model == "cross-encoder" or options.examples is not None:
        raise ValueError("a cross-encoder, and --examples, go with the museum's recipe, without --data")
    changes = retriever_settings(options)
    with joined(options.device) as device:
        if options.model == "dpr":
            train_dpr(options.data, options.output, replace(DPR, **changes), device)
        else:
            train_on_pairs(options.data, options.output, replace(OWN, **changes), options.encoder, device)
        if is_first():
            print(f"model: {options.output}")
