"""What every metric owes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.engine.state import State, capture
from bench.errors import GenbenchError, Omitted, said
from bench.measure.alone import Alone
from bench.measure.comparison import COUNTS, Space, measure
from bench.measure.evaluation import Given
from bench.measure.feature_store import FeatureSet
from bench.measure.trial import Costs, Trial, measure_model
from bench.modalities import modality_of
from bench.modalities._examples import Examples, content_hash
from bench.protocols import Trainable
from bench.record import CurvePoint, Estimate
from bench.registry import MetricEntry, Side, registry
from bench.streams import seed_globals, stream
from bench.testing._base import Promises, listed
from bench.testing._models import CPU, differing, takes, trained
from bench.testing.families import TEST, families_for
from bench.testing.made_up import SPECS, UNUSUAL, VARIANTS, made_up

WIDTH, CLASSES = SPECS["vector"].shape[0], 4
WORDS = ["in", "the", "beginning", "was", "light", "and", "it", "saw", "all", "that", "a", "day", "made", "of", "water"]
CURVE = [CurvePoint(step=10 * i, seconds=float(i), losses={"loss": 1.0}, metrics={"quality": 50.0 / i}) for i in (1, 2)]
COSTS = Costs(2.0, 640, 10**8, 10**8, None, 70.0, "a counter", 1e6, "fp32", CURVE)
GPU_PEAKS = {"allocated": 10**8, "requested": 10**8, "reserved": 10**8, "process": 10**9}
ALONE = Alone(1.0, 0.1, 10**8, 8, {1: 10.0, 2: 15.0}, fits=2, beyond=4, gpu=GPU_PEAKS)


class MetricPromises(Promises):
    """What a metric owes, on small made-up data: a number that can be repeated and says what it rests on.

    One of features is asked of vectors, with the logits of a classifier; one of samples, of those of the first modality
    that it is for; one of a model, of a registered family that can do what it needs and has the preset ``test``.

    metric: its registered name, or several; of a measure of features without the extractor.
    n: how many samples there are; there are a few more held-out examples, and three times as many to train on.
    """

    kind = "metrics"
    metric: ClassVar[str | Sequence[str]]
    n: ClassVar[int] = 120

    @classmethod
    def cases(cls) -> Iterable[Mapping[str, str]]:
        return ({"name": name} for name in listed(cls.metric))

    @pytest.fixture
    def found(self, entry: MetricEntry) -> Measured:
        """The metric measured once, for all tests that need a number."""
        return once(entry.name, self.n)

    def test_it_gives_a_number(self, entry: MetricEntry, found: Measured) -> None:
        """Of so many examples, inside its interval."""
        estimate = found.estimate
        assert estimate.n > 0, f"{entry.name} rests on n = 0 examples"
        assert (within := estimate.interval) is None or within.lo <= estimate.value <= within.hi, (
            f"{entry.name} is {estimate.value:.6g}, outside its interval [{within.lo:.6g}, {within.hi:.6g}]"
        )

    def test_a_seed_decides_the_number(self, entry: MetricEntry, found: Measured) -> None:
        """And no global generator does. What is timed is never twice the same."""
        if entry.aspect == "efficiency":
            return
        seed_globals(1)
        again = measured(entry, self.n).estimate
        assert again == found.estimate, (
            f"{entry.name} was {found.estimate.value!r} and, with the same seed, {again.value!r}: draw from the rng of "
            "what it is given, and from no global generator"
        )

    def test_the_order_of_samples_does_not_matter(self, entry: MetricEntry, found: Measured) -> None:
        """But for what arithmetic leaves of it."""
        if "samples" not in entry.sides:
            return
        other = measured(entry, self.n, change=shuffled).estimate.value
        assert other == pytest.approx(found.estimate.value, rel=1e-6, abs=1e-9), (
            f"{entry.name} is {found.estimate.value:.9g}, and {other:.9g} of the same samples in another order"
        )

    def test_the_protocol_says_which_data_and_nothing_else_of_it(self, entry: MetricEntry, found: Measured) -> None:
        """Numbers are ranked where protocols are equal: against the same data, and with whatever samples."""
        if entry.of == "model":
            return
        names = ("reference", "train")  # and the order of the reference, where another order is another number
        here, there = found.estimate.protocol, measured(entry, self.n, seed=7).estimate.protocol
        of_data = {key for key in {*here, *there} - {*names, "order"} if here.get(key) != there.get(key)}
        assert not of_data, (
            f"{entry.name}: {', '.join(sorted(of_data))} of its protocol depends on the data, so that no two numbers "
            "would be ranked together: say it by remark(...)"
        )
        for side in names:
            assert side not in entry.sides or here[side] != there[side], (
                f"{entry.name}: numbers of other {side} data have the same protocol"
            )

    def test_the_protocol_names_every_side_that_was_looked_at(self, entry: MetricEntry, found: Measured) -> None:
        """And no other."""
        said_so = {side for side, count in COUNTS.items() if count in found.estimate.protocol}
        assert entry.of == "model" or said_so == found.asked, (  # a model's data is read by the metric itself
            f"{entry.name} speaks of {sorted(said_so)} and looks at {sorted(found.asked)}: say it in sides=[...]"
        )

    def test_it_leaves_what_it_looks_at_alone(self, entry: MetricEntry, found: Measured) -> None:
        """Others measure the same samples and the same model after it."""
        assert not found.changed, f"{entry.name} changes {found.changed}, which others measure after it: work on a copy"

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_too_few_are_told(self, entry: MetricEntry, n: int) -> None:
        """By TooFew, Omitted or GenbenchError, if they give no number."""
        if entry.of != "model":
            told(entry, f"{n} examples on each side", lambda: measured(entry, n, few=True))

    @pytest.mark.parametrize("value", ["NaN", "infinity"])
    def test_what_is_no_number_is_refused(self, entry: MetricEntry, value: str) -> None:
        """On any side that it looks at."""
        for side in entry.sides if entry.of == "features" else ():
            spoil = partial(spoilt, side, float("nan" if value == "NaN" else "inf"))
            given = told(entry, f"{value} in {side}", partial(measured, entry, self.n, change=spoil))
            assert given is None, f"{entry.name} gave {given} of {side} with {value} in them: raise GenbenchError"


# What metrics are given ---------------------------------------------------------------------------------------------


class Measured:
    """A metric's estimate, the sides that it asked for, and what is not as it was before."""

    def __init__(self, estimate: Estimate, asked: set[Side], changed: str) -> None:
        self.estimate, self.asked, self.changed = estimate, asked, changed


