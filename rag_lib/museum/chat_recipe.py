"""The recipe of the chat model's difference: reading from SQuAD and QED, replying as the museum's guides do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.evaluation.answers import normalize_answer
from rag_lib.evaluation.squad import QED, SQUAD
from rag_lib.files import write_json
from rag_lib.generation.chat import ChatGenerator
from rag_lib.generation.citations import with_marks
from rag_lib.generation.generators import Generation
from rag_lib.generation.jobs import REPLY, REWRITE, SUMMARIZE
from rag_lib.generation.prompts import conversation
from rag_lib.indexing.documents import Document, Source
from rag_lib.indexing.splitting import Splitting, passage_spans
from rag_lib.models.adapters import adapter_weights
from rag_lib.models.chat import ADAPTER, in_bfloat16, load_bundled
from rag_lib.models.processor import computes_in_half
from rag_lib.models.weights import load_adapter, save_adapter
from rag_lib.museum.collection import (
    Evidence,
    Question,
    load_articles,
    load_dialogues,
    load_dossiers,
    load_splits,
    load_summaries,
    load_visitor_questions,
)
from rag_lib.museum.generator_recipe import museum_tasks
from rag_lib.museum.measure import TURNS
from rag_lib.retrieval.base import PASSAGES
from rag_lib.training import processes
from rag_lib.training.generator.chat import GOAL, train_chat
from rag_lib.training.generator.examples import (
    Example,
    FixedTask,
    Phase,
    ReadingTask,
    Search,
    Task,
    cut_around,
    search_contexts,
)
from rag_lib.training.generator.features import GeneratorSettings
from rag_lib.training.generator.recipes import Evaluate, public_triples, shortened

ASKED = 120  # visitors' validation questions that are asked while training
CHAT = GeneratorSettings(
    phases=(
        Phase(
            64_000,
            words=(40, 90),
            sources=(1, PASSAGES),
            missing=0.12,
            quotes=0.25,
            mixture=(
                ("read", 0.45),
                ("ask", 0.12),
                ("unanswerable", 0.02),
                ("guide", 0.28),
                ("no reply", 0.01),
                ("follow up", 0.04),
                ("summarize", 0.08),
            ),
        ),
    ),
    batch_size=8,
    decoder_rate=6e-4,
    rank=16,
    warmup_steps=100,
    decay=0.8,
    max_tokens=1024,
    max_target=160,
    evaluate_every=6_400,
)


@dataclass(frozen=True)
class Asked:
    """What a visitor asks, and what a guide says to it.

    Attributes:
        evidence: the sentences that the reply is from; none where the collection has no answer.
        wrong: what a misleading passage must not hold: right answers, and all sentences that answer.
    """

    question: str
    reply: str
    evidence: tuple[Evidence, ...]
    wrong: tuple[str, ...] = ()


class GuideTask:
    """Replies to visitors, each citing the passages that hold it, among others that `search` finds."""

    def __init__(self, asked: Sequence[Asked], articles: Sequence[Document], search: Search) -> None:
        self.asked = asked
        self.articles = {a.id: a for a in articles}
        self.search = search

    def __len__(self) -> int:
        return len(self.asked)

    def example(self, i: int, phase: Phase, rng: random.Random) -> Example | None:
        """See `Task.example`."""
        asked = self.asked[i]
        count = max(1, rng.randint(*phase.sources))
        silent = not asked.evidence or rng.random() < phase.missing
        right = [] if silent else [self.cut(e, phase, rng) for e in asked.evidence]
        others = self.misleading(asked, count - len(right), silent, rng)
        if not right:
            return Example(REPLY, asked.question, tuple(others), "") if others else None
        sources = rng.sample([*right, *others], len(right) + len(others))
        numbers = sorted(sources.index(source) + 1 for source in right)
        return Example(REPLY, asked.question, tuple(sources), with_marks(asked.reply, numbers))

    def cut(self, evidence: Evidence, phase: Phase, rng: random.Random) -> Source:
        """A passage around a sentence."""
        article = self.articles[evidence.article]
        start = article.text.index(evidence.sentence)
        a, b = cut_around(article.text, start, start + len(evidence.sentence), rng.randint(*phase.words), rng)
        return Source(article.title, article.text[a:b])

    def misleading(self, asked: Asked, count: int, silent: bool, rng: random.Random) -> list[Source]:
        """At most `count` passages, found for the question, that do not answer it.

        Where nothing else answers it, none is from the article that does.
        """
        left_out = {self.articles[e.article].title for e in asked.evidence} if silent else set()
        wrong = [text.lower() for text in asked.wrong]
        found = [s for s in self.search(asked.question) if not any(text in s.text.lower() for text in wrong)]
        found = [s for s in found if s.title not in left_out][: 2 * max(count, 0)]
        return rng.sample(found, min(max(count, 0), len(found)))


def asked_in_training() -> list[Asked]:
    """The train split's visitors' questions, and the turns of its dialogues so that they stand alone."""
    asked = []
    for q in load_visitor_questions("train"):
        sentences = tuple(e.sentence for e in (*q.evidence, *q.also_evidence))
        asked.append(Asked(q.question, q.reply, q.evidence, (*q.accepted, *sentences)))
    for dialogue in load_dialogues("train"):
        for turn in dialogue.turns:
            evidence = (turn.evidence,) if turn.evidence else ()
            asked.append(Asked(turn.standalone, turn.guide, evidence, tuple(e.sentence for e in evidence)))
    return asked


def follow_ups() -> list[Example]:
    """Turns of dialogues, to be rewritten so that they stand alone."""
    return [
        Example(
            REWRITE,
            turn.visitor,
            (conversation([(t.visitor, t.guide) for t in dialogue.turns[max(0, n - TURNS) : n]]),),
            turn.standalone,
        )
        for dialogue in load_dialogues("train")
        for n, turn in enumerate(dialogue.turns)
        if n
    ]


def summaries() -> list[Example]:
    """Articles and dossiers of the train split with what a person wrote of them."""

    def example(document: Document, summary: str, question: str = "") -> Example:
        spans = passage_spans(document.text, Splitting())
        return Example(
            SUMMARIZE, question, tuple(Source(document.title, document.text[a:b]) for a, b in spans), summary
        )

    dossiers, splits = {d.id: d for d in load_dossiers()}, load_splits()
    examples = [example(a, a.metadata["summary"]) for a in load_articles() if splits[a.id] == "train"]
    for s in load_summaries("train"):
        examples.append(example(dossiers[s.dossier], s.summary))
        if s.focused:
            examples.append(example(dossiers[s.dossier], s.focused, s.question))
    return examples


def chat_tasks() -> dict[str, Task]:
    """All that the chat model is trained on. The museum is searched for every question before training starts.

    Raises:
        DataUnavailable: SQuAD or QED cannot be had.
    """
    triples = public_triples([SQUAD, QED])
    museum = museum_tasks()
    guide = GuideTask(asked_in_training(), load_articles(), museum["ask"].search)
    for item in tqdm([*museum["ask"].triples, *guide.asked], desc="searching", disable=not processes.is_first()):
        guide.search(item.question)
    return {
        "read": ReadingTask(triples, search_contexts(triples)),
        "ask": museum["ask"],
        "unanswerable": museum["unanswerable"],
        "guide": guide,
        "no reply": museum["no reply"],
        "follow up": FixedTask(follow_ups()),
        "summarize": FixedTask(summaries()),
    }


def is_right(question: Question, generation: Generation, sources: Sequence[Source]) -> bool:
    """Whether a reply says what answers the question or cites a sentence that does; or is silent where nothing does."""
    if not question.evidence or not generation.text:
        return not question.evidence and not generation.text
    said = f" {normalize_answer(generation.text)} "
    if question.verdict:
        return said.startswith(f" {question.verdict} ")
    if any(f" {normalize_answer(answer)} " in said for answer in question.accepted):
        return True
    place = generation.place
    shown = sources[place.source].text[place.start : place.end] if place else ""
    return any(e.sentence in shown for e in (*question.evidence, *question.also_evidence))


def visitors_evaluation(tokenizer: PreTrainedTokenizerBase, search: Search) -> Evaluate:
    """The share of visitors' validation questions, those without an answer among them, that are rightly replied to."""
    asked = random.Random(0).sample(load_visitor_questions("validation"), ASKED)
    sources = [search(q.question)[:PASSAGES] for q in asked]

    def evaluate(model: PreTrainedModel) -> dict[str, float]:
        generations = ChatGenerator(model, tokenizer).generate([q.question for q in asked], sources)
        right = [is_right(*each) for each in zip(asked, generations, sources, strict=True)]
        silent = sum(not g.text for g in generations)
        return {GOAL: round(sum(right) / len(asked), 4), "silent": round(silent / len(asked), 4)}

    return evaluate


def train_museum_chat(folder: Path, start: Path | None = None, share: float = 1.0, device: str = "cpu") -> None:
    """Trains the difference to the bundled chat model; all goes to `folder`, where it also resumes.

    Args:
        start: a folder with the difference to start from; none where None.
        share: the recipe's number of examples times so much.

    Raises:
        DataUnavailable: public data, which are mixed in, cannot be had.
        ModelUnavailable: the chat model cannot be had, or `start` holds no difference.
    """
    settings = shortened(CHAT, share)
    difference = load_adapter(start, ADAPTER) if start else None
    model, tokenizer = load_bundled()
    model = (in_bfloat16(model) if computes_in_half(device) else model).to(device)
    tasks = chat_tasks()
    evaluate = visitors_evaluation(tokenizer, tasks["guide"].search)
    train_chat(model, tokenizer, tasks, folder, settings, evaluate, difference)
    if processes.is_first():
        weights = folder / "weights"
        save_adapter(adapter_weights(model), weights, ADAPTER)
        write_json(weights / "chat.json", asdict(settings))
        print(f"weights: {weights}")
