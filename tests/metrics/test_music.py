"""Measures of music against cases that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bench
from bench import Batch, GenbenchError, Omitted, Sequences, TooFew, Trial
from bench.datasets._events import EventDataset, encoded
from bench.measure.trial import measure_model
from bench.registry import registry
from metrics.cost.rates import _mean_length
from metrics.music._rolls import Rolls, histogram_distance, rolls_of
from metrics.music.groove_gap import groove
from metrics.music.longest_copied_passage import longest_copies
from metrics.music.note_length_distance import note_length_distance
from metrics.music.pitch_class_distance import pitch_class_distance
from metrics.music.polyphony_gap import polyphony_gap
from metrics.music.repetition_gap import repetition
from metrics.music.scale_consistency_gap import scale_consistency

C, D, E, F, G, A, B = (60, 62, 64, 65, 67, 69, 71)


def tune(*chords: int | tuple[int, ...] | None, up: int = 0) -> np.ndarray:
    """A frame a chord, of MIDI's 128 keys; None is silence."""
    roll = np.zeros((len(chords), 128), np.uint8)
    for frame, chord in zip(roll, chords, strict=True):
        keys = () if chord is None else chord if isinstance(chord, tuple) else (chord,)
        frame[[key + up for key in keys]] = 1
    return roll


def rolls(*pieces: np.ndarray) -> Rolls:
    return rolls_of(Sequences.of(map(torch.from_numpy, pieces)))


def test_a_note_is_a_key_that_sounds_in_frames_in_a_row() -> None:
    found = rolls(tune((C, E), (C, G), None, C), tune(C, C))
    notes = sorted(found.notes.tolist())  # that of the second piece does not go on from the first
    assert notes == [[0, C, 1], [0, C, 2], [0, E, 1], [0, G, 1], [1, C, 2]]
    assert rolls_of(torch.from_numpy(np.stack([tune(C, D), tune(E, E)]))).notes.tolist() == [
        [0, C, 1],
        [0, D, 1],
        [1, E, 2],
    ]


def test_pitch_classes() -> None:
    """Half of the notes C, half G, in any octave, against all of them C."""
    ours, theirs = rolls(tune(C, G), tune(C + 12, G - 12)), rolls(tune(C, None, C), tune(C))
    found = pitch_class_distance(ours, theirs)
    assert found.value == pytest.approx(0.5) and found.n == 4
    assert pitch_class_distance(ours, ours).value == 0
    assert pitch_class_distance(ours, rolls(tune(D), tune(E))).value == pytest.approx(1)


def test_note_lengths() -> None:
    """Lengths 1, 1, 1 and 3 against 2 and 2: half of the mass moves by one frame, a quarter by one more each."""
    ours, theirs = rolls(tune(C, D, E), tune(F, F, F)), rolls(tune(C, C), tune(D, D))
    assert note_length_distance(ours, theirs).value == pytest.approx(0.75 + 0.25)
    longer = rolls(tune(C, C, C), tune(D, D, D))
    assert note_length_distance(longer, theirs).value == pytest.approx(1)


def test_the_error_of_a_histogram_distance_is_that_of_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.poisson(3 * rng.random((200, 5)) + 0.2), rng.poisson([2, 1, 1, 1, 1], (200, 5))
    for ordered in (False, True):
        found = histogram_distance(ours, theirs, ordered=ordered, hi=5)
        again = [
            histogram_distance(*(side[rng.integers(200, size=200)] for side in (ours, theirs)), ordered=ordered, hi=5)
            for _ in range(300)
        ]
        assert found.interval is not None
        error = (found.interval.hi - found.interval.lo) / 2 / 1.96
        assert error == pytest.approx(np.std([each.value for each in again]), rel=0.2)


def test_polyphony() -> None:
    """Of frames that sound, 2 keys against 1.5."""
    found = polyphony_gap(rolls(tune((C, E), None), tune((C, G))), rolls(tune((C, E), C), tune(None, (C, E), C)))
    assert found.value == pytest.approx(0.5) and found.interval and found.interval.lo <= 0.5 <= found.interval.hi
    with pytest.raises(GenbenchError, match="one side is silent"):
        polyphony_gap(rolls(tune(C), tune(C)), rolls(tune(None), tune(None)))


def test_scale_consistency() -> None:
    scale = tune(C, D, E, F, G, A, B)
    found = scale_consistency(rolls(scale, tune(C, D, E, F, G, A, B, up=3), tune(*range(60, 72)), tune(None)))
    assert found[:3] == pytest.approx([1, 1, 7 / 12]) and np.isnan(found[3])


def test_groove() -> None:
    """Bars of eight frames: the same rhythm; rhythms that differ in two frames of eight; one bar and no pair."""
    bar = [C, C, D, None, E, E, E, E]
    other = [C, D, D, None, E, E, E, E]
    found = groove(rolls(tune(*bar, None, *bar[1:]), tune(*bar, *bar), tune(*bar, *other), tune(*bar)))
    assert found[:3] == pytest.approx([1 - 2 / 8, 1, 1 - 2 / 8]) and np.isnan(found[3])
    three = groove(rolls(tune(*bar, *bar, *other), tune(*bar)))
    assert three[0] == pytest.approx((1 + 2 * 0.75) / 3)  # all pairs


