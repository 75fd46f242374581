"""Generators, metrics and datasets that each break one promise, and the classes that would be written for them.

Run by test_broken.py in a process of its own, so that nobody else meets them.
Every class says in BREAKS which promises it must be told of, and in what words.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from bench import (
    Batch,
    Comparison,
    DataSpec,
    Estimate,
    GenbenchError,
    Interval,
    Rows,
    Space,
    Split,
    Trial,
    dataset,
    generator,
    metric,
)
from bench.testing import DatasetPromises, GeneratorPromises, MadeUp, MetricPromises, made_up
from bench.testing.made_up import Part

# Generators ---------------------------------------------------------------------------------------------------------


class Line(nn.Module):
    """Noise through one layer, as a sequence of binary frames or as anything continuous; nothing is wrong with it."""

    conditional = True

    def __init__(self, spec: DataSpec, *, scale: float = 1.0) -> None:
        super().__init__()
        self.spec, self.scale = spec, scale
        self.map = nn.Linear(3, int(np.prod(spec.shape)))
        self.optimiser = torch.optim.Adam(self.parameters(), lr=0.05)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        return self.step(self.fit(batch.data, torch.randn(len(batch.data), 3, generator=rng)).mean())

    def step(self, loss: Tensor) -> dict[str, float]:
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"loss": loss.item()}

    def fit(self, x: Tensor, z: Tensor) -> Tensor:
        errors: Tensor = self.map(z) - x.flatten(1)
        return errors.square().mean(1)

    def make(self, z: Tensor) -> Tensor:
        made: Tensor = self.map(z).clamp(-1, 1)
        return made.view(-1, *self.spec.shape)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        draws = Rows(rng, n)
        labels = draws.labels(self.spec.classes or 1, condition)
        return self.make(draws.normal(3) + labels[:, None] / 10)

    @torch.no_grad()
    def example_loss(self, batch: Batch) -> Tensor:
        return self.fit(batch.data, torch.zeros(len(batch.data), 3))

    @torch.no_grad()
    def reconstruct(self, batch: Batch) -> Tensor:
        return batch.data.clone()


class Coin(nn.Module):
    """Each token by itself, whatever stands before it: exact, in order, without end; nothing is wrong with it."""

    bound: Any = False
    log_prob_of: Any = "mass"

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.logits = nn.Parameter(torch.linspace(0, 1, spec.vocab or 0))
        self.optimiser = torch.optim.Adam(self.parameters(), lr=0.05)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        return Line.step(self, -self.each(batch).mean())  # type: ignore[arg-type]

    def each(self, batch: Batch) -> Tensor:
        found = self.logits.log_softmax(0)[batch.data]
        return found if batch.lengths is None else found.where(batch.mask, 0)

    @torch.no_grad()
    def step_log_prob(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        return self.each(batch), "anywhere"

    def log_prob(self, batch: Batch) -> Tensor:
        return self.step_log_prob(batch)[0].sum(1)

    def draw(self, u: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.searchsorted(self.logits.softmax(0).cumsum(0), u).clamp(max=len(self.logits) - 1)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.draw(Rows(rng, n).uniform(*self.spec.shape))

    def forecast(self, start: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        return self.draw(Rows(rng, len(start)).uniform(steps))

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        return (pieces[0] for pieces in self.stream_batch(prompt[None], rng))

    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        while True:
            yield self.draw(torch.rand(len(prompts), generator=rng))


class DependsOnItsBatch(Line):
    def make(self, z: Tensor) -> Tensor:
        return super().make(z - z.mean(0))


class LeavesTheRange(Line):
    def make(self, z: Tensor) -> Tensor:
        return 255 * super().make(z)


class DrawsForEverybody(Line):
    def make(self, z: Tensor) -> Tensor:
        return super().make(torch.randn(z.shape))


class IsDeafToSeeds(Line):
    def make(self, z: Tensor) -> Tensor:
        return super().make(0 * z)


class KeepsADraw(Line):
    def make(self, z: Tensor) -> Tensor:
        self.scale += 0.01
        return super().make(z * self.scale)


class CarriesGradients(Line):
    sample = Line.sample.__wrapped__  # type: ignore[attr-defined]


class NeedsEveryDigit(Line):
    def make(self, z: Tensor) -> Tensor:
        made: Tensor = (1e2 * self.map(z)).round().sin()
        return made.view(-1, *self.spec.shape)


class LooksAtLabelsTogether(Line):
    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return super().sample(n, rng, None if condition is None else condition.sort().values)


class TakesAnyLabel(Line):
    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        draws = Rows(rng, n)
        labels = draws.labels(self.spec.classes or 1) if condition is None else condition.flatten()[:n]
        return self.make(draws.normal(3) + labels[:, None] / 10)


class LeavesABiasOut(Line):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.optimiser = torch.optim.Adam([self.map.weight], lr=0.05)


class CallsIdleWhatMoves(Line):
    idle_parameters: ClassVar[set[str]] = {"map.bias"}


class Diverges(Line):
    def step(self, loss: Tensor) -> dict[str, float]:
        return {"loss": super().step(loss)["loss"] / 0.0 if False else float("nan")}


class Climbs(Line):
    def step(self, loss: Tensor) -> dict[str, float]:
        return super().step(-loss)


class Counts(Line):
    """It counts its evaluations, and has a hyperparameter of sampling; nothing is wrong with it."""

    nfe = 1

    def __init__(self, spec: DataSpec, *, shift: float = 0.0) -> None:
        super().__init__(spec)
        self.shift = shift

    def make(self, z: Tensor) -> Tensor:
        return super().make(z + self.shift)


class CountsWrongly(Counts):
    nfe = 2


class TrainsByWhatItCallsSampling(Counts):
    def fit(self, x: Tensor, z: Tensor) -> Tensor:
        return super().fit(x + self.shift, z)


class GoesOnWhenItIsOver(Line):
    """It is told how far it is, and trains on."""

    def pace(self, share: float) -> None:
        self.share = share


MOMENTA: WeakKeyDictionary[nn.Module, Tensor] = WeakKeyDictionary()


class OptimisesElsewhere(Line):
    """Its momentum lies where no checkpoint sees it."""

    def step(self, loss: Tensor) -> dict[str, float]:
        (gradient,) = torch.autograd.grad(loss, [self.map.bias])
        before = MOMENTA.get(self, torch.zeros_like(gradient))
        MOMENTA[self] = 0.9 * before + gradient
        with torch.no_grad():
            self.map.bias.sub_(0.1 * MOMENTA[self])
            self.map.weight.add_(0.001)
        return {"loss": loss.item()}


class RoundsItsLoss(Line):
    """It takes the difference of two large numbers."""

    def fit(self, x: Tensor, z: Tensor) -> Tensor:
        found: Tensor = super().fit(x, z) + (self.map(z) + 1000).mean(1) - 1000
        return found


class FitsOnTopOfWhatItFitted(Line):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(()))

    def refit(self, data: Split, rng: torch.Generator) -> None:
        self.mean.lerp_(data.batch(torch.arange(5)).data.mean(), 0.5)


class ForgetsItsOptimiser(Line):
    """Its optimiser is where no state_dict looks for it."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        rule = torch.optim.Adam(self.parameters(), lr=0.05)
        self.optimiser = type("Hidden", (), {"zero_grad": lambda _: rule.zero_grad(), "step": lambda _: rule.step()})()


