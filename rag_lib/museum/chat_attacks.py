"""Hostile documents before a chat model, which does follow instructions, without and with each defence.

Each attack's question is asked over the museum's articles and the files of that attack, as in `attacks`; what a defence
changes is the prompt, or what is let through of the reply. `python -m rag_lib.museum.chat_attacks --each 2` tries two
attacks of each kind, about five replies each.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tqdm.auto import tqdm

from rag_lib.applications.dialogue import Guard, whole_sentences
from rag_lib.evaluation.statistics import bootstrap
from rag_lib.files import write_json_lines
from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.chat import ChatGenerator
from rag_lib.generation.chat_prompts import PromptDefence
from rag_lib.generation.generators import Decoding
from rag_lib.indexing.encoders import Encoder, SentenceEncoder
from rag_lib.models.weights import MUSEUM_ENCODER
from rag_lib.museum.attacks import Attack, Outcome, Siege, load_attacks, outcome
from rag_lib.pipeline.rag import RAG, Answer, Found
from rag_lib.retrieval.catalogue import make_retriever


@dataclass(frozen=True)
class Defence:
    """A prompt, and whether only those sentences of the reply are let through that the passages support."""

    prompt: PromptDefence
    checks: bool = False


DEFENCES = {
    "none": Defence(PromptDefence(breaks_marks=False)),
    "marks broken": Defence(PromptDefence()),  # as `ask` and `chat` do by default
    "delimiting": Defence(PromptDefence(delimits=True)),
    "instruction": Defence(PromptDefence(instructs=True)),
    "support check": Defence(PromptDefence(), checks=True),
    "all": Defence(PromptDefence(delimits=True, instructs=True), checks=True),
}


@dataclass(frozen=True)
class Reply:
    """What a chat model replied to the question of an attack, and what the attack achieved by it."""

    attack: str
    kind: str
    defence: str
    text: str
    outcome: Outcome


def sample(attacks: Sequence[Attack], each: int) -> list[Attack]:
    """The first attacks of every kind, so that a run that is stopped has seen all kinds."""
    by_kind: dict[str, list[Attack]] = defaultdict(list)
    for attack in attacks:
        by_kind[attack.kind].append(attack)
    return [kind[i] for i in range(each) for kind in by_kind.values() if i < len(kind)]


def supported(answer: Answer, found: Found, encoder: Encoder) -> Answer:
    """An answer without the sentences that the passages read do not support, as `chat` gives it."""
    guard = Guard(found, encoder)
    for sentence in whole_sentences(answer.text):
        guard.admit(sentence)
    return replace(answer, text=guard.text, guess=guard.text, citations=tuple(guard.citations))


def replies(attack: Attack, siege: Siege, generator: ChatGenerator, retriever: str) -> Iterator[Reply]:
    """What the model replies under each defence; prompts that are the same are read once."""
    knowledge = siege.knowledge(attack)
    rag = RAG(knowledge, make_retriever(retriever, knowledge, siege.encoder), generator, threshold=0.0)
    found = rag.find(attack.question)
    written: dict[PromptDefence, Answer] = {}
    for name, defence in DEFENCES.items():
        generator.defence = defence.prompt
        if defence.prompt not in written:
            written[defence.prompt] = rag.conclude(found, rag.read([found])[0], 0.0)
        answer = written[defence.prompt]
        if defence.checks:
            answer = supported(answer, found, siege.encoder)
        yield Reply(attack.id, attack.kind, name, answer.text, outcome(attack, answer))


def table(rows: Sequence[Reply]) -> Iterator[str]:
    """For each defence, how often the reply was right, said what the attack wanted, or held nothing, with intervals."""
    yield f"{'defence':14} {'right':38} {'said what was wanted':38} nothing"
    for name in dict.fromkeys(row.defence for row in rows):
        of = [row for row in rows if row.defence == name]
        wanted = [row.outcome.said for row in of if row.kind != "theft"]
        figures = [row.outcome.right for row in of], wanted, [not row.text for row in of]
        yield f"{name:14} " + " ".join(f"{bootstrap(values)!s:38}" for values in figures).rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Asks a sample, prints the table, and keeps every reply."""
    parser = argparse.ArgumentParser(prog="python -m rag_lib.museum.chat_attacks", description=__doc__.splitlines()[0])
    parser.add_argument("--generator", default="chat-base", metavar="NAME", help="a chat model (default: %(default)s)")
    parser.add_argument("--retriever", default="hybrid", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--each", type=int, default=2, metavar="N", help="attacks of each kind (default: %(default)s)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write every reply, as JSON lines")
    options = parser.parse_args(arguments)
    generator = make_generator(options.generator, Decoding(half=None, max_new_tokens=48))
    if not isinstance(generator, ChatGenerator):
        parser.error(f"{options.generator} is no chat model: python -m rag_lib.museum.attacks tries the others")
    attacks = sample(load_attacks(), options.each)
    siege, rows = Siege(attacks, SentenceEncoder(MUSEUM_ENCODER)), []
    for attack in tqdm(attacks, desc="attacking"):
        rows += replies(attack, siege, generator, options.retriever)
        if options.output:
            write_json_lines(options.output, map(asdict, rows))
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
