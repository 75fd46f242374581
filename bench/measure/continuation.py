"""How models go on from one and the same beginning, and how much each token surprised the model that wrote it."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from bench.modalities import modality_of
from bench.protocols import Batch, Dataset, Sequential, Streaming, Textual, as_read_by
from bench.streams import stream

PROMPTS = 2  # from places of the test split that lie evenly
LONGEST = 256  # tokens, prompt and continuation together
SHARE = 4  # a prompt is the first of so many parts
AT_ONCE = 4  # tokens that may be needed to spell one character


@torch.no_grad()
def continuations(model: Any, dataset: Dataset, seed: int, device: torch.device) -> list[dict[str, Any]] | None:
    """``[{"prompt": text, "pieces": [[text, nats], ...]}, ...]``; None of models and data that do not go on as text.

    Prompts are the same for all models. Prompt and continuation fit a window, so that all of it is looked back on. Nats
    are null of a model that does not score single tokens, or not so many of its own.
    """
    if not (isinstance(model, Streaming) and isinstance(dataset, Textual)):
        return None
    windows = modality_of(dataset.spec).disjoint(dataset, "test")
    length = min(dataset.spec.shape[0], LONGEST)
    first = length // SHARE
    own: Any = as_read_by(model, dataset)
    found = []
    for i in range(min(PROMPTS, len(windows))):
        text = windows.batch(torch.tensor([i * len(windows) // PROMPTS])).data[0]
        prompt = reread(model, dataset, text[:first])
        drawn = continued(model, dataset, prompt, stream(seed, "continue", i), text[first:length])
        if not len(drawn):
            continue
        whole = torch.cat([prompt, drawn])
        nats: list[float | None] = [None] * len(drawn)
        if isinstance(model, Sequential) and len(whole) <= own.spec.shape[0]:
            log_p, _ = model.step_log_prob(Batch(whole[None]).to(device))
            nats = (-log_p[0, len(prompt) :]).tolist()
        found.append({"prompt": dataset.decode(text[None, :first])[0], "pieces": spelled(own, drawn, nats)})
    return found


def reread(model: Streaming, dataset: Textual, tokens: Tensor) -> Tensor:
    """The data's tokens ``(tokens,)`` as the model reads them: in its own, where it has some, the whole characters."""
    own: Any = as_read_by(model, dataset)  # type: ignore[arg-type]
    return tokens if own is dataset else own.encode(dataset.decode(tokens[None])[0].strip("\ufffd"))


def continued(model: Streaming, dataset: Textual, prompt: Tensor, rng: torch.Generator, like: Tensor) -> Tensor:
    """What the model makes of a prompt, in the tokens that it reads: as many as ``like``, tokens of the data.

    Of its own tokens they are as many as spell as many bytes.
    """
    own: Any = as_read_by(model, dataset)  # type: ignore[arg-type]
    drawn, most = list[Tensor](), len(like) if own is dataset else dataset.count_bytes(like)
    for token in itertools.islice(model.stream(prompt, rng), most):
        drawn.append(token.cpu())
        if own is not dataset and own.count_bytes(torch.stack(drawn)) >= most:
            break
    return torch.stack(drawn) if drawn else prompt.new_empty(0)


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
