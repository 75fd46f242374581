"""Captions that a net reads: what it learns of some of them holds for others with the same words."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import Unsupported
from bench.datasets.npz import npz
from bench.engine.checkpoint import restore
from bench.parameters import schema
from bench.registry import registry
from bench.testing import made_up
from bench.testing._models import checkpoint, make, ready, run, same, sampled
from bench.testing.made_up import SPECS
from generators._captions import Captions, pieces

COLOURS, SHAPES = ("red", "green", "blue"), ("circle", "square", "star")
READERS = [
    name
    for name, entry in registry.all("generators").items()
    if (option := schema(entry.make).model_fields.get("labels")) and "captions" in str(option.annotation)
]
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


def test_families_that_read_captions_are_known() -> None:
    assert {"ddpm", "edm", "flow_matching", "mean_flow", "mel_flow", "video_flow"} <= set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_a_family_that_reads_captions_is_kept_with_what_it_read(name: str, tmp_path: Path) -> None:
    """In place of a table of labels; loaded it makes the same of each caption, and of others something else."""
    entry = registry.get("generators", name)
    (modality,) = entry.modalities
    data = made_up(replace(SPECS[modality], classes=len(EVERY), captions=tuple(EVERY)))
    model, other = (make(entry, data, labels="captions") for _ in range(2))
    assert any(isinstance(part, Captions) for part in model.modules())
    run(model, data, tmp_path, 4)
    restore(checkpoint(tmp_path), other, training=False)
    asked = torch.arange(len(EVERY))
    made, loaded, others = (
        sampled(ready(m), [len(EVERY)], labels=labels)
        for m, labels in ((model, asked), (other, asked), (other, asked.flip(0)))
    )
    assert made.data.shape == (len(EVERY), *data.spec.shape) and same(made, loaded)
    assert not same(loaded, others)


def test_data_whose_classes_nobody_named_has_none_to_read(tmp_path: Path) -> None:
    entry = registry.get("generators", "flow_matching")
    path = tmp_path / "x.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8), labels=np.arange(60) % 3)
    with pytest.raises(Unsupported, match="nobody named the classes"):
        entry.make(npz(str(path)).spec, **{**entry.presets["test"], "labels": "captions"})
