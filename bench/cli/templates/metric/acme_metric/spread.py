"""How widely samples spread, as a multiple of how widely data does, in a space of features.

    value = sqrt(V(samples) / V(data)),    V(x) = sum_i |x_i - mean|^2 / (n - 1)

1 is as widely as held-out data; less, where modes are missing or samples are all alike; more, where they are noise.
The interval is the delta method's: each V is a mean of squares, whose errors add up relative to their values.
"""

import math

from bench import Estimate, GenbenchError, Space, TooFew, metric, normal_interval
from torch import Tensor


def spread(fake: Tensor, real: Tensor) -> Estimate:
    """Of features ``(n, D)`` and ``(m, D)``; 0 or more.

    Raises TooFew for fewer than three rows, GenbenchError for NaN, infinity, or rows that are all the same.
    """
    (of_fake, error_of_fake), (of_real, error_of_real) = scatter(fake, "samples"), scatter(real, "reference")
    value = math.sqrt(of_fake / of_real)
    error = value / 2 * math.hypot(error_of_fake / of_fake, error_of_real / of_real)
    return Estimate(value=value, n=len(fake), interval=normal_interval(value, error, "delta method over rows", lo=0))


def scatter(rows: Tensor, side: str) -> tuple[float, float]:
    """V(rows), and its standard error."""
    n, x = len(rows), rows.double()
    if n < 3:
        raise TooFew(f"{n} {side} are too few: at least 3 are needed")
    if not bool(x.isfinite().all()):
        raise GenbenchError(f"features of {side} hold NaN or infinity")
    squares = (x - x.mean(0)).square().sum(1) * n / (n - 1)
    if not float(squares.max()):
        raise GenbenchError(f"all {n} {side} are the same: check what was sampled or loaded")
    return float(squares.mean()), float(squares.std()) / math.sqrt(n)


@metric("acme_metric", aspect="diversity", unit="1", better="none", least=0)
def spread_of(space: Space) -> Estimate:
    """How widely samples spread, as a multiple of how widely held-out data does."""
    return spread(space.fake, space.real)
