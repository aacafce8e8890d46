"""What must hold of the museum's collection. `python -m rag_lib.museum.check` lists what does not."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rag_lib.files import MUSEUM
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.documents import Document
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.museum.collection import (
    PRACTICE,
    SPLITS,
    STYLES,
    PracticeText,
    Question,
    load_articles,
    load_dialogues,
    load_dossiers,
    load_practice_questions,
    load_practice_texts,
    load_products,
    load_questions,
    load_splits,
    load_summaries,
    load_visitors,
)
from rag_lib.museum.kinds import kind_of

ARTICLE_WORDS, DOSSIER_WORDS, PRODUCT_WORDS = (180, 450), (900, 2000), (40, 90)
NEAR_DUPLICATE = 0.9  # Jaccard overlap of the terms of two questions
HEAD = ("id", "title", "hall", "topics", "summary")
TURNS = (3, 8)
YEAR = re.compile(r"\b(?:1[0-9]|20)\d\d\b")
NAME = re.compile(r"(?<![.!?:] )(?<!^)\b[A-Z][\w’-]{2,}")


def words(text: str) -> int:
    """Number of words."""
    return len(text.split())


def plain(text: str) -> str:
    """A text by its letters and digits alone."""
    return " ".join(re.findall(r"\w+", text.lower()))


def check_articles(articles: list[Document], splits: dict[str, str]) -> Iterator[str]:
    """Ids, front matter, lengths, splits, and no sentence in two articles."""
    sentences: dict[str, str] = {}
    for article in articles:
        for key in HEAD:
            if not article.metadata.get(key):
                yield f"{article.id}: no {key}"
        if not ARTICLE_WORDS[0] <= words(article.text) <= ARTICLE_WORDS[1]:
            yield f"{article.id}: {words(article.text)} words"
        if article.id not in splits:
            yield f"{article.id}: in no split"
        for start, end in sentence_spans(article.text):
            sentence = plain(article.text[start:end])
            if words(sentence) > 4 and sentences.setdefault(sentence, article.id) != article.id:
                yield f"{article.id}: shares a sentence with {sentences[sentence]}: {sentence[:60]}"
    for unknown in splits.keys() - {a.id for a in articles}:
        yield f"splits.json: no article {unknown}"


def check_question(question: Question, split: str, texts: dict[str, str], splits: dict[str, str]) -> Iterator[str]:
    """Evidence to the letter, answers in the evidence, articles of the question's own split, kind by the rule."""
    if question.kind != kind_of(question.question):
        yield f"{question.id}: of kind {kind_of(question.question)!r}, not {question.kind!r}"
    for evidence in (*question.evidence, *question.also_evidence, *question.traps):
        if evidence.sentence not in texts.get(evidence.article, ""):
            yield f"{question.id}: the evidence is not in {evidence.article}: {evidence.sentence[:60]}"
    if not question.evidence:
        if question.accepted or question.also_evidence or question.verdict or question.reply:
            yield f"{question.id}: without evidence, but with an answer"
        if question.near and splits.get(question.near) != split:
            yield f"{question.id}: near {question.near}, which is not in {split}"
        return
    if question.near:
        yield f"{question.id}: near an article, but with an answer"
    if not 1 <= len({e.article for e in question.evidence}) == len(question.evidence) <= 2:
        yield f"{question.id}: without one or two articles as evidence"
    for evidence in question.evidence:
        if splits.get(evidence.article) != split:
            yield f"{question.id}: {evidence.article} is not in {split}"
    for answer in question.answers:
        if not any(answer in e.sentence for e in question.evidence):
            yield f"{question.id}: {answer!r} is not in the evidence"
    for answer in question.also_accepted:
        if answer in question.answers or not answer.strip():
            yield f"{question.id}: {answer!r} is accepted twice, or empty"


def check_style(question: Question, style: str) -> Iterator[str]:
    """What the two styles of questions have beyond the rest."""
    if style == STYLES[0]:
        if not question.question.endswith("?"):
            yield f"{question.id}: no question mark"
        if question.evidence and not question.answers:
            yield f"{question.id}: no answer"
    elif question.evidence:
        if not question.reply or len(question.evidence) != 1:
            yield f"{question.id}: without a reply, or with more than one main sentence of evidence"
        if question.verdict not in ("", "yes", "no"):
            yield f"{question.id}: the verdict is {question.verdict!r}"
        if question.verdict and not question.reply.lower().startswith(question.verdict):
            yield f"{question.id}: the reply does not begin with {question.verdict}"


