"""``genbench check``: whether a candidate is worse than a baseline.

Exit status: 0 it is told to be no worse, 1 something is told to be worse, 2 wrong command or nothing to compare,
3 the data do not tell.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._options import Json
from bench.cli._tables import print_table, print_text
from bench.errors import GenbenchError, printable
from bench.registry import command

if TYPE_CHECKING:
    from bench.results.gate import Gate, Policy

STATUS = {"pass": 0, "fail": 1, None: 2, "inconclusive": 3}


@command("check")
def run(
    baseline: Annotated[str, typer.Argument(metavar="BASELINE", help="A run folder, a record or a bundle.")],
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="The same, of what is to be judged.")],
    margins: Annotated[
        list[str] | None,
        typer.Option("--margin", metavar="METRIC=5%", help="How much worse is no worse; again for more. They block."),
    ] = None,
    policy: Annotated[str | None, typer.Option(metavar="FILE", help="Margins and more, as TOML.")] = None,
    markdown: Annotated[str | None, typer.Option(metavar="FILE", help="Write a summary for people.")] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write JUnit's XML.")] = None,
    sarif: Annotated[str | None, typer.Option(metavar="FILE", help="Write SARIF 2.1.0.")] = None,
    settle: Annotated[
        bool, typer.Option("--settle", help="Where the data do not tell, run the seeds that would, and look again.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Trials at a time, with --settle.")] = 1,
    every: Annotated[bool, typer.Option("--all", help="Print what does not block, too.")] = False,
    as_json: Json = False,
) -> int:
    """Judge a candidate by a baseline.

    Exits with 0 if it passes, 1 if it fails, 2 if there is nothing to compare, 3 if the data do not tell.
    """
    from bench.files import write_atomic
    from bench.results.gate import read_policy, to_json, to_junit, to_markdown, to_sarif

    rules = read_policy(policy, margins or [])
    if settle:  # two looks at the same question share its error
        rules = rules.model_copy(update={"level": 1 - (1 - rules.level) / 2})
    gate = _judged(baseline, candidate, rules)
    if settle and gate.verdict == "inconclusive" and gate.seeds:
        from bench.cli._settle import settle as more_seeds

        more_seeds((baseline, candidate), gate, jobs)
        gate = _judged(baseline, candidate, rules)
    for target, write in ((markdown, to_markdown), (junit, to_junit), (sarif, to_sarif)):
        if target:
            write_atomic(Path(target), write(gate))
    if as_json:
        print(to_json(gate), end="")
    else:
        print_gate(gate, every=every)
    return STATUS[gate.verdict]


def _judged(baseline: str, candidate: str, rules: Policy) -> Gate:
    from bench.results.gate import check
    from bench.results.store import read_side

    sides = []
    for path in (baseline, candidate):
        records, ignored = read_side(path)
        for note in ignored:
            print(printable(f"{path}: {note}"), file=sys.stderr)
        if not records:
            raise GenbenchError(f"{path}: no trial has finished there yet")
        sides.append(records)
    return check(sides[0], sides[1], rules)


def print_gate(gate: Gate, *, every: bool) -> None:
    """The findings that block, or all, what would tell where they are open, and the verdict in a sentence."""
    from bench.results.gate.writing import WORDS, change_text, headline, in_order, settling_text, side_text

    shown = [f for f in in_order(gate.findings) if f.blocking or every]
    rows = [
        {
            "": WORDS[f.verdict] if f.blocking else WORDS[f.verdict].lower(),
            "what": f"{f.where}: {f.what}",
            "from": side_text(f.baseline),
            "to": side_text(f.candidate),
            "change": change_text(f),
            "margin": str(f.margin),
        }
        for f in shown
    ]
    print_table("", rows, wrapped=["what", "change"])
    for finding in shown:
        if told := settling_text(finding):
            print_text(f"{finding.where}: {finding.what}: {told} ({finding.method})")
    for note in gate.notes:
        print_text(f"not compared: {note}")
    for line in gate.settings:
        print_text(f"ran otherwise: {line}")
    hidden = len(gate.findings) - len(shown)
    print_text(headline(gate) + (f"; {hidden} more do not block (--all)" if hidden else ""))
