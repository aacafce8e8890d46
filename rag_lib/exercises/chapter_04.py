"""The exercises of chapter 04: nearest neighbours, exactly and fast."""

from __future__ import annotations

import numpy as np

from rag_lib.exercises.exercise import Case, Exercise, Fault
from rag_lib.exercises.formulas import random, unit

NAMES = ["mir", "ham", "laika", "titan", "io"]


def living_names_cases() -> list[Case]:
    """Padding, dead rows, few hits."""
    return [
        Case((np.array([2, 0, 3]), NAMES, set(), 3), ["laika", "mir", "titan"], "three rows that are all alive"),
        Case((np.array([1, -1, -1]), NAMES, set(), 3), ["ham"], "an answer that FAISS filled up with -1"),
        Case((np.array([2, 0, 3, 1]), NAMES, {"laika", "mir"}, 2), ["titan", "ham"], "dead ones that come first"),
        Case((np.array([4, 3, 2, 1, 0]), NAMES, {"io"}, 2), ["titan", "laika"], "k = 2"),
        Case((np.array([-1, -1]), NAMES, set(), 2), [], "nothing but padding"),
    ]


def living(rows: np.ndarray, names: list[str], dead: set[str]) -> list[str]:
    """The names of real rows that are alive."""
    return [names[row] for row in rows if row >= 0 and names[row] not in dead]


def nearest_rows_cases() -> list[Case]:
    """Several questions, k as large as the collection, ties."""
    scores = np.array([[0.1, 0.9, 0.5, 0.3], [0.8, 0.2, 0.7, 0.75]])
    tied = np.array([[0.5, 0.9, 0.5, 0.9]])
    return [
        Case((scores, 2), np.array([[1, 2], [0, 3]]), "two questions and k = 2"),
        Case((scores, 4), np.array([[1, 2, 3, 0], [0, 3, 2, 1]]), "k as large as the collection"),
        Case((scores, 9), np.array([[1, 2, 3, 0], [0, 3, 2, 1]]), "k larger than the collection"),
        Case((tied, 3), np.array([[1, 3, 0]]), "equal scores, of which the smaller row comes first"),
    ]


def kmeans_step_cases() -> list[Case]:
    """Points around two centres, a centre that nobody is near to, random ones."""
    points = np.array([[0.0, 0.0], [0.0, 2.0], [10.0, 0.0], [10.0, 4.0], [10.0, 2.0]])
    x, centres = random(4, 30, 3), random(4, 4, 3) + 0.1
    near = ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    moved = np.stack([x[near == c].mean(axis=0) if (near == c).any() else centres[c] for c in range(4)])
    far = np.array([[1.0, 1.0], [9.0, 1.0], [99.0, 99.0]])
    return [
        Case((points, far[:2]), np.array([[0.0, 1.0], [10.0, 2.0]]), "two clusters"),
        Case((points, far), np.array([[0.0, 1.0], [10.0, 2.0], [99.0, 99.0]]), "a centre that nobody is near to"),
        Case((x, centres), moved, "30 points and 4 centres"),
    ]


def step(x: np.ndarray, centres: np.ndarray, score: np.ndarray, move=lambda points: points.mean(axis=0)) -> np.ndarray:
    """Centres after one step, each row going to the centre with the smallest score."""
    near = score.argmin(axis=1)
    return np.stack([move(x[near == c]) if (near == c).any() else centres[c] for c in range(len(centres))])


