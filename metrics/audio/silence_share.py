"""Silence: the share of a waveform's time in which it is 40 dB or more below its own loudest moment.

Speech has pauses, and clips that were brought to one length end in silence: compare with the same share of held-out
data, which the yardstick `real` shows, and not with 0. A waveform that is never louder than -60 dB is silent all over.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench import Comparison, Estimate, metric
from metrics.audio._waves import Waves, by_length, checked_waves, mean_over_waves, samples_of

FRAME = 80  # samples of a moment: 10 ms at 8 kHz, less at higher rates, whose shares do not compare with it
BELOW, SILENT = 1e-2, 1e-3  # of the loudest moment, and of full scale, both as root mean squares


def silence_share(waves: Waves) -> Estimate:
    """Mean over waveforms of the share of silent moments. Raises as ``checked_waves``."""
    shares = [_shares(some) for some in by_length(checked_waves(waves))]
    return mean_over_waves(torch.cat(shares), below=BELOW, silent=SILENT, frame=FRAME)


def _shares(waves: Tensor) -> Tensor:
    """Of each of ``(n, T)`` or ``(n, T, channels)``."""
    waves = waves if waves.ndim == 2 else waves.mean(2)
    length = waves.shape[1] // FRAME * FRAME
    moments = waves[:, :length].unflatten(1, (-1, FRAME)) if length else waves[:, None]
    loudness = moments.double().square().mean(2).sqrt()
    return (loudness < (BELOW * loudness.amax(1, keepdim=True)).clamp(min=SILENT)).double().mean(1)


@metric("silence_share", on={"audio"}, aspect="realism", unit="1", better="none", least=0, most=1)
def silence_share_of(c: Comparison) -> Estimate:
    """Share of moments of 80 samples that are silent; to be read beside that of held-out sound."""
    return silence_share(samples_of(c))
