"""The numbers that RESULTS_VERSION stands for.

Results are found again by their ids, which hash a family's and a metric's own code, but not the kernel's: what the
kernel makes of them is held here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import Batch, DataSpec, Estimate, Features, Space, Trial, dataset, extractor, generator, metric, normal
from bench.datasets._image import ImageDataset, carve
from bench.engine import plan as planning
from bench.engine.plan import RESULTS_VERSION, plan_trials
from bench.engine.suite import check_suite
from bench.engine.worker import run_trial
from bench.registry import registry

ADVICE = """the kernel gives other numbers than it did under RESULTS_VERSION {version}.
If that was not meant, a stream, an order or a rounding has changed: find it. If it was, raise RESULTS_VERSION in
bench/engine/plan.py and write the new numbers here; without that, results of before would pass for results of now.
{found}"""
# By RESULTS_VERSION. Measured on one CPU; TOLERANCE is what others may differ by.
NUMBERS: Mapping[int, Mapping[str, float]] = {
    2: {
        "loss 1": 0.9210297,
        "loss 2": 0.7197894,
        "loss 3": 1.000645,
        "loss 4": 0.7482498,
        "loss 5": 0.8326424,
        "loss 6": 0.9544441,
        "loss 7": 0.8618633,
        "golden/level": 120.9297,
        "golden/order": 23666.97,
        "golden/labels": 132.7708,
        "golden/moments_golden-corner": 1309.277,
        "golden/drawn": 2.946466,
    },
}
TOLERANCE = 1e-4  # relative
SUITE = {
    "seeds": [3],
    "controls": False,
    "metrics": "golden/level golden/order golden/labels golden/moments golden/drawn",
    "extractors": ["golden-corner"],
    "budget": {"train_steps": 7, "batch_size": 10, "samples": 24},
    "datasets": {"golden/waves": {}},
    "generators": {"golden/line": {}},
}


class Line(nn.Module):
    """A linear autoregression of an image on noise, with weights, noise and samples from every stream there is."""

    conditional = True

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec, size = spec, int(np.prod(spec.shape))
        self.map = nn.Linear(4, size)
        self.optimiser = torch.optim.SGD(self.parameters(), lr=0.05)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        z = torch.randn(len(batch.data), 4, generator=rng)
        loss = (self.map(z) - batch.data.flatten(1)).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"loss": loss.item()}

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        shift = 0 if condition is None else condition[:, None] / 10
        made: Tensor = self.map(normal(rng, n, 4)) + shift
        return made.clamp(-1, 1).view(n, *self.spec.shape)


def waves() -> ImageDataset:
    """Waves of several lengths, with their labels."""
    x = np.sin(np.arange(120)[:, None] * np.arange(1, 17)[None] / 7)
    pixels = np.rint((x + 1) * 127.5).astype(np.uint8).reshape(-1, 1, 4, 4)
    return ImageDataset("waves", carve(pixels, np.arange(120) % 3, {"train": 70, "valid": 25, "test": 25}), classes=3)


class Corner:
    """Two pixels and a product, as features."""

    protocol: Mapping[str, str] = {"weights": "none"}

    def __call__(self, x: Tensor) -> Features:
        y = x.flatten(1).float() / 255
        return Features(torch.stack([y[:, 0], y[:, 5], y[:, 2] * y[:, 9]], dim=1), None)


def level(trial: Trial) -> Estimate:
    """Mean level of the samples."""
    return Estimate(value=trial.samples.double().mean().item(), n=len(trial.samples))


def order(trial: Trial) -> Estimate:
    """Levels weighed by their place."""
    x = trial.samples.double().flatten()
    return Estimate(value=float((x * torch.arange(len(x))).mean()), n=len(trial.samples))


def labels(trial: Trial) -> Estimate:
    """Mean level of what was asked for by label."""
    return Estimate(value=trial.tensor("conditional").double().mean().item(), n=len(trial.samples))


def moments(space: Space) -> Estimate:
    """Determinant of the reference's covariance, and the samples' mean."""
    value = space.of("reference").moments.covariance.det() * 1e6 + space.of("samples").moments.mean.sum()
    return Estimate(value=float(value), n=len(space.fake))


def drawn(trial: Trial) -> Estimate:
    """What a metric draws from streams of its own."""
    return Estimate(value=float(torch.rand(5, generator=trial.rng("golden", 2)).double().sum()), n=5)


@pytest.fixture(autouse=True)
def golden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A family, data and metrics of this file alone, so that no change of ours elsewhere moves their numbers."""
    for kind in ("generators", "datasets", "extractors", "metrics"):
        registry.all(kind)
        monkeypatch.setitem(registry.tables, kind, dict(registry.tables[kind]))
    monkeypatch.setattr(registry, "importing", True)  # nobody but this process needs to find them
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    generator("golden/line", modalities={"image"})(Line)
    dataset("golden/waves", modality="image")(waves)
    extractor("golden-corner", on={"image"})(Corner)
    for function in (level, order, labels, moments, drawn):
        metric(f"golden/{function.__name__}", on={"image"}, aspect="realism", unit="1", better="none")(function)
    yield


def run(out: Path) -> dict[str, float]:
    """Every number of the run by its name."""
    (plan,) = plan_trials(check_suite(SUITE, "golden"), "cpu")
    record = run_trial(plan, out)
    assert record.status == "ok" and not record.omitted, (record.error, record.omitted)
    losses = {f"loss {point.step}": point.losses["loss"] for point in record.curve}
    return {**losses, **{m.metric: m.value for m in record.measurements}}


def check(found: Mapping[str, float]) -> None:
    """Raises AssertionError where these are not the numbers of this version."""
    wanted = NUMBERS.get(RESULTS_VERSION, {})
    assert found == pytest.approx(wanted, rel=TOLERANCE), ADVICE.format(version=RESULTS_VERSION, found=found)


def test_the_kernel_gives_the_numbers_of_its_version(tmp_path: Path) -> None:
    check(run(tmp_path))


def shifted(real: Callable[..., torch.Generator]) -> Callable[..., torch.Generator]:
    return lambda seed, *place: real(seed + 1, *place)


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        ("bench.engine.training.stream", {"loss 7"}),
        ("bench.measure.comparison.stream", {"golden/level", "golden/order", "golden/labels", "golden/drawn"}),
    ],
)
def test_a_changed_stream_is_noticed(
    place: str, changes: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = place.rpartition(".")
    monkeypatch.setattr(place, shifted(getattr(__import__(module, fromlist=[name]), name)))
    found = run(tmp_path)
    wanted = NUMBERS[RESULTS_VERSION]
    assert changes <= {name for name in found if found[name] != pytest.approx(wanted[name], rel=TOLERANCE)}
    with pytest.raises(AssertionError, match="raise RESULTS_VERSION in"):
        check(found)


def test_the_version_is_part_of_both_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for ids, version in ((before, RESULTS_VERSION), (after, RESULTS_VERSION + 1)):
        monkeypatch.setattr(planning, "RESULTS_VERSION", version)
        (plan,) = plan_trials(check_suite(SUITE, "golden"), "cpu")
        ids |= {"training": plan.training_id, "run": plan.run_id}
    assert before["training"] != after["training"] and before["run"] != after["run"]


def test_the_advice_names_what_is_there() -> None:
    text = Path(planning.__file__).read_text()
    assert re.search(rf"^RESULTS_VERSION = {RESULTS_VERSION}\b", text, re.M)
