"""How often each metric's 95 % interval holds what it is of, as Markdown.

OMP_NUM_THREADS=1 python -m tests.intervals.table [NAME ...] [--drawings N]

simulates, and rewrites the rows of these metrics in docs/sanity.md, or all of them.

What an interval is of stands in its method: "of the expectation at this n" means the mean of the values that the
estimator gives at this n, "of the median" their median, "given this training data" that the training data stays as it
is. Every other interval has to hold the value of the population, which is taken from samples of ten times the size. A
star marks a place where most intervals say that they may be too narrow.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed

from bench import Estimate
from bench.probes.machine import usable_cores
from bench.streams import stream_seed
from tests.intervals.worlds import NO_INTERVAL, WORLDS, Drawing, Found, Relation, World
from tests.sanity.table import DOCS, rewrite

BEGIN, END = "<!-- written by python -m tests.intervals.table -->", "<!-- end of intervals -->"
SIZES = (300, 1000)
DRAWINGS = 80
# A quarter as often: these train networks, fit mixtures or draw again within their own intervals.
SLOW = {"c2st_nn", "fld", "fld_gap", "frontier_integral", "mauve", "mind"}
LARGE, LARGE_REPEATS = 10, 12  # times the rows, and how often, for the value of the population
# Estimates without bias fall below what the population can be, of small samples and of large ones.
TRUE_LEAST = dict.fromkeys(("cmmd_u", "fd_corrected", "kad", "kid", "kid_subsets"), 0.0)
EXPECTATION, MEDIAN, FIXED = "of the expectation at", "of the median at", "given this training data"
NARROW = "too narrow"
LEAST = 90


class Cell(NamedTuple):
    """Share of intervals that hold the truth in per cent, None without any; the methods that intervals named.

    told: whether most of their methods say that they may be too narrow.
    """

    covered: float | None
    methods: frozenset[str]
    told: bool = False

    def __str__(self) -> str:
        return "–" if self.covered is None else f"{self.covered:.0f}{'*' if self.told else ''}"


def draw(
    world: World,
    law: str,
    n: int,
    relation: Relation,
    names: Sequence[str],
    repeats: int,
    *,
    times: int = 1,
    fixed: bool = False,
) -> Iterator[Found]:
    """So many drawings of a place.

    times: how many times n samples there are, of as much training data.  fixed: the same training data in all of them.
    """
    place = f"{world.title}/{law}/{relation}/{n}"
    for repeat in range(repeats if names else 0):
        rng, train_rng = (
            np.random.default_rng(stream_seed(of, place, number))
            for of, number in ((times, repeat), (0, 0 if fixed else repeat))
        )
        yield world.measure(Drawing(law, relation, times * n, n, rng, train_rng, names))


def cells(world: World, law: str, n: int, relation: Relation, repeats: int) -> Mapping[str, Cell]:
    """Coverage of every metric in one place of the table."""
    place = (world, law, n, relation)
    quick = [name for name in world.metrics if name not in SLOW]
    slow = [name for name in world.metrics if name in SLOW]
    estimates = gathered(chain(draw(*place, quick, repeats), draw(*place, slow, repeats // 4)))
    methods = {name: frozenset(e.interval.method for e in found if e.interval) for name, found in estimates.items()}
    fixed = [name for name in methods if _says(methods[name], FIXED)]
    estimates |= gathered(draw(*place, fixed, repeats, fixed=True))
    whole = [name for name in methods if not _says(methods[name], FIXED, EXPECTATION, MEDIAN)]
    large = gathered(draw(*place, whole, LARGE_REPEATS, times=LARGE))
    return {
        name: Cell(
            _covered(name, estimates.get(name, []), large.get(name, [])),
            methods.get(name, frozenset()),
            _mostly_told(estimates.get(name, [])),
        )
        for name in world.metrics
    }


def _mostly_told(estimates: Sequence[Estimate]) -> bool:
    told = [NARROW in e.interval.method for e in estimates if e.interval]
    return 2 * sum(told) > len(told)


def _says(methods: Iterable[str], *words: str) -> bool:
    return any(word in method for method in methods for word in words)


def gathered(drawings: Iterable[Found]) -> dict[str, list[Estimate]]:
    """Estimates by metric; a drawing that has none for it, such as of too few rows, is left out."""
    estimates: dict[str, list[Estimate]] = defaultdict(list)
    for found in drawings:
        for name, estimate in found.items():
            if isinstance(estimate, Estimate):
                estimates[name].append(estimate)
    return estimates


def _covered(name: str, estimates: Sequence[Estimate], large: Sequence[Estimate]) -> float | None:
    """Per cent of intervals that hold what they are of: the value of large samples, the median or the mean of all."""
    intervals = [e.interval for e in estimates if e.interval]
    if not intervals:
        return None
    middle = np.median if large or _says([i.method for i in intervals], MEDIAN) else np.mean
    truth = max(float(middle([e.value for e in large or estimates])), TRUE_LEAST.get(name, -np.inf))
    # Values that are the same in every repeat may differ from their mean by rounding.
    slack = 1e-9 * max(1.0, abs(truth))
    return 100 * float(np.mean([i.lo - slack <= truth <= i.hi + slack for i in intervals]))


class Row(NamedTuple):
    """What the page shows of a metric: a cell for each law and relation, what its interval is of, and drawings."""

    cells: Sequence[str]
    of: str
    drawings: int

    @property
    def short(self) -> bool:
        """Whether a cell is below what is due by more than twice the error of so many drawings."""
        share = LEAST / 100
        bound = LEAST - 200 * np.sqrt(share * (1 - share) / self.drawings)
        return any(int(part) < bound for cell in self.cells for part in cell.split(" · ") if part.isdigit())


def simulate(names: Iterable[str], drawings: int) -> dict[str, Row]:
    """Rows of these metrics; as many places of their tables at a time as there are cores."""
    worlds = [replace(world, metrics=[name for name in world.metrics if name in names]) for world in WORLDS]
    places = [
        (world, law, n, relation)
        for world in worlds
        if world.metrics
        for law in world.laws
        for relation in world.relations
        for n in SIZES
    ]
    found = Parallel(n_jobs=usable_cores(), verbose=5)(delayed(cells)(*place, drawings) for place in places)
    of_metric: dict[str, list[Cell]] = defaultdict(list)
    for at in found:
        for name, cell in at.items():
            of_metric[name].append(cell)
    return {name: _row(of, drawings // 4 if name in SLOW else drawings) for name, of in of_metric.items()}


def _row(found: Sequence[Cell], drawings: int) -> Row:
    shown = [str(cell) for cell in found]
    places = [" · ".join(shown[i : i + len(SIZES)]) for i in range(0, len(shown), len(SIZES))]
    return Row(places, said(method for cell in found for method in cell.methods) or "no interval", drawings)


def said(methods: Iterable[str]) -> str:
    """What the methods say, each clause once."""
    return "; ".join(dict.fromkeys(clause for method in sorted(methods) for clause in method.split("; ")))


def read_rows(path: Path) -> dict[str, Row]:
    """The rows of a page, by metric."""
    found: dict[str, Row] = {}
    for line in path.read_text().split(BEGIN)[1].split(END)[0].splitlines():
        name, *shown = (part.strip() for part in line.strip("|").split("|"))
        if line.startswith("| ") and name:
            found[name] = Row(shown[:-2], shown[-2], int(shown[-1]))
    return found


def render(rows: Mapping[str, Row]) -> str:
    """A table a world, then what falls short, and what has no interval."""
    short = [f"`{name}`" for name in sorted(rows) if rows[name].short]
    parts = [
        *(_table(world, rows) for world in WORLDS),
        f"Below {LEAST} by more than twice the error of so many drawings: {', '.join(short) or 'none'}.",
        "No interval: " + ", ".join(f"`{name}` ({why})" for name, why in NO_INTERVAL.items()) + ".",
    ]
    return "\n\n".join(parts)


def _table(world: World, rows: Mapping[str, Row]) -> str:
    heads = [f"{law}, {relation}" for law in world.laws for relation in world.relations]
    lines = [f"#### {world.title}", "", f"{world.about[0].upper()}{world.about[1:]}.", ""]
    lines += ["| | " + " | ".join(heads) + " | of | drawings |", "|---" * (len(heads) + 3) + "|"]
    shown = [(name, rows[name]) for name in world.metrics if name in rows]
    lines += [f"| {name} | {' | '.join(row.cells)} | {row.of} | {row.drawings} |" for name, row in shown]
    return "\n".join(lines)


def main(names: Sequence[str], drawings: int, path: Path = DOCS) -> None:
    """Simulate these metrics, or all of them, and write their rows; those of other metrics stay as they are."""
    known = [name for world in WORLDS for name in world.metrics]
    if unknown := set(names) - set(known):
        raise SystemExit(f"in no table: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    rows = simulate(names or known, drawings)
    rewrite(path, render({**read_rows(path), **rows}), BEGIN, END)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How often intervals hold what they are of: rows of docs/sanity.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="metrics to simulate; all if none is named")
    parser.add_argument("--drawings", type=int, default=DRAWINGS, help="a quarter as many of the slow ones")
    options = parser.parse_args()
    main(options.names, options.drawings)
