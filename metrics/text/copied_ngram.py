"""How much of each text stands verbatim in the training text: the longest run of words found there.

Words and marks are compared, white space is not; case counts. The measure is of words for models of characters too:
a run of characters begins and ends inside words and says less. People repeat phrases of earlier text as well, so no
length is good in itself: held-out text of the same length is what to compare with (McCoy et al. 2023,
arXiv:2111.09509, section 4; Carlini et al. 2023, arXiv:2202.07646, on verbatim copies).

For each place the length of its longest match is found by prefix doubling (Karp, Miller & Rosenberg 1972): all runs
of 1, 2, 4, ... words get numbers, the runs of the training text are put in order, and a match is the longest common
prefix with a neighbour in that order. Time is n log n in the words of both sides, and no hash can collide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from bench import Comparison, Estimate, Textual, Trial, metric
from metrics.text._texts import TOKENISER, Tokens, checked_texts, encode, joined, mean_over_texts

PAPER = "arXiv:2111.09509, section 4"


def match_lengths(texts: Tokens, train: Tokens) -> np.ndarray:
    """Words from each place of ``texts`` on that stand together somewhere in ``train``, ``(tokens,)``.

    Matches end with their text on either side.
    """
    longest = int(texts.lengths.max(initial=0))
    levels = _numbered(_separated(train, texts), longest)
    cut = len(train.ids) + train.texts
    theirs, ours = _words_only(train, 0), _words_only(texts, cut)
    ordered = theirs[np.argsort(levels[-1][theirs], kind="stable")]
    place = np.searchsorted(levels[-1][ordered], levels[-1][ours])
    before, after = ordered[np.maximum(place - 1, 0)], ordered[np.minimum(place, len(ordered) - 1)]
    found: np.ndarray = np.maximum(_common_prefix(levels, ours, before), _common_prefix(levels, ours, after))
    return found


def _separated(*sides: Tokens) -> np.ndarray:
    """All texts in one row, a number after each that comes nowhere else."""
    parts, ends = [], max(int(side.ids.max(initial=-1)) for side in sides) + 1
    for side in sides:
        row = np.empty(len(side.ids) + side.texts, np.int64)
        words = np.ones(len(row), bool)
        words[side.lengths.cumsum() + np.arange(side.texts)] = False
        row[words], row[~words] = side.ids, ends + np.arange(side.texts)
        ends += side.texts
        parts.append(row)
    return np.concatenate(parts)


def _words_only(side: Tokens, start: int) -> np.ndarray:
    """Where in the one row the words of a side stand."""
    places: np.ndarray = start + np.arange(len(side.ids)) + side.text
    return places


def _numbered(row: np.ndarray, longest: int) -> list[np.ndarray]:
    """Numbers of the runs of 1, 2, 4, ... from every place, ordered as the runs are, until one run outlasts a text."""
    levels = [np.unique(row, return_inverse=True)[1]]
    step = 1
    while step <= longest:
        level = levels[-1]
        # Past the end of the row, 0 stands for nothing; a separator stands before it, so no two runs meet there.
        shifted = np.concatenate([level[step:] + 1, np.zeros(min(step, len(level)), np.int64)])
        levels.append(joined(level, shifted))
        step *= 2
    return levels


def _common_prefix(levels: list[np.ndarray], left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How far the rows from ``left`` and from ``right`` on agree: the largest run of the two that is equal, and on."""
    length = np.zeros(len(left), np.int64)
    end = len(levels[0]) - 1
    for k in range(len(levels) - 1, -1, -1):
        a, b = left + length, right + length
        same = (levels[k][np.minimum(a, end)] == levels[k][np.minimum(b, end)]) & (a <= end) & (b <= end)
        length += same << k
    return length


def longest_copies(texts: Sequence[str], train: Sequence[str]) -> np.ndarray:
    """Words of the longest run of each text that stands in ``train``, ``(texts,)``; 0 where no word does."""
    ours, theirs = encode(checked_texts(texts), checked_texts(train, what="training texts"))
    return longest_by_text(match_lengths(ours, theirs), ours)


def longest_by_text(matches: np.ndarray, tokens: Tokens) -> np.ndarray:
    """The largest match of each text, ``(texts,)``."""
    longest = np.zeros(tokens.texts, np.int64)
    np.maximum.at(longest, tokens.text, matches)
    return longest


def copied_ngram(longest: np.ndarray, most: int) -> Estimate:
    """Mean over texts of the longest copied run, in words, 0 to ``most``: those of the longest text.

    Raises TooFew for fewer than two texts.
    """
    return mean_over_texts(longest.astype(float), hi=most, protocol={"tokeniser": TOKENISER})


def longest_copy(longest: np.ndarray) -> Estimate:
    """The longest of all copied runs, in words. Without interval: a maximum over other texts has no upper end."""
    return Estimate(value=float(longest.max()), n=len(longest), protocol={"tokeniser": TOKENISER})


def matched(c: Comparison, side: Literal["samples", "reference"] = "samples") -> tuple[Tokens, np.ndarray]:
    """Words of one side and their match lengths in the training text, found once for all measures of copying."""
    return c.once(_matched, side)


def _matched(c: Comparison, side: Literal["samples", "reference"]) -> tuple[Tokens, np.ndarray]:
    dataset = c.dataset if isinstance(c, Trial) else None
    # In one piece where it is a stream, so that runs across its windows are found too.
    known = dataset.decode(dataset.tokens("train")[None]) if isinstance(dataset, Textual) else c.texts("train")
    ours, theirs = encode(checked_texts(c.texts(side), what=side), checked_texts(known, what="training texts"))
    return ours, match_lengths(ours, theirs)


def with_train(c: Comparison, estimate: Estimate) -> Estimate:
    """The estimate, its protocol saying whether the training text was searched whole or text by text."""
    whole = isinstance(c, Trial) and isinstance(c.dataset, Textual)
    return estimate.model_copy(update={"protocol": {**estimate.protocol, "searched": "stream" if whole else "texts"}})


@metric("copied_ngram", sides=("samples", "train"), on={"text"}, aspect="novelty", unit="words",
        better="none", paper=PAPER)  # fmt: skip
def mean_copied_ngram(c: Comparison) -> Estimate:
    """Longest run of words that a sample shares with the training text, mean over samples."""
    tokens, matches = matched(c)
    return with_train(c, copied_ngram(longest_by_text(matches, tokens), int(tokens.lengths.max())))


@metric("longest_copy", sides=("samples", "train"), on={"text"}, aspect="novelty", unit="words",
        better="none", paper=PAPER)  # fmt: skip
def longest_copy_of_all(c: Comparison) -> Estimate:
    """Longest run of words that any sample shares with the training text; grows with the number of samples."""
    tokens, matches = matched(c)
    return with_train(c, longest_copy(longest_by_text(matches, tokens)))
