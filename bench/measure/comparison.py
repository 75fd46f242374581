"""Samples beside real data: what a metric that needs no model is given.

A Comparison holds the sides (samples, reference, train) in their stored form; a Space is one extractor's view of them.
"""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

import torch
from torch import Tensor

from bench.errors import GenbenchError, Omitted, TooFew, calling
from bench.measure.feature_store import FeatureSet, FeatureStore, unnamed
from bench.modalities import modality_of
from bench.modalities._examples import Examples, arrays_of, images_of, ordered_hash, texts_of
from bench.modalities._pictures import Pictures
from bench.protocols import DataSpec, Extractor
from bench.reading.arrays import Statistics
from bench.record import Estimate
from bench.registry import MetricEntry, Side, Subject, registry
from bench.streams import stream

T = TypeVar("T")
U = TypeVar("U")
P = ParamSpec("P")
Kept = dict[Hashable, tuple[Any, set[Side]]]  # with the sides that each was made of
Protocol = Mapping[str, str | int | float | bool]
COUNTS: Mapping[str, str] = {
    "samples": "n_fake",
    "reference": "n_real",
    "train": "n_train",
    "conditional": "n_conditional",
    "reconstructions": "n_reconstructed",
}


class Comparison(ABC):
    """Sides to be compared, each made when first asked for and kept.

    rate: samples a second of sound, frames of video, steps of music; None where nothing says it.
    """

    subject: ClassVar[Subject] = "samples"  # what a metric whose first parameter is of this type is given

    def __init__(self, modality: str, *, seed: int, device: torch.device, rate: float | None = None) -> None:
        self.modality, self.seed, self.device, self.rate = modality, seed, device, rate
        self._kept: Kept = {}
        self._read: set[Side] = set()

    @abstractmethod
    def _stored(self, side: Side) -> Examples:
        """Make one side. Raises Omitted where there is none."""

    def stored(self, side: Side) -> Examples:
        """One side in the form data is stored in: images uint8 ``(n, C, H, W)``, text a list of strings.

        Raises Omitted where there is none.
        """
        found = self.once(type(self)._stored, side)
        self.reads(side)  # what is not there was not read
        return found

    def reads(self, side: Side) -> None:
        """Note that what is being computed depends on this side."""
        self._read.add(side)

    @contextlib.contextmanager
    def reading(self) -> Iterator[set[Side]]:
        """The sides that are read from here on, what was kept of them included."""
        outer, inner = self._read, set[Side]()
        self._read = inner
        try:
            yield inner
        finally:
            outer |= inner
            self._read = outer

    def tensor(self, side: Side) -> Tensor:
        """One side as a tensor. Raises Omitted for text, and for sequences of unequal length."""
        return self.once(_arrays, side)

    def images(self, side: Side) -> Tensor | Pictures:
        """One side of pictures, for what looks at a few at a time: not all are held in memory. Raises Omitted."""
        return images_of(self.stored(side), self.modality)

    def texts(self, side: Side) -> list[str]:
        """One side as strings. Raises Omitted for other modalities."""
        return texts_of(self.stored(side), self.modality)

    @property
    def samples(self) -> Tensor:
        return self.tensor("samples")

    @property
    def reference(self) -> Tensor:
        return self.tensor("reference")

    @property
    def spec(self) -> DataSpec | None:
        """The form of the data, where a dataset is compared with."""
        return None

    @property
    def reference_name(self) -> str:
        """What the reference is called in protocols: numbers against different references do not compare."""
        return "test"

    @property
    def train_name(self) -> str:
        """What the training data is called in protocols, likewise."""
        return "train"

    @property
    def reference_order(self) -> str:
        """The reference's content in its order, for the protocol of a metric whose value another order would change."""
        return f"sha256:{ordered_hash(self.stored('reference'))[:16]}"

    @property
    def labels(self) -> Tensor:
        """``(n,)`` int64, the conditions that the side "conditional" was made for. Raises Omitted."""
        raise Omitted("needs samples that were made for given labels")

    @property
    def prompted(self) -> Side:
        """The side that ``prompts`` were for."""
        return "samples"

    @property
    def prompts(self) -> list[str]:
        """The text each example of the side ``prompted`` was made for. Raises Omitted."""
        raise Omitted("needs the prompts the samples were made for (prompts, --prompts)")

    def once(self, work: Callable[Concatenate[Self, P], T], *args: P.args, **options: P.kwargs) -> T:
        """What ``work(self, ...)`` returns, done the first time that any metric asks for it, and kept.

        It is kept by the function itself and by what it is given, which must be hashable.
        """
        return _once(self, self, self._kept, work, *args, **options)

    def rng(self, name: str, index: int = 0) -> torch.Generator:
        """The random stream of this name, at its start, on the CPU."""
        return stream(self.seed, name, index)

    def remark(self, text: str) -> None:
        """Say, once, what is to be known of a number and depends on the data, so that no protocol can hold it."""
        self.once(type(self)._say, text)

    def _say(self, text: str) -> None:
        """In the log: while a trial runs, that is a remark of its record."""
        logging.getLogger("genbench").warning("%s", text)

    def space(self, extractor: str | None) -> Space:
        """All sides as one extractor sees them; None takes vectors as they are."""
        return self.once(Space, extractor)

    @property
    def statistics(self) -> Statistics | None:
        """Mean and covariance of a reference whose examples are not here; else None."""
        return None

    def count(self, side: Side) -> int:
        return len(self.stored(side))


