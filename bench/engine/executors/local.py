"""Runs trials on this machine, each in a process of its own, some at a time."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import ValidationError

from bench.engine.executors._base import Limits, OnEvent, OnRecord
from bench.engine.plan import TrialPlan, checkpoint_path
from bench.engine.worker import AS_IT_IS, record_of
from bench.errors import OutputError
from bench.files import NO_TRAP
from bench.openmp import waiting_policy
from bench.record import Failure, RunRecord
from bench.registry import executor

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
LOOK = 1.0  # seconds between two looks at a silent worker


@executor("local")
class LocalExecutor:
    """Worker processes on this machine, ``jobs`` at a time, each pinned to ``threads`` threads.

    check: called every second in the thread of ``run``; what it raises ends the run.
    """

    def __init__(self, out: Path, jobs: int, threads: int, check: Callable[[], None] = lambda: None) -> None:
        self.out, self.jobs, self.threads, self.check = out, jobs, threads, check
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, plans: Iterable[TrialPlan], on_event: OnEvent, on_record: OnRecord) -> None:
        """Run every plan; ``on_record`` is called in this thread as each ends. Ctrl-C ends all workers at once."""
        with _noted_interrupts() as interrupted, ThreadPoolExecutor(self.jobs) as pool:
            waiting = {pool.submit(self._run_one, plan, on_event): plan for plan in plans}
            try:
                while waiting:
                    done, _ = wait(waiting, LOOK, return_when=FIRST_COMPLETED)
                    for future in done:
                        on_record(waiting.pop(future), future.result())
                    self.check()
                    if interrupted():
                        raise KeyboardInterrupt
            except BaseException:
                self._stopped = True
                for future in waiting:
                    future.cancel()
                for process in tuple(self._running):
                    _kill(process)
                raise

    def _run_one(self, plan: TrialPlan, on_event: OnEvent) -> RunRecord:
        """Train and measure; where a limit ended the training, measure its last checkpoint."""
        record, over_training = self._work(plan, on_event)
        if not over_training or self._stopped or not checkpoint_path(self.out, plan).exists():
            return record
        measured, _ = self._work(plan, on_event, AS_IT_IS)
        if record.error is None or measured.error is None:  # of a training that was done already
            return measured
        why = f"{record.error.message}; {measured.error.message}"
        return measured.model_copy(update={"error": record.error.model_copy(update={"message": why})})

    def _work(self, plan: TrialPlan, on_event: OnEvent, *words: str) -> tuple[RunRecord, bool]:
        """The record of one worker, and whether a limit ended it before anything could be measured."""
        log = self.out / "logs" / f"{plan.run_id}.log"
        with _open_log(log, "a" if words else "w") as errors, self._start(errors, words) as process:
            self._running.add(process)
            if self._stopped:  # between the decision to stop and this line
                _kill(process)
            limits = Limits(plan.budget)
            try:
                record = _converse(process, plan, on_event, limits)
                with contextlib.suppress(subprocess.TimeoutExpired):  # it has answered, or has nothing more to say
                    process.wait(10)
            finally:
                _kill(process)
                self._running.discard(process)
        if record and limits.answered:
            return record, False
        failure = limits.failure or _why_silent(process.returncode, log)
        found = record.model_copy(update={"error": failure}) if record else record_of(plan, "failed", failure)
        return found, limits.failure is not None and not limits.measuring

    def _start(self, errors: Any, words: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            **dict.fromkeys(_THREAD_VARIABLES, str(self.threads)),
            **waiting_policy(os.environ),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
        }
        return subprocess.Popen(
            # -P: a folder named metrics/ where the user stands must not take the place of ours.
            [sys.executable, "-P", "-m", "bench.engine", str(self.out), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            # Ctrl-C must reach the parent alone, which then ends its workers and keeps their checkpoints. A group in
            # the same session, and not a session: so the system wakes and ends it if it is stopped when we are killed.
            process_group=0,
        )


def _open_log(path: Path, mode: Literal["a", "w"]) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, mode, encoding="utf-8", opener=lambda name, flags: os.open(name, flags | NO_TRAP, 0o644))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker and whatever it started: each has a process group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS has the second for those that have ended
        os.killpg(process.pid, signal.SIGKILL)


def _converse(process: subprocess.Popen[bytes], plan: TrialPlan, on_event: OnEvent, limits: Limits) -> RunRecord | None:
    """Send the plan, pass events on, and return the last record that came; None where none did.

    Ends with the worker's answer, with its end, or when a limit is over.
    """
    assert process.stdin is not None
    try:
        # Not pydantic's JSON, which refuses a path that is not UTF-8.
        process.stdin.write(json.dumps(plan.model_dump()).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    record = None
    for line in _lines(process, limits):
        event = _parse(line)
        if event:
            limits.hear(event)
        if found := event.get("record", event.get("so_far")):
            record = _own_record(found, plan) or record
        if limits.answered or limits.failure:
            return record
        if event.keys() & {"step", "resumed", "phase", "remark", "beat"}:
            on_event(plan, event)
    return record


def _lines(process: subprocess.Popen[bytes], limits: Limits) -> Iterator[bytes]:
    """Lines of standard output as they come; an empty one every second without any. Ends when the process has."""
    assert process.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            ready = selector.select(LOOK)
            limits.look()
            chunk = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            # What a family has started may keep the pipe open after the worker itself is gone.
            if not chunk and (ready or process.poll() is not None):
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines or [b""]


def _parse(line: bytes | str) -> dict[str, Any]:
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


def _why_silent(code: int, log: Path) -> Failure:
    """The reason a worker ended without a record, as far as its exit status and its log tell."""
    if code == -signal.SIGKILL:
        return Failure(kind="killed", message="killed (SIGKILL): often the system was out of memory")
    tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    return Failure(kind="killed", message=f"the worker ended with {how}: {tail[0]}")


@contextlib.contextmanager
def _noted_interrupts() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C is only noted, so that it cuts no record short however often it comes. Gives: whether it came."""
    came: list[int] = []
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual in (signal.SIG_IGN, None):
        yield lambda: False
        return
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGINT, usual)
