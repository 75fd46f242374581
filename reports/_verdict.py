"""A few plain sentences a dataset: who is best, by how much, and how fast it is beside the runner-up.

A claim goes only where the data point. Elsewhere a sentence says what is open, and how many seeds would do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.results.board import Board, Column, Row
from bench.results.ranks import Evidence, by_parts, difference, same, seeds_needed, told, told_worse
from bench.statistics import MOST
from reports._cells import with_unit

_SUPERLATIVE = {"lower": "lowest", "higher": "highest"}
_ALIKE = 0.1  # speeds known to differ by less than this part are about the same
_NAMED = 4  # generators that a sentence may name


class Entry(NamedTuple):
    """A generator's number in one column: what is known of it, how it is shown, and how the board tells it.

    behind: whether it is told to be worse than the best of the board; None where the board does not rank it.
    again: whether more seeds would tell more of it: of what was trained elsewhere there is one.
    """

    name: str
    known: Evidence
    shown: str
    behind: bool | None = None
    busy: bool = False
    again: bool = True


def verdict(board: Board) -> str:
    """The board in a few sentences, no claim beyond its numbers."""
    main = board.main
    if main is None or not (ranked := _entries(board.ranked, main)):
        return _nothing(board)
    names = {row.name for row in board.ranked if row.cells[main.key].mark == "beyond"}
    beyond = [entry for entry in ranked if entry.name in names]
    best, *others = [entry for entry in ranked if entry not in beyond] or ranked
    rivals = [entry for entry in others if not _behind(entry, best)]
    beaten = [entry for entry in others if entry not in rivals]
    floor, ahead = _beside_floor([best, *rivals], beaten, main, board)
    if not others:
        lead = (
            f"{best.name} has {main.label} {_number(best, main, board)}; nothing else was measured to compare it with"
        )
        sentences = [lead]
    elif not rivals:
        sentences = [_won(best, others, main, board, ahead), _speed(best.name, others[0].name, board)]
    else:
        tests = max(1, max(row.standing.tests for row in board.ranked if row.standing))
        sentences = [_undecided(best, rivals, main, tests), _fastest([best, *rivals], board)]
    if best in beyond:
        sentences.append("But that is better than real data itself, which is no merit")
    elif beyond:
        verbs = ("is better", "stands") if len(beyond) == 1 else ("are better", "stand")
        left = f"{_listed(beyond, 'and', numbers=True)} {verbs[0]} by {main.label} than real data itself"
        sentences.insert(0, f"{left}, which is no merit, and {verbs[1]} aside")
    sentences.insert(1 if ahead else len(sentences), floor)
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _entries(rows: Iterable[Row], column: Column) -> list[Entry]:
    """The rows that have a number there, in their order."""
    return [
        Entry(
            row.name,
            known,
            with_unit(cell, column),
            behind=s.behind if (s := row.standing) and s.place else None,
            busy=cell.busy,
            again=row.group.first.plan.weights is None,
        )
        for row in rows
        if (known := (cell := row.cells[column.key]).evidence)
    ]


def _behind(entry: Entry, best: Entry) -> bool:
    """By the tests that make the tiers; what has no place is told by itself."""
    return told_worse(entry.known, best.known) if entry.behind is None else entry.behind


def _nothing(board: Board) -> str:
    results = {record.status for group in board.groups if not group.control for record in group.records}
    if not results:
        return "Only yardsticks were run here."
    if "ok" not in results:
        return f"No generator has a result; every trial {' or was '.join(sorted(results))}."
    return "No generator has a number for realism or likelihood, and costs alone put none before another."


def _won(best: Entry, others: Sequence[Entry], main: Column, board: Board, beaten: bool) -> str:
    """beaten: whether a yardstick does better."""
    single = [entry.known.summary.n == 1 for entry in (best, *others)]
    if all(single):
        parts = all(by_parts(best.known, entry.known) for entry in others)
        basis = f", as far as {'the parts of the test data' if parts else 'the intervals within single runs'} can tell"
    elif any(single[1:]):
        basis = ", though some of its rivals have one seed only"
    else:
        basis = ", though it has one seed and its rivals several" if single[0] else ""
    lead = f"{best.name} has the {_SUPERLATIVE[main.better]} {main.label}{' of the generators' if beaten else ''}"
    return f"{lead}, {_number(best, main, board)}{basis}"


def _undecided(best: Entry, rivals: Sequence[Entry], main: Column, tests: int) -> str:
    """Said where the best mean is not told from others: who may have it, and what would tell, in so many tests."""
    what = f"the {_SUPERLATIVE[main.better]} {main.label}"
    near = [entry for entry in rivals if best.known.bound or not (entry.known.bound and told(entry.known, best.known))]
    if all(same(entry.known, best.known) for entry in rivals):
        return f"{_listed([best, *rivals], 'and')} share {what} ({_numbers([best, *rivals])})"
    if near:
        names = _listed([best, *near], "or", numbers=True)
        return f"It is open whether {names} has {what}: {_needed(best, near, tests)}"
    # They are told apart as numbers; but what is a bound may hide a better one.
    of_rivals = f"of {_listed(rivals, 'and')} only a bound is known ({_numbers(rivals)})"
    return f"{best.name} has {what} that is known, {best.shown} {_seeds(best)}; {of_rivals}"


def _needed(best: Entry, others: Sequence[Entry], tests: int = 1) -> str:
    """``2 seeds each do not tell, about 15 each would``: these, or the first of them, from the best."""
    compared = (best, *others[:_NAMED])
    counts = {entry.known.summary.n for entry in compared}
    tried = f"{max(counts)} seeds each do" if len(counts) == 1 else "the seeds run so far do"
    tried = "one seed each does" if counts == {1} else tried
    needed = [seeds_needed(entry.known, best.known, tests) for entry in compared[1:]]
    if not all(entry.again for entry in compared):
        return f"{tried} not tell, and of what was trained elsewhere more samples alone might"
    if any(n is None for n in needed):
        return f"{tried} not tell, and without a spread or an interval nobody knows how many would; 2 each are a start"
    most = max(max(n or 0 for n in needed), 1 + min(counts))  # with those that there are it was not told
    if most > MOST:
        return f"{tried} not tell, and {MOST:,} each would not either"
    # With single runs the spread is that of samples, and training scatters too.
    about = "at least" if counts == {1} else "about"
    return f"{tried} not tell, {about} {round(most, -1) if most > 100 else most:,} each would"


def _listed(entries: Sequence[Entry], word: str, *, numbers: bool = False) -> str:
    """``a, b and c``; of many the first, and how many more. ``numbers``: each with its own behind it."""
    names = [f"{entry.name} ({entry.shown})" if numbers else entry.name for entry in entries]
    if len(names) > _NAMED:
        rest = len(names) - _NAMED + 1
        names[_NAMED - 1 :] = [f"{'one of ' if word == 'or' else ''}{rest} others"]
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else names[0]


def _numbers(entries: Sequence[Entry]) -> str:
    """The numbers of those that are named, and over how many seeds where they have equally many."""
    shown = entries[: _NAMED - 1] if len(entries) > _NAMED else entries
    counts = {entry.known.summary.n for entry in shown}
    return f"{', '.join(entry.shown for entry in shown)}{f' {_seeds(shown[0])}' if len(counts) == 1 else ''}"


def _seeds(entry: Entry) -> str:
    return f"over {entry.known.summary.n} seeds" if entry.known.summary.n > 1 else "from one seed"


def _number(entry: Entry, main: Column, board: Board) -> str:
    """With what real data scores, for a sense of scale."""
    real = _entries((row for row in board.controls if row.group.role == "ceiling"), main)
    return f"{entry.shown} {_seeds(entry)}{f' (real data: {real[0].shown})' if real else ''}"


def _beside_floor(first: Sequence[Entry], others: Sequence[Entry], main: Column, board: Board) -> tuple[str, bool]:
    """Said where those that may be the best are not told to be better than a floor: then there is no winner.

    Where they are, those whose number is no better than its are named. With it whether a floor is told to be ahead.
    """
    sign = -1 if main.better == "higher" else 1
    floors = _entries((row for row in board.controls if row.group.role == "floor"), main)
    for floor in sorted(floors, key=lambda entry: sign * entry.known.mean):  # the hardest to beat before the others
        best, shown = first[0], f"{floor.name} ({floor.shown})"
        ahead = [entry for entry in (*first, *others) if sign * entry.known.mean < sign * floor.known.mean]
        if best not in ahead:
            if same(best.known, floor.known):
                return f"But the yardstick {shown} does as well", False
            if told_worse(best.known, floor.known):
                return (
                    f"But the yardstick {shown} does better{' than all of them' if first[1:] or others else ''}",
                    True,
                )
            return f"But the yardstick {shown} may do better: {_needed(floor, [best])}", False
        lost = [e for e in (*first, *others) if e not in ahead and (e in others or told_worse(e.known, floor.known))]
        if doubtful := [e for e in first if e not in lost and not (e in ahead and told(e.known, floor.known))]:
            asked = f"Whether {_listed(doubtful, 'and')} {_does(doubtful)} better than {shown} is open"
            return f"{asked}: {_needed(floor, doubtful)}", False
        if lost:
            return f"{_listed(lost, 'and')} {_does(lost)} not come out ahead of {shown}", False
    return "", False


def _does(entries: Sequence[Entry]) -> str:
    return "does" if len(entries) == 1 else "do"


def _fastest(entries: Sequence[Entry], board: Board) -> str:
    """What may decide between those that are not told apart, where the clock tells the first from all others."""
    names = {entry.name for entry in entries}
    for column in board.speed:
        timed = _entries((row for row in board.ranked if row.name in names), column)
        if len(timed) < len(names) or any(entry.busy for entry in timed):
            continue
        first, *others = sorted((entry.known for entry in timed), key=lambda known: -known.mean)
        if 0 < 1.05 * others[0].mean < first.mean and all(told(first, other) for other in others):
            name = next(entry.name for entry in timed if entry.known is first)
            ahead, number = _times(first.mean, others[0].mean), {2: "two", 3: "three"}.get(len(names), len(names))
            return f"Of the {number}, {name} samples fastest, at {ahead} the speed of the next"
    return ""


def _speed(best: str, second: str, board: Board) -> str:
    """How the winner's sampling compares with the runner-up's, where both were timed alike."""
    timed_all = ([e for e in _entries(board.ranked, c) if e.known.mean > 0 and not e.busy] for c in board.speed)
    columns = ({entry.name: entry for entry in timed} for timed in timed_all)
    timed = next((entries for entries in columns if best in entries and second in entries), None)
    if timed is None:
        return ""
    mine, other = timed[best], timed[second]
    slower, faster = sorted((mine.known.mean, other.known.mean))
    sure, apart = told(mine.known, other.known), difference(mine.known, other.known)
    if (sure and faster < 1.05 * slower) or (apart and abs(apart.value) + apart.reach() < _ALIKE * slower):
        return f"It samples about as fast as {other.name}, the runner-up"
    if not sure:
        return f"Whether it samples faster than {other.name}, the runner-up, is open: {_needed(mine, [other])}"
    if faster == mine.known.mean:
        return f"It samples {_times(faster, slower)} as fast as {other.name}, the runner-up"
    return f"It takes {_times(faster, slower)} as long to sample as {other.name}, the runner-up"


def _times(more: float, less: float) -> str:
    ratio = more / less
    if ratio > 1e6:
        return "over 1,000,000×"
    return f"{ratio:,.1f}×" if ratio < 10 else f"{ratio:,.0f}×"
