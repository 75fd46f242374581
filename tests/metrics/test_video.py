"""Measures of clips: known answers, and which of them see the order of frames."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import Dataset, DataSpec, Estimate, Omitted, Trial
from bench.datasets.moving_mnist import moving_mnist
from bench.measure.names import find_metric, metric_name
from bench.measure.trial import measure_model
from bench.registry import registry
from bench.testing.made_up import MadeUp
from metrics.extractors.lenet import lenet
from metrics.extractors.motion import motion
from metrics.features.frechet import frechet_distance
from metrics.image.ssim import structural_similarity
from metrics.video.frame_fd import frame_distance, rows_of
from metrics.video.next_frame_mse import summed_squared_error
from metrics.video.next_frame_psnr import signal_to_noise
from metrics.video.next_frame_ssim import similarity_of_frames
from metrics.video.temporal_consistency import changes, distance

CPU = torch.device("cpu")
CLIPS = 150


@cache
def data() -> Dataset:
    return moving_mnist(size=32, frames=8, clips=CLIPS, held_out=CLIPS)


@cache
def control(name: str) -> Trial[Any]:
    model = registry.get("generators", name).make(data())
    return Trial(model, data(), seed=0, n_samples=CLIPS, batch_size=CLIPS, device=CPU)


@cache
def measured(metric: str, of: str) -> Estimate:
    return measure_model(find_metric(metric, "video"), control(of))


# An embedding that is blind to time, and one that is not


def test_the_mean_of_an_embedding_over_frames_is_blind_to_their_order() -> None:
    """A Fréchet distance on it takes shuffled clips for real ones, to the last digits."""
    see = lenet()
    means = {
        name: rows_of(see, control(name).samples, CPU).mean(1).double() for name in ("real", "shuffled", "copycat")
    }
    reference = rows_of(see, control("real").reference, CPU).mean(1).double()
    real, shuffled, copies = (frechet_distance(means[name], reference).value for name in means)
    assert shuffled == pytest.approx(real, rel=1e-4)
    assert copies > 0.2 * real  # and is no constant


def test_frame_fd_is_blind_to_order_and_says_so_of_frozen_clips_only_that_there_are_fewer_frames() -> None:
    real, shuffled, frozen, noise = (measured("frame_fd", name) for name in ("real", "shuffled", "frozen", "noise"))
    assert shuffled.value == pytest.approx(real.value, rel=1e-4)
    assert noise.value > 20 * frozen.value > 0


@pytest.mark.parametrize("metric", ["fvd_motion", "temporal_consistency"])
@pytest.mark.parametrize("bad", ["shuffled", "frozen", "noise"])
def test_what_looks_at_time_tells_every_control_from_real_clips(metric: str, bad: str) -> None:
    real, found = measured(metric, "real"), measured(metric, bad)
    assert real.interval is not None and found.interval is not None
    assert found.value > 5 * real.value and found.interval.lo > real.interval.hi


def test_training_clips_are_as_real_as_held_out_ones() -> None:
    for metric in ("fvd_motion", "frame_fd", "temporal_consistency"):
        real, copies = measured(metric, "real"), measured(metric, "copycat")
        assert copies.interval is not None and real.interval is not None
        assert copies.interval.lo < real.interval.hi and real.interval.lo < copies.interval.hi


def test_motion_is_what_video_is_seen_through() -> None:
    assert metric_name("fd", "motion") == "fvd_motion"
    seen = motion()(control("real").samples[:5])
    assert seen.features.shape == (5, 64) and seen.logits is None


def test_motion_reads_other_sizes_and_lengths_and_no_colour() -> None:
    see = motion()
    large = control("real").samples[:3].repeat_interleave(2, 3).repeat_interleave(2, 4)
    small = see(control("real").samples[:3]).features
    assert torch.allclose(see(large).features, small, atol=1e-4)
    pieces = see([clip[:length] for clip, length in zip(large, (8, 5, 3), strict=True)]).features
    assert pieces.shape == (3, 64) and torch.equal(pieces[0], see(large[:1]).features[0])
    with pytest.raises(Omitted, match="grey"):
        see(large.expand(-1, -1, 3, -1, -1))


# Known answers


def test_of_clips_of_one_frame_frame_fd_is_the_frechet_distance() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 1, 4)), rng.normal(1, 1, size=(90, 1, 4))
    found, plain = frame_distance(x, y), frechet_distance(x[:, 0], y[:, 0])
    assert found.value == pytest.approx(plain.value) and found.n == 80
    assert found.interval is not None and plain.interval is not None
    assert found.interval.hi - found.interval.lo == pytest.approx(plain.interval.hi - plain.interval.lo, rel=0.2)


def test_frames_that_stand_twice_make_frame_fd_no_surer() -> None:
    """Its interval is over clips: eight equal frames say no more than one."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 1, 4)), rng.normal(1, 1, size=(90, 1, 4))
    once, often = frame_distance(x, y), frame_distance(x.repeat(8, 1), y.repeat(8, 1))
    assert once.interval is not None and often.interval is not None
    assert often.interval.hi - often.interval.lo == pytest.approx(once.interval.hi - once.interval.lo, rel=0.1)


