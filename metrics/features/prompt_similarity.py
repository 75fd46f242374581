"""Does a continuation speak of what its prompt spoke of? (BERTScore's question, Zhang et al. 2020, arXiv:1904.09675,
asked of whole passages with sentence embeddings, Reimers & Gurevych 2019, arXiv:1908.10084.)

Held-out windows are cut in halves. The model continues each first half; the embedding of its continuation is compared
with that of the true second half by the cosine. Any two passages of one book are alike to some degree, so the mean
cosine with the second halves of *other* prompts is taken off:

    value = mean_i cos(c_i, t_i) - mean_{i != j} cos(c_i, t_j)

0 where the prompt made no difference; the ceiling is 1 less what strangers have in common.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import (
    Estimate,
    GenbenchError,
    Omitted,
    Streaming,
    Textual,
    TooFew,
    Trial,
    alive,
    as_read_by,
    continued,
    metric,
    normal_interval,
    reread,
)
from metrics._arrays import Array
from metrics.extractors.minilm import minilm
from metrics.text._texts import jackknife, spread

PROMPTS = 64
LEAST = 3  # with one prompt left out there must be another pair


def prompt_similarity(continued: Array, true: Array) -> Estimate:
    """Excess cosine of matching rows over others, in [-2, 2], from embeddings ``(prompts, D)`` of both.

    Raises TooFew for fewer than three prompts, GenbenchError for NaN, infinity or sides of other shapes.
    """
    c, t = torch.as_tensor(continued).double().cpu(), torch.as_tensor(true).double().cpu()
    _check(c, t)
    n = len(c)
    cosine = (F.normalize(c) @ F.normalize(t).T).numpy()  # (prompts, prompts)
    own, every = np.diag(cosine), cosine.sum()
    value = _excess(own.sum(), every, n)
    without = every - cosine.sum(0) - cosine.sum(1) + own
    error = jackknife(_excess(own.sum() - own, without, n - 1))
    interval = normal_interval(float(value), error, "jackknife over prompts", lo=-2, hi=2)
    return Estimate(value=float(value), n=n, interval=interval, protocol={"baseline": "other prompts' continuations"})


def _check(c: Tensor, t: Tensor) -> None:
    """Rows may all be the same, unlike in a measure of distributions: a model that ignores its prompt makes such."""
    if c.ndim != 2 or c.shape != t.shape:
        raise GenbenchError(f"both sides must be (prompts, D), got {tuple(c.shape)} and {tuple(t.shape)}")
    if len(c) < LEAST:
        raise TooFew(f"{len(c)} prompts are too few: at least {LEAST} are needed")
    if not (torch.isfinite(c).all() and torch.isfinite(t).all()):
        raise GenbenchError("embeddings hold NaN or infinity")


def _excess(own: np.ndarray, every: np.ndarray, n: int) -> np.ndarray:
    """Mean over the diagonal less mean over the rest, from their sums."""
    excess: np.ndarray = own / n - (every - own) / (n * (n - 1))
    return excess


@torch.no_grad()
def continuations(trial: Trial[Streaming], windows: list[Tensor], half: int) -> list[str]:
    """How the model goes on from the first half of each window, as far as it goes; each has its own random stream."""
    dataset: Any = trial.dataset
    texts = []
    for i, window in enumerate(alive(windows)):
        prompt = reread(trial.model, dataset, window[:half]).to(trial.device)
        drawn = continued(trial.model, dataset, prompt, trial.rng("prompt similarity", i), window[half:])
        texts += as_read_by(trial.model, dataset).decode(drawn[None])  # type: ignore[attr-defined]
    return texts


@metric("prompt_similarity", on={"text"}, aspect="relevance", unit="1", better="higher", least=-2, most=2,
        paper="arXiv:1908.10084")  # fmt: skip
def prompt_similarity_of_model(trial: Trial[Streaming]) -> Estimate:
    """Cosine of a continuation's sentence embedding with the true one's, less that with other prompts' true ones."""
    dataset, window = trial.dataset, trial.spec.shape[0]
    if not isinstance(dataset, Textual):
        raise Omitted("needs text that can be decoded")
    extract = minilm()
    half = window // 2
    stream = dataset.tokens("test")
    windows = spread(stream[: len(stream) // window * window].view(-1, window).unbind(), PROMPTS)
    texts = continuations(trial, windows, half), dataset.decode(torch.stack([w[half:] for w in windows]))
    found = prompt_similarity(*(extract(side).features for side in texts))
    settings = {"extractor": "minilm", **extract.protocol, "prompts": len(windows), "prompt_tokens": half}
    return found.model_copy(update={"protocol": {**settings, "continuation_tokens": window - half, **found.protocol}})
