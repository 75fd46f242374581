"""Numbers for those who bring their own samples: ``bench.evaluate`` and ``genbench evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch

from bench.errors import DataError, GenbenchError, Omitted, expect, said_where
from bench.files import cache_limit
from bench.foreign import Say
from bench.measure.comparison import Comparison, Space, measure
from bench.measure.names import check_name, classic_names, is_measure, separated
from bench.modalities import modality_of
from bench.modalities._examples import Examples, content_hash, is_empty, shape_of, sizes_of, unordered_hash
from bench.probes.machine import choose_device
from bench.protocols import DataSpec, Modality
from bench.reading import Source, check, guess_modality, read, read_prompts, read_reference, warn
from bench.reading.ahead import rate_ahead
from bench.reading.arrays import Statistics
from bench.registry import MetricEntry, Side, registry

T = TypeVar("T")
NONE = "none"  # the extractor, where vectors are taken as they are; protocols call it so
COLUMNS = ("metric", "value", "lo", "hi", "level", "unit", "better", "n", "protocol", "reason")


class Given(Comparison):
    """Sides that somebody brought."""

    def __init__(
        self,
        sides: Mapping[Side, Examples],
        modality: Modality,
        *,
        seed: int,
        device: torch.device,
        prompts: Sequence[str] | None,
        statistics: Statistics | None = None,
        rate: float | None = None,
    ) -> None:
        super().__init__(modality, seed=seed, device=device, rate=rate)
        self.remarks: list[str] = []
        self.sides, self.given_prompts, self.given_statistics = sides, prompts, statistics

    def _say(self, text: str) -> None:
        self.remarks.append(text)
        super()._say(text)

    @property
    def statistics(self) -> Statistics | None:
        if self.given_statistics:
            self.reads("reference")
        return self.given_statistics

    @property
    def reference_name(self) -> str:
        """The reference's content, whatever its order and dtype: numbers against another one do not compare."""
        return self._hash("reference")

    @property
    def train_name(self) -> str:
        return self._hash("train")

    def _hash(self, side: Side) -> str:
        if side == "reference" and self.statistics:
            known = torch.cat([self.statistics.mean[None], self.statistics.covariance])
            return f"statistics sha256:{content_hash(known)[:16]}"
        return "sha256:" + self.once(_hash_of, side)[:16]

    def space(self, extractor: str | None) -> Space:
        """Raises Omitted for sounds of a rate that the extractor is not for, and for sizes that it has no rule for."""
        if extractor and self.rate:
            heard = DataSpec(self.modality, shape_of(self.sides["samples"]) or (), "continuous", rate=self.rate)
            if not registry.get("extractors", extractor).fits(heard):
                raise Omitted(f"{extractor} is not for such sounds: they are of {self.rate:,.0f} Hz")
        found = super().space(extractor)
        if len(set().union(*map(sizes_of, self.sides.values()))) > 1 and "resize" not in found.protocol:
            raise Omitted(f"pictures differ in size, and {extractor} says nothing of how it resizes: give all one size")
        return found

    @property
    def prompts(self) -> list[str]:
        return super().prompts if self.given_prompts is None else list(self.given_prompts)

    def _stored(self, side: Side) -> Examples:
        if side in self.sides:
            return self.sides[side]
        if side == "reference" and self.statistics:
            raise Omitted("of the reference only mu and sigma are known, which serve fd and fid: give its examples")
        told = {
            "train": "give the training data (train, --train)",
            "conditional": "needs a generator that takes labels",
        }
        raise Omitted(told.get(side, f"there are no {side}: needs a generator"))


def _hash_of(given: Given, side: Side) -> str:
    return unordered_hash(given.stored(side))


