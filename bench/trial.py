"""One model on one dataset with one seed, as a metric sees it. Samples are drawn once, features extracted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.comparison import Comparison
from bench.errors import Omitted, TrialError
from bench.feature_store import Examples
from bench.probes.pulse import alive
from bench.protocols import Dataset, DataSpec, Generator, Reconstructor, Split, SplitName, Textual
from bench.registry import Side

MIDDLE = 127  # the level of what is a little less than 0 in [-1, 1]


@dataclass(frozen=True)
class Costs:
    """What training and sampling took. Peaks are of the worker's whole process, metrics not included.

    ``why_no_gpu`` is the reason where ``peak_gpu_bytes`` is None. ``pace``: steps and seconds of training so far, at
    points along it.
    """

    train_seconds: float
    train_examples: int
    peak_rss_bytes: int
    peak_gpu_bytes: int | None
    why_no_gpu: str | None
    pace: Sequence[tuple[int, float]] = ()


class Trial(Comparison):
    """What a metric of a model is given; also the Comparison of the model's samples with its data.

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
        super().__init__(dataset.spec.modality, seed=seed, device=device)
        self.model, self.dataset = model, dataset
        self.n_samples, self.batch_size = n_samples, batch_size
        self.costs = costs
        # How the run was set up (device, threads, jobs): part of every cost metric's protocol.
        self.conditions = dict(conditions or {"device": str(device)})

    @property
    def spec(self) -> DataSpec:
        return self.dataset.spec

    @property
    def samples(self) -> Tensor:
        """``(n_samples, *shape)`` on the CPU: images uint8 0..255, tokens int64. Raises TrialError if out of range."""
        self.reads("samples")
        return self.once("drawn", lambda: self._draw(None))

    @property
    def reference(self) -> Tensor:
        """The test split in the form of ``samples``; of text, its windows end to end."""
        self.reads("reference")
        return self.once("held out", lambda: examples(self.dataset, "test"))

    @property
    def only_upper_half(self) -> bool:
        """Whether no sample ever falls below the middle of [-1, 1], where more than 1 % of the data does.

        So look those of a model that takes pixels for [0, 1]. Samples of one single level say nothing of their range.
        """
        samples = self.samples
        if samples.dtype != torch.uint8 or samples.min() < MIDDLE or samples.min() == samples.max():
            return False
        return int((self.reference < MIDDLE).sum()) > 0.01 * self.reference.numel()

    @property
    def labels(self) -> Tensor:
        """As many of every class, in turn: what the side "conditional" is drawn for. Raises Omitted."""
        if not getattr(self.model, "conditional", False) or not self.spec.classes:
            raise Omitted("needs a generator that can be told what to make")
        return torch.arange(self.n_samples) % self.spec.classes

    def _stored(self, side: Side) -> Examples:
        match side:
            case "samples":
                return self._written(self.samples)
            case "reference":
                return self._written(self.reference)
            case "train":
                return self._written(examples(self.dataset, "train"))
            case "conditional":
                return self._written(self._draw(self.labels))
            case "reconstructions":
                return self._reconstruct()

    def _written(self, x: Tensor) -> Examples:
        """Text as strings, anything else as it is."""
        return self.dataset.decode(x) if isinstance(self.dataset, Textual) else x

    @torch.no_grad()
    def _draw(self, labels: Tensor | None) -> Tensor:
        rng = self.rng("sample" if labels is None else "conditional")
        chunks = torch.arange(self.n_samples).split(self.batch_size)
        return torch.cat([self._batch(c, None if labels is None else labels[c], rng) for c in alive(chunks)])

    def _batch(self, index: Tensor, labels: Tensor | None, rng: torch.Generator) -> Tensor:
        n, condition = len(index), None if labels is None else labels.to(self.device)
        return self._stored_form(self.model.sample(n, rng, condition), n, "sample")

    @torch.no_grad()
    def _reconstruct(self) -> Tensor:
        """The model's copies of the test split, quantised as the data is."""
        if not isinstance(self.model, Reconstructor):
            raise Omitted("needs the capability 'reconstruct'")
        test, chunks = self.dataset.test, torch.arange(len(self.dataset.test)).split(self.batch_size)
        copies = (self.model.reconstruct(test.batch(c).data.to(self.device)) for c in alive(chunks))
        return torch.cat([self._stored_form(x, len(c), "reconstruct") for x, c in zip(copies, chunks, strict=True)])

    def _stored_form(self, made: object, n: int, method: str) -> Tensor:
        """What a method of the model returned for ``n`` examples, quantised. Raises TrialError where it is not that."""
        if not isinstance(made, Tensor):
            raise TrialError(f"{method}({n}) returned {type(made).__name__}, not a tensor")
        if tuple(made.shape) != (n, *self.spec.shape):
            raise TrialError(f"{method}({n}) has shape {tuple(made.shape)}, not {(n, *self.spec.shape)}")
        return quantise(made.detach().cpu(), self.spec)


class NotFinite(TrialError):
    """Samples that hold NaN or infinity, as those of a model may that has not seen data yet."""


def quantise(x: Tensor, spec: DataSpec) -> Tensor:
    """Bring examples to the form the data is stored in: images rounded and clipped to uint8, tokens checked.

    Raises TrialError for pixels that are no floats in [-1, 1] (NotFinite for NaN and infinity), and for tokens that are
    not int64 or outside the vocabulary.
    """
    if spec.kind == "tokens":
        if x.dtype != torch.int64 or (x.numel() and not 0 <= int(x.min()) <= int(x.max()) < (spec.vocab or 0)):
            raise TrialError(f"tokens must be int64 in [0, {spec.vocab}), got {x.dtype}")
        return x
    if not x.is_floating_point():
        raise TrialError(f"pixels must be floats in [-1, 1], got {x.dtype}")
    x = x if x.dtype == torch.float64 else x.float()  # a level is finer than what 16 bits tell apart
    if not torch.isfinite(x).all():
        raise NotFinite("samples hold NaN or infinity: training diverged, or sample() divides by zero")
    if x.abs().max() > 1 + 1e-4:
        raise TrialError(f"pixels must lie in [-1, 1], got [{x.min():.3g}, {x.max():.3g}]")
    # Round to the nearest level; truncation would darken every sample by half a level.
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def examples(dataset: Dataset, split: SplitName) -> Tensor:
    """All examples of a split in their stored form, in order; of text, windows end to end, none overlapping."""
    if isinstance(dataset, Textual):
        size = dataset.spec.shape[0]
        stream = dataset.tokens(split)
        return stream[: len(stream) // size * size].view(-1, size)
    part: Split = getattr(dataset, split)
    chunks = torch.arange(len(part)).split(1000)
    return torch.cat([quantise(part.batch(index).data, dataset.spec) for index in chunks])
