"""What runs trials: a protocol of one method, and how long a trial may be silent, or run, wherever it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from bench.engine.budget import Budget
from bench.engine.plan import TrialPlan
from bench.record import Failure, RunRecord

OnEvent = Callable[[TrialPlan, Mapping[str, Any]], None]
OnRecord = Callable[[TrialPlan, RunRecord], None]
MOST = 5.0
IMPORTING = 300.0  # seconds that a worker may take before its first word: libraries come from a slow disk


class Executor(Protocol):
    """Runs trials somewhere. All that a trial must know is in its plan."""

    def run(self, plans: Iterable[TrialPlan], on_event: OnEvent, on_record: OnRecord) -> None:
        """Run every plan, whatever becomes of the others. Called again where trials rest on a training of these.

        on_event: may be called in any thread, with what a trial says on the way: a phase, a step, a remark.
        on_record: called in the thread of the caller as each trial ends; what it raises ends the run.
        """
        ...


class MakeExecutor(Protocol):
    """Makes an executor for one run; see ``bench.executor``."""

    def __call__(self, out: Path, jobs: int, threads: int, check: Callable[[], None]) -> Executor: ...


class Limits:
    """How long a worker has been silent, and how long it has run; ``failure`` once either is over its limit.

    Between two looks no more than ``MOST`` seconds are counted: when this process was suspended itself (Ctrl-Z), the
    worker may well have spoken.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.silent = self.running = 0.0
        self.started = self.measuring = self.answered = False
        self._last = time.monotonic()

    def look(self) -> None:
        now = time.monotonic()
        passed, self._last = min(now - self._last, MOST), now
        self.silent += passed
        self.running += passed if self.started else 0.0

    def hear(self, event: Mapping[str, Any]) -> None:
        self.silent = 0.0
        self.answered = self.answered or "record" in event
        if event.get("phase") in ("data", "sample"):  # measuring has as long again as what goes before
            self.started, self.measuring, self.running = True, event["phase"] == "sample", 0.0

    @property
    def failure(self) -> Failure | None:
        stall, limit = self.budget.stall_limit, self.budget.time_limit
        patience = stall if self.started else max(stall, IMPORTING)
        if self.silent > patience:
            silence = f"no step and no other sign of life for {patience:g} s (budget.stall_limit)"
            message = silence if self.started else f"its process did not come up within {patience:g} s"
            return Failure(kind="timeout", message=f"stopped: {message}")
        # The worker ends its training by itself, after a whole step; only one that takes too long over it is killed.
        grace = 0.0 if self.measuring else max(5.0, 0.1 * (limit or 0.0))
        if limit is not None and self.running > limit + grace:
            what = "while measuring" if self.measuring else "before its training was done"
            return Failure(kind="timeout", message=f"stopped {what} at its limit of {limit:g} s (budget.time_limit)")
        return None