class Sides(Given):
    """Made-up sides that remember who was asked for; vectors are seen as they are, by a classifier too."""

    def __init__(self, sides: Mapping[Side, Examples], modality: str) -> None:
        prompts, rate = ["a prompt"] * len(sides["samples"]), SPECS[modality].rate
        super().__init__(sides, modality, seed=0, device=CPU, prompts=prompts, rate=rate)
        self.asked: set[Side] = set()

    def stored(self, side: Side) -> Examples:
        self.asked.add(side)
        return super().stored(side)

    def space(self, extractor: str | None) -> Space:
        return self.once(_Rows, None)

    @property
    def labels(self) -> Tensor:
        return torch.arange(len(self.sides["conditional"])) % CLASSES


class _Rows(Space):
    def _features(self, side: Side) -> FeatureSet:
        found = super()._features(side)
        corners = 3 * torch.eye(WIDTH)[:CLASSES].to(found.features)
        return replace(found, logits=-torch.cdist(found.features, corners))


Change = Callable[[dict[Side, Examples]], None]


@cache
def once(name: str, n: int) -> Measured:
    seed_globals(0)
    return measured(registry.get("metrics", name), n)


def measured(
    entry: MetricEntry, n: int, seed: int = 0, *, few: bool = False, change: Change = lambda sides: None
) -> Measured:
    """The metric of made-up data. Raises GenbenchError where it has no number for it.

    few: every side has ``n`` examples.   change: what is done to the sides before.
    """
    if entry.of == "model":
        return of_models(entry)
    modality = "vector" if entry.of == "features" else first_of(entry)
    sizes = (n, n, n) if few else (n, n + 10, 3 * n + 40)
    draw = partial(examples, modality)
    sides: dict[Side, Examples] = {
        "samples": draw(sizes[0], 10 * seed),
        "reference": draw(sizes[1], 10 * seed + 1),
        "train": draw(sizes[2], 10 * seed + 2),
        "conditional": draw(sizes[0], 10 * seed + 3),
        "reconstructions": draw(sizes[1], 10 * seed + 4),
    }
    change(sides)
    before = {side: content_hash(x) for side, x in sides.items()}
    given, asked = Sides(sides, modality), set[Side]()

    def watched(seen: Any) -> Estimate:
        found = entry.compute(seen)
        asked.update(given.asked)  # measure itself counts those that are declared
        return found

    estimate = measure(replace(entry, compute=watched), given)
    changed = ", ".join(side for side, x in sides.items() if content_hash(x) != before[side])
    return Measured(estimate, asked, changed)


