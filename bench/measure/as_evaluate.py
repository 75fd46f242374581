"""Text metrics of genbench as ``evaluate.Metric`` of Hugging Face, which go where those go.

    bench.as_evaluate("distinct_2").compute(predictions=texts)
    evaluate.combine([bench.as_evaluate("self_bleu"), bench.as_evaluate("rep_4")]).compute(predictions=texts)

Importing ``evaluate`` takes seconds, so that is left until a metric is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.errors import GenbenchError
from bench.files import cache_folder
from bench.measure.evaluation import evaluate as measured
from bench.measure.names import check_name


def hf_metric(name: str, **settings: Any) -> Any:
    """The metric of this name, of samples of text, as an ``evaluate.Metric``; see ``bench.as_evaluate``."""
    entry = check_name(name)
    if entry.of == "model" or "text" not in entry.on:
        raise GenbenchError(f"{name} is not measured of texts alone, so it cannot be a metric of evaluate")

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
        row = table.to_dict("records")[0]
        interval = {} if row["lo"] is None else {f"{row['metric']}_interval": [row["lo"], row["hi"]]}
        return {row["metric"]: row["value"], **interval}

    members = {"_info": info, "_compute": compute, "__module__": __name__}
    made = type(entry.name, (evaluate.Metric,), members)
    return made(keep_in_memory=True, cache_dir=str(cache_folder() / "evaluate"), seed=0)
