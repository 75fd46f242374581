"""torch-fidelity: what ``fidelity --json`` prints, or the dictionary that ``calculate_metrics`` returns.

It says neither what the samples were nor of which data, nor how many: name the generator and the dataset. The ± of its
KID and IS is over subsets and splits, which is not how sure they are, so there is no interval.
"""

from __future__ import annotations

from pathlib import Path

from bench.errors import DataError, named
from bench.protocols import Aspect
from bench.record import Better, RunRecord
from bench.registry import importer
from bench.results.exchange._records import finite, imported, needed, number, read_json

TOOL = "torch-fidelity"
_METRICS: dict[str, tuple[str, Aspect, Better]] = {
    "frechet_inception_distance": ("fid", "realism", "lower"),
    "kernel_inception_distance_mean": ("kid_subsets", "realism", "lower"),
    "inception_score_mean": ("is", "realism", "higher"),
    "precision": ("precision_vgg16", "realism", "higher"),
    "recall": ("recall_vgg16", "diversity", "higher"),
    "perceptual_path_length_mean": ("ppl_mean", "realism", "lower"),
}


@importer(TOOL)
def read(path: Path, name: str = "", dataset: str = "") -> list[RunRecord]:
    """One record of images, under the names that its numbers have here; the generator is the file, if none is named.

    Raises DataError where no dataset is named: numbers of two would stand in one table.
    """
    document = read_json(path)
    scores = document if isinstance(document, dict) else {}
    found = [
        number(metric, scores[key], aspect, better, protocol={"tool": TOOL}, lead=place)
        for place, (key, (metric, aspect, better)) in enumerate(_METRICS.items())
        if finite(scores.get(key))
    ]
    if not found:
        return needed([], path, TOOL)
    if not dataset:
        raise DataError(f"{named(path)}: {TOOL} does not say of which data its numbers are: name it with --dataset")
    return [imported(TOOL, path, generator=name or path.stem, dataset=dataset, modality="image", measurements=found)]
