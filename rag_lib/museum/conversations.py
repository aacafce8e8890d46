"""How well the museum's visitors are followed and replied to, turn by turn.

`python -m rag_lib.museum.conversations` writes a row for each turn of the dialogues to data/museum/dialogues/results.
Taught in notebooks/11_dialogue.ipynb.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from rag_lib.applications.dialogue import Conversation, Reply
from rag_lib.applications.grounding import Grounds
from rag_lib.applications.rewriting import (
    AddedNames,
    Exchange,
    GeneratorRewriter,
    Names,
    Rewriter,
    as_said,
    concatenated,
)
from rag_lib.files import ARTICLES, MUSEUM, read_json_lines, write_json_lines
from rag_lib.generation.catalogue import ASKED, make_generator
from rag_lib.generation.chat import ChatGenerator
from rag_lib.generation.citations import without_marks
from rag_lib.generation.generators import Generator
from rag_lib.generation.verdicts import NO, YES
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.encoders import make_encoder
from rag_lib.indexing.knowledge_base import KnowledgeBase
from rag_lib.indexing.remembering import RememberingEncoder
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.indexing.store import open_folder
from rag_lib.models.weights import MUSEUM_ENCODER
from rag_lib.museum.collection import SPLITS, Dialogue, Turn, load_dialogues
from rag_lib.museum.measure import SearchedOnce, gold_passages
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.base import LONGEST_QUESTION, Retriever
from rag_lib.retrieval.catalogue import DEFAULT, make_retriever

RESULTS = MUSEUM / "dialogues" / "results"
DEPTH = 5
HUMAN = "by a person"


@dataclass(frozen=True)
class TurnResult:
    """What became of a turn.

    Attributes:
        dialogue, turn: which one it is; turns count from 0. later: whether something was said before it.
        answerable: whether the collection answers it.
        questions: the turn as each rewriter makes it stand alone, and `ranks`, the rank of the first gold passage among
            DEPTH, 0 where it is not among them.
        reply: what the conversation says, its own replies before it; `title`: of the text that it cites first.
        passage, sentence: whether it cites a gold passage, and a sentence that answers; silent, unsure: whether it
            is silent, or not sure.
        supported: whether all that it says is supported by what it cites.
    """

    dialogue: str
    turn: int
    later: bool
    answerable: bool
    questions: dict[str, str] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    reply: str = ""
    title: str = ""
    passage: bool = False
    sentence: bool = False
    silent: bool = False
    unsure: bool = False
    supported: bool = True


def rewriters(knowledge: KnowledgeBase, generator: Generator, chat: Generator | None = None) -> dict[str, Rewriter]:
    """The ways to make a turn stand alone, by their names."""
    ways: dict[str, Rewriter] = {
        "as said": as_said,
        "concatenated": concatenated,
        "added names": AddedNames(Names(list(knowledge.passages.values()))),
        "bundled generator": GeneratorRewriter(generator),
    }
    return ways | ({"chat model": GeneratorRewriter(chat)} if chat else {})


def rewritten(dialogue: Dialogue, rewrite: Rewriter, titles: Mapping[str, str]) -> list[str]:
    """Each turn so that it stands alone, the guide's real replies before it.

    Args:
        titles: of the articles, by id.
    """
    before: list[Exchange] = []
    questions = []
    for turn in dialogue.turns:
        questions.append(rewrite(turn.visitor, before)[:LONGEST_QUESTION])
        if turn.evidence is not None:
            before.append(Exchange(turn.visitor, questions[-1], turn.guide, titles[turn.evidence.article]))
    return questions


def first_gold(question: str, gold: set[str], retriever: Retriever) -> int:
    """The rank of the first gold passage among DEPTH, 0 where there is none."""
    hits = retriever.retrieve(question, DEPTH)
    return next((rank for rank, hit in enumerate(hits, start=1) if hit.id in gold), 0)


def is_supported(reply: Reply, encoder: Encoder) -> bool:
    """Whether each sentence of a reply is supported by the passages that it cites."""
    if reply.silent or reply.unsure or not reply.citations:  # what is shown then is quoted, and not stated
        return True
    passages = {c.passage.id: c.passage.text for c in reply.citations}
    source = [text[a:b] for text in passages.values() for a, b in sentence_spans(text)]
    text = without_marks(reply.text)
    sentences = [text[a:b] for a, b in sentence_spans(text)]
    said = {f"{YES}.", f"{NO}."}  # judged by whether the sentence after it answers
    quoted = [s for s in sentences if any(s.strip(".").lower() in each.lower() for each in source)]
    stated = [s for s in sentences if s not in quoted and s not in said]
    return all(claim.supported for claim in Grounds(source, encoder).check(stated))


def judged(dialogue: Dialogue, gold: Mapping[Turn, set[str]], conversation: Conversation) -> Iterator[TurnResult]:
    """A conversation with a dialogue's visitor, each reply judged."""
    for number, turn in enumerate(dialogue.turns):
        reply = conversation.say(turn.visitor)
        cited = reply.citations
        right = turn.evidence is not None and not reply.silent
        yield TurnResult(
            dialogue.id,
            number,
            number > 0,
            turn.evidence is not None,
            reply=reply.text,
            title=cited[0].passage.title if cited else "",
            passage=right and any(c.passage.id in gold[turn] for c in cited),
            sentence=right and any(turn.evidence.sentence in c.sentence for c in cited),
            silent=reply.silent or not reply.question,
            unsure=reply.unsure,
            supported=is_supported(reply, conversation.encoder),
        )