class Space:
    """Features of one extractor: what a feature metric is given. Extracted once per side, for all metrics.

    Features lie where the models compute, on a GPU where there is one and it has the memory: ``.cpu()`` comes before
    ``.numpy()``. Logits, labels and moments lie on the CPU.
    """

    subject: ClassVar[Subject] = "features"

    def __init__(self, comparison: Comparison, extractor: str | None) -> None:
        modality = modality_of(comparison.modality)
        if extractor is None and not modality.is_features:
            known = f": name one of {', '.join(modality.readers)}" if modality.readers else ", and none is registered"
            raise Omitted(f"{modality.examples} are seen through an extractor (extractor, --extractor){known}")
        self.comparison, self.name = comparison, extractor
        self._place = comparison.device
        self._extract = _load(extractor, comparison.device) if extractor else None
        self._store = FeatureStore()
        self._kept: Kept = {}

    def of(self, side: Side) -> FeatureSet:
        """Features, logits and moments of one side. Raises Omitted where there is none."""
        return self.once(type(self)._features, side)

    @property
    def fake(self) -> Tensor:
        """Features of the samples, ``(n, D)``: float32, or what was brought."""
        return self.of("samples").features

    @property
    def real(self) -> Tensor:
        """Features of held-out real data, ``(m, D)``."""
        return self.of("reference").features

    @property
    def train(self) -> Tensor:
        """Features of the training data, ``(t, D)``. Raises Omitted where none was given."""
        return self.of("train").features

    @property
    def logits(self) -> Tensor:
        """Logits of the samples, ``(n, classes)``. Raises Omitted where the extractor is no classifier."""
        found = self.of("samples").logits
        if found is None:
            raise Omitted(f"{self.name or 'a table of vectors'} is no classifier: this needs an extractor that is one")
        return found

    @property
    def labels(self) -> Tensor:
        return self.comparison.labels

    @property
    def knows_classes(self) -> bool:
        """Whether the extractor tells the classes of the data apart, and no others; True where nobody can say."""
        if (spec := self.comparison.spec) is None or self.name is None:
            return True
        entry = registry.get("extractors", self.name)
        with calling(f"the extractor {entry.name!r} of {entry.origin}, asked whether it knows these classes,"):
            return bool(entry.knows(spec))

    @property
    def protocol(self) -> Protocol:
        """What identifies the space: the extractor, the hash of its weights, its preprocessing."""
        if self._extract is None:
            return {"extractor": "none"}
        return {"extractor": str(self.name), **self._extract.protocol, "dtype": "float32"}

    def once(self, work: Callable[Concatenate[Self, P], T], *args: P.args, **options: P.kwargs) -> T:
        """As ``Comparison.once``, for work on this space."""
        return _once(self, self.comparison, self._kept, work, *args, **options)

    def rng(self, name: str, index: int = 0) -> torch.Generator:
        return self.comparison.rng(name, index)

    def remark(self, text: str) -> None:
        """As of ``Comparison``; which extractor it is of is said."""
        self.comparison.remark(f"on {self.name}: {text}" if self.name else text)

    def _features(self, side: Side) -> FeatureSet:
        examples = self.comparison.stored(side)
        if len(examples) < 2:
            raise TooFew(f"{len(examples)} {side} are too few: at least 2 are needed")
        if self._extract is None:
            return self._placed(unnamed(self.comparison.tensor(side)))
        modality_of(self.comparison.modality).refuse_constant(examples, side)
        entry = registry.get("extractors", str(self.name))
        identity = {"extractor": entry.name, "source": entry.digest, **self._extract.protocol}
        return self._placed(self._store.get(self._extract, identity, examples, self.comparison.device))

    def _placed(self, found: FeatureSet) -> FeatureSet:
        """With its features where the models compute, so that a GPU takes the distances of all pairs, too."""
        return replace(found, features=found.features.to(self._place))

    def leave_gpu(self) -> bool:
        """Whether features lay on a GPU until now. From here on they lie on the CPU; what was found is forgotten."""
        left, self._place = self._place, torch.device("cpu")
        if left.type == "cpu":
            return False
        self._kept.clear()
        self.remark("features are too many for the memory of the GPU, and were compared on the CPU")
        return True


