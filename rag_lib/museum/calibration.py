"""How sure the bundled generator may be: its confidence is fitted on the museum's validation questions.

`python -m rag_lib.museum.calibration` writes `confidence.json` beside the weights, or with `--ranked` beside the
sentence ranker. Taught in notebooks/07_rag_pipeline.ipynb.
"""

from __future__ import annotations

import argparse
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from rag_lib.evaluation.calibration import calibration_estimate, fit_logistic
from rag_lib.evaluation.statistics import auroc_estimate
from rag_lib.files import ARTICLES
from rag_lib.generation.confidence import Confidence
from rag_lib.generation.reader import EvidenceReader
from rag_lib.generation.sentence_ranker import SENTENCE_RANKER
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.store import open_folder
from rag_lib.models.weights import GENERATOR, MUSEUM_ENCODER
from rag_lib.museum.collection import load_questions, load_visitor_questions
from rag_lib.museum.measure import article_groups, says
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.catalogue import DEFAULT, make_retriever

FOLDS = 5
# Passages that say otherwise lower the confidence, but nobody's honest questions can teach by how much: near misses are
# nearly all that disagrees with a right answer there.
AGREE = 0.25


def fit(features: Sequence[dict[str, float]], right: Sequence[float]) -> Confidence:
    """The confidence that makes the right answers most probable, with the weight AGREE as it is."""
    names = sorted(features[0].keys() - {"agree"})
    weights, bias = fit_logistic(np.array([[f[name] for name in names] for f in features]), right)
    given = {"agree": AGREE} if "agree" in features[0] else {}
    return Confidence(dict(zip(names, weights.round(4).tolist(), strict=True)) | given, round(bias, 4))


def cross_fitted(
    features: Sequence[dict[str, float]], right: Sequence[float], groups: Sequence[Hashable]
) -> list[float]:
    """The confidence of each answer, fitted on the other groups' answers only, in FOLDS parts."""
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    fold = [number[group] % FOLDS for group in groups]
    fitted = []
    for k in range(FOLDS):
        rest = [i for i, f in enumerate(fold) if f != k]
        fitted.append(fit([features[i] for i in rest], [right[i] for i in rest]))
    return [fitted[f](feature) for f, feature in zip(fold, features, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Asks the validation questions, fits the confidence, and says how good it is on questions it was not fitted on."""
    parser = argparse.ArgumentParser(prog="python -m rag_lib.museum.calibration", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=GENERATOR, metavar="FOLDER", help="default: the bundled ones")
    parser.add_argument("--ranked", action="store_true", help="the bundled generator with its sentence ranker")
    options = parser.parse_args(arguments)
    questions = [*load_visitor_questions("validation"), *load_questions("validation")]
    encoder = SentenceEncoder(MUSEUM_ENCODER)
    knowledge = open_folder(ARTICLES, encoder)
    weights = SENTENCE_RANKER if options.ranked else options.weights
    reader = EvidenceReader.load_with_ranker() if options.ranked else EvidenceReader.load(str(weights))
    rag = RAG(knowledge, make_retriever(DEFAULT, knowledge, encoder), reader, threshold=0.0)
    found = [rag.find(q.question) for q in tqdm(questions, desc="searching")]
    questions, found = zip(*((q, f) for q, f in zip(questions, found, strict=True) if f.hits), strict=True)
    generations = [rag.read([f])[0] for f in tqdm(found, desc="reading")]
    answers = [rag.conclude(f, g, 0.0) for f, g in zip(found, generations, strict=True)]
    right = [says(q, a) for q, a in zip(questions, answers, strict=True)]
    features, groups = [g.features for g in generations], article_groups(questions)
    confidence = fit(features, right)
    confidence.save(weights)
    scores = cross_fitted(features, right, groups)
    answerable = [s for s, q in zip(scores, questions, strict=True) if q.evidence]
    nowhere = [s for s, q in zip(scores, questions, strict=True) if not q.evidence]
    print(f"{confidence}\nright {np.mean(right):.3f}; the expected calibration error is")
    print(calibration_estimate(scores, right, groups))
    print(f"answerable or not: AUROC {auroc_estimate(answerable, nowhere)}")


if __name__ == "__main__":
    main()
