"""What a shop knows: its products, and who bought what (taught in notebooks/13_recommendation.ipynb)."""

from __future__ import annotations

from dataclasses import dataclass

OLDEST = 120  # years; nobody is known to have lived much longer


def check_age(age: int) -> int:
    """An age in years.

    Raises:
        ValueError: nobody has this age.
    """
    if not 0 <= age <= OLDEST:
        raise ValueError(f"nobody is {age} years old: an age lies between 0 and {OLDEST}")
    return age


@dataclass(frozen=True)
class Product:
    """Something in a shop; the price is in euros, the ages for which it is meant in years, both included."""

    id: str
    title: str
    category: str
    price: float
    age_min: int
    age_max: int
    topics: tuple[str, ...]
    description: str
    in_stock: bool = True


@dataclass(frozen=True)
class Purchase:
    """A product bought on a day (ISO date), with its rating of 1 to 5 stars, or None where it was not rated."""

    product: str
    date: str
    rating: int | None


@dataclass(frozen=True)
class Visitor:
    """A customer of a shop, with purchases in the order of their dates.

    Raises:
        ValueError: nobody has this age.
    """

    id: str
    age: int
    history: tuple[Purchase, ...]

    def __post_init__(self) -> None:
        check_age(self.age)

    @property
    def bought(self) -> list[str]:
        """The ids of what was bought, in the order of time."""
        return [purchase.product for purchase in self.history]


def product_text(product: Product) -> str:
    """What indexes and encoders read of a product, besides its title."""
    return f"{product.category.capitalize()}. {', '.join(product.topics).capitalize()}. {product.description}"
