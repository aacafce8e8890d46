"""What a wish in words asks for is understood, and what cannot be met is refused in one line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lib.applications.shop import OLDEST, Product
from rag_lib.applications.wishes import MAX_WORDS, ONES, TENS, Wish, number, parse_wish

INF = float("inf")


def in_words(n: int) -> str:
    """A number from 0 to 99 in words."""
    tens, ones = divmod(n, 10)
    return ONES[n] if n < 20 else TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("Something for a six-year-old who likes comets, under 20 euros", Wish("comets", (6, 6), 0, 19.99)),
        ("for my 6-year-old", Wish("", (6, 6))),
        ("a gift for a toddler", Wish("", (1, 3))),
        ("for an adult, between €10 and €25.50, about black holes", Wish("black holes", (18, 99), 10, 25.5)),
        ("a jigsaw of more than 500 pieces, up to 30 euros", Wish("jigsaw of more than 500 pieces", None, 0, 30)),
        ("A book on Apollo for my grandfather, in stock", Wish("book on Apollo", (65, 99), in_stock=True)),
        ("for a 6 year old girl who loves rockets, max 15 €", Wish("rockets", (6, 6), 0, 15)),
        ("for children under 10, below 12,50 euros", Wish("", (6, 9), 0, 12.49)),
        ("for someone over 60, at least 50 euros", Wish("", (60, 99), 50)),
        ("socks for my daughter who is seven, around 30 euros", Wish("socks", (7, 7), 24, 36)),
        ("a telescope for at most one hundred and fifty euros", Wish("telescope", None, 0, 150)),
        ("my budget is 20 euros and I like Mars", Wish("Mars", None, 0, 20)),
        ("Something about the race between 1957 and 1969", Wish("race between 1957 and 1969")),
        ("for ages 6 to 8, 10-20 euros", Wish("", (6, 8), 10, 20)),
        ("presents for kids aged 4-6", Wish("", (4, 6))),
        ("for my 6 and 8 year olds", Wish("", (6, 8))),
        ("for an 18-month-old", Wish("", (1, 1))),
        ("a poster, over 10 and under 20 euros", Wish("poster", None, 10.01, 19.99)),
        ("my toddler loves rockets. In stock only, please", Wish("rockets", (1, 3), in_stock=True)),
        ("Thirty years of the shuttle", Wish("Thirty years of the shuttle")),
        ("a book about the girl who named a planet", Wish("book about the girl who named a planet")),
        ("a children's book about Laika", Wish("children's book about Laika")),
        ("nothing above 20 euros for a teen", Wish("", (13, 17), 0, 20)),
        ("a lamp under 2 metres", Wish("lamp under 2 metres")),
        ("1,000 pieces", Wish("1,000 pieces")),
        ("a telescope up to 1,000 euros", Wish("telescope", None, 0, 1000)),
        ("for our baby and our toddler", Wish("", (0, 3))),
        ("about black holes for a 12-year-old, not a book", Wish("black holes", (12, 12), without=("book",))),
        ("A telescope, no binoculars please", Wish("telescope", without=("binoculars",))),
        ("a jigsaw, anything but the Moon", Wish("jigsaw", without=("Moon",))),
        ("on Mars, without robots or books, up to 9 euros", Wish("Mars", None, 0, 9, without=("robots", "books"))),
        ("stars, but he has enough books", Wish("stars", without=("books",))),
        ("my son does not like jigsaws", Wish("", without=("jigsaws",))),
        ("I do not know what she likes, maybe a mug", Wish("not know, maybe a mug")),
        ("a lamp, nothing with soft toys", Wish("lamp", without=("soft toys",))),
        ("a poster, not too large", Wish("poster, not too large")),
        ("no more than 20 euros", Wish("", None, 0, 20)),
        ("nothing more, please", Wish("nothing more")),
    ],
)
def test_wishes(text, wish):
    assert parse_wish(text) == wish


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("no books about the Moon", Wish("", without=("books about the Moon",))),
        ("anything but the Moon, no books about it", Wish("", without=("Moon", "books"))),
        ("no puzzles with dinosaurs please", Wish("", without=("puzzles with dinosaurs",))),
        ("not a book about rockets", Wish("", without=("book about rockets",))),
        ("something without small parts about Mars", Wish("Mars", without=("small parts",))),
        ("I don't want posters of planets", Wish("", without=("posters of planets",))),
        (
            "for a 6-year-old, no books about rockets, under 20 euros",
            Wish("", (6, 6), 0, 19.99, without=("books about rockets",)),
        ),
        ("no books on Mars or Venus", Wish("", without=("books on Mars", "books on Venus"))),
        ("no books or puzzles about the Moon", Wish("", without=("books about the Moon", "puzzles about the Moon"))),
        ("no books about stars and planets", Wish("", without=("books about stars", "books about planets"))),
        ("no books about stars and something about Mars", Wish("Mars", without=("books about stars",))),
        ("no books about the Moon but something about Mars", Wish("Mars", without=("books about the Moon",))),
        ("not another mug with stars on it", Wish("", without=("mug with stars",))),
        ("please no jigsaws of the Milky Way", Wish("", without=("jigsaws of the Milky Way",))),
        ("anything except books about black holes", Wish("", without=("books about black holes",))),
        ("something other than books about Saturn", Wish("", without=("books about Saturn",))),
        ("he hates books about the Sun", Wish("", without=("books about the Sun",))),
        ("she has enough posters of planets", Wish("", without=("posters of planets",))),
        ("anything but a book on comets, in stock", Wish("", in_stock=True, without=("book on comets",))),
        ("no puzzles with 1,000 pieces", Wish("", without=("puzzles with 1,000 pieces",))),
        ("no books and puzzles", Wish("", without=("books", "puzzles"))),
        ("something about Mars, please avoid books", Wish("Mars", without=("books",))),
        ("avoid anything with batteries, under 20 euros", Wish("", price_max=19.99, without=("batteries",))),
        ("no books and something small about Mars", Wish("small about Mars", without=("books",))),
        ("no soft toys with batteries and no books", Wish("", without=("soft toys with batteries", "books"))),
        ("no more T-shirts from NASA, please", Wish("", without=("T-shirts from NASA",))),
        (
            "without books about Apollo 11 or the Moon",
            Wish("", without=("books about Apollo 11", "books about the Moon")),
        ),
        ("no toys made of plastic", Wish("", without=("toys made of plastic",))),
        ("I'm not interested in books about Mars", Wish("", without=("books about Mars",))),
        ("a mug without a picture of the Moon", Wish("mug", without=("picture of the Moon",))),
        ("a poster without the Moon on it", Wish("poster", without=("Moon",))),
        ("a book about Mars, not about the Moon", Wish("book about Mars", without=("Moon",))),
        ("no books, no puzzles, about Mars", Wish("Mars", without=("books", "puzzles"))),
    ],
)
def test_what_unwanted_things_are_about_is_not_wanted(text, wish):
    assert parse_wish(text) == wish


@pytest.mark.parametrize("price", ["€{}", "€ {}", "{} euros", "{} euro", "{}€", "{} EUR", "EUR {}"])
@pytest.mark.parametrize(
    ("words", "low", "high"),
    [
        ("under {}", 0, 19.99), ("below {}", 0, 19.99), ("less than {}", 0, 19.99), ("cheaper than {}", 0, 19.99),
        ("at most {}", 0, 20), ("up to {}", 0, 20), ("no more than {}", 0, 20), ("{} or less", 0, 20),
        ("at least {}", 20, INF), ("{} or more", 20, INF), ("over {}", 20.01, INF), ("for {}", 0, 20),
    ],
)  # fmt: skip
def test_prices_in_every_notation(words, low, high, price):
    for n in ("20", "twenty"):
        wish = parse_wish("a mug " + words.format(price.format(n)))
        if n == "20" or "€" not in price:
            assert wish == Wish("mug", None, low, high)


@settings(deadline=None)
@given(
    st.integers(1, 99), st.sampled_from(["for a {}-year-old", "for my {} year old", "he is {}", "aged {}", "age {}"])
)
def test_ages_in_digits_and_words(age, frame):
    for n in (str(age), in_words(age)):
        assert parse_wish(f"a book about Mars, {frame.format(n)}") == Wish("book about Mars", (age, age))


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 9))
def test_numbers(n, hundreds):
    assert number(in_words(n)) == number(str(n)) == number(f"{n}.00") == n
    if n and hundreds:
        words = f"{ONES[hundreds]} hundred and {in_words(n)}"
        assert number(words) == 100 * hundreds + n
        assert parse_wish(f"up to {words} euros") == Wish("", None, 0, 100 * hundreds + n)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_wish_or_a_clear_refusal(text):
    try:
        wish = parse_wish(text)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert wish.price_min <= wish.price_max and (wish.ages is None or 0 <= wish.ages[0] <= wish.ages[1] <= OLDEST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the wish is empty"),
        (" \n ", "the wish is empty"),
        ("comet " * 10_000, f"a wish of 10,000 words is too long: say it in at most {MAX_WORDS}"),
        ("for a -3-year-old", "nobody is -3 years old"),
        ("a book, aged −3", "nobody is -3 years old"),
        ("for a minus three year old", "nobody is -3 years old"),
        ("for a 200-year-old", "nobody is 200 years old"),
        ("over 30 euros and under 20 euros", "no price is at least €30.01 and at most €19.99"),
        ("under −5 euros", "a price cannot be below zero"),
        ("€-5", "a price cannot be below zero"),
        ("for 20 dollars", "prices are in euros"),
        ("under $20", "prices are in euros"),
    ],
)
def test_what_cannot_be_is_refused(text, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        parse_wish(text)


def test_what_was_understood_is_said():
    wish = parse_wish("Something for a six-year-old who likes comets, between 10 and 20 euros, in stock")
    assert str(wish) == "about “comets”, for age 6, at least €10.00, at most €20.00, in stock"
    assert str(parse_wish("a jigsaw, no books")) == "about “jigsaw”, without “books”"
    assert str(parse_wish("for ages 6 to 8")) == "for ages 6 to 8" and str(Wish()) == "anything"


MUG = Product("p", "Mug", "home", 19.99, 6, 99, ("moon",), "A mug.")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("under 20 euros", True), ("under 19.99 euros", False), ("at most 19.99 euros", True), ("over 20 euros", False),
        ("for a six-year-old", True), ("for a five-year-old", False), ("for a toddler", False), ("for an adult", True),
        ("for my 5 and 7 year olds", False), ("for a 105-year-old", True), ("in stock", True),
        ("no mugs", False), ("nothing about the Moon", False), ("no moon rocks", True), ("not for the home", True),
        ("no mugs about the Moon", False), ("no mugs with moons or stars", False), ("no mugs about Mars", True),
        ("no books about the Moon", True),
    ],
)  # fmt: skip
def test_filters(text, allowed):
    assert parse_wish(text).allows(MUG) == allowed


def test_what_is_sold_out_is_only_kept_from_those_who_ask_for_stock():
    sold_out = Product("p", "Mug", "home", 19.99, 6, 12, ("moon",), "A mug.", in_stock=False)
    assert parse_wish("a mug").allows(sold_out) and not parse_wish("a mug, in stock").allows(sold_out)
    assert not parse_wish("for an adult").allows(sold_out), "it is for children up to twelve"
