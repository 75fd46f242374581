"""What a model costs: work over time, memory, parameters."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
import torch

from bench import CurvePoint, Estimate, Omitted, TooFew, Trial
from bench.datasets.digits import digits
from bench.measure.names import find_metric
from bench.measure.trial import Costs
from bench.probes.load import Load
from generators.controls import Noise
from metrics.cost.latency import percentile

CPU = torch.device("cpu")


def compute(name: str, trial: Trial) -> Estimate:
    return find_metric(name).compute(trial)


def trial_of(model: Any, dataset: Any, n: int = 64, **changes: Any) -> Trial:
    return Trial(model, dataset, seed=0, n_samples=n, batch_size=32, device=CPU, **changes)


def interval_of(durations: list[float]) -> tuple[float, float]:
    """That of ``train_throughput`` for 640 examples in steps that took so many seconds each."""
    ends = enumerate(accumulate(durations), 1)
    curve = [CurvePoint(step=step, seconds=seconds, losses={}) for step, seconds in ends]
    costs = Costs(sum(durations), 640, 123, None, "no GPU was used", curve=curve)
    found = compute("train_throughput", trial_of(Noise(digits()), digits(), costs=costs)).interval
    assert found is not None
    return found.lo, found.hi


class TestCost:
    costs = Costs(2.0, 640, 123, None, "no GPU was used")

    def test_throughput_is_work_over_time(self) -> None:
        trial = trial_of(Noise(digits()), digits(), costs=self.costs)
        assert compute("train_throughput", trial).value == 320

    def test_the_pace_of_stretches_says_how_sure_the_throughput_is(self) -> None:
        """Even steps leave no doubt; 640 examples in 60 s, of steps of 1 and 3 s in turn, are known to 18 %."""
        assert interval_of([1.0] * 40) == pytest.approx((16, 16))
        error = (30 / 29 * 30) ** 0.5 * (640 / 30 - 640 / 60) / 60
        assert interval_of([1.0, 3.0] * 15) == pytest.approx(
            (640 / 60 - 1.96 * error, 640 / 60 + 1.96 * error), rel=1e-4
        )

    def test_neighbouring_steps_that_are_slow_together_are_one_stretch(self) -> None:
        """Else a machine that was busy half of the time would look like many independent steps."""
        lo, hi = interval_of([1.0] * 500 + [3.0] * 500)
        assert (hi - lo) / (hi + lo) > 0.15

    def test_a_pace_that_was_noted_once_has_none(self) -> None:
        costs = Costs(2.0, 640, 123, None, "no GPU was used", curve=[CurvePoint(step=20, seconds=2.0, losses={})])
        assert compute("train_throughput", trial_of(Noise(digits()), digits(), costs=costs)).interval is None

    def test_memory_without_a_gpu_is_a_reason(self) -> None:
        trial = trial_of(Noise(digits()), digits(), costs=self.costs)
        assert compute("peak_rss_bytes", trial).value == 123
        with pytest.raises(Omitted, match="no GPU was used"):
            compute("peak_gpu_bytes", trial)

    def test_sampling_is_timed_by_the_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A clock that moves by a second a look makes every call last one."""
        clock = iter(range(10**6))
        monkeypatch.setattr("time.perf_counter", lambda: next(clock))
        trial = trial_of(Noise(digits()), digits(), costs=self.costs)
        found = compute("latency_p50", trial)
        assert found.protocol["scenario"] == "single-stream" and found.interval and found.value == found.interval.lo
        drawn = compute("sample_throughput", trial)
        assert drawn.n == 9 and (drawn.protocol["batch_size"], drawn.protocol["scenario"]) == (32, "offline")

    def test_a_percentile_takes_the_calls_that_it_needs(self) -> None:
        calls = tuple(float(i) for i in range(1, 1001))
        assert (percentile(calls, 0.5).value, percentile(calls, 0.9).value, percentile(calls, 0.99).value) == (
            500,
            900,
            990,
        )
        assert percentile(calls[:662], 0.99).n == 662 and percentile(calls[:64], 0.9).n == 64
        for few, q in ((63, 0.9), (661, 0.99)):
            with pytest.raises(TooFew, match=f"{few} calls were timed, and the percentile takes {few + 1}"):
                percentile(calls[:few], q)

    def test_what_is_timed_is_timed_once_and_says_whether_the_machine_was_busy(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trial = trial_of(Noise(digits()), digits(), costs=self.costs)
        for crowded in (True, False):
            monkeypatch.setattr(Load, "busy", lambda self, needed, crowded=crowded: crowded)
            trial.timings.clear()
            assert compute("latency_p50", trial).busy is crowded
            timing = trial.timings["single-stream"]
            compute("latency_p90", trial)
            assert trial.timings == {"single-stream": timing}

    def test_timing_does_not_move_the_samples(self) -> None:
        plain, timed = (trial_of(Noise(digits()), digits(), 8, costs=self.costs) for _ in range(2))
        compute("latency_p50", timed)
        assert torch.equal(plain.samples, timed.samples)

    def test_operations_of_a_sample_are_counted_by_hand(self) -> None:
        """A layer from 3 numbers to 64 pixels: two operations a weight, whatever the batch."""

        class Linear(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = torch.nn.Linear(3, 64)

            def sample(self, n: int, rng: torch.Generator, condition: Any = None) -> torch.Tensor:
                made: torch.Tensor = self.layer(torch.randn(n, 3, generator=rng)).tanh().view(n, 1, 8, 8)
                return made

        model = Linear()
        assert {compute("sample_flops", trial_of(model, digits(), n)).value for n in (1, 8, 64)} == {2 * 3 * 64}
        model.register_buffer("counter", torch.zeros((), dtype=torch.int64))
        model.twin = model.layer
        assert compute("checkpoint_bytes", trial_of(model, digits())).value == 4 * (3 * 64 + 64) + 8

    def test_shared_parameters_count_once(self) -> None:
        net = torch.nn.Module()
        net.a, net.b = torch.nn.Linear(3, 4), torch.nn.Linear(3, 4)
        net.b.weight = net.a.weight
        assert compute("parameters", trial_of(net, digits())).value == 12 + 4 + 4