def _once(
    of: U,
    watched: Comparison,
    kept: Kept,
    work: Callable[Concatenate[U, P], T],
    *args: P.args,
    **options: P.kwargs,
) -> T:
    """Raises GenbenchError for a function that is made anew with every call, of which nothing would be shared."""
    if "<locals>" in work.__qualname__:
        raise GenbenchError(f"once keeps by the function: define {work.__qualname__} at the top of its module")
    key = (work, args, *options.items())
    if key not in kept:
        with watched.reading() as read:
            kept[key] = work(of, *args, **options), read
    found: T = kept[key][0]
    for side in kept[key][1]:
        watched.reads(side)
    return found


def _arrays(comparison: Comparison, side: Side) -> Tensor:
    return arrays_of(comparison.stored(side), comparison.modality)


def measure(entry: MetricEntry, comparison: Comparison) -> Estimate:
    """A metric's estimate, its protocol completed with what it was taken of.

    A side that it read counts as one that it declared, whoever read it first. Raises Omitted, or GenbenchError, also
    for a metric that says something else than the kernel of sides or features, or counts a side that it did not read,
    and for a value that it cannot have.
    """
    seen = comparison.space(entry.extractor) if entry.of == "features" else None
    with comparison.reading() as read:
        try:
            estimate = entry.compute(comparison if seen is None else seen)
        except torch.OutOfMemoryError:
            if seen is None or not seen.leave_gpu():
                raise
            estimate = entry.compute(seen)
    if wrong := entry.impossible(estimate.value):
        raise GenbenchError(wrong)
    sides = [side for side in COUNTS if side in {*entry.sides, *read}]
    taken: dict[str, str | int | float | bool] = dict(seen.protocol if seen else {})
    taken |= {COUNTS[side]: _count(comparison, side) for side in sides}
    # Named by a metric that does not read them, they are checked all the same.
    named = [side for side in ("reference", "train") if side in sides or side in estimate.protocol]
    taken |= {side: getattr(comparison, f"{side}_name") for side in named}
    # A metric of the model reads the data set itself, and says what of it.
    reserved = taken.keys() | (() if entry.of == "model" else {"extractor", *COUNTS.values()})
    said = estimate.protocol
    if denied := sorted(key for key in reserved & said.keys() if key not in taken or taken[key] != said[key]):
        raise GenbenchError(
            f"{entry.name} writes over {', '.join(denied)} of its protocol, by which the kernel says what was "
            "measured: the metric must name its own entries otherwise"
        )
    return estimate.model_copy(update={"protocol": {**taken, **estimate.protocol}})


def _count(comparison: Comparison, side: Side) -> int | str:
    """How many examples a side has, as far as it is known."""
    known = comparison.statistics if side == "reference" else None
    return known.n or "unknown" if known else comparison.count(side)


def _load(name: str, device: torch.device) -> Extractor:
    extract: Extractor = registry.get("extractors", name).make()
    return extract.to(device) if isinstance(extract, torch.nn.Module) else extract
