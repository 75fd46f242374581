"""Measures of novelty: what copies, what nearly copies and what does not, and what each of them cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import bench
from bench import Estimate, GenbenchError, Omitted, TooFew
from metrics.features._mixture import FLOOR, Mixture, Rows, fit
from metrics.features._neighbours import neighbours_among
from metrics.features.authenticity import auth_gap, auth_pct, authentic_gap, authentic_percentage
from metrics.features.ct_score import ct, ct_worst, data_copying, mann_whitney
from metrics.features.fld import (
    PAIRS,
    _measured,
    fld,
    fld_gap,
    generalisation_gap,
    likelihood_divergence,
    likelihoods,
)
from metrics.features.nn_ratio import copied_share, neighbour_ratio, nn_ratio, ratios
from tests.metrics.coverage import assert_honest, covered

WIDTH, MODES = 16, 5


class World:
    """Five clusters, training and held-out data from them, and generators that copy or do not."""

    def __init__(self, seed: int = 0, n: int = 400, held_out: int = 400, train: int = 1000) -> None:
        self.rng = torch.Generator().manual_seed(seed)
        self.centres = 4 * self.noise(MODES)
        self.train, self.train_mode = self.draw(train)
        self.held_out, _ = self.draw(held_out)
        self.new, self.mode = self.draw(n)

    def noise(self, n: int) -> Tensor:
        return torch.randn(n, WIDTH, generator=self.rng, dtype=torch.float64)

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        mode = torch.randint(MODES, (n,), generator=self.rng)
        return self.centres[mode] + self.noise(n), mode

    @property
    def copies(self) -> Tensor:
        return self.train[: len(self.new)].clone()

    @property
    def near_copies(self) -> Tensor:
        return self.copies + 0.05 * self.noise(len(self.new))

    @property
    def shrunk(self) -> Tensor:
        """Held-out data half way to the middle of its mode: nobody's copy."""
        return self.centres[self.mode] + 0.5 * (self.new - self.centres[self.mode])

    @property
    def few_modes(self) -> Tensor:
        return self.new[self.mode < 2]

    @property
    def one_mode_copied(self) -> Tensor:
        kept = self.new[self.mode > 0]
        return torch.cat([kept, self.train[self.train_mode == 0][: len(self.new) - len(kept)]])


WORLD = World()


