"""Budgets of every kind end a training where they say, and looks on the way choose by the validation split alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bench
from bench import Batch, DataError, DataSpec, Reconstructor, SuiteError
from bench.datasets._image import ImageDataset
from bench.datasets.digits import digits
from bench.engine import training
from bench.engine.arithmetic import prepared
from bench.engine.budget import Budget, Target
from bench.engine.checkpoint import restore
from bench.engine.plan import TrialPlan, checkpoint_path, plan_trials
from bench.engine.suite import apply_override, check_suite, read_suite
from bench.engine.training import Keep, Progress, Schedule, best_path, train
from bench.engine.validation import Validation
from bench.engine.worker import ALIKE, run_trial
from bench.measure.trial import Trial, measure_model
from bench.modalities import NotFinite
from bench.probes.flops import count_flops
from bench.registry import registry
from bench.testing import families_for, family_for
from tests.suites import IMAGE_FAMILY, OURS, TEXT_FAMILY

CPU = torch.device("cpu")


class Counter(nn.Module):
    """Counts its steps, and loses what it has counted when it is asked to go back."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Tensor
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        self.count += 1
        losses = {"loss": 1.0}
        return {**losses, "seldom": 2.0} if self.count % 5 == 0 else losses

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, 1, 8, 8)


class Deaf(nn.Module):
    """Writes, and cannot say how likely any text is."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.length = spec.shape[0]

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        return {"loss": 0.0}

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.randint(97, 123, (n, self.length), generator=rng)


class Halving(nn.Module):
    """Multiplies two matrices of 8x8 in each step of the first half of its training."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.shape, self.share = spec.shape, 0.0

    def pace(self, share: float) -> None:
        self.share = share

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        x = torch.ones(8, 8)
        return {"loss": (x @ x if self.share < 0.5 else x).mean().item()}

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return bench.normal(rng, n, *self.shape).clamp(-1, 1)


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return digits()


