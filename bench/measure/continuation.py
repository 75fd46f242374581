"""How models go on from one and the same beginning, and how much each token surprised the model that wrote it."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from bench.modalities import modality_of
from bench.protocols import Batch, Dataset, Sequential, Streaming, Textual
from bench.streams import stream

PROMPTS = 2  # from places of the test split that lie evenly
LONGEST = 256  # tokens, prompt and continuation together
SHARE = 4  # a prompt is the first of so many parts
AT_ONCE = 4  # tokens that may be needed to spell one character


@torch.no_grad()
def continuations(model: Any, dataset: Dataset, seed: int, device: torch.device) -> list[dict[str, Any]] | None:
    """``[{"prompt": text, "pieces": [[text, nats], ...]}, ...]``; None of models and data that do not go on as text.

    Prompts are the same for all models. Prompt and continuation fit a window, so that all of it is looked back on. Nats
    are null of a model that does not score single tokens.
    """
    if not (isinstance(model, Streaming) and isinstance(dataset, Textual)):
        return None
    windows = modality_of(dataset.spec).disjoint(dataset, "test")
    length = min(dataset.spec.shape[0], LONGEST)
    first = length // SHARE
    found = []
    for i in range(min(PROMPTS, len(windows))):
        text = windows.batch(torch.tensor([i * len(windows) // PROMPTS])).data[0]
        prompt = text[:first]
        drawn = [
            token.cpu() for token in itertools.islice(model.stream(prompt, stream(seed, "continue", i)), length - first)
        ]
        if not drawn:
            continue
        whole = torch.cat([prompt, torch.stack(drawn)])
        nats: list[float | None] = [None] * len(drawn)
        if isinstance(model, Sequential):
            log_p, _ = model.step_log_prob(Batch(whole[None]).to(device))
            nats = (-log_p[0, first:]).tolist()
        found.append({"prompt": dataset.decode(prompt[None])[0], "pieces": spelled(dataset, whole[first:], nats)})
    return found


def spelled(dataset: Textual, tokens: Tensor, nats: list[float | None]) -> list[list[Any]]:
    """Tokens as texts with their nats; those that only together spell a character as one, with their sum."""
    pieces, start = [], 0
    for end in range(1, len(tokens) + 1):
        (text,) = dataset.decode(tokens[None, start:end])
        if "\ufffd" in text and end - start < AT_ONCE and end < len(tokens):
            continue
        part = nats[start:end]
        pieces.append([text, None if None in part else round(sum(n for n in part if n is not None), 4)])
        start = end
    return pieces
