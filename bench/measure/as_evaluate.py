"""Text metrics of genbench as ``evaluate.Metric`` of Hugging Face, which go where those go.

    bench.as_evaluate("distinct_2").compute(predictions=texts)
    evaluate.combine([bench.as_evaluate("self_bleu"), bench.as_evaluate("rep_4")]).compute(predictions=texts)

Importing ``evaluate`` takes seconds, so that is left until a metric is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.errors import GenbenchError
from bench.files import cache_folder
from bench.measure.evaluation import evaluate as measured
from bench.measure.names import check_name
from bench.registry import MetricEntry


def hf_metric(name: str, **settings: Any) -> Any:
    """The metric of this name, of samples of text, as an ``evaluate.Metric``; see ``bench.as_evaluate``."""
    entry = check_name(name)
    if entry.of == "model" or "text" not in entry.on:
        raise GenbenchError(f"{name} is not measured of texts alone, so it cannot be a metric of evaluate")
    return _class(entry, settings)(keep_in_memory=True, cache_dir=str(cache_folder() / "evaluate"), seed=0)


def _class(entry: MetricEntry, settings: Mapping[str, Any]) -> Any:
    """Made when asked for: the base class takes seconds to import."""
    import evaluate
    from datasets import Features, Value

    paired = "reference" in entry.sides and "reference" not in settings
    columns = ("predictions", "references") if paired else ("predictions",)

    def info(self: Any) -> Any:
        features = Features({column: Value("string") for column in columns})
        return evaluate.MetricInfo(
            description=entry.about, citation=entry.paper or "", inputs_description="", features=features
        )

    def compute(self: Any, *, predictions: Sequence[str], **given: Any) -> dict[str, Any]:
        told = {**settings, **given}
        # A measure of the samples alone never looks at what stands in the reference's place.
        reference = told.pop("references", told.pop("reference", predictions))
        table = measured(list(predictions), list(reference), metrics=[entry.name], modality="text", **told)
        return _result(table.to_dict("records")[0])

    return type(entry.name, (evaluate.Metric,), {"_info": info, "_compute": compute, "__module__": __name__})


def _result(row: Mapping[Any, Any]) -> dict[str, Any]:
    name, value, lo, hi = (row[key] for key in ("metric", "value", "lo", "hi"))
    return {name: value} if lo is None else {name: value, f"{name}_interval": [lo, hi]}
