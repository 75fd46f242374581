"""What is known of GPT."""

from __future__ import annotations

import pytest
import torch

from bench import DataSpec, GenbenchError
from bench.registry import registry
from bench.testing import made_up
from generators.gpt import GPT


def test_gpt_width_must_be_a_multiple_of_heads() -> None:
    with pytest.raises(GenbenchError, match=r"width = 10 must be a multiple of heads = 4"):
        GPT(made_up("text").spec, width=10, heads=4)


def test_gpt_small_has_the_published_size() -> None:
    """GPT-2 small: 124,439,808 parameters with 50,257 tokens and 1,024 positions; ours has one start token more."""
    with torch.device("meta"):
        spec = DataSpec("text", (1024,), "tokens", vocab=50257)
        model = GPT(spec, **registry.get("generators", "gpt").presets["paper"])
    assert sum(p.numel() for p in model.parameters()) == 124_439_808 + 768
