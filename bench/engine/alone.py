"""A process of its own for a trained model, in which nothing but sampling has ever been."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bench.engine.plan import TrialPlan
from bench.errors import TrialError
from bench.measure.alone import Alone
from bench.probes.pulse import beat

ALONE = "--alone"
LOOK = 1.0  # seconds between two signs of life of who waits


def measure_alone(plan: TrialPlan, out: Path) -> Alone:
    """Start it, wait without work, and return what it measured; on a GPU what this process caches is given back first.

    Raises TrialError for a process that comes to nothing, or takes longer than ``stall_limit``.
    """
    gc.collect()
    if plan.device == "cuda":
        torch.cuda.empty_cache()
    words = [sys.executable, "-P", "-m", "bench.engine", str(out), ALONE]
    asked = json.dumps(plan.model_copy(update={"profile": False}).model_dump()).encode() + b"\n"
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        given: bytes | None = asked
        ends = time.monotonic() + plan.budget.stall_limit
        while True:
            try:
                answer, _ = process.communicate(given, timeout=LOOK)
                break
            except subprocess.TimeoutExpired:
                given = None
                beat()
                if time.monotonic() > ends:
                    process.kill()
                    process.wait()
                    raise TrialError(f"a process that only samples took over {plan.budget.stall_limit:g} s") from None
    lines = answer.splitlines()
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if "alone" not in found:
        why = found.get("error", f"it ended with exit code {process.returncode}")
        raise TrialError(f"in a process that only samples: {why}")
    measured = found["alone"]
    return Alone(**{**measured, "sweep": {int(size): rate for size, rate in measured["sweep"].items()}})