class CannotBeLoaded(Line):
    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        if not torch.equal(state_dict["map.bias"], self.map.bias):
            raise TypeError("these are not my weights")


class SamplesFromATensorBeside(Line):
    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        self.mean = batch.data.mean(0)
        return super().train_step(batch, rng)

    def make(self, z: Tensor) -> Tensor:
        return (super().make(z) + getattr(self, "mean", 0)).clamp(-1, 1)


class HasHalfALikelihood(Line):
    def log_prob(self, batch: Batch) -> Tensor:
        return -self.example_loss(batch)


class CopiesAnotherShape(Line):
    def reconstruct(self, batch: Batch) -> Tensor:
        return batch.data.flatten(1)


class ScoresNeighbours(Line):
    def example_loss(self, batch: Batch) -> Tensor:
        found: Tensor = super().example_loss(batch)
        return found + found.max()


class ScoresByChance(Line):
    def example_loss(self, batch: Batch) -> Tensor:
        found: Tensor = super().example_loss(batch)
        return found + 1e-4 * torch.rand(len(found))


class IsNoDistribution(Coin):
    def each(self, batch: Batch) -> Tensor:
        return super().each(batch) + 0.01


class SeesTheFuture(Coin):
    def step_log_prob(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        return super().step_log_prob(batch)[0].flip(1), None


class LosesItsPlace(Coin):
    @torch.no_grad()
    def step_log_prob(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        found = self.each(batch)
        return found if state is None else found - 1, "behind"


class LooksAtPadding(Coin):
    def each(self, batch: Batch) -> Tensor:
        return super().each(batch._replace(lengths=None))


class Ends(Coin):
    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        return itertools.islice(super().stream(prompt, rng), self.spec.shape[0])


class SaysTheSameToAll(Coin):
    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        return (piece.expand(len(prompts)) for piece in super().stream_batch(prompts[:1], rng))


class ForecastsOneMore(Coin):
    def forecast(self, start: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        return super().forecast(start, steps + 1, rng)


class SaysWhatItIsNot(Coin):
    log_prob_of = "loss"


PRESETS: Mapping[str, Mapping[str, Any]] = {"test": {}}
SMALL: Mapping[str, DataSpec] = {"image": DataSpec("image", (1, 4, 4), "continuous", classes=3)}
WORDS: Mapping[str, DataSpec] = {"text": DataSpec("text", (8,), "tokens", vocab=5)}
HALF, TRAINS = "bf16_makes_nearly_the_same_samples", "bf16_trains_nearly_as_well"
FORM, SEED = "samples_have_the_promised_form", "a_seed_decides_the_samples"
BATCH, LABELS = "a_sample_does_not_depend_on_its_batch", "labels_are_taken"
REACH, LOWER = "a_step_reaches_every_parameter", "training_lowers_what_it_says_it_lowers"
CUT, LOADED = "an_interrupted_training_ends_in_the_same_model", "a_loaded_model_makes_the_same_samples"
WHOLE, PRESET = "a_protocol_is_kept_whole_or_not_at_all", "presets_are_valid"
ALONE, LOSS, SUM = (
    "a_likelihood_is_of_each_example_alone",
    "a_loss_is_of_each_example_alone",
    "probabilities_sum_to_one",
)
STEPS, COPY, STREAM = (
    "steps_add_up_and_do_not_see_the_future",
    "a_copy_has_the_form_of_its_original",
    "a_stream_goes_on_without_end",
)
GENERATORS: Mapping[type, Mapping[str, str]] = {
    Line: {},
    Coin: {},
    DependsOnItsBatch: {BATCH: "samples differ from those of one batch of 7", LABELS: "depend on their batch"},
    LeavesTheRange: {FORM: "pixels must lie in [-1, 1]", LABELS: "pixels must lie in [-1, 1]"},
    DrawsForEverybody: {SEED: "draw from rng alone", BATCH: "draw by bench.normal", LABELS: "", LOADED: ""},
    IsDeafToSeeds: {SEED: "two seeds gave the same samples"},
    KeepsADraw: {SEED: "keep nothing from draw to draw", BATCH: "", LABELS: ""},
    CarriesGradients: {FORM: "put sample under torch.no_grad()"},
    NeedsEveryDigit: {HALF: "of the values are others: compute what decides"},
    LooksAtLabelsTogether: {LABELS: "samples made for labels depend on their batch"},
    TakesAnyLabel: {"labels_that_there_are_not_are_refused": "labels [0, -1], where labels are 0..2, it gave samples"},
    LeavesABiasOut: {REACH: "did not move map.bias: give it to an optimiser", LOWER: ""},
    CallsIdleWhatMoves: {REACH: "idle_parameters names map.bias, which moved"},
    Diverges: {
        REACH: "loss became nan at step 1",
        CUT: "loss became nan",
        LOADED: "loss became nan",
        LOWER: "raised",
        TRAINS: "",
    },
    Climbs: {LOWER: "60 steps on one batch raised its loss"},
    Counts: {},
    CountsWrongly: {"evaluations_are_as_many_as_it_says": "nfe is 2, and no part of it is asked so often"},
    TrainsByWhatItCallsSampling: {"what_is_said_of_sampling_changes_no_weight": "sampling names shift, and another"},
    GoesOnWhenItIsOver: {"its_rates_fall_to_nothing": "told that its training is over, a step still moves"},
    RoundsItsLoss: {TRAINS: "compute what cannot be rounded in float32"},
    FitsOnTopOfWhatItFitted: {"what_is_fitted_last_rests_on_weights_alone": "otherwise, in model.mean", CUT: "mean"},
    OptimisesElsewhere: {CUT: "state_dict leaves out what training changes"},
    ForgetsItsOptimiser: {CUT: "state_dict leaves out what training changes"},
    CannotBeLoaded: {CUT: "cannot be loaded from its checkpoint", LOADED: "does not fit this model"},
    SamplesFromATensorBeside: {CUT: "checkpoints do not hold mean", LOADED: "makes other samples than it made before"},
    HasHalfALikelihood: {WHOLE: "the model has no bound and no log_prob_of"},
    CopiesAnotherShape: {COPY: "reconstruct gave (8, 16) for (8, 1, 4, 4)"},
    ScoresNeighbours: {LOSS: "changes with the others of its batch"},
    ScoresByChance: {LOSS: "gave two answers"},
    IsNoDistribution: {SUM: "sum to 1.04"},
    SeesTheFuture: {STEPS: "changes with what comes after it"},
    LosesItsPlace: {STEPS: "in two parts, handed its state, is not that of the whole"},
    LooksAtPadding: {ALONE: "look at batch.mask"},
    Ends: {STREAM: "stream ended after 8 pieces of 24"},
    SaysTheSameToAll: {"streams_side_by_side_are_streams": "three streams are one: each needs its own draws"},
    ForecastsOneMore: {"a_forecast_is_as_long_as_asked_for": "forecast said (8, 2) of 1 steps"},
    SaysWhatItIsNot: {ALONE: "log_prob_of is 'loss'"},
}

# Metrics ------------------------------------------------------------------------------------------------------------


def level(space: Space) -> Estimate:
    """Mean of the samples' features; nothing is wrong with it."""
    x = space.fake.double()
    if len(x) < 2 or not torch.isfinite(x).all():
        raise GenbenchError("at least two rows of numbers are needed")
    return Estimate(value=float(x.mean()), n=len(x))


def is_unseeded(space: Space) -> Estimate:
    """Of a part that numpy's own generator picks."""
    return level(space).model_copy(update={"value": float(np.random.normal())})


def takes_the_first_half(space: Space) -> Estimate:
    """Of the first half alone."""
    return level(space).model_copy(update={"value": float(space.fake[:50].double().mean())})


def tells_data_in_its_protocol(space: Space) -> Estimate:
    """With the mean in its protocol."""
    return level(space).model_copy(update={"protocol": {"mean": float(space.fake.mean())}})


def lies_outside(space: Space) -> Estimate:
    """With an interval that does not hold it."""
    found = level(space)
    return found.model_copy(update={"interval": Interval(lo=found.value + 1, hi=found.value + 2, method="none")})


def rests_on_nothing(space: Space) -> Estimate:
    """Of no examples, it says."""
    return level(space).model_copy(update={"n": 0})


def centres_in_place(space: Space) -> Estimate:
    """Takes the mean off, and leaves it so."""
    found = level(space)
    space.fake.sub_(space.fake.mean(0))
    return found


def breaks_on_few(c: Comparison) -> Estimate:
    """Divides by n - 1."""
    return Estimate(value=1 / (len(c.samples) - 1), n=len(c.samples))


def is_blind_to_nan(space: Space) -> Estimate:
    """Leaves out what is no number."""
    return Estimate(value=float(np.nanmedian(space.fake)), n=len(space.fake))


def names_a_side_too_many(space: Space) -> Estimate:
    """Says that it looks at the training data."""
    return level(space)


def is_never_there(space: Space) -> Estimate:
    """Has no number."""
    raise GenbenchError("it needs the moon to be full")


def wordless(space: Space) -> Estimate:
    return level(space)


def moves_the_model(trial: Trial) -> Estimate:
    """Trains on."""
    model: Any = trial.model
    for p in model.parameters():
        p.data += 1
    return Estimate(value=1.0, n=1)


NUMBER, SEEDED, ORDER = "it_gives_a_number", "a_seed_decides_the_number", "the_order_of_samples_does_not_matter"
PROTOCOL = "the_protocol_says_which_data_and_nothing_else_of_it"
LOOKED, LEFT = "the_protocol_names_every_side_that_was_looked_at", "it_leaves_what_it_looks_at_alone"
FEW, REFUSED, SAYS = "too_few_are_told", "what_is_no_number_is_refused", "it_says_what_it_is"
NOT_THERE = "it needs the moon to be full"
METRICS: Mapping[Any, Mapping[str, str]] = {
    level: {},
    is_unseeded: {SEEDED: "draw from the rng of what it is given", ORDER: ""},
    takes_the_first_half: {ORDER: "of the same samples in another order"},
    tells_data_in_its_protocol: {PROTOCOL: "mean of its protocol depends on the data"},
    lies_outside: {NUMBER: "outside its interval"},
    rests_on_nothing: {NUMBER: "rests on n = 0 examples"},
    centres_in_place: {LEFT: "changes samples, which others measure after it"},
    breaks_on_few: {FEW: "broke by ZeroDivisionError"},
    is_blind_to_nan: {REFUSED: "of samples with NaN in them: raise GenbenchError"},
    names_a_side_too_many: {LOOKED: "speaks of ['samples', 'train'] and looks at ['samples']", REFUSED: ""},
    is_never_there: dict.fromkeys((NUMBER, SEEDED, ORDER, PROTOCOL, LOOKED, LEFT), NOT_THERE),
    wordless: {SAYS: "has no docstring"},
    moves_the_model: {LEFT: "which others measure after it"},
}

# Datasets -----------------------------------------------------------------------------------------------------------


class Pictures(MadeUp):
    """Three splits of pictures; nothing is wrong with them."""

    fingerprint = "sha256:0"

    def __init__(self) -> None:
        super().__init__(DataSpec("image", (1, 4, 4), "continuous", classes=2))


class HoldsOtherExamplesEveryTime(Pictures):
    def __init__(self) -> None:
        super().__init__()
        self.train.data *= 1 - 0.01 * torch.rand(())


class HasTwoFingerprints(Pictures):
    count = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.fingerprint = f"sha256:{next(self.count)}"


class IsTestedOnWhatItTrainedOn(Pictures):
    def __init__(self) -> None:
        super().__init__()
        self.test.data[3] = self.train.data[5]


class LeavesTheRangeOfPixels(Pictures):
    def __init__(self) -> None:
        super().__init__()
        self.valid.data += 5


class HasALabelTooMany(Pictures):
    def __init__(self) -> None:
        super().__init__()
        self.valid.labels = torch.full((20,), 2)


class SortedPart(Part):
    def batch(self, index: Tensor) -> Batch:
        return super().batch(index.sort().values)


class SortsWhatIsAskedFor(Pictures):
    def __init__(self) -> None:
        super().__init__()
        self.test = SortedPart(self.test.data, self.test.labels)


class Window(Part):
    def batch(self, index: Tensor) -> Batch:
        first = int(index[0])
        found = super().batch(index)
        return found if len(index) > 1 else found._replace(data=self.data[first : first + 1])


class LendsItsOwnMemory(Pictures):
    def __init__(self) -> None:
        super().__init__()
        self.train = Window(self.train.data, self.train.labels)


class IsEmpty(Pictures):
    def __init__(self) -> None:
        super().__init__()
        self.test = Part(self.test.data[:0], torch.zeros(0, dtype=torch.int64))


class IsNowhere(Pictures):
    """Is found nowhere."""


class SaysItIsText(Pictures):
    """Registered as text."""


class LosesLetters:
    """Text whose capitals are lost on the way."""

    def __init__(self) -> None:
        self.of = made_up("text")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)

    def decode(self, tokens: Tensor) -> list[str]:
        return [text.lower() for text in self.of.decode(tokens)]

    def tokens(self, split: Any) -> Tensor:
        found: Tensor = self.of.tokens(split)
        return found

    def count_bytes(self, tokens: Tensor) -> int:
        return tokens.numel()

    def text(self, split: Any) -> str:
        return str(self.of.text(split))


TWICE, EXAMPLES = "it_is_the_same_every_time", "examples_have_the_promised_form"
ASKED, SHARED = "examples_come_in_the_order_asked_for", "splits_share_no_example"
KIND, WRITTEN = "it_is_what_it_is_registered_as", "text_can_be_written_out"
FOUND = "it_is_found_without_being_read"
DATASETS: Mapping[Any, Mapping[str, str]] = {
    Pictures: {},
    HoldsOtherExamplesEveryTime: {TWICE: "the split train holds other examples"},
    HasTwoFingerprints: {TWICE: "read twice it has two fingerprints"},
    IsTestedOnWhatItTrainedOn: {SHARED: "1 examples of test are in train too"},
    LeavesTheRangeOfPixels: {EXAMPLES: "pixels must lie in [-1, 1]", SHARED: "pixels must lie in [-1, 1]"},
    HasALabelTooMany: {EXAMPLES: "labels must be int64 in [0, 2)"},
    SortsWhatIsAskedFor: {ASKED: "examples 19 and 0 together are not what they are alone, in this order"},
    LendsItsOwnMemory: {ASKED: "what is done to a batch changes the data: give a copy"},
    IsEmpty: {KIND: "the split test is empty", TWICE: "", EXAMPLES: "", ASKED: ""},
    IsNowhere: {FOUND: "locate() gave '', not where the data is"},
    SaysItIsText: {KIND: "is registered as text, and its spec says image"},
    LosesLetters: {
        WRITTEN: "its tokens spell another text than text('train')",
        SHARED: "27 examples of valid are in train too",
    },
}

# What would be written for them -------------------------------------------------------------------------------------

BREAKS: dict[str, Mapping[str, str]] = {}


def promised(kind: type, broken: Mapping[str, str], thing: Any, **asked: Any) -> None:
    """A class of tests for a thing, in this module, where pytest finds it."""
    name = f"Test{thing.__name__}"
    globals()[name] = type(name, (kind,), {"__module__": __name__, **asked})
    BREAKS[name] = {f"test_{promise}": words for promise, words in broken.items()}


for family, broken in GENERATORS.items():
    family.__doc__ = family.__doc__ or "Breaks a promise."
    name, words = f"broken/{family.__name__}", issubclass(family, Coin)
    sampling = ("shift",) if issubclass(family, Counts) else ()
    generator(name, modalities={"text" if words else "image"}, presets=PRESETS, sampling=sampling)(family)
    promised(GeneratorPromises, broken, family, family=name, specs=WORDS if words else SMALL)


for compute, broken in METRICS.items():
    name = f"broken/{compute.__name__}"
    sides: Any = ["samples", "train"] if compute is names_a_side_too_many else ["samples"]
    metric(name, on={"vector"} if compute is not moves_the_model else {"image"}, sides=sides, aspect="realism",
           unit="1", better="none")(compute)  # fmt: skip
    promised(MetricPromises, broken, compute, metric=name)


for make, broken in DATASETS.items():
    make.__doc__ = make.__doc__ or "Breaks a promise."
    name = f"broken/{make.__name__}"
    places: Callable[[], str] = str if make is IsNowhere else lambda: "embedded"
    dataset(name, modality="text" if make in (SaysItIsText, LosesLetters) else "image", locate=places)(make)
    promised(DatasetPromises, broken, make, dataset=name)


@generator("broken/unready", modalities={"image"}, presets={"tiny": {"scail": 2.0}})
class Unready(Line):
    """Has no preset for tests, and one with a parameter that there is not."""


promised(GeneratorPromises, {PRESET: "has no preset 'test'"}, Unready, family="broken/unready", specs=SMALL)
promised(
    GeneratorPromises,
    {BATCH: "[XPASS(strict)] it was once so"},
    type("AnExceptionThatIsNone", (), {}),
    family="broken/Line",
    specs=SMALL,
    exceptions={"test_a_sample_does_not_depend_on_its_batch": "it was once so"},
)
promised(
    GeneratorPromises,
    {},
    type("AnException", (), {}),
    family="broken/IsDeafToSeeds",
    specs=SMALL,
    exceptions={"test_a_seed_decides_the_samples": "it has one sample"},
)
