"""Clipping: the share of a waveform's samples that lie at the end of the scale, where what is louder is cut off.

Recordings whose level was set to leave room have none, and others have some: compare with the same share of held-out
data, which the yardstick `real` shows, and not with 0.
"""

from __future__ import annotations

import torch

from bench import Comparison, Estimate, metric
from metrics.audio._waves import Waves, by_length, checked_waves, mean_over_waves, samples_of

FULL = 0.999  # of full scale


def clipping_share(waves: Waves) -> Estimate:
    """Mean over waveforms of the share of samples at 0.999 of full scale or above. Raises as ``checked_waves``."""
    shares = [(some.abs() >= FULL).double().flatten(1).mean(1) for some in by_length(checked_waves(waves))]
    return mean_over_waves(torch.cat(shares), full_scale=FULL)


@metric("clipping_share", on={"audio"}, aspect="realism", unit="1", better="none", least=0, most=1)
def clipping_share_of(c: Comparison) -> Estimate:
    """Share of samples at full scale; to be read beside that of held-out sound."""
    return clipping_share(samples_of(c))
