"""Made-up records for the tests of reports: small, whole, and different where a test says so."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from bench import Interval, Measurement, Plan, RunRecord
from bench.results.store import Planned, PlannedTrial

ABOUT: dict[str, tuple[str, str, str]] = {  # metric -> aspect, unit, better
    "fd_lenet": ("realism", "1", "lower"),
    "is_lenet": ("realism", "1", "higher"),
    "kid_lenet": ("realism", "1", "lower"),
    "perplexity": ("likelihood", "1", "lower"),
    "bits_per_byte": ("likelihood", "1", "lower"),
    "train_throughput": ("efficiency", "examples/s", "higher"),
    "sample_throughput": ("efficiency", "examples/s", "higher"),
    "latency_p50": ("efficiency", "s", "lower"),
    "peak_rss_bytes": ("efficiency", "B", "lower"),
    "parameters": ("efficiency", "1", "none"),
    "recall_lenet": ("diversity", "1", "higher"),
    "self_bleu": ("diversity", "1", "lower"),
    "vendi_lenet": ("diversity", "1", "higher"),
    "class_accuracy_lenet": ("relevance", "1", "higher"),
    "nn_ratio_lenet": ("novelty", "1", "lower"),
}
# As metrics and extractors declare it.
LEAD: dict[str, tuple[int, ...]] = {
    "fd_lenet": (1, 2), "kid_lenet": (3, 2), "bits_per_byte": (0,), "perplexity": (5,), "recall_lenet": (2, 2),
    "self_bleu": (2,), "class_accuracy_lenet": (1, 2), "nn_ratio_lenet": (1, 2), "sample_throughput": (1,),
    "peak_rss_bytes": (2,),
}  # fmt: skip
ROLES = {"real": "ceiling", "noise": "floor", "gaussian": "floor"}
ENVIRONMENT = {
    "python": "3.12.1",
    "system": "Linux 6.1 x86_64",
    "cpu": "Example CPU 9000",
    "gpu": None,
    "device": "cpu",
    "threads": 2,
    "versions": {"genbench": "0.1.0", "torch": "2.11.0"},
    "tf32": False,
}


def measured(metric: str, value: float, **changes: Any) -> Measurement:
    """A measurement with its metric's usual unit and direction."""
    aspect, unit, better = ABOUT[metric]
    usual = {
        "unit": unit, "better": better, "aspect": aspect, "kind": "point", "n": 1000, "interval": None,
        "protocol": {"n_fake": 1000, "n_real": 1000} if aspect != "efficiency" else {"batch_size": 64},
        "lead": LEAD.get(metric, ()),
    }  # fmt: skip
    return Measurement(metric=metric, value=value, **{**usual, **changes})


def interval(low: float, high: float) -> Interval:
    return Interval(lo=low, hi=high, method="delta method")


def record(generator: str, seed: int = 0, **changes: Any) -> RunRecord:
    """A trial that went well.

    changes: to fields of the record or of its plan, and ``scores``: metric -> value, for measurements that need nothing
        special.
    """
    scores = changes.pop("scores", {})
    control = generator in ROLES
    usual = {
        "suite": "digits", "generator": generator, "family": generator, "control": control,
        "role": ROLES.get(generator),
        "modality": "text" if str(changes.get("samples")).endswith(".json") else "image",
        "dataset": "mnist", "fingerprint": "sha256:" + "ab" * 32,
        "seed": seed, "command": f"genbench run {changes.get('suite', 'digits')}",
        "params": {} if control else {"width": 64}, "budget": {"train_steps": 600, "batch_size": 64},
        "status": "ok", "measurements": tuple(measured(name, value) for name, value in scores.items()),
        "environment": ENVIRONMENT, "created": "2020-01-02T03:04:05+00:00",
    }  # fmt: skip
    fields = {**usual, **changes}
    identity = json.dumps([fields[k] for k in ("suite", "generator", "dataset", "seed", "params", "created")])
    plan = {name: fields.pop(name) for name in Plan.model_fields if name in fields}
    run_id = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return RunRecord.model_validate({"run_id": run_id, "plan": plan, **fields})


def as_schema_1(document: dict[str, Any]) -> dict[str, Any]:
    """A record as JSON has it, as it was written in schema 1, which had no plan and left some of it out.

    Nor did a measurement say where it leads, nor was there any continuation.
    """
    of_plan = ("suite", "command", "generator", "family", "control", "modality", "dataset", "fingerprint", "seed",
               "params", "budget")  # fmt: skip
    plan = document["plan"]
    load = f"{plan['load']} (sha256:{plan['load_digest']})" if plan["load"] else None
    later = ("schema", "plan", "continued", "nearest", "asked", "timings", "hashes")
    rest = {name: value for name, value in document.items() if name not in later}
    rest["measurements"] = [
        {k: v for k, v in m.items() if k not in ("lead", "exact", "parts", "busy")} for m in document["measurements"]
    ]
    return {"schema": 1, **{name: plan[name] for name in of_plan}, "load": load, **rest}


def failed(generator: str, seed: int = 0, **changes: Any) -> RunRecord:
    error = {
        "kind": "exception",
        "message": "ValueError: no luck",
        "traceback": "Traceback: <here>\n  line 7",
    }
    return record(generator, seed, **{"status": "failed", "error": error, **changes})


def planned(records: list[RunRecord], command: str = "genbench run digits.toml --out runs/digits") -> Planned:
    """The plan of a run that set out to make these records."""
    names = set(PlannedTrial.model_fields) - {"run_id"}
    trials = [PlannedTrial(run_id=r.run_id, **r.plan.model_dump(include=names)) for r in records]
    return Planned(suite=records[0].plan.suite, command=command, trials=tuple(trials))


def save_images(folder: Path, name: str, images: np.ndarray | None = None) -> str:
    """A sample file of pictures; noise where none are given."""
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    if images is None:
        images = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28), np.uint8)
    np.savez_compressed(folder / "samples" / name, samples=images)
    return name


def save_texts(folder: Path, name: str, texts: list[str]) -> str:
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    (folder / "samples" / name).write_text(json.dumps(texts), encoding="utf-8")
    return name
