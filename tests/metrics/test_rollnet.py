"""The shipped RollNet: what it was trained to tell, it tells, of pieces that it has not seen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench import DataSpec, Omitted
from bench.datasets.chorales import chorales
from metrics.extractors.rollnet import SIZE, RollNetExtractor, piano
from metrics.features.frechet import frechet_distance


@pytest.fixture(scope="module")
def data() -> Any:
    return chorales()


@pytest.fixture(scope="module")
def extract() -> RollNetExtractor:
    return RollNetExtractor()


def test_real_music_is_nearer_than_what_is_none(data: Any, extract: RollNetExtractor) -> None:
    """To held-out pieces: other pieces, then these backwards, shuffled, with notes moved, and noise."""
    valid, rng = data.valid.rolls, torch.Generator().manual_seed(0)
    real = extract(data.test.rolls).features

    def apart(rolls: Tensor) -> float:
        return float(frechet_distance(extract(rolls).features, real).value)

    order = torch.rand(valid.shape[:2], generator=rng).argsort(1)[:, :, None].expand(valid.shape)
    moved = torch.where(torch.rand(len(valid), 32, 1, generator=rng) < 0.3, valid.roll(1, 2), valid)
    found = [apart(valid), apart(valid.flip(1)), apart(valid.gather(1, order)), apart(moved)]
    noise = apart((torch.rand(valid.shape, generator=rng) < valid.float().mean()).to(torch.uint8))
    assert all(4 * found[0] < other < noise / 10 for other in found[1:]), (found, noise)


def test_a_piece_is_seen_as_it_is_alone(data: Any, extract: RollNetExtractor) -> None:
    """Whatever stands beside it, and however long that is."""
    rolls = data.test.rolls[:5]
    whole = extract(rolls).features
    cut = [rolls[0], rolls[1][:7], rolls[2][:0], rolls[3]]
    among = extract(cut).features
    assert whole.shape == (5, SIZE) and torch.allclose(among[[0, 3]], whole[[0, 3]], atol=1e-5)
    assert torch.allclose(extract([cut[1]]).features[0], among[1], atol=1e-5) and among.isfinite().all()


@pytest.mark.parametrize("shape", [(3, 16, 12), (3, 16, 128), (3, 16)])
def test_other_music_is_refused(shape: tuple[int, ...], extract: RollNetExtractor) -> None:
    with pytest.raises(Omitted, match="rollnet reads piano rolls of 88 keys that are 0 or 1, and no other music"):
        extract(torch.zeros(shape, dtype=torch.uint8))
    assert piano(DataSpec("music", (16, 88), "binary")) and not piano(DataSpec("music", (16, 12), "binary"))