def first_of(entry: MetricEntry) -> str:
    """The first modality that a metric is for. Raises GenbenchError where there is no made-up data of any."""
    if known := sorted(entry.on & SPECS.keys()):
        return known[0]
    raise GenbenchError(f"{entry.name} is for {', '.join(sorted(entry.on))}, of which there is no made-up data")


def examples(modality: str, n: int, seed: int) -> Examples:
    """Noise in stored form, of vectors standard normal; of text, where that would be no words, words."""
    if modality == "text":
        return [" ".join(row) for row in np.random.default_rng(seed).choice(WORDS, (n, 12))]
    spec, kind = SPECS[modality], modality_of(modality)
    u = torch.rand(n, *spec.shape, generator=stream(seed, "made up"))
    return kind.quantise(kind.noise(u, spec), spec)


def shuffled(sides: dict[Side, Examples]) -> None:
    order = torch.randperm(len(sides["samples"]), generator=stream(0, "order"))
    samples: Any = sides["samples"]
    sides["samples"] = samples[order] if isinstance(samples, Tensor) else [samples[i] for i in order.tolist()]


def spoilt(side: Side, value: float, sides: dict[Side, Examples]) -> None:
    x = sides[side]
    assert isinstance(x, Tensor)
    x[3, 2] = value


def told(entry: MetricEntry, what: str, call: Callable[[], Measured]) -> float | None:
    """The number, or None where an error says why there is none. Raises AssertionError for any other error."""
    try:
        return call().estimate.value
    except GenbenchError:
        return None
    except Exception as error:
        raise AssertionError(f"{entry.name} of {what} broke by {said(error)}: raise TooFew or GenbenchError") from error


def of_models(entry: MetricEntry) -> Measured:
    """Of the first registered family, and the first made-up data, of which it has a number."""
    reasons = ["there is none"]
    for trial in trials(entry):
        before = state_of(trial.model)
        try:
            estimate = measure_model(entry, trial)
        except Omitted as reason:
            reasons.append(str(reason))
            continue
        return Measured(estimate, set(), differing(before, state_of(trial.model)))
    raise Omitted(f"{entry.name} has no number of any registered family with the preset {TEST!r}: {reasons[-1]}")


def trials(entry: MetricEntry) -> Iterator[Trial]:
    """Models that can do what a metric needs, each on all data that it makes."""
    for spec in (spec for known in (SPECS, VARIANTS, UNUSUAL) for spec in known.values() if spec.modality in entry.on):
        for family in families_for(spec.modality, entry.needs).values():
            data = made_up(spec)
            if TEST in family.presets and takes(family, spec):
                model = trained(family, data)
                yield Trial(
                    model, data, seed=0, n_samples=20, batch_size=8, device=CPU, costs=COSTS, alone=lambda: ALONE
                )


def state_of(model: Any) -> State:
    return capture(model).copy() if isinstance(model, Trainable) else State({})
