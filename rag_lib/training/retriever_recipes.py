"""How the museum's encoder was made, how well it searches, and the same recipe for anybody's own pairs.

Taught in notebooks/08_finetune_retriever.ipynb.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from rag_lib.adapters import adapter_weights, apply_adapter, merge_adapter
from rag_lib.dpr import DPREncoder
from rag_lib.encoders import SentenceEncoder
from rag_lib.evaluation import bootstrap, paired_difference
from rag_lib.knowledge_base import KnowledgeBase, indexed_text
from rag_lib.models import ADAPTER, UNTOUCHED_ENCODER, load_adapter, save_adapter
from rag_lib.museum import ARTICLES, load_dialogues, load_questions, load_splits
from rag_lib.museum_evaluation import gold_passages
from rag_lib.prompts import Source
from rag_lib.public_data import SQUAD, DataUnavailable, load_public
from rag_lib.rerankers import MaxSimReranker, RerankedRetriever
from rag_lib.retrievers import Retriever, make_retriever
from rag_lib.store import open_folder
from rag_lib.training.checkpoints import append_json, write_json
from rag_lib.training.pairs import (
    MARGIN,
    Pair,
    bm25_scores,
    distinct_passages,
    passage_text,
    read_pairs,
    with_negatives,
)
from rag_lib.training.processes import is_first
from rag_lib.training.retriever import OneTower, Settings, TwoTowers, train

# First against passages that share words with the question, then against those that the model itself mistakes.
MUSEUM = Settings(epochs=1, batch_size=24, rate=6e-4, late=0.5, max_tokens=128)
MINED = replace(MUSEUM, rate=5e-4, seed=1)
OWN = Settings(rate=5e-4, late=0.5)  # for a user's pairs, unless told otherwise
DPR = Settings(epochs=6, rate=1e-4, scale=1.0, rank=0, max_tokens=256)  # dot products need no scale

KEPT = 1.0  # share of the difference that is kept (Wortsman et al., 2022, "Robust fine-tuning")
GENERAL = 96  # pairs from SQuAD that are mixed in against forgetting
DEPTH = 20  # ranks beyond it count as not found
RANKS = "ranks.jsonl"

METRICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "recall@1": lambda ranks: (ranks == 1).astype(float),
    "recall@5": lambda ranks: ((ranks > 0) & (ranks <= 5)).astype(float),
    "recall@20": lambda ranks: (ranks > 0).astype(float),
    "MRR@20": lambda ranks: np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0),
    "nDCG@10": lambda ranks: np.where((ranks > 0) & (ranks <= 10), 1 / np.log2(ranks + 1.0), 0.0),
}


def values(ranks: Sequence[int], metric: str) -> np.ndarray:
    """A metric question by question, from the rank of the one right passage: 0 where it is not among the first 20."""
    ranks = np.asarray(ranks)
    with np.errstate(divide="ignore"):
        return METRICS[metric](ranks)


def ranks_of(queries: np.ndarray, passages: np.ndarray, right: Sequence[int]) -> np.ndarray:
    """The rank of each query's right passage (a row of `passages`), 0 beyond DEPTH; ties count against it."""
    scores = queries @ passages.T
    own = scores[np.arange(len(right)), right]
    ranks = (scores >= own[:, None]).sum(axis=1)
    return np.where(ranks <= DEPTH, ranks, 0)


def dense_ranks(encoder: SentenceEncoder, pairs: Sequence[Pair], passages: Sequence[Source]) -> np.ndarray:
    """The rank of each pair's passage among `passages`."""
    places = {passage: i for i, passage in enumerate(passages)}
    vectors = encoder.encode_passages([passage_text(p) for p in passages])
    return ranks_of(encoder.encode_queries([p.question for p in pairs]), vectors, [places[p.passage] for p in pairs])


def summary(ranks: np.ndarray) -> dict[str, float]:
    """Every metric's mean."""
    return {metric: round(float(values(ranks, metric).mean()), 4) for metric in METRICS}


