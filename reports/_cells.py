"""Cells and columns in words: what a reader sees in the table, and what the tooltip adds."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from bench.results.board import BAND, Board, Cell, Column, Standing
from bench.results.ranks import BEYOND, RULE
from reports._escaping import visible
from reports._numbers import Scale, fixed, places_of, plain, scale, with_spread

ARROWS = {"lower": "↓", "higher": "↑", "none": ""}
DIRECTIONS = {"lower": "lower is better", "higher": "higher is better", "none": "not ranked"}
MISSING = "–"
BUSY = "timed while other work kept the machine busy, or heat or a quota held it back, and told from nothing"
_MARKS = {
    "best": "best mean",
    "tied": "not told to be worse than the best, or than real data where the best mean passes that",
    "beyond": BEYOND,
}
TIERS = "those that share a letter are not told apart by the column that orders the board, all pairs together"
NO_MEAN = "a mean of some is no mean of all"
GLANCE = 9  # characters of letters: five tiers
_LONGEST = 300  # characters of one setting in a tooltip


class Shown(NamedTuple):
    """value: "12.3" or "≤ 93.1" or "–".  spread: "± 0.4", "[11.9, 12.7]", or "" if seeds agree or it is unknown."""

    value: str
    spread: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.spread}".strip()


def scale_of(column: Column) -> Scale:
    """In what a column's numbers are shown."""
    return scale(column.unit, column.typical, column.largest)


def show(cell: Cell, column: Column) -> Shown:
    """The cell in the scale of its column, the unit left to the heading."""
    if cell.summary is None:
        return Shown(MISSING)
    if cell.interval:
        value, spread_text = _interval(cell, column)
    else:
        sd, factor = cell.summary.sd, scale_of(column).factor
        value, digits = with_spread(cell.summary.mean / factor, None if sd is None else sd / factor)
        spread_text = f"± {digits}" if digits not in ("", "0") else ""
    # A bound says on which side of it the truth lies: always the better one.
    sign = {"lower": "≤ ", "higher": "≥ "}.get(column.better, "") if cell.bound else ""
    return Shown(sign + value, spread_text)


def _interval(cell: Cell, column: Column) -> tuple[str, str]:
    assert cell.summary and cell.interval
    mean, low, high = (x / scale_of(column).factor for x in (cell.summary.mean, cell.interval.lo, cell.interval.hi))
    places = places_of(mean, abs(high - low) / 2, two=True)  # to the ends of an interval a digit more than to a spread
    if places is None:
        return plain(mean), f"[{plain(low)}, {plain(high)}]"
    return fixed(mean, places), f"[{fixed(low, places)}, {fixed(high, places)}]"


def mark(cell: Cell) -> str:
    """The sign behind a number; "" where nothing is to be said of it but that it may be the best."""
    behind = "‡" if cell.busy else "*" if cell.why and cell.summary else ""
    return {"tied": "≈", "beyond": "†"}.get(cell.mark, behind)


def with_unit(cell: Cell, column: Column) -> str:
    return f"{show(cell, column)} {scale_of(column).unit}".strip()


def place_text(standing: Standing) -> str:
    """What a place says, in words."""
    if standing.place is None and standing.done == standing.tried:
        return f"not ranked: {standing.why}"
    if standing.place is None:
        some = f"{standing.done} of {standing.tried} trials have a number, and {NO_MEAN}"
        missing = some if standing.done else "none of its trials has a number"
        return f"not ranked: {missing}{f' ({standing.why})' if standing.why else ''}"
    at, low, high = standing.place
    if standing.single:
        return f"place {at} ({low} to {high} by intervals within single runs, which know nothing of other seeds)"
    return f"place {at}; at 95 % it may be {low} to {high}" if low != high else f"place {at}, at 95 %"


def band_text(board: Board) -> str:
    """Of whom the costs are compared; "" where nothing orders the board by quality."""
    main = board.main
    if main is None or board.band is None:
        return ""
    means = [row.mean(main) or 0.0 for row in board.ranked if row.name in board.band]
    if min(means, default=0.0) <= 0:
        which = f"are not told to be worse by {main.label} than the first"
    elif main.better == "higher":
        which = f"have at least 1/{BAND:g} of the best mean of {main.label}"
    else:
        which = f"have at most {BAND:g} times the best mean of {main.label}"
    return f"Speed, memory and other costs are compared among those that {which}"


def place_and_tier(standing: Standing | None) -> tuple[str, str]:
    """The place with those that it may have, or how many of the trials have a number, "–" for all; and the tier."""
    if standing is None:
        return "", ""
    if standing.place is None:
        return (MISSING if standing.done == standing.tried else f"{standing.done}/{standing.tried}"), ""
    at, low, high = standing.place
    return f"{at} ({low}–{high})" if low != high else str(at), letters(standing.tier)


def letters(tier: str) -> str:
    """``a c e``: side by side they read as a word."""
    return " ".join(re.findall(r"[a-z]\d*", tier))


def tiers_at_a_glance(board: Board) -> bool:
    """Whether its tiers can be read beside the names: many generators that scatter are in tiers by the dozen."""
    return all(len(letters(row.standing.tier)) <= GLANCE for row in board.ranked if row.standing)


