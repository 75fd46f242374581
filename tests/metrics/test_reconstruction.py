"""Reconstructions: against closed forms and against torchmetrics on the same images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from bench import Batch, Estimate, GenbenchError, Interval, Omitted, TooFew, Trial, bounded_interval
from bench.datasets.digits import digits
from bench.datasets.mnist import mnist5k
from metrics.features.frechet import frechet_distance
from metrics.features.rfd import paired_distance, rfd
from metrics.image.mse import mean_squared_error, mse
from metrics.image.psnr import peak_signal_to_noise, psnr
from metrics.image.ssim import ssim, structural_similarity

MEASURES = (mean_squared_error, peak_signal_to_noise, structural_similarity)


def interval_of(estimate: Estimate) -> Interval:
    assert estimate.interval is not None
    return estimate.interval


def pair(channels: int = 3, side: int = 24, n: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Digits blown up, and the same with noise that grows from image to image."""
    rng = torch.Generator().manual_seed(seed)
    x = mnist5k().test.pixels[:n].float()
    x = torch.nn.functional.interpolate(x, (side, side + 5), mode="bilinear").repeat(1, channels, 1, 1)
    noise = torch.randn(x.shape, generator=rng) * torch.linspace(5, 60, n).view(-1, 1, 1, 1)
    return (x + noise).round().clamp(0, 255).to(torch.uint8), x.round().to(torch.uint8)


def flat(level: int, n: int = 4) -> Tensor:
    return torch.full((n, 1, 16, 16), level, dtype=torch.uint8)


class TestClosedForms:
    def test_a_shift_costs_its_square(self) -> None:
        assert mean_squared_error(flat(100), flat(151)).value == pytest.approx(0.04, rel=1e-12)
        assert peak_signal_to_noise(flat(100), flat(151)).value == pytest.approx(-10 * math.log10(0.04), rel=1e-12)
        assert mean_squared_error(flat(0), flat(255)).value == 1

    def test_levels_do_not_wrap_round(self) -> None:
        """Unsigned levels would: 3 - 250 is not 9."""
        assert mean_squared_error(flat(3), flat(250)).value == pytest.approx((247 / 255) ** 2, rel=1e-12)
        assert mean_squared_error(flat(250), flat(3)).value == pytest.approx((247 / 255) ** 2, rel=1e-12)

    def test_flat_images_differ_in_luminance_alone(self) -> None:
        """SSIM = (2ab + C1) / (a^2 + b^2 + C1), as nothing varies."""
        c1 = (0.01 * 255) ** 2
        expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
        assert structural_similarity(flat(100), flat(150)).value == pytest.approx(expected, rel=1e-9)

    def test_perfect_copies(self) -> None:
        _, x = pair()
        assert mean_squared_error(x, x).value == 0
        assert structural_similarity(x, x).value == pytest.approx(1, rel=1e-12)
        with pytest.raises(Omitted, match="every copy is perfect"):
            peak_signal_to_noise(x, x)

    def test_one_perfect_copy_is_not_infinite(self) -> None:
        copies, x = pair(n=2)
        copies[0] = x[0]
        assert peak_signal_to_noise(copies, x).value == pytest.approx(
            -10 * math.log10(mean_squared_error(copies, x).value)
        )

    def test_an_inverted_image_is_dissimilar(self) -> None:
        _, x = pair()
        assert structural_similarity(255 - x, x).value < 0


class TestTorchmetrics:
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("side", [11, 24, 40])
    def test_similarity(self, channels: int, side: int) -> None:
        copies, x = pair(channels, side)
        theirs = structural_similarity_index_measure(copies.double(), x.double(), data_range=255.0)
        assert isinstance(theirs, Tensor)
        assert structural_similarity(copies, x).value == pytest.approx(theirs.item(), abs=1e-9)

    def test_signal_to_noise(self) -> None:
        copies, x = pair()
        theirs = peak_signal_noise_ratio(copies.double(), x.double(), data_range=255.0)
        assert peak_signal_to_noise(copies, x).value == pytest.approx(theirs.item(), rel=1e-6)


