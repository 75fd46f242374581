"""One model on one dataset with one seed, as a metric sees it. Samples are drawn once, features extracted once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from bench.errors import TrialError
from bench.protocols import Dataset, DataSpec, Extractor, Features, Generator, Split
from bench.registry import registry
from bench.streams import stream

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


@dataclass(frozen=True)
class Costs:
    """What training and sampling took. Peaks are of the worker's whole process, metrics not included.

    ``why_no_gpu`` is the reason where ``peak_gpu_bytes`` is None.
    """

    train_seconds: float
    train_examples: int
    peak_rss_bytes: int
    peak_gpu_bytes: int | None
    why_no_gpu: str | None


class Trial:
    """What a metric is given.

    model: the trained or loaded generator, in evaluation mode.   dataset: the data, all splits.
    n_samples: how many samples a metric may expect.               batch_size: how many are drawn at a time.
    """

    def __init__(
        self,
        model: Generator,
        dataset: Dataset,
        *,
        seed: int,
        n_samples: int,
        batch_size: int,
        device: torch.device,
        costs: Costs | None = None,
        conditions: Mapping[str, str | int] | None = None,
    ) -> None:
        self.model, self.dataset, self.seed = model, dataset, seed
        self.n_samples, self.batch_size, self.device = n_samples, batch_size, device
        self.costs = costs
        # How the run was set up (device, threads, jobs): part of every cost metric's protocol.
        self.conditions = dict(conditions or {"device": str(device)})
        self._kept: dict[str, Any] = {}

    @property
    def spec(self) -> DataSpec:
        return self.dataset.spec

    def rng(self, name: str, index: int = 0) -> torch.Generator:
        """The trial's random stream of this name, at its start, on the CPU."""
        return stream(self.seed, name, index)

    def once(self, key: str, compute: Callable[[], T]) -> T:
        """Compute a value that several metrics share the first time it is asked for, and keep it."""
        if key not in self._kept:
            self._kept[key] = compute()
        kept: T = self._kept[key]
        return kept

    @cached_property
    def samples(self) -> Tensor:
        """``(n_samples, *shape)`` on the CPU: images uint8 0..255, tokens int64. Raises TrialError if out of range."""
        rng = self.rng("sample")
        batches = [self._draw(n, rng) for n in _sizes(self.n_samples, self.batch_size)]
        return torch.cat(batches)

    @cached_property
    def reference(self) -> Tensor:
        """The test split in the form of ``samples``."""
        return examples(self.dataset.test, self.spec)

    def features(self, extractor: str) -> tuple[Features, Features]:
        """Features of the samples and of the reference, extracted once per extractor."""
        return self.once(f"features/{extractor}", lambda: self._extract(extractor))

    def extractor_protocol(self, extractor: str) -> Mapping[str, str]:
        """What identifies the extractor: its weights' hash and its resizer."""
        return self._extractor(extractor).protocol

    def _extractor(self, name: str) -> Extractor:
        return self.once(f"extractor/{name}", lambda: self._load_extractor(name))

    def _load_extractor(self, name: str) -> Extractor:
        extract: Extractor = registry.get("extractors", name).make()
        return extract.to(self.device) if isinstance(extract, torch.nn.Module) else extract

    def _extract(self, name: str) -> tuple[Features, Features]:
        extract = self._extractor(name)
        return _in_batches(extract, self.samples, self.device), _in_batches(extract, self.reference, self.device)

    @torch.no_grad()
    def _draw(self, n: int, rng: torch.Generator) -> Tensor:
        drawn = self.model.sample(n, rng).detach().cpu()
        if tuple(drawn.shape) != (n, *self.spec.shape):
            raise TrialError(f"sample({n}) has shape {tuple(drawn.shape)}, not {(n, *self.spec.shape)}")
        return quantise(drawn, self.spec)


def quantise(x: Tensor, spec: DataSpec) -> Tensor:
    """Bring examples to the form the data is stored in: images rounded and clipped to uint8, tokens checked.

    Raises TrialError for NaN, infinity, pixels outside [-1, 1] or tokens outside the vocabulary.
    """
    if spec.kind == "tokens":
        if x.dtype != torch.int64 or (x.numel() and not 0 <= int(x.min()) <= int(x.max()) < (spec.vocab or 0)):
            raise TrialError(f"tokens must be int64 in [0, {spec.vocab}), got {x.dtype}")
        return x
    if not torch.isfinite(x).all():
        raise TrialError("samples hold NaN or infinity: training diverged, or sample() divides by zero")
    if x.abs().max() > 1 + 1e-4:
        raise TrialError(f"pixels must lie in [-1, 1], got [{x.min():.3g}, {x.max():.3g}]")
    # Round to the nearest level; truncation would darken every sample by half a level.
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def examples(split: Split, spec: DataSpec, limit: int | None = None) -> Tensor:
    """The first ``limit`` examples of a split in their stored form, in order."""
    count = len(split) if limit is None else min(limit, len(split))
    chunks = torch.arange(count).split(1000)
    return torch.cat([quantise(split.batch(index).data, spec) for index in chunks])


def _sizes(total: int, batch: int) -> list[int]:
    return [min(batch, total - start) for start in range(0, total, batch)]


@torch.no_grad()
def _in_batches(extract: Extractor, x: Tensor, device: torch.device, batch: int = 250) -> Features:
    """Features of all of ``x``, back on the CPU."""
    parts = [extract(chunk.to(device)) for chunk in x.split(batch)]
    logits = [part.logits for part in parts if part.logits is not None]
    return Features(torch.cat([part.features for part in parts]).cpu(), torch.cat(logits).cpu() if logits else None)
