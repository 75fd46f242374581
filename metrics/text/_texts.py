"""What measures of text share: checked input, words, and n-grams as numbers.

Words are runs of letters, digits and underscores; every other character that is no white space stands alone. Case is
kept. N-grams never cross the end of a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bench import Estimate, GenbenchError, Interval, TooFew, bounded_interval

T = TypeVar("T")
Protocol = dict[str, str | int | float | bool]
TOKENISER = r"\w+|[^\w\s]"
_WORD = re.compile(TOKENISER)


@dataclass(frozen=True)
class Tokens:
    """Texts as one row of numbers. ids: ``(tokens,)``, equal where words are; text: ``(tokens,)``, ascending.

    texts: how many there are, those without a single word among them.
    """

    ids: np.ndarray
    text: np.ndarray
    texts: int

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each text, ``(texts,)``."""
        return np.bincount(self.text, minlength=self.texts)


@dataclass(frozen=True)
class Counts:
    """How often each text holds each n-gram it holds. text, gram, count: ``(pairs,)``, sorted by text, then n-gram."""

    text: np.ndarray
    gram: np.ndarray
    count: np.ndarray

    @property
    def holders(self) -> np.ndarray:
        """In how many texts each n-gram stands, ``(n-grams,)``."""
        return np.bincount(self.gram)


def checked_texts(texts: Sequence[str], least: int = 1, what: str = "texts") -> list[str]:
    """A list of at least ``least`` strings, not all of them blank.

    Raises GenbenchError for one string instead of many, for anything that is no string, and for texts that are all
    blank; TooFew (which names the number needed) for too few.
    """
    if isinstance(texts, str):
        raise GenbenchError(f"{what} must be a list of strings, not one string")
    found = list(texts)
    for i, text in enumerate(found):
        if not isinstance(text, str):
            raise GenbenchError(f"{what} must be strings, but number {i} is of type {type(text).__name__}")
    if len(found) < least:
        raise TooFew(f"{len(found)} {what} are too few: at least {least} are needed")
    if not any(text.strip() for text in found):
        raise GenbenchError(f"all {len(found)} {what} are empty: check what was sampled or loaded")
    return found


def spread(items: Sequence[T], limit: int) -> list[T]:
    """At most ``limit`` items, evenly spaced over all: the parts of a book rather than its beginning."""
    if len(items) <= limit:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def words(text: str) -> list[str]:
    """Words and single marks, in order."""
    return _WORD.findall(text)


def encode(*sides: Sequence[str], split: Callable[[str], list[str]] = words) -> list[Tokens]:
    """Each side as numbers; equal words have equal numbers on all sides."""
    vocabulary: dict[str, int] = {}
    return [_encode(texts, split, vocabulary) for texts in sides]


def _encode(texts: Sequence[str], split: Callable[[str], list[str]], vocabulary: dict[str, int]) -> Tokens:
    ids: list[int] = []
    lengths: list[int] = []
    for text in texts:
        found = split(text)
        ids.extend(vocabulary.setdefault(word, len(vocabulary)) for word in found)
        lengths.append(len(found))
    return Tokens(np.array(ids, np.int64), np.repeat(np.arange(len(lengths)), lengths), len(lengths))


def joined(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """One number for each pair, equal where both are; numbers are dense from 0 and ordered as the pairs are."""
    width = int(right.max(initial=0)) + 1
    return np.unique(left * width + right, return_inverse=True)[1]


def counted(tokens: Tokens, n: int) -> Counts:
    """N-grams of each text with their counts."""
    grams = np.unique(tokens.ids, return_inverse=True)[1]
    for length in range(2, n + 1):
        grams = joined(grams[:-1], tokens.ids[length - 1 :])
    inside = tokens.text[: len(grams)] == tokens.text[n - 1 : n - 1 + len(grams)]
    kinds, text = np.unique(grams[inside], return_inverse=True)[1], tokens.text[: len(grams)][inside]
    width = int(kinds.max(initial=0)) + 1
    pairs, count = np.unique(text * width + kinds, return_counts=True)
    return Counts(pairs // width, pairs % width, count)


def jackknife(values: np.ndarray) -> float:
    """Standard error from the values with one text left out at a time (Efron & Stein 1981, Eq. 1.3)."""
    n = len(values)
    return float(np.sqrt((n - 1) / n * np.square(values - values.mean()).sum()))


def mean_over_texts(values: np.ndarray, *, hi: float, protocol: Protocol) -> Estimate:
    """Mean of one value a text in [0, hi], the texts independent. Raises TooFew for fewer than two."""
    n = len(values)
    if n < 2:
        raise TooFew(f"{n} texts are too few: at least 2 are needed")
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(n))
    interval = bounded_interval(mean, error, n, "Wilson, effective trials over texts", hi=hi)
    return Estimate(value=mean, n=n, interval=interval, protocol=protocol)


def cut(interval: Interval | None, lo: float, hi: float) -> Interval | None:
    """The interval within what the quantity can be."""
    if interval is None:
        return None
    return interval.model_copy(update={"lo": max(lo, interval.lo), "hi": min(hi, interval.hi)})
