"""One analyser for documents and queries alike (taught in notebooks/02_bm25.ipynb)."""

from __future__ import annotations

import itertools
import threading
import unicodedata
from dataclasses import dataclass

import regex
import Stemmer

from rag_lib.text import check_text, few_marks

# Scripts that put no spaces between words.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}ー々〆]"
TERM = regex.compile(r"\d+(?:[.,']\d+)++(?:'s)?|\w+(?:'\w+)?")
RUN = regex.compile(rf"(?P<unspaced>{UNSPACED}[{UNSPACED}\p{{M}}]*+)|[\w'--{UNSPACED}]++", regex.V1)
CHARACTER = regex.compile(r"\P{M}\p{M}*+|\p{M}")
GROUPED = regex.compile(r"\d{1,3}(?:[,']\d{2,3})*[,']\d{3}(?:\.\d+)?")
CONTINENTAL = regex.compile(r"\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|\d+,\d{1,2}")
# Accents and points that readers leave out; the vowels of Indian scripts and the voicing of Japanese are letters.
ACCENT = regex.compile(
    r"(?=\p{M})[[\p{Mn}\p{Me}]&&[\p{Inherited}\p{Greek}\p{Cyrillic}\p{Hebrew}\p{Arabic}]--[\u3099\u309A]]", regex.V1
)
OTHER_DIGIT = regex.compile(r"(?![0-9])\p{Nd}")
RAISED = regex.compile(r"(?<=\d)(?=[⁰¹²³⁴-⁹])")
# Lucene's English list and the words that every question has.
STOP_WORDS = frozenset(
    """a an and are as at be but by for if in into is it no not of on or such that the their then there these they this
    to was will with what which who whom whose when where why how did do does had has have were been its his
    her""".split()
)


# Words that a question may consist of without asking anything: "tell me", "what about that one?".
EMPTY_WORDS = (
    "i me my you your we us our he him she please tell ask say said show explain describe give know think mean want "
    "like any anything some something somebody anybody everything one ones about else more can could would should may "
    "might must shall am being thing things just so well then also too ok okay yes hello hi hey thanks thank sorry"
)


OWN = threading.local()  # a stemmer of PyStemmer keeps what it has seen, and is not made for several threads


@dataclass(frozen=True)
class Analyzer:
    """Turns text into the terms that an index counts: lower case, no accents, no stop words, word stems."""

    stop_words: bool = True
    stemmer: str | None = "english"  # Snowball (Porter, 2001); None leaves words as they are

    def __call__(self, text: str) -> list[str]:
        """The terms of a text, in order, with repetitions."""
        return self._terms(text, single=True)

    def of_query(self, text: str) -> list[str]:
        """The terms of a question: as of a text, but characters of scripts without spaces only count in pairs.

        Raises:
            TypeError: it is no text.
        """
        check_text(text, "a query")
        return self._terms(text, single=False)

    def _terms(self, text: str, single: bool) -> list[str]:
        words: list[str] = []
        for term in TERM.findall(plain(text)):
            word = term.removesuffix("'s")
            if word.isascii():
                words += number(word) if word[0].isdigit() and not word.isalnum() else [word]
            else:
                for run in RUN.finditer(word):
                    words += pairs(run.group(), single) if run["unspaced"] else [run.group()]
        if self.stop_words:
            words = [w for w in words if w not in STOP_WORDS]
        return stemmer_of(self.stemmer).stemWords(words) if self.stemmer else words


def stemmer_of(language: str) -> Stemmer.Stemmer:
    """This thread's stemmer of a language."""
    stemmers = vars(OWN)
    if language not in stemmers:
        stemmers[language] = Stemmer.Stemmer(language)
    return stemmers[language]


def plain(text: str) -> str:
    """Lower case, compatible characters as one, Western digits, no accents and no joiners."""
    text = text.lower().replace("’", "'")
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKD", few_marks(RAISED.sub(" ", text)))
    text = unicodedata.normalize("NFC", ACCENT.sub("", text.casefold()))
    text = OTHER_DIGIT.sub(lambda digit: str(unicodedata.digit(digit.group())), text)
    return regex.sub("[\u00ad\u200b-\u200d\u2060]", "", text)


def number(word: str) -> list[str]:
    """A number in one spelling: 1,000,000 and 1.000.000 are 1000000, 3,5 is 3.5; other lists of digits are apart."""
    if GROUPED.fullmatch(word):
        return [regex.sub("[,']", "", word)]
    if CONTINENTAL.fullmatch(word):
        return [word.replace(".", "").replace(",", ".")]
    return regex.split("[,']", word)


def pairs(run: str, single: bool) -> list[str]:
    """Each two neighbouring characters of a run, in place of the words that cannot be told apart.

    Args:
        single: each character for itself too, so that a text is also found by words of one.
    """
    characters = list(run) if run.isalpha() else CHARACTER.findall(run)
    twos = [a + b for a, b in itertools.pairwise(characters)]
    return [*characters, *twos] if single or not twos else twos