def museum_pairs(knowledge: KnowledgeBase, split: str) -> list[Pair]:
    """A split's questions that have an answer, each with its passage; for training, the dialogues' questions too."""
    questions = [q for q in load_questions(split) if q.answers]
    asked = [(q, q.question, q.answers) for q in questions]
    if split == "train":
        turns = [turn for dialogue in load_dialogues(split) for turn in dialogue.turns if turn.evidence is not None]
        asked += [(turn, turn.standalone, ()) for turn in turns]
    gold = gold_passages([record for record, _, _ in asked], knowledge)
    pairs = []
    for (_, question, answers), ids in zip(asked, gold, strict=True):
        passage = knowledge.passages[min(ids)]
        pairs.append(Pair(question, Source(passage.title, passage.text), answers))
    return pairs


def passages_of(knowledge: KnowledgeBase, split: str) -> list[Source]:
    """The passages of a split's articles."""
    splits = load_splits()
    return [Source(p.title, p.text) for p in knowledge.passages.values() if splits[p.document_id] == split]


def squad_pairs(split: str, count: int) -> tuple[list[Pair], list[Source]]:
    """`count` SQuAD questions with their paragraphs, drawn with a seed, and up to 1,000 paragraphs, theirs first.

    Raises:
        DataUnavailable: SQuAD cannot be had.
    """
    rows = load_public(SQUAD, split)
    rows = rows.select(random.Random(0).sample(range(len(rows)), min(len(rows), 10 * count))).to_list()
    pairs = [
        Pair(
            r["question"],
            Source(r["title"].replace("_", " "), r["context"]),
            tuple(dict.fromkeys(r["answers"]["text"])),
        )
        for r in rows
    ]
    return pairs[:count], distinct_passages(pairs)[:1000]


def against_bm25(pairs: Sequence[Pair], passages: Sequence[Source]) -> list[Pair]:
    """Pairs with the negatives that share the most words with the question."""
    return with_negatives(pairs, passages, bm25_scores(pairs, passages))


def against_model(pairs: Sequence[Pair], passages: Sequence[Source], encoder: SentenceEncoder) -> list[Pair]:
    """Pairs with the negatives that the encoder itself finds nearest, but for those too near to be surely wrong."""
    vectors = encoder.encode_passages([passage_text(p) for p in passages], progress=True)
    return with_negatives(
        pairs, passages, encoder.encode_queries([p.question for p in pairs]) @ vectors.T, margin=MARGIN
    )


def train_museum(folder: Path, device: str = "cpu") -> None:
    """Trains the bundled encoder on the museum's train split, as a low-rank difference that is written to `folder`.

    A run that was stopped goes on; where there is a difference already, nothing is left to do.
    """
    if (folder / ADAPTER).is_file():
        return
    encoder = SentenceEncoder(UNTOUCHED_ENCODER, device)
    knowledge, _ = open_folder(ARTICLES, encoder)
    pairs, passages = museum_pairs(knowledge, "train"), passages_of(knowledge, "train")
    try:
        general = against_bm25(*squad_pairs("train", GENERAL))
    except DataUnavailable as error:
        print(f"trained without general pairs: {error}")
        general = []
    asked, among = museum_pairs(knowledge, "validation"), passages_of(knowledge, "validation")

    def evaluate() -> dict[str, float]:
        return summary(dense_ranks(encoder, asked, among))

    towers = OneTower(encoder, MUSEUM.max_tokens)
    train(towers, against_bm25(pairs, passages) + general, folder / "bm25", MUSEUM, evaluate)
    train(towers, against_model(pairs, passages, encoder) + general, folder / "mined", MINED, evaluate)
    difference = adapter_weights(encoder.model[0].auto_model)
    if is_first():
        save_adapter({k: KEPT * v if k.endswith(".b") else v for k, v in difference.items()}, folder)
        write_json(folder / "settings.json", {"bm25": asdict(MUSEUM), "mined": asdict(MINED), "kept": KEPT})


