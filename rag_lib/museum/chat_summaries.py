"""What the chat model writes of the dossiers, kept because a chapter cannot wait for it.

`python -m rag_lib.museum.chat_summaries` writes to data/results/summaries what becomes of the validation split: as the
model was published and as it was trained here, in general and for a question, from as much of the dossier as one call
holds and from the few sentences that are chosen where nothing is written. Shown in notebooks/12_summarization.ipynb.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm.auto import tqdm

from rag_lib.applications.extraction import passages_of
from rag_lib.applications.summarization import retrieve_first, summarize, write
from rag_lib.files import DATA, read_json_lines, write_json_lines
from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.citations import without_marks
from rag_lib.generation.generators import Generator
from rag_lib.generation.sentence_ranker import SentenceRanker
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Document, Source
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.museum.collection import load_dossiers, load_summaries

RESULTS = DATA / "results" / "summaries" / "validation.jsonl"
BUDGET = 600  # words of passages, as in the chapter
GENERATORS = ("chat-base", "chat")


@dataclass(frozen=True)
class Written:
    """What a generator wrote of a dossier, in general or for a question.

    Attributes:
        generator: one of GENERATORS.
        from_passages: it was given the passages that matter most, up to BUDGET words.
        from_sentences: it was given the sentences that `summarize` copies.
    """

    generator: str
    dossier: str
    question: str
    from_passages: str
    from_sentences: str


def from_sentences(
    document: Document, generator: Generator, encoder: Encoder, ranker: SentenceRanker, question: str = ""
) -> str:
    """What a generator makes of the sentences that are chosen: extract, then rewrite (Chen and Bansal, 2018)."""
    chosen = summarize(document, encoder, question=question, ranker=ranker).text
    return without_marks(write(generator, question, [Source(document.title, chosen)]))


def summaries(name: str, encoder: Encoder, ranker: SentenceRanker) -> Iterator[Written]:
    """What the generator of that name makes of each dossier of the validation split, in general and for its question.

    Raises:
        ModelUnavailable: it cannot be had.
    """
    generator, dossiers = make_generator(name), {d.id: d for d in load_dossiers()}
    for summary in tqdm(load_summaries("validation"), desc=name):
        document = dossiers[summary.dossier]
        for question in ("", summary.question) if summary.question else ("",):
            passages = retrieve_first(passages_of(document), generator, encoder, question, BUDGET)
            sentences = from_sentences(document, generator, encoder, ranker, question)
            yield Written(name, document.id, question, without_marks(passages), sentences)


def load_written(path: Path = RESULTS) -> list[Written]:
    """What was written, as `main` kept it.

    Raises:
        OSError: the file cannot be read.
        BadLine: a line is not JSON.
    """
    return [Written(**row) for row in read_json_lines(path)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Has the chat models write all summaries, and keeps them."""
    program = "python -m rag_lib.museum.chat_summaries"
    parser = argparse.ArgumentParser(prog=program, description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FILE", help="default: data/results/summaries")
    output = parser.parse_args(arguments).output
    encoder, ranker = SentenceEncoder(), SentenceRanker.load()
    written = [each for name in GENERATORS for each in summaries(name, encoder, ranker)]
    output.parent.mkdir(parents=True, exist_ok=True)
    write_json_lines(output, map(asdict, written))
    print(f"{len(written)} summaries: {output}")


if __name__ == "__main__":
    main()
