"""What every dataset owes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar, get_args

import pytest
import torch

from bench.modalities import modality_of
from bench.protocols import Batch, Dataset, SplitName, Textual, Verbatim
from bench.registry import DatasetEntry
from bench.testing._base import Promises, listed

SPLITS: Sequence[SplitName] = get_args(SplitName)


class DatasetPromises(Promises):
    """What a dataset owes: three splits of the form that it says, disjoint, the same for every reader.

    dataset: its registered name, or several; of a source with a rest, ``folder:PATH``.
    options: what it is made with; left out: its defaults.
    """

    kind = "datasets"
    dataset: ClassVar[str | Sequence[str]]
    options: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def cases(cls) -> Iterable[Mapping[str, str]]:
        return ({"name": name} for name in listed(cls.dataset))

    @pytest.fixture
    def data(self, entry: DatasetEntry) -> Dataset:
        return entry.make(**self.options)

    def test_it_is_found_without_being_read(self, entry: DatasetEntry) -> None:
        """`genbench doctor` asks where it is; where it is not, this raises DataError with the way to get it."""
        where = entry.locate()
        assert isinstance(where, str) and where, f"{entry.name}: locate() gave {where!r}, not where the data is"

    def test_it_is_what_it_is_registered_as(self, entry: DatasetEntry, data: Dataset) -> None:
        assert isinstance(data, Dataset), f"{entry.name} is no Dataset: it needs spec, fingerprint, train, valid, test"
        assert data.spec.modality == entry.modality, (
            f"{entry.name} is registered as {entry.modality}, and its spec says {data.spec.modality}"
        )
        for split in SPLITS:
            assert len(getattr(data, split)) > 0, f"{entry.name}: the split {split} is empty"

    def test_it_is_the_same_every_time(self, entry: DatasetEntry, data: Dataset) -> None:
        """And its fingerprint says so."""
        again: Dataset = entry.make(**self.options)
        assert data.fingerprint.startswith("sha256:"), (
            f"{entry.name}: its fingerprint is {data.fingerprint!r}, not sha256: and the hash of content and reading"
        )
        assert data.fingerprint == again.fingerprint, f"{entry.name}: read twice it has two fingerprints"
        for split, (first, second) in self.batches(data, again):
            assert same(first, second), f"{entry.name}: read twice, the split {split} holds other examples"

    def test_examples_have_the_promised_form(self, entry: DatasetEntry, data: Dataset) -> None:
        """All of them: shape, type and range of the data, and labels in range where there are classes."""
        spec, kind = data.spec, modality_of(data.spec)
        for split in SPLITS:
            part = getattr(data, split)
            batch = part.batch(torch.tensor([0, len(part) - 1]))
            assert tuple(batch.data.shape) == (2, *spec.shape), (
                f"{entry.name}, {split}: two examples are {tuple(batch.data.shape)}, not {(2, *spec.shape)}"
            )
            right = torch.int64 if spec.kind == "tokens" else torch.float32
            assert (found := batch.data.dtype) == right, f"{entry.name}, {split}: examples are {found}, not {right}"
            kind.held(data, split)  # raises TrialError for values out of range
            labels = part.batch(torch.arange(len(part))).condition if spec.classes else batch.condition
            assert (labels is None) == (spec.classes is None), (
                f"{entry.name}, {split}: the spec has classes = {spec.classes}, and labels are "
                f"{'missing' if labels is None else 'there'}"
            )
            if labels is not None and spec.classes is not None:
                assert labels.dtype == torch.int64 and 0 <= labels.min() <= labels.max() < spec.classes, (
                    f"{entry.name}, {split}: labels must be int64 in [0, {spec.classes})"
                )

    def test_examples_come_in_the_order_asked_for(self, entry: DatasetEntry, data: Dataset) -> None:
        """The same ones, whatever comes with them, and whatever is done to a batch."""
        for split in SPLITS:
            part = getattr(data, split)
            last = len(part) - 1
            both, (one, other) = part.batch(torch.tensor([last, 0])), (part.batch(torch.tensor([i])) for i in (last, 0))
            assert torch.equal(both.data, torch.cat([one.data, other.data])), (
                f"{entry.name}, {split}: examples {last} and 0 together are not what they are alone, in this order"
            )
            kept = one.data.clone()
            one.data.zero_()
            assert torch.equal(part.batch(torch.tensor([last])).data, kept), (
                f"{entry.name}, {split}: what is done to a batch changes the data: give a copy"
            )

    def test_splits_share_no_example(self, entry: DatasetEntry, data: Dataset) -> None:
        """What is tested on was not trained on, by content."""
        kind = modality_of(data.spec)
        found = {split: {row.numpy().tobytes() for row in kind.held(data, split)} for split in SPLITS}
        for one, other in combinations(SPLITS, 2):
            shared = len(found[one] & found[other])
            assert not shared, f"{entry.name}: {shared} examples of {other} are in {one} too"

    def test_text_can_be_written_out(self, entry: DatasetEntry, data: Dataset) -> None:
        """Whole splits, with nothing lost, by datasets that can."""
        if not isinstance(data, Textual):
            return
        for split in SPLITS:
            stream = data.tokens(split)
            text = data.decode(stream[None])[0]
            size = len(text.encode())
            assert data.count_bytes(stream) == size, (
                f"{entry.name}, {split}: count_bytes says {data.count_bytes(stream)}, and the text has {size}"
            )
            assert not isinstance(data, Verbatim) or data.text(split) == text, (
                f"{entry.name}, {split}: its tokens spell another text than text({split!r})"
            )

    def batches(self, *datasets: Dataset) -> Iterator[tuple[SplitName, list[Batch]]]:
        """A few examples of each split, of each dataset."""
        for split in SPLITS:
            parts = [getattr(data, split) for data in datasets]
            index = torch.linspace(0, len(parts[0]) - 1, 20).long()
            yield split, [part.batch(index) for part in parts]


def same(a: Batch, b: Batch) -> bool:
    """Whether two batches hold the same examples."""
    pairs = list(zip(a, b, strict=True))
    return all(x is y or (x is not None and y is not None and torch.equal(x, y)) for x, y in pairs)