def check_traps(question: Question) -> Iterator[str]:
    """What is a trap is no evidence; a question with evidence has an answer or a verdict."""
    if set(question.traps) & {*question.evidence, *question.also_evidence}:
        yield f"{question.id}: a trap that answers it"
    if question.evidence and bool(question.answers) == bool(question.verdict):
        yield f"{question.id}: neither an answer nor a verdict, or both"


def check_practice_texts(texts: list[PracticeText]) -> Iterator[str]:
    """Evidence is whole sentences of the text, an answer stands in one; answer, verdict, or neither and no evidence."""
    for text in texts:
        sentences = {text.text[a:b] for a, b in sentence_spans(text.text)}
        for question in text.questions:
            right = {e.sentence for e in (*question.evidence, *question.also_evidence)}
            if right - sentences:
                yield f"{question.id}: evidence that is no sentence of the text"
            if question.answers and not any(question.answers[0].lower() in sentence.lower() for sentence in right):
                yield f"{question.id}: {question.answers[0]!r} is not in the evidence"
            if bool(question.answers) + bool(question.verdict) != bool(right):
                yield f"{question.id}: neither an answer nor a verdict, or both, or no evidence"


def check_duplicates(questions: dict[str, Question], split_of: dict[str, str]) -> Iterator[str]:
    """No question twice, and none nearly the same in two splits."""
    first: dict[str, str] = {}
    for question in questions.values():
        if first.setdefault(plain(question.question), question.id) != question.id:
            yield f"{question.id}: the same question as {first[plain(question.question)]}"
    analyze = Analyzer()
    terms = {i: frozenset(analyze(q.question)) for i, q in questions.items()}
    common = Counter(term for own in terms.values() for term in own)
    with_rare: dict[str, list[str]] = {}
    for i, own in terms.items():
        # two sets that share so much share one of their rarest terms (the prefix filter of Chaudhuri et al., 2006)
        rare = sorted(own, key=lambda t: (common[t], t))[: len(own) - math.ceil(NEAR_DUPLICATE * len(own)) + 1]
        for j in dict.fromkeys(j for term in rare for j in with_rare.get(term, ())):
            if split_of[i] != split_of[j] and len(own & terms[j]) / len(own | terms[j]) >= NEAR_DUPLICATE:
                yield f"{i} ({split_of[i]}): nearly the same question as {j} ({split_of[j]})"
        for term in rare:
            with_rare.setdefault(term, []).append(i)


def check_dialogues(texts: dict[str, str], splits: dict[str, str], museum: Path) -> Iterator[str]:
    """Three to eight turns, evidence to the letter and of one split."""
    seen: set[str] = set()
    for split in SPLITS:
        for dialogue in load_dialogues(split, museum):
            if dialogue.id in seen:
                yield f"{dialogue.id}: twice"
            seen.add(dialogue.id)
            if not TURNS[0] <= len(dialogue.turns) <= TURNS[1]:
                yield f"{dialogue.id}: {len(dialogue.turns)} turns"
            for turn in dialogue.turns:
                if not (turn.visitor and turn.standalone and turn.guide):
                    yield f"{dialogue.id}: an empty turn"
                if turn.evidence and splits.get(turn.evidence.article) != split:
                    yield f"{dialogue.id}: {turn.evidence.article} is not in {split}"
                if turn.evidence and turn.evidence.sentence not in texts.get(turn.evidence.article, ""):
                    yield f"{dialogue.id}: its evidence is not in {turn.evidence.article}"


def check_dossiers(texts: dict[str, str], splits: dict[str, str], museum: Path) -> Iterator[str]:
    """Lengths, an article each, a summary each in the split of that article, no sentence of an article."""
    dossiers = {d.id: d for d in load_dossiers(museum)}
    sentences = {plain(t[a:b]) for t in texts.values() for a, b in sentence_spans(t)}
    for dossier in dossiers.values():
        if not DOSSIER_WORDS[0] <= words(dossier.text) <= DOSSIER_WORDS[1]:
            yield f"{dossier.id}: {words(dossier.text)} words"
        if dossier.metadata.get("article") not in texts:
            yield f"{dossier.id}: goes with no article"
        for start, end in sentence_spans(dossier.text):
            sentence = plain(dossier.text[start:end])
            if words(sentence) > 4 and sentence in sentences:
                yield f"{dossier.id}: shares a sentence with an article: {sentence[:60]}"
    summarized = Counter()
    for split in SPLITS:
        for summary in load_summaries(split, museum):
            summarized[summary.dossier] += 1
            dossier = dossiers.get(summary.dossier)
            if dossier is None or splits.get(dossier.metadata.get("article", "")) != split:
                yield f"{summary.dossier}: its summary is in {split}, where its article is not"
            if not 2 <= len(sentence_spans(summary.summary)) <= 4:
                yield f"{summary.dossier}: a summary of {len(sentence_spans(summary.summary))} sentences"
            if dossier is not None:
                for text in (summary.summary, summary.focused):
                    for missing in leaning(text, f"{dossier.title} {dossier.text}"):
                        yield f"{summary.dossier}: a summary has {missing!r}, which the dossier lacks"
            if not bool(summary.question) == bool(summary.focused) == bool(summary.evidence):
                yield f"{summary.dossier}: a question without its summary or its evidence, or the reverse"
            if dossier is not None and not all(sentence in dossier.text for sentence in summary.evidence):
                yield f"{summary.dossier}: evidence that the dossier does not have"
    for dossier in dossiers.keys() ^ summarized.keys():
        yield f"{dossier}: dossier and summary do not come together"


