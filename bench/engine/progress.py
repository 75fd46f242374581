"""Progress on the terminal: bars that move where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from bench.engine.plan import TrialPlan
from bench.errors import printable
from bench.record import RunRecord

PER_CENT = 100  # in which a training is shown that is not counted in steps
PLAIN_EVERY = 10.0  # seconds between two plain lines of one trial


class Display:
    """Trials done, current loss and time left. Safe to call from several threads.

    said: remarks that the user has seen already.
    """

    def __init__(
        self, plans: list[TrialPlan], console: Console | None = None, said: AbstractSet[str] = frozenset()
    ) -> None:
        self.console = console or Console(stderr=True)
        self.total, self.done = len(plans), 0
        self._fractions: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._spoken: dict[str, float] = {}
        self._phases: dict[str, tuple[str, float]] = {}  # by run id: what goes on, and since when
        self._remarks = {*said}
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._bars: Progress | None = None
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}", markup=False),
            )
            self._bars = Progress(*columns, console=self.console)
            self._overall = self._bars.add_task("trials", total=self.total, note="")

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def event(self, plan: TrialPlan, event: Mapping[str, Any]) -> None:
        """A worker's message: a phase begun, a training resumed, a step done, a remark, or a sign of life."""
        with self._lock:
            if "remark" in event:
                if event["remark"] not in self._remarks:  # what several trials have to say is said of the first
                    self._remarks.add(event["remark"])
                    self._say(f"{plan.title}: {event['remark']}")
                return
            if "resumed" in event:  # said of each trial, though several may say the same
                target = plan.budget.target
                of = f" of {target.amount}" if target.unit == "steps" else ""
                done, on = f"was trained before, all {target}", f"goes on from step {event['resumed']}{of}"
                self._say(f"{plan.title}: {done if event['complete'] else on}")
                return
            if "step" in event:
                self._fractions[plan.run_id] = event["share"]
            note = f"loss {event['loss']:.4g}" if "loss" in event else self._phase(plan, event)
            if self._bars:
                self._move(plan, event, note)
            elif time.monotonic() - self._spoken.get(plan.run_id, -PLAIN_EVERY) >= PLAIN_EVERY:
                self._spoken[plan.run_id] = time.monotonic()
                of = f"/{plan.budget.train_steps}" if plan.budget.train_steps else ""
                step = f"step {event['step']}{of}, " if "step" in event else ""
                self._say(f"{plan.title}: {step}{note}, {self._left()}")

    def _phase(self, plan: TrialPlan, event: Mapping[str, Any]) -> str:
        """What goes on, and at a sign of life for how long it has."""
        if "phase" in event:
            name = " ".join(str(event[key]) for key in ("phase", "metric") if key in event)
            self._phases[plan.run_id] = name, time.monotonic()
            return name
        name, began = self._phases.get(plan.run_id, ("", time.monotonic()))
        done = f", {event['done']:.0%} done" if "done" in event else ""
        return f"{name}, for {time.monotonic() - began:.0f} s{done}".removeprefix(", ")

    def record(self, plan: TrialPlan, record: RunRecord) -> None:
        """A trial has ended."""
        with self._lock:
            self.done += 1
            self._fractions.pop(plan.run_id, None)
            if self._bars:
                if plan.run_id in self._tasks:
                    self._bars.remove_task(self._tasks.pop(plan.run_id))
                self._bars.update(self._overall, completed=self.done, note=self._left())
            seconds = sum(record.phases.values())
            why = f": {record.error.message}" if record.error else f" in {seconds:.1f} s"
            self._say(f"{plan.title}: {record.status}{why}")

    def _say(self, text: str) -> None:
        line = f"[{self.done}/{self.total}] {printable(text)}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _move(self, plan: TrialPlan, event: Mapping[str, Any], note: str) -> None:
        assert self._bars is not None
        if plan.run_id not in self._tasks:
            total = plan.budget.train_steps or PER_CENT
            self._tasks[plan.run_id] = self._bars.add_task(plan.title, total=total, note="")
        step = event.get("step" if plan.budget.train_steps else "share")
        completed = step if step is None or plan.budget.train_steps else round(min(1.0, step) * PER_CENT)
        self._bars.update(self._tasks[plan.run_id], completed=completed, note=note)
        self._bars.update(self._overall, note=self._left())

    def _left(self) -> str:
        """Time left, from the share of all trials done, a running one counted by its steps."""
        share = (self.done + sum(min(f, 0.95) for f in self._fractions.values())) / max(self.total, 1)
        if share <= 0:
            return "time left unknown yet"
        seconds = (time.monotonic() - self._started) * (1 - share) / share
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"
