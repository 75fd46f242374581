"""Our metrics under the 15 checks, as Markdown.

python -m tests.sanity.table            # measures again and rewrites the tables in docs/sanity.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed

import bench
from bench.probes.machine import usable_cores
from tests.sanity.checks import CHECKS, Check, Kind, Question
from tests.sanity.criteria import Curve, Verdict
from tests.sanity.setups import Size, Step

DOCS = Path(__file__).parents[2] / "docs" / "sanity.md"
BEGIN, END = "<!-- written by python -m tests.sanity.table -->", "<!-- end -->"
FULL, SEEDS = Size(), (0, 1, 2)
ONE_SEED = {"c2st_nn"}  # trains ten networks for each number
METRICS: Mapping[str, Kind] = {
    "precision": "fidelity",
    "density": "fidelity",
    "clipped_density": "fidelity",
    "recall": "diversity",
    "coverage": "diversity",
    "clipped_coverage": "diversity",
    "fd": "distance",
    "kid": "distance",
    "mind": "distance",
    "c2st": "distance",
    "c2st_nn": "distance",
    "vendi": "variety",
}
TABLES: Mapping[str, Sequence[Kind]] = {
    "Fidelity": ["fidelity"],
    "Diversity": ["diversity"],
    "Distances, and variety of the samples": ["distance", "variety"],
}
QUESTIONS: Sequence[Question] = ("shape", "bounds")


class Run(NamedTuple):
    """What one metric did in one variant: values by position, or the reason why there are none."""

    curve: Curve
    missing: str


Runs = Mapping[str, Run]


def measure(check: Check, variant: str, size: Size, seeds: Iterable[int], metrics: Sequence[str]) -> Runs:
    """Each metric's mean over seeds at each position."""
    values: dict[str, dict[float, list[float]]] = {name: {} for name in metrics}
    missing = dict.fromkeys(metrics, "")
    for seed in seeds:
        for step in check.sweep(variant, seed, size):
            for name, value, reason in _numbers(step, metrics):
                values[name].setdefault(step.at, []).append(value)
                missing[name] = missing[name] or reason
    return {name: Run({at: float(np.mean(v)) for at, v in values[name].items()}, missing[name]) for name in metrics}


def _numbers(step: Step, metrics: Sequence[str]) -> Iterable[tuple[str, float, str]]:
    """(metric, value, reason why there is none)"""
    found = bench.evaluate(step.fake, step.real, metrics=metrics, modality="vector")
    for row in found.to_dict("records"):
        value = np.nan if row["value"] is None else float(row["value"])
        yield str(row["metric"]), value, "" if np.isfinite(value) else str(row["reason"])


def judge(check: Check, question: Question, kind: Kind, runs: Mapping[str, Run]) -> Verdict | None:
    """One metric over all variants; None where the check asks nothing."""
    failed: dict[str, str] = {}
    camps: set[str] = set()
    asked = False
    for variant, run in runs.items():
        for criterion in check.asked(question, variant, kind):
            asked = True
            verdict = Verdict(f"no number: {run.missing}") if run.missing else criterion(run.curve)
            camps |= {verdict.camp} - {""}
            if verdict.reason:
                failed.setdefault(variant, verdict.reason)
    if not asked:
        return None
    if failed:
        return Verdict(_reasons(failed, len(runs)))
    if len(camps) > 1:
        return Verdict("high in one place, low in another")
    return Verdict(camp="high" if "high" in camps else "low" if "low" in camps else "")


def _reasons(failed: Mapping[str, str], of: int) -> str:
    """The first reason, and where it and others arose."""
    if of == 1:
        return next(iter(failed.values()))
    first = next(iter(failed))
    others = f"; also {', '.join(list(failed)[1:])}" if len(failed) > 1 else ""
    return f"{first}: {failed[first]}{others}"


def cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    if verdict.reason:
        return f"fail: {verdict.reason}"
    return f"pass ({verdict.camp})" if verdict.camp else "pass"


def results(size: Size = FULL, seeds: Sequence[int] = SEEDS) -> dict[tuple[str, Question, str], str]:
    """Cells by check, question and metric."""
    variants = [(check, variant) for check in CHECKS for variant in check.variants]
    measured = Parallel(n_jobs=usable_cores())(delayed(_all_asked)(*pair, size, seeds) for pair in variants)
    runs = {(check.name, variant): found for (check, variant), found in zip(variants, measured, strict=True)}
    found: dict[tuple[str, Question, str], str] = {}
    for check in CHECKS:
        for name, kind in METRICS.items():
            of_metric = {v: runs[check.name, v][name] for v in check.variants if name in runs[check.name, v]}
            for question in QUESTIONS:
                found[check.name, question, name] = cell(judge(check, question, kind, of_metric))
    return found


def _all_asked(check: Check, variant: str, size: Size, seeds: Sequence[int]) -> Runs:
    """The metrics of which something is asked here."""
    asked = [name for name, kind in METRICS.items() if any(check.asked(q, variant, kind) for q in QUESTIONS)]
    one = [name for name in asked if name in ONE_SEED]
    groups = [([name for name in asked if name not in one], seeds), (one, seeds[:1])]
    return {k: run for names, of in groups if names for k, run in measure(check, variant, size, of, names).items()}


def render(cells: Mapping[tuple[str, Question, str], str]) -> str:
    """Three tables; rows where nothing is asked are left out."""
    parts = []
    for title, kinds in TABLES.items():
        names = [name for name, kind in METRICS.items() if kind in kinds]
        head = [f"### {title}", "", "| | check | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
        parts.append("\n".join([*head, *_rows(cells, names), _counts(cells, names)]))
    return "\n\n".join(parts)


def _rows(cells: Mapping[tuple[str, Question, str], str], names: Sequence[str]) -> Iterable[str]:
    for number, check in enumerate(CHECKS, 1):
        for question in QUESTIONS:
            row = [cells[check.name, question, name] for name in names]
            if any(row):
                yield f"| {number} | {check.name}: {question} | " + " | ".join(row) + " |"


def _counts(cells: Mapping[tuple[str, Question, str], str], names: Sequence[str]) -> str:
    def count(name: str) -> str:
        asked = [text for (_, _, of), text in cells.items() if of == name and text]
        return f"{sum(text.startswith('pass') for text in asked)} of {len(asked)}"

    return "| | passed | " + " | ".join(count(name) for name in names) + " |"


def read_cells(path: Path) -> dict[tuple[str, Question, str], str]:
    """The cells of a page's tables."""
    found: dict[tuple[str, Question, str], str] = {}
    names: list[str] = []
    for line in path.read_text().split(BEGIN)[1].split(END)[0].splitlines():
        parts = [part.strip() for part in line.strip("|").split("|")]
        if parts[0] == "" and parts[1:2] == ["check"]:
            names = parts[2:]
        elif parts[0].isdigit():
            check, _, question = parts[1].partition(": ")
            asked: Question = "shape" if question == "shape" else "bounds"
            found |= {(check, asked, name): text for name, text in zip(names, parts[2:], strict=True)}
    return found


def rewrite(path: Path, tables: str, begin: str = BEGIN, end: str = END) -> None:
    """Put the tables between the marks of a page."""
    before, rest = path.read_text().split(begin)
    path.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    rewrite(DOCS, render(results()))
