"""A trained model as a folder of its own: weights, what they are, and a card with its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import build
from bench.engine.checkpoint import read_checkpoint, save_checkpoint
from bench.engine.state import to_sample
from bench.engine.suite import WEIGHTS
from bench.engine.training import best_path
from bench.errors import DataError, GenbenchError, OutputError, UnknownName, named
from bench.files import without_home, write_atomic
from bench.record import RunRecord
from bench.registry import registry
from bench.results.store import Records, read_records, run_folder

CARD = "model-card"  # the report


def save_model(
    run: str | Path, target: str | Path, *, generator: str = "", dataset: str = "", seed: int | None = None
) -> Path:
    """Write one trained model of a run folder to ``target``, which ``load`` in a suite and the Hub take.

    ``model.safetensors`` without what only a further training step would need, ``config.json``, ``README.md`` with all
    its numbers. generator, dataset: labels, needed where several were trained; seed: the lowest where it is left out.
    Of one that was trained with several settings it is the last.
    Raises GenbenchError for a choice that is none or not one, DataError for weights that are gone, OutputError for a
    folder that is not empty.
    """
    run, target = run_folder(run), Path(target).expanduser()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputError(f"{named(target)} is there and not empty: name a new folder")
    records, notes = read_records(run)
    record = _chosen(records, generator, dataset, seed)
    plan = record.plan
    state, meta = read_checkpoint(_weights(run, record))
    data = registry.get("datasets", plan.source or plan.dataset).make(**plan.options or {})
    model: Any = build(plan.family, data, **meta["params"])
    about = {
        **{name: meta[name] for name in ("family", "params", "spec")},
        "preset": plan.preset,
        "data": {"source": plan.source, "options": plan.options, "fingerprint": plan.fingerprint},
        "training": {"seed": plan.seed, "steps": record.kept_step or record.steps, "id": record.training_id},
        "versions": record.environment.get("versions"),
    }
    beside = [r for r in records if r.plan.dataset == plan.dataset and (r.plan.control or _is_same(r, record))]
    registry.get("reports", CARD).write(Records(beside), run, target, notes)  # may refuse, before anything is there
    write_atomic(target / "config.json", without_home(json.dumps(about, indent=2, ensure_ascii=False)) + "\n")
    save_checkpoint(target / WEIGHTS, to_sample(model, state), {k: v for k, v in meta.items() if k != "format"})
    return target


def _is_same(one: RunRecord, other: RunRecord) -> bool:
    """Whether they are of one model, be it of another seed."""
    return all(
        getattr(one.plan, name) == getattr(other.plan, name) for name in ("generator", "family", "params", "budget")
    )


def _chosen(records: Records, generator: str, dataset: str, seed: int | None) -> RunRecord:
    trained = [r for r in records if r.steps and not r.plan.load and r.status == "ok"]
    fit = [
        r
        for r in trained
        if generator in ("", r.plan.generator) and dataset in ("", r.plan.dataset) and seed in (None, r.plan.seed)
    ]
    names = {r.plan.generator for r in trained}
    others = [r for r in records if r.plan.generator not in names and (generator or not r.plan.control)]
    if (generator or not trained) and (those := [r for r in others if generator in ("", r.plan.generator)]):
        how = {f"{r.plan.generator} ({_why_not(r)})": None for r in those}
        raise GenbenchError(f"only what was trained here is saved, and here is {', '.join(how)}")
    for what, asked in (("generator", generator), ("dataset", dataset)):
        if asked and asked not in (names := {getattr(r.plan, what) for r in trained}):
            raise UnknownName(what, asked, names)
    known = sorted({f"{r.plan.generator} on {r.plan.dataset}, seed {r.plan.seed}" for r in trained})
    if not fit:
        raise GenbenchError(f"no such model was trained here; there is {'; '.join(known) or 'none'}")
    if len(which := sorted({f"--generator {r.plan.generator} --dataset {r.plan.dataset}" for r in fit})) > 1:
        raise GenbenchError(f"several models were trained here; say which: {'; '.join(which)}")
    return max(fit, key=lambda r: (-r.plan.seed, r.created))


def _why_not(record: RunRecord) -> str:
    """Why there are no weights of it to be saved."""
    if record.plan.control:
        return "a yardstick"
    if record.status != "ok":
        return record.status
    return f"loaded from {record.plan.load}" if record.plan.load else "made elsewhere"


def _weights(run: Path, record: RunRecord) -> Path:
    path = run / "checkpoints" / f"{record.training_id}.safetensors"
    if record.kept_step not in (None, record.steps):
        path = best_path(path)
    if not path.exists():
        raise DataError(f"{named(path)} is gone: run the suite again, which trains what has no checkpoint")
    return path
