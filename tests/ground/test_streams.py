"""Random streams: found from their name alone, and rows that do not know their neighbours."""

from __future__ import annotations

import torch

from bench.streams import normal, stream, stream_seed, uniform


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
