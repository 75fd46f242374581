"""More seeds for what a gate could not tell: of those generators alone, on each side whose code is the one here."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.engine import runner  # imports torch, so that this file is loaded where it is needed
from bench.engine.plan import TrialPlan
from bench.errors import GenbenchError, SuiteError, counted, printable
from bench.results.gate import Gate
from bench.results.store import Planned, read_side

MOST = 20  # seeds a side that are run without being asked for by number


class Side(NamedTuple):
    """A suite of a side that lacks some: the values set, all trials that are wanted there, and those missing."""

    path: str
    suite: str
    overrides: list[str]
    wanted: list[TrialPlan]
    missing: list[TrialPlan]


def settle(paths: Sequence[str], gate: Gate, jobs: int) -> None:
    """Run what each side lacks of the seeds that would tell, and print what and how long that is before.

    A side that cannot be run, such as a baseline of the code before, stays as it is; beside it pairs of seeds gain
    nothing from more. Raises GenbenchError where neither can be run.
    """
    wanted = {where: seeds for where, seeds in gate.seeds.items() if seeds <= MOST}
    reasons = [
        f"{generator} on {dataset} takes {seeds} seeds a side, more than {MOST}: widen its margin, or run them"
        for (dataset, generator), seeds in gate.seeds.items()
        if seeds > MOST
    ]
    sides: list[Side] = []
    stuck = False
    for path in paths if wanted else ():
        try:
            sides += _lacking(path, wanted)
        except GenbenchError as error:
            reasons.append(str(error))
            stuck = True
    if not sides:
        raise GenbenchError("\n".join(f"--settle: {reason}" for reason in reasons or ["no side lacks a seed"]))
    for reason in reasons:
        print(printable(f"--settle: {reason}"), file=sys.stderr)
    if stuck and any(f.paired and f.seeds for f in gate.blocking):
        raise GenbenchError("--settle: more seeds of one side add nothing to pairs of seeds")
    for side in sides:
        print(printable(f"{side.path}: {_estimate(side, jobs)}"), file=sys.stderr)
    for side in sides:
        ids = {trial.run_id for trial in side.wanted}
        runner.run(side.suite, out=side.path, jobs=jobs, overrides=side.overrides, only=ids)


def _lacking(path: str, wanted: Mapping[tuple[str, str], int]) -> Iterator[Side]:
    """Each suite of a run folder that lacks some. Raises GenbenchError for what is none, or is of other code."""
    if not Path(path).is_dir():
        raise GenbenchError(f"{path} is no run folder, whose suite could be run with more seeds")
    records, _ = read_side(path)
    for planned in records.planned:
        suite, overrides = _of(planned)
        have = {(trial.dataset, trial.generator, trial.seed) for trial in planned.trials}
        seeds = sorted({seed for _, _, seed in have} | {*range(max(wanted.values()))})
        overrides.append(f"seeds={seeds}")
        try:
            trials = runner.plan(suite, path, overrides=overrides)
        except SuiteError as error:
            raise GenbenchError(f"{path}: {error}; go where it was run: {planned.command}") from error
        if not {r.run_id for r in records if r.plan.suite == planned.suite} <= {trial.run_id for trial in trials}:
            told = f"{planned.command} --set 'seeds={seeds}'"  # of several, the last counts
            raise GenbenchError(f"{path} was made by other code: with that code, run\n  {told}")
        missing = [t for t in trials if (t.dataset, t.generator, t.seed) not in have and _asked(t, wanted)]
        known = [t for t in trials if (t.dataset, t.generator, t.seed) in have]
        if missing:
            yield Side(path, suite, overrides, known + missing, missing)


def _asked(trial: TrialPlan, wanted: Mapping[tuple[str, str], int]) -> bool:
    """Whether it is one of the seeds that would tell; a board may call its generator ``vae (latent=64)``."""

    def called(label: str, name: str) -> bool:
        return label == name or label.startswith(f"{name} (")

    return any(
        trial.seed < seeds and called(dataset, trial.dataset) and called(generator, trial.generator)
        for (dataset, generator), seeds in wanted.items()
    )


def _estimate(side: Side, jobs: int) -> str:
    """How many trials of what, and how long they take if they take what those before took."""
    took: dict[str, list[float]] = {trial.generator: [] for trial in side.missing}
    for record in read_side(side.path)[0]:
        if record.phases and record.plan.generator in took:
            took[record.plan.generator].append(sum(record.phases.values()))
    seconds = sum(sum(took[t.generator]) / len(took[t.generator]) for t in side.missing if took[t.generator]) / jobs
    seeds, minutes = sorted({trial.seed for trial in side.missing}), max(1, round(seconds / 60))
    unknown = ", ".join(name for name, before in took.items() if not before)
    rest = f", and {unknown}, of which nothing is known" if unknown else ""
    return f"{counted(len(side.missing), 'trial')}, {', '.join(took)} with seeds {seeds}: about {minutes} min{rest}"


def _of(planned: Planned) -> tuple[str, list[str]]:
    """The suite and the ``--set`` of the command that made a folder."""
    try:
        words = shlex.split(planned.command)
    except ValueError:  # a plan may be anybody's file
        words = []
    if words[:2] != ["genbench", "run"] or len(words) < 3 or words[2].startswith("-"):
        raise GenbenchError(f"the plan of {planned.suite} does not say how it was run")
    pairs = itertools.pairwise(words)
    return words[2], [value for option, value in pairs if option == "--set" and not value.startswith("seeds=")]
