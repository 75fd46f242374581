"""What CI services read: points of github-action-benchmark, and JUnit's cases."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from bench import RunRecord, report, write_atomic
from bench.results.board import leaderboards
from bench.results.gate.writing import legal
from bench.results.groups import newest

_FILES = {"lower": "smaller", "higher": "bigger"}


@report("github-benchmark", asked=True)
def write_github(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """``github-benchmark/smaller.json`` and ``bigger.json``, for customSmallerIsBetter and customBiggerIsBetter."""
    points: dict[str, list[dict[str, object]]] = {"smaller": [], "bigger": []}
    for board in leaderboards(newest(records)[0]):
        for row in board.ranked:
            for column in board.columns:
                summary = row.cells[column.key].summary
                if summary and column.better in _FILES:
                    spread = {"range": f"± {summary.sd:.6g}"} if summary.sd is not None else {}
                    name = f"{board.dataset}: {row.name}: {column.label}"
                    extra = f"{summary.n} seeds; {json.dumps(dict(column.protocol))}"
                    point = {"name": name, "unit": column.unit, "value": summary.mean, **spread, "extra": extra}
                    points[_FILES[column.better]].append(point)
    folder = target / "github-benchmark"
    for which, found in points.items():
        write_atomic(folder / f"{which}.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return folder


@report("junit", asked=True)
def write_junit(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """``junit.xml``: a case a trial, failed or skipped with its reason, and its seconds."""
    current = newest(records)[0]
    counts = {status: str(sum(r.status == status for r in current)) for status in ("failed", "skipped")}
    suite = ElementTree.Element(
        "testsuite", name="genbench", tests=str(len(current)), failures=counts["failed"], skipped=counts["skipped"],
        errors="0",
    )  # fmt: skip
    for record in current:
        seconds = f"{sum(record.phases.values()):.3f}"
        who, where = legal(f"{record.plan.generator}, seed {record.plan.seed}"), legal(record.plan.dataset)
        case = ElementTree.SubElement(suite, "testcase", classname=where, name=who, time=seconds)
        if record.error:
            outcome = "failure" if record.status == "failed" else "skipped"
            found = ElementTree.SubElement(case, outcome, message=legal(record.error.message))
            found.text = legal(record.error.traceback or "")
    ElementTree.indent(suite)
    text = ElementTree.tostring(suite, encoding="unicode")
    return write_atomic(target / "junit.xml", f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')
