"""The finished system asked questions to an open collection: the museum's, and SQuAD's without their paragraphs.

Every question becomes an `Outcome`, whose anatomy is in rag_lib.applications.open_domain. Taught in
notebooks/10_open_domain_qa.ipynb.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tqdm.auto import tqdm

from rag_lib.applications.open_domain import Outcome, Reading, ReadPassage, names, says_nearly
from rag_lib.evaluation.answers import match, match_f1
from rag_lib.evaluation.squad import SQUAD, load_public
from rag_lib.files import ARTICLES
from rag_lib.hits import Hit
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Document, Passage
from rag_lib.indexing.knowledge_base import KnowledgeBase, build
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.indexing.store import open_folder
from rag_lib.museum.collection import STYLES, Evidence, Question, load_articles, load_questions
from rag_lib.museum.measure import article_groups, best_sentence, cites, gold_passages, says
from rag_lib.pipeline.rag import RAG, Answer, Found

PARTS = dict(zip(STYLES, ("with the article in view", "as visitors ask"), strict=True))
FROM_SQUAD = "from SQuAD"
SQUAD_LIMIT = 500  # of 10,570 questions; all of them take hours


@dataclass(frozen=True)
class OpenCollection:
    """Documents as passages, and questions to all of them.

    Attributes:
        questions: by the part that they are (see `Outcome`).
    """

    documents: list[Document]
    knowledge: KnowledgeBase
    questions: dict[str, list[Question]]


def drawn(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """So many of the questions, drawn with a fixed seed; all without a limit."""
    return random.Random(0).sample(questions, limit) if limit and limit < len(questions) else list(questions)


def museum(split: str, encoder: Encoder, limit: int | None = None, styles: Sequence[str] = STYLES) -> OpenCollection:
    """The museum's articles, and the questions of a split in some styles, of each at most `limit`."""
    questions = {PARTS[style]: drawn(load_questions(split, style=style), limit) for style in styles}
    return OpenCollection(load_articles(), open_folder(ARTICLES, encoder, progress=True), questions)


def squad_documents(rows: Iterable[Mapping]) -> list[Document]:
    """The paragraphs of rows of SQuAD, each one a document; its id is the article's title and a number."""
    titles = {row["context"]: row["title"] for row in rows}
    number: dict[str, int] = {}
    documents = []
    for context, title in titles.items():
        number[title] = number.get(title, -1) + 1
        documents.append(Document(f"{title}#{number[title]}", title.replace("_", " "), context))
    return documents


def squad_questions(rows: Iterable[Mapping], documents: Sequence[Document]) -> list[Question]:
    """The rows as questions to all paragraphs; the sentences in which an annotator marked an answer are right ones."""
    by_text = {document.text: document.id for document in documents}
    questions = []
    for row in rows:
        answers, context = row["answers"], row["context"]
        marked = {
            context[a:b]: None
            for a, b in sentence_spans(context)
            if any(a <= start < b for start in answers["answer_start"])
        }
        first, *others = [Evidence(by_text[context], sentence) for sentence in marked]
        accepted = tuple(dict.fromkeys(answers["text"]))
        asked = row["question"].strip()
        questions.append(Question(row["id"], asked, accepted, (first,), kind="", also_evidence=tuple(others)))
    return questions


def squad(encoder: Encoder, limit: int | None = None) -> OpenCollection:
    """SQuAD's validation paragraphs as one collection, and `limit` of the questions (default: SQUAD_LIMIT).

    Raises:
        DataUnavailable: SQuAD is not there.
    """
    rows = list(load_public(SQUAD, "validation"))
    documents = squad_documents(rows)
    questions = drawn(squad_questions(rows, documents), limit or SQUAD_LIMIT)
    return OpenCollection(documents, build(documents, encoder, progress=True), {FROM_SQUAD: questions})


def ask(collection: OpenCollection, rag: RAG, encoder: Encoder) -> list[Outcome]:
    """The outcomes of all questions; the pipeline must keep no guess back, so its threshold has to be 0."""
    outcomes = []
    for part, questions in collection.questions.items():
        articles = [group.partition("#")[0] for group in article_groups(questions)]
        gold = gold_passages(questions, collection.knowledge, collection.documents)
        rows = zip(tqdm(questions, desc=part), articles, gold, strict=True)
        outcomes += [outcome(part, q, article, ids, collection, rag, encoder) for q, article, ids in rows]
    return outcomes


def outcome(
    part: str, question: Question, article: str, gold: set[str], collection: OpenCollection, rag: RAG, encoder: Encoder
) -> Outcome:
    """What comes of one question; `gold` are the ids of the right passages."""
    found = rag.find(question.question)
    answer = rag.conclude(found, rag.read([found])[0], 0.0)
    cited, counted, ids = cites(question, answer), counts(question, answer), [h.id for h in found.hits]
    place, second, made = answer.nearest, None, bool(question.evidence)
    if len(question.evidence) > 1:
        other = replace(question, evidence=question.evidence[1:])
        second = rank_of(gold_passages([other], collection.knowledge, collection.documents)[0], ids)
    missed = made and not (counted or cited)
    return Outcome(
        question.id,
        part,
        article,
        made,
        round(answer.score, 4),
        rank_of(gold, ids),
        tuple(
            ReadPassage(p.document_id, p.start, p.end, round(h.score, 6))
            for h, p in zip(found.hits, found.passages, strict=True)
        ),
        (place.passage.document_id, place.start, place.end) if place else None,
        made and counted,
        round(match_f1(answer.guess, question.accepted), 4) if question.accepted else None,
        bool(says(question, answer)),
        cited,
        says_nearly(answer.guess, question.accepted),
        names(answer.verdict or answer.guess, question.accepted, question.verdict),
        bool(found.hits and says(question, best_sentence(found, encoder))),
        second,
        reading(question, [collection.knowledge.passages[i] for i in sorted(gold)], rag) if missed else None,
        reading(question, sentences(question, collection), rag) if missed else None,
    )


def counts(question: Question, answer: Answer) -> bool:
    """Whether the answer is an accepted one; where there is no short one, whether it tells what is right."""
    return bool(match(answer.text, question.accepted) if question.accepted else says(question, answer))


def rank_of(right: set[str], ids: Sequence[str]) -> int:
    """The rank of the first right one, from 1; 0 where there is none."""
    return next((rank for rank, i in enumerate(ids, start=1) if i in right), 0)


def sentences(question: Question, collection: OpenCollection) -> list[Passage]:
    """The sentence that holds the answer, as a passage of its own."""
    evidence = question.evidence[0]
    document = next(d for d in collection.documents if d.id == evidence.article)
    start = document.text.index(evidence.sentence)
    return [Passage("", document.id, document.title, evidence.sentence, start, start + len(evidence.sentence))]


def reading(question: Question, passages: Sequence[Passage], rag: RAG) -> Reading:
    """What is read out of these passages, all equally likely."""
    hits, standing = tuple(Hit(p.id, 0.0) for p in passages), (1,) * len(passages)
    found = Found(question.question, hits, tuple(passages), standing, 0.0)
    answer = rag.conclude(found, rag.read([found])[0], 0.0)
    return Reading(counts(question, answer), round(answer.score, 4))
