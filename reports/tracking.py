"""Runs for MLflow and Weights & Biases, in their own files by their own libraries, without a server or network.

A run a trial: hyperparameters and budget, losses and looks by step, every measurement with its interval.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import GenbenchError, RunRecord, report

LONGEST = 250  # characters of a name, and of a value, that MLflow keeps


@report("mlflow", asked=True)
def write_mlflow(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """``mlflow.db``, for ``mlflow ui --backend-store-uri sqlite:///mlflow.db``; ``pip install "genbench[mlflow]"``."""
    with _foreign("mlflow"):
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag

        target.mkdir(parents=True, exist_ok=True)
        path = target / "mlflow.db"
        fresh = path.with_name(f".tmp-{os.getpid()}-{time.monotonic_ns()}.db")  # a name that mlflow keeps no store of
        client = MlflowClient(tracking_uri=f"sqlite:///{fresh.absolute()}")
        experiments: dict[str, str] = {}
        for record in records:
            suite = _plain(record.plan.suite)
            if suite not in experiments:
                experiments[suite] = client.create_experiment(suite, artifact_location=target.absolute().as_uri())
            began = _milliseconds(record)
            run = client.create_run(experiments[suite], start_time=began, run_name=record.plan.title[:LONGEST])
            metrics = [Metric(_plain(name), value, began, step) for name, value, step in _series(record)]
            params = [Param(_plain(name), str(value)[:LONGEST]) for name, value in _params(record).items()]
            tags = [RunTag(_plain(name), value[:LONGEST]) for name, value in _tags(record).items()]
            for start in range(0, max(1, len(metrics)), 900):  # of one call
                client.log_batch(run.info.run_id, metrics=metrics[start : start + 900])
            client.log_batch(run.info.run_id, params=params[:90], tags=tags)
            status = "FINISHED" if record.status == "ok" else "FAILED"
            client.set_terminated(run.info.run_id, status, began + round(1000 * sum(record.phases.values())))
        return fresh.replace(path)  # written anew, as other reports are


@report("wandb", asked=True)
def write_wandb(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """``wandb/``, offline runs for ``wandb sync``; ``pip install "genbench[wandb]"``."""
    with _foreign("wandb"):
        import wandb

        target.mkdir(parents=True, exist_ok=True)
        for record in records:
            run = wandb.init(
                project=_plain(record.plan.suite),
                name=record.plan.title,
                id=record.run_id,
                group=record.plan.generator,
                dir=target,
                mode="offline",
                config={**_params(record), **_tags(record)},
                settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
            )
            by_step: dict[int, dict[str, float]] = {}
            for name, value, step in _series(record, final=False):
                by_step.setdefault(step, {})[name] = value
            for step, values in sorted(by_step.items()):
                run.log(values, step=step)
            run.summary.update({name: value for name, value, _ in _final(record)})
            run.finish(exit_code=0 if record.status == "ok" else 1)
        return target / "wandb"


@contextlib.contextmanager
def _foreign(extra: str) -> Iterator[None]:
    """Around another tool's library: quiet, told apart from ours, and its absence said with the way to get it."""
    try:
        with warnings.catch_warnings(), _environment(MLFLOW_LOGGING_LEVEL="ERROR", WANDB_SILENT="true"):
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        raise GenbenchError(f'{error}: pip install "genbench[{extra}]"') from error


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _series(record: RunRecord, *, final: bool = True) -> Iterator[tuple[str, float, int]]:
    """(name, value, step) of all that was noted on the way, and of what was measured at the end."""
    for point in record.curve:
        yield from ((name, value, point.step) for name, value in point.losses.items())
        yield from ((f"valid/{name}", value, point.step) for name, value in point.metrics.items())
        yield "seconds", point.seconds, point.step
    if final:
        yield from _final(record)


def _final(record: RunRecord) -> Iterator[tuple[str, float, int]]:
    step = record.steps or 0
    for m in record.measurements:
        yield m.metric, m.value, step
        if m.interval:
            yield f"{m.metric}/lo", m.interval.lo, step
            yield f"{m.metric}/hi", m.interval.hi, step


def _params(record: RunRecord) -> dict[str, Any]:
    plan = record.plan
    return {"family": plan.family, "dataset": plan.dataset, "seed": plan.seed, **plan.params, **plan.budget}


def _tags(record: RunRecord) -> dict[str, str]:
    """What tells the run from others, and why numbers are missing."""
    omitted = {f"omitted.{name}": why for name, why in record.omitted.items()}
    error = {"error": record.error.message} if record.error else {}
    protocols = {f"protocol.{m.metric}": json.dumps(dict(m.protocol)) for m in record.measurements}
    facts = {"genbench.run_id": record.run_id, "status": record.status, "data": record.plan.fingerprint}
    return {**facts, **error, **omitted, **protocols}


def _plain(name: str) -> str:
    """A name of letters, digits and the marks that both tools take."""
    return re.sub(r"[^\w ./-]", "_", name, flags=re.ASCII)[:LONGEST].strip() or "_"


def _milliseconds(record: RunRecord) -> int:
    return round(1000 * datetime.fromisoformat(record.created).timestamp())
