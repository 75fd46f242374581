"""``genbench history``: numbers over commits, and where they change."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._options import Json
from bench.cli._tables import print_table, print_text
from bench.errors import GenbenchError, printable, shown
from bench.registry import command

if TYPE_CHECKING:
    from bench.results.history import Series

SEED = 0  # of the permutations
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40  # points of a line


@command("history")
def run(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="A folder of run folders and bundles, one a commit; or one of them.")
    ],
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Or a pattern, fd_*; again for more.")
    ] = None,
    margins: Annotated[
        list[str] | None,
        typer.Option("--margin", metavar="2%", help="The least change that is told; of one metric, METRIC=5%."),
    ] = None,
    accepted: Annotated[
        list[str] | None,
        typer.Option("--accept", metavar="COMMIT", help="Changes that began there are meant; again for more."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Print series that never changed, too.")] = False,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw the series: those that changed, or all; .svg, .png or .pdf."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Find where numbers changed over commits.

    Exits with 1 where the newest change of any number is for the worse, and nobody accepts it.
    """
    import numpy as np

    from bench.results.history import MARGIN, as_one, history
    from bench.results.store import read_side, sides_under

    sides = {}
    for path in sides_under(folder):
        records, ignored = read_side(path)
        for note in ignored:
            print(printable(f"{path}: {note}"), file=sys.stderr)
        sides[folder if path == Path(folder) else str(path.relative_to(folder))] = records
    policy = MARGIN.with_margins(margins or [])
    found = history(as_one(sides), np.random.default_rng(SEED), metrics=metrics or [], policy=policy)
    if not found:
        raise GenbenchError(f"{folder}: no metric has two points yet: a point is a commit, or a folder that names none")
    worse = _worse(found, accepted or [])
    if plot:
        from bench.cli._plot import plot_history

        changed = [series for series in found if series.changes]
        plot_history(found if every or not changed else changed, plot, printed)
    if as_json:
        print(json.dumps([asdict(series) for series in found], indent=1))
    else:
        _print(found, every=every)
        if worse:
            since, accept = ", ".join(worse), shlex.quote(worse[0])
            print_text(f"Worse since {since}: mend it, or say that it is meant with --accept {accept}")
    return int(bool(worse))


def _worse(found: list[Series], accepted: list[str]) -> list[str]:
    """Commits at which the newest change of a number is for the worse, but for those accepted; as they are printed.

    Raises GenbenchError for an accepted one that no series holds.
    """
    commits, meant = {point.commit for series in found for point in series.points}, set[str]()
    for commit in accepted:
        fitting = {commit} & commits or {c for c in commits if commit and c.startswith(commit)}
        if len(fitting) != 1:
            which = f"fits {len(fitting)} of the commits here" if fitting else "no number here is of that commit"
            raise GenbenchError(f"--accept {shown(commit)}: {which}")
        meant |= fitting
    newest = {s.points[s.changes[-1].at].commit for s in found if s.changes and s.worse(s.changes[-1])}
    return sorted(map(printed, newest - meant))


def printed(commit: str) -> str:
    """As short as git prints one; a folder that names no commit is told in full."""
    return commit[:12] if re.fullmatch("[0-9a-f]{40}", commit) else commit


def _print(found: list[Series], *, every: bool) -> None:
    from bench.results.history import LEVEL
    from bench.statistics import fewest_points

    several = len({series.suite for series in found}) > 1
    rows = []
    for series in found:
        line = {
            **({"suite": series.suite} if several else {}), "dataset": series.dataset, "generator": series.generator,
            "metric": series.metric, "machine": series.machine, "over time": bars(series.values[-_WIDTH:]),
        }  # fmt: skip
        for change in series.changes:
            percent = 100 * (change.after / change.before - 1) if change.before else float("nan")
            rows.append({
                **line,
                "change": f"{change.before:.4g} -> {change.after:.4g} ({percent:+.1f}%)",
                "": "worse" if series.worse(change) else "better",
                "at": printed(series.points[change.at].commit), "p": f"{change.p:.2g}",
            })  # fmt: skip
        if not series.changes and every:
            rows.append({**line, "change": "", "": "", "at": "", "p": ""})
    print_table("", rows, wrapped=["dataset", "machine", "over time"])
    changed = sum(bool(s.changes) for s in found)
    short = sum(len(series.points) < fewest_points(LEVEL) for series in found)
    print_text(
        f"{changed} of {len(found)} series changed by the margin or more; of those that changed at all "
        f"{LEVEL:.0%} are expected to be told so by chance."
    )
    if short:
        print_text(f"{short} have too few points to tell: that takes at least {fewest_points(LEVEL)}.")


def bars(values: list[float]) -> str:
    """A line of text as high as the numbers."""
    low, high = min(values), max(values)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((v - low) / (high - low) * steps) if high > low else 0] for v in values)
