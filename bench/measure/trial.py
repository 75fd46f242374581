"""One model on one dataset with one seed, as a metric sees it. Samples are drawn once, features extracted once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor
from typing_extensions import TypeVar  # with a default, which that of Python 3.11 cannot have

from bench.errors import Omitted, TrialError
from bench.measure.alone import Alone
from bench.measure.comparison import Comparison, measure
from bench.modalities import Modality, modality_of
from bench.modalities._base import AT_A_TIME
from bench.modalities._examples import Examples, Stored, arrays_of, numbers
from bench.modalities._sequences import joined
from bench.probes.pulse import alive
from bench.probes.stopwatch import Timing, time_calls
from bench.protocols import Batch, Dataset, DataSpec, Generator, Reconstructor, unmet
from bench.record import CurvePoint, Estimate, Precision
from bench.registry import MetricEntry, Side

Model = TypeVar("Model", bound=Generator, default=Generator, covariant=True)


@dataclass(frozen=True)
class Costs:
    """What training and sampling took. Peaks are of the worker's whole process, metrics not included.

    ``why_no_gpu`` is the reason where ``peak_gpu_bytes`` is None. joules: of the training, by the counter that
    ``energy`` names; None for the reason that it gives. flops: of one training example, where anybody counted them.
    precision: of its products. curve: the training's points so far.
    """

    train_seconds: float
    train_examples: int
    peak_rss_bytes: int
    peak_gpu_bytes: int | None
    why_no_gpu: str | None
    joules: float | None = None
    energy: str = "not measured"
    flops: float | None = None
    precision: Precision = "fp32"
    curve: Sequence[CurvePoint] = ()


class Trial(Comparison, Generic[Model]):
    """What a metric of a model is given; also the Comparison of the model's samples with its data.

    ``Trial[Likelihood]`` is one whose model has that capability, and what a metric asks for in its signature.

    model: the trained or loaded generator, in evaluation mode.   dataset: the data, all splits.
    n_samples: how many samples a metric may expect.               batch_size: how many are drawn at a time.
    """

    subject = "model"

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        *,
        seed: int,
        n_samples: int,
        batch_size: int,
        device: torch.device,
        costs: Costs | None = None,
        alone: Callable[[], Alone] | None = None,
        conditions: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(dataset.spec.modality, seed=seed, device=device, rate=dataset.spec.rate)
        self.model, self.dataset = model, dataset
        self.n_samples, self.batch_size = n_samples, batch_size
        self.costs = costs
        self._told: Stored | None = None  # the side "conditional" as it is stored, once it is drawn
        self._alone = alone
        self._alone_failed: TrialError | None = None
        self.timings: dict[str, Timing] = {}
        self.raw: dict[str, object] = {}  # what a process of its own read off its clocks, as ``Timing.raw`` has it
        # How the run was set up (device, threads, jobs): part of every cost metric's protocol.
        self.conditions = dict(conditions or {"device": str(device)})

    @property
    def spec(self) -> DataSpec:
        return self.dataset.spec

    @property
    def drawn(self) -> Stored:
        """The samples as they are stored, of text its tokens. Raises TrialError for what breaks a model's promise."""
        return self.once(type(self)._draw, "sample")

    @property
    def held_out(self) -> Stored:
        """The test split in the form of ``drawn``; of text, its windows end to end."""
        return self.once(_held_out)

    @property
    def samples(self) -> Tensor:
        """``(n_samples, *shape)`` on the CPU: images uint8 0..255, tokens int64. Raises TrialError if out of range."""
        self.reads("samples")
        return arrays_of(self.drawn, self.modality)

    @property
    def reference(self) -> Tensor:
        """The test split in the form of ``samples``."""
        self.reads("reference")
        return arrays_of(self.held_out, self.modality)

    def time(self, scenario: str, call: Callable[[], object], *, each: bool = True) -> Timing:
        """The timing of a call under this name, made the first time it is asked for; all its values join the record.

        each: as of ``time_calls``.
        """
        if scenario not in self.timings:
            self.timings[scenario] = time_calls(call, self.device, each=each)
        return self.timings[scenario]

    def alone(self) -> Alone:
        """What sampling takes in a process of its own, which is started for it once.

        Raises Omitted outside a run, and TrialError where that process comes to nothing.
        """
        return self.once(type(self)._measured_alone)

    def _measured_alone(self) -> Alone:
        if self._alone is None:
            raise Omitted("only a run starts a process for it")
        if self._alone_failed:  # it would again, for each metric that asks
            raise self._alone_failed
        try:
            found = self._alone()
            self.raw.update(found.raw)
            return found
        except TrialError as error:
            self._alone_failed = error
            raise

    def only_upper_half(self, margin: float = 0.0) -> bool:
        """Whether no sample ever falls below the middle of [-1, 1], where more than 1 % of the data does.

        So look those of a model that takes pixels for [0, 1]. Samples of one single level say nothing of their range.
        margin: share of the way from there to the highest value of data that no sample may fall below either.
        """
        if (middle := self._modality.middle(self.spec)) is None:
            return False
        samples, reference = numbers(self.drawn), numbers(self.held_out)
        if samples.min() == samples.max() or samples.min() < middle + margin * (float(reference.max()) - middle):
            return False
        return int((reference < middle).sum()) > 0.01 * reference.numel()

    @property
    def labels(self) -> Tensor:
        """As many of every class, in turn: what the side "conditional" is drawn for. Raises Omitted."""
        if not self.spec.classes:
            raise Omitted("needs data with labels, and this has none")
        if not getattr(self.model, "conditional", False):
            raise Omitted(
                "needs a generator that is told labels, and this one is not (`genbench list generators labels` shows "
                "who can be, some of them with labels = true)"
            )
        return torch.arange(self.n_samples) % self.spec.classes

    @property
    def prompted(self) -> Side:
        return "conditional"

    @property
    def prompts(self) -> list[str]:
        """The labels in words. Raises Omitted."""
        labels, captions = self.labels, self.spec.captions
        if captions is None:
            raise Omitted("nobody named the classes of this data: there are labels, and no captions")
        return [captions[label] for label in labels.tolist()]

    def asked(self, most: int) -> tuple[Tensor, Stored]:
        """Up to ``most`` labels, class by class, ``(n,)``, and what the model made when it was asked for each.

        They are of the side "conditional" where a metric had it drawn, else drawn for it alone. Raises Omitted, and
        TrialError for what breaks a model's promise.
        """
        every = self.labels
        rows = rows_of_classes(len(every), self.spec.classes or 0, most)
        labels = every[rows]
        return labels, self._draw("asked", labels) if self._told is None else self._told[rows]

    def unseen(self, labels: Tensor) -> list[int]:
        """Those of these labels ``(n,)`` that no training example has, in order. It reads until all are found."""
        left, part = set(labels.tolist()), self.dataset.train
        for index in alive(torch.arange(len(part)).split(AT_A_TIME)):
            condition = part.batch(index).condition if left else None
            left -= set() if condition is None else set(condition.tolist())
        return sorted(left)

    def _stored(self, side: Side) -> Examples:
        match side:
            case "samples":
                return self._written(self.drawn)
            case "reference":
                return self._written(self.held_out)
            case "train":
                return self._written(self._modality.held(self.dataset, "train"))
            case "conditional":
                self._told = self._draw("conditional", self.labels)
                return self._written(self._told)
            case "reconstructions":
                return self._written(self._reconstruct())

    @property
    def _modality(self) -> Modality:
        return modality_of(self.spec)

    def _written(self, stored: Stored) -> Examples:
        return self._modality.written(stored, self.dataset)

    @torch.no_grad()
    def _draw(self, name: str, labels: Tensor | None = None) -> Stored:
        """Samples from the stream of this name: ``n_samples``, or one of each label."""
        rng, n = self.rng(name), self.n_samples if labels is None else len(labels)
        batches = []
        for chunk in alive(torch.arange(n).split(self.batch_size)):
            condition = None if labels is None else labels[chunk].to(self.device)
            made = self.model.sample(len(chunk), rng, condition)
            batches.append(self._stored_form(made, len(chunk), "sample"))
        return joined(batches)

    @torch.no_grad()
    def _reconstruct(self) -> Stored:
        """The model's copies of the test split, quantised as the data is."""
        if not isinstance(self.model, Reconstructor):
            raise Omitted(unmet(self.model, Reconstructor))
        test, chunks = self.dataset.test, torch.arange(len(self.dataset.test)).split(self.batch_size)
        copies = (self.model.reconstruct(test.batch(c).to(self.device)) for c in alive(chunks))
        return joined([self._stored_form(x, len(c), "reconstruct") for x, c in zip(copies, chunks, strict=True)])

    def _stored_form(self, made: object, n: int, method: str) -> Stored:
        """What a method of the model returned for ``n`` examples, quantised. Raises TrialError where it is not that."""
        batch = made if isinstance(made, Batch) else Batch(made)  # type: ignore[arg-type]
        if not isinstance(batch.data, Tensor):
            raise TrialError(f"{method}({n}) returned {type(made).__name__}, not a tensor")
        if tuple(batch.data.shape) != (n, *self.spec.shape):
            raise TrialError(f"{method}({n}) has shape {tuple(batch.data.shape)}, not {(n, *self.spec.shape)}")
        return self._modality.stored(batch, self.spec)


def measure_model(entry: MetricEntry, trial: Trial) -> Estimate:
    """As ``measure``, of a model. Raises Omitted, too, where it has not the capability that the metric needs."""
    if not isinstance(trial.model, entry.needs):
        raise Omitted(unmet(trial.model, entry.needs))
    return measure(entry, trial)


def rows_of_classes(n: int, classes: int, most: int) -> Tensor:
    """Up to ``most`` of n rows whose labels are 0, 1, ... in turn: as many of each class, class by class.

    Of more classes than that, one each of some that are spread over all.
    """
    classes_drawn = min(n, classes)
    if classes_drawn > most:
        return torch.linspace(0, classes_drawn - 1, most, dtype=torch.float64).round().long()
    each = torch.arange(min(n, most) // classes_drawn)
    return (torch.arange(classes_drawn)[:, None] + classes * each).flatten()


def _held_out(trial: Trial) -> Stored:
    return trial._modality.held(trial.dataset, "test")
