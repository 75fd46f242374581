"""More seeds for what a gate could not tell, on both sides, where their code is the one that is here."""

from __future__ import annotations

import itertools
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import GenbenchError

if TYPE_CHECKING:
    from bench.results.store import Planned, Records

MOST = 20  # seeds a side that are run without being asked for by number


def settle(path: str, records: Records, seeds: int, jobs: int) -> None:
    """Run what a folder's suite lacks of the first ``seeds`` seeds. Raises GenbenchError where that cannot be done."""
    if not Path(path).is_dir():
        raise GenbenchError(f"--settle: {path} is no run folder, whose suite could be run with more seeds")
    if seeds > MOST:
        raise GenbenchError(
            f"--settle: that takes {seeds} seeds a side, more than {MOST}: widen the margin, or run them"
        )
    from bench.engine import runner

    for planned in records.planned:
        suite, overrides = _of(planned)
        have = {trial.seed for trial in planned.trials}
        known = {record.run_id for record in records if record.plan.suite == planned.suite}
        if not known <= {p.run_id for p in runner.plan(suite, path, overrides=overrides)}:
            told = f"{planned.command} --set 'seeds={[*range(seeds)]}'"  # of several, the last counts
            raise GenbenchError(f"--settle: {path} was made by other code: with that code, run\n  {told}")
        wanted = sorted(have | {*range(seeds)})
        print(f"{path}: {planned.suite} with seeds {wanted}", file=sys.stderr)
        runner.run(suite, out=path, jobs=jobs, overrides=[*overrides, f"seeds={wanted}"])


def _of(planned: Planned) -> tuple[str, list[str]]:
    """The suite and the ``--set`` of the command that made a folder."""
    try:
        words = shlex.split(planned.command)
    except ValueError:  # a plan may be anybody's file
        words = []
    if words[:2] != ["genbench", "run"] or len(words) < 3 or words[2].startswith("-"):
        raise GenbenchError(f"--settle: the plan of {planned.suite} does not say how it was run")
    pairs = itertools.pairwise(words)
    return words[2], [value for option, value in pairs if option == "--set" and not value.startswith("seeds=")]
