"""One honest sentence a dataset: who is best, by how much, and how fast it is beside the runner-up."""

from __future__ import annotations

from reports.cells import with_unit
from reports.leaderboard import Board, Column, Row
from reports.ranking import within_noise

_SUPERLATIVE = {"lower": "lowest", "higher": "highest"}
SPEED = "sample_throughput"


def verdict(board: Board) -> str:
    """The board in a sentence, no claim beyond its numbers."""
    main = board.main
    ranked = [row for row in board.ranked if main and row.cells[main.key].summary]
    if main is None or not ranked:
        return _nothing(board)
    if len(ranked) == 1:
        return f"{ranked[0].name} has {main.label} {_number(ranked[0], main, board)}, and no rival yet."
    tied = [row for row in ranked[1:] if row.cells[main.key].mark]
    sentence = _shared([ranked[0], *tied], main, board) if tied else _won(ranked, main, board)
    return f"{sentence}{_beaten(ranked[0], main, board)}."


def _nothing(board: Board) -> str:
    results = {record.status for group in board.groups if not group.control for record in group.records}
    if not results:
        return "only yardsticks were run here."
    if "ok" not in results:
        return f"no generator has a result; every trial {' or was '.join(sorted(results))}."
    return "no generator has a number for realism or likelihood."


def _won(ranked: list[Row], main: Column, board: Board) -> str:
    best, second = ranked[:2]
    lead = f"{best.name} has the {_SUPERLATIVE[main.better]} {main.label}"
    return f"{lead}, {_number(best, main, board)}{_speed(best, second, board)}"


def _shared(rows: list[Row], main: Column, board: Board) -> str:
    names = f"{', '.join(row.name for row in rows[:-1])} and {rows[-1].name}"
    numbers = ", ".join(with_unit(row.cells[main.key], main) for row in rows)
    equal = all(row.mean(main) == rows[0].mean(main) for row in rows)
    noise = "" if equal else ", a difference within the noise over seeds"
    shared = f"{names} share the {_SUPERLATIVE[main.better]} {main.label} ({numbers}{noise})"
    return f"{shared}{_fastest(rows, board)}"


def _fastest(rows: list[Row], board: Board) -> str:
    """What may decide between equals, where all were timed alike and the clock can tell them apart."""
    for column in board.find(SPEED):
        timed = [(s, row.name) for row in rows if (s := row.cells[column.key].summary)]
        if len(timed) < max(2, len(rows)):
            continue
        (second, _), (first, name) = sorted(timed, key=lambda pair: pair[0].mean)[-2:]
        if 0 < 1.05 * second.mean < first.mean and not within_noise(first, second):
            return f"; {name} samples fastest, {_times(first.mean / second.mean)} the speed of the next"
    return ""


def _number(row: Row, main: Column, board: Board) -> str:
    summary = row.cells[main.key].summary
    assert summary
    seeds = f"over {summary.n} seeds" if summary.n > 1 else "from one seed"
    return f"{with_unit(row.cells[main.key], main)} {seeds}{_reference(main, board)}"


def _reference(main: Column, board: Board) -> str:
    """What real data scores, for a sense of scale."""
    real = [row for row in board.controls if row.group.first.family == "real" and row.cells[main.key].summary]
    return f" (real data: {with_unit(real[0].cells[main.key], main)})" if real else ""


def _beaten(best: Row, main: Column, board: Board) -> str:
    """Said where the best generator is no better than noise: then there is no winner."""
    mine = best.cells[main.key].summary
    for row in board.controls:
        other = row.cells[main.key].summary
        if row.group.first.family != "noise" or mine is None or other is None:
            continue
        worse = mine.mean >= other.mean if main.better == "lower" else mine.mean <= other.mean
        if worse or within_noise(mine, other):
            return f"; but none is better than noise ({with_unit(row.cells[main.key], main)})"
    return ""


def _speed(best: Row, second: Row, board: Board) -> str:
    """How the winner's sampling compares with the runner-up's, where both were timed alike."""
    for column in board.find(SPEED):
        mine, other = best.cells[column.key].summary, second.cells[column.key].summary
        if mine and other and mine.mean > 0 and other.mean > 0:
            return _ratio(mine.mean / other.mean, second.name, within_noise(mine, other))
    return ""


def _ratio(ratio: float, name: str, same: bool) -> str:
    if same or 1 / 1.05 < ratio < 1.05:
        return f", and samples about as fast as {name}, the runner-up"
    if ratio > 1:
        return f", and samples {_times(ratio)} as fast as {name}, the runner-up"
    return f", but takes {_times(1 / ratio)} as long to sample as {name}, the runner-up"


def _times(ratio: float) -> str:
    return f"{ratio:,.1f}×" if ratio < 10 else f"{ratio:,.0f}×"
