"""Products for a visitor: by what others bought, by what products are about, and by a wish in words.

Taught in notebooks/13_recommendation.ipynb. Products are passages, and a visitor's history is a query: a recommender
scores all products for a history, a retriever scores them for a wish, and both scores together make the ranking.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from rag_lib.applications.shop import Product, Purchase, Visitor, product_text
from rag_lib.applications.wishes import Wish
from rag_lib.files import cache_folder
from rag_lib.generation.generators import Generator
from rag_lib.generation.jobs import QUOTE
from rag_lib.hits import Hit, check_k, top_k
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Passage, Source, indexed_text
from rag_lib.indexing.knowledge_base import IndexSettings, KnowledgeBase
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.indexing.store import IndexUnusable, load, save
from rag_lib.retrieval.catalogue import make_retriever

# Chosen on the museum's validation purchases, as the notebook shows.
SHRINKAGE, TEXT_WEIGHT, WISH_WEIGHT = 10.0, 0.2, 0.5
DISLIKED, UNRATED = 2, 3  # so few stars or fewer are no reason for anything; what an unrated purchase counts as
NEAR = 0.31  # cosine from which on a product has to do with a wish
QUOTED_WORDS = 5  # a sentence of fewer words ("Floats.") says too little by itself


class NothingFits(ValueError):
    """No product passes the filters of a wish; the message says which filter leaves how many."""


class Recommender(Protocol):
    """Anything that scores all products of a shop for a visitor's history."""

    def scores(self, history: Sequence[str]) -> np.ndarray:
        """How well each product fits somebody who bought these (ids): (products,), higher is better."""


def purchase_matrix(ids: Sequence[str], histories: Sequence[Sequence[str]]) -> np.ndarray:
    """(visitors, products): 1 where a visitor bought a product, else 0."""
    row = {product: i for i, product in enumerate(ids)}
    matrix = np.zeros((len(histories), len(ids)))
    for visitor, history in enumerate(histories):
        matrix[visitor, [row[product] for product in history]] = 1.0
    return matrix


class Popularity:
    """What sells most, the same for everybody: the baseline that every other recommender has to beat."""

    def __init__(self, ids: Sequence[str], histories: Sequence[Sequence[str]]) -> None:
        self.sold = purchase_matrix(ids, histories).sum(axis=0)

    def scores(self, history: Sequence[str]) -> np.ndarray:
        """See `Recommender`."""
        return self.sold


def co_purchases(matrix: np.ndarray, shrinkage: float = SHRINKAGE) -> np.ndarray:
    """How alike products are by who bought them, (products, products), 0 on the diagonal (Sarwar et al., 2001).

    The cosine of two columns of the purchase matrix (visitors, products), with `shrinkage` added below the line, so
    that two products that one visitor happened to buy are not taken for twins.
    """
    together = matrix.T @ matrix
    norms = np.sqrt(np.diag(together))
    below = np.outer(norms, norms) + shrinkage
    alike = np.divide(together, below, out=np.zeros_like(together), where=below > 0)
    np.fill_diagonal(alike, 0.0)
    return alike


class ItemKNN:
    """Who bought this also bought that: a product scores the sum of its likenesses to what the visitor bought.

    Args:
        neighbours: a product is compared with so many of the products most like it; None for all.
    """

    def __init__(
        self,
        ids: Sequence[str],
        histories: Sequence[Sequence[str]],
        shrinkage: float = SHRINKAGE,
        neighbours: int | None = None,
    ) -> None:
        self.row = {product: i for i, product in enumerate(ids)}
        self.alike = co_purchases(purchase_matrix(ids, histories), shrinkage)
        if neighbours is not None and check_k(neighbours) < len(ids):
            least = np.partition(self.alike, -neighbours, axis=1)[:, -neighbours, None]
            self.alike = np.where(self.alike >= least, self.alike, 0.0)

    def scores(self, history: Sequence[str]) -> np.ndarray:
        """See `Recommender`."""
        return self.alike[:, [self.row[product] for product in history]].sum(axis=1)


class TextProfile:
    """What the products a visitor bought are about: the cosine with the mean of their embeddings.

    Args:
        vectors: (products, dimension), one for each id. Their mean is taken away first: what all products of a shop
            have in common says nothing about a visitor.
    """

    def __init__(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        self.row = {product: i for i, product in enumerate(ids)}
        centred = vectors - vectors.mean(axis=0)
        self.vectors = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)

    def scores(self, history: Sequence[str]) -> np.ndarray:
        """See `Recommender`."""
        profile = self.vectors[[self.row[product] for product in history]].sum(axis=0)
        return self.vectors @ (profile / max(np.linalg.norm(profile), 1e-12))


def stretched(scores: np.ndarray) -> np.ndarray:
    """Scores stretched to 0 … 1; all 0 where they are equal."""
    span = np.ptp(scores)
    return (scores - scores.min()) / span if span > 0 else np.zeros(len(scores))


