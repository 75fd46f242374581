"""Whether what is held out to be compared with is enough, and of the same classes as what is learned from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from bench.errors import named
from bench.protocols import SplitName

MARGIN = 0.1  # by which a share may be off: fewer examples than leave it at that are remarked
LEVEL, APART = 0.02, 0.1  # so seldom sound splits are remarked; so large a part of a split must be of other classes
EXPECTED = 5  # examples of a class in a split from which the chi-square distribution serves (Cochran 1954)
DRAWN = 999  # random splits, where it does not
SHOWN = 3  # classes


def held_out_remarks(
    splits: Mapping[SplitName, int], classes: Mapping[str, Mapping[SplitName, int]], unit: str
) -> Iterator[str]:
    """What is to be known of the test split before anything is measured on it, a sentence each."""
    n = splits["test"]
    if (margin := 1.96 * 0.5 / math.sqrt(n)) > MARGIN:
        yield (
            f"test holds only {n:,} {unit}: a share that is measured on so few, as precision is, may be off by "
            f"{margin:.2f} by chance alone (95 %)"
        )
    train, test = (np.array([counts[split] for counts in classes.values()]) for split in ("train", "test"))
    if len(classes) > 1 and train.sum() and test.sum():
        apart = test / test.sum() - train / train.sum()
        chance = chance_of(train, test)
        if chance < LEVEL and np.abs(apart).sum() / 2 >= APART:
            first = np.argsort(-np.abs(apart), kind="stable")[:SHOWN]
            names = list(classes)
            some = ", ".join(
                f"{named(names[i])} {test[i] / test.sum():.1%} of test and {train[i] / train.sum():.1%} of train"
                for i in first.tolist()
            )
            yield (
                f"the classes of test are not in proportion to those of train: {some} (chi-square test, p = "
                f"{chance:.2g}; remarked below {LEVEL:g}, as one sound split in {1 / LEVEL:.0f} may be)"
            )


def chance_of(train: np.ndarray, test: np.ndarray) -> float:
    """How probable counts ``(classes,)`` so far apart are where both splits are drawn from one population.

    Pearson's chi-square test of homogeneity. Where so few of a class are expected that the chi-square distribution
    does not hold, the statistic is compared with that of random splits of the same examples, drawn by a fixed seed.
    """
    table = np.stack([train, test])[:, train + test > 0]
    whole, n = table.sum(0), int(test.sum())
    parts = np.outer(table.sum(1), whole / whole.sum())
    if parts.min() >= EXPECTED:
        from scipy.stats import chi2

        return float(chi2.sf(_apart(table[1], parts), len(whole) - 1))
    rng, found = np.random.default_rng(0), _apart(table[1], parts)
    as_far = sum(_apart(rng.multivariate_hypergeometric(whole, n), parts) >= found * (1 - 1e-9) for _ in range(DRAWN))
    return (1 + as_far) / (1 + DRAWN)


def _apart(test: np.ndarray, expected: np.ndarray) -> float:
    """Pearson's statistic; what one split has more than is expected, the other has less."""
    return float((np.square(test - expected[1]) * (1 / expected).sum(0)).sum())
