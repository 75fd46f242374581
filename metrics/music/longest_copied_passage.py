"""How much of each piece stands in the training data, in whatever key: the longest run of frames that is, moved up or
down as a whole, a run of a training piece (of text: McCoy et al. 2023, arXiv:2111.09509, section 4).

A run is spelled by the chords of its frames, each from its lowest note up, and by the steps of that lowest note between
them: so two runs are spelled alike where one is the other in another key. Across a silent frame the step is 0, and a
passage may go on in another key behind it. Held chords are copied easily, and composers copy too: no length is good in
itself, and held-out pieces of the same length are what to compare with. Of pieces that are cut into windows a run ends
where its window does.

Runs are found by prefix doubling, and a few copies have a place of their own in the interval, as those of words
(``copied_ngram``).
"""

from __future__ import annotations

import numpy as np

from bench import Comparison, Estimate, metric
from metrics.music._rolls import Rolls, same_keys, side_of
from metrics.text._texts import Tokens
from metrics.text.copied_ngram import copied_ngram, longest_by_text, match_lengths


def longest_copies(ours: Rolls, train: Rolls) -> np.ndarray:
    """Frames of the longest run of each piece that stands in ``train``, ``(pieces,)``."""
    same_keys(ours, train)
    spelled, known = _spelled(ours, train)
    # From a chord on, k frames are k chords and k - 1 steps between them, and may end with one step more.
    runs = (match_lengths(spelled, known) + 1) // 2
    return longest_by_text(np.where(_is_chord(ours), runs, 0), spelled)


def _spelled(*sides: Rolls) -> list[Tokens]:
    """Chords and steps of each side, the first chord of a piece first, as numbers that are equal where they are."""
    keys = sides[0].frames.shape[1]
    bits = np.concatenate([np.packbits(_from_lowest(side.frames), axis=1) for side in sides])
    bits = np.ascontiguousarray(bits)
    chords = np.unique(bits.view(np.dtype((np.void, bits.shape[1]))).ravel(), return_inverse=True)[1]
    parts = np.split(chords, np.cumsum([len(side.frames) for side in sides])[:-1])
    found = []
    for side, chord in zip(sides, parts, strict=True):
        both = np.stack([len(chords) + keys + _steps(side), chord], axis=1).ravel()
        inside = np.stack([~side.first, np.ones(len(chord), bool)], axis=1).ravel()
        found.append(Tokens(both[inside], np.repeat(side.piece, 2)[inside], len(side.lengths)))
    return found


def _is_chord(side: Rolls) -> np.ndarray:
    """Which of the numbers that spell a side are chords."""
    inside = np.stack([~side.first, np.ones(len(side.first), bool)], axis=1)
    found: np.ndarray = np.broadcast_to([False, True], inside.shape)[inside]
    return found


def _from_lowest(frames: np.ndarray) -> np.ndarray:
    """Each frame moved down until its lowest note is the first key."""
    keys = frames.shape[1]
    place = np.arange(keys) + frames.argmax(1)[:, None]
    found: np.ndarray = np.take_along_axis(frames, np.minimum(place, keys - 1), axis=1) & (place < keys)
    return found


def _steps(side: Rolls) -> np.ndarray:
    """Keys from the lowest note of the frame before to that of each, 0 where one of them is silent."""
    lowest, sounds = side.frames.argmax(1), side.frames.any(1)
    return np.where(sounds & np.roll(sounds, 1), lowest - np.roll(lowest, 1), 0)


@metric("longest_copied_passage", sides=("samples", "train"), on={"music"}, aspect="novelty", unit="frames",
        better="none", least=0, lead=2, paper="arXiv:2111.09509, section 4")  # fmt: skip
def longest_copied_passage(c: Comparison) -> Estimate:
    """Longest run of frames that a sample shares with the training data in whatever key, mean over samples."""
    ours = side_of(c, "samples")
    found = copied_ngram(longest_copies(ours, side_of(c, "train")), ours.lengths)
    method = "MOVER of the share of copies (Wilson) and the runs of copies and of other pieces"
    interval = found.interval and found.interval.model_copy(update={"method": method})
    return found.model_copy(update={"interval": interval, "protocol": {"moved": "to any key"}})