def test_repetition() -> None:
    """Passages of four: of C D E F C D E F G the fifth is the first again."""
    found = repetition(rolls(tune(C, D, E, F, C, D, E, F, G), tune(C, C, C, C, C, C), tune(C, D)))
    assert found[:2] == pytest.approx([1 / 6, 2 / 3]) and np.isnan(found[2])


class TestCopies:
    KNOWN = (tune((C, G), (D, G), E, F, G, None, A), tune(B, A, G))

    def longest(self, *pieces: np.ndarray) -> list[int]:
        found: list[int] = longest_copies(rolls(*pieces), rolls(*self.KNOWN)).tolist()
        return found

    def test_a_passage_is_found_in_another_key(self) -> None:
        assert self.longest(tune((C, G), (D, G), E, up=5), tune(A, (D, G), E, F, A, up=-2)) == [3, 3]

    def test_what_is_moved_in_part_is_no_copy(self) -> None:
        # The chords are those of a training piece, and the steps between them are not.
        assert self.longest(np.concatenate([tune((C, G), up=1), tune((D, G), E)]), tune((C, E), (D, F))) == [2, 0]

    def test_passages_end_with_their_piece(self) -> None:
        assert self.longest(tune(F, G, None, A, B, A, G), tune(None, A)) == [4, 2]

    def test_a_brute_search_finds_the_same(self) -> None:
        rng = np.random.default_rng(1)
        ours, known = ([(rng.random((10, 4)) < 0.4).astype(np.uint8) for _ in range(5)] for _ in range(2))

        def alike(one: np.ndarray, other: np.ndarray) -> bool:
            return any(
                np.array_equal(moved(one, up), other) for up in range(-3, 4) if moved(one, up).sum() == one.sum()
            )

        def moved(roll: np.ndarray, up: int) -> np.ndarray:
            found = np.zeros_like(roll)
            first, last = max(0, up), min(4, 4 + up)
            found[:, first:last] = roll[:, first - up : last - up]
            return found

        sounding = [[roll[roll.any(1)] for roll in side] for side in (ours, known)]  # behind silence the key is free
        expected = [
            max(
                (n for n in range(1, len(a) + 1) for b in sounding[1] for i in range(len(a) - n + 1)
                 for j in range(len(b) - n + 1) if alike(a[i : i + n], b[j : j + n])),
                default=0,
            )
            for a in sounding[0]
        ]  # fmt: skip
        assert longest_copies(rolls(*sounding[0]), rolls(*sounding[1])).tolist() == expected


def test_rolls_that_people_bring_are_measured_and_tokens_are_not() -> None:
    names = ["pitch_class_distance", "note_length_distance", "polyphony_gap", "scale_consistency_gap", "groove_gap",
             "repetition_gap", "longest_copied_passage"]  # fmt: skip
    pieces = np.random.default_rng(0).random((3, 20, 32, 88)) < 0.05
    table = bench.evaluate(pieces[0], pieces[1], metrics=names, modality="music", train=pieces[2])
    assert list(table.metric) == names and table.lo.notna().all()
    assert (table.better == "lower").sum() == 6 and (table.better == "higher").sum() == 0
    tokens = pieces[:, :, :, 0].astype(np.int64)
    with pytest.raises(GenbenchError, match="needs piano rolls of 0 and 1"):
        bench.evaluate(tokens[0], tokens[1], metrics=names, modality="music", train=tokens[2])


def test_sides_that_do_not_compare() -> None:
    with pytest.raises(TooFew, match="1 pieces of music are too few on the side of samples"):
        rolls(tune(C))
    with pytest.raises(Omitted, match="needs piano rolls"):
        rolls_of(torch.zeros(3, 4, 5))
    narrow = rolls_of(torch.ones(2, 3, 12, dtype=torch.uint8))
    with pytest.raises(GenbenchError, match="128 keys and 12 do not compare"):
        longest_copies(rolls(tune(C), tune(D)), narrow)


class Even:
    """A nat a token; it makes one piece again and again."""

    bound = False
    log_prob_of = "mass"

    def __init__(self, piece: torch.Tensor) -> None:
        self.piece = piece

    def log_prob(self, batch: Batch) -> torch.Tensor:
        assert batch.lengths is not None
        return -batch.lengths.double()

    def sample(self, n: int, rng: torch.Generator, condition: torch.Tensor | None = None) -> torch.Tensor:
        return self.piece.expand(n, -1)


def test_events_are_measured_as_the_rolls_that_they_spell() -> None:
    """Nats a frame are a bound then; samples of tokens meet held-out rolls."""
    pieces = [tune(C, C, (C, E), None)[:, 21:109], tune(D, E, F, F, G)[:, 21:109], tune(A, A)[:, 21:109]]
    data = EventDataset("made", {"train": pieces[:1], "valid": pieces[1:], "test": pieces[1:]}, rate=2.0)
    model = Even(data.train.batch(torch.tensor([0])).data[0])
    trial: Trial = Trial(model, data, seed=0, n_samples=3, batch_size=2, device=torch.device("cpu"))
    found = measure_model(registry.get("metrics", "nats_per_frame"), trial)
    assert found.value == pytest.approx(sum(len(encoded(piece)) for piece in pieces[1:]) / 7)
    assert found.kind == "bound" and found.n == 7 and found.protocol["of"] == "events"
    assert _mean_length(trial) == 4
    gap = measure_model(registry.get("metrics", "polyphony_gap"), trial)
    assert gap.value == pytest.approx(4 / 3 - 1)
