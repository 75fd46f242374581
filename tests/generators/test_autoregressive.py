"""Families that know the next step: exact likelihood has consequences that can be counted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from bench import Batch, DataSpec, Sequential, Streaming, Unsupported
from bench.registry import GeneratorEntry
from bench.streams import stream
from bench.testing import families_for, made_up

FAMILIES: Mapping[str, GeneratorEntry] = families_for("text", Sequential, Streaming)


@pytest.mark.parametrize("entry", FAMILIES.values(), ids=FAMILIES)
class TestAutoregressive:
    spec = DataSpec("text", (4,), "tokens", vocab=3)

    def make(self, entry: GeneratorEntry, spec: DataSpec | None = None, **params: Any) -> Any:
        """A model with opinions."""
        torch.manual_seed(3)
        model: Any = entry.make(spec or self.spec, **{**entry.presets["test"], **params})
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        return model.eval()

    def test_the_future_is_not_seen(self, entry: GeneratorEntry) -> None:
        x = torch.tensor([[0, 1, 2, 0], [0, 1, 0, 2]])
        one, other = self.make(entry).step_log_prob(Batch(x))[0]
        torch.testing.assert_close(one[:2], other[:2])
        assert not torch.allclose(one[2:], other[2:])

    def test_samples_follow_the_likelihood(self, entry: GeneratorEntry) -> None:
        model = self.make(entry)
        drawn = model.sample(20000, stream(0, "sample"))
        codes = (drawn * torch.tensor([27, 9, 3, 1])).sum(1)
        seen = torch.bincount(codes, minlength=81) / len(drawn)
        everything = torch.tensor(list(itertools.product(range(3), repeat=4)))
        expected = model.log_prob(Batch(everything)).exp()
        # Total variation of 20,000 draws over 81 outcomes stays below 0.05 by a wide margin.
        assert 0.5 * (seen - expected).abs().sum() < 0.05

    def test_the_cache_changes_nothing(self, entry: GeneratorEntry) -> None:
        spec = DataSpec("text", (16,), "tokens", vocab=5)
        model = self.make(entry, spec)
        x = model.tokens.shifted(torch.randint(5, (3, 16)))
        whole, _ = model(x)
        state, steps = None, []
        for t in range(16):
            logits, state = model(x[:, t : t + 1], state)
            steps.append(logits)
        torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-5, rtol=1e-4)

    def test_streaming_is_sampling_from_the_same_model(self, entry: GeneratorEntry) -> None:
        """At a temperature near 0 both follow the most likely path."""
        model = self.make(entry, DataSpec("text", (10,), "tokens", vocab=7), temperature=1e-4)
        whole = model.sample(1, stream(0, "sample"))[0]
        stream_of = model.stream(torch.empty(0, dtype=torch.int64), stream(0, "s"))
        assert torch.stack(list(itertools.islice(stream_of, 10))).tolist() == whole.tolist()

    def test_pictures_are_refused(self, entry: GeneratorEntry) -> None:
        with pytest.raises(Unsupported, match="makes tokens"):
            entry.make(made_up("image").spec)
