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

    Pearson's chi-square test of homogeneity. Classes of which too few are expected are one, so that its distribution
    holds; 1 where fewer than two are left.
    """
    from scipy.stats import chi2_contingency

    table = np.stack([train, test]).astype(float)
    rare = table.sum(0) * table.sum(1).min() / table.sum() < EXPECTED
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(1)]) if rare.any() else table
    if table[:, -1].sum() * table.sum(1).min() / table.sum() < EXPECTED:  # all that is rare together is rare, too
        table = table[:, :-1]
    if table.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(table, correction=False).pvalue)
