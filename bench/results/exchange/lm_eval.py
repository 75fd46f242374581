"""lm-evaluation-harness: ``results_*.json``, with its standard errors as intervals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.protocols import Aspect
from bench.record import Better, Measurement, RunRecord
from bench.registry import importer
from bench.results.exchange._records import finite, imported, is_number, moment, needed, number, read_json, wrong

TOOL = "lm-eval"
_LIKELIHOOD = ("perplexity", "bits_per_byte", "byte_perplexity", "word_perplexity")


@importer(TOOL)
def read(path: Path, name: str = "", dataset: str = "") -> list[RunRecord]:
    """A record a task: metrics by filter, a task's version and shots in their protocol."""
    document = read_json(path)
    document = document if isinstance(document, dict) else {}
    results: dict[str, dict[str, Any]] = document.get("results", {})
    config = document.get("config", {})
    generator = name or str(document.get("model_name") or config.get("model_args") or config.get("model") or "model")
    records = []
    for task, scores in results.items():
        higher = document.get("higher_is_better", {}).get(task, {})
        counts = document.get("n-samples", {}).get(task, {})
        settings = {"version": document.get("versions", {}).get(task), "shots": document.get("n-shot", {}).get(task)}
        found: list[Measurement] = []
        omitted: dict[str, str] = {}
        for key, value in scores.items():
            metric, _, which = key.partition(",")
            if metric.endswith("_stderr") or not is_number(value):
                continue
            if why := wrong(value):
                omitted[metric] = why
                continue
            error = scores.get(f"{metric}_stderr,{which}")
            aspect: Aspect = "likelihood" if metric in _LIKELIHOOD else "relevance"
            better: Better = "higher" if higher.get(metric, metric not in _LIKELIHOOD) else "lower"
            protocol = {"filter": which, **{k: v for k, v in settings.items() if v is not None}}
            found.append(
                number(
                    metric, value, aspect, better, n=int(counts.get("effective", 0)), protocol=protocol,
                    error=error if finite(error) else None, lead=len(found),
                )
            )  # fmt: skip
        if found or omitted:
            records.append(
                imported(
                    TOOL, path, generator=generator, dataset=task, modality="text", measurements=_once(found),
                    data=settings, params={"model_args": str(config.get("model_args", ""))},
                    created=moment(float(document.get("date", 0))), version=str(document.get("lm_eval_version", "")),
                    omitted={metric: why for metric, why in omitted.items() if metric not in {m.metric for m in found}},
                )
            )  # fmt: skip
    return needed(records, path, TOOL)


def _once(found: list[Measurement]) -> Iterator[Measurement]:
    """A metric under several filters is several metrics."""
    names = [m.metric for m in found]
    for m in found:
        which = m.protocol["filter"]
        yield m.model_copy(update={"metric": f"{m.metric}_{which}"}) if names.count(m.metric) > 1 else m
