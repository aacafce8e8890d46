"""A chat model that is shown the one sentence which the reader chose, and believed as far as that sentence says so.

A small chat model finds little in five passages, but says well what a sentence says. The reader finds the sentence, and
the chat model puts it into words. Taught in notebooks/07_rag_pipeline.ipynb.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rag_lib.generation.chat import ChatGenerator
from rag_lib.generation.citations import with_marks, without_marks
from rag_lib.generation.generators import Decoding, Generation, Generator, Place, check_sources
from rag_lib.generation.jobs import ANSWER, QUOTING, REPLY, Job
from rag_lib.generation.reader import EvidenceReader
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.documents import Source
from rag_lib.indexing.splitting import sentences_around

REFUSAL = re.compile(r"\bnot say\b")
VERDICT = re.compile(r"(yes|no)\b[,.:]?\s*", re.IGNORECASE)


class GuidedChat:
    """Replies in a sentence that cites its passage; of what a reply adds to its evidence nothing is shown.

    The score is the reader's: the probability that its answer is right. Jobs that read no passages to answer from, as
    summaries, are the chat model's alone.

    Args:
        reader: finds the place that answers.
        chat: says what stands there.
    """

    votes = False

    def __init__(self, reader: Generator, chat: ChatGenerator) -> None:
        self.reader, self.chat = reader, chat
        self.threshold = reader.threshold
        self.ranker = getattr(reader, "ranker", None)
        self.analyze = Analyzer()

    @classmethod
    def load(cls, name: str | None = None, decoding: Decoding | None = None) -> GuidedChat:
        """The bundled reader with its ranker, and the bundled chat model, or that of a folder with another difference.

        Raises:
            ModelUnavailable: one of them cannot be had.
        """
        half = Decoding(half=decoding.half if decoding else False)
        return cls(EvidenceReader.load_with_ranker(half), ChatGenerator.load(name, decoding))

    def generate(
        self,
        questions: Sequence[str],
        sources: Sequence[Sequence[Source]],
        job: Job = REPLY,
        source_logs: Sequence[Sequence[float]] | None = None,
    ) -> list[Generation]:
        """See `Generator.generate`.

        Raises:
            QuestionTooLong: with a question no source fits into a model's input.
        """
        if job not in QUOTING:
            return self.chat.generate(questions, sources, job)
        questions = check_sources(questions, sources)
        found = self.reader.generate(questions, sources, ANSWER, source_logs)
        there = [i for i, generation in enumerate(found) if generation.place]
        places = [sentence_around(found[i].place, sources[i]) for i in there]
        shown = [[Source(sources[i][p.source].title, words(p, sources[i]))] for i, p in zip(there, places, strict=True)]
        replies = self.chat.generate([questions[i] for i in there], shown, REPLY)
        for i, place, reply in zip(there, places, replies, strict=True):
            found[i] = self.in_words(found[i], place, sources[i], reply)
        return found

    def in_words(self, found: Generation, place: Place, sources: Sequence[Source], reply: Generation) -> Generation:
        """What was found, said in a sentence that cites the passage of its evidence."""
        evidence = words(place, sources)
        said = self.believed(without_marks(reply.text), sources[place.source].title, evidence)
        if getattr(self.reader, "ranker", None):  # which tells yes from no better than the chat model
            said = with_verdict(found.verdict, said, evidence)
        return replace(
            found,
            verdict="",
            text=with_marks(said, [found.used.index(place.source) + 1]),
            place=place,
            tokens=reply.tokens,
            prompts=reply.prompts,
            supporting=(place, *found.supporting[1:]),
        )

    def believed(self, reply: str, title: str, evidence: str) -> str:
        """A reply all of whose content words stand in its evidence or the title over it; else the evidence itself.

        A "yes" or "no" stays, for the evidence beside it shows whether it is right: "No, Canada had no rocket." becomes
        "No. It was launched by a Thor-Agena." where that is the evidence and its title does not speak of Canada.
        """
        match = VERDICT.match(reply)
        said = reply[match.end() :] if match else reply
        if REFUSAL.search(said):
            return evidence
        if said and set(self.analyze(said)) <= set(self.analyze(f"{title} {evidence}")):
            return reply
        return f"{match[1].capitalize()}. {evidence}" if match else evidence

    def stream(
        self, question: str, sources: Sequence[Source], source_logs: Sequence[float] | None = None
    ) -> Iterator[str | Generation]:
        """See `Generator.stream`: a reply is known only when it has been compared with its evidence.

        Raises:
            QuestionTooLong: the question leaves no room for a source.
        """
        (generation,) = self.generate([question], [sources], REPLY, [source_logs] if source_logs else None)
        if generation.text:
            yield generation.text
        yield generation


def with_verdict(verdict: str, said: str, evidence: str) -> str:
    """A reply that says this yes or no, or neither where there is none; the evidence for one that says another."""
    match = VERDICT.match(said)
    if match and match[1].capitalize() == verdict:
        return said
    said = evidence if match else said
    return f"{verdict}. {said}" if verdict else said


def words(place: Place, sources: Sequence[Source]) -> str:
    """What stands at a place."""
    return sources[place.source].text[place.start : place.end]


def sentence_around(place: Place, sources: Sequence[Source]) -> Place:
    """The sentence in which a place begins, and those as far as its end."""
    spans = sentences_around(sources[place.source].text, place.start, place.end)
    return Place(place.source, spans[0][0], spans[-1][1]) if spans else place
