"""Runs a suite: plans its trials, runs those that are missing, keeps every record, and returns the table."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench import files
from bench.doors import GUARD
from bench.engine.executors._base import MakeExecutor
from bench.engine.plan import TrialPlan, plan_trials
from bench.engine.progress import Display
from bench.engine.suite import read_suite
from bench.engine.worker import WORKER_FLAG
from bench.errors import DataError, GenbenchError, OutputError, RunStopped, check_path, counted, expect
from bench.probes.machine import choose_device, usable_cores
from bench.record import RunRecord, Status
from bench.registry import registry
from bench.results import store
from bench.results.render import render


@dataclass(frozen=True)
class Outcome:
    """The trials of a suite and the records they have; ``out`` is the run folder, ``page`` its report.

    ran: how many of the trials were run now; the others had their records.
    """

    out: Path
    plans: list[TrialPlan]
    records: list[RunRecord]
    page: Path
    ran: int

    @property
    def complete(self) -> bool:
        """Whether every trial has a record that is not failed."""
        return len(self.records) == len(self.plans) and not self.failed

    @property
    def failed(self) -> list[RunRecord]:
        return [record for record in self.records if record.status == "failed"]

    def frame(self) -> pd.DataFrame:
        return store.frame(self.records)


def run(
    suite: str | Path,
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    device: str = "auto",
    overrides: Sequence[str] = (),
    executor: str = "local",
    only: Container[str] | None = None,
) -> Outcome:
    """Run what is missing of a suite and write its report; see ``bench.run``. only: of trials with these run ids."""
    if os.environ.get(WORKER_FLAG):
        raise GenbenchError(GUARD)
    expect("jobs", jobs, isinstance(jobs, int) and jobs >= 1, "a whole number of at least 1")
    expect("executor", executor, isinstance(executor, str), 'a name, such as "local"')
    make_executor = registry.get("executors", executor).make
    with _heard() as said:
        plans = [p for p in plan(suite, out, device, overrides) if only is None or p.run_id in only]
    folder = Path(out) if out else default_out(plans)
    with files.lock(folder) as is_ours:
        files.refuse_links(folder / name for name in files.PARTS)
        for leftover in (path for name in files.PARTS for path in (folder / name).glob(".tmp-*")):
            if leftover.is_file():  # what a killed run was writing when it died; no reader ever saw it
                leftover.unlink(missing_ok=True)
        # What is planned stands in the folder, so that a report of a half-finished run can say what is missing.
        names = ("run_id", "generator", "dataset", "seed")
        trials = tuple(store.PlannedTrial(**{name: getattr(p, name) for name in names}) for p in plans)
        if plans:
            store.write_planned(folder, store.Planned(suite=plans[0].suite, command=plans[0].command, trials=trials))
        # A failed trial is tried again; a damaged record counts as none.
        left = [p for p in plans if not (record := _read(folder, p.run_id)) or record.status == "failed"]
        missing = [p.model_copy(update={"jobs": jobs}) for p in left]
        _execute(missing, folder, jobs, make_executor, is_ours, said)
        try:
            page = render(folder)
        except OutputError as error:
            raise RunStopped(f"the trials are done and kept, but not the report: {error}") from error
    return Outcome(folder, plans, [r for p in plans if (r := _read(folder, p.run_id))], page, len(missing))


def plan(
    suite: str | Path, out: str | Path | None = None, device: str = "auto", overrides: Sequence[str] = ()
) -> list[TrialPlan]:
    """The trials of a suite, checked whole, nothing run."""
    expect("suite", suite, isinstance(suite, str | os.PathLike), "a built-in name or the path of a TOML file")
    expect("out", out, out is None or isinstance(out, str | os.PathLike), "the path of a folder")
    check_path("suite", suite)
    check_path("out", out)
    listed = isinstance(overrides, list | tuple) and all(isinstance(text, str) for text in overrides)
    expect("overrides", overrides, listed, 'a list such as ["generators.vae.latent=64"]')
    files.cache_limit()  # raises
    words = ["genbench", "run", str(suite), *(word for o in overrides for word in ("--set", o))]
    words += ["--device", device] if device != "auto" else []
    words += ["--out", str(out)] if out else []
    return plan_trials(read_suite(suite, overrides), choose_device(device).type, shlex.join(words))


def default_out(plans: Sequence[TrialPlan]) -> Path:
    return Path("runs") / plans[0].suite


@contextlib.contextmanager
def _heard() -> Iterator[set[str]]:
    """What genbench logs meanwhile: a trial that reads the same data has the same to say, and it is said already."""
    log, said = logging.getLogger("genbench"), set[str]()

    def hear(record: logging.LogRecord) -> bool:
        said.add(record.getMessage())
        return True

    log.addFilter(hear)
    try:
        yield said
    finally:
        log.removeFilter(hear)


def _execute(
    plans: list[TrialPlan],
    out: Path,
    jobs: int,
    make_executor: MakeExecutor,
    is_ours: Callable[[], bool],
    said: AbstractSet[str],
) -> None:
    # OMP_NUM_THREADS is how every numerical library lets its user choose.
    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(given) if given.isdigit() and int(given) else max(1, usable_cores() // jobs)
    finished: list[RunRecord] = []

    def check() -> None:
        if not is_ours():
            raise _FolderLost(f"{out} was deleted or replaced while this run was writing to it")

    def keep(plan: TrialPlan, record: RunRecord) -> None:
        finished.append(record)
        check()
        store.write_record(out, _with_numbers_before(out, record))
        display.record(plan, record)

    with Display(plans, said=said) as display:
        try:
            executor = make_executor(out, jobs, threads, check)
            for wave in waves(plans):
                executor.run(wave, display.event, keep)
        except _FolderLost as error:
            if not finished:
                raise RunStopped(f"{error}; no trial was finished") from error
            beside = out.with_name(f"{out.name}-rescued")  # not in its place, which may be another run's by now
            for record in finished:
                store.write_record(beside, record)
            kept = f"what was finished ({len(finished)} of {len(plans)} trials) is kept in {beside}"
            raise RunStopped(f"{error}; {kept}") from error
        except OutputError as error:
            left = len(plans) - display.done
            rest = f"{counted(left, 'trial')} to run, and the same command goes on from there"
            raise RunStopped(f"{error}; {rest}") from error


def waves(plans: Iterable[TrialPlan]) -> list[list[TrialPlan]]:
    """Plans in lists to be run one after the other: of those that share a training, the first trains."""
    found, met = list[list[TrialPlan]](), Counter[str]()
    for plan in plans:
        turn = met[plan.training_id]
        met[plan.training_id] += 1
        found += [[]] if turn == len(found) else []
        found[turn].append(plan)
    return found


class _FolderLost(OutputError):
    """The run folder is no longer the one that this run holds."""


def _with_numbers_before(out: Path, record: RunRecord) -> RunRecord:
    """A new attempt that came to nothing does not take away the numbers that an earlier one left."""
    before = _read(out, record.run_id)
    if record.status != "failed" or record.measurements or before is None or not before.measurements:
        return record
    assert record.error is not None
    message = f"{record.error.message} (the numbers are of an attempt before this)"
    return before.model_copy(update={"status": "failed", "error": record.error.model_copy(update={"message": message})})


def _read(out: Path, run_id: str) -> RunRecord | None:
    """What a newer genbench measured is not taken for a damaged record, which would be written over: that is raised."""
    try:
        return store.read_record(store.record_path(out, run_id))
    except store.NewerRecord:
        raise
    except DataError:
        return None


def statuses(plans: Iterable[TrialPlan], out: Path) -> list[Status | None]:
    """What the record of each trial in a run folder says; None where there is none."""
    files.refuse_links([out / "records"])
    return [record.status if (record := _read(out, plan.run_id)) else None for plan in plans]
