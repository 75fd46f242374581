"""optimum-benchmark: ``benchmark.json`` or ``benchmark_report.json``.

Its latencies are taken from the values that it keeps, as medians with intervals. Its throughputs are not: that of
training multiplies by the number of steps what is a mean over them, and that of generation counts tokens as samples.
What can be said of them is in the latencies; of a phase one of whose values is none that a clock can show there is no
latency. A peak of 0 bytes is one that it could not see, and is left out.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.record import Measurement, RunRecord
from bench.registry import importer
from bench.results.exchange._records import finite, imported, needed, number, read_json
from bench.statistics import median_interval

TOOL = "optimum-benchmark"
_PEAKS = ("max_ram", "max_global_vram", "max_process_vram", "max_reserved", "max_allocated")


@importer(TOOL)
def read(path: Path, name: str = "", dataset: str = "") -> list[RunRecord]:
    """One record: latency and peak memory of every phase."""
    document = read_json(path)
    config = document.get("config", {}) if isinstance(document, dict) else {}
    report = document.get("report", document) if isinstance(document, dict) else {}
    phases = {key: value for key, value in report.items() if isinstance(value, dict)}
    backend = config.get("backend", {})
    found = [m for phase, facts in phases.items() for m in _phase(phase, facts, config.get("scenario", {}))]
    if not found:
        return needed([], path, TOOL)
    said = config.get("environment", {})
    environment = {k: v for k, v in said.items() if isinstance(v, str | int | float)}
    machine = {name: str(said[name]) for name in ("cpu", "gpu") if said.get(name)}
    return [
        imported(
            TOOL, path, generator=name or str(backend.get("model") or config.get("name") or "model"),
            dataset=dataset or str(backend.get("task") or "inference"), modality="text", measurements=found,
            params={"backend": str(backend.get("name", "")), "device": str(backend.get("device", ""))},
            environment={**environment, **machine}, version=str(environment.get("optimum_benchmark_version", "")),
        )
    ]  # fmt: skip


def _phase(phase: str, facts: Mapping[str, Any], scenario: Mapping[str, Any]) -> Iterator[Measurement]:
    protocol = {"phase": phase, "input_shapes": scenario.get("input_shapes", {})}
    latency = facts.get("latency") or {}
    values = latency.get("values", [])
    if values and all(finite(v) and v >= 0 for v in values):
        yield number(
            f"{phase}_latency_p50", statistics.median(values), "efficiency", "lower", unit="s", n=len(values),
            interval=median_interval(values), protocol=protocol, lead=0,
        )  # fmt: skip
    for name, value in (facts.get("memory") or {}).items():
        if name in _PEAKS and finite(value) and value > 0:
            yield number(f"{phase}_{name}", 1e6 * value, "efficiency", "lower", unit="B", n=1, protocol=protocol)
