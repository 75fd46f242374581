"""What a model costs: work over time, memory, parameters."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from codecarbon.input import DataSource

from bench import Alone, CurvePoint, Estimate, GenbenchError, Omitted, Timing, TooFew, Trial
from bench.datasets.digits import digits
from bench.measure.alone import SWEPT
from bench.measure.names import find_metric
from bench.measure.trial import Costs
from bench.probes.load import Load
from bench.testing.made_up import SPECS, made_up
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
        """Even steps leave no doubt; 640 examples in 60 s, of steps of 1 and 3 s in turn, are known to 19 %."""
        assert interval_of([1.0] * 40) == pytest.approx((16, 16))
        reach = 2.04523 * (30 / 29 * 30) ** 0.5 * (640 / 30 - 640 / 60) / 60  # Student's t of 29 degrees of freedom
        assert interval_of([1.0, 3.0] * 15) == pytest.approx((640 / 60 - reach, 640 / 60 + reach), rel=1e-4)

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
        assert drawn.n == 5 and (drawn.protocol["batch_size"], drawn.protocol["scenario"]) == (32, "offline")

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


POINTS = [CurvePoint(step=i, seconds=2.0 * i, losses={}, metrics={"fd": 100.0 / i, "is": float(i)}) for i in (1, 2, 4)]
TRAINED = Costs(
    train_seconds=8.0, train_examples=640, peak_rss_bytes=123, peak_gpu_bytes=None, why_no_gpu="no GPU was used",
    joules=90.0, energy="a counter", flops=1e9, precision="bf16", curve=POINTS,
)  # fmt: skip


class TestToAQuality:
    def at(self, goal: str, costs: Costs = TRAINED) -> Estimate:
        return compute(f"seconds_to:{goal}", trial_of(Noise(digits()), digits(), costs=costs))

    def test_the_first_look_that_is_as_good_counts_and_is_a_bound(self) -> None:
        found = self.at("fd<=50")
        assert (found.value, found.kind, found.n) == (4.0, "bound", 3)
        assert self.at("is>=3").value == 8.0

    def test_one_that_was_never_reached_says_how_near_it_came(self) -> None:
        with pytest.raises(Omitted, match="never: the best of 3 looks was 25"):
            self.at("fd<=10")
        with pytest.raises(Omitted, match="never: the best of 3 looks was 4"):
            self.at("is>=9")

    def test_what_was_not_looked_at_says_how_to(self) -> None:
        with pytest.raises(Omitted, match="name it in curve_metrics, and set budget"):
            self.at("kid<=1")


class TestOfATraining:
    trial = trial_of(Noise(digits()), digits(), costs=TRAINED)

    def test_energy_is_of_the_counter_that_it_names(self) -> None:
        found = compute("train_energy", self.trial)
        assert found.value == 90 and found.protocol["counter"] == "a counter"
        without = trial_of(Noise(digits()), digits(), costs=replace(TRAINED, joules=None, energy="none is here"))
        with pytest.raises(Omitted, match="none is here"):
            compute("train_energy", without)

    def test_emissions_are_those_of_codecarbon(self) -> None:
        """A kilowatt-hour in Germany and in France, by the library's own table."""
        mixes = DataSource().get_global_energy_mix_data()
        costs = replace(TRAINED, joules=3.6e6)
        for country in ("DEU", "fra"):
            found = compute(f"co2:{country}", trial_of(Noise(digits()), digits(), costs=costs))
            assert found.value == pytest.approx(mixes[country.upper()]["carbon_intensity"] / 1000, rel=1e-6)
        with pytest.raises(GenbenchError, match="name a country by its three letters"):
            find_metric("co2:ZZZ")

    def test_utilisation_is_the_share_of_the_peak(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """640 examples of 1 GFLOP in 8 s are 80 GFLOP/s, of 989.4 TFLOP/s."""
        with pytest.raises(Omitted, match="the peak of this processor is not known"):
            compute("mfu", self.trial)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
        trial = trial_of(Noise(digits()), digits(), costs=TRAINED)
        trial.device = torch.device("cuda")
        assert compute("mfu", trial).value == pytest.approx(80e9 / 989.4e12)
        assert compute("training_flops", trial).value == 1e9
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
        with pytest.raises(Omitted, match="the peak of Tesla T4 in bf16 is not known"):
            compute("mfu", trial)

    def test_what_was_not_counted_says_how_to(self) -> None:
        trial = trial_of(Noise(digits()), digits(), costs=replace(TRAINED, flops=None))
        with pytest.raises(Omitted, match="set profile = true in the suite"):
            compute("training_flops", trial)


class TestRates:
    def test_tokens_are_examples_times_their_length(self) -> None:
        words = made_up(SPECS["text"])
        trial = trial_of(Noise(words), words, 8, costs=TRAINED)
        length, examples = words.spec.shape[0], compute("sample_throughput", trial)
        tokens = compute("token_throughput", trial)
        assert tokens.value == pytest.approx(length * examples.value)
        assert tokens.interval and examples.interval
        assert tokens.interval.lo == pytest.approx(length * examples.interval.lo)
        assert compute("train_token_throughput", trial).value == pytest.approx(length * 80)

    def test_sound_is_told_in_seconds_of_it(self) -> None:
        waves = made_up(SPECS["audio"])
        trial = trial_of(Noise(waves), waves, 8, costs=TRAINED)
        assert waves.spec.rate
        seconds = waves.spec.shape[0] / waves.spec.rate
        assert compute("realtime_factor", trial).value == pytest.approx(
            seconds * compute("sample_throughput", trial).value
        )


class TestAlone:
    found = Alone(
        load=1.5, first=0.2, rss_bytes=10**8, batch_size=32, sweep={1: 10.0, 2: 18.0, 4: 18.1}, fits=4, beyond=8,
        gpu={"allocated": 3, "requested": 2, "reserved": 4}, why={"process": "NVML: Not Supported"},
    )  # fmt: skip

    def test_each_number_stands_under_its_name(self) -> None:
        trial = trial_of(Noise(digits()), digits(), alone=lambda: self.found)
        expected = {
            "load_seconds": 1.5, "first_batch_seconds": 0.2, "sample_rss_bytes": 10**8, "sample_gpu_bytes": 3,
            "sample_gpu_requested_bytes": 2, "sample_gpu_reserved_bytes": 4, "best_throughput": 18.1,
            "best_batch_size": 4, "largest_batch": 4,
        }  # fmt: skip
        assert {name: compute(name, trial).value for name in expected} == expected
        with pytest.raises(Omitted, match="NVML: Not Supported"):
            compute("sample_gpu_process_bytes", trial)

    def test_the_best_rate_is_as_sure_as_its_calls(self) -> None:
        raw = {SWEPT.format(4): {"calls": [0.21, 0.22, 0.23, 0.22]}}
        trial = trial_of(Noise(digits()), digits(), alone=lambda: replace(self.found, raw=raw))
        interval = compute("best_throughput", trial).interval
        assert interval and interval.lo < 4 / 0.22 < interval.hi

    def test_a_limit_that_was_not_met_is_none(self) -> None:
        trial = trial_of(Noise(digits()), digits(), alone=lambda: replace(self.found, beyond=None))
        with pytest.raises(Omitted, match="4 fit, and more were not tried"):
            compute("largest_batch", trial)

    def test_outside_a_run_no_process_is_started(self) -> None:
        with pytest.raises(Omitted, match="only a run starts a process for it"):
            compute("load_seconds", trial_of(Noise(digits()), digits()))


class TestWhatAMachineMayNotHave:
    """By a meter and a profiler that are made up."""

    def test_energy_of_sampling_is_for_each_example(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("metrics.cost.energy.Meter", lambda device: SimpleNamespace(source="a counter", why=""))
        trial = trial_of(Noise(digits()), digits())
        trial.timings["offline"] = replace(OFFLINE, joules=64.0, energy="a counter")
        found = compute("sample_energy", trial)
        assert found.value == 0.2 and found.n == 320 and found.protocol["counter"] == "a counter"
        trial.timings["offline"] = replace(OFFLINE, joules=64.0, energy="a counter", total=0.1)
        with pytest.raises(Omitted, match="a counter tells of no less than"):
            compute("sample_energy", trial)
        trial.timings["offline"] = replace(OFFLINE, joules=None, energy="it could be read no more")
        with pytest.raises(Omitted, match="it could be read no more"):
            compute("sample_energy", trial)

    def test_without_a_counter_nothing_is_timed_for_it(self) -> None:
        trial = trial_of(Noise(digits()), digits())
        with pytest.raises(Omitted, match="no counter of energy is here"):
            compute("sample_energy", trial)
        assert not trial.timings

    def test_how_long_a_gpu_rests_is_the_profilers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trial = trial_of(Noise(digits()), digits())
        with pytest.raises(Omitted, match="no GPU was used"):
            compute("host_bound", trial)
        trial.device, trial.timings["offline"] = torch.device("cuda"), OFFLINE
        monkeypatch.setattr("metrics.cost.host_bound.idle_share", lambda call, device: (0.25, 5))
        found = compute("host_bound", trial)
        assert (found.value, found.n) == (0.25, 5) and found.protocol["batch_size"] == 32


OFFLINE = Timing(0.1, (0.1,), True, (0.1,) * 10, 1.0, None, Load(1.0, 1.0, 0.0, 0.0, 0.0, 2))