def legend(board: Board, tiers: bool = True) -> list[tuple[str, str]]:
    """Every sign that its tables bear, and what it says. tiers: whether those stand in a table."""
    cells = [(cell := row.cells[column.key], show(cell, column)) for row in board.rows for column in board.columns]
    marks = {mark(cell) for cell, _ in cells} | {"‡" for row in board.rows if row.training_busy}
    spreads = {shown.spread[:1] for cell, shown in cells if cell.summary}
    standings = [row.standing for row in board.ranked if row.standing]
    placed = [standing for standing in standings if standing.place]
    apart = dict.fromkeys(place_and_tier(standing)[0] for standing in standings if not standing.place)
    part = max((sign for sign in apart if sign != MISSING), default="")  # "1/2" before "0/2"
    single = "; of single trainings these know nothing of other seeds" if any(s.single for s in placed) else ""
    return [
        (sign, meaning)
        for sign, meaning, borne in (
            ("1 (1–2)", f"place, and those that it may have at 95 %, by tests of all pairs together{single}", placed),
            (part, f"no place: how many of its trials have a number that orders the board; {NO_MEAN}", part),
            ("a b", f"tiers; {TIERS}{'' if tiers else '; too many for this table, on its own page'}", placed),
            ("bold", "best mean of the generators", any(cell.mark == "best" for cell, _ in cells)),
            ("≈", RULE, "≈" in marks),
            ("†", BEYOND, "†" in marks),
            ("±", "standard deviation over seeds", "±" in spreads),
            ("[ ]", "interval within one run, which knows nothing of other seeds", "[" in spreads),
            ("no spread", "all seeds agree, or there is one, whose spread was not measured", "" in spreads),
            ("≤ ≥", "a bound: the true value is at least as good", any(cell.bound for cell, _ in cells)),
            (MISSING, "no number; for a place, none", MISSING in apart or not all(c.summary for c, _ in cells)),
            ("*", "fewer seeds than its row", "*" in marks),
            ("‡", BUSY, "‡" in marks),
            ("italics", "yardsticks, which are never ranked", board.controls),
        )
        if borne
    ]


def explain(cell: Cell, column: Column) -> str:
    """The tooltip of a cell: its spread in words, its basis, and what is missing."""
    parts = []
    if cell.summary is not None:
        if cell.summary.sd is not None:
            spread = "mean ± standard deviation over" if show(cell, column).spread else "the same on all"
            parts.append(f"{spread} {cell.summary.n} seeds")
        elif cell.interval:
            parts.append(f"one seed; {cell.interval.level:.0%} interval within the run ({cell.interval.method})")
        else:
            parts.append("one seed, spread not measured")
        if cell.samples > 1:
            parts.append(f"n = {cell.samples:,} a seed")
        if cell.bound:
            parts.append("a bound: the true value is at least as good")
        if cell.mark:
            parts.append(_MARKS[cell.mark])
        if cell.busy:
            parts.append(BUSY)
    if cell.why:
        parts.append(f"missing: {cell.why}")
    return "; ".join(parts)


def heading(column: Column) -> str:
    """``fd_lenet ↓`` or ``latency_p50 (ms) ↓``."""
    unit = f" ({scale_of(column).unit})" if scale_of(column).unit else ""
    return f"{column.label}{unit} {ARROWS[column.better]}".strip()


def describe(column: Column) -> str:
    """The tooltip of a heading: what the metric measures, then all that a number must share to be compared with it."""
    return f"{column.about} {protocol(column)}".strip()


def protocol(column: Column, but: Collection[str] = ()) -> str:
    """Direction and settings in words. ``but``: settings that are said elsewhere."""
    own = {key: value for key, value in column.protocol.items() if key not in but}
    return "; ".join([DIRECTIONS[column.better], *_settings(own), f"protocol {column.fingerprint}"])


class Meanings(NamedTuple):
    """Columns that look at the same: what they share of their protocols, and each with what is its own."""

    title: str
    shared: str
    columns: list[tuple[Column, str]]


def meanings(columns: Iterable[Column]) -> Iterator[Meanings]:
    """What the columns mean, by extractor, so that what is long and the same is said once."""
    found: dict[str, list[Column]] = defaultdict(list)
    for column in columns:
        found[column.extractor].append(column)
    for extractor, its in found.items():
        alike = {k: v for k, v in its[0].protocol.items() if all((k, v) in c.protocol.items() for c in its)}
        if len(its) == 1 or not extractor:
            alike = {}
        title = f"Of {seen_as(extractor)}" if extractor else "Of samples and models"
        yield Meanings(title, "; ".join(_settings(alike)), [(c, protocol(c, alike)) for c in its])


def seen_as(extractor: str) -> str:
    """What measures of features look at: those of a network or, where the protocol says none, the data as it is."""
    return "data as it is" if extractor == "none" else f"{extractor} features"


def _settings(values: Mapping[str, object]) -> list[str]:
    return [f"{key} = {_setting(value)}" for key, value in values.items()]


def _setting(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return plain(float(value))
    return visible(str(value), _LONGEST)