class TestNearestNeighbourRatio:
    @pytest.mark.parametrize("fake", [WORLD.copies, WORLD.near_copies])
    def test_copies_are_flagged(self, fake: Tensor) -> None:
        found = neighbour_ratio(fake, WORLD.held_out, WORLD.train)
        assert found.value > 0.95 and found.interval is not None and found.interval.lo > 0.9

    @pytest.mark.parametrize("fake", [WORLD.shrunk, WORLD.few_modes, 3 * WORLD.new])
    def test_what_copies_nothing_is_not(self, fake: Tensor) -> None:
        found = neighbour_ratio(fake, WORLD.held_out, WORLD.train)
        assert found.value < 0.05 and found.interval is not None and found.interval.lo <= 0.01

    def test_the_share_of_copies_is_the_value(self) -> None:
        fake = torch.cat([WORLD.new[:300], WORLD.copies[:100]])
        assert neighbour_ratio(fake, WORLD.held_out, WORLD.train).value == pytest.approx(0.25, abs=0.02)

    def test_new_data_is_flagged_as_seldom_as_promised(self) -> None:
        """At most one in a hundred, over held-out sets, whatever the distribution of the ratio."""
        found = [
            copied_share(torch.from_numpy(rng.beta(20, 5, 500)), torch.from_numpy(rng.beta(20, 5, m))).value
            for m in (99, 350, 999)
            for rng in map(np.random.default_rng, range(400))
        ]
        rates = np.array(found).reshape(3, 400)
        promised = np.floor(0.01 * np.array([100, 351, 1000])) / np.array([100, 351, 1000])
        assert (abs(rates.mean(1) - promised) < 3.5 * rates.std(1) / 20).all()

    def test_the_interval_covers_the_expectation(self) -> None:
        """Both sets drawn anew; 10 % of the fakes are copies."""
        found = []
        for rng in map(np.random.default_rng, range(400)):
            fake = rng.beta(20, 5, 300) * (rng.random(300) > 0.1)
            found.append(copied_share(torch.from_numpy(fake), torch.from_numpy(rng.beta(20, 5, 300))))
        assert_honest(covered(found), 400)

    @pytest.mark.parametrize("m", [99, 180, 300, 367, 368])
    def test_copies_are_told_by_few_held_out_examples_too(self, m: int) -> None:
        held_out = torch.from_numpy(np.random.default_rng(m).beta(20, 5, m))
        for copies in (torch.zeros(300, dtype=torch.float64), torch.full((300,), 1e-3, dtype=torch.float64)):
            found = copied_share(copies, held_out)
            assert found.value == 1 and found.interval is not None and found.interval.lo > 0.97
            assert ("taken to rise from 0" in found.interval.method) == (m < 368)

    @pytest.mark.parametrize("m", [99, 180, 300])
    @pytest.mark.parametrize("shape", [1, 3])
    def test_the_lower_end_holds_where_the_threshold_lies_below_all(self, m: int, shape: int) -> None:
        """Ratios whose density near 0 is even, the worst that is allowed, or rises; no copies: 1 % at most are due."""
        found = [
            copied_share(*(torch.from_numpy(rng.beta(shape, 1, size)) for size in (5000, m)))
            for rng in map(np.random.default_rng, range(400))
        ]
        above = np.mean([e.interval.lo > 0.01 for e in found if e.interval])
        assert above < 0.025 + 3 * (0.025 * 0.975 / 400) ** 0.5

    def test_the_ratio_is_the_papers(self) -> None:
        """Written out for one fake, with the threshold set between it and the next."""
        train, x = WORLD.train, WORLD.new[:2]
        distances = torch.linalg.norm(train - x[0], dim=1).sort().values
        ratio = distances[0] / distances[:50].mean()
        held_out = torch.linspace(float(ratio) + 1e-9, 1, 99, dtype=torch.float64)
        assert ratios(neighbours_among(x, train, 50))[0] == pytest.approx(float(ratio), rel=1e-12)
        assert copied_share(ratios(neighbours_among(x[:1], train, 50)), held_out).value == 1

    def test_the_protocol_holds_the_rule_and_no_data(self) -> None:
        a, b = (neighbour_ratio(w.new, w.held_out, w.train).protocol for w in (WORLD, World(1)))
        assert a == b == {"k": 50, "threshold": "1st percentile of held-out"}

    def test_held_out_data_full_of_copies_has_no_threshold(self) -> None:
        held_out = torch.cat([WORLD.held_out, WORLD.train[:20]])
        with pytest.raises(Omitted, match="held-out examples are copies of training examples"):
            neighbour_ratio(WORLD.new, held_out, WORLD.train)

    def test_a_row_the_training_data_repeats_is_a_copy(self) -> None:
        train = torch.cat([WORLD.train, WORLD.train[:1].repeat(60, 1)])
        fake = torch.cat([WORLD.new[:9], WORLD.train[:1]])
        assert neighbour_ratio(fake, WORLD.held_out, train).value == pytest.approx(0.1)

    def test_too_few_names_the_number(self) -> None:
        with pytest.raises(TooFew, match="49 training examples are too few: at least 50"):
            neighbour_ratio(WORLD.new, WORLD.held_out, WORLD.train[:49])
        with pytest.raises(TooFew, match="98 held-out examples are too few: at least 99"):
            neighbour_ratio(WORLD.new, WORLD.held_out[:98], WORLD.train)