class Blend:
    """Two recommenders as one: their stretched scores, the second one's with a weight from 0 to 1."""

    def __init__(self, first: Recommender, second: Recommender, weight: float = TEXT_WEIGHT) -> None:
        self.first, self.second, self.weight = first, second, weight

    def scores(self, history: Sequence[str]) -> np.ndarray:
        """See `Recommender`."""
        one, other = stretched(self.first.scores(history)), stretched(self.second.scores(history))
        return (1 - self.weight) * one + self.weight * other


def open_products(products: Sequence[Product], encoder: Encoder, progress: bool = False) -> KnowledgeBase:
    """The products as passages under both indexes, a passage a product under its id; kept in the cache."""
    texts = [(p.id, p.title, product_text(p)) for p in products]
    passages = [Passage(i, i, title, text, 0, len(text)) for i, title, text in texts]
    source = hashlib.sha256(repr(texts).encode()).hexdigest()
    key = hashlib.sha256(f"{source}\0{encoder.name}".encode()).hexdigest()[:16]
    kept = cache_folder() / "knowledge_bases" / key
    with contextlib.suppress(IndexUnusable):
        return load(kept, encoder)
    vectors = encoder.encode_passages([indexed_text(p) for p in passages], progress=progress)
    knowledge = KnowledgeBase(passages, vectors, IndexSettings(), encoder.fingerprint(), source)
    with contextlib.suppress(OSError, IndexUnusable):  # a cache that cannot be written costs time, not the answer
        save(knowledge, kept)
    return knowledge


@dataclass(frozen=True)
class Recommendation:
    """A product for a visitor, and why.

    Attributes:
        score: from 0 to 1, among the products that pass the filters.
        quote: a sentence of the product's description, to the letter.
        because: what the visitor bought before that speaks most for it, if anything does.
        stars: the visitor's rating of that purchase, if there is one.
        shared: the topics that both have.
        missed: what the wish is about, where the product neither mentions it nor lies near it; else empty.
    """

    product: Product
    score: float
    quote: str
    because: Product | None = None
    stars: int | None = None
    shared: tuple[str, ...] = ()
    missed: str = ""

    @property
    def reason(self) -> str:
        """One sentence that holds nothing but the wish, the visitor's own purchase, shared topics, and the quote."""
        parts = [f"it does not mention “{self.missed}”, but fits the rest of the wish"] if self.missed else []
        if self.because:
            topics = f"topic{'s' if len(self.shared) > 1 else ''} {' and '.join(f'“{topic}”' for topic in self.shared)}"
            stars = f" and gave {self.stars} stars" if self.stars else ""
            parts.append(f"it shares the {topics} with “{self.because.title}”, which you bought{stars}")
        opening = ", and ".join(parts) or "it says of itself"
        return f"{opening[0].upper()}{opening[1:]}: “{self.quote}”"


