"""A simulator of the shop's visitors: `python -m rag_lib.museum.visitors` writes data/museum/shop/visitors.jsonl anew.

No real purchase data may be published, so the histories are made, by a model that is simple enough to be known in full:

1. A visitor has an age, a budget for one purchase, and tastes: weights over a few of the shop's topics.
2. The visitor weighs every product, and never buys one twice. A product's utility is the taste for its topics, plus its
   popularity (a few products are known to all: popularity falls with a power of a random rank), minus a penalty that
   grows with how far the price is above the budget; a product for another age is hardly ever bought.
3. Bought are the products of highest utility plus Gumbel noise, in random order, so that choices follow a softmax of
   the utilities without replacement (McFadden, 1974; Yellott, 1977).
4. Two purchases in three are rated: one to five stars by taste, with noise.

Dates run over two years; the last visits of all visitors together are held out by date, as they would be in life.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from rag_lib.applications.shop import Product, Purchase, Visitor
from rag_lib.files import MUSEUM
from rag_lib.museum.collection import load_products


@dataclass(frozen=True)
class Simulation:
    """The model's numbers."""

    visitors: int = 450
    seed: int = 2026
    first_day: date = date(2024, 10, 1)
    days: int = 730
    visits: float = 8.0  # on average, besides the first four
    taste: float = 6.0  # weight of the topics
    popularity: float = 0.4  # exponent of the popularity's fall with the rank
    thrift: float = 2.5  # weight of every doubling of the price above the budget
    wrong_age: float = 6.0  # penalty for a product for another age
    noise: float = 0.8  # scale of the Gumbel noise
    rated: float = 0.67  # share of purchases that are rated


def topic_matrix(products: Sequence[Product]) -> tuple[list[str], np.ndarray]:
    """The topics, and (products, topics): 1 / number of topics where a product has one, else 0."""
    topics = sorted({t for p in products for t in p.topics})
    matrix = np.zeros((len(products), len(topics)))
    for i, product in enumerate(products):
        matrix[i, [topics.index(t) for t in product.topics]] = 1 / len(product.topics)
    return topics, matrix


def draw_age(rng: np.random.Generator) -> int:
    """An age: children for whom somebody buys, students and adults, pensioners."""
    low, high = [(5, 15), (16, 30), (31, 64), (65, 85)][rng.choice(4, p=[0.2, 0.25, 0.4, 0.15])]
    return int(rng.integers(low, high + 1))


def draw_tastes(topics: int, rng: np.random.Generator) -> np.ndarray:
    """Weights (topics,) that add up to one: two to four topics liked much, the others a little."""
    weights = np.full(topics, 0.1 / topics)
    liked = rng.choice(topics, size=rng.integers(2, 5), replace=False)
    weights[liked] += 0.9 * rng.dirichlet(np.full(len(liked), 2.0))
    return weights


def simulate(products: Sequence[Product], settings: Simulation | None = None) -> list[Visitor]:
    """Visitors with their purchases in the order of their dates; the same settings give the same visitors."""
    s = settings or Simulation()
    rng = np.random.default_rng(s.seed)
    topics, matrix = topic_matrix(products)
    prices = np.array([p.price for p in products])
    ages = np.array([(p.age_min, p.age_max) for p in products])
    fame = -s.popularity * np.log(1 + rng.permutation(len(products)))
    visitors = []
    for number in range(s.visitors):
        age, tastes = draw_age(rng), draw_tastes(len(topics), rng)
        budget = float(np.exp(rng.normal(np.log(18 if age < 16 else 30), 0.5)))
        liking = matrix @ tastes / (matrix @ tastes).max()
        unfit = (age < ages[:, 0]) | (age > ages[:, 1])
        utility = s.taste * liking + fame - s.thrift * np.log2(np.maximum(prices / budget, 1)) - s.wrong_age * unfit
        count = min(4 + rng.poisson(s.visits), len(products))
        when = sorted(int(d) for d in rng.integers(0, s.days, size=count))
        chosen = rng.permutation(np.argsort(-(utility + s.noise * rng.gumbel(size=len(products))))[:count])
        stars = np.clip(np.round(2.2 + 2.6 * liking[chosen] + rng.normal(0, 0.8, size=count)), 1, 5)
        rated = rng.random(count) < s.rated
        history = [
            Purchase(products[i].id, (s.first_day + timedelta(days=day)).isoformat(), int(star) if known else None)
            for i, day, star, known in zip(chosen, when, stars, rated, strict=True)
        ]
        visitors.append(Visitor(f"v-{number + 1:03d}", age, tuple(history)))
    return visitors


def main(museum: Path = MUSEUM) -> None:
    """Writes the visitors' file."""
    lines = [json.dumps(asdict(v)) + "\n" for v in simulate(load_products(museum))]
    (museum / "shop" / "visitors.jsonl").write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines)} visitors")


if __name__ == "__main__":
    main()
