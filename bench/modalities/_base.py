"""What a modality is, and how to come by one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.errors import DataError, Omitted, TrialError
from bench.modalities._examples import Examples, Stored, arrays_of, kind_of
from bench.modalities._pictures import Pictures
from bench.modalities._sequences import Sequences, joined, without_padding
from bench.protocols import Batch, Dataset, DataSpec, Kept, Split, SplitName
from bench.registry import ExtractorEntry, registry

TOLERANCE = 1e-4  # by which arithmetic may leave [-1, 1]
_OF_LEVELS = ": of 0..255, x / 127.5 - 1 makes them"
AT_A_TIME = 1000  # examples of a split that are read at once


class NotFinite(TrialError):
    """Samples that hold NaN or infinity, as those of a model may that has not seen data yet."""


class Modality:
    """All that is true of one kind of data. Registered under its name by ``@modality``; one object serves everybody.

    What stands here holds for continuous data in [-1, 1] that is stored as float32; a modality says where it differs.

    ordered: whether the first axis is one of time or place, so that its order matters and lengths may differ.
    resizes: whether examples of several shapes can be compared, because extractors bring each to their own size.
    is_features: whether examples are taken as features where there is no extractor.
    examples, one, values: what they, one of them, and their numbers are called in messages.   form: their shape there.
    flat: what one is whose values are all the same.
    """

    ordered = False
    resizes = False
    is_features = False
    examples = "examples"
    values = "values"
    one = "example"
    flat = "of one single value"
    form = "(n, ...)"

    def __init__(self, name: str) -> None:
        self.name = name

    # From models and datasets

    def quantise(self, x: Tensor, spec: DataSpec) -> Tensor:
        """Examples ``(n, *shape)`` as a model makes them, in the form that they are stored in.

        Raises TrialError for values that the data cannot have, NotFinite for NaN and infinity.
        """
        if spec.kind == "tokens":
            return _tokens(x, spec.vocab or 0)
        return self.binary(x) if spec.kind == "binary" else self.continuous(x)

    def restored(self, stored: Tensor, spec: DataSpec) -> Tensor:
        """Stored examples ``(n, *shape)`` as models see them: ``quantise`` undone."""
        return stored if spec.kind == "tokens" else stored.float()

    def continuous(self, x: Tensor) -> Tensor:
        """Stored form of continuous data; here float32 in [-1, 1], as it is."""
        return self.checked(x).clamp(-1, 1).float()

    def binary(self, x: Tensor) -> Tensor:
        """Stored form of binary data: uint8, 0 or 1."""
        if not ((x == 0) | (x == 1)).all():
            raise TrialError(f"binary {self.values} must be 0 or 1: draw them, a probability is none")
        return x.to(torch.uint8)

    def checked(self, x: Tensor, bound: float = 1) -> Tensor:
        """Floats of at least 32 bits. Raises TrialError unless they lie within [-bound, bound]."""
        if not x.is_floating_point():
            levels = _OF_LEVELS if x.dtype == torch.uint8 else ""
            raise TrialError(f"{self.values} must be floats in [-{bound:g}, {bound:g}], got {x.dtype}{levels}")
        x = x if x.dtype == torch.float64 else x.float()  # a level is finer than what 16 bits tell apart
        if not torch.isfinite(x).all():
            raise NotFinite("samples hold NaN or infinity: training diverged, or sample() divides by zero")
        if x.numel() and x.abs().max() > bound + TOLERANCE:
            low, high = x.aminmax()
            levels = _OF_LEVELS if low >= 0 and high > 2 * bound else ""
            raise TrialError(f"{self.values} must lie in [-{bound:g}, {bound:g}], got [{low:.3g}, {high:.3g}]{levels}")
        return x

    def stored(self, batch: Batch, spec: DataSpec) -> Stored:
        """A batch in stored form. Padding is not looked at. Raises TrialError as ``quantise`` does."""
        if batch.lengths is None:
            return self.quantise(batch.data.detach().cpu(), spec)
        if not self.ordered:
            raise TrialError(f"{self.examples} have no lengths: {self.name} is no sequence")
        data, lengths = batch.data.detach().cpu(), batch.lengths.detach().cpu()
        try:
            return Sequences(self.quantise(without_padding(data, lengths), spec), lengths)
        except ValueError as error:
            raise TrialError(str(error)) from error

    def disjoint(self, dataset: Dataset, split: SplitName) -> Split:
        """The examples of a split, none of which shares anything with another."""
        found: Split = getattr(dataset, split)
        return found

    def held(self, dataset: Dataset, split: SplitName) -> Stored:
        """All examples of a split in stored form, in order, none overlapping."""
        part = self.disjoint(dataset, split)
        if isinstance(part, Kept):
            return part.stored
        chunks = torch.arange(len(part)).split(AT_A_TIME)
        return joined([self.stored(part.batch(index), dataset.spec) for index in chunks])

    def nearest(self, stored: Stored, dataset: Dataset) -> Stored:
        """For each of these examples the one of the training data whose numbers are nearest, by squared distance.

        Raises Omitted where there is no distance: of tokens, and of sequences of unequal length.
        """
        if dataset.spec.kind == "tokens":
            raise Omitted("tokens have no distance")
        wanted, part = arrays_of(stored, self.name), self.disjoint(dataset, "train")
        found, least = wanted.clone(), torch.full((len(wanted),), torch.inf)
        for index in torch.arange(len(part)).split(AT_A_TIME):
            here = arrays_of(self.stored(part.batch(index), dataset.spec), self.name)
            apart, place = torch.cdist(wanted.flatten(1).float(), here.flatten(1).float()).min(1)
            closer = apart < least
            found[closer], least[closer] = here[place[closer]], apart[closer]
        return found

    def written(self, stored: Stored, dataset: Dataset) -> Examples:
        """What metrics and extractors see of stored examples."""
        return stored

    def packed(self, stored: Stored, dataset: Dataset) -> tuple[str, bytes]:
        """The file that samples are kept in: its suffix and its content.

        An .npz with ``samples``, ``lengths`` where they differ, and ``rate`` where there is one.
        """
        return ".npz", archive(stored, dataset.spec.rate)

    def noise(self, u: Tensor, spec: DataSpec) -> Tensor:
        """What knows nothing of the data, from uniform draws ``u`` in [0, 1): uniform over all that data could be."""
        if spec.kind == "tokens":
            return (u.double() * (spec.vocab or 0)).long()
        return (u < 0.5).float() if spec.kind == "binary" else u * 2 - 1

    def middle(self, spec: DataSpec) -> float | None:
        """What of stored data is the middle of its range, on both sides of which data lies; None where that is none."""
        return None

    def levels(self, spec: DataSpec) -> int | None:
        """How many values each number of stored data can have; None where it is any, of which there is a density."""
        return {"tokens": spec.vocab, "binary": 2}.get(spec.kind)

    # From people

    def looks_like(self, examples: Examples) -> bool:
        """Whether somebody's examples can be seen to be of this modality and of no other."""
        return False

    def advice(self, examples: Examples) -> str:
        """How to say what is meant by examples that look like those of no modality; "" where that is none of these."""
        return ""

    def check(self, examples: Examples, what: str) -> Examples:
        """Somebody's examples in stored form. Raises DataError that names ``what`` is wrong."""
        if not isinstance(examples, Tensor | Sequences):
            raise DataError(f"{what}: {self.examples} must be an array of numbers, not {kind_of(examples)}")
        data = examples if isinstance(examples, Tensor) else examples.data
        checked = self.check_array(data, what)
        if isinstance(examples, Tensor):
            return checked
        if not self.ordered:
            raise DataError(f"{what}: {self.examples} must be of one shape, and these differ in length")
        return examples.map(checked)

    def check_array(self, x: Tensor, what: str) -> Tensor:
        """An array of them, ``(n, ...)``, in stored form. Raises DataError."""
        self._numbers(x, what)
        if x.is_floating_point() and x.abs().max() > 1 + TOLERANCE:
            low, high = x.double().aminmax()
            raise DataError(
                f"{what}: {self.values} must lie in [-1, 1], got [{low:.3g}, {high:.3g}]: scale them by what full "
                "scale is, the same for all sides"
            )
        return x.float() if x.is_floating_point() else x

    def _numbers(self, x: Tensor, what: str) -> None:
        """Raises DataError for what are no finite real numbers."""
        if x.is_complex():
            raise DataError(f"{what}: {self.examples} must be real numbers, got {x.dtype}")
        if x.is_floating_point() and len(bad := (~torch.isfinite(x)).flatten(1).any(1).nonzero()):
            raise DataError(f"{what}: {len(bad)} of {len(x)} rows hold NaN or infinity, the first is row {int(bad[0])}")

    def refuse_constant(self, examples: Examples, what: str) -> None:
        """Raises DataError for examples that are all alike, or each of one single value: no model made those."""
        if isinstance(examples, Pictures):
            same, flat = examples.same, examples.flat
        elif isinstance(examples, Sequences):
            data, lengths = examples.data, examples.lengths
            same = bool((lengths == lengths[0]).all() and (data == data[0]).all())
            flat = all(bool((row == row[:1]).all()) for row in examples)
        elif isinstance(examples, Tensor):
            planes = examples.flatten(2) if examples.ndim > 3 else examples.flatten(1)  # of pictures, each channel
            same, flat = bool((examples == examples[0]).all()), bool((planes == planes[..., :1]).all())
        else:
            return
        if same:
            raise DataError(f"all {len(examples)} {what} are the same {self.one}: check what was sampled or loaded")
        if flat:
            raise DataError(f"every one of the {len(examples)} {what} is {self.flat}: check what was sampled or loaded")

    @property
    def default_extractor(self) -> str | None:
        """Through which extractor it is seen where nobody names one: the one that was registered as its default."""
        every: dict[str, ExtractorEntry] = registry.all("extractors")
        return next((name for name, entry in every.items() if self.name in entry.default_for), None)

    @property
    def readers(self) -> list[str]:
        """The extractors that read it."""
        every: dict[str, ExtractorEntry] = registry.all("extractors")
        return [name for name, entry in every.items() if self.name in entry.on]


def archive(stored: Stored, rate: float | None) -> bytes:
    """An .npz with ``samples``, ``lengths`` where they differ, and ``rate`` where there is one."""
    parts: dict[str, Any] = {}
    if isinstance(stored, Sequences):
        parts, stored = {"lengths": stored.lengths.numpy()}, stored.data
    if rate is not None:
        parts["rate"] = np.float64(rate)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, samples=stored.numpy(), **parts)
    return buffer.getvalue()


def modality_of(what: DataSpec | str) -> Modality:
    """The modality of this data, or of this name. Raises UnknownName."""
    found: Modality = registry.get("modalities", what if isinstance(what, str) else what.modality).modality
    return found


def quantise(x: Tensor, spec: DataSpec) -> Tensor:
    """Examples as a model makes them, ``(n, *shape)``, in stored form. Raises TrialError as ``Modality.quantise``."""
    return modality_of(spec).quantise(x, spec)


def _tokens(x: Tensor, vocab: int) -> Tensor:
    if x.dtype != torch.int64 or (x.numel() and not 0 <= int(x.min()) <= int(x.max()) < vocab):
        raise TrialError(f"tokens must be int64 in [0, {vocab}), got {x.dtype}")
    return x
