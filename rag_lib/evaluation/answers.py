"""How right an answer is (taught in notebooks/06_generation.ipynb).

Exact match and F1 follow the official script of SQuAD 2 (Rajpurkar et al., 2018), which for questions that have an
answer is that of SQuAD.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from rag_lib.evaluation.values import canonical
from rag_lib.hits import check_texts

ARTICLE_WORDS = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (SQuAD's official normalisation)."""
    return " ".join(ARTICLE_WORDS.sub(" ", text.lower().translate(PUNCTUATION)).split())


def acceptable(answers: Sequence[str]) -> list[str]:
    """The answers of which anything is left when normalised; where there are none, silence is right, as in SQuAD 2.

    Raises:
        TypeError: they are one text, or not texts.
    """
    return [a for a in check_texts(answers) if normalize_answer(a)] or [""]


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 when the normalised prediction equals any normalised answer, else 0.0; without answers, when it is silent."""
    return float(any(normalize_answer(prediction) == normalize_answer(a) for a in acceptable(answers)))


def token_f1(prediction: str, answer: str) -> float:
    """Harmonic mean of word precision and recall between two normalised texts."""
    p, a = normalize_answer(prediction).split(), normalize_answer(answer).split()
    if not p or not a:
        return float(p == a)
    common = sum((Counter(p) & Counter(a)).values())
    return 2 * common / (len(p) + len(a))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Best token F1 of the prediction over all acceptable answers; without answers, 1.0 when it is silent."""
    return max(token_f1(prediction, a) for a in acceptable(answers))


def match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 when the prediction is an answer in the same or other words for its values (see `values`), else 0.0."""
    return exact_match(canonical(prediction), [canonical(a) for a in answers])


def match_f1(prediction: str, answers: Sequence[str]) -> float:
    """F1 between the same values in whatever words (see `values`)."""
    return f1(canonical(prediction), [canonical(a) for a in answers])


def score_answers(
    predictions: Sequence[str], answers: Sequence[Sequence[str]], metric: Callable[[str, Sequence[str]], float]
) -> list[float]:
    """The metric of every prediction against its acceptable answers."""
    return [metric(p, a) for p, a in zip(predictions, answers, strict=True)]


def words_of(text: str) -> list[str]:
    """The words that ROUGE counts: lower case, letters and digits only."""
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge_n(prediction: str, reference: str, n: int) -> float:
    """F1 of the runs of n words that two texts share, lower case, without punctuation (Lin, 2004)."""
    p, r = (
        Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in map(words_of, (prediction, reference))
    )
    return 2 * sum((p & r).values()) / max(sum(p.values()) + sum(r.values()), 1)


def rouge_l(prediction: str, reference: str) -> float:
    """F1 of the longest common subsequence of words, lower case, without punctuation (Lin, 2004)."""
    p, r = words_of(prediction), words_of(reference)
    if not p or not r:
        return 0.0
    row = [0] * (len(r) + 1)  # row[j]: the longest common subsequence of the words of p so far and r[:j]
    for word in p:
        diagonal = 0
        for j, other in enumerate(r, start=1):
            row[j], diagonal = (diagonal + 1 if word == other else max(row[j], row[j - 1])), row[j]
    return 2 * row[-1] / (len(p) + len(r))
