"""How much changes from frame to frame, compared with held-out clips.

The change between neighbouring frames is their squared difference, relative to the contrast of their clip:

    c_t = mean (x_{t+1} - x_t)^2 / (2 var x)         0 where nothing moves, 1 where neighbours have nothing in common

so 1 - c_t is the correlation of one frame with the next, and no scale of grey levels is in it. The measure is the
first Wasserstein distance between the changes of the samples and those of held-out clips,

    W = int |F(c) - G(c)| dc

with F and G their distribution functions: 0 where clips change as real ones do, whether these are calm or wild. Clips
that stand still are as far off as real ones move on average; shuffled ones are off by how much less alike frames are
that are not neighbours. It knows how much changes and not what: a film run backwards scores as it does forwards.

Frames of a clip depend on one another, so the interval is over clips: its standard error is that of ``DRAWS`` drawings
of whole clips of both sides with replacement (Efron 1979).
"""

from __future__ import annotations

import numpy as np
import torch

from bench import Comparison, Estimate, GenbenchError, Omitted, TooFew, metric, normal_interval
from metrics._arrays import Array

AT_A_TIME = 256  # clips
DRAWS = 200
METHOD = "bootstrap over clips of both sides, of the expectation at this n"


@metric(
    "temporal_consistency",
    on={"video"},
    aspect="realism",
    unit="1",
    better="lower",
    least=0,
    sides=("samples", "reference"),
)
def temporal_consistency(c: Comparison) -> Estimate:
    """How far changes from frame to frame are from those of held-out clips: too calm and too wild count alike."""
    samples, reference = (changes(c.tensor(side)) for side in ("samples", "reference"))
    return distance(samples, reference)


def changes(clips: Array) -> np.ndarray:
    """``(n, T - 1)`` of clips ``(n, T, ...)``. Raises Omitted for clips of one frame."""
    x = torch.as_tensor(clips)
    if x.shape[1] < 2:
        raise Omitted("clips of one frame do not change")
    found = []
    for part in x.split(AT_A_TIME):
        flat = part.flatten(2).double()
        moved = flat.diff(dim=1).square().mean(2)  # (n, T - 1)
        contrast = flat.flatten(1).var(1, correction=0)[:, None]
        found.append(torch.where(contrast > 0, moved / (2 * contrast), 0))  # of one flat colour nothing moves
    return torch.cat(found).numpy()


def distance(fake: np.ndarray, real: np.ndarray) -> Estimate:
    """First Wasserstein distance of numbers ``(n, T)`` and ``(m, T)``. Raises TooFew for fewer than two rows a side,
    GenbenchError for NaN or infinity.
    """
    if min(len(fake), len(real)) < 2:
        raise TooFew(f"{len(fake)} and {len(real)} clips are too few: at least 2 are needed")
    if not (np.isfinite(fake).all() and np.isfinite(real).all()):
        raise GenbenchError("changes hold NaN or infinity")
    value, *drawn = _drawings(fake, real)
    interval = normal_interval(value, float(np.std(drawn, ddof=1)), METHOD, lo=0)
    return Estimate(value=value, n=len(fake), interval=interval)


def _drawings(fake: np.ndarray, real: np.ndarray) -> list[float]:
    """The distance, and that of each drawing of clips: how often each is drawn weighs its changes."""
    values = np.concatenate([fake.ravel(), real.ravel()])
    order = values.argsort(kind="stable")
    widths, found, rng = np.diff(values[order]), list[float](), np.random.default_rng(0)
    for draw in range(1 + DRAWS):
        weights = []
        for side, sign in ((fake, 1), (real, -1)):
            n = len(side)
            often = np.bincount(rng.integers(n, size=n), minlength=n) if draw else np.ones(n)
            weights.append(sign * np.repeat(often / side.size, side.shape[1]))
        gap = np.concatenate(weights)[order].cumsum()[:-1]  # F - G behind each value
        found.append(float(np.abs(gap) @ widths))
    return found
