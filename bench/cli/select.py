"""``genbench select``: which model to take."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli._options import Json
from bench.cli._tables import print_table, print_text
from bench.cli.compare import number_text
from bench.errors import GenbenchError, printable
from bench.registry import command

if TYPE_CHECKING:
    from bench.results.board import Board, Column
    from bench.results.selection import Candidate, Choice

SEED = 0  # of the draws that probabilities are taken from


@command("select")
def run(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A run folder or a bundle.")],
    minimize: Annotated[str | None, typer.Option(metavar="METRIC", help="What is to be low.")] = None,
    maximize: Annotated[str | None, typer.Option(metavar="METRIC", help="What is to be high.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="'peak_rss_bytes <= 5e8', in the metric's unit; again for more."),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="What is cheap in the best tier.", show_default="sampling speed"),
    ] = None,
    front: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC", help="Where nothing is to be best: what to trade off; again for more."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="One of several in the folder.")] = None,
    as_json: Json = False,
) -> int:
    """Choose a model under constraints.

    Constraints first, then the best quality tier, then the cheapest inside it; without an objective, the front.
    Exits with 0 if something was chosen for every dataset that has what is asked for, 1 if nothing keeps the
    conditions on one of them, 2 for a wrong command.
    """
    from bench.results.board import leaderboards
    from bench.results.groups import newest
    from bench.results.selection import Condition
    from bench.results.store import read_side

    if minimize and maximize:
        raise GenbenchError("--minimize and --maximize name one objective: give one of them")
    records, ignored = read_side(folder)
    for note in ignored:
        print(printable(note), file=sys.stderr)
    boards = [b for b in leaderboards(newest(records)[0]) if b.ranked and dataset in (None, b.dataset)]
    if not boards:
        of = f" of {dataset}" if dataset else ""
        raise GenbenchError(f"{folder}: no generator has a number{of} yet")
    goal, conditions = minimize or maximize, [Condition.read(text) for text in where or []]
    asked = {"objective": goal, "conditions": conditions, "price": price, "front": front or []}
    choices = _choices(boards, "lower" if minimize else "higher", asked)
    if as_json:
        print(json.dumps([_facts(choice) for choice in choices], indent=1))
    else:
        for choice in choices:
            _print(choice)
    return 0 if all(choice.chosen for choice in choices) else 1


def _choices(boards: Sequence[Board], direction: str, asked: dict[str, Any]) -> list[Choice]:
    """That of each board that has what is asked for; of the others why not is printed. Raises where none has."""
    import numpy as np

    from bench.results.selection import column_of, select

    choices, without = [], []
    for board in boards:
        try:
            if asked["objective"]:
                _check_direction(column_of(board, asked["objective"], compared=True), direction)
            choices.append(select(board, np.random.default_rng(SEED), **asked))
        except GenbenchError as error:  # of several datasets one may be measured otherwise
            without.append(str(error))
    if not choices:
        raise GenbenchError("\n".join(dict.fromkeys(without)))
    for reason in without:
        print(printable(f"no choice: {reason}"), file=sys.stderr)
    return choices


def _check_direction(column: Column, asked: str) -> None:
    if column.better != asked:
        way = {"lower": "--minimize", "higher": "--maximize"}[column.better]
        raise GenbenchError(f"{column.label} is better when {column.better}: use {way}")


def _row(candidate: Candidate, choice: Choice) -> dict[str, str]:
    cells = {column.label: number_text(candidate.row.cells[column.key], column) for column in choice.columns}
    return {
        "": "take" if candidate.chosen else "",
        "generator": candidate.row.name,
        **({"tier": candidate.tier} if choice.objective else {}),
        **cells,
        **({"keeps the conditions": f"{candidate.keeps:.0%}"} if choice.conditions else {}),
        "best" if choice.objective else "on the front": "" if candidate.best is None else f"{candidate.best:.0%}",
        "not taken because": choice.passed_over(candidate),
    }


def _print(choice: Choice) -> None:
    rows = [_row(candidate, choice) for candidate in choice.candidates if not candidate.why]
    if rows:
        print_table(choice.board.dataset, rows, wrapped=["generator", "not taken because"])
    print_text(_said(choice))
    outside = [{"generator": c.row.name, "left out because": c.why} for c in choice.candidates if c.why]
    if outside:
        print_table("", outside, wrapped=["left out because"])


def _said(choice: Choice) -> str:
    """The choice in a few sentences."""
    from bench.statistics import MOST, leads

    on = choice.board.dataset
    if not choice.chosen:
        return f"On {on} nothing keeps all conditions; what comes nearest is to be seen below."
    if choice.objective is None:
        names = ", ".join(candidate.row.name for candidate in choice.chosen)
        told = f"On {on} nothing beats these in all that was asked together: {names}. Name an objective for one answer."
    else:
        (taken,) = choice.chosen
        tier = [c for c in choice.candidates if not c.why and leads(c.tier)]
        likely = [c for c in tier if c.likely]
        why = f"the best by {choice.objective.label}"
        if not leads(taken.tier):
            why = f"the best by {choice.objective.label} is hardly sure to keep the conditions, and this is"
        elif len(tier) > 1:
            first = choice.leader is not None and choice.leader.row is taken.row
            told_from = f"{len(tier) - 1} other{'s' if len(tier) > 2 else ''}"
            why = (
                f"the best by its mean of {choice.objective.label}, though not told from {told_from}"
                if first
                else f"not told from the best by {choice.objective.label} ({len(tier)} are not)"
            )
        if len(likely) > 1 and choice.price:
            why += f", and of the {len(likely)} that may well be the best the cheapest by {choice.price.label}"
        told = f"On {on} take {taken.row.name}: {why}."
        if choice.conditions:
            told += f" That it keeps the conditions is {taken.keeps:.0%} probable."
        if taken.best is not None:
            rest = " that keeps them" if choice.conditions else ""
            told += f" That nothing{rest} is better is {taken.best:.0%} probable."
        if choice.busy:
            told += (
                f" But some of {', '.join(choice.busy)} was timed while other work kept the machine busy, or heat or a "
                "quota held it back."
            )
        if choice.seeds is not None and choice.leader:
            more = f"{choice.seeds} seeds a side would" if choice.seeds <= MOST else f"not even {MOST} seeds would"
            told += (
                f" By its mean {choice.leader.row.name} is better, and the data are too few to tell: {more}, were the"
            )
            told += " difference as it seems."
    if choice.bounds:
        told += f" Of {', '.join(choice.bounds)} only bounds are known, taken as they stand: they may be better."
    if choice.fixed:
        told += f" Taken as exact, as nothing tells how they scatter: {', '.join(choice.fixed)}; train several seeds."
    return told


def _facts(choice: Choice) -> dict[str, Any]:
    def facts(candidate: Candidate) -> dict[str, Any]:
        numbers = {column.label: candidate.row.mean(column) for column in choice.columns}
        return {
            "generator": candidate.row.name, "chosen": candidate.chosen, "left_out": candidate.why or None,
            "passed_over": choice.passed_over(candidate) or None,
            "tier": candidate.tier or None, "may_be_best": candidate.likely,
            "probability_keeps_conditions": candidate.keeps, "probability_best": candidate.best, "numbers": numbers,
        }  # fmt: skip

    return {
        "dataset": choice.board.dataset,
        "objective": choice.objective.label if choice.objective else None,
        "price": choice.price.label if choice.price else None,
        "chosen": [candidate.row.name for candidate in choice.chosen],
        "candidates": [facts(candidate) for candidate in choice.candidates],
        "taken_as_exact": list(choice.fixed),
        "of_bounds": list(choice.bounds),
        "best_by_its_mean": choice.leader.row.name if choice.leader else None,
        "seeds_that_would_tell": choice.seeds,
    }
