"""How often each metric's 95 % interval holds what it is of, as Markdown.

OMP_NUM_THREADS=1 python -m tests.intervals.table [REPEATS]     # simulates, and rewrites the tables in docs/sanity.md

What an interval is of stands in its method: "of the expectation at this n" means the mean of the values that the
estimator gives at this n, "given this training data" that the training data stays as it is. Every other interval has to
hold the value of the population, which is taken from samples of ten times the size.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, get_args

import numpy as np
from joblib import Parallel, delayed

from bench import Estimate
from bench.probes.machine import usable_cores
from bench.streams import stream_seed
from tests.intervals.worlds import NO_INTERVAL, WORLDS, Drawing, Found, Relation, World
from tests.sanity.table import DOCS, rewrite

BEGIN, END = "<!-- written by python -m tests.intervals.table -->", "<!-- end of intervals -->"
SIZES = (300, 1000)
RELATIONS: tuple[Relation, ...] = get_args(Relation)
REPEATS = 80
# A quarter as often: these train networks, fit mixtures or draw again within their own intervals.
SLOW = {"c2st_nn", "fld", "fld_gap", "frontier_integral", "mauve", "mind"}
LARGE, LARGE_REPEATS = 10, 12  # times the rows, and how often, for the value of the population
# Estimates without bias fall below what the population can be, of small samples and of large ones.
TRUE_LEAST = {"fd_corrected": 0.0}
EXPECTATION, FIXED = "of the expectation at", "given this training data"
LEAST = 90


class Cell(NamedTuple):
    """Share of intervals that hold the truth in per cent, None without any; the methods that intervals named."""

    covered: float | None
    methods: frozenset[str]


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
    whole = [name for name in methods if name not in fixed and not _says(methods[name], EXPECTATION)]
    large = gathered(draw(*place, whole, LARGE_REPEATS, times=LARGE))
    return {
        name: Cell(
            _covered(estimates.get(name, []), large.get(name, []), TRUE_LEAST.get(name, -np.inf)),
            methods.get(name, frozenset()),
        )
        for name in world.metrics
    }


def _says(methods: Iterable[str], words: str) -> bool:
    return any(words in method for method in methods)


def gathered(drawings: Iterable[Found]) -> dict[str, list[Estimate]]:
    """Estimates by metric; a drawing that has none for it, such as of too few rows, is left out."""
    estimates: dict[str, list[Estimate]] = defaultdict(list)
    for found in drawings:
        for name, estimate in found.items():
            if isinstance(estimate, Estimate):
                estimates[name].append(estimate)
    return estimates


def _covered(estimates: Sequence[Estimate], large: Sequence[Estimate], least: float = -np.inf) -> float | None:
    """Per cent of intervals that hold the value of large samples, at least ``least``, or of the mean of all values."""
    intervals = [e.interval for e in estimates if e.interval]
    if not intervals:
        return None
    truth = float(np.median([e.value for e in large]) if large else np.mean([e.value for e in estimates]))
    truth = max(truth, least)
    # Values that are the same in every repeat may differ from their mean by rounding.
    slack = 1e-9 * max(1.0, abs(truth))
    return 100 * float(np.mean([i.lo - slack <= truth <= i.hi + slack for i in intervals]))


def simulate(repeats: int) -> dict[tuple[str, str, int, Relation], Mapping[str, Cell]]:
    """Every place of every table, as many at a time as there are cores."""
    places = [
        (world, law, n, relation) for world in WORLDS for law in world.laws for n in SIZES for relation in RELATIONS
    ]
    found = Parallel(n_jobs=usable_cores(), verbose=5)(delayed(cells)(*place, repeats) for place in places)
    return {(world.title, law, n, relation): c for (world, law, n, relation), c in zip(places, found, strict=True)}


def render(found: Mapping[tuple[str, str, int, Relation], Mapping[str, Cell]], repeats: int) -> str:
    """A table a world, then what falls short, and what has no interval."""
    short = sorted({name for at in found.values() for name, cell in at.items() if _short(name, cell, repeats)})
    parts = [
        *(_table(world, found) for world in WORLDS),
        f"{repeats} drawings, {repeats // 4} of {_names(SLOW)}.",
        f"Below {LEAST} by more than twice the error of so many: {_names(short) or 'none'}.",
        "No interval: " + ", ".join(f"`{name}` ({why})" for name, why in NO_INTERVAL.items()) + ".",
    ]
    return "\n\n".join(parts)


def _short(name: str, cell: Cell, repeats: int) -> bool:
    share, count = LEAST / 100, repeats // 4 if name in SLOW else repeats
    return cell.covered is not None and cell.covered < LEAST - 200 * np.sqrt(share * (1 - share) / count)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _table(world: World, found: Mapping[tuple[str, str, int, Relation], Mapping[str, Cell]]) -> str:
    heads = [f"{law}, {relation}" for law in world.laws for relation in RELATIONS]
    lines = [f"#### {world.title}", "", f"{world.about[0].upper()}{world.about[1:]}.", ""]
    lines += ["| | " + " | ".join(heads) + " | of |", "|---" * (len(heads) + 2) + "|"]
    for name in world.metrics:
        row = [
            " · ".join(_shown(found[world.title, law, n, relation][name]) for n in SIZES)
            for law in world.laws
            for relation in RELATIONS
        ]
        said = {m for key, at in found.items() if key[0] == world.title for m in at[name].methods}
        lines.append(f"| {name} | " + " | ".join(row) + f" | {_of(said)} |")
    return "\n".join(lines)


def _shown(cell: Cell) -> str:
    return "–" if cell.covered is None else f"{cell.covered:.0f}"


def _of(methods: Iterable[str]) -> str:
    return "; ".join(sorted(methods)) or "no interval"


if __name__ == "__main__":
    drawings = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    rewrite(DOCS, render(simulate(drawings), drawings), BEGIN, END)
