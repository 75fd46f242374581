"""How much of each text stands verbatim in the training text: the longest run of words found there.

Words and marks are compared, white space is not; case counts. The measure is of words for models of characters too:
a run of characters begins and ends inside words and says less. People repeat phrases of earlier text as well, so no
length is good in itself: held-out text of the same length is what to compare with (McCoy et al. 2023,
arXiv:2111.09509, section 4; Carlini et al. 2023, arXiv:2202.07646, on verbatim copies).

For each place the length of its longest match is found by prefix doubling (Karp, Miller & Rosenberg 1972): all runs
of 1, 2, 4, ... words get numbers, the runs of the training text are put in order, and a match is the longest common
prefix with a neighbour in that order. Time is n log n in the words of both sides, and no hash can collide.

The interval of the mean takes copies by themselves, texts of which half or more stands there in one run: a few of them
move a mean of short runs far, and as many as were drawn do not show how many more there might be, least of all where
none was. Their share has Wilson's interval, at no copy the rule of three, and the means of copies and of other texts
have theirs; each part moves the mean by its reach, and these are put together as squares (MOVER: Zou & Donner 2008,
doi:10.1002/sim.3095).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench import Comparison, Estimate, Interval, Textual, TooFew, Trial, bounded_interval, metric, proportion_interval
from metrics.text._texts import TOKENISER, Tokens, checked_texts, encode, joined

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


def copied_ngram(longest: np.ndarray, lengths: np.ndarray) -> Estimate:
    """Mean over texts of the longest copied run, in words, from ``(texts,)`` runs and words of each text.

    Raises TooFew for fewer than two texts.
    """
    n, most = len(longest), int(lengths.max())
    if n < 2:
        raise TooFew(f"{n} texts are too few: at least 2 are needed")
    copy = (2 * longest >= lengths) & (longest > 0)
    copies, others = longest[copy], longest[~copy]
    # Where there is none to tell, a copy is as long as the texts are, and another text shares no word.
    long = _mean_of(copies, float(lengths.mean()), most)
    short = _mean_of(others, 0.0, most)
    value, share, counted = float(longest.mean()), len(copies) / n, proportion_interval(len(copies), n)
    apart = long.value - short.value
    parts = [
        (share * long.value, share * long.lo, share * long.hi),
        ((1 - share) * short.value, (1 - share) * short.lo, (1 - share) * short.hi),
        (share * apart, counted.lo * apart, counted.hi * apart),
    ]
    lo = value - math.hypot(*(at - low for at, low, _ in parts))
    hi = value + math.hypot(*(high - at for at, _, high in parts))
    method = "MOVER of the share of copies (Wilson) and the runs of copies and of other texts"
    interval = Interval(lo=max(0.0, lo), hi=min(float(most), hi), method=method)
    return Estimate(value=value, n=n, interval=interval, protocol={"tokeniser": TOKENISER})


class _Part(NamedTuple):
    value: float
    lo: float
    hi: float


def _mean_of(runs: np.ndarray, none: float, most: int) -> _Part:
    """Mean of runs with its ends; ``none`` where there are no runs."""
    if not len(runs):
        return _Part(none, none, none)
    value, error = float(runs.mean()), float(runs.std(ddof=1) / math.sqrt(len(runs))) if len(runs) > 1 else 0.0
    found = bounded_interval(value, error, len(runs), "", hi=most)
    return _Part(value, found.lo, found.hi)


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
        better="none", least=0, lead=2, paper=PAPER)  # fmt: skip
def mean_copied_ngram(c: Comparison) -> Estimate:
    """Longest run of words that a sample shares with the training text, mean over samples."""
    tokens, matches = matched(c)
    return with_train(c, copied_ngram(longest_by_text(matches, tokens), tokens.lengths))


@metric("longest_copy", sides=("samples", "train"), on={"text"}, aspect="novelty", unit="words",
        better="none", least=0, paper=PAPER)  # fmt: skip
def longest_copy_of_all(c: Comparison) -> Estimate:
    """Longest run of words that any sample shares with the training text; grows with the number of samples."""
    tokens, matches = matched(c)
    return with_train(c, longest_copy(longest_by_text(matches, tokens)))
