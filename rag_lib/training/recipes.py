"""How the bundled generator was made, stage by stage; each stage starts from the weights of the one before.

    read     MiniLM → a reader of single passages: SQuAD and QED
    jobs     → all jobs, several sources, no answer: SQuAD, QED, SciTLDR
    museum   → the museum's train split, as a low-rank difference
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.encoders import SentenceEncoder
from rag_lib.evaluation import answer_rows, bootstrap, exact_match, f1, score_answers
from rag_lib.generators import Seq2SeqGenerator
from rag_lib.museum import ARTICLES, load_articles, load_dialogues, load_dossiers, load_questions, load_summaries
from rag_lib.prompts import ANSWER, NO_ANSWER, REPLY, REWRITE, Source, with_history
from rag_lib.public_data import QED, SCITLDR, SQUAD, load_public
from rag_lib.retrievers import make_retriever
from rag_lib.store import open_folder
from rag_lib.training.examples import (
    Example,
    Fixed,
    FollowUps,
    Phase,
    Reading,
    Task,
    Triple,
    load_triples,
    search_contexts,
    summary_example,
)
from rag_lib.training.features import Settings

DECODER_LAYERS = 3
HELD_OUT = 500  # questions of the validation split that are asked while training

READ = Settings(
    phases=(
        Phase(10_240, words=(30, 60), quotes=1.0),
        Phase(34_816, words=(40, 110)),
        Phase(12_288, words=(40, 160), quotes=0.05, sources=(1, 3)),
    ),
)
JOBS = Settings(
    phases=(
        Phase(
            20_480,
            words=(40, 120),
            sources=(1, 5),
            apart=0.7,
            missing=0.2,
            quotes=0.08,
            mixture=(("read", 0.82), ("rewrite", 0.1), ("summarize", 0.08)),
        ),
    ),
    batch_size=16,
    encoder_rate=8e-5,
    decoder_rate=4e-4,
    decay=0.6,
    evaluate_every=4_000,
)
MUSEUM = Settings(
    phases=(
        Phase(
            10_240,
            words=(40, 90),
            sources=(2, 6),
            apart=0.8,
            missing=0.1,
            quotes=0.05,
            mixture=(("museum", 0.55), ("none", 0.05), ("read", 0.15), ("reply", 0.1), ("rewrite", 0.08), ("summarize", 0.07)),
        ),
    ),
    batch_size=16,
    encoder_rate=7e-4,
    decoder_rate=7e-4,
    rank=16,
    warmup_steps=50,
    decay=0.6,
    max_target=100,
    evaluate_every=2_000,
)


def public_tasks() -> dict[str, Task]:
    """Reading, following up and summarising, from public data alone."""
    triples = load_triples([*load_public(SQUAD, "train"), *load_public(QED, "train")])
    papers = load_public(SCITLDR, "train")
    return {
        "read": Reading(triples, search_contexts(triples)),
        "rewrite": FollowUps(triples),
        "summarize": Fixed([summary_example(p["title"], p["abstract"], p["summaries"][0]) for p in papers]),
    }