def squared(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances (rows, centres)."""
    return ((x[:, None] - centres) ** 2).sum(axis=2)


def or_nan(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """One step in which a centre that nobody is near to becomes nan."""
    near = squared(x, centres).argmin(axis=1)
    return np.stack(
        [x[near == c].mean(axis=0) if (near == c).any() else centres[c] * np.nan for c in range(len(centres))]
    )


def collection() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Unit vectors, centres, and the rows of each cluster."""
    x = unit(random(4, 60, 4))
    centres = unit(random(4, 5, 4))
    near = squared(x, centres).argmin(axis=1)
    return x, centres, [np.flatnonzero(near == c) for c in range(5)]


def search_lists_cases() -> list[Case]:
    """One list, several, all of them, and fewer rows than were asked for."""
    x, centres, lists = collection()
    q, other = unit(random(4, 2, 4)[::-1] + 0.2)
    cases = []
    for query, k, probes, about in ((q, 3, 1, "one list"), (other, 5, 2, "two lists"), (q, 5, 5, "all lists"),
                                    (other, 40, 1, "a list with fewer than k rows")):  # fmt: skip
        order = squared(query[None], centres)[0].argsort(kind="stable")[:probes]
        cases.append(Case((query, x, centres, lists, k, probes), best(query, x, [lists[c] for c in order])[:k], about))
    return cases


def best(q: np.ndarray, x: np.ndarray, chosen: list[np.ndarray], sign: int = 1) -> list[int]:
    """The rows of some lists by their product with q."""
    rows = np.concatenate(chosen)
    return rows[np.argsort(-sign * (x[rows] @ q), kind="stable")].tolist()


def by_distance(q: np.ndarray, centres: np.ndarray, lists: list[np.ndarray], probes: int) -> list[np.ndarray]:
    """The lists whose centres are nearest to q."""
    return [lists[c] for c in squared(q[None], centres)[0].argsort(kind="stable")[:probes]]


def places(q, x, centres, lists, k, probes) -> list[int]:
    """The places of the best among the candidates, in place of their rows."""
    rows = np.concatenate(by_distance(q, centres, lists, probes))
    return np.argsort(-(x[rows] @ q), kind="stable")[:k].tolist()


def table_scores_cases() -> list[Case]:
    """Codes of vectors in two and in three parts."""
    cases = []
    for parts, about in ((2, "vectors in 2 parts"), (3, "vectors in 3 parts")):
        codebooks, q = random(4, parts, 4, 2), random(4, parts * 2)
        codes = np.random.default_rng(parts).integers(0, 4, size=(6, parts)).astype(np.uint8)
        decoded = np.stack([np.concatenate([codebooks[j, c] for j, c in enumerate(code)]) for code in codes])
        cases.append(Case((q, codebooks, codes), decoded @ q, about))
    return cases


def by_parts(q: np.ndarray, codebooks: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """What each part of each code adds, (rows, parts)."""
    return np.stack([codebooks[j, codes[:, j]] @ part for j, part in enumerate(q.reshape(len(codebooks), -1))], axis=1)


def interleaved(q: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    """The components of q dealt out to the parts in turn, as one vector."""
    return q.reshape(-1, len(codebooks)).T.ravel()


def table_distances(q: np.ndarray, codebooks: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Squared distances of q from the decoded vectors."""
    decoded = np.stack([np.concatenate([codebooks[j, c] for j, c in enumerate(code)]) for code in codes])
    return ((decoded - q) ** 2).sum(axis=1)


EXERCISES = (
    Exercise(
        "living_names",
        living_names_cases,
        (
            Fault(
                "-1 is taken for a row: names[-1] is Python for the last name. Drop every -1 first.",
                lambda rows, names, dead, k: [n for n in (names[r] for r in rows) if n not in dead][:k],
            ),
            Fault("The dead are handed out too.", lambda rows, names, dead, k: living(rows, names, set())[:k]),
            Fault(
                "It cuts after k before the dead are gone, so that too few are left: drop first, cut then.",
                lambda rows, names, dead, k: living(rows[:k], names, dead),
            ),
            Fault(
                "Row 0 is dropped too: it is a row like any other (`row >= 0`, not `row > 0`).",
                lambda rows, names, dead, k: living(rows[rows != 0], names, dead)[:k],
            ),
            Fault(
                "The order is lost: the best come first, as FAISS returned them.",
                lambda rows, names, dead, k: sorted(living(rows, names, dead))[:k],
            ),
            Fault("All the living are returned: cut after k.", lambda rows, names, dead, k: living(rows, names, dead)),
        ),
        ("`[names[row] for row in rows if row >= 0 …]` leaves the padding out; add what is asked of the names.",),
    ),
    Exercise(
        "nearest_rows",
        nearest_rows_cases,
        (
            Fault("Those are the farthest: the highest scores come first.", lambda s, k: np.argsort(s, axis=1)[:, :k]),
            Fault(
                "The best are there, but the worst of them comes first.",
                lambda s, k: np.argsort(-s, axis=1, kind="stable")[:, :k][:, ::-1],
            ),
            Fault(
                "It sorts along the questions: each row of the scores is a question, to be sorted along axis 1.",
                lambda s, k: np.argsort(-s, axis=0, kind="stable")[:k].T,
            ),
            Fault(
                "Of equal scores the larger row comes first: sort the negative scores with kind='stable'.",
                lambda s, k: np.argsort(s, axis=1, kind="stable")[:, ::-1][:, :k],
            ),
            Fault(
                "It returns the scores; the rows are wanted.",
                lambda s, k: -np.sort(-s, axis=1)[:, :k],
            ),
            Fault(
                "It fails where k is larger than the collection: `np.argpartition` needs k - 1 < N.",
                lambda s, k: (
                    np.argsort(-s, axis=1, kind="stable")[:, :k]
                    if k <= s.shape[1]
                    else np.argpartition(-s, k - 1, axis=1)
                ),
            ),
        ),
        (
            "`np.argsort(-scores, axis=1, kind='stable')` gives the columns of each row, best first.",
            "That sorts everything; with many vectors, picking the k best with `np.argpartition` first is faster.",
        ),
    ),
    Exercise(
        "kmeans_step",
        kmeans_step_cases,
        (
            Fault(
                "A centre that nobody is near to becomes nan, the mean of nothing: it stays where it is.",
                or_nan,
            ),
            Fault(
                "A centre that nobody is near to is lost: it stays where it is, or clusters change their numbers.",
                lambda x, c: or_nan(x, c)[np.unique(squared(x, c).argmin(axis=1))],
            ),
            Fault(
                "A centre that nobody is near to becomes 0: it stays where it is.",
                lambda x, c: np.nan_to_num(or_nan(x, c)),
            ),
            Fault(
                "Points go to the farthest centre: the smallest distance is wanted (`argmin`).",
                lambda x, c: step(x, c, -squared(x, c)),
            ),
            Fault(
                "Points go to the centre with the largest product; |x - c|² = |x|² - 2x·c + |c|², and |c|² is missing.",
                lambda x, c: step(x, c, -(x @ c.T)),
            ),
            Fault(
                "A centre becomes the sum of its points; the mean is wanted.",
                lambda x, c: step(x, c, squared(x, c), lambda points: points.sum(axis=0)),
            ),
            Fault(
                "It returns the number of each point's centre; the new centres are wanted.",
                lambda x, c: squared(x, c).argmin(axis=1),
            ),
        ),
        (
            "`((X[:, None] - centres) ** 2).sum(axis=2)` has the shape (points, centres).",
            "Copy the centres; for each number c that occurs, put the mean of its points in row c.",
        ),
    ),
    Exercise(
        "search_lists",
        search_lists_cases,
        (
            Fault(
                "Those are places among the candidates; rows of X are wanted: candidates[places].",
                places,
            ),
            Fault(
                "It probes the farthest lists: those whose centres are nearest to q are wanted.",
                lambda q, x, centres, lists, k, probes: best(
                    q, x, [lists[c] for c in (-squared(q[None], centres)[0]).argsort(kind="stable")[:probes]]
                )[:k],
            ),
            Fault(
                "It looks at one list, whatever `probes` says.",
                lambda q, x, centres, lists, k, probes: best(q, x, by_distance(q, centres, lists, 1))[:k],
            ),
            Fault(
                "It looks at all lists, whatever `probes` says: nothing is saved.",
                lambda q, x, centres, lists, k, probes: best(q, x, lists)[:k],
            ),
            Fault(
                "It takes the first lists, whatever q is: sort the centres by their distance from q.",
                lambda q, x, centres, lists, k, probes: best(q, x, lists[:probes])[:k],
            ),
            Fault(
                "The worst candidates come first.",
                lambda q, x, centres, lists, k, probes: best(q, x, by_distance(q, centres, lists, probes), -1)[:k],
            ),
            Fault(
                "The candidates are not sorted by their product with q.",
                lambda q, x, centres, lists, k, probes: np.concatenate(by_distance(q, centres, lists, probes))[
                    :k
                ].tolist(),
            ),
        ),
        (
            "Distances of the centres from q: `((centres - q) ** 2).sum(axis=1)`.",
            "Their rows are `np.concatenate([lists[c] for c in nearest])`; sort them by their product with q.",
        ),
    ),
    Exercise(
        "table_scores",
        table_scores_cases,
        (
            Fault(
                "The components of q are dealt out to the parts in turn; part j is the j-th stretch of neighbours.",
                lambda q, books, codes: by_parts(interleaved(q, books), books, codes).sum(axis=1),
            ),
            Fault(
                "Those are distances; the products are wanted.",
                table_distances,
            ),
            Fault(
                "It takes the mean of the parts; a dot product is their sum.",
                lambda q, books, codes: by_parts(q, books, codes).mean(axis=1),
            ),
            Fault(
                "The parts are not added up: a vector has one score.",
                by_parts,
            ),
            Fault(
                "Only the first part counts.",
                lambda q, books, codes: by_parts(q, books, codes)[:, 0],
            ),
            Fault(
                "Every part is looked up in the first codebook; part j has its own.",
                lambda q, books, codes: by_parts(q, np.stack([books[0]] * len(books)), codes).sum(axis=1),
            ),
        ),
        (
            "`q.reshape(m, -1)` cuts q into m parts; the table has the entry codebooks[j, c] @ part j at [j, c].",
            "`table[np.arange(m), codes]` looks all codes up at once and has the shape of codes.",
        ),
    ),
)
