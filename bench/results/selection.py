"""Which model to take: constraints first, then the best quality tier, then the cheapest inside it that may be the best.

How sure that is comes from joint draws of what every mean might be, by the scatter over seeds or the interval within a
single run: in what share of them the choice keeps the constraints, and in what share nothing that keeps them is better.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.errors import GenbenchError, hint, shown
from bench.results.board import Board, Cell, Column, Row
from bench.results.ranks import NO_MERIT, p_values, seeds_needed
from bench.statistics import compact_letters, leads, mean_draws, non_dominated, probability_non_dominated

DRAWS = 4000
HOLDS = 0.95
RARE = 0.05  # of how often the most likely one is the best
_OPERATORS: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_CONDITION = re.compile(r"\s*(?P<metric>.+?)\s*(?P<op><=|>=|<|>)\s*(?P<number>\S+)\s*")


@dataclass(frozen=True)
class Condition:
    """``peak_rss_bytes <= 5e8``: of a metric by its name or by the label of its column, in the metric's own unit."""

    metric: str
    op: str
    number: float

    @classmethod
    def read(cls, text: str) -> Condition:
        """Raises GenbenchError for what is no condition."""
        found = _CONDITION.fullmatch(text)
        try:
            number = float(found["number"]) if found else math.nan
        except ValueError:
            number = math.nan
        if found is None or not math.isfinite(number):
            raise GenbenchError(f"--where {shown(text)}: write METRIC <= NUMBER, with <=, >=, < or >")
        return cls(found["metric"], found["op"], number)

    def holds(self, values: np.ndarray) -> np.ndarray:
        kept: np.ndarray = _OPERATORS[self.op](values, self.number)
        return kept

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.number:g}"


@dataclass(frozen=True)
class Candidate:
    """One generator in a choice.

    why: for which reason it was left out; "" for one that was not. tier: of what was left, letters; two that share one
    are not told apart. keeps: the probability that it keeps all constraints. best: that it does, and none that does is
    better of those not left out; where nothing is to be best, that none is as good in everything and better in
    something. likely: whether it is one of the fewest that hold the best with a probability of 95 %, each at least a
    twentieth as likely as the most likely one, where any keeps all constraints, and of the best tier where that has
    such.
    """

    row: Row
    why: str = ""
    tier: str = ""
    keeps: float = 1.0
    best: float | None = None
    chosen: bool = False
    likely: bool = False


@dataclass(frozen=True)
class Choice:
    """The answer for one dataset: the chosen first, then the runners-up, then those left out.

    objective: what was to be best; None where the answer is a front. price: what is cheap inside a tier. front: what
    was traded off where nothing was to be best. columns: those that decided. fixed: names whose numbers scatter in a
    way nobody knows; they were taken as exact. leader: the best by its mean of those not left out. seeds: a side, that
    would tell it from the chosen one, were the difference as it seems; more than ``MOST`` where none would, None where
    they are one or nobody knows how they scatter.
    """

    board: Board
    objective: Column | None
    price: Column | None
    columns: tuple[Column, ...]
    candidates: tuple[Candidate, ...]
    fixed: tuple[str, ...] = ()
    leader: Candidate | None = None
    seeds: int | None = None
    conditions: tuple[Condition, ...] = ()
    front: tuple[Column, ...] = ()

    def passed_over(self, candidate: Candidate) -> str:
        """Why one that was admitted was not taken; "" for one that was, or was left out."""
        if candidate.why or candidate.chosen:
            return ""
        if self.objective is None:
            better = next(taken for taken in self.chosen if _as_good(taken.row, candidate.row, self.front))
            return f"{better.row.name} is as good in all, and better in some"
        if candidate.likely:
            (taken,) = self.chosen
            prices = [self.price and row.mean(self.price) for row in (candidate.row, taken.row)]
            if self.price and prices[0] != prices[1]:
                return f"no {self.price.label}" if prices[0] is None else f"dearer by {self.price.label}"
            return f"worse by its mean of {self.objective.label}"
        if not leads(candidate.tier):
            return f"told to be worse by {self.objective.label}"
        return f"hardly ever the best{' that keeps the conditions' if self.conditions else ''}"

    @property
    def busy(self) -> tuple[str, ...]:
        """Of the columns that decided those of which some was timed on a machine that others kept busy."""
        inside = [candidate.row.cells for candidate in self.candidates if not candidate.why]
        return tuple(column.label for column in self.columns if any(cells[column.key].busy for cells in inside))

    @property
    def bounds(self) -> tuple[str, ...]:
        """Those not left out of which some number that decided is a bound; they were taken to be no better than it."""
        inside = [candidate.row for candidate in self.candidates if not candidate.why]
        return tuple(row.name for row in inside if any(row.cells[column.key].bound for column in self.columns))

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        return tuple(candidate for candidate in self.candidates if candidate.chosen)


