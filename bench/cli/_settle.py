"""More seeds for what a gate could not tell: of those generators alone, on each side whose code is the one here."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import GenbenchError, printable

if TYPE_CHECKING:
    from bench.engine.plan import TrialPlan
    from bench.results.store import Planned, Records

MOST = 20  # seeds a side that are run without being asked for by number
Wanted = Mapping[tuple[str, str], int]  # seeds a side, by dataset and generator


def settle(paths: Sequence[str], wanted: Wanted, jobs: int) -> None:
    """Run what each side lacks of the seeds wanted; a side that cannot be run stays as it is, and why is printed.

    Raises GenbenchError where neither can be, or where that takes more than ``MOST`` seeds.
    """
    if (most := max(wanted.values())) > MOST:
        raise GenbenchError(
            f"--settle: that takes {most} seeds a side, more than {MOST}: widen the margin, or run them"
        )
    reasons = []
    for path in paths:
        try:
            _run(path, wanted, jobs)
        except GenbenchError as error:  # such as a baseline of the code before
            reasons.append(f"--settle: {error}")
    if len(reasons) == len(paths):
        raise GenbenchError("\n".join(reasons))
    for reason in reasons:
        print(printable(f"{reason}\n  so the other side alone has more seeds"), file=sys.stderr)


def _run(path: str, wanted: Wanted, jobs: int) -> None:
    if not Path(path).is_dir():
        raise GenbenchError(f"{path} is no run folder, whose suite could be run with more seeds")
    from bench.engine import runner
    from bench.results.store import read_side

    records, _ = read_side(path)
    for planned in records.planned:
        suite, overrides = _of(planned)
        have = {trial.seed for trial in planned.trials}
        seeds = sorted(have | {*range(max(wanted.values()))})
        known = {record.run_id for record in records if record.plan.suite == planned.suite}
        if not known <= {p.run_id for p in runner.plan(suite, path, overrides=overrides)}:
            told = f"{planned.command} --set 'seeds={seeds}'"  # of several, the last counts
            raise GenbenchError(f"{path} was made by other code: with that code, run\n  {told}")
        more = [*overrides, f"seeds={seeds}"]
        trials = [t for t in runner.plan(suite, path, overrides=more) if t.seed in have or _asked(t, wanted)]
        print(printable(f"{path}: {_estimate([t for t in trials if t.seed not in have], records)}"), file=sys.stderr)
        runner.run(suite, out=path, jobs=jobs, overrides=more, only={trial.run_id for trial in trials})


def _asked(trial: TrialPlan, wanted: Wanted) -> bool:
    """Whether it is one of the seeds that would tell; a board may call its generator ``vae (latent=64)``."""

    def called(label: str, name: str) -> bool:
        return label == name or label.startswith(f"{name} (")

    return any(
        trial.seed < seeds and called(dataset, trial.dataset) and called(generator, trial.generator)
        for (dataset, generator), seeds in wanted.items()
    )


def _estimate(missing: Sequence[TrialPlan], records: Records) -> str:
    """How many trials of what, and how long they take if they take what those before took."""
    took = {
        name: [sum(r.phases.values()) for r in records if r.plan.generator == name and r.phases]
        for name in dict.fromkeys(p.generator for p in missing)
    }
    seconds = sum(sum(took[p.generator]) / len(took[p.generator]) for p in missing if took[p.generator])
    seeds, minutes = sorted({p.seed for p in missing}), max(1, round(seconds / 60))
    return f"{len(missing)} trials, {', '.join(took)} with seeds {seeds}: about {minutes} min of work"


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
