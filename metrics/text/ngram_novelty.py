"""N-gram novelty: the share of n-grams of words that the training text does not hold (McCoy et al. 2023,
arXiv:2111.09509, section 4; Merrill et al. 2024, "Evaluating n-gram novelty with Rusty-DAWG", arXiv:2406.13069).

    novelty_n = |n-grams of the texts that are not in train| / |n-grams of the texts|,  n = 5

Gibberish is wholly new, a copy not at all, and people stand between: neither end is good, so held-out text is the
baseline. ``ngram_novelty_gap`` is the difference to it: below 0 copies more than people do, above 0 less.
The length of the match at every place is known, so every n comes from one pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench import Comparison, Estimate, GenbenchError, bounded_interval, difference_interval, metric, ratio_error
from metrics.text._texts import TOKENISER, Tokens, checked_texts, encode
from metrics.text.copied_ngram import match_lengths, matched, with_train

N = 5
PAPER = "arXiv:2406.13069"
Counts = tuple[np.ndarray, np.ndarray]


def ngram_novelty(texts: Sequence[str], train: Sequence[str], n: int = N) -> Estimate:
    """In [0, 1]: 0 where train holds every n-gram. Raises GenbenchError where no text holds ``n`` words."""
    ours, theirs = encode(checked_texts(texts), checked_texts(train, what="training texts"))
    return novelty(*new_and_all(ours, match_lengths(ours, theirs), n), n)


def novelty_gap_of(texts: Sequence[str], reference: Sequence[str], train: Sequence[str], n: int = N) -> Estimate:
    """``novelty_gap`` from the texts themselves. Raises GenbenchError as ``ngram_novelty`` does."""
    known = checked_texts(train, what="training texts")
    ours, theirs, known_ = encode(checked_texts(texts), checked_texts(reference, what="reference texts"), known)
    found = [new_and_all(side, match_lengths(side, known_), n) for side in (ours, theirs)]
    return novelty_gap(found[0], found[1], n)


def new_and_all(tokens: Tokens, matches: np.ndarray, n: int = N) -> Counts:
    """New n-grams and n-grams in each text, ``(texts,)`` both.

    matches: words from each place on that stand in train. Raises GenbenchError for texts without n-grams.
    """
    left = tokens.lengths.cumsum()[tokens.text] - np.arange(len(tokens.ids))
    grams = np.bincount(tokens.text[left >= n], minlength=tokens.texts)
    if not grams.sum():
        raise GenbenchError(f"no text holds {n} words, so there is no {n}-gram: give longer texts")
    return np.bincount(tokens.text[(left >= n) & (matches < n)], minlength=tokens.texts), grams


def novelty(new: np.ndarray, grams: np.ndarray, n: int = N) -> Estimate:
    """The share over all texts, from each text's counts, ``(texts,)`` both."""
    value, error = float(new.sum() / grams.sum()), ratio_error(new, grams)
    # Where all n-grams are new, or none, a text is one trial, long ones weighing more (Kish's effective number).
    texts = float(grams.sum()) ** 2 / float((grams.astype(float) ** 2).sum())
    method = "Wilson, effective trials by the delta method over texts"
    interval = None if error is None else bounded_interval(value, error, texts, method)
    return Estimate(value=value, n=int(grams.sum()), interval=interval, protocol={"n": n, "tokeniser": TOKENISER})


def novelty_gap(ours: Counts, held_out: Counts, n: int = N) -> Estimate:
    """Novelty of our texts less that of held-out texts, in [-1, 1]; the two sides are independent."""
    first, second = novelty(*ours, n), novelty(*held_out, n)
    interval = difference_interval(first, second, "Newcombe, from Wilson's of both sides")
    return first.model_copy(update={"value": first.value - second.value, "interval": interval})


@metric("ngram_novelty", sides=("samples", "train"), on={"text"}, aspect="novelty", unit="1",
        better="none", least=0, most=1, paper=PAPER)  # fmt: skip
def ngram_novelty_of_samples(c: Comparison) -> Estimate:
    """Share of 5-grams of words that the training text does not hold; compare with that of held-out text."""
    return with_train(c, novelty(*new_and_all(*matched(c, "samples"))))


@metric("ngram_novelty_gap", sides=("samples", "reference", "train"), on={"text"}, aspect="novelty",
        unit="1", better="none", least=-1, most=1, paper=PAPER)  # fmt: skip
def ngram_novelty_gap(c: Comparison) -> Estimate:
    """Share of new 5-grams less that of held-out text: below 0 copies more than people do, above 0 less."""
    ours, held_out = (new_and_all(*matched(c, side)) for side in ("samples", "reference"))
    return with_train(c, novelty_gap(ours, held_out))