def leaning(summary: str, text: str) -> list[str]:
    """The years and names of a summary that its text lacks: it leans on something else."""
    known = set(re.findall(r"\w+", text))
    named = [w for name in NAME.findall(summary) for w in re.findall(r"\w+", name.removesuffix("’s"))]
    return sorted({w for w in (*YEAR.findall(summary), *named) if w not in known and w.removesuffix("s") not in known})


def check_products(museum: Path) -> Iterator[str]:
    """Unique ids and titles, lengths, prices and ages."""
    products = load_products(museum)
    for key in ("id", "title", "description"):
        for value, count in Counter(getattr(p, key) for p in products).items():
            if count > 1:
                yield f"products: {key} {value[:40]!r} occurs {count} times"
    for product in products:
        if not PRODUCT_WORDS[0] <= words(product.description) <= PRODUCT_WORDS[1]:
            yield f"{product.id}: a description of {words(product.description)} words"
        if not (product.price > 0 and 0 <= product.age_min <= product.age_max <= 99 and product.topics):
            yield f"{product.id}: price, ages or topics"


def check_visitors(museum: Path) -> Iterator[str]:
    """Unique ids, known products bought once, in the order of time."""
    products = {p.id for p in load_products(museum)}
    visitors = load_visitors(museum)
    if len({v.id for v in visitors}) != len(visitors):
        yield "visitors: an id occurs twice"
    for visitor in visitors:
        dates = [p.date for p in visitor.history]
        bought = [p.product for p in visitor.history]
        if dates != sorted(dates):
            yield f"{visitor.id}: purchases not in the order of time"
        if not products.issuperset(bought) or len(set(bought)) != len(bought):
            yield f"{visitor.id}: an unknown product, or one bought twice"
        if any(p.rating not in (None, 1, 2, 3, 4, 5) for p in visitor.history):
            yield f"{visitor.id}: a rating that is not 1 to 5"


def check_museum(museum: Path = MUSEUM) -> list[str]:
    """Everything that is wrong with a collection; an empty list where nothing is."""
    articles, splits = load_articles(museum), load_splits(museum)
    texts = {a.id: a.text for a in articles}
    found = list(check_articles(articles, splits))
    questions: dict[str, Question] = {}
    split_of: dict[str, str] = {}
    for style in STYLES:
        for split in SPLITS if (museum / style).is_dir() else ():
            for question in load_questions(split, museum, style):
                if question.id in questions:
                    found.append(f"{question.id}: twice")
                questions[question.id], split_of[question.id] = question, split
                found += check_question(question, split, texts, splits)
                found += check_style(question, style)
    if (museum / PRACTICE).is_file():
        for question in load_practice_questions(museum):
            if question.id in questions:
                found.append(f"{question.id}: twice")
            questions[question.id], split_of[question.id] = question, "train"
            found += check_question(question, "train", texts, splits)
            found += check_traps(question)
    found += check_practice_texts(load_practice_texts())
    found += check_duplicates(questions, split_of)
    if (museum / "dialogues").is_dir():
        found += check_dialogues(texts, splits, museum)
    if (museum / "dossiers").is_dir() and (museum / "summaries").is_dir():
        found += check_dossiers(texts, splits, museum)
    if (museum / "shop").is_dir():
        found += check_products(museum)
        found += check_visitors(museum)
    return found


if __name__ == "__main__":
    problems = check_museum()
    print("\n".join(problems) or "nothing is wrong with the collection")
    sys.exit(bool(problems))
