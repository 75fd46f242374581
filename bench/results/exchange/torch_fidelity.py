"""torch-fidelity: what ``fidelity --json`` prints, or the dictionary that ``calculate_metrics`` returns.

It says neither what the samples were nor of which data, nor how many: name the generator and the dataset. The ± of its
KID and IS is over subsets and splits, which is not how sure they are, so there is no interval.
"""

from __future__ import annotations

from math import inf
from pathlib import Path

from bench.errors import DataError, named
from bench.protocols import Aspect
from bench.record import Better, RunRecord
from bench.registry import importer
from bench.results.exchange._records import imported, is_number, needed, number, read_json, wrong

TOOL = "torch-fidelity"
_METRICS: dict[str, tuple[str, Aspect, Better, float, float]] = {  # and between what it lies
    "frechet_inception_distance": ("fid", "realism", "lower", 0, inf),
    "kernel_inception_distance_mean": ("kid_subsets", "realism", "lower", -inf, inf),
    "inception_score_mean": ("is", "realism", "higher", 1, inf),
    "precision": ("precision_vgg16", "realism", "higher", 0, 1),
    "recall": ("recall_vgg16", "diversity", "higher", 0, 1),
    "perceptual_path_length_mean": ("ppl_mean", "realism", "lower", 0, inf),
}


@importer(TOOL)
def read(path: Path, name: str = "", dataset: str = "") -> list[RunRecord]:
    """One record of images, under the names that its numbers have here; the generator is the file, if none is named.

    Raises DataError where no dataset is named: numbers of two would stand in one table.
    """
    document = read_json(path)
    scores = document if isinstance(document, dict) else {}
    found, omitted = [], {}
    for place, (key, (metric, aspect, better, least, most)) in enumerate(_METRICS.items()):
        value = scores.get(key)
        if is_number(value) and (why := wrong(value, least, most)):
            omitted[metric] = why
        elif is_number(value):
            found.append(number(metric, value, aspect, better, protocol={"tool": TOOL}, lead=place))
    if not found and not omitted:
        return needed([], path, TOOL)
    if not dataset:
        raise DataError(f"{named(path)}: {TOOL} does not say of which data its numbers are: name it with --dataset")
    return [
        imported(
            TOOL, path, generator=name or path.stem, dataset=dataset, modality="image", measurements=found,
            omitted=omitted,
        )
    ]  # fmt: skip
