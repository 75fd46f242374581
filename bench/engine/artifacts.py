"""Samples on disk, in the form that their modality has there."""

from __future__ import annotations

from pathlib import Path

from bench.files import write_atomic
from bench.modalities import modality_of
from bench.modalities._examples import Stored
from bench.protocols import Dataset


def save_samples(folder: Path, run_id: str, samples: Stored, dataset: Dataset) -> str:
    """Write samples of a run; returns the file's name. See ``Modality.packed`` of each modality."""
    suffix, content = modality_of(dataset.spec).packed(samples, dataset)
    name = f"{run_id}{suffix}"
    write_atomic(folder / name, content)
    return name
