"""Why an answer from an open collection is wrong: the first link of the chain that broke, and what mending it gains.

Taught in notebooks/10_open_domain_qa.ipynb. Oracles put the truth in the place of one link and leave the others as they
are; what that gains is the most that mending the link could gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from rag_lib.evaluation.answers import normalize_answer, token_f1
from rag_lib.evaluation.values import canonical
from rag_lib.files import BadLine, json_lines, write_json_lines

RIGHT = "right"
NOT_RETRIEVED, NOT_READ, CUT, UNCOUNTED, SILENT, UNANSWERABLE = CAUSES = (
    "not retrieved",  # no right passage is among those that were read
    "retrieved, not read",  # another sentence was chosen
    "read, cut otherwise",  # the right sentence, other words of it
    "right, not counted",  # a person would let it pass
    "right, kept silent",  # the score was below the threshold
    "unanswerable, answered",
)
NEARLY = 0.5  # F1 from which words more, or words fewer, still say the same


class ReadPassage(NamedTuple):
    """A passage that was read: `document.text[start:end]`, and the retriever's score."""

    document: str
    start: int
    end: int
    score: float


class Reading(NamedTuple):
    """Whether what was read out of something counts as right, and how sure the generator was."""

    counted: bool
    score: float


@dataclass(frozen=True)
class Outcome:
    """What came of one question: ids and figures, no text. All of the guess, which may be kept back.

    Attributes:
        id: the question's.
        part: which sort of question it is.
        article: what intervals resample.
        answerable: whether the collection has an answer.
        score: how sure the generator is, from 0 to 1.
        rank: of the first right passage among `passages`, from 1; 0 where there is none.
        passages: those that were read, best first.
        place: (document, start, end) of what was quoted or cited; None where nothing was.
        counted: the guess is an accepted answer; where there is no short one, it stands in a right sentence.
        f1: over words, against the accepted answers; None where there is no short one.
        told: counted, or a right sentence is cited.
        cited: a right sentence is cited.
        nearly: the guess says an accepted answer in a few words more or fewer, see `says_nearly`.
        named: the guess, however long, holds an accepted answer, or begins with the right "yes" or "no".
        nearest: `told` of the plainest reader, which cites the sentence nearest to the question.
        second_rank: `rank` of the other article's passage, for questions that need two; None for others.
        with_passage, with_sentence: what is read out of the right passages alone, and out of the right sentence alone;
            None where nothing is to be mended.
    """

    id: str
    part: str
    article: str
    answerable: bool
    score: float
    rank: int
    passages: tuple[ReadPassage, ...]
    place: tuple[str, int, int] | None
    counted: bool
    f1: float | None
    told: bool
    cited: bool
    nearly: bool
    named: bool
    nearest: bool
    second_rank: int | None = None
    with_passage: Reading | None = None
    with_sentence: Reading | None = None

    @classmethod
    def from_row(cls, row: dict) -> Outcome:
        """An outcome from its row in a file.

        Raises:
            TypeError: a field is missing or unknown, or holds something else.
        """
        readings = {n: row[n] and Reading(*row[n]) for n in ("with_passage", "with_sentence") if n in row}
        passages = tuple(ReadPassage(*p) for p in row.get("passages", ()))
        place = {"place": tuple(row["place"])} if row.get("place") else {}
        return cls(**row | {"passages": passages} | place | readings)


@dataclass(frozen=True)
class Results:
    """The outcomes of questions, and the system that answered them, as `make_retriever` and the others name its parts.

    Attributes:
        threshold: an answer with a lower score is kept back.
        k: passages read for a question.
    """

    retriever: str
    encoder: str
    generator: str
    threshold: float
    k: int
    outcomes: tuple[Outcome, ...] = ()

    def of(self, *parts: str) -> list[Outcome]:
        """The outcomes of these sorts of questions."""
        return [o for o in self.outcomes if o.part in parts]

    def save(self, path: Path) -> None:
        """Writes JSON lines, atomically: the system first, then an outcome a line."""
        system = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "outcomes"}
        write_json_lines(path, [system, *map(asdict, self.outcomes)])