def own_pairs(data: Path) -> tuple[list[Pair], list[Pair]]:
    """The pairs of a folder to train on and those held out; says which rows were left out."""
    training, held_out, broken = read_pairs(data)
    if is_first():
        for row in broken:
            print(f"left out: {row}", file=sys.stderr)
        print(f"{len(training)} pairs to train on, {len(held_out)} held out, {len(broken)} rows left out")
    return training, held_out


def train_on_pairs(
    data: Path, folder: Path, settings: Settings = OWN, name: str | None = None, device: str = "cpu"
) -> None:
    """Trains an encoder on a user's own pairs; `folder` becomes a Sentence Transformers model.

    The weights that do best on what is held out (see `read_pairs`) are kept.

    Raises:
        ValueError: there are too few pairs.
        ModelUnavailable: the encoder cannot be had.
        CheckpointUnusable: the folder holds a run with other settings or data.
    """
    training, held_out = own_pairs(data)
    encoder = SentenceEncoder(name, device)
    passages = distinct_passages([*training, *held_out])
    towers = OneTower(encoder, settings.max_tokens)
    evaluate = (lambda: summary(dense_ranks(encoder, held_out, passages))) if held_out else None
    train(towers, against_bm25(training, distinct_passages(training)), folder / "run", settings, evaluate)
    merge_adapter(encoder.model)
    if is_first():
        encoder.model.save_pretrained(str(folder), create_model_card=False)
        write_json(folder / "training.json", asdict(settings) | {"pairs": len(training), "held_out": len(held_out)})


def train_dpr(data: Path, folder: Path, settings: Settings = DPR, device: str = "cpu") -> None:
    """Trains DPR's two towers on a user's own pairs, into the folders `question` and `passage` inside `folder`.

    The weights that do best on what is held out (see `read_pairs`) are kept.

    Raises:
        ValueError: there are too few pairs.
        CheckpointUnusable: the folder holds a run with other settings or data.
    """
    training, held_out = own_pairs(data)
    encoder = DPREncoder(device=device)
    passages = distinct_passages([*training, *held_out])
    places = {passage: i for i, passage in enumerate(passages)}

    def evaluate() -> dict[str, float]:
        questions, vectors = encoder.encode_questions([p.question for p in held_out]), encoder.encode_passages(passages)
        return summary(ranks_of(questions, vectors, [places[p.passage] for p in held_out]))

    negatives = against_bm25(training, distinct_passages(training))
    towers = TwoTowers(encoder, settings.max_tokens)
    train(towers, negatives, folder / "run", settings, evaluate if held_out else None)
    for module, place in ((encoder.question, "question"), (encoder.passage, "passage")):
        merge_adapter(module)
        if is_first():
            module.save_pretrained(folder / place)
            encoder.tokenizer.save_pretrained(folder / place)


