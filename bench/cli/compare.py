"""``genbench compare``: two generators side by side."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli._options import Json
from bench.cli._tables import print_table, print_text
from bench.errors import GenbenchError, printable
from bench.registry import command

if TYPE_CHECKING:
    from bench.results.board import Cell, Column
    from bench.results.pairs import Contrast


@command("compare")
def run(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A run folder or a bundle.")],
    first: Annotated[str, typer.Argument(metavar="A", help="A generator's name, as on the page.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another's.")],
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="One of several in the folder.")] = None,
    as_json: Json = False,
) -> int:
    """Compare two generators number by number."""
    from bench.results.board import leaderboards
    from bench.results.groups import newest
    from bench.results.pairs import compare
    from bench.results.store import read_side

    records, ignored = read_side(folder)
    for note in ignored:
        print(printable(note), file=sys.stderr)
    boards = [b for b in leaderboards(newest(records)[0]) if dataset in (None, b.dataset)]
    having = [b for b in boards if {first, second} <= {row.name for row in b.rows}] or boards[:1]
    if not having:
        raise GenbenchError(f"{folder}: no trial{f' of {dataset}' if dataset else ''} has finished there yet")
    found = {board.dataset: compare(board, first, second) for board in having}
    if as_json:
        print(json.dumps({name: [_facts(c) for c in contrasts] for name, contrasts in found.items()}, indent=1))
        return 0
    for name, contrasts in found.items():
        print_table(name, [_row(c, first, second) for c in contrasts], wrapped=["by"])
        print_text(_said(contrasts, first, second))
    return 0


def _row(c: Contrast, first: str, second: str) -> dict[str, str]:
    change = f"{c.difference.value:+.3g}" if c.difference else ""
    around = f" [{c.interval.lo:+.3g}, {c.interval.hi:+.3g}]" if c.interval else ""
    return {
        "metric": c.column.label,
        first: number_text(c.first, c.column),
        second: number_text(c.second, c.column),
        "difference": change + around,
        "p adjusted": "" if c.p is None else f"{c.p:.2g}",
        "better": {"first": first, "second": second, "": ""}[c.better],
        "by": c.method,
    }


def number_text(cell: Cell, column: Column) -> str:
    """Mean and spread, behind the side on which the truth lies where it is a bound."""
    side = {"lower": "≤ ", "higher": "≥ ", "none": ""}[column.better] if cell.bound else ""
    return f"{side}{cell.summary}" if cell.summary else ""


def _said(contrasts: list[Contrast], first: str, second: str) -> str:
    from bench.results.pairs import BY_PARTS, SINGLE

    told = []
    for side, name in (("first", first), ("second", second)):
        if labels := [c.column.label for c in contrasts if c.better == side]:
            told.append(f"{name} is told to be better in {', '.join(labels)}")
    rest = f"at 95 %, of {len(contrasts)} numbers, the share of false ones among such claims kept at 5 %"
    if any(c.method in (SINGLE, BY_PARTS) for c in contrasts):
        rest += "; by single runs, which know nothing of other seeds"
    return f"{'; '.join(told) or 'neither is told to be better in anything'} ({rest})."


def _facts(c: Contrast) -> dict[str, Any]:
    return {
        "metric": c.column.label, "unit": c.column.unit, "better_is": c.column.better,
        "first": c.first.summary and vars(c.first.summary), "second": c.second.summary and vars(c.second.summary),
        "difference": c.difference.value if c.difference else None,
        "interval": c.interval.model_dump() if c.interval else None, "p": c.p, "better": c.better or None,
        "method": c.method,
    }  # fmt: skip
