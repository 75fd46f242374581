"""Which of the twelve notes of an octave are played: total variation between the histograms of samples and held-out
pieces, every note counted once (Yang & Lerch 2020, "On the evaluation of generative models in music",
doi:10.1007/s00521-018-3849-7, section 4.1, "total pitch class histogram").

    1/2 sum_k |p_k - q_k|

0 where both play each as often, 1 where they share none. Another key is another histogram, so that pieces in one key
and pieces in all of them differ: the measure is of a set of pieces and not of each.
"""

from __future__ import annotations

from bench import Comparison, Estimate, metric
from metrics.music._rolls import PITCH_CLASSES, Rolls, both, histogram_distance


def pitch_class_distance(ours: Rolls, theirs: Rolls) -> Estimate:
    """In [0, 1]. Raises GenbenchError where a side has no notes."""
    counts = [side.counts(side.notes[:, 1] % PITCH_CLASSES, PITCH_CLASSES) for side in (ours, theirs)]
    return histogram_distance(*counts)


@metric("pitch_class_distance", sides=("samples", "reference"), on={"music"}, aspect="realism", unit="1",
        better="lower", least=0, most=1, paper="doi:10.1007/s00521-018-3849-7, section 4.1")  # fmt: skip
def pitch_class_distance_of(c: Comparison) -> Estimate:
    """Total variation between which of the twelve notes are played, and held-out pieces'; few pieces are above 0."""
    return pitch_class_distance(*both(c))