class TestInterval:
    @pytest.mark.parametrize("measure", [mean_squared_error, peak_signal_to_noise])
    def test_it_covers_the_truth(self, measure: Callable[..., Estimate]) -> None:
        """Copies each off by its own number of levels, 1 to 20: the mean square is 143.5."""
        rng, hits = np.random.default_rng(0), 0
        truth = 143.5 / 255**2 if measure is mean_squared_error else -10 * math.log10(143.5 / 255**2)
        for _ in range(300):
            copies = np.broadcast_to(rng.integers(1, 21, (100, 1, 1, 1)), (100, 1, 2, 2)).astype(np.uint8)
            found = interval_of(measure(copies, np.zeros_like(copies)))
            hits += found.lo < truth < found.hi
        assert 0.90 <= hits / 300 <= 0.98

    def test_a_distance_of_pairs_covers_its_expectation(self) -> None:
        """Copies that follow their originals: taken as independent, the sides would make it far too wide."""
        rng, found = np.random.default_rng(0), []
        for _ in range(300):
            x = rng.normal(size=(300, 3)) * [1, 2, 3]
            found.append(paired_distance(0.8 * x + 0.3 * rng.normal(size=x.shape) + 0.2, x))
        truth = np.mean([f.value for f in found])
        hits = np.mean([interval_of(f).lo < truth < interval_of(f).hi for f in found])
        assert 0.90 <= hits <= 0.98

    def test_similaritys_is_the_spread_of_images(self) -> None:
        copies, x = pair(n=6)
        each = [
            structural_similarity(copies[i : i + 1].repeat(2, 1, 1, 1), x[i : i + 1].repeat(2, 1, 1, 1)).value
            for i in range(6)
        ]
        found = structural_similarity(copies, x)
        assert found.value == pytest.approx(np.mean(each), rel=1e-9)
        expected = bounded_interval(found.value, float(np.std(each, ddof=1)) / math.sqrt(6), 6, "", lo=-1)
        assert (interval_of(found).lo, interval_of(found).hi) == pytest.approx((expected.lo, expected.hi), rel=1e-5)

    def test_perfect_copies_leave_room_for_errors_in_others(self) -> None:
        """Of 9 images the rule of three, 3.84 / (9 + 3.84) of the range, on the side where there is any."""
        _, x = pair(n=9)
        error, similarity = interval_of(mean_squared_error(x, x)), interval_of(structural_similarity(x, x))
        assert (error.lo, error.hi) == pytest.approx((0, 0.299), abs=1e-3)
        assert (similarity.lo, similarity.hi) == pytest.approx((1 - 2 * 0.299, 1), abs=2e-3)

    def test_equal_errors_leave_signal_to_noise_room_on_both_sides(self) -> None:
        _, x = pair(n=9)
        found = peak_signal_to_noise(x ^ 1, x)
        assert interval_of(found).lo < found.value < interval_of(found).hi


class TestRefusal:
    @pytest.mark.parametrize("measure", MEASURES)
    def test_what_are_no_pairs_of_images_is_refused(self, measure: Callable[..., Estimate]) -> None:
        copies, x = pair()
        with pytest.raises(GenbenchError, match="must have one shape"):
            measure(copies[:5], x)
        with pytest.raises(GenbenchError, match="must be uint8"):
            measure(copies.float(), x)
        with pytest.raises(GenbenchError, match="must be uint8"):
            measure(copies[0], x[0])
        with pytest.raises(TooFew, match="1 images are too few: at least 2"):
            measure(copies[:1], x[:1])

    def test_images_below_the_window_have_no_similarity(self) -> None:
        small = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
        with pytest.raises(Omitted, match="images of 8x8 are smaller than SSIM's window of 11x11"):
            structural_similarity(small, small)


def test_pairs_must_be_complete() -> None:
    with pytest.raises(GenbenchError, match="as many, got 8 and 9"):
        paired_distance(np.eye(8), np.eye(9, 8))


class Shifter:
    """Copies every image, ``by`` levels brighter."""

    def __init__(self, by: float) -> None:
        self.by = by

    def reconstruct(self, batch: Batch) -> Tensor:
        return (batch.data + self.by / 127.5).clamp(-1, 1)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, 1, 28, 28)


def trial_of(model: Any, dataset: Any) -> Trial[Any]:
    return Trial(model, dataset, seed=0, n_samples=8, batch_size=64, device=torch.device("cpu"))


class TestModels:
    def test_copies_are_quantised_as_the_data_is(self) -> None:
        """0.4 of a level is no difference, 0.6 is one; black pixels move by it and white ones cannot."""
        data = mnist5k()
        assert mse(trial_of(Shifter(0.4), data)).value == 0
        share = (data.test.pixels < 255).double().mean().item()
        assert mse(trial_of(Shifter(0.6), data)).value == pytest.approx(share / 255**2, rel=1e-9)

    def test_a_worse_copy_has_worse_numbers(self) -> None:
        data = mnist5k()
        better, worse = (trial_of(Shifter(by), data) for by in (2, 40))
        assert mse(better).value < mse(worse).value
        assert psnr(better).value > psnr(worse).value
        assert ssim(better).value > ssim(worse).value
        assert mse(better).n == 1000

    def test_who_cannot_copy_is_left_out(self) -> None:
        class Blind:
            def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
                return torch.zeros(n, 1, 8, 8)

        for measure in (mse, psnr, ssim):
            with pytest.raises(Omitted, match="reconstruct"):
                measure(trial_of(Blind(), digits()))

    def test_distance_of_features_is_frechets(self) -> None:
        trial = trial_of(Shifter(40), mnist5k())
        space = trial.space("lenet")
        found = rfd(space)
        expected = frechet_distance(space.of("reconstructions").features, space.real)
        assert found.value == expected.value > 0
        assert rfd(trial_of(Shifter(0.4), mnist5k()).space("lenet")).value == pytest.approx(0, abs=1e-6)
