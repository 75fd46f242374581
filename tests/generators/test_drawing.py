"""Limits on what is drawn, against transformers' own on the same logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bench import GenbenchError, Unsupported
from generators._drawing import Drawing
from generators._heads import Frames, Tokens

LIMITS: tuple[dict[str, Any], ...] = (
    {"temperature": 0.7},
    {"top_k": 5},
    {"top_p": 0.6},
    {"min_p": 0.2},
    {"repetition": 1.8},
    {"temperature": 1.4, "top_k": 9, "top_p": 0.8, "min_p": 0.1, "repetition": 1.3},
)


@pytest.mark.parametrize("limits", LIMITS, ids=lambda limits: "-".join(limits))
def test_limits_are_those_of_transformers(limits: dict[str, Any]) -> None:
    torch.manual_seed(0)
    logits, text = 3 * torch.randn(50, 20), torch.randint(20, (50, 6))
    makers: dict[str, Any] = {
        "repetition": RepetitionPenaltyLogitsProcessor, "temperature": TemperatureLogitsWarper,
        "top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper, "min_p": MinPLogitsWarper,
    }  # fmt: skip
    theirs: Any = LogitsProcessorList([make(limits[name]) for name, make in makers.items() if name in limits])
    drawing = Drawing(Tokens(20), **limits)
    seen = drawing.nothing_seen(50, torch.device("cpu"))
    if seen is not None:
        seen.scatter_(1, text, value=True)
    torch.testing.assert_close(drawing.limited(logits, seen), theirs(text, logits.clone()))


def test_what_is_drawn_is_seen() -> None:
    drawing = Drawing(Tokens(4), repetition=1e9)
    seen = drawing.nothing_seen(1, torch.device("cpu"))
    logits = torch.tensor([[9.0, 8.0, 7.0, 6.0]])
    drawn = [int(drawing.draw(logits, torch.tensor([0.5]), seen)) for _ in range(3)]
    assert drawn == [0, 1, 2]


def test_without_limits_the_model_is_drawn_from() -> None:
    logits = torch.randn(5, 7)
    assert Drawing(Tokens(7)).limited(logits) is logits


def test_limits_on_tokens_are_of_tokens() -> None:
    with pytest.raises(Unsupported, match="top_k, top_p, min_p, repetition and stop are of tokens"):
        Drawing(Frames(3), top_k=2)


def test_a_stop_that_no_text_holds_is_refused() -> None:
    with pytest.raises(GenbenchError, match=r"stop = \[3, 7\]: tokens of this data lie in 0..6"):
        Drawing(Tokens(7), stop=(3, 7))
