"""Random streams: found from their name alone, and rows that do not know their neighbours."""

from __future__ import annotations

import pytest
import torch

from bench.errors import GenbenchError
from bench.streams import Rows, checked_labels, normal, stream, stream_seed, uniform


def test_a_stream_depends_on_seed_name_and_index_alone() -> None:
    seeds = {stream_seed(s, n, i) for s in (0, 1) for n in ("train", "sample") for i in (0, 1)}
    assert len(seeds) == 8


def test_a_stream_can_be_taken_again() -> None:
    torch.testing.assert_close(torch.rand(3, generator=stream(1, "a")), torch.rand(3, generator=stream(1, "a")))


def test_rows_do_not_depend_on_the_batch_size() -> None:
    whole = normal(stream(0, "z"), 23, 3, 2)
    rng = stream(0, "z")
    parts = torch.cat([normal(rng, n, 3, 2) for n in (1, 16, 6)])
    assert torch.equal(whole, parts)


def test_rows_differ_and_have_the_right_moments() -> None:
    z, u = normal(stream(0, "z"), 2000, 10), uniform(stream(0, "u"), 2000, 10)
    assert len(z.unique(dim=0)) == 2000
    assert abs(z.mean()) < 0.03 and abs(z.var() - 1) < 0.03
    assert abs(u.mean() - 0.5) < 0.01 and u.min() >= 0 and u.max() < 1
    assert abs(torch.corrcoef(z[:, :2].T)[0, 1]) < 0.08


def test_a_sampler_that_draws_often_does_not_depend_on_the_batch_size_either() -> None:
    """Two calls of ``normal`` would: each takes n seeds, and which come second depends on n."""

    def draws(rows: Rows) -> list[torch.Tensor]:
        return [rows.labels(10), rows.normal(3), rows.uniform(), rows.normal(2, 2)]

    whole, rng = draws(Rows(stream(0, "z"), 23)), stream(0, "z")
    parts = zip(*(draws(Rows(rng, n)) for n in (1, 16, 6)), strict=True)
    assert all(torch.equal(one, torch.cat(some)) for one, some in zip(whole, parts, strict=True))
    assert torch.equal(Rows(stream(0, "z"), 5).normal(4), normal(stream(0, "z"), 5, 4))


def test_labels_that_nobody_asks_for_are_drawn_evenly() -> None:
    counts = Rows(stream(0, "y"), 10000).labels(7).bincount(minlength=7)
    assert len(counts) == 7 and abs(counts - 10000 / 7).max() < 4 * (10000 / 7) ** 0.5


def test_asking_for_the_labels_that_would_be_drawn_changes_nothing() -> None:
    free, asked = Rows(stream(0, "y"), 5), Rows(stream(0, "y"), 5)
    labels = free.labels(10)
    assert torch.equal(asked.labels(10, labels), labels)
    assert torch.equal(free.normal(3), asked.normal(3))
    other = Rows(stream(0, "y"), 5)
    assert other.labels(10, torch.arange(5)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (torch.tensor([0, 1, 2]), r"these are of shape \(3,\)"),
        (torch.tensor(1), r"these are of shape \(\)"),
        (torch.tensor([0, -1]), r"these are in -1\.\.0"),
        (torch.tensor([3, 1]), r"these are in 1\.\.3"),
        (torch.tensor([0.0, 1.0]), "these are torch.float32"),
        (torch.tensor([True, False]), "these are torch.bool"),
        ([0, 1], "here is a list"),
    ],
)
def test_labels_that_there_are_not_are_refused(asked: torch.Tensor, found: str) -> None:
    with pytest.raises(GenbenchError, match=rf"a tensor of 2 integers in 0\.\.2, one an example: {found}$"):
        Rows(stream(0, "y"), 2).labels(3, asked)


def test_labels_of_any_integers_become_int64() -> None:
    found = checked_labels(torch.tensor([2, 0], dtype=torch.int8), 2, 3)
    assert found.dtype == torch.int64 and found.tolist() == [2, 0]
    assert checked_labels(torch.tensor([], dtype=torch.int64), 0, 3).shape == (0,)