class ShopAssistant:
    """Recommends products of a shop for a wish, for a visitor, or for both.

    Args:
        visitors: those whose purchases are learned from.
        generator: picks the sentence of the reason; without one it is the sentence nearest to the wish.
        wish_weight: of the wish against the visitor's history, from 0 to 1.
    """

    def __init__(
        self,
        products: Sequence[Product],
        visitors: Sequence[Visitor],
        encoder: Encoder,
        generator: Generator | None = None,
        wish_weight: float = WISH_WEIGHT,
        progress: bool = False,
    ) -> None:
        self.products = {p.id: p for p in products}
        self.ids, self.encoder, self.generator, self.wish_weight = list(self.products), encoder, generator, wish_weight
        self.knowledge = open_products(products, encoder, progress)
        self.retriever = make_retriever("hybrid", self.knowledge, encoder)
        analyzer = self.knowledge.settings.analyzer
        self.terms = [set(analyzer(indexed_text(p))) for p in self.knowledge.passages.values()]
        histories = [v.bought for v in visitors]
        self.popularity = Popularity(self.ids, histories)
        self.text = TextProfile(self.ids, self.knowledge.vectors)
        self.taste = Blend(ItemKNN(self.ids, histories), self.text)

    def understood(self, wish: Wish, visitor: Visitor | None) -> Wish:
        """The wish with the visitor's own age where it names none."""
        return replace(wish, ages=(visitor.age,) * 2) if visitor and not wish.ages else wish

    def allowed(self, wish: Wish, without: Collection[str]) -> np.ndarray:
        """Which products pass the filters and are not among those left out: (products,) of bool.

        Raises:
            NothingFits: none does.
        """
        passing = np.array([wish.allows(p) and p.id not in without for p in self.products.values()])
        if passing.any():
            return passing
        age, price = Wish(ages=wish.ages), Wish(price_min=wish.price_min, price_max=wish.price_max)
        suit_age, suit_price = (sum(map(part.allows, self.products.values())) for part in (age, price))
        hint = "; an age in years allows more" if wish.ages and wish.ages[0] < wish.ages[1] else ""
        raise NothingFits(
            f"nothing new in the shop is {replace(wish, about='')}: of its {len(self.ids)} products the age allows "
            f"{suit_age}, the price {suit_price}{hint}"
        )

    def naming(self, wish: Wish) -> np.ndarray:
        """Which products have every word of what the wish is about, in any form: (products,) of bool."""
        terms = set(self.knowledge.settings.analyzer(wish.about))
        return np.array([bool(terms) and terms <= own for own in self.terms])

    def sold_out(self, wish: Wish) -> list[Product]:
        """What has every word of the wish and passes its other filters, but is not in stock, although it must be."""
        otherwise = replace(wish, in_stock=False)
        named = zip(self.products.values(), self.naming(wish), strict=True)
        return [p for p, is_named in named if wish.in_stock and is_named and not p.in_stock and otherwise.allows(p)]

    def related(self, wish: Wish) -> np.ndarray:
        """Which products share a word with what the wish is about, or are near to it: (products,) of bool."""
        if not wish.about:
            return np.ones(len(self.ids), dtype=bool)
        cosines = self.knowledge.vectors @ self.encoder.encode_queries([wish.about])[0]
        return (self.knowledge.bm25.scores(wish.about) > 0) | (cosines >= NEAR)

    def recommend(
        self, wish: Wish, visitor: Visitor | None = None, k: int = 5, without: Collection[str] = ()
    ) -> list[Recommendation]:
        """The at most k best of the products that pass the filters, best first, ties by id.

        Those that have every word of what the wish is about come before the others.

        Args:
            without: ids that are not wanted, such as those shown before; what the visitor bought never is.

        Raises:
            NothingFits: no product passes the filters.
            ValueError: k is not at least 1.
        """
        wish, bought = self.understood(wish, visitor), visitor.bought if visitor else []
        rows = np.flatnonzero(self.allowed(wish, {*bought, *without}))
        scores, related = (
            stretched((self.taste if bought else self.popularity).scores(bought)[rows]),
            self.related(wish),
        )
        if wish.about:
            weight = self.wish_weight if bought else 1.0
            scores = (1 - weight) * scores + weight * stretched(self.wished(wish)[rows])
            scores = (scores + self.naming(wish)[rows]) / 2  # what was asked for by its name comes first
        hits = top_k([self.ids[row] for row in rows], scores, check_k(k))
        missed = {i: "" if has_to_do else wish.about for i, has_to_do in zip(self.ids, related, strict=True)}
        return [self.explained(h, wish, visitor, missed[h.id]) for h in hits]

    def wished(self, wish: Wish) -> np.ndarray:
        """The retriever's score of every product for the wish, (products,); 0 where it was not found."""
        found = {hit.id: hit.score for hit in self.retriever.retrieve(wish.about, len(self.ids))}
        return np.array([found.get(i, 0.0) for i in self.ids])

    def explained(self, hit: Hit, wish: Wish, visitor: Visitor | None, missed: str) -> Recommendation:
        """A product with its reason."""
        product, history = self.products[hit.id], visitor.history if visitor else ()
        topics = set(product.topics)
        causes = [
            p for p in history if (p.rating or UNRATED) > DISLIKED and topics & {*self.products[p.product].topics}
        ]
        cause = max(causes, key=lambda p: self.likeness(p, product), default=None)
        if cause is None:
            quote = self.quoted(product, wish.about or product.title)
            return Recommendation(product, hit.score, quote, missed=missed)
        because = self.products[cause.product]
        shared = tuple(topic for topic in product.topics if topic in because.topics)
        quote = self.quoted(product, wish.about or because.title)
        return Recommendation(product, hit.score, quote, because, cause.rating, shared, missed)

    def likeness(self, purchase: Purchase, product: Product) -> float:
        """The cosine of the texts of a purchase and a product, times the stars that the purchase got."""
        rows = self.text.row
        cosine = self.text.vectors[rows[purchase.product]] @ self.text.vectors[rows[product.id]]
        return float(cosine) * (purchase.rating or UNRATED)

    def quoted(self, product: Product, about: str) -> str:
        """A sentence of the product's description that has to do with something."""
        if self.generator:
            source = Source(product.title, product.description)
            written = self.generator.generate([about], [[source]], QUOTE)[0].text
            if written and written in product.description:  # a model that does not copy may have made it up
                return written
        sentences = [product.description[a:b] for a, b in sentence_spans(product.description)]
        sentences = [s for s in sentences if len(s.split()) >= QUOTED_WORDS] or sentences
        nearest = self.encoder.encode_passages(sentences) @ self.encoder.encode_queries([about])[0]
        return sentences[int(np.argmax(nearest))]