class ReadOnce(MaxSimReranker):
    """An encoder and a reranker that have read all their texts in advance, in bfloat16, about twice as fast."""

    def __init__(self, encoder: SentenceEncoder, texts: Sequence[str]) -> None:
        super().__init__(encoder)
        with torch.autocast(encoder.model.device.type, torch.bfloat16):
            read = encoder.model.encode(list(texts), output_value=None, batch_size=16, show_progress_bar=True)
        self.vectors = {t: unit(r["sentence_embedding"]) for t, r in zip(texts, read, strict=True)}
        self.tokens = {
            t: unit(r["token_embeddings"][r["attention_mask"].bool()]) for t, r in zip(texts, read, strict=True)
        }

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (len(texts), dimension)."""
        return np.stack([self.vectors[t] for t in texts])

    def token_vectors(self, texts: Sequence[str]) -> list[np.ndarray]:
        """See `MaxSimReranker.token_vectors`."""
        return [self.tokens[t] for t in texts]


def unit(vectors: torch.Tensor) -> np.ndarray:
    """Vectors of length one, float32."""
    return torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy()


def museum_retrievers(
    questions: Sequence[str], knowledge: KnowledgeBase, untouched: SentenceEncoder, trained: SentenceEncoder
) -> dict[str, Retriever]:
    """Every way of searching, with the untouched encoder and with the trained one.

    "reranked, trained search" searches with the trained encoder and compares tokens with the untouched one.
    """
    passages = list(knowledge.passages.values())
    texts = [indexed_text(p) for p in passages]
    found: dict[str, Retriever] = {"BM25": make_retriever("bm25", knowledge, untouched)}
    before = None
    for name, encoder in (("untouched", untouched), ("trained", trained)):
        read = ReadOnce(encoder, [*texts, *questions])
        known = KnowledgeBase(passages, read.encode_queries(texts), knowledge.settings, encoder.fingerprint())
        hybrid = make_retriever("hybrid", known, read)
        found |= {f"dense, {name}": make_retriever("dense", known, read), f"hybrid, {name}": hybrid}
        if before is not None:
            found["reranked, trained search"] = RerankedRetriever(hybrid, before, known)
        found[f"reranked, {name}"] = RerankedRetriever(hybrid, read, known)
        before = read
    return found


def measure(folder: Path, splits: Sequence[str]) -> None:
    """Adds every system's ranks to `folder`/ranks.jsonl and writes what follows from them to `folder`/figures.json.

    Args:
        splits: of the museum, or "squad", on whose validation paragraphs it is seen what was forgotten.
    """
    if not is_first():
        return
    untouched, trained = SentenceEncoder(UNTOUCHED_ENCODER), SentenceEncoder(UNTOUCHED_ENCODER)
    apply_adapter(trained.model[0].auto_model, load_adapter(folder))

    def store(split: str, system: str, ranks: Sequence[int]) -> None:
        append_json(folder / RANKS, {"split": split, "system": system, "ranks": [int(r) for r in ranks]})

    knowledge, _ = open_folder(ARTICLES, untouched)
    asked = {split: museum_pairs(knowledge, split) for split in splits if split != "squad"}
    if asked:
        places = {Source(p.title, p.text): p.id for p in knowledge.passages.values()}
        questions = [p.question for pairs in asked.values() for p in pairs]
        for name, retriever in museum_retrievers(questions, knowledge, untouched, trained).items():
            for split, pairs in asked.items():
                store(split, name, [rank(retriever, p, places) for p in tqdm(pairs, desc=f"{split}: {name}")])
    if "squad" in splits:
        general, paragraphs = squad_pairs("validation", 600)
        for name, encoder in (("untouched", untouched), ("trained", trained)):
            with torch.autocast(encoder.model.device.type, torch.bfloat16):
                store("squad", f"dense, {name}", dense_ranks(encoder, general, paragraphs))
    write_json(folder / "figures.json", figures(folder / RANKS))


def rank(retriever: Retriever, pair: Pair, places: Mapping[Source, str]) -> int:
    """The rank of a pair's passage, 0 where it is not among the first DEPTH."""
    ids = [hit.id for hit in retriever.retrieve(pair.question, DEPTH)]
    return ids.index(places[pair.passage]) + 1 if places[pair.passage] in ids else 0


def load_ranks(path: Path) -> dict[str, dict[str, list[int]]]:
    """The ranks that `measure` stored, by split and system; a later row replaces an earlier."""
    found: dict[str, dict[str, list[int]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row["split"], {})[row["system"]] = row["ranks"]
    return found


def figures(path: Path) -> dict:
    """Every metric with its interval, and the paired differences between trained and untouched, by split."""
    report: dict = {}
    for split, systems in load_ranks(path).items():
        report[split] = {
            name: {metric: asdict(bootstrap(values(ranks, metric))) for metric in METRICS}
            for name, ranks in systems.items()
        }
        for name, ranks in systems.items():
            before = systems.get(name.split(",")[0] + ", untouched")
            if before and ", trained" in name:
                report[split][f"{name} - untouched"] = {
                    metric: asdict(paired_difference(values(ranks, metric), values(before, metric)))
                    for metric in METRICS
                }
    return report
