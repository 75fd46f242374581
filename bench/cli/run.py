"""``genbench run``: all that is missing of a suite; with ``--dry-run`` what that would be."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._options import Device, names_of
from bench.cli._tables import print_table
from bench.errors import GenbenchError, counted, printable
from bench.registry import command, registry

if TYPE_CHECKING:
    from bench.engine.plan import TrialPlan
    from bench.engine.runner import Outcome

# What --json leaves out: how a worker comes to its code, and what is of this moment.
_UNTOLD = {"doors", "argv", "jobs", "command"}


@command("run")
def run(
    suite: Annotated[
        str,
        typer.Argument(
            metavar="SUITE",
            help="A built-in name (genbench list suites) or the path of a TOML file.",
            autocompletion=names_of("suites"),
        ),
    ],
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Run folder.", show_default="runs/<suite's name>")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Trials at a time.")] = 1,
    device: Device = "auto",
    executor: Annotated[
        str, typer.Option(metavar="NAME", help="What runs the trials: one of `genbench list executors`.")
    ] = "local",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="K=V", help="Change one value of the suite, and again for more."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Measure all that a model costs, which takes a minute more a trial.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the trials, and which are done, and stop.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --dry-run: all that is planned as one JSON document.")
    ] = False,
) -> int:
    """Run what is missing of a suite, and write the report."""
    if as_json and not dry_run:
        raise GenbenchError("--json prints what is planned: add --dry-run")
    from bench.engine import runner  # imports torch

    overrides = [*(overrides or []), *(["profile=true"] if profile else [])]
    if dry_run:
        registry.get("executors", executor)  # a wrong name is told before the run
        plans = runner.plan(suite, out, device, overrides)
        show = _print_json if as_json else _print_plan
        show(plans, Path(out or runner.default_out(plans)))
        return 0
    outcome = runner.run(suite, out=out, jobs=jobs, device=device, overrides=overrides, executor=executor)
    _conclude(outcome)
    return 0 if outcome.complete else 1


def _print_plan(plans: list[TrialPlan], out: Path) -> None:
    """A row a trial, then how many there are, how many are done, and what will have no number."""
    from bench.engine.runner import statuses
    from bench.engine.unmeasured import foreseen

    said = {None: "to run", "ok": "done", "skipped": "done: skipped", "failed": "failed, to run again"}
    found = statuses(plans, out)
    rows = [
        {
            "generator": plan.generator,
            "dataset": plan.dataset,
            "seed": str(plan.seed),
            "preset": plan.preset or "",
            "training": _training(plan),
            "metrics": str(len(plan.metrics)),
            "record": said[status],
        }
        for plan, status in zip(plans, found, strict=True)
    ]
    print_table("", rows, wrapped=["generator", "dataset"])
    done = sum(status in ("ok", "skipped") for status in found)
    print(f"{counted(len(plans), 'trial')}: {done} done in {printable(str(out))}, {len(plans) - done} to run")
    for line in foreseen(plans):
        print(printable(line))


def _training(plan: TrialPlan) -> str:
    """When it ends; empty for what is not trained."""
    trains = registry.get("generators", plan.family).trains
    if plan.load or trains is False:
        return ""
    return f"{plan.budget.target}{'' if trains else ', if it learns'}"


def _print_json(plans: list[TrialPlan], out: Path) -> None:
    """The resolved suite as one document, each trial with the status of its record."""
    from bench.engine.runner import statuses

    found = zip(plans, statuses(plans, out), strict=True)
    rows = [{"run_id": p.run_id, **p.model_dump(mode="json", exclude=_UNTOLD), "record": status} for p, status in found]
    print(json.dumps(rows, indent=1))


def _conclude(outcome: Outcome) -> None:
    """What failed and where its record is, what orders the boards, what has no number, and the path of the page."""
    from bench.engine.unmeasured import unmeasured
    from bench.results.board import orders

    counts = {s: sum(r.status == s for r in outcome.records) for s in ("ok", "failed", "skipped")}
    results = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    earlier = len(outcome.plans) - outcome.ran
    print(f"{results}{f'; {earlier} of them from an earlier run' if earlier else ''}", file=sys.stderr)
    for record in outcome.failed:
        why = record.error.message if record.error else ""
        print(f"  failed: {record.plan.title}: {why} (see {outcome.out}/records/{record.run_id}.json)", file=sys.stderr)
    for dataset, ordered_by in orders(outcome.records).items():
        if ordered_by:
            print(printable(f"{dataset}: {ordered_by}"), file=sys.stderr)
    for line in unmeasured(outcome.records, outcome.plans):
        print(printable(line), file=sys.stderr)
    print(outcome.page)