def evaluate(
    dialogues: Sequence[Dialogue], ways: Mapping[str, Rewriter], rag: RAG, encoder: Encoder, progress: bool = True
) -> list[TurnResult]:
    """A result for each turn of the dialogues."""
    answerable = [turn for dialogue in dialogues for turn in dialogue.turns if turn.evidence is not None]
    gold = dict(zip(answerable, gold_passages(answerable, rag.knowledge), strict=True))
    titles = {p.document_id: p.title for p in rag.knowledge.passages.values()}
    results = []
    for dialogue in tqdm(dialogues, desc="dialogues", disable=not progress):
        questions = {name: rewritten(dialogue, rewrite, titles) for name, rewrite in ways.items()}
        questions[HUMAN] = [turn.standalone for turn in dialogue.turns]
        for result in judged(dialogue, gold, Conversation(rag, encoder, ways["added names"])):
            asked = {name: each[result.turn] for name, each in questions.items()}
            turn = dialogue.turns[result.turn]
            ranks = {n: first_gold(q, gold[turn], rag.retriever) for n, q in asked.items()} if turn in gold else {}
            results.append(TurnResult(**vars(result) | {"questions": asked, "ranks": ranks}))
    return results


def save_results(results: Sequence[TurnResult], path: Path) -> None:
    """Writes results as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json_lines(path, [vars(result) for result in results])


def load_results(split: str, folder: Path = RESULTS) -> list[TurnResult]:
    """The results of a split's dialogues, as this module's command wrote them."""
    return [TurnResult(**row) for row in read_json_lines(folder / f"{split}.jsonl")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Holds the dialogues' conversations, and writes what became of each turn."""
    parser = argparse.ArgumentParser(prog="python -m rag_lib.museum.conversations", description=__doc__.splitlines()[0])
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=["validation", "test"])
    parser.add_argument("--retriever", default=DEFAULT, metavar="NAME")
    parser.add_argument("--generator", default=ASKED, metavar="NAME", help=f"what replies (default: {ASKED})")
    parser.add_argument("--chat", action="store_true", help="let the chat model rewrite too, which takes long")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args(arguments)
    encoder, generator = RememberingEncoder(make_encoder(MUSEUM_ENCODER), None), make_generator(options.generator)
    knowledge = open_folder(ARTICLES, encoder, progress=True)
    rag = RAG(knowledge, SearchedOnce(make_retriever(options.retriever, knowledge, encoder)), generator)
    ways = rewriters(knowledge, make_generator(), ChatGenerator.load() if options.chat else None)
    for split in options.splits:
        save_results(evaluate(load_dialogues(split), ways, rag, encoder), options.output / f"{split}.jsonl")


if __name__ == "__main__":
    main()