def load_results(path: Path) -> Results:
    """What `Results.save` wrote.

    Raises:
        BadLine: a line is not what it should be.
        OSError: the file cannot be read.
    """
    system: dict = {}
    outcomes = []
    for number, row in json_lines(path):
        try:
            if not system:
                system = asdict(Results(**row))
            else:
                outcomes.append(Outcome.from_row(row))
        except (TypeError, AttributeError) as error:
            raise BadLine(path, number, f"no outcome of a question ({error})") from error
    if not system:
        raise BadLine(path, 1, "the file is empty")
    return Results(**system | {"outcomes": tuple(outcomes)})


def words_of(text: str) -> list[str]:
    """The words that answers are compared by."""
    return normalize_answer(canonical(text)).split()


def holds(text: Sequence[str], part: Sequence[str]) -> bool:
    """Whether words occur in a text, next to each other."""
    n = len(part)
    return n > 0 and any(list(text[i : i + n]) == list(part) for i in range(len(text) - n + 1))


def says_nearly(guess: str, answers: Sequence[str]) -> bool:
    """Whether a guess holds an answer or is part of it, and is not much longer or shorter: F1 of at least NEARLY."""
    said = words_of(guess)
    return any(
        (holds(said, words) or holds(words, said)) and token_f1(" ".join(said), " ".join(words)) >= NEARLY
        for words in map(words_of, answers)
    )


def names(guess: str, answers: Sequence[str], verdict: str = "") -> bool:
    """Whether a guess holds one of the answers, or begins with the verdict ("yes" or "no")."""
    said = words_of(guess)
    return any(holds(said, words_of(a)) for a in answers) or bool(verdict and said[:1] == [verdict])


def cause(outcome: Outcome, threshold: float) -> str:
    """RIGHT, or the one of CAUSES that is to blame: the first link of the chain that broke.

    Silence is right where there is no answer. Where there is one, a wrong guess is blamed on search or reading, also
    when it was kept back: silence did not make it wrong.
    """
    answered = outcome.place is not None and outcome.score >= threshold
    if not outcome.answerable:
        return UNANSWERABLE if answered else RIGHT
    if outcome.counted:
        return RIGHT if answered else SILENT
    if outcome.nearly:
        return UNCOUNTED
    if outcome.cited:
        return CUT
    return NOT_READ if outcome.rank else NOT_RETRIEVED


def is_mended(outcome: Outcome, threshold: float) -> bool:
    """Whether the question comes right when the truth is put in the place of the link that broke, and of no other.

    Not retrieved: the right passages alone are read. Not read: the right sentence alone is read. Cut otherwise or not
    counted: the accepted words, with the score of the guess. In all of these the links that follow may break in turn.
    Silent, or answered without an answer: a confidence that knows.
    """
    broken = cause(outcome, threshold)
    if broken in (RIGHT, SILENT, UNANSWERABLE):
        return broken != RIGHT
    words = Reading(True, outcome.score)
    truth = {NOT_RETRIEVED: outcome.with_passage, NOT_READ: outcome.with_sentence}.get(broken, words)
    return truth is not None and truth.counted and truth.score >= threshold


def anatomy(outcomes: Sequence[Outcome], threshold: float) -> dict[str, tuple[list[bool], list[bool]]]:
    """For each of CAUSES, outcome by outcome: whether it is to blame, and whether mending it would make this right."""
    blamed = [cause(o, threshold) for o in outcomes]
    mended = [is_mended(o, threshold) for o in outcomes]
    return {
        name: ([b == name for b in blamed], [m and b == name for b, m in zip(blamed, mended, strict=True)])
        for name in CAUSES
    }
