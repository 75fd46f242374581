"""What is in a dataset, looked at before anyone trains on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.datasets._clean import Looks, twins
from bench.datasets._findings import NAMED, PICTURED, Finding, Preparation, Twin, findings_of, shown
from bench.datasets._image import SPLITS
from bench.datasets._proportions import held_out_remarks
from bench.errors import GenbenchError, SuiteError, calling, named
from bench.modalities import modality_of
from bench.modalities._examples import Stored
from bench.modalities._sequences import Sequences
from bench.parameters import resolve
from bench.protocols import Dataset, DataSpec, SplitName, Verbatim
from bench.registry import DatasetEntry, registry

SHOWN = 60  # examples of a split
BINS = 64  # of the histogram of levels
AT_A_TIME = 500
LINE = 40  # characters from which a line that stands in two splits is no chance
BESIDE = " beside real data, which is drawn from valid; all are compared with test"
COPIED = "lines of {} stand in training, too"


@dataclass(frozen=True)
class Inspection:
    """Counts, sizes, classes, examples, and what is wrong with them. Nothing in it needs torch.

    held: examples of the source before it was cleaned; of texts, documents; None where nothing was cleaned.
    splits: how many are in each, of texts windows that do not overlap.   unit: what these are called.
    numbers: what else is known, by its name.   classes: by name, how many in each split.
    sizes: how many came in each, ``64x48``.
    remarks: what is to be known besides the findings.
    levels: by channel the share of numbers in each of 64 equal steps of their range, of pictures.
    examples: of each split a file as samples are kept in, which ``preview_of`` its modality shows.
    pairs: by what a finding says, ``(pairs, 2, C, H, W)`` uint8, each beside the one that is the same.
    """

    source: str
    options: Mapping[str, Any]
    modality: str
    spec: DataSpec
    fingerprint: str
    held: int | None
    splits: Mapping[SplitName, int]
    unit: str
    numbers: Mapping[str, str]
    classes: Mapping[str, Mapping[SplitName, int]]
    sizes: Mapping[str, int]
    levels: Sequence[Sequence[float]]
    findings: Sequence[Finding]
    remarks: Sequence[str]
    examples: Mapping[SplitName, bytes] = field(repr=False)
    pairs: Mapping[str, np.ndarray] = field(repr=False)

    @property
    def left_out(self) -> int | None:
        """Pictures or sounds of the source that are in no split; None where they were not cleaned, and of texts."""
        counted = self.modality in ("image", "audio")
        return self.held - sum(self.splits.values()) if self.held and counted else None

    @property
    def nothing_found(self) -> str:
        """What can be said where nothing was found. In texts long lines are looked for; short ones may be chance."""
        if self.modality == "text":
            return f"No line of {LINE} characters or more that is held out stands in training, too."
        return "Nothing stands twice, and nothing that is held out is in training."


def inspect(source: str, options: Mapping[str, Any] | None = None) -> Inspection:
    """Look at a dataset by its name, made with these options. Raises SuiteError for wrong ones, DataError as it does.

    One that was not cleaned is looked through for what stands twice and leaks, and stays as it is.
    """
    if ":" not in source and source not in registry.all("datasets") and Path(source).exists():
        kinds = [name for name in registry.all("datasets", with_rest=True) if name.endswith(":")]
        raise GenbenchError(f"{named(source)} is a path: put in front what it holds, one of {', '.join(kinds)}")
    entry: DatasetEntry = registry.get("datasets", source)
    chosen, problems = resolve(entry.make, options or {}, source)
    if problems:
        raise SuiteError(problems)
    with calling(f"the dataset {source!r} of {entry.origin}"):
        data = entry.make(**chosen)
    prepared: Preparation | None = getattr(data, "prepared", None)
    kind = modality_of(data.spec)
    counts = {split: len(kind.disjoint(data, split)) for split in SPLITS}
    findings, pairs = _found_before(data, prepared) if prepared else _found_now(data)
    told, classes = [finding.told for finding in findings], _classes(data, prepared)
    unit = "windows" if isinstance(data, Verbatim) else kind.examples
    remarks = [line for line in prepared.remarks if line not in told] if prepared else []
    defaults, _ = resolve(entry.make, {}, source)
    return Inspection(
        source=entry.name,
        options={name: value for name, value in chosen.items() if value != defaults[name]},
        modality=data.spec.modality,
        spec=data.spec,
        fingerprint=data.fingerprint,
        held=prepared.held if prepared else None,
        splits=counts,
        unit=unit,
        numbers={**dict(_numbers(data)), "budget.samples": f"at most {counts['valid']:,}{BESIDE}"},
        classes=classes,
        sizes=prepared.sizes if prepared else {},
        levels=_levels(data),
        findings=findings,
        remarks=[*remarks, *held_out_remarks(counts, classes, unit)],
        examples={split: _examples(data, split) for split in SPLITS},
        pairs=pairs,
    )


def _found_before(data: Any, about: Preparation) -> tuple[Sequence[Finding], dict[str, np.ndarray]]:
    """What was found when it was prepared; pictures lie in the order of the findings that have them."""
    pairs, start = dict[str, np.ndarray](), 0
    found: np.ndarray | None = getattr(data, "found", None)
    for finding in about.findings:
        if found is not None and finding.pairs:
            shown_of = min(PICTURED, len(finding.examples))
            pairs[finding.what] = np.array(found[start : start + shown_of])
            start += shown_of
    return (*about.findings, *(_copied(data) if isinstance(data, Verbatim) else ())), pairs


def _found_now(data: Dataset) -> tuple[Sequence[Finding], dict[str, np.ndarray]]:
    """What stands twice or leaks, of rows; of texts, lines of what is held out that stand in training."""
    if isinstance(data, Verbatim):
        return tuple(_copied(data)), {}
    held = {split: modality_of(data.spec).held(data, split) for split in SPLITS}
    ends = np.cumsum([0, *(len(held[split]) for split in SPLITS)])
    splits = [split for split in SPLITS for _ in range(len(held[split]))]
    names = [f"{split} {row}" for split in SPLITS for row in range(len(held[split]))]
    labels = [str(label) for split in SPLITS for label in _labels(data, split)] if data.spec.classes else ()

    def take(rows: np.ndarray) -> np.ndarray:
        found = []
        for row in np.asarray(rows).tolist():
            part = int(np.searchsorted(ends, row, "right")) - 1
            found.append(_array(held[SPLITS[part]])[row - ends[part]].numpy())
        return np.stack(found)

    pictures = data.spec.modality == "image"
    looks = Looks.of((chunk for split in SPLITS for chunk in _chunks(held[split])), len(names), near=pictures)
    same = twins(looks, splits, take if pictures else None, labels=labels)
    findings = findings_of({}, same, names, len(names), "keep", labels)
    return findings, _pairs(same, take) if pictures else {}


def _pairs(same: Sequence[Twin], take: Any) -> dict[str, np.ndarray]:
    kinds = dict.fromkeys(twin.what for twin in same)
    those = {what: shown([twin for twin in same if twin.what == what]) for what in kinds}
    return {what: (found := take(np.array(rows))).reshape(-1, 2, *found.shape[1:]) for what, rows in those.items()}


def _array(stored: Stored) -> Tensor:
    return stored.data if isinstance(stored, Sequences) else stored


def _chunks(stored: Stored) -> Iterator[np.ndarray]:
    return (chunk.numpy() for chunk in _array(stored).split(AT_A_TIME))


def _copied(data: Verbatim) -> Iterator[Finding]:
    """Lines that are long enough to be no chance."""
    known = set(data.text("train").split("\n"))
    held_out: tuple[SplitName, ...] = ("valid", "test")
    for split in held_out:
        lines = [line for line in data.text(split).split("\n") if len(line) >= LINE]
        if copied := [line for line in lines if line in known]:
            some = tuple((line[:80], "") for line in dict.fromkeys(copied))[:NAMED]
            yield Finding(
                what=COPIED.format(split), count=len(copied), of=len(lines), examples=some, dropped=False, leaks=True
            )


def _classes(data: Dataset, prepared: Preparation | None) -> dict[str, dict[SplitName, int]]:
    n = data.spec.classes
    if n is None:
        return {}
    names = prepared.classes if prepared and prepared.classes else tuple(map(str, range(n)))
    found = dict[SplitName, list[int]]()
    for split in SPLITS:
        found[split] = np.bincount(_labels(data, split), minlength=n).tolist()
    return {name: {split: found[split][i] for split in SPLITS} for i, name in enumerate(names)}


def _labels(data: Dataset, split: SplitName) -> list[int]:
    part = getattr(data, split)
    labels = getattr(part, "condition", None)
    found: list[int] = (part.batch(torch.arange(len(part))).condition if labels is None else labels).tolist()
    return found


def _numbers(data: Dataset) -> Iterator[tuple[str, str]]:
    spec = data.spec
    yield "one example", " × ".join(map(str, spec.shape)) + f", {spec.kind}"
    if spec.vocab:
        yield "tokens", f"{getattr(data, 'tokeniser', type(data).__name__)}, {spec.vocab:,} of them"
    if spec.rate:
        yield "rate", f"{spec.rate:g} a second"
    if isinstance(data, Verbatim):
        for split in SPLITS:
            text = data.text(split)
            yield (
                f"{split}, as text",
                f"{len(text):,} characters, {len(text.split()):,} words, {len(data.tokens(split)):,} tokens",
            )


def _levels(data: Dataset) -> list[list[float]]:
    """Of pictures, by channel; of the first few thousand of training."""
    if data.spec.modality != "image":
        return []
    pixels = _array(modality_of(data.spec).held(data, "train"))[:5000]
    counts = [
        np.bincount(pixels[:, channel].numpy().ravel() // (256 // BINS), minlength=BINS)
        for channel in range(pixels.shape[1])
    ]
    return [(count / count.sum()).tolist() for count in counts]


def _examples(data: Dataset, split: SplitName) -> bytes:
    """The first of each class in turn where there are classes, else the first; drawn by a fixed seed."""
    kind = modality_of(data.spec)
    part = kind.disjoint(data, split)
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(part))[: 4 * SHOWN])
    labels = part.batch(rows).condition
    if labels is not None:
        turn = torch.tensor([int((labels[:i] == label).sum()) for i, label in enumerate(labels)])
        rows = rows[(turn * (int(labels.max()) + 1) + labels).argsort()]
    return kind.packed(kind.stored(part.batch(rows[:SHOWN]), data.spec), data)[1]