def test_change_is_one_less_the_correlation_of_neighbours() -> None:
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (3, 1, 1, 32, 32)).repeat(4, 1)
    assert not changes(still).any()
    noise = rng.integers(0, 256, (3, 4, 1, 32, 32))
    assert changes(noise) == pytest.approx(1.0, abs=0.1)
    assert changes(3.0 * noise + 7) == pytest.approx(changes(noise))  # whatever the scale of grey
    assert not changes(np.zeros((2, 3, 1, 4, 4))).any()


def test_the_distance_of_changes_is_wasserstein_s() -> None:
    from scipy.stats import wasserstein_distance

    rng = np.random.default_rng(0)
    x, y = rng.random((40, 3)), rng.random((50, 3)) ** 2
    assert distance(x, y).value == pytest.approx(wasserstein_distance(x.ravel(), y.ravel()))
    assert distance(x, x + 1).value == pytest.approx(1)
    assert distance(np.zeros((40, 3)), y).value == pytest.approx(y.mean())  # standing still


def test_the_squared_error_is_summed_over_a_frame() -> None:
    """One pixel of each frame off by all there is, and all of them by a fifth."""
    frames = np.zeros((2, 3, 1, 4, 5), np.uint8)
    one = frames.copy()
    one[..., 0, 0] = 255
    assert summed_squared_error(one, frames).value == 1
    assert summed_squared_error(frames + np.uint8(51), frames).value == pytest.approx(20 / 25)
    assert signal_to_noise(one, frames).value == pytest.approx(10 * np.log10(20))
    with pytest.raises(Omitted, match="perfectly"):
        signal_to_noise(frames, frames)


def test_ssim_of_frames_is_that_of_pictures() -> None:
    rng = np.random.default_rng(0)
    said, frames = (rng.integers(0, 256, (3, 2, 1, 16, 16)).astype(np.uint8) for _ in range(2))
    pictures = [x.reshape(6, 1, 16, 16) for x in (said, frames)]
    assert similarity_of_frames(said, frames).value == pytest.approx(structural_similarity(*pictures).value)


class Knows:
    """Says what comes next, from a table of clips."""

    def __init__(self, clips: Tensor) -> None:
        self.clips = clips

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.clips[:n]

    def forecast(self, start: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        known = start.shape[1]
        row = [int((self.clips[:, :known] == one).flatten(1).all(1).nonzero()[0]) for one in start]
        return self.clips[row, known : known + steps]


def test_a_model_that_knows_the_second_half_is_right_and_one_that_stands_still_is_not() -> None:
    knows = Knows(data().test.batch(torch.arange(CLIPS)).data)
    trial = Trial(knows, data(), seed=0, n_samples=4, batch_size=64, device=CPU)
    right, still = measure_model(find_metric("next_frame_mse", "video"), trial), measured("next_frame_mse", "frozen")
    assert right.value == 0 and still.value > 30
    assert still.protocol["frames"] == "4->4" and still.protocol["sum over"] == "32x32" and still.n == CLIPS
    assert measured("next_frame_ssim", "frozen").value < measure_model(find_metric("next_frame_ssim"), trial).value == 1


def test_what_cannot_forecast_has_no_error_and_says_why() -> None:
    with pytest.raises(Omitted, match="'forecast'"):
        measured("next_frame_mse", "real")


def test_one_frame_has_no_next_one() -> None:
    still = MadeUp(DataSpec("video", (1, 1, 16, 16), "continuous"))
    model = registry.get("generators", "frozen").make(still)
    trial = Trial(model, still, seed=0, n_samples=4, batch_size=4, device=CPU)
    for metric in ("next_frame_mse", "temporal_consistency"):
        with pytest.raises(Omitted, match="one frame"):
            measure_model(find_metric(metric), trial)
