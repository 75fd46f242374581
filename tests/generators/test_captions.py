"""Captions that a net reads: what it learns of some of them holds for others with the same words."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import Unsupported
from bench.datasets.digits import digits
from bench.datasets.npz import npz
from bench.registry import registry
from bench.streams import stream
from generators._captions import Captions, pieces

COLOURS, SHAPES = ("red", "green", "blue"), ("circle", "square", "star")
EVERY = [f"a {colour} {shape}" for colour, shape in product(COLOURS, SHAPES)]


def test_shares_of_a_caption_add_up_to_one() -> None:
    assert sum(share for _, share in pieces("a red circle")) == pytest.approx(1)


def test_a_caption_that_was_never_seen_says_what_its_words_say() -> None:
    """Of nine pairs of colour and shape one is left out; a table of labels would know nothing of it."""
    torch.manual_seed(0)
    wanted = torch.tensor([[float(part in caption) for part in (*COLOURS, *SHAPES)] for caption in EVERY])
    reader, left_out = Captions(EVERY, 6), EVERY.index("a green square")
    seen = torch.tensor([i for i in range(len(EVERY)) if i != left_out])
    optimiser = torch.optim.Adam(reader.parameters(), lr=0.02)
    for _ in range(300):
        loss = (reader(seen) - wanted[seen]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    said = reader(torch.tensor([left_out]))[0]
    assert said.gt(0.5).tolist() == wanted[left_out].bool().tolist()
    assert (said - wanted[left_out]).abs().max() < 0.25


def test_a_label_of_none_is_no_caption() -> None:
    reader = Captions(EVERY, 6)
    with torch.no_grad():
        said = reader(torch.tensor([0, len(EVERY)]))
    assert torch.equal(said[1], reader.none) and not torch.equal(said[0], said[1])


@pytest.mark.parametrize("name", ["ddpm", "edm", "flow_matching", "mean_flow"])
def test_families_read_captions_in_place_of_a_table(name: str) -> None:
    entry, data = registry.get("generators", name), digits()
    model = entry.make(data.spec, **{**entry.presets["test"], "labels": "captions"})
    batch = data.train.batch(torch.arange(16))
    model.train_step(batch, stream(0, "train"))
    assert any(isinstance(part, Captions) for part in model.modules())
    asked = torch.arange(10)
    made = model.sample(10, stream(0, "sample"), asked)
    assert made.shape == (10, *data.spec.shape)


def test_data_whose_classes_nobody_named_has_none_to_read(tmp_path: Path) -> None:
    entry = registry.get("generators", "flow_matching")
    path = tmp_path / "x.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8), labels=np.arange(60) % 3)
    with pytest.raises(Unsupported, match="nobody named the classes"):
        entry.make(npz(str(path)).spec, **{**entry.presets["test"], "labels": "captions"})