def select(
    board: Board,
    rng: np.random.Generator,
    *,
    objective: str | None = None,
    conditions: Sequence[Condition] = (),
    price: str | None = None,
    front: Sequence[str] = (),
) -> Choice:
    """Choose among the generators of a board.

    objective: the metric that is to be best. price: the metric by which the cheapest of the best tier is taken; left
    out: the speed of sampling. front: without an objective, the metrics in which none should be beaten; left out: what
    orders the board, and the speed of sampling.
    Raises GenbenchError for a metric that the board has no column for, or several, and for an objective and a front.
    """
    if objective and front:
        raise GenbenchError("an objective names what is to be best, and a front what is traded off: give one of them")
    asked = [column_of(board, condition.metric) for condition in conditions]
    main = column_of(board, objective, compared=True) if objective else None
    cheap = column_of(board, price, compared=True) if price else next(iter(board.speed), None)
    if main is None:
        wanted = [column_of(board, name, compared=True) for name in front] or [c for c in (board.main, cheap) if c]
    else:
        wanted = [main]
    if not wanted:
        raise GenbenchError(f"no generator on {board.dataset} has a number to choose by")
    columns = tuple({column.key: column for column in [*wanted, *asked, *([cheap] if cheap and main else [])]}.values())
    draws, fixed = _drawn(board.ranked, columns, rng)
    keeps = _kept(board.ranked, conditions, asked, draws)
    candidates = [_admitted(row, conditions, asked, wanted, keeps[:, i]) for i, row in enumerate(board.ranked)]
    losses = np.stack([_losses(column, draws[column.key]) for column in wanted], axis=2)
    losses[~keeps] = np.nan
    losses[:, [i for i, candidate in enumerate(candidates) if candidate.why]] = np.nan
    inside = [i for i, candidate in enumerate(candidates) if not candidate.why]
    decided = _best(candidates, inside, main, cheap, losses) if main else _front(candidates, inside, wanted, losses)
    for i, candidate in decided.items():
        candidates[i] = candidate
    order = sorted(candidates, key=lambda c: (bool(c.why), not c.chosen, c.tier, -(c.best or 0)))
    leader, seeds = _leader([candidates[i] for i in inside], main) if main else (None, None)
    return Choice(
        board, main, cheap if main else None, columns, tuple(order), fixed, leader, seeds, tuple(conditions),
        front=() if main else tuple(wanted),
    )  # fmt: skip


def column_of(board: Board, name: str, *, compared: bool = False) -> Column:
    """The column of a metric's name, or of a label where there are several. compared: it must have a direction.

    Raises GenbenchError, with the nearest right names.
    """
    known = [column for column in board.columns if column.label == name] or list(board.find(name))
    own = [column for column in known if any(row.mean(column) is not None for row in board.ranked)]
    if len(own) > 1:
        labels = ", ".join(shown(column.label) for column in own)
        raise GenbenchError(f"{name} was measured in {len(own)} ways on {board.dataset}: name one of {labels}")
    if not own:
        names = {column.metric for column in board.own}
        raise GenbenchError(f"no generator on {board.dataset} has a number for {shown(name)}{hint(name, names)}")
    if compared and own[0].better == "none":
        raise GenbenchError(f"{name} has no direction in which it is better: use it with --where")
    return own[0]