def evaluate(
    samples: Source,
    reference: Source,
    *,
    metrics: str | Sequence[str] | None = None,
    modality: Modality | None = None,
    extractor: str | None = None,
    train: Source | None = None,
    prompts: Source | None = None,
    seed: int = 0,
    device: str = "auto",
) -> pd.DataFrame:
    """Measure samples against a reference; see ``bench.evaluate``."""
    cache_limit()  # raises
    expect("seed", seed, isinstance(seed, Integral) and seed >= 0, "a whole number of at least 0")
    # What is wrong with names is told before data is read, which may take minutes.
    names = None if metrics is None else _asked(metrics)
    modality = None if modality is None else modality_of(str(modality)).name
    expect("extractor", extractor, extractor is None or isinstance(extractor, str), "a name, such as 'inception'")
    if extractor:
        extractor = NONE if extractor.casefold() == NONE else registry.get("extractors", extractor).name
    notes: list[str] = []

    def say(remark: str) -> None:
        if remark not in notes:  # of one path that is two sides
            notes.append(remark)
            warn(remark)

    sources = {"samples": samples, "reference": reference, "train": train}
    told = None if prompts is None else _bring(read_prompts, "prompts", prompts, say)
    given = _given(sources, modality, told, seed, device, say)
    entries = _entries(names, given.modality, extractor)
    rows = [_row(entry, given, extractor, by_name=names is not None) for entry in entries]
    if not any(row["value"] is not None for row in rows):
        raise GenbenchError("\n".join([*_why_nothing(rows), *_instead(entries, given.modality)]))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n": "Int64"})  # whole, and none where there is none
    table.attrs["notes"] = [*notes, *given.remarks]
    return table


def _given(
    sources: Mapping[str, Source | None],
    modality: Modality | None,
    prompts: Sequence[str] | None,
    seed: int,
    device: str,
    say: Say,
) -> Given:
    given = {side: source for side, source in sources.items() if source is not None}
    if missing := [side for side in ("samples", "reference") if side not in given]:
        raise GenbenchError(f"there are no {missing[0]}: give an array, a list of strings or a path")
    sequences = modality is not None and modality_of(modality).ordered
    reference = _bring(partial(read_reference, sequences=sequences), "reference", given.pop("reference"), say)
    bring = partial(read, sequences=sequences)
    examples: dict[str, Examples] = {side: _bring(bring, side, source, say) for side, source in given.items()}
    statistics = reference if isinstance(reference, Statistics) else None
    if not isinstance(reference, Statistics):
        examples["reference"] = reference
    kind = modality or _common_modality(examples)
    sides: dict[Any, Examples] = {side: check(value, kind, side) for side, value in examples.items()}
    shapes = {side: shape for side, x in sides.items() if (shape := shape_of(x))}
    for side, shape in shapes.items():
        if shape == shapes.get("samples", shape):
            continue
        differ = f"{side} are of shape {shape}, samples of {shapes['samples']}"
        if not modality_of(kind).resizes:
            raise DataError(f"{differ}: both must be the same")
        say(f"{differ}: the extractor brings each to what it sees")
    if prompts is not None and len(prompts) != len(sides["samples"]):
        raise DataError(
            f"{len(prompts)} prompts for {len(sides['samples'])} samples: give one a sample, in their order"
        )
    rate = _common_rate(sources)
    return Given(
        sides, kind, seed=seed, device=choose_device(device), prompts=prompts, statistics=statistics, rate=rate
    )


def _common_rate(sources: Mapping[str, Source | None]) -> float | None:
    """What the sides say of their rate: folders of sounds, and .npz. Raises DataError where these differ."""
    rates = {side: rate for side, source in sources.items() if (rate := rate_ahead(source))}
    for side, rate in rates.items():
        if rate != (first := next(iter(rates.values()))):
            start = f"{side} are of {rate:,g} Hz, {next(iter(rates))} of {first:,g} Hz"
            raise DataError(f"{start}: resample one of them")
    return next(iter(rates.values()), None)


def _bring(reader: Callable[[Source, Say], T], side: str, source: Source, say: Say) -> T:
    """What a source holds. What is said of one without a name, in memory or of an empty path, names its side."""
    if isinstance(source, str | Path) and str(source).strip():
        return reader(source, say)
    try:
        return reader(source, lambda remark: say(f"{side}: {remark}"))
    except DataError as error:
        raise DataError(f"{side}: {error}") from error


