"""How the museum's cross-encoder and its DPR were made (taught in notebooks/08_finetune_retriever.ipynb)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from rag_lib.evaluation.squad import DataUnavailable
from rag_lib.files import ARTICLES, write_json
from rag_lib.indexing.documents import Source
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.knowledge_base import KnowledgeBase
from rag_lib.indexing.store import open_folder
from rag_lib.models.adapters import adapter_weights
from rag_lib.models.processor import in_half
from rag_lib.models.weights import ADAPTER, MUSEUM_ENCODER, save_adapter
from rag_lib.museum.collection import STYLES, load_dialogues, load_questions
from rag_lib.museum.measure import SearchedOnce, evaluate_retriever, fitted_temperature, gold_passages
from rag_lib.museum.retriever_recipe import passages_of
from rag_lib.retrieval.catalogue import make_retriever
from rag_lib.retrieval.cross_encoder import CrossEncoder
from rag_lib.retrieval.dpr import DPREncoder
from rag_lib.retrieval.retrievers import RerankedRetriever
from rag_lib.training.processes import is_first
from rag_lib.training.retriever import contrastive, listwise
from rag_lib.training.retriever.contrastive import RetrieverSettings, TwoTowers
from rag_lib.training.retriever.listwise import ListwiseSettings
from rag_lib.training.retriever.mining import kept, mined, over_sentences, squad_passages
from rag_lib.training.retriever.pairs import Pair, holds_answer
from rag_lib.training.retriever.recipes import ranks_of, summary

CROSS_ENCODER = ListwiseSettings()
DPR = RetrieverSettings(epochs=2, batch_size=32, rate=6e-4, scale=1.0, rank=24, max_tokens=160)
SQUAD = {"cross-encoder": 2_000, "dpr": 12_000}  # questions that are mixed in with the museum's
LOOKED_AT = 100  # validation questions of each style by which the best weights of a cross-encoder are chosen


def museum_pairs(knowledge: KnowledgeBase, split: str) -> list[Pair]:
    """A split's questions in both styles, and for training the dialogues', each with a passage that answers it.

    The sentences that answer it are among a pair's `answers`, as a passage that holds one is right.
    """
    asked = [(q, q.question, q.accepted) for style in STYLES for q in load_questions(split, style=style) if q.evidence]
    if split == "train":
        turns = [turn for dialogue in load_dialogues(split) for turn in dialogue.turns if turn.evidence is not None]
        asked += [(turn, turn.standalone, ()) for turn in turns]
    pairs, of_split = [], set(passages_of(knowledge, split))  # an article of another split may answer, too
    for (record, question, answers), ids in zip(asked, gold_passages([a[0] for a in asked], knowledge), strict=True):
        passages = [p for p in (knowledge.passages[i].source for i in sorted(ids)) if p in of_split]
        right = next((p for p in passages if holds_answer(p, answers)), passages[0])
        pairs.append(Pair(question, right, (*answers, *sentences_of(record))))
    return pairs


def sentences_of(record: object) -> tuple[str, ...]:
    """The sentences that answer a question, or a turn of a dialogue."""
    evidence = record.evidence if isinstance(record.evidence, tuple) else (record.evidence,)
    return tuple(e.sentence for e in (*evidence, *getattr(record, "also_evidence", ())))


def training_pairs(
    folder: Path, model: str, share: float, knowledge: KnowledgeBase, encoder: SentenceEncoder, device: str
) -> list[Pair]:
    """The museum's pairs and SQuAD's with their negatives, mined once and kept in `folder`.

    Args:
        share: SQuAD's questions times so much; the museum's too, but there are no more than all of them.
    """
    asked, general = museum_pairs(knowledge, "train"), round(share * SQUAD[model])
    asked = random.Random(0).sample(asked, min(len(asked), round(share * len(asked))))

    def find(pairs: Sequence[Pair], passages: Sequence[Source]) -> list[Pair]:
        with in_half(device):  # near enough
            return mined(pairs, passages, encoder)

    pairs = kept(folder / f"pairs-museum-{len(asked)}.jsonl", lambda: find(asked, passages_of(knowledge, "train")))
    try:
        return pairs + kept(folder / f"pairs-squad-{general}.jsonl", lambda: find(*squad_passages(general)))
    except DataUnavailable as error:
        print(f"trained without general pairs: {error}")
        return pairs


def train_cross_encoder(folder: Path, share: float = 1.0, device: str = "cpu") -> None:
    """Trains the museum's cross-encoder, whose difference to the bundled encoder is written to `folder`.

    It learns every question twice: over passages, and over single sentences. Its head is scaled by the temperature that
    fits the validation questions. A run that was stopped goes on; where there is a difference already, nothing is left
    to do.

    Args:
        share: of the recipe's questions, see `training_pairs`.
    """
    if (folder / ADAPTER).is_file():
        return
    encoder = SentenceEncoder(MUSEUM_ENCODER, device)
    knowledge = open_folder(ARTICLES, encoder)
    pairs = training_pairs(folder / "run", "cross-encoder", share, knowledge, encoder, device)
    model = CrossEncoder().to(device)
    evaluate, temperature = looks(model, knowledge, encoder)
    listwise.train(model, pairs + over_sentences(pairs), folder / "run", CROSS_ENCODER, evaluate)
    fitted = temperature()
    with torch.no_grad():
        model.head.weight /= fitted
    model.save(folder)
    write_json(folder / "settings.json", asdict(CROSS_ENCODER) | {"pairs": len(pairs), "temperature": fitted})


def looks(
    model: CrossEncoder, knowledge: KnowledgeBase, encoder: SentenceEncoder
) -> tuple[Callable[[], dict[str, float]], Callable[[], float]]:
    """What measures a cross-encoder on validation questions of both styles, and what fits its temperature to them."""
    rng, questions = random.Random(0), []
    for style in STYLES:
        questions += rng.sample([q for q in load_questions("validation", style=style) if q.evidence], LOOKED_AT)
    gold = gold_passages(questions, knowledge)
    first = SearchedOnce(make_retriever("hybrid", knowledge, encoder))
    retriever = RerankedRetriever(first, model, knowledge.passages)
    device = model.head.weight.device.type

    def evaluate() -> dict[str, float]:
        with in_half(device):
            found = evaluate_retriever(questions, gold, retriever, progress=False)
        return {name: round(estimate.mean, 4) for name, estimate in found.items()}

    def temperature() -> float:
        with in_half(device):
            return fitted_temperature(questions, gold, retriever)

    return evaluate, temperature


def train_dpr(folder: Path, share: float = 1.0, device: str = "cpu") -> None:
    """Trains the museum's DPR; the differences of its towers are written to `question` and `passage` inside `folder`.

    A run that was stopped goes on; where the differences are there already, nothing is left to do.

    Args:
        share: of the recipe's questions, see `training_pairs`.
    """
    if (folder / "passage" / ADAPTER).is_file():
        return
    encoder = SentenceEncoder(MUSEUM_ENCODER, device)
    knowledge = open_folder(ARTICLES, encoder)
    pairs = training_pairs(folder / "run", "dpr", share, knowledge, encoder, device)
    towers = DPREncoder(device=device)
    asked, among = museum_pairs(knowledge, "validation"), passages_of(knowledge, "validation")
    places = [among.index(p.passage) for p in asked]

    def evaluate() -> dict[str, float]:
        with in_half(device):
            questions, passages = towers.encode_questions([p.question for p in asked]), towers.encode_passages(among)
        return summary(ranks_of(questions, passages, places))

    contrastive.train(TwoTowers(towers, DPR.max_tokens), pairs, folder / "run", DPR, evaluate)
    if is_first():
        for name, tower in (("question", towers.question), ("passage", towers.passage)):
            save_adapter(adapter_weights(tower), folder / name)
        write_json(folder / "settings.json", asdict(DPR) | {"pairs": len(pairs)})
