"""What measures of streaming share: prompts of held-out data, and the time of each piece that comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench import BatchStreaming, Estimate, Streaming, Timing, Trial, as_read_by
from metrics.cost._cost import told


def prompts(trial: Trial, n: int) -> Tensor:
    """The first halves of n held-out examples, ``(n, steps, ...)``, as the model reads them."""
    data = as_read_by(trial.model, trial.dataset)
    index = torch.arange(n) % len(data.test)
    return data.test.batch(index).data[:, : max(1, data.spec.shape[0] // 2)]


def first_piece(trial: Trial[Streaming]) -> Timing:
    """From a prompt to the first piece behind it, again and again, timed once a trial."""
    prompt, rng = prompts(trial, 1)[0], trial.rng("streams")
    return trial.time("first token", lambda: next(iter(trial.model.stream(prompt, rng))).cpu())


def pieces(trial: Trial[BatchStreaming], n: int) -> Timing:
    """From one piece of n streams side by side to the next, where each is read as it comes; timed once a trial."""
    given, rng = prompts(trial, n), trial.rng("streams")
    return trial.time(f"stream, {n} at a time", _one_by_one(lambda: trial.model.stream_batch(given, rng)))


def _one_by_one(begin: Callable[[], Iterator[Tensor]]) -> Callable[[], object]:
    """A call for the next piece; behind the end of one stream another begins, whose prompt that piece pays for."""
    running = begin()

    def next_piece() -> object:
        nonlocal running
        if (piece := next(running, None)) is None:
            running = begin()
            piece = next(running)
        return piece.cpu()

    return next_piece


def streamed(estimate: Estimate, trial: Trial, timing: Timing, n: int) -> Estimate:
    """The estimate with how it was taken; of a model's own tokens, which."""
    found = told(estimate, trial, timing, "streaming", n)
    own = as_read_by(trial.model, trial.dataset)
    named = {} if own is trial.dataset else {"tokeniser": str(getattr(own, "tokeniser", type(own).__qualname__))}
    protocol = {**found.protocol, "prompt": prompts(trial, 1).shape[1], **named}
    return found.model_copy(update={"protocol": protocol})