def _common_modality(examples: Mapping[str, Examples]) -> Modality:
    """What the samples look like. Raises DataError where another side looks otherwise; empty ones look like nothing."""
    there = {side: x for side, x in examples.items() if not is_empty(x)}
    seen = {side: guess_modality(x, side) for side, x in there.items()}
    for side, kind in seen.items():
        if kind != seen.get("samples", kind):
            ours, theirs = (modality_of(name) for name in (seen["samples"], kind))
            forms = f"{ours.examples} are {ours.form}, {theirs.examples} {theirs.form}"
            raise DataError(f"{side}: {kind}, but the samples are {ours.name}: they must be of one kind ({forms})")
    return seen.get("samples") or guess_modality(examples["samples"], "samples")


def _entries(asked: Sequence[str] | None, modality: str, extractor: str | None) -> list[MetricEntry]:
    """What to measure, each feature metric on its extractor. Raises UnknownName, or GenbenchError for a misfit.

    Where nothing is asked for, every measure of samples for this modality that is at home on the extractor.
    """
    if extractor == NONE:
        if not modality_of(modality).is_features:
            raise GenbenchError(f"the extractor 'none' takes vectors as they are, but the samples are {modality}")
        extractor = None
    if extractor and modality not in (on := registry.get("extractors", extractor).on):
        raise GenbenchError(f"{extractor} reads {' or '.join(sorted(on))}, but the samples are {modality}")
    chosen = extractor or modality_of(modality).default_extractor
    if asked is None:
        every: Mapping[str, MetricEntry] = registry.all("metrics")
        fitting = {name: e for name, e in every.items() if e.of != "model" and modality in e.on}
        asked = [name for name, e in fitting.items() if e.extractors is None or chosen in e.extractors]
    entries = [check_name(name) for name in asked]
    return [
        replace(entry, extractor=chosen) if is_measure(name) else entry
        for name, entry in zip(asked, entries, strict=True)
    ]


def _asked(metrics: str | Sequence[str]) -> list[str]:
    """The names as they are registered, each once. Raises GenbenchError for none, and for what is no name."""
    right = isinstance(metrics, Sequence) and all(isinstance(name, str) for name in metrics)
    expect("metrics", metrics, right, 'a list of names, such as ["fd", "kid"], or one string of them')
    if not (names := separated(metrics)):
        raise GenbenchError("no metric is named: leave metrics out for all that apply")
    return separated([check_name(name).name for name in names])


def _refuse_misfit(entry: MetricEntry, extractor: str | None, modality: str) -> None:
    """Raises Omitted for a metric that cannot be taken of such samples, whatever they hold."""
    if (pair := classic_names().get(entry.name)) and not is_measure(entry.name):
        measure, home = pair
        # A classic name belongs to one network: with features from elsewhere it is the measure that is meant.
        if modality_of(modality).is_features or extractor not in (None, home):
            raise Omitted(f"{entry.name} is {measure} on {home} and on nothing else: ask for {measure}")
    if entry.of == "model":
        raise Omitted("measured of a model, not of samples: use `genbench run`")
    if modality not in entry.on:
        raise Omitted(f"for {' or '.join(sorted(entry.on))}, but the samples are {modality}")


def _row(entry: MetricEntry, given: Given, extractor: str | None, *, by_name: bool) -> dict[str, Any]:
    """One measurement as a row; null with its reason where there is none: one metric must not cost the others."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"metric": entry.name, "unit": entry.unit, "better": entry.better}
    try:
        _refuse_misfit(entry, extractor, given.modality)
        if entry.slow and not by_name:
            raise Omitted("takes minutes without a GPU: ask for it by name (metrics, --metrics)")
        found = measure(entry, given)
    except GenbenchError as error:
        return row | {"reason": str(error)}
    except Exception as error:
        return row | {"reason": f"failed: {said_where(error)}"}
    interval = found.interval.model_dump(include={"lo", "hi", "level"}) if found.interval else {}
    protocol = {**found.protocol, **({"interval": found.interval.method} if found.interval else {})}
    return row | {"value": found.value, "n": found.n, **interval, "protocol": protocol}


def _why_nothing(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """All reasons, each once."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row["reason"], []).append(row["metric"])
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _instead(entries: Iterable[MetricEntry], modality: str) -> list[str]:
    """What can be done where no network is here to make features."""
    names = {entry.extractor for entry in entries if entry.extractor}
    if modality_of(modality).is_features or all(registry.get("extractors", name).here for name in names):
        return []
    return ["or bring features of your own, which are taken as they are: vectors (n, D), as arrays or in .npy files"]
