"""What one generator costs, without a suite of its own: trained for seconds, or loaded, and measured in full."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.engine import runner
from bench.engine.plan import TrialPlan
from bench.engine.training import advance
from bench.engine.worker import load_trained
from bench.errors import GenbenchError
from bench.probes.tracing import trace as write_trace
from bench.protocols import Trainable
from bench.record import RunRecord
from bench.registry import DatasetEntry, MetricEntry, registry
from bench.streams import stream

LOOKS = 10  # while it trains, where any are asked for


def profile(
    generator: str,
    dataset: str,
    out: Path,
    *,
    preset: str | None = None,
    load: str | Path | None = None,
    seconds: float = 5.0,
    batch_size: int = 64,
    device: str = "auto",
    settings: Sequence[str] = (),
    also: Sequence[str] = (),
    looks: Sequence[str] = (),
    trace: Path | None = None,
) -> RunRecord:
    """Run one trial of a generator on a dataset in the folder ``out``, and return its record.

    load: a checkpoint to measure in place of a training. seconds: of training. settings: ``latent=64``, of the
    generator. also: further metrics, such as ``goodput:20ms``. looks: metrics to take ten times while it trains, as
    ``seconds_to:bits_per_byte<=3`` needs ``bits_per_byte``. trace: a file for what torch's profiler sees of sampling
    and of a training step, as Chrome and Perfetto read it.
    Raises GenbenchError for what cannot be run; what a trial comes to stands in its record.
    """
    entries: dict[str, MetricEntry] = registry.all("metrics")
    data: DatasetEntry = registry.get("datasets", dataset)
    costs = [name for name, e in entries.items() if e.aspect == "efficiency" and not e.asked and data.modality in e.on]
    own = {**({"preset": preset} if preset else {}), **({"load": str(Path(load).resolve())} if load else {})}
    way = {"evaluate_every": 1 / LOOKS} if looks else {}
    table: dict[str, dict[str, object]] = {
        "": {
            "name": "profile",
            "controls": False,
            "profile": True,
            "metrics": [*costs, *also],
            **({"curve_metrics": [*looks]} if looks else {}),
        },
        "budget": {"train_seconds": float(seconds), "batch_size": batch_size, "samples": batch_size, **way},
        "datasets.data": {"source": dataset},
        "generators.model": {"family": generator, **own},
    }
    out.mkdir(parents=True, exist_ok=True)
    suite = out / "profile.toml"
    suite.write_text("".join(_section(name, values) for name, values in table.items()), encoding="utf-8")
    overrides = [f"generators.model.{setting}" for setting in settings]
    outcome = runner.run(suite, out=out, device=device, overrides=overrides)
    if not outcome.records:
        raise GenbenchError(f"{generator} on {dataset} came to no record: see {out}/logs")
    if trace and outcome.records[0].status == "ok":
        _trace(outcome.plans[0], out, trace)
    return outcome.records[0]


def _section(name: str, values: dict[str, object]) -> str:
    """A table of TOML, whose strings, numbers and lists are written as JSON's."""
    head = f"[{name}]\n" if name else ""
    return head + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()) + "\n"


def _trace(plan: TrialPlan, out: Path, target: Path) -> None:
    device, (model, dataset) = torch.device(plan.device), load_trained(plan, out)
    rng = stream(plan.seed, "trace")

    def calls() -> None:
        with torch.profiler.record_function("sample a batch"):
            model.sample(plan.budget.batch_size, rng)
        if isinstance(model, Trainable):
            with torch.profiler.record_function("training step"):
                advance(model, dataset.train, plan.budget.batch_size, 0, plan.seed, device)

    write_trace(calls, device, target)