def run(data: ImageDataset, path: Path, schedule: Schedule, model: Counter | None = None, **more: Any) -> Progress:
    return train(
        model or Counter(), data.train, schedule, seed=0, device=CPU, checkpoint=path, about={"family": "x"}, **more
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still but for the second that every look at it takes."""
    now = [0.0]

    def look() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr("bench.engine.training.time.perf_counter", look)
    return now


class TestTargets:
    def test_a_thousand_steps_if_nothing_is_said(self) -> None:
        assert Budget().target == ("steps", 1000)
        assert Budget(train_seconds=3.5).target == ("seconds", 3.5)

    def test_two_ends_are_refused(self) -> None:
        suite: dict[str, Any] = {"datasets": {"digits": {}}, "generators": {IMAGE_FAMILY: {}}}
        both = {**suite, "budget": {"train_steps": 3, "train_seconds": 2.0}}
        with pytest.raises(SuiteError, match=r"^budget: train_steps and train_seconds cannot both end the training"):
            check_suite(both, "x")
        with pytest.raises(SuiteError, match="keep needs evaluate_every"):
            check_suite({**suite, "budget": {"keep": "fd_lenet"}}, "x")
        with pytest.raises(SuiteError, match="evaluate_samples needs evaluate_every"):
            check_suite({**suite, "budget": {"evaluate_samples": 10}}, "x")

    @pytest.mark.parametrize("every", [0, -1, 1.5, 0.0])
    def test_looks_at_no_interval_are_refused(self, every: float) -> None:
        suite: dict[str, Any] = {"datasets": {"digits": {}}, "generators": {IMAGE_FAMILY: {}}}
        with pytest.raises(SuiteError, match="evaluate_every = ") as caught:
            check_suite({**suite, "budget": {"evaluate_every": every}}, "x")
        assert len(caught.value.problems) == 1

    def test_one_of_a_generator_or_an_override_takes_the_place_of_the_suites(self) -> None:
        table: dict[str, Any] = {
            "datasets": {"digits": {}}, "budget": {"train_steps": 3, "batch_size": 7},
            "generators": {label: {"family": IMAGE_FAMILY} for label in "ab"},
        }  # fmt: skip
        apply_override(table, "generators.a.budget.train_seconds=2.0")
        apply_override(table, "generators.b.budget.train_flops=5e9")
        seconds, flops = (use.budget for use in check_suite(table, "x").generators)
        assert (seconds.target, seconds.batch_size) == (("seconds", 2.0), 7)
        assert flops.target == ("flops", 5e9)
        apply_override(table, "budget.train_examples=9")
        assert table["budget"] == {"train_examples": 9, "batch_size": 7}

    @pytest.mark.parametrize(
        "name", ["audio", "audio_small", "captions", "music", "music_small", "video", "video_prediction", "video_small"]
    )
    def test_built_in_suites_of_sound_and_film_obey_one_budget(self, name: str) -> None:
        """Of theirs no generator has an end of its own that would stay."""
        suite = read_suite(name, ["budget.train_seconds=7"])
        assert {use.budget.target for use in suite.generators} == {("seconds", 7)}

    @pytest.mark.parametrize("examples", [1, 32, 33, 64])
    def test_examples_end_it_after_the_step_that_reaches_them(
        self, data: ImageDataset, tmp_path: Path, examples: int
    ) -> None:
        progress = run(data, tmp_path / "x", Schedule(Target("examples", examples), 32, 100))
        assert (progress.step, progress.complete) == (math.ceil(examples / 32), True)

    def test_flops_end_it_after_the_step_that_reaches_them(self, data: ImageDataset, tmp_path: Path) -> None:
        progress = run(data, tmp_path / "x", Schedule(Target("flops", 1e6), 32, 100, flops_per_step=3e5))
        assert progress.step == 4
        assert [point["flops"] for point in progress.curve] == [3e5, 6e5, 9e5, 12e5]

    @pytest.mark.usefixtures("clock")
    def test_seconds_are_of_steps_alone(self, data: ImageDataset, tmp_path: Path, clock: list[float]) -> None:
        def slow(drawn: Callable[[], None]) -> dict[str, float]:
            clock[0] += 1000
            return {"fd_lenet": 1.0}

        progress = run(data, tmp_path / "x", Schedule(Target("seconds", 7), 32, 2, 3), evaluate=slow)
        assert (progress.step, progress.seconds) == (7, 7.0)
        assert [point["step"] for point in progress.curve if "metrics" in point] == [3, 6, 7]

    @pytest.mark.usefixtures("clock")
    def test_it_goes_on_with_the_seconds_that_are_left(self, data: ImageDataset, tmp_path: Path) -> None:
        schedule, path, asked = Schedule(Target("seconds", 7), 32, 2), tmp_path / "x", iter([False] * 5 + [True])
        first = run(data, path, schedule, stop=lambda: next(asked))
        assert (first.step, first.complete) == (5, False)
        steps: list[int] = []
        again = run(data, path, schedule, on_step=lambda progress, losses: steps.append(progress.step))
        assert (steps, again.seconds, again.complete) == ([6, 7], 7.0, True)

    def test_one_that_is_done_is_not_taken_for_one_of_more(self, data: ImageDataset, tmp_path: Path) -> None:
        run(data, tmp_path / "x", Schedule(Target("examples", 64), 32, 100))
        with pytest.raises(DataError, match="is of another training: it is at step 2, and this one is 96 examples"):
            training.load_last(Counter(), tmp_path / "x", Schedule(Target("examples", 96), 32, 100), seed=0)

    def test_losses_may_differ_from_step_to_step(self, data: ImageDataset, tmp_path: Path) -> None:
        progress = run(data, tmp_path / "x", Schedule(Target("steps", 10), 32, 100, points=1))
        assert progress.curve[-1]["losses"] == {"loss": 1.0, "seldom": 2.0}


class TestLooks:
    """The worth of a Counter is how far its count lies from 6."""

    def kept(
        self, data: ImageDataset, path: Path, stop: Callable[[], bool] = lambda: False
    ) -> tuple[Counter, Progress]:
        model = Counter()
        progress = run(
            data, path, Schedule(Target("steps", 12), 32, 4, 3), model, stop=stop, keep=Keep("worth", "lower"),
            evaluate=lambda drawn: {"worth": abs(6.0 - float(model.count))},
        )  # fmt: skip
        return model, progress

    def test_the_best_model_is_kept_beside_the_last(self, data: ImageDataset, tmp_path: Path) -> None:
        model, progress = self.kept(data, tmp_path / "x.safetensors")
        assert [point["metrics"]["worth"] for point in progress.curve if "metrics" in point] == [3.0, 0.0, 3.0, 6.0]
        assert (progress.best_step, progress.best_value, int(model.count)) == (6, 0.0, 12)
        restore(best_path(tmp_path / "x.safetensors"), model)
        assert int(model.count) == 6

    @pytest.mark.parametrize("at", [3, 5, 7, 11])
    def test_an_interruption_leaves_no_trace(self, data: ImageDataset, tmp_path: Path, at: int) -> None:
        _, whole = self.kept(data, tmp_path / "whole.safetensors")
        asked = iter([False] * at + [True])
        self.kept(data, tmp_path / "x.safetensors", lambda: next(asked))
        _, resumed = self.kept(data, tmp_path / "x.safetensors")
        assert (resumed.best_step, resumed.best_value) == (whole.best_step, whole.best_value)
        assert [p.get("metrics") for p in resumed.curve] == [p.get("metrics") for p in whole.curve]

    def test_without_the_best_model_it_starts_over(
        self, data: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "x.safetensors"
        self.kept(data, path)
        best_path(path).unlink()
        _, again = self.kept(data, path)
        assert "training starts over: there is no checkpoint" in caplog.text
        assert again.best_step == 6 and best_path(path).is_file()

    def test_what_is_held_out_is_the_validation_split(self, data: ImageDataset) -> None:
        view = Validation(data)
        assert view.test is data.valid and view.train is data.train and view.spec is data.spec
        kjv = registry.get("datasets", "kjv").make()
        assert Validation(kjv).text("test") == kjv.text("valid") and Validation(kjv).text("train") == kjv.text("train")
        assert not hasattr(view, "tokens")


SUITE = f"""
seeds = [0]
controls = false
metrics = ["fd_lenet", "parameters"]
budget = {{ train_steps = 12, samples = 60, evaluate_every = 0.25, keep = "fd_lenet" }}
[datasets.digits]
{OURS}"""

# An image family of another kind than the suite's: those that copy nothing are adversarial, with two optimisers.
WITHOUT_COPIES = min(families_for("image").keys() - families_for("image", Reconstructor).keys())


def plan(tmp_path: Path, *overrides: str) -> TrialPlan:
    (tmp_path / "suite.toml").write_text(SUITE)
    (found,) = plan_trials(read_suite(tmp_path / "suite.toml", overrides), "cpu")
    return found


def noting(make: Callable[..., None], drawn: list[int]) -> Callable[..., None]:
    """The constructor of a trial, which notes how many samples it is of."""

    def noted(*given: Any, n_samples: int, **options: Any) -> None:
        drawn.append(n_samples)
        make(*given, n_samples=n_samples, **options)

    return noted


class TestTrials:
    def test_the_curve_holds_what_it_was_worth_and_what_it_cost(self, tmp_path: Path) -> None:
        record = run_trial(plan(tmp_path), tmp_path)
        looks = [point for point in record.curve if point.metrics]
        assert [point.step for point in looks] == [3, 6, 9, 12]
        assert all(point.metrics["fd_lenet"] > 0 and point.examples == 64 * point.step for point in looks)
        best = min(looks, key=lambda point: point.metrics["fd_lenet"])
        assert record.kept_step == best.step and record.steps == 12
        first, *_, last = (point.flops or 0 for point in looks)
        assert last == pytest.approx(4 * first) and first > 0

    def test_a_look_draws_as_many_as_are_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn: list[int] = []
        monkeypatch.setattr(Trial, "__init__", noting(Trial.__init__, drawn))
        run_trial(plan(tmp_path, "budget.evaluate_samples=20"), tmp_path)
        assert [n for n in drawn if n != 2] == [20, 20, 20, 20, 60]  # two were tried out before the first step
        assert plan(tmp_path, "budget.evaluate_samples=20").training_id != plan(tmp_path).training_id

    @pytest.mark.parametrize("family", [IMAGE_FAMILY, WITHOUT_COPIES])
    def test_the_model_that_was_kept_is_the_one_that_is_measured(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
    ) -> None:
        ours = f"generators.ours.family={family!r}"
        worth = iter([3.0, 1.0, 2.0, 4.0])  # of the looks at steps 3, 6, 9 and 12
        monkeypatch.setattr("bench.engine.worker.look", lambda *_: {"fd_lenet": next(worth)})
        kept = run_trial(plan(tmp_path, ours), tmp_path)
        assert (kept.kept_step, kept.steps) == (6, 12)
        monkeypatch.undo()
        trained = checkpoint_path(tmp_path, plan(tmp_path, ours))
        again = [
            run_trial(plan(tmp_path, ours, f"generators.ours.load={path}"), tmp_path)
            for path in (best_path(trained), trained)
        ]
        values = [record.measurements[0].value for record in (kept, *again)]
        assert values[0] == values[1] != values[2]

    @pytest.mark.parametrize("name", ["FD_lenet", "fd_LENET"])
    def test_what_it_is_kept_by_is_found_whatever_its_case(self, tmp_path: Path, name: str) -> None:
        found = plan(tmp_path, f"budget.keep={name}")
        assert (found.keep, found.curve_metrics) == ("fd_lenet", ("fd_lenet",))

    def test_what_does_not_apply_is_told(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "suite.toml").write_text(f"{SUITE}[datasets.kjv]\n[generators.{TEXT_FAMILY}]\n")
        plan_trials(read_suite(tmp_path / "suite.toml"), "cpu")
        assert caplog.messages == [
            "datasets.kjv: fd_lenet does not apply, and no learning curve has it: the last model is measured, and not "
            "the best"
        ]

    def test_peaks_are_those_before_a_network_looks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once it is in memory, what the process takes is not what the model takes."""
        seen = [100]
        monkeypatch.setattr("bench.engine.training.peak_rss_bytes", lambda: seen[0])
        monkeypatch.setattr("bench.engine.worker.peak_rss_bytes", lambda: seen[0])
        known = measure_model

        def heavy(entry: Any, trial: Any) -> Any:
            seen[0] += 1000
            return known(entry, trial)

        monkeypatch.setattr("bench.engine.validation.measure_model", heavy)
        record = run_trial(plan(tmp_path, "metrics=['fd_lenet', 'peak_rss_bytes']"), tmp_path)
        assert [m.value for m in record.measurements if m.metric == "peak_rss_bytes"] == [100]

    def test_counting_flops_is_a_sign_of_life(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        beats = list[str]()
        known = training.advance
        monkeypatch.setattr("bench.probes.pulse._listeners", [lambda: beats.append("beat")])

        def noted(*given: Any) -> Any:
            beats.append("step")
            return known(*given)

        monkeypatch.setattr("bench.engine.worker.advance", noted)
        run_trial(plan(tmp_path, "budget.train_steps=1"), tmp_path)
        assert beats.count("step") == ALIKE + 1  # of small batches, and one of a whole batch
        steps = [i for i, beat in enumerate(beats) if beat == "step"]
        assert all("beat" in beats[a:b] for a, b in pairwise(steps))

    @pytest.mark.usefixtures("own_names")
    def test_what_it_is_kept_by_must_be_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
        monkeypatch.setenv("GENBENCH_DOWNLOAD", "")
        with pytest.raises(DataError, match="mobilenet weights are not at"):
            plan(tmp_path, "budget.keep=fd_mobilenet")

    def test_of_other_data_something_cheap_is_looked_at(self, tmp_path: Path) -> None:
        text = f"{SUITE}[datasets.kjv]\nwindow = 32\n[generators.words]\nfamily = '{TEXT_FAMILY}'\n"
        (tmp_path / "suite.toml").write_text(text)
        plans = {p.generator: p for p in plan_trials(read_suite(tmp_path / "suite.toml"), "cpu")}
        assert (plans["ours"].curve_metrics, plans["ours"].keep) == (("fd_lenet",), "fd_lenet")
        assert (plans["words"].curve_metrics, plans["words"].keep) == (("bits_per_byte",), None)

    @pytest.mark.usefixtures("own_names")
    def test_what_it_is_kept_by_must_be_measurable(self, tmp_path: Path) -> None:
        text = SUITE.replace("digits", "kjv").replace(OURS, "[generators.deaf]")
        text = text.replace('["fd_lenet", "parameters"]', '["parameters"]').replace('"fd_lenet"', '"bits_per_byte"')
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(registry, "importing", True)  # as from a package: no other process has to find it
            bench.generator("deaf", modalities={"text"})(Deaf)
            (tmp_path / "suite.toml").write_text(text)
            (found,) = plan_trials(read_suite(tmp_path / "suite.toml"), "cpu")
            record = run_trial(found, tmp_path)
        assert record.error and record.steps is None
        assert "keep = 'bits_per_byte' cannot be measured: needs the capability 'likelihood'" in record.error.message

    @pytest.mark.parametrize(("last", "status"), [(True, "failed"), (False, "ok")])
    def test_a_look_at_nan_is_no_number(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: bool, status: str
    ) -> None:
        looks = iter([True, True, True, last])

        def broken(entry: Any, trial: Any) -> Any:
            if isinstance(trial.dataset, Validation) and next(looks):
                raise NotFinite("samples hold NaN")
            return measure_model(entry, trial)

        monkeypatch.setattr("bench.engine.validation.measure_model", broken)
        record = run_trial(plan(tmp_path), tmp_path)
        assert record.status == status and any("gave no fd_lenet: samples hold NaN" in r for r in record.remarks)
        assert record.kept_step == (None if last else 12)
        if record.error:
            assert "no look at the validation split gave a number" in record.error.message

    def test_by_the_clock_it_says_that_it_will_not_repeat(self, tmp_path: Path) -> None:
        record = run_trial(plan(tmp_path, "budget.train_seconds=0.05"), tmp_path)
        assert record.status == "ok" and record.steps and record.curve[-1].seconds >= 0.05
        assert any("trained by the clock" in remark for remark in record.remarks)

    def test_flops_end_a_trial(self, tmp_path: Path) -> None:
        record = run_trial(plan(tmp_path, "budget.train_flops=1e8"), tmp_path)
        last, before = (record.curve[-1].flops or 0), (record.curve[-2].flops or 0)
        assert before < 1e8 <= last

    @pytest.mark.usefixtures("own_names")
    def test_flops_are_those_of_steps_from_all_of_the_training(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a family whose steps are products of 8x8 at first and nothing in its second half, half of a product."""
        monkeypatch.setattr(registry, "importing", True)  # as from a package: no other process has to find it
        bench.generator("halving", modalities={"image"}, presets={"test": {}})(Halving)
        record = run_trial(plan(tmp_path, "generators.ours.family='halving'", "budget.train_steps=1"), tmp_path)
        assert record.error is None, record.error
        assert record.curve[-1].flops == 2 * 8**3 / 2

    def test_counting_moves_no_weight(self, data: ImageDataset) -> None:
        family = family_for("image")

        def trained(count: bool) -> list[Tensor]:
            torch.manual_seed(0)
            model: Any = family.make(data.spec, **family.presets["test"])

            def steps() -> None:
                for step in range(3):
                    training.advance(model, data.train, 16, step, 0, CPU)

            count_flops(steps) if count else steps()
            return list(model.state_dict().values())

        for counted, plain in zip(trained(True), trained(False), strict=True):
            torch.testing.assert_close(counted, plain, atol=1e-6, rtol=0)  # some operations are counted in other parts

    @pytest.mark.parametrize(
        "change",
        ["precision='bf16'", "generators.ours.precision='bf16'", "compile=true", "budget.evaluate_every=0.5"],
    )
    def test_what_decides_the_weights_is_in_their_id(self, tmp_path: Path, change: str) -> None:
        assert plan(tmp_path).training_id != plan(tmp_path, change).training_id

    def test_keep_must_have_a_direction(self, tmp_path: Path) -> None:
        with pytest.raises(SuiteError, match="keep = 'fld_gap_lenet': no value of it is better than another"):
            plan(tmp_path, "budget.keep=fld_gap_lenet")
        with pytest.raises(SuiteError, match="did you mean 'fd_lenet'"):
            plan(tmp_path, "budget.keep=fd_lenett")


class TestArithmetic:
    def test_bf16_is_of_training_and_sampling_and_not_of_weights(self) -> None:
        seen: dict[str, torch.dtype] = {}

        class Layer(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = nn.Linear(4, 4)

            def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
                seen["train"] = self.net(batch.data).dtype
                return {"loss": 0.0}

            def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
                seen["sample"] = self.net(torch.zeros(n, 4)).dtype
                return torch.zeros(n, 4)

            def log_prob(self, x: Tensor) -> Tensor:
                seen["log_prob"] = self.net(x).dtype
                return x.sum(1)

        model = prepared(Layer(), "bf16", False, CPU)
        model.train_step(Batch(torch.zeros(2, 4)), torch.Generator())
        model.sample(2, torch.Generator())
        model.log_prob(torch.zeros(2, 4))
        assert seen == {"train": torch.bfloat16, "sample": torch.bfloat16, "log_prob": torch.float32}
        assert model.net.weight.dtype == torch.float32

    def test_every_module_that_a_family_calls_is_compiled(self) -> None:
        model = nn.Module()
        model.net, model.layers = nn.Linear(2, 2), nn.ModuleList([nn.Linear(2, 2)])
        prepared(model, "fp32", True, CPU)
        compiled = [name for name, module in model.named_modules() if module._compiled_call_impl is not None]
        assert compiled == ["net", "layers.0"]

    # torch.compile warns of gradients that it looks at itself.
    @pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
    @pytest.mark.parametrize("change", ["precision='bf16'", pytest.param("compile=true", marks=pytest.mark.slow)])
    def test_it_is_gone_on_with_after_an_interruption(self, tmp_path: Path, change: str) -> None:
        found = plan(tmp_path, change, "budget.train_steps=4", "budget.checkpoint_every=2")

        def stop(event: Mapping[str, Any]) -> None:
            if event.get("step") == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_trial(found, tmp_path, stop)
        events = list[Mapping[str, Any]]()
        record = run_trial(found, tmp_path, events.append)
        assert record.status == "ok" and not any("start" in remark for remark in record.remarks), record.remarks
        assert [event["resumed"] for event in events if "resumed" in event] == [2]

    @pytest.mark.slow
    def test_a_compiled_trial_comes_to_what_the_other_does(self, tmp_path: Path) -> None:
        (tmp_path / "suite.toml").write_text(SUITE)
        values = []
        for change in ("compile=false", "compile=true"):
            overrides = [change, "budget.train_steps=3"]
            found = bench.run(tmp_path / "suite.toml", out=tmp_path / "out", device="cpu", overrides=overrides)
            assert set(found["status"]) == {"ok"}, found["error"]
            values.append(found.set_index("metric")["value"]["fd_lenet"])
        assert values[0] == pytest.approx(values[1], rel=1e-3)