def _drawn(
    rows: Sequence[Row], columns: Iterable[Column], rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """By column what the means might be, ``(DRAWS, rows)``, NaN for no number; and whose are taken as exact.

    Numbers of single runs on the same parts of the test data move together, as those do (``Evidence.parts``).
    """
    found, fixed = {}, dict[str, None]()
    for column in columns:
        cells = {row.name: row.cells[column.key] for row in rows}
        known = {name: _scatter(cell) for name, cell in cells.items()}
        fixed |= dict.fromkeys(n for n, (_, error, _) in known.items() if math.isnan(error) and cells[n].summary)
        found[column.key] = mean_draws(
            {n: (mean, 0.0 if math.isnan(error) else error, freedom) for n, (mean, error, freedom) in known.items()},
            rng, DRAWS,
        )  # fmt: skip
        parts = {i: np.array(cell.parts) for i, cell in enumerate(cells.values()) if cell.parts}
        for k in sorted({len(its) for its in parts.values()}):  # as many are the same parts: one chance for all of them
            chance = rng.standard_normal((DRAWS, k)) * np.sqrt((k - 1) / rng.chisquare(k - 1, (DRAWS, 1)))
            for i in (i for i, its in parts.items() if len(its) == k):
                found[column.key][:, i] = known[rows[i].name][0] + chance @ parts[i]
    return found, tuple(fixed)


def _scatter(cell: Cell) -> tuple[float, float, float]:
    """Mean, standard error, degrees of freedom: the error NaN where nobody knows it, the mean for no number."""
    if cell.summary is None:
        return math.nan, 0.0, math.inf
    evidence = cell.evidence
    assert evidence
    mean, sd, n = evidence.summary.mean, evidence.summary.sd, evidence.summary.n
    if sd is not None:
        return mean, sd / math.sqrt(n), n - 1
    errors = [e for end in (-math.inf, math.inf) if (e := evidence.error(end)) is not None]
    return mean, (max(errors) if errors else math.nan), math.inf


def _kept(
    rows: Sequence[Row], conditions: Sequence[Condition], asked: Sequence[Column], draws: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Which draws keep all constraints, ``(DRAWS, rows)``; a number that is missing keeps none."""
    kept = np.ones((DRAWS, len(rows)), bool)
    for condition, column in zip(conditions, asked, strict=True):
        kept &= condition.holds(draws[column.key])
    return kept


def _as_good(row: Row, other: Row, columns: Iterable[Column]) -> bool:
    pairs = [(column, row.mean(column), other.mean(column)) for column in columns]
    return all(a is not None and b is not None and (a >= b if c.better == "higher" else a <= b) for c, a, b in pairs)


def _losses(column: Column, draws: np.ndarray) -> np.ndarray:
    return -draws if column.better == "higher" else draws


def _admitted(
    row: Row, conditions: Sequence[Condition], asked: Sequence[Column], wanted: Sequence[Column], keeps: np.ndarray
) -> Candidate:
    """By its means: what it breaks, or has no number for, is why it is left out."""
    reasons = []
    for condition, column in zip(conditions, asked, strict=True):
        mean = row.mean(column)
        if mean is None:
            reasons.append(f"no {condition.metric}: {row.cells[column.key].why}")
        elif not condition.holds(np.array(mean)):
            reasons.append(f"{condition.metric} is {mean:.4g}, not {condition.op} {condition.number:g}")
    reasons += [f"{c.label} is {NO_MERIT}" for c in wanted if row.cells[c.key].mark == "beyond"]
    reasons += [f"no {c.label}: {row.cells[c.key].why}" for c in wanted if row.mean(c) is None]
    partly = [c for c in (*wanted, *asked) if row.mean(c) is not None and row.cells[c.key].why]
    reasons += [f"{c.label} not of all its trials: {row.cells[c.key].why}" for c in partly]
    return Candidate(row, "; ".join(dict.fromkeys(reasons)), keeps=float(keeps.mean()))


def _best(
    candidates: Sequence[Candidate],
    inside: Sequence[int],
    main: Column,
    cheap: Column | None,
    losses: np.ndarray,
) -> dict[int, Candidate]:
    """Tiers of the objective, and the cheapest of the best tier that may be the best; by quality without a price."""
    rows = [candidates[i].row for i in inside]
    known = [e for row in rows if (e := row.cells[main.key].evidence)]
    sign = -1 if main.better == "higher" else 1
    means = [sign * e.mean for e in known]
    tiers = compact_letters(means, p_values(known, main.better))
    filled = np.where(np.isnan(losses[:, :, 0]), np.inf, losses[:, :, 0])
    wins = (filled == filled.min(axis=1, keepdims=True)) & np.isfinite(filled)
    share = (wins / np.maximum(1, wins.sum(axis=1, keepdims=True))).mean(axis=0)
    tier_a, likely = {i for i, tier in zip(inside, tiers, strict=True) if leads(tier)}, _likely(inside, share)
    best = tier_a & likely or likely  # of the tier hardly any may keep the conditions

    def cost(i: int) -> tuple[float, float]:
        price = candidates[i].row.mean(cheap) if cheap else None
        dear = math.inf if price is None or cheap is None else -price if cheap.better == "higher" else price
        return dear, means[inside.index(i)]

    choice = min(best, key=cost, default=None)
    return {
        i: Candidate(candidates[i].row, "", tier, candidates[i].keeps, float(share[i]), i == choice, i in best)
        for i, tier in zip(inside, tiers, strict=True)
    }


def _likely(inside: Sequence[int], share: np.ndarray) -> set[int]:
    """The fewest that hold the best with the probability ``HOLDS``, by how often each is it; all where none ever is.

    None that is hardly ever the best is among them, be it what the probability lacks. A tier alone may hold many such:
    too few data to tell them from it, and from one another.
    """
    order = sorted(inside, key=lambda i: -share[i])
    before = np.cumsum([0.0, *(share[i] for i in order)])
    enough, least = HOLDS * before[-1], RARE * share.max(initial=0.0)
    return {
        i
        for i, sum_before in zip(order, before, strict=False)
        if not before[-1] or (sum_before < enough and share[i] >= least)
    }


def _leader(inside: Sequence[Candidate], main: Column) -> tuple[Candidate | None, int | None]:
    """The best by its mean, and the seeds a side that would tell the chosen one from it."""
    sign = -1 if main.better == "higher" else 1
    known = [(e, c) for c in inside if (e := c.row.cells[main.key].evidence)]
    best, leader = min(known, key=lambda pair: sign * pair[0].mean, default=(None, None))
    chosen = next((e for e, c in known if c.chosen), None)
    if not (best and chosen) or best is chosen:
        return leader, None
    needed = seeds_needed(chosen, best)
    # With those that there are it was not told.
    return leader, None if needed is None else max(needed, 1 + min(best.summary.n, chosen.summary.n))


def _front(
    candidates: Sequence[Candidate], inside: Sequence[int], wanted: Sequence[Column], losses: np.ndarray
) -> dict[int, Candidate]:
    """Those that no other is as good as in everything and better than in something."""
    means = np.array([[candidates[i].row.mean(column) for column in wanted] for i in inside], float)
    signs = np.array([-1 if column.better == "higher" else 1 for column in wanted])
    on: list[bool] = non_dominated(means * signs).tolist() if inside else []
    share = probability_non_dominated(losses)
    return {
        i: Candidate(candidates[i].row, "", "", candidates[i].keeps, float(share[i]), is_on)
        for i, is_on in zip(inside, on, strict=True)
    }
