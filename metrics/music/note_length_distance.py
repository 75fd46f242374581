"""How long notes are: the distance between the histograms of lengths of samples and of held-out pieces by which one
has to be moved to become the other (Wasserstein's, of lengths in frames; Yang & Lerch 2020,
doi:10.1007/s00521-018-3849-7, section 4.1, compare "note length histograms").

    sum_l |P(length <= l) - Q(length <= l)|

It is 1 where every note is a frame longer than it should be.
"""

from __future__ import annotations

from bench import Comparison, Estimate, metric
from metrics.music._rolls import Rolls, both, histogram_distance


def note_length_distance(ours: Rolls, theirs: Rolls) -> Estimate:
    """In frames. Raises GenbenchError where a side has no notes."""
    longest = max(int(side.notes[:, 2].max(initial=0)) for side in (ours, theirs))
    counts = [side.counts(side.notes[:, 2], longest + 1) for side in (ours, theirs)]
    return histogram_distance(*counts, ordered=True, hi=longest)


@metric("note_length_distance", sides=("samples", "reference"), on={"music"}, aspect="realism", unit="frames",
        better="lower", least=0, paper="doi:10.1007/s00521-018-3849-7, section 4.1")  # fmt: skip
def note_length_distance_of(c: Comparison) -> Estimate:
    """Frames by which notes' lengths would have to change to be spread as held-out ones; few pieces are above 0."""
    return note_length_distance(*both(c))
