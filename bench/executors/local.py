"""Runs trials on this machine, each in a process of its own, some at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from bench.errors import OutputError
from bench.plan import TrialPlan
from bench.record import Failure, RunRecord
from bench.worker import record_of

OnEvent = Callable[[TrialPlan, Mapping[str, Any]], None]
OnRecord = Callable[[TrialPlan, RunRecord], None]
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class LocalExecutor:
    """``jobs`` worker processes at a time, each pinned to ``threads`` threads."""

    def __init__(self, out: Path, jobs: int, threads: int) -> None:
        self.out, self.jobs, self.threads = out, jobs, threads
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(self, plans: Iterable[TrialPlan], on_event: OnEvent, on_record: OnRecord) -> None:
        """Run every plan; ``on_record`` is called in this thread as each ends. Ctrl-C ends all workers at once."""
        with ThreadPoolExecutor(self.jobs) as pool:
            waiting = {pool.submit(self._run_one, plan, on_event): plan for plan in plans}
            try:
                while waiting:
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        on_record(waiting.pop(future), future.result())
            except BaseException:
                self._stop(waiting)
                raise

    def _stop(self, waiting: Iterable[Future[RunRecord]]) -> None:
        self._stopped = True
        for future in waiting:
            future.cancel()
        for process in tuple(self._running):
            _kill(process)

    def _run_one(self, plan: TrialPlan, on_event: OnEvent) -> RunRecord:
        log = self.out / "logs" / f"{plan.run_id}.log"
        with _open_log(log) as errors, self._start(errors) as process:
            self._running.add(process)
            if self._stopped:  # between the decision to stop and this line
                _kill(process)
            expired = threading.Event()
            timer = threading.Timer(plan.budget.time_limit, _end, (process, expired))
            timer.start()
            try:
                record = _converse(process, plan, on_event)
                process.wait()
            finally:
                timer.cancel()
                _kill(process)
                self._running.discard(process)
        return record or record_of(plan, "failed", _why_silent(process.returncode, plan, expired.is_set(), log))

    def _start(self, errors: Any) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            **dict.fromkeys(_THREAD_VARIABLES, str(self.threads)),
            "GENBENCH_JOBS": str(self.jobs),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
        }
        return subprocess.Popen(
            # -P: a folder named metrics/ where the user stands must not take the place of ours.
            [sys.executable, "-P", "-m", "bench.worker", str(self.out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            errors="replace",
            env=environment,
            # Ctrl-C must reach the parent alone, which then ends its workers and keeps their checkpoints.
            start_new_session=True,
        )


def _open_log(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _end(process: subprocess.Popen[str], expired: threading.Event) -> None:
    expired.set()
    _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """End a worker and whatever it started: each has a session, and so a process group, of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _converse(process: subprocess.Popen[str], plan: TrialPlan, on_event: OnEvent) -> RunRecord | None:
    """Send the plan, pass events on, and return the record, or None when the worker ends without one."""
    assert process.stdin is not None and process.stdout is not None
    try:
        # Not pydantic's JSON, which refuses a path that is not UTF-8.
        process.stdin.write(json.dumps(plan.model_dump()) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    for line in process.stdout:
        event = _parse(line)
        if "record" in event:
            return _own_record(event["record"], plan)
        if event:
            on_event(plan, event)
    return None


def _parse(line: str) -> dict[str, Any]:
    """An event, or nothing for a line that is none: cut short by a kill, or printed by a library."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _own_record(found: Any, plan: TrialPlan) -> RunRecord | None:
    """The record, if it is whole and of this plan."""
    try:
        record = RunRecord.model_validate(found)
    except ValidationError:
        return None
    return record if record.run_id == plan.run_id else None


def _why_silent(code: int, plan: TrialPlan, expired: bool, log: Path) -> Failure:
    """The reason a worker ended without a record, as far as its exit status and its log tell."""
    if expired:
        limit = plan.budget.time_limit
        message = f"stopped at its limit of {limit:g} s; raise budget.time_limit, and it goes on from its checkpoint"
        return Failure(kind="timeout", message=message)
    if code == -signal.SIGKILL:
        return Failure(kind="killed", message="killed (SIGKILL): often the system was out of memory")
    tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    return Failure(kind="killed", message=f"the worker ended with {how}: {tail[0]}")
