"""MTEB: the result of a task, as its results repository keeps them."""

from __future__ import annotations

from pathlib import Path

from bench.record import RunRecord
from bench.registry import importer
from bench.results.exchange._records import finite, imported, is_number, needed, number, read_json, wrong

TOOL = "mteb"
_LEADS = "main_score"


@importer(TOOL)
def read(path: Path, name: str = "", dataset: str = "") -> list[RunRecord]:
    """A record a split and subset of the task; the model is named by the folder, where nobody says it."""
    document = read_json(path)
    document = document if isinstance(document, dict) else {}
    task, splits = str(document.get("task_name")), document.get("scores", {})
    revision = document.get("dataset_revision")
    records = []
    for split, subsets in splits.items():
        for subset in subsets:
            which = str(subset.get("hf_subset", "default"))
            if not is_number(subset.get("main_score")):
                continue
            found = [
                number(key, value, "relevance", "higher", protocol={"split": split}, lead=0 if key == _LEADS else None)
                for key, value in sorted(subset.items(), key=lambda item: item[0] != _LEADS)
                if finite(value)
            ]
            omitted = {key: why for key, value in subset.items() if is_number(value) and (why := wrong(value))}
            data = task if which == "default" else f"{task}/{which}"
            records.append(
                imported(
                    TOOL, path, generator=name or _model(path), dataset=data, modality="text",
                    measurements=found, data=[revision, split],
                    version=str(document.get("mteb_version", "")), omitted=omitted,
                )
            )  # fmt: skip
    return needed(records, path, TOOL)


def _model(path: Path) -> str:
    """``results/MODEL/REVISION/TASK.json``."""
    meta = path.with_name("model_meta.json")
    if meta.is_file():
        document = read_json(meta)
        if isinstance(document, dict) and document.get("name"):
            return str(document["name"])
    return path.absolute().parent.parent.name.replace("__", "/") or "model"