class TestDataCopying:
    def test_z_is_the_mann_whitney_test(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.integers(0, 20, 60).astype(float), rng.integers(2, 22, 45).astype(float)
        p = stats.mannwhitneyu(a, b, use_continuity=False, method="asymptotic").pvalue
        assert 2 * stats.norm.sf(abs(mann_whitney(a, b).z)) == pytest.approx(p, rel=1e-9)

    @pytest.mark.parametrize("fake", [WORLD.copies, WORLD.near_copies])
    def test_copies_are_far_below_zero(self, fake: Tensor) -> None:
        found = data_copying(fake, WORLD.held_out, WORLD.train)
        assert found.value < -8 and found.interval is not None and found.interval.hi < -5

    def test_underfitting_is_far_above_zero(self) -> None:
        assert data_copying(3 * WORLD.noise(400), WORLD.held_out, WORLD.train).value > 5

    def test_new_data_is_about_standard_normal_in_each_cell(self) -> None:
        rng = np.random.default_rng(0)
        z = [mann_whitney(rng.exponential(size=40), rng.exponential(size=60)).z for _ in range(500)]
        assert abs(np.mean(z)) < 0.15 and 0.9 < np.std(z) < 1.1

    def test_copying_in_one_place_hides_in_the_mean_and_not_in_the_worst_cell(self) -> None:
        one, new = (
            data_copying(fake, WORLD.held_out, WORLD.train, worst=True) for fake in (WORLD.one_mode_copied, WORLD.new)
        )
        assert data_copying(WORLD.one_mode_copied, WORLD.held_out, WORLD.train).value > -4
        assert one.value < -8 and new.value > -4

    def test_shrunk_modes_look_like_copies_to_it(self) -> None:
        """Its known blind spot (Stein et al. 2023): read it beside nn_ratio."""
        assert data_copying(WORLD.shrunk, WORLD.held_out, WORLD.train).value < -5

    @pytest.mark.parametrize("spread", [1.0, 3.0])
    def test_intervals_cover(self, spread: float) -> None:
        """Samples and held-out data drawn anew, training data fixed; alike, and where every sample lies farther."""
        found = [data_copying(spread * WORLD.draw(200)[0], WORLD.draw(200)[0], WORLD.train[:400]) for _ in range(150)]
        assert_honest(covered(found), 150)

    def test_where_sides_separate_sizes_of_cells_still_vary(self) -> None:
        """z is then at its end, sqrt(3 n m / (n + m + 1)), in every cell, and moves with n and m alone."""
        rng = np.random.default_rng(0)
        found = [mann_whitney(np.zeros(n), np.ones(m)) for n, m in rng.binomial(300, 0.2, (2000, 2))]
        errors = [(np.sum(part**2) - np.sum(part) ** 2 / 300) for c in found for part in (c.fakes, c.held_out)]
        variance = np.reshape(errors, (2000, 2)).sum(1).mean()
        assert variance**0.5 == pytest.approx(np.std([c.z for c in found]), rel=0.05)

    @pytest.mark.parametrize("worst", [False, True])
    def test_a_cell_that_may_be_left_out_is_counted(self, worst: bool) -> None:
        """Some 20 copies of one mode beside new samples of the others: half of the draws have its cell."""
        rng, copies = np.random.default_rng(0), WORLD.train[WORLD.train_mode == 0]
        found, everywhere = [], []
        for count in rng.binomial(400, 0.05, 60):
            x, mode = WORLD.draw(300)
            fake = torch.cat([x[mode > 0], copies[:count]])
            held_out = WORLD.draw(300)[0]
            found.append(data_copying(fake, held_out, WORLD.train, worst=worst))
            everywhere.append(data_copying(fake, held_out, WORLD.train).n == len(fake))
        assert set(everywhere) == {False, True}
        assert covered(found) > 0.90 - 2 * (0.9 * 0.1 / 60) ** 0.5

    def test_models_without_fault_are_flagged_no_more_often_than_said(self) -> None:
        """Wholly below 0 in at most 2.5 %, though it is the lowest of five."""
        found = [
            data_copying(WORLD.draw(150)[0], WORLD.draw(150)[0], WORLD.train[:300], worst=True) for _ in range(200)
        ]
        flagged = sum(e.interval is not None and e.interval.hi < 0 for e in found)
        assert flagged <= stats.binom.ppf(0.999, 200, 0.025)
        assert all(e.interval is not None and e.interval.lo <= e.value <= e.interval.hi for e in found)

    def test_full_separation_is_not_certain(self) -> None:
        fake, held_out = (WORLD.train[:300] + shift for shift in (0, 0.5))
        for worst in (False, True):
            interval = data_copying(fake, held_out, WORLD.train, worst=worst).interval
            assert interval is not None and interval.hi - interval.lo > 0.05

    @pytest.mark.parametrize("worst", [False, True])
    def test_what_samples_make_of_the_cells_is_no_part_of_the_protocol(self, worst: bool) -> None:
        """Or a generator that misses modes would stand in a column of its own."""
        whole, part = (
            data_copying(fake, WORLD.held_out, WORLD.train, worst=worst) for fake in (WORLD.new, WORLD.few_modes)
        )
        assert whole.protocol == part.protocol and whole.protocol["cells"] == 5

    def test_cells_left_out_are_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        sides: dict[str, Any] = {
            "reference": WORLD.held_out.numpy(),
            "train": WORLD.train.numpy(),
            "metrics": ["ct", "ct_worst"],
        }
        said = (
            "ct and ct_worst leave out 3 of 5 cells of the training data, which hold fewer than 20 samples or held-out"
        )
        (note,) = bench.evaluate(WORLD.few_modes.numpy(), **sides).attrs["notes"]
        assert note.startswith(said) and caplog.messages == [note]
        assert bench.evaluate(WORLD.new.numpy(), **sides).attrs["notes"] == []

    def test_the_order_of_rows_does_not_matter(self) -> None:
        fake, held_out, train = (side[torch.randperm(len(side))] for side in (WORLD.new, WORLD.held_out, WORLD.train))
        for worst in (False, True):
            before = data_copying(WORLD.new, WORLD.held_out, WORLD.train, worst=worst)
            after = data_copying(fake, held_out, train, worst=worst)
            assert after.value == pytest.approx(before.value, abs=1e-9)

    def test_twice_is_the_same(self) -> None:
        a, b = (data_copying(WORLD.new, WORLD.held_out, WORLD.train) for _ in range(2))
        assert a == b

    def test_bad_input_is_refused(self) -> None:
        with pytest.raises(TooFew, match="no cell holds 20 samples and 20 held-out"):
            data_copying(WORLD.new[:30], WORLD.held_out[:30], WORLD.train)
        with pytest.raises(GenbenchError, match="fewer than 5 different rows"):
            data_copying(WORLD.new, WORLD.held_out, WORLD.train[:3].repeat(20, 1))


class TestAuthenticity:
    def test_it_is_its_definition(self) -> None:
        across = torch.cdist(WORLD.new, WORLD.train)
        within = torch.cdist(WORLD.train, WORLD.train).fill_diagonal_(torch.inf).amin(1)
        distance, nearest = across.min(1)
        expected = 100 * (distance > within[nearest]).double().mean().item()
        assert authentic_percentage(WORLD.new, WORLD.train).value == pytest.approx(expected)

    @pytest.mark.parametrize("fake", [WORLD.copies, WORLD.near_copies])
    def test_copies_are_not_authentic(self, fake: Tensor) -> None:
        assert authentic_percentage(fake, WORLD.train).value < 2
        gap = authentic_gap(fake, WORLD.held_out, WORLD.train)
        assert gap.interval is not None and gap.interval.hi < -40

    def test_held_out_data_is_far_from_100_and_the_gap_knows(self) -> None:
        assert 50 < authentic_percentage(WORLD.held_out, WORLD.train).value < 80
        gaps = [authentic_gap(w.new, w.held_out, w.train).value for w in map(World, range(8))]
        assert abs(np.mean(gaps)) < 3.5 * np.std(gaps) / 8**0.5

    def test_noise_is_authentic_and_the_gap_is_above_zero(self) -> None:
        noise = 3 * WORLD.noise(400)
        assert authentic_percentage(noise, WORLD.train).value > 99
        assert authentic_gap(noise, WORLD.held_out, WORLD.train).value > 20

    def test_shrunk_modes_look_like_copies_to_it(self) -> None:
        """Its known blind spot (Stein et al. 2023): read it beside nn_ratio."""
        assert authentic_gap(WORLD.shrunk, WORLD.held_out, WORLD.train).value < -30

    def test_they_say_what_they_are_given(self) -> None:
        for found in (
            authentic_percentage(WORLD.new, WORLD.train),
            authentic_gap(WORLD.new, WORLD.held_out, WORLD.train),
        ):
            assert found.interval is not None and found.interval.method.endswith("given this training data")

    def test_rows_in_another_order_change_nothing(self) -> None:
        """On whole numbers, where several training examples are nearest at once."""
        rng = np.random.default_rng(0)
        fake, held_out, train = (rng.integers(0, 6, (n, 4)).astype(float) for n in (150, 150, 200))
        gaps = {authentic_gap(fake, held_out, rng.permutation(train)).value for _ in range(5)}
        shares = {authentic_percentage(fake, rng.permutation(train)).value for _ in range(5)}
        assert len(gaps) == len(shares) == 1

    def test_training_data_full_of_copies_has_no_number(self) -> None:
        """Beside them every new sample would be authentic."""
        with pytest.raises(Omitted, match="100% of the training examples have an exact copy"):
            authentic_percentage(WORLD.new, WORLD.train.repeat(2, 1))
        found = authentic_percentage(WORLD.new, torch.cat([WORLD.train, WORLD.train[:100]]))
        assert found.interval is not None and found.interval.method.endswith("; some training examples have a copy")

    def test_the_gaps_interval_covers(self) -> None:
        """Fakes and held-out data drawn anew, training data fixed."""
        draws = ((WORLD.draw(60)[0], WORLD.draw(80)[0]) for _ in range(250))
        assert_honest(covered(authentic_gap(*sides, WORLD.train[:200]) for sides in draws), 250)


def authors_fit(centres: Tensor, data: Tensor, batch: int = 10_000) -> Tensor:
    """Logs of the variances as the authors' program finds them, by autograd and torch's Adam; data in this order."""
    squared, width = torch.cdist(data, centres, compute_mode="donot_use_mm_for_euclid_dist").square(), data.shape[1]
    far = 0.81 * (data - data.mean(0)).square().sum(1, keepdim=True)
    own = ((squared.amin(0) + 1e-3) / width).log().requires_grad_()
    wide = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    adam, losses = torch.optim.Adam([own, wide], lr=0.5), []
    for epoch in range(50):
        found = []
        for rows in torch.arange(len(data)).split(batch):
            inside = gaussian(squared[rows], own, width) - math.log(len(centres))
            loss = -torch.cat([inside, gaussian(far[rows], wide, width)], 1).logsumexp(1).mean() / width
            adam.zero_grad()
            loss.backward()
            adam.step()
            found.append(loss.item())
        losses.append(float(np.mean(found)))
        if epoch > 5 and np.abs(np.array(losses[-5:]) - losses[-1]).max() < 5e-4:
            break
    return own.detach()


def gaussian(squared: Tensor, log_variance: Tensor, width: int) -> Tensor:
    return -0.5 * (squared / log_variance.exp() + width * (log_variance + math.log(2 * math.pi)))


def authors_nll(centres: Tensor, data: Tensor, x: Tensor) -> float:
    logs, width = authors_fit(centres, data), x.shape[1]
    squared = torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist").square()
    inside = gaussian(squared, logs, width).logsumexp(1) - math.log(len(centres))
    return -100 * float(inside.mean()) / width


class TestFeatureLikelihood:
    @pytest.mark.parametrize("fake", [WORLD.new[:100], WORLD.few_modes[:100], 2 * WORLD.new[:100]])
    def test_it_is_the_authors_number(self, fake: Tensor) -> None:
        """Their gap to float32's digits, in which steps are taken; the split of fld's baseline is drawn in both."""
        held_out = WORLD.held_out[:150]
        sides = (fake, held_out, WORLD.train[:250])
        x, h, t = ((side - held_out.mean(0)) / held_out.std(0) for side in sides)
        seen, new = authors_nll(x, t, t), authors_nll(x, t, h)
        fakes, new_rows, rows = map(Rows.of, (x, h, t))
        density = fit(fakes, rows)
        assert 100 * (density.nll(rows) - density.nll(new_rows)) == pytest.approx(seen - new, abs=1e-3)
        splits = [t[torch.randperm(250, generator=torch.Generator().manual_seed(s))] for s in range(6)]
        baselines = [authors_nll(split[: len(x)], split[len(x) :], h) for split in splits]
        error = np.std(baselines, ddof=1) * (1 / 2 + 1 / 6) ** 0.5
        assert abs(likelihood_divergence(*sides).value - (new - np.mean(baselines))) < 4 * error

    def test_batches_are_the_authors(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One step of Adam for each, as for more training data than 10,000."""
        monkeypatch.setattr("metrics.features._mixture.BATCH", 130)
        found = fit(Rows.of(WORLD.new[:40]), Rows.of(WORLD.train[:300])).variance.log()
        torch.testing.assert_close(found, authors_fit(WORLD.new[:40], WORLD.train[:300], 130), rtol=0, atol=1e-3)

    def test_the_density_is_scipys(self) -> None:
        centres, variance = WORLD.train[:7], torch.linspace(0.5, 2, 7, dtype=torch.float64)
        logs = [
            stats.multivariate_normal(c.numpy(), v.item()).logpdf(WORLD.new[:20].numpy())
            for c, v in zip(centres, variance, strict=True)
        ]
        expected = -(np.logaddexp.reduce(logs) - np.log(7)).mean() / WIDTH
        middle, spread = WORLD.train.mean(0), torch.tensor([3.0], dtype=torch.float64)
        found, new = Mixture(Rows.of(centres), variance, middle, spread), Rows.of(WORLD.new[:20])
        assert found.nll(new) == pytest.approx(expected, rel=1e-6)
        drawn = middle + 0.9 * (WORLD.new[:20] - middle)
        wide = stats.multivariate_normal(middle.numpy(), 3.0).logpdf(drawn.numpy())
        expected = -np.logaddexp(np.logaddexp.reduce(logs) - np.log(7), wide).mean() / WIDTH
        assert found.nll(new, wide=True) == pytest.approx(expected, rel=1e-6)

    def test_the_order_of_rows_does_not_matter(self) -> None:
        sides = (WORLD.new[:100], WORLD.held_out[:100], WORLD.train[:200])
        for measure in (likelihood_divergence, generalisation_gap):
            turned = [side[torch.randperm(len(side))] for side in sides]
            assert measure(*turned).value == pytest.approx(measure(*sides).value, abs=1e-9)

    def test_real_data_is_about_zero(self) -> None:
        found = [likelihood_divergence(w.new, w.held_out, w.train).value for w in map(World, range(4))]
        assert abs(np.mean(found)) < 1.5

    def test_the_gap_of_real_data_is_zero_on_average(self) -> None:
        """Though what is fitted to the training data fits it better: with half as many Gaussians as rows, by 1.6."""
        world, found, bare = World(), list[float](), list[float]()
        for _ in range(16):
            drawn = [world.draw(n)[0] for n in (150, 300, 300)]
            x, h, t = (Rows.of((side - drawn[1].mean(0)) / drawn[1].std(0)) for side in drawn)
            bare.append(100 * fit(x, t).gap(t, h))
            found.append(_measured(x, h, t)[1])
        assert np.mean(bare) < -3 * np.std(bare) / 4
        assert abs(np.mean(found)) < 3 * np.std(found) / 4

    def test_bad_samples_are_worse(self) -> None:
        noise = likelihood_divergence(3 * WORLD.noise(400), WORLD.held_out, WORLD.train)
        few = likelihood_divergence(WORLD.few_modes, WORLD.held_out, WORLD.train)
        assert noise.value > 50 and few.value > 50

    @pytest.mark.parametrize("fake", [WORLD.copies, WORLD.near_copies])
    def test_copies_fit_the_training_data_alone(self, fake: Tensor) -> None:
        found = likelihoods(fake, WORLD.held_out, WORLD.train)
        gap, reach = found.gap, 3 * (found.errors or (0, 0))[1]
        assert gap > -1000 and gap + reach < -50 and reach > 1
        with pytest.raises(Omitted, match="100% of the samples are training examples, or nearly"):
            likelihood_divergence(fake, WORLD.held_out, WORLD.train)

    @pytest.mark.parametrize("width", [2, 8, 32])
    def test_the_gap_of_a_plagiarist_is_what_its_copies_gain(self, width: int) -> None:
        """200 of 1,200 rows, each by at most log (1 / sqrt FLOOR) and the constants of the wide Gaussian."""
        rng = torch.Generator().manual_seed(width)
        train, held_out = (torch.randn(n, width, generator=rng) for n in (1200, 300))
        gap = generalisation_gap(train[:200], held_out, train)
        assert gap.interval is not None and gap.interval.hi < -20
        assert gap.value > -100 * 200 / 1200 * (-0.5 * math.log(FLOOR) + 2)

    def test_rows_that_lie_farther_do_not_outweigh_copies(self) -> None:
        """Training data wider than held-out data: read without the wide Gaussian the gap would be above 0."""
        held_out, train = WORLD.held_out, WORLD.train.clone()
        train[200:] = train[200:] + WORLD.noise(len(train) - 200)
        sides = (train[:200], held_out, train)
        x, h, t = (Rows.of((side - held_out.mean(0)) / held_out.std(0)) for side in sides)
        density = fit(x, t)
        assert density.nll(t) - density.nll(h) > 1e4
        gap = generalisation_gap(train[:200], held_out, train)
        assert gap.interval is not None and gap.interval.hi < -20

    def test_half_of_them_copies_lie_between(self) -> None:
        half = torch.cat([WORLD.copies[:200], WORLD.new[:200]])
        gap = generalisation_gap(half, WORLD.held_out, WORLD.train).value
        assert 0.4 < gap / generalisation_gap(WORLD.copies, WORLD.held_out, WORLD.train).value < 0.7
        assert 3 < likelihood_divergence(half, WORLD.held_out, WORLD.train).value < 100

    def test_new_and_shrunk_samples_do_not(self) -> None:
        for fake in (WORLD.new, WORLD.shrunk):
            assert abs(generalisation_gap(fake, WORLD.held_out, WORLD.train).value) < 8

    def test_shrunk_modes_are_better_than_data_to_it(self) -> None:
        """Known: a Gaussian around the middle of a mode describes it better than one around an example."""
        assert likelihood_divergence(WORLD.shrunk, WORLD.held_out, WORLD.train).value < -3

    def test_more_samples_than_half_the_training_data_are_no_bonus(self) -> None:
        """The baseline has as many Gaussians; otherwise the value falls far below 0 for no merit."""
        many, _ = WORLD.draw(3000)
        assert abs(likelihood_divergence(many, WORLD.held_out, WORLD.train).value) < 3

    def test_more_samples_than_that_are_drawn_from_all(self) -> None:
        """Sorted by mode, the first of them would lack modes."""
        many, mode = WORLD.draw(1500)
        in_order = likelihood_divergence(many[mode.argsort()], WORLD.held_out, WORLD.train)
        assert abs(in_order.value) < 5

    def test_columns_without_spread_do_no_harm(self) -> None:
        dead = [torch.cat([side, torch.zeros(len(side), 3)], 1) for side in (WORLD.new, WORLD.held_out, WORLD.train)]
        alive = likelihood_divergence(WORLD.new, WORLD.held_out, WORLD.train)
        assert likelihood_divergence(*dead).value == pytest.approx(alive.value, abs=1e-9)

    def test_identical_samples_have_a_floor(self) -> None:
        fake = torch.cat([WORLD.train[:1].repeat(20, 1), WORLD.new[:20]])
        assert fit(Rows.of(fake), Rows.of(WORLD.train[:100])).variance.min() >= FLOOR
        assert np.isfinite(likelihood_divergence(fake, WORLD.held_out, WORLD.train).value)

    def test_training_data_full_of_copies_has_no_baseline(self) -> None:
        """Each row of both splits is known by heart then, down to the floor: values of minus millions."""
        train = WORLD.train[:500].repeat(2, 1)
        for measure in (likelihood_divergence, generalisation_gap):
            with pytest.raises(Omitted, match="100% of the training examples have an exact copy"):
                measure(WORLD.new, WORLD.held_out, train)

    def test_rows_that_come_again_are_not_known_by_heart_to_the_baseline(self) -> None:
        train = torch.cat([WORLD.train[:200], WORLD.train[:50]])
        found = likelihoods(WORLD.new[:100], WORLD.held_out[:100], train)
        assert found.repeated == pytest.approx(0.4)
        assert abs(found.gap) < 8 and abs(found.divergence) < 8

    def test_of_a_few_copies_the_method_tells(self) -> None:
        train = torch.cat([WORLD.train, WORLD.train[:3]])
        some, none = (likelihood_divergence(WORLD.new, WORLD.held_out, t).interval for t in (train, WORLD.train))
        assert some is not None and some.method.endswith("some training examples have copies")
        assert none is not None and "copies" not in none.method

    @pytest.mark.parametrize("copies", [0, 3, 60])
    def test_distances_are_exact_whatever_is_near(self, monkeypatch: pytest.MonkeyPatch, copies: int) -> None:
        """To single precision's digits each, though all rows lie far from the mean; of copies they are 0."""
        x = WORLD.new[:100] + 50 * torch.cat([torch.ones(50, 1), -torch.ones(50, 1)])
        y = torch.cat([x[:copies], x[: 80 - copies] + 1e-3 * WORLD.noise(80 - copies)])
        expected = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square().float()
        monkeypatch.setattr("metrics.features._mixture.TALL", 32)
        whole, chosen = Rows.of(x), torch.arange(20, 70)
        torch.testing.assert_close(torch.cat(list(whole.tiles(Rows.of(y)))), expected, rtol=1e-4, atol=1e-8)
        part = torch.cat(list(whole.part(chosen).tiles(Rows.of(y).part(slice(5, 30)))))
        torch.testing.assert_close(part, expected[chosen, 5:30], rtol=1e-4, atol=1e-8)
        within = torch.cat(list(whole.tiles(whole)))
        expected = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square().float()
        torch.testing.assert_close(within, expected, rtol=1e-4, atol=1e-8)

    def test_tiles_are_joined_as_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = likelihood_divergence(WORLD.new, WORLD.held_out, WORLD.train).value
        monkeypatch.setattr("metrics.features._mixture.BLOCK", 7000)
        monkeypatch.setattr("metrics.features._mixture.KEPT", 0)
        assert likelihood_divergence(WORLD.new, WORLD.held_out, WORLD.train).value == pytest.approx(whole, abs=1e-5)

    def test_few_rows_have_no_interval(self) -> None:
        found = likelihood_divergence(WORLD.new[:39], WORLD.held_out, WORLD.train)
        assert found.interval is None
        assert likelihood_divergence(WORLD.new[:40], WORLD.held_out, WORLD.train).interval is not None

    @pytest.mark.slow
    @pytest.mark.parametrize("spread", [1.0, 2.0])
    def test_intervals_cover(self, spread: float) -> None:
        """All sides drawn anew: the fits and the splits count too. Of the median: a fit may end far from the others."""
        world, found = World(), []
        for _ in range(150):
            x, h, t = (world.draw(n)[0] - world.centres.mean(0) for n in (150, 150, 300))
            found.append(likelihoods(spread * x, h, t))
        for index, values in enumerate(zip(*((f.divergence, f.gap) for f in found), strict=True)):
            errors = np.array([f.errors[index] for f in found if f.errors is not None])
            held = abs(np.array(values) - np.median(values)) <= stats.t.ppf(0.975, PAIRS) * errors
            assert_honest(held.mean(), 150)


def space(**sides: Tensor) -> Any:
    """What a registered measure reads of a Space."""
    kept: dict[tuple[Any, ...], Any] = {}
    names = {"samples": "fake", "reference": "real", "train": "train"}

    def once(work: Callable[..., Any], *given: Any) -> Any:
        key = (work.__module__, work.__name__, *given)
        return kept[key] if key in kept else kept.setdefault(key, work(seen, *given))

    def of(side: str) -> Any:
        return SimpleNamespace(features=sides[names[side]])

    seen = SimpleNamespace(**sides, once=once, of=of, kept=kept)
    return seen


def test_registered_measures_are_the_pure_ones_and_share_their_passes() -> None:
    world = World(3)
    fake, real, train = (side.float() for side in (world.one_mode_copied, world.held_out, world.train))
    seen = space(fake=fake, real=real, train=train)
    pairs: list[tuple[Callable[[Any], Estimate], Estimate]] = [
        (nn_ratio, neighbour_ratio(fake, real, train)),
        (ct, data_copying(fake, real, train)),
        (ct_worst, data_copying(fake, real, train, worst=True)),
        (auth_pct, authentic_percentage(fake, train)),
        (auth_gap, authentic_gap(fake, real, train)),
        (fld, likelihood_divergence(fake, real, train)),
        (fld_gap, generalisation_gap(fake, real, train)),
    ]
    for registered, pure in pairs:
        assert registered(seen) == pure
    nearest = [("_neighbours", "among_train", "samples"), ("_neighbours", "among_train", "reference")]
    passes = [*nearest, ("_neighbours", "within_train"), ("ct_score", "_shared"), ("fld", "_shared")]
    assert set(seen.kept) == {(f"metrics.features.{module}", *work) for module, *work in passes}


@pytest.mark.parametrize(
    "measure", [neighbour_ratio, data_copying, authentic_gap, likelihood_divergence, generalisation_gap]
)
def test_bad_input_is_refused(measure: Callable[..., Estimate]) -> None:
    good = (WORLD.new, WORLD.held_out, WORLD.train)
    for place in range(3):
        for bad, words in (
            (torch.full_like(good[place], torch.nan), "NaN or infinity"),
            (good[place][:, :3], "one width"),
            (torch.ones_like(good[place]), "are the same"),
            (good[place][:1], "too few"),
        ):
            with pytest.raises(GenbenchError, match=words):
                measure(*(bad if i == place else side for i, side in enumerate(good)))
