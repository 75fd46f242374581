"""Improved precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991, Eqs. 1 and 2).

    precision = share of fakes inside the ball of some real row      how many samples could be real
    recall    = share of reals inside the ball of some fake row      how much of the data the samples reach

The ball of a row reaches to its k-th nearest other row of its own set. Collapse onto a few modes gives high precision
and recall near 0; invented modes give low precision and high recall. Settings differ from tool to tool, and change the
value: ``prdc`` counts strictly inside (<) with k = 5, which is the default here; torch-fidelity and StyleGAN count the
sphere as inside (<=) with k = 3, which is ``k=3, strict=False``.

The standard error counts both sets. A share of n rows has its binomial part; each ball l of the other set moves many
of them at once, by

    d_l = (rows that only l holds) - (what its neighbours' balls gain in its place)

The gain is taken as even over the balls that widen when l is gone. Sampling noise in d_l, already in the binomial
part, is subtracted. Where the sides are apart, a few balls around outlying rows decide the share, and the variance is
raised for the few that it rests on (``raised``). The interval is Wilson's, n divided by the design effect. It is of the
expectation at these numbers of rows: balls shrink as rows are added, and the values fall with them.

On heavy tails the balls around the outermost rows may hold many rows or none, and decide the value. Where fewer than
ten balls do (``Contained.decisive``), the interval's method says that it is too narrow on heavy tails (``of_few``).

A row with k copies or more has a ball of radius 0, which strictly holds nothing. Where half of the balls or more are
such there is no number; of fewer the interval's method and a remark tell their share.
"""

from __future__ import annotations

from typing import Literal

from bench import Estimate, Space, metric
from metrics._arrays import Array
from metrics.features._balls import Contained, K, Overlap, named_by, of_few, overlap, raised, shared_overlap, wilson
from metrics.features._neighbours import Nearest

METHOD = "Wilson, design effect from the balls of both sets, of the expectation at this n"


def manifold_precision(fake: Array, real: Array, k: int = K, strict: bool = True) -> Estimate:
    """Of ``(n, D)`` and ``(m, D)`` features; 0 to 1.

    strict: a fake on the sphere itself is outside.  Raises GenbenchError for bad input, TooFew below k + 1 rows,
    Omitted where the real rows are so often repeated that balls have radius 0.
    """
    return precision_of(overlap(fake, real, k, strict))


def manifold_recall(fake: Array, real: Array, k: int = K, strict: bool = True) -> Estimate:
    """As ``manifold_precision``, with the sets in each other's place."""
    return recall_of(overlap(fake, real, k, strict))


def precision_of(found: Overlap) -> Estimate:
    return _share(found.real, found.reals, found, "real")


def recall_of(found: Overlap) -> Estimate:
    return _share(found.fake, found.fakes, found, "fake")


def _share(held: Contained, near: Nearest, found: Overlap, of: Literal["real", "fake"]) -> Estimate:
    """Points held by any ball of a set."""
    n, alone = len(held.balls), held.alone.double()
    share = (held.balls > 0).double().mean().item()
    moved = alone - alone.mean() / found.k * named_by(near, found.k)
    squares = moved.square()
    shared = raised(squares) * max(0.0, (squares.sum() - alone.sum()).item()) / n**2
    method = found.checked_method(of_few(METHOD, held), of, found.strict)
    interval = wilson(share, share * (1 - share) / n + shared, n, method)
    return Estimate(value=share, n=n, interval=interval, protocol=found.protocol)


@metric("precision", aspect="realism", unit="1", better="higher", least=0, most=1, paper="arXiv:1904.06991, Eq. 1")
def precision(space: Space) -> Estimate:
    """Share of samples that lie among the real data (inside the ball of some real example)."""
    return precision_of(space.once(shared_overlap))


@metric(
    "recall", aspect="diversity", unit="1", better="higher", least=0, most=1, lead=2, paper="arXiv:1904.06991, Eq. 2"
)
def recall(space: Space) -> Estimate:
    """Share of real data that lies among the samples (inside the ball of some sample)."""
    return recall_of(space.once(shared_overlap))
