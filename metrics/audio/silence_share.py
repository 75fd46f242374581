"""Silence: the share of a waveform's time in which it is 40 dB or more below its own loudest moment, of 10 ms each.

Speech has pauses, and clips that were brought to one length end in silence: compare with the same share of held-out
data, which the yardstick `real` shows, and not with 0. A waveform that is never louder than -60 dB is silent all over.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench import Comparison, Estimate, Omitted, metric
from metrics.audio._waves import Waves, by_length, checked_waves, mean_over_waves, samples_of

MOMENT = 0.01  # seconds
BELOW, SILENT = 1e-2, 1e-3  # of the loudest moment, and of full scale, both as root mean squares


def silence_share(waves: Waves, rate: float) -> Estimate:
    """Mean over waveforms of the share of silent moments of 10 ms, 0 to 1. rate: samples a second.

    A moment is of whole samples, and what is left over behind the last one is not looked at; a waveform that is shorter
    than one is a moment. Raises as ``checked_waves``.
    """
    frame = max(1, round(MOMENT * rate))
    shares = [_shares(some, frame) for some in by_length(checked_waves(waves))]
    return mean_over_waves(torch.cat(shares), below=BELOW, silent=SILENT, moment=MOMENT)


def _shares(waves: Tensor, frame: int) -> Tensor:
    """Of each of ``(n, T)`` or ``(n, T, channels)``. frame: samples of a moment."""
    waves = waves if waves.ndim == 2 else waves.mean(2)
    length = waves.shape[1] // frame * frame
    moments = waves[:, :length].unflatten(1, (-1, frame)) if length else waves[:, None]
    loudness = moments.double().square().mean(2).sqrt()
    return (loudness < (BELOW * loudness.amax(1, keepdim=True)).clamp(min=SILENT)).double().mean(1)


@metric("silence_share", on={"audio"}, aspect="realism", unit="1", better="none", least=0, most=1)
def silence_share_of(c: Comparison) -> Estimate:
    """Share of moments of 10 ms that are silent; to be read beside that of held-out sound."""
    if c.rate is None:
        how = "as a folder of sound files or `rate` of an .npz does"
        raise Omitted(f"moments are of 10 ms, and the data does not say its rate, {how}")
    return silence_share(samples_of(c), c.rate)
