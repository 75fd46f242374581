"""What was sampled elsewhere: ``samples:PATH``, of any form that ``genbench evaluate`` reads, beside models."""

from __future__ import annotations

import torch
from torch import Tensor

from bench import (
    Batch,
    DataError,
    Dataset,
    DataSpec,
    GenbenchError,
    Pictures,
    count_ahead,
    examples_in,
    generator,
    locate,
    modality_ahead,
    modality_of,
    named,
    other_shape,
    rate_ahead,
    sha256,
)
from generators.loaders._texts import spelled

_OTHER = "{}: samples are {}, the data is {}: bring both to one shape, the samples or, by its options, the data"


def _content(path: str) -> str:
    place = locate(path)
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    return "".join(f"{file.relative_to(place.parent)} {sha256(file)}\n" for file in files)


def _fits(spec: DataSpec, path: str) -> None:
    """Raises DataError where the first sample cannot be of the data's shape or rate; no other is looked at."""
    if (modality := modality_ahead(path)) not in (None, spec.modality):
        raise DataError(f"{named(path)} holds {modality}, and the data is {spec.modality}")
    rate = rate_ahead(path)
    if rate and spec.rate and rate != spec.rate:
        raise DataError(
            f"{named(path)}: samples are of {rate:,g} Hz, the data is of {spec.rate:,g}: resample one of them"
        )
    if spec.kind != "tokens" and (found := other_shape(path, spec.shape)):
        raise DataError(_OTHER.format(named(path), found, spec.shape))


@generator("samples:", modalities=None, presets={"test": {}}, content=_content, fits=_fits, holds=count_ahead)
class Samples:
    """Samples in a folder (pictures, sounds, films), .zip, .npz, .npy, .txt or .jsonl, each dealt at most once.

    Quality alone is measured: what they cost is not in the file. A text becomes tokens of the data, as many as fit its
    window. Raises DataError for what is not of the data's shape, or for data whose tokens spell no text.
    """

    costless = "the samples were made elsewhere, and no file says what they cost"

    def __init__(self, dataset: Dataset, path: str) -> None:
        self.path, self.held = path, _held(path, dataset)
        self.left: Tensor | None = None

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Batch:
        """The next n. Raises GenbenchError when they run out."""
        if self.left is None:
            self.left = torch.randperm(len(self.held.data), generator=rng)
        if n > len(self.left):
            raise GenbenchError(f"{named(self.path)} holds only {len(self.held.data)} samples: lower budget.samples")
        taken, self.left = self.left[:n], self.left[n:]
        lengths = self.held.lengths
        return Batch(self.held.data[taken], lengths=None if lengths is None else lengths[taken])


def _held(path: str, dataset: Dataset) -> Batch:
    spec, found = dataset.spec, examples_in(path, dataset.spec.modality)
    if isinstance(found, list):
        return spelled(found, dataset, named(path))
    stored = found.load() if isinstance(found, Pictures) else found
    if not isinstance(stored, Tensor) or tuple(stored.shape[1:]) != spec.shape:
        form = tuple(stored.shape[1:]) if isinstance(stored, Tensor) else "of several lengths"
        raise DataError(_OTHER.format(named(path), form, spec.shape))
    return Batch(modality_of(spec).restored(stored, spec))
