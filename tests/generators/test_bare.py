"""Modules without hooks and look-ups compute what the modules do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import Sequential, Streaming
from bench.registry import GeneratorEntry
from bench.testing import families_for, made_up
from generators._autoregressive import without_end
from generators._bare import bare

FAMILIES = families_for("text", Sequential, Streaming)


@pytest.mark.parametrize("entry", FAMILIES.values(), ids=FAMILIES)
@torch.no_grad()
def test_every_family_says_the_same(entry: GeneratorEntry) -> None:
    """At once and step by step, from the same states; and what is learned later is known."""
    spec = made_up("text").spec
    model: Any = entry.make(spec, **entry.presets["test"])
    model.eval()
    plain = bare(model)
    for _ in range(2):
        state, other = model.net.begin(), model.net.begin()
        for token in torch.randint(spec.vocab or 0, (6, 3)):
            (expected, state), (found, other) = model.step(token, state), plain.step(token, other)
            assert torch.equal(found, expected)
        x = torch.randint(spec.vocab or 0, (3, 5))
        assert torch.equal(plain(x)[0], model(x)[0])
        for p in model.parameters():
            p.mul_(1.5)


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.dropout, self.times = nn.Linear(3, 3), nn.Dropout(0.5), 2
        self.parts = nn.ModuleList([nn.LayerNorm(3), nn.RMSNorm(3), nn.Conv1d(2, 2, 1), nn.Embedding(4, 3)])
        self.register_buffer("shift", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        for part in list(self.parts)[:3]:
            x = part(x)
        return self.dropout(self.layer(x)) * self.times + self.shift  # type: ignore[no-any-return]


class Derived(Base):
    @property
    def halved(self) -> Tensor:
        return self.layer.weight / 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) @ self.halved + self.parts[3](torch.tensor([1, 2]))  # type: ignore[no-any-return]


def test_parts_buffers_properties_and_bases_are_the_modules() -> None:
    module, x = Derived().eval(), torch.randn(2, 3)
    assert torch.equal(bare(module)(x), module(x))


def test_dropout_in_training_drops() -> None:
    module, x = Base().train(), torch.randn(2, 3)
    torch.manual_seed(0)
    expected = module(x)
    torch.manual_seed(0)
    assert torch.equal(bare(module)(x), expected)


def test_numbers_without_end_are_those_of_one_call_each() -> None:
    numbers, rng = without_end(torch.Generator().manual_seed(0), (2, 3), torch.device("cpu")), torch.Generator()
    rng.manual_seed(0)
    for _ in range(150):
        assert torch.equal(next(numbers).float(), torch.rand(2, 3, generator=rng))


def test_what_was_compiled_stays_so() -> None:
    net = nn.Sequential(nn.Linear(3, 3))
    called: list[str] = []
    net[0]._compiled_call_impl = lambda x: called.append("compiled") or x  # type: ignore[func-returns-value]
    bare(net)(torch.zeros(1, 3))
    assert called == ["compiled"]
