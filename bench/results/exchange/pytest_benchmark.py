"""pytest-benchmark: a saved run (``--benchmark-json``), a record a benchmark."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

from bench.record import UNDATED, RunRecord
from bench.registry import importer
from bench.results.exchange._records import finite, imported, is_number, moment, needed, number, read_json, wrong
from bench.statistics import median_interval

TOOL = "pytest-benchmark"


@importer(TOOL)
def read(path: Path, name: str = "", dataset: str = "") -> list[RunRecord]:
    """The median second of each, with its interval where the rounds were kept (``--benchmark-save-data``)."""
    document = read_json(path)
    match document:
        case {"benchmarks": [*benchmarks]}:
            pass
        case _:
            benchmarks = []
    machine = document.get("machine_info", {}) if isinstance(document, dict) else {}
    cpu = machine.get("cpu", {}).get("brand_raw") or machine.get("processor")
    commit = (document.get("commit_info") or {}).get("id") if isinstance(document, dict) else None
    records, names = [], Counter(benchmark.get("name") for benchmark in benchmarks)
    for benchmark in benchmarks:
        stats = benchmark.get("stats", {})
        if not is_number(stats.get("median")):
            continue
        why = wrong(stats["median"], 0)
        rounds = [v for v in stats.get("data", []) if finite(v)]
        interval = median_interval(rounds) if rounds else None
        if interval and not interval.lo <= stats["median"] <= interval.hi:
            interval = None  # of rounds that are not those of the median
        seconds = () if why else (number(
            "seconds_p50", stats["median"], "efficiency", "lower", unit="s", n=int(stats.get("rounds", 0)),
            interval=interval, lead=0,
        ),)  # fmt: skip
        records.append(
            imported(
                TOOL, path, generator=str(benchmark.get("fullname" if names[benchmark.get("name")] > 1 else "name")),
                dataset=dataset or str(benchmark.get("group") or name or "benchmarks"), modality="vector",
                measurements=seconds, omitted={"seconds_p50": why} if why else {},
                environment={"cpu": cpu, **({"commit": commit} if commit else {})},
                created=_when(document.get("datetime")), version=str(document.get("version", "")),
            )
        )  # fmt: skip
    return needed(records, path, TOOL)


def _when(text: object) -> str:
    try:
        return moment(datetime.fromisoformat(str(text)).timestamp())
    except ValueError:
        return UNDATED
