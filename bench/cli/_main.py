"""The command line.

    genbench list [generators|metrics|datasets|suites|extractors|reports|modalities] [WORD ...] [--json]
    genbench run SUITE [--out DIR] [--jobs N] [--device auto|cpu|cuda] [--set k=v ...]
    genbench run SUITE --dry-run [--json]
    genbench evaluate SAMPLES REFERENCE [--metrics fd,kid,...] [--modality M] [--extractor E] [--train T] [--json]
    genbench report DIR [--format html|markdown|csv|json] [--to DIR]
    genbench doctor

Exit status: 0 every trial is ok (or skipped with a reason), 1 some failed, 2 wrong command, suite or input: nothing
ran, or nothing could be measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli.listing import for_a_table, listed
from bench.errors import DataWarning, GenbenchError, RunStopped, check_system, printable
from bench.interrupts import answer_interrupt
from bench.openmp import waiting_policy
from bench.registry import KINDS, registry
from bench.results.render import render

if TYPE_CHECKING:
    from bench.engine.plan import TrialPlan
    from bench.engine.runner import Outcome

OK, SOME_FAILED, WRONG = 0, 1, 2
DOWNLOAD = "GENBENCH_DOWNLOAD"  # extractors that may fetch their weights; 1 for all that are asked for


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line, to its exit."""
    sys.exit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; errors meant for the user are printed in one message."""
    options = _parser().parse_args(arguments)
    try:
        check_system()
        with _remarks_on_stderr():
            status: int = options.command(options)
        return status
    except RunStopped as error:
        return _complain(error, SOME_FAILED)
    except GenbenchError as error:
        return _complain(error, WRONG)
    except BrokenPipeError:  # `genbench list | head` closed the other end
        sys.stderr.close()
        return OK
    except KeyboardInterrupt:
        return answer_interrupt()


def _complain(error: GenbenchError, status: int) -> int:
    for line in str(error).splitlines():
        print(f"genbench: error: {line}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genbench",
        description="Train or load generative models, measure them, and render the comparison.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_list(commands)
    _add_run(commands)
    _add_evaluate(commands)
    _add_report(commands)
    doctor = commands.add_parser("doctor", help="what is here, and how to get what is missing")
    doctor.add_argument("--json", action="store_true", help="print one JSON document")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_list(commands: Any) -> None:
    parser = commands.add_parser("list", help="what is registered, plugins included")
    parser.add_argument("kind", nargs="?", metavar="KIND", help=f"one of {', '.join(KINDS)}; all if left out")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only what holds each of these words, such as novelty")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=_list)


def _add_run(commands: Any) -> None:
    parser = commands.add_parser("run", help="run what is missing of a suite, and write the report")
    parser.add_argument(
        "suite", metavar="SUITE", help="a built-in name (genbench list suites) or the path of a TOML file"
    )
    parser.add_argument("--out", metavar="DIR", help="run folder (default: runs/<suite's name>)")
    parser.add_argument("--jobs", type=_positive, default=1, metavar="N", help="trials at a time (default: 1)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="default: auto")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="K=V",
        dest="overrides",
        help="change one value of the suite",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the trials, and which are done, and stop")
    parser.add_argument("--json", action="store_true", help="with --dry-run: all that is planned as one JSON document")
    parser.set_defaults(command=_run)


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="measure samples of your own against real data")
    kinds = "a folder or .zip of pictures, .npz, .npy, .txt (a text a line), .json or .jsonl"
    parser.add_argument("samples", metavar="SAMPLES", help=kinds)
    parser.add_argument(
        "reference", metavar="REFERENCE", help="held-out real data, in any of these forms; for fd, .npz of mu, sigma"
    )
    parser.add_argument("--metrics", metavar="A,B", help="such as fd,kid or 'fd kid'; all that apply if left out")
    parser.add_argument("--modality", help="what the samples are; guessed if left out")
    parser.add_argument("--extractor", metavar="E", help="whose features (genbench list extractors)")
    parser.add_argument("--train", metavar="TRAIN", help="the training data, for measures of novelty")
    parser.add_argument("--prompts", metavar="FILE", help="one text a sample, in the samples' order")
    parser.add_argument("--seed", type=int, default=0, help="of splits and folds (default: 0)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="default: auto")
    parser.add_argument(
        "--download", action="store_true", help="fetch the extractor's weights where they are not here, checked by hash"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=_evaluate)


def _add_report(commands: Any) -> None:
    parser = commands.add_parser("report", help="render the records of a run folder")
    parser.add_argument("folder", metavar="DIR", help="a run folder")
    parser.add_argument(
        "--format", action="append", default=[], metavar="FORMAT", help="html, markdown, csv or json; all if left out"
    )
    parser.add_argument("--to", metavar="DIR", help="where to write (default: DIR/report)")
    parser.set_defaults(command=_report)


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def _list(options: argparse.Namespace) -> int:
    rows = listed(options.kind, options.words)
    if options.json:
        print(json.dumps({**rows, "failed_plugins": registry.failures}, indent=1))
    else:
        for kind, entries in rows.items():
            if entries or not options.words:
                _print_table(kind, for_a_table(entries))
    if not options.json and registry.failures:
        print(f"plugins that could not be imported:{registry.failure_note()}", file=sys.stderr)
    return OK


def _print_table(title: str, rows: Sequence[Mapping[str, Any]], wrapped: Collection[str] | None = None) -> None:
    """A row a line. wrapped: the columns that give way where the terminal is narrow; all but names if left out."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(rows[0] if rows else ()):
        keep = column == "name" if wrapped is None else column not in wrapped
        table.add_column(column, no_wrap=keep, overflow="fold", style="" if number else "bold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    console = _console()
    console.print(table)
    console.print()


def _console() -> Console:
    """As wide as the terminal; a file or a pipe has no width, and gets whole lines."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=200)


def _run(options: argparse.Namespace) -> int:
    if options.json and not options.dry_run:
        raise GenbenchError("--json prints what is planned: add --dry-run")
    from bench.engine import runner  # imports torch

    if options.dry_run:
        plans = runner.plan(options.suite, options.out, options.device, options.overrides)
        show = _print_plan_json if options.json else _print_plan
        show(plans, Path(options.out or runner.default_out(plans)))
        return OK
    outcome = runner.run(
        options.suite, out=options.out, jobs=options.jobs, device=options.device, overrides=options.overrides
    )
    _conclude(outcome)
    return OK if outcome.complete else SOME_FAILED


def _print_plan(plans: list[TrialPlan], out: Path) -> None:
    """A row a trial, then how many there are and how many are done."""
    from bench.engine.runner import statuses

    found = statuses(plans, out)
    rows = [_planned(plan, status) for plan, status in zip(plans, found, strict=True)]
    _print_table("", rows, wrapped=["generator", "dataset"])
    done = sum(status in ("ok", "skipped") for status in found)
    print(f"{len(plans)} trials: {done} done in {printable(str(out))}, {len(plans) - done} to run")


def _planned(plan: TrialPlan, status: str | None) -> dict[str, str]:
    """A trial as a row. What is loaded or is a yardstick is not trained; what failed is run again."""
    trained = not plan.load and not plan.control
    return {
        "generator": plan.generator,
        "dataset": plan.dataset,
        "seed": str(plan.seed),
        "preset": plan.preset or "",
        "training": str(plan.budget.target) if trained else "",
        "metrics": str(len(plan.metrics)),
        "record": {None: "to run", "ok": "done", "skipped": "done: skipped", "failed": "failed, to run again"}[status],
    }


def _print_plan_json(plans: list[TrialPlan], out: Path) -> None:
    """The resolved suite as one document, each trial with the status of its record."""
    from bench.engine.runner import statuses

    shown = {
        "generator",
        "family",
        "preset",
        "params",
        "load",
        "dataset",
        "options",
        "seed",
        "budget",
        "metrics",
        "device",
    }
    found = zip(plans, statuses(plans, out), strict=True)
    rows = [{"run_id": p.run_id, **p.model_dump(include=shown), "record": status} for p, status in found]
    print(json.dumps(rows, indent=1))


def _conclude(outcome: Outcome) -> None:
    """What failed and where its record is, and the path of the page."""
    counts = {s: sum(r.status == s for r in outcome.records) for s in ("ok", "failed", "skipped")}
    results = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    earlier = len(outcome.plans) - outcome.ran
    print(f"{results}{f'; {earlier} of them from an earlier run' if earlier else ''}", file=sys.stderr)
    for record in outcome.failed:
        why = record.error.message if record.error else ""
        print(f"  failed: {record.plan.title}: {why} (see {outcome.out}/records/{record.run_id}.json)", file=sys.stderr)
    print(outcome.page)


def _evaluate(options: argparse.Namespace) -> int:
    os.environ.update(waiting_policy(os.environ))
    if options.download:
        os.environ[DOWNLOAD] = "1"
    from bench import evaluate  # imports torch

    table = evaluate(
        options.samples,
        options.reference,
        metrics=options.metrics,
        modality=options.modality,
        extractor=options.extractor,
        train=options.train,
        prompts=options.prompts,
        seed=options.seed,
        device=options.device,
    )
    rows = json.loads(table.to_json(orient="records", double_precision=15))
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        _print_measured(rows)
    return OK


@contextlib.contextmanager
def _remarks_on_stderr() -> Iterator[None]:
    """What is said of data, of records and of the cache, each in one line; other warnings as Python shows them."""
    speaker, log = logging.StreamHandler(sys.stderr), logging.getLogger("genbench")
    speaker.setFormatter(logging.Formatter("genbench: warning: %(message)s"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        log.addHandler(speaker)
        stack.callback(log.removeHandler, speaker)
        warnings.simplefilter("always", DataWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, DataWarning):
                print(f"genbench: warning: {message}", file=sys.stderr)
            else:
                others(message, category, *place, **more)

        warnings.showwarning = show
        yield


def _print_measured(rows: list[dict[str, Any]]) -> None:
    """Values with their intervals and what is theirs alone of the protocol; what all share; what is missing and why."""
    measured = [row for row in rows if row["value"] is not None]
    common = _common([row["protocol"] for row in measured])
    shown = [_shown(row, common) for row in measured]
    used = [column for column in shown[0] if any(row[column] for row in shown)]
    _print_table("", [{column: row[column] for column in used} for row in shown], wrapped=["protocol"])
    lines = ["under " + _settings(common)] if common else []
    lines += [f"{row['metric']}: left out: {row['reason']}" for row in rows if row["value"] is None]
    for line in lines:
        _console().print(Text(line))


def _common(protocols: Sequence[Mapping[str, Any]]) -> set[tuple[str, Any]]:
    """What all have alike, and the data that some read: whether one does, its n_real or n_train says in its row."""
    every = {pair for protocol in protocols for pair in protocol.items()}
    counts = Counter(name for name, _ in every)
    return {
        pair
        for pair in every
        if all(pair in p.items() for p in protocols) or (pair[0] in ("reference", "train") and counts[pair[0]] == 1)
    }


def _shown(row: dict[str, Any], common: AbstractSet[tuple[str, Any]]) -> dict[str, str]:
    """A number as a row. ``common``: what its protocol shares with all others, and which is said once."""
    return {
        "metric": row["metric"],
        "value": f"{row['value']:.6g}",
        "95 %": "" if row["lo"] is None else f"[{row['lo']:.6g}, {row['hi']:.6g}]",
        "unit": "" if row["unit"] == "1" else row["unit"],
        "better": row["better"],
        "n": f"{row['n']:,}",
        "protocol": _settings(pair for pair in row["protocol"].items() if pair not in common),
    }


def _settings(pairs: Iterable[tuple[str, Any]]) -> str:
    """What was seen before how: the extractor, the rest by name, the method of the interval last."""
    order = sorted(pairs, key=lambda pair: (pair[0] == "interval", pair[0] != "extractor", pair[0]))
    return "; ".join(f"{name} {value}" for name, value in order)


def _report(options: argparse.Namespace) -> int:
    print(render(options.folder, options.to, options.format))
    return OK


def _doctor(options: argparse.Namespace) -> int:
    from bench.cli.doctor import examine

    findings = examine()
    if options.json:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
        return OK
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")  # paths and addresses are to be copied whole
    for f in findings:
        table.add_row(f.section, f.name, "yes" if f.here else "[bold]no[/bold]", f.detail)
    _console().print(table)
    return OK
