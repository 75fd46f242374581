"""Log-spectral distance of a copy from its original (Gray & Markel 1976, doi:10.1109/TASSP.1976.1162849).

    LSD = mean over frames of sqrt( mean over frequencies of (10 log10 P - 10 log10 Q)^2 )    in dB

P and Q are power spectra. What lies more than 80 dB below full scale counts as if it lay there: nobody hears it, and
digital silence has no logarithm. It is blind to phases: copies that only sound like their originals may be near.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Reconstructor, Trial, metric
from metrics.audio._waves import Waves, by_length, checked_waves, mean_over_waves

WINDOW, HOP, FLOOR = 512, 128, -80.0
LARGEST = 10.0 - FLOOR  # dB: no waveform in [-1, 1] has more than 10 dB of a full-scale tone at any frequency


def log_spectral_distance(copies: Waves, originals: Waves) -> Estimate:
    """In dB, 0 for equal sides. Raises as ``checked_waves``, and GenbenchError for sides that are no pairs."""
    x, y = checked_waves(copies), checked_waves(originals)
    if [wave.shape for wave in x] != [wave.shape for wave in y]:
        raise GenbenchError("copies and originals must be pairs of one shape each")
    pairs = zip(by_length(x), by_length(y), strict=True)
    distances = [(decibels(a) - decibels(b)).square().mean(-2).sqrt().flatten(1).mean(1) for a, b in pairs]
    return mean_over_waves(torch.cat(distances).double(), LARGEST, window=WINDOW, hop=HOP, floor=FLOOR)


def decibels(wave: Tensor) -> Tensor:
    """``(n, ..., frequencies, frames)`` of ``(n, T)`` or ``(n, T, channels)``, 0 for a tone of full scale."""
    window = torch.hann_window(WINDOW, device=wave.device)
    rows = (wave if wave.ndim == 2 else wave.transpose(1, 2)).flatten(0, -2)
    found = torch.stft(rows, WINDOW, HOP, window=window, center=True, pad_mode="constant", return_complex=True)
    spectrum = found.view(len(wave), *([] if wave.ndim == 2 else [wave.shape[2]]), *found.shape[1:])
    power = (spectrum.abs() * 2 / window.sum()).square()
    return 10 * power.clamp(min=10 ** (FLOOR / 10)).log10()


@metric(
    "log_spectral_distance",
    on={"audio"},
    aspect="reconstruction",
    unit="dB",
    better="lower",
    least=0,
    most=LARGEST,
    sides=("reconstructions", "reference"),
    paper="doi:10.1109/TASSP.1976.1162849",
)
def log_spectral_distance_of(trial: Trial[Reconstructor]) -> Estimate:
    """Log-spectral distance of held-out sounds' reconstructions, in dB."""
    return log_spectral_distance(list(trial.tensor("reconstructions")), list(trial.reference))
