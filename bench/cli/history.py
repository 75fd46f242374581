"""``genbench history``: numbers over commits, and where they change."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._options import Json
from bench.cli._tables import print_table, print_text
from bench.errors import GenbenchError, printable
from bench.registry import command

if TYPE_CHECKING:
    from bench.results.history import Series

SEED = 0  # of the permutations
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40  # points of a line


@command("history")
def run(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="A run folder, or a folder of run folders and bundles, one a commit.")
    ],
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Left out: all; again for more.")
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0, metavar="SHARE", help="The least change that is told, of the level before.")
    ] = 0.02,
    every: Annotated[bool, typer.Option("--all", help="Print series that never changed, too.")] = False,
    as_json: Json = False,
) -> int:
    """Find where numbers changed over commits.

    Exits with 1 where the newest change of any number is for the worse.
    """
    import numpy as np

    from bench.results.history import as_one, history
    from bench.results.store import read_side, sides_under

    sides = []
    for path in sides_under(folder):
        records, ignored = read_side(path)
        for note in ignored:
            print(printable(f"{path}: {note}"), file=sys.stderr)
        sides.append(records)
    found = history(as_one(sides), np.random.default_rng(SEED), metrics=metrics or [], margin=margin)
    if not found:
        raise GenbenchError(f"{folder}: no metric has two points yet: a point is a commit, or a run that names none")
    if as_json:
        print(json.dumps([asdict(series) for series in found], indent=1))
    else:
        _print(found, every=every)
    return int(any(s.changes and s.worse(s.changes[-1]) for s in found))


def _print(found: list[Series], *, every: bool) -> None:
    from bench.results.history import LEVEL

    rows = []
    for series in found:
        line = {
            "dataset": series.dataset, "generator": series.generator, "metric": series.metric,
            "machine": series.machine, "over time": bars([p.value for p in series.points][-_WIDTH:]),
        }  # fmt: skip
        for change in series.changes:
            percent = 100 * (change.after / change.before - 1) if change.before else float("nan")
            rows.append({
                **line,
                "change": f"{change.before:.4g} -> {change.after:.4g} ({percent:+.1f}%)",
                "": "worse" if series.worse(change) else "better",
                "at": series.points[change.at].commit[:12], "p": f"{change.p:.2g}",
            })  # fmt: skip
        if not series.changes and every:
            rows.append({**line, "change": "", "": "", "at": "", "p": ""})
    print_table("", rows, wrapped=["dataset", "machine", "over time"])
    changed = sum(bool(s.changes) for s in found)
    print_text(f"{changed} of {len(found)} series changed; one that never does is told to in {LEVEL:.0%} of all cases.")


def bars(values: list[float]) -> str:
    """A line of text as high as the numbers."""
    low, high = min(values), max(values)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((v - low) / (high - low) * steps) if high > low else 0] for v in values)
