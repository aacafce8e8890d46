"""How the museum's encoder was made, and how well it searches (taught in notebooks/08_finetune_retriever.ipynb)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from rag_lib.evaluation.ranking import of_ranks
from rag_lib.evaluation.squad import DataUnavailable
from rag_lib.evaluation.statistics import bootstrap, paired_difference
from rag_lib.files import ARTICLES, append_json, read_json_lines, write_json
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Source, indexed_text
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.knowledge_base import KnowledgeBase
from rag_lib.indexing.store import open_folder
from rag_lib.models.adapters import adapter_weights, apply_adapter
from rag_lib.models.processor import in_half
from rag_lib.models.weights import ADAPTER, UNTOUCHED_ENCODER, load_adapter, save_adapter
from rag_lib.museum.collection import load_dialogues, load_questions, load_splits
from rag_lib.museum.measure import gold_passages
from rag_lib.retrieval.base import Retriever
from rag_lib.retrieval.catalogue import make_retriever
from rag_lib.retrieval.rerankers import MaxSimReranker
from rag_lib.retrieval.retrievers import RerankedRetriever
from rag_lib.training.processes import is_first
from rag_lib.training.retriever.contrastive import OneTower, RetrieverSettings, train
from rag_lib.training.retriever.pairs import Pair
from rag_lib.training.retriever.recipes import (
    DEPTH,
    METRICS,
    against_bm25,
    against_model,
    dense_ranks,
    squad_pairs,
    summary,
)

# First against passages that share words with the question, then against those that the model itself mistakes.
MUSEUM = RetrieverSettings(epochs=1, batch_size=24, rate=6e-4, late=0.5, max_tokens=128)
MINED = replace(MUSEUM, rate=5e-4, seed=1)

KEPT = 1.0  # share of the difference that is kept (Wortsman et al., 2022, "Robust fine-tuning")
GENERAL = 96  # pairs from SQuAD that are mixed in against forgetting
RANKS = "ranks.jsonl"


def museum_pairs(knowledge: KnowledgeBase, split: str) -> list[Pair]:
    """A split's questions that have an answer, each with its passage; for training, the dialogues' questions too."""
    questions = [q for q in load_questions(split) if q.evidence]
    asked = [(q, q.question, q.accepted) for q in questions]
    if split == "train":
        turns = [turn for dialogue in load_dialogues(split) for turn in dialogue.turns if turn.evidence is not None]
        asked += [(turn, turn.standalone, ()) for turn in turns]
    gold = gold_passages([record for record, _, _ in asked], knowledge)
    pairs = []
    for (_, question, answers), ids in zip(asked, gold, strict=True):
        passage = knowledge.passages[min(ids)]
        pairs.append(Pair(question, passage.source, answers))
    return pairs


def passages_of(knowledge: KnowledgeBase, split: str) -> list[Source]:
    """The passages of a split's articles."""
    splits = load_splits()
    return [p.source for p in knowledge.passages.values() if splits[p.document_id] == split]


def train_museum(folder: Path, device: str = "cpu") -> None:
    """Trains the bundled encoder on the museum's train split, as a low-rank difference that is written to `folder`.

    A run that was stopped goes on; where there is a difference already, nothing is left to do.
    """
    if (folder / ADAPTER).is_file():
        return
    encoder = SentenceEncoder(UNTOUCHED_ENCODER, device)
    knowledge = open_folder(ARTICLES, encoder)
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


class ReadOnce:
    """An encoder that has read all its texts in advance, in bfloat16 where that is faster: see `Encoder`."""

    def __init__(self, encoder: SentenceEncoder, texts: Sequence[str]) -> None:
        self.name, self.dimension, self.fingerprint = encoder.name, encoder.dimension, encoder.fingerprint
        self.budget = encoder.budget
        with in_half(encoder.model.device.type):
            read = encoder.model.encode(list(texts), output_value=None, batch_size=16, show_progress_bar=True)
        self.vectors = {t: unit(r["sentence_embedding"]) for t, r in zip(texts, read, strict=True)}
        self.tokens = {
            t: unit(r["token_embeddings"][r["attention_mask"].bool()]) for t, r in zip(texts, read, strict=True)
        }

    def encode_passages(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """See `Encoder.encode_passages`."""
        return np.stack([self.vectors[t] for t in texts])

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """See `Encoder.encode_queries`."""
        return self.encode_passages(texts)

    def encode_passage_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """See `Encoder.encode_passage_tokens`."""
        return [self.tokens[t] for t in texts]

    def encode_query_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """See `Encoder.encode_query_tokens`."""
        return self.encode_passage_tokens(texts)


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
    before: Encoder | None = None
    for name, encoder in (("untouched", untouched), ("trained", trained)):
        read = ReadOnce(encoder, [*texts, *questions])
        known = KnowledgeBase(passages, read.encode_passages(texts), knowledge.settings, encoder.fingerprint())
        hybrid = make_retriever("hybrid", known, read)
        found |= {f"dense, {name}": make_retriever("dense", known, read), f"hybrid, {name}": hybrid}
        if before is not None:
            found["reranked, trained search"] = RerankedRetriever(hybrid, MaxSimReranker(before), known.passages)
        found[f"reranked, {name}"] = make_retriever("reranked", known, read)
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

    knowledge = open_folder(ARTICLES, untouched)
    asked = {split: museum_pairs(knowledge, split) for split in splits if split != "squad"}
    if asked:
        places = {p.source: p.id for p in knowledge.passages.values()}
        questions = [p.question for pairs in asked.values() for p in pairs]
        for name, retriever in museum_retrievers(questions, knowledge, untouched, trained).items():
            for split, pairs in asked.items():
                store(split, name, [rank(retriever, p, places) for p in tqdm(pairs, desc=f"{split}: {name}")])
    if "squad" in splits:
        general, paragraphs = squad_pairs("validation", 600)
        for name, encoder in (("untouched", untouched), ("trained", trained)):
            with in_half(encoder.model.device.type):
                store("squad", f"dense, {name}", dense_ranks(encoder, general, paragraphs))
    write_json(folder / "figures.json", figures(folder / RANKS))


def rank(retriever: Retriever, pair: Pair, places: Mapping[Source, str]) -> int:
    """The rank of a pair's passage, 0 where it is not among the first DEPTH."""
    ids = [hit.id for hit in retriever.retrieve(pair.question, DEPTH)]
    return ids.index(places[pair.passage]) + 1 if places[pair.passage] in ids else 0


def load_ranks(path: Path) -> dict[str, dict[str, list[int]]]:
    """The ranks that `measure` stored, by split and system; a later row replaces an earlier."""
    found: dict[str, dict[str, list[int]]] = {}
    for row in read_json_lines(path):
        found.setdefault(row["split"], {})[row["system"]] = row["ranks"]
    return found


def figures(path: Path) -> dict:
    """Every metric with its interval, and the paired differences between trained and untouched, by split."""
    report: dict = {}
    for split, systems in load_ranks(path).items():
        report[split] = {
            name: {key: asdict(bootstrap(of_ranks(ranks, metric))) for key, metric in METRICS.items()}
            for name, ranks in systems.items()
        }
        for name, ranks in systems.items():
            before = systems.get(name.split(",")[0] + ", untouched")
            if before and ", trained" in name:
                report[split][f"{name} - untouched"] = {
                    key: asdict(paired_difference(of_ranks(ranks, metric), of_ranks(before, metric)))
                    for key, metric in METRICS.items()
                }
    return report
