"""n-grams: interpolated modified Kneser-Ney (Chen & Goodman 1999, "An empirical study of smoothing techniques", section
2.7), the yardstick that a model of text should beat; it is counted in seconds and no step is trained.

    p(w | h) = max(c(h w) - D(c(h w)), 0) / c(h .) + g(h) p(w | h'),    h' = h without its first token

c are counts at the highest order, and below it the number of different tokens that were seen before, N1+(. h w). D is
one number each for counts of 1, 2 and more, of every order by its counts of counts n1 .. n4:

    Y = n1 / (n1 + 2 n2),    D_k = k - (k + 1) Y n_{k+1} / n_k,    g(h) = sum_k D_k N_k(h .) / c(h .)

Below order 1 all tokens are alike. A context that was never seen says nothing, and the shorter one speaks. The first
tokens of a text, which have fewer before them, are told by the same of that lower order. Of piano rolls it is how often
each key sounds, whatever was before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor

from bench import Batch, Dataset, Split, Textual, Unsupported, generator, modality_of, uniform
from generators._heads import draw_one, head_of

Codes = NDArray[np.int64]  # of n-grams: their tokens as the digits of one number, the last token the lowest
LARGEST = 2**62  # of a code
LEAST = 0.1  # of a count that is taken, or left


@generator("ngram", modalities={"text", "music"}, control="floor", paper="10.1006/csla.1999.0128")
class NGram:
    """Counts of up to ``order`` tokens in a row, smoothed; of piano rolls, of each key by itself.

    The order is lowered where the codes of a large vocabulary would be too large. Raises Unsupported for real numbers.
    """

    bound = False
    log_prob_of: Literal["mass"] = "mass"

    def __init__(self, dataset: Dataset, *, order: PositiveInt = 7) -> None:
        spec = dataset.spec
        if spec.kind == "continuous":
            raise Unsupported("ngram counts tokens, or the keys of a piano roll: real numbers are too many to count")
        self.window, self.head = spec.shape[0], head_of(spec)
        if spec.kind == "binary":
            self.law: KneserNey | Keys = Keys(modality_of(spec).disjoint(dataset, "train"))
            return
        vocab = spec.vocab or 1
        while vocab**order > LARGEST:
            order -= 1
        texts = (
            [dataset.tokens("train")]
            if isinstance(dataset, Textual)
            else list(_rows(modality_of(spec).disjoint(dataset, "train")))
        )
        self.law = KneserNey([text.numpy() for text in texts], vocab, order)

    def log_prob(self, batch: Batch) -> Tensor:
        """Exact log-probability of each sequence in nats, ``(batch,)``, given how long it is."""
        return self.step_log_prob(batch)[0].sum(1)

    def step_log_prob(self, batch: Batch, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """log p of each step in nats, ``(batch, steps)``; and the last steps, behind which the text goes on.

        Raises GenbenchError for tokens that the data has not.
        """
        self.head.check(batch)
        before = batch.data[:, :0].cpu() if state is None else state
        x = torch.cat([before, batch.data.cpu()], dim=1)
        log_p = torch.from_numpy(self.law.log_prob(x.numpy()))[:, before.shape[1] :]
        return log_p.where(batch.mask.cpu(), 0), x[:, max(0, x.shape[1] - self.law.reach) :]

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        u, x = uniform(rng, n, self.window, *self.head.draws), self.head.start(n, torch.device("cpu"))[:, None][:, :0]
        for t in range(self.window):
            x = torch.cat([x, self.law.draw(x, u[:, t])[:, None]], dim=1)
        return x

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Continue ``prompt`` ``(steps, ...)``, which may be empty, step by step, without end.

        Raises GenbenchError for tokens that the data has not.
        """
        return (steps[0] for steps in self.stream_batch(prompt[None], rng))

    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """The same of several side by side, ``(n, steps, ...)`` to ``(n, ...)`` at a time."""
        self.head.check(Batch(prompts))
        return self._following(prompts.cpu(), rng)

    def _following(self, x: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        while True:
            x = torch.cat([x, self.law.draw(x, torch.rand(len(x), *self.head.draws, generator=rng))[:, None]], dim=1)
            x = x[:, -max(1, self.law.reach) :]
            yield x[:, -1]


class Keys:
    """Each key of a frame by itself: a Bernoulli variable with the share of training frames in which it sounds."""

    reach = 0

    def __init__(self, data: Split) -> None:
        frames = torch.cat(list(_rows(data)))
        self.p = ((frames.double().sum(0) + 0.5) / (len(frames) + 1)).numpy()  # (keys,), none of which is 0 or 1

    def log_prob(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Of each frame of ``x`` ``(batch, steps, keys)`` in nats."""
        log_p: NDArray[np.float64] = np.where(x > 0, np.log(self.p), np.log1p(-self.p)).sum(-1)
        return log_p

    def draw(self, x: Tensor, u: Tensor) -> Tensor:
        return (u < torch.from_numpy(self.p)).float()


class KneserNey:
    """The law of the next token, by counts of texts of int64 tokens in 0..vocab - 1."""

    def __init__(self, texts: list[NDArray[np.int64]], vocab: int, order: int) -> None:
        self.vocab, self.reach = vocab, order - 1
        self.levels: list[Level] = []
        # Of orders below the highest, by counts as they are: for tokens with no more before them than that.
        self.first = [Level(*_counted(texts, n, vocab), vocab) for n in range(1, order)]
        grams, counts = _counted(texts, order, vocab)
        for n in range(order, 0, -1):
            self.levels.insert(0, Level(grams, counts, vocab))
            # Below, a token counts once for each other that stood before; beginnings of texts have none and count as
            # they are.
            first = [_codes(t[: n - 1], n - 1, vocab) for t in texts] if n > 1 else []
            shorter = np.concatenate([grams % vocab ** (n - 1), *first]) if n > 1 else grams
            grams, counts = np.unique(shorter, return_counts=True)

    def log_prob(self, x: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of each token of texts ``(batch, tokens)`` in nats, given those before it in its row."""
        p = np.full(x.shape, 1 / self.vocab)
        for n, level in enumerate(self.levels, start=1):
            if x.shape[1] < n:
                break
            context, last = _rolling(x, n - 1, self.vocab)[:, : x.shape[1] - n + 1], x[:, n - 1 :]
            lower = p[:, n - 1 :]
            mixed = level.mixed(context, last, lower)
            if n <= len(self.first):
                mixed[:, 0] = self.first[n - 1].mixed(context[:, 0], last[:, 0], lower[:, 0])
            p[:, n - 1 :] = mixed
        log_p: NDArray[np.float64] = np.log(p)
        return log_p

    def draw(self, x: Tensor, u: Tensor) -> Tensor:
        """A token behind each of ``x`` ``(batch, tokens)``, by ``u`` in [0, 1)."""
        return draw_one(torch.from_numpy(np.log(self.following(x.numpy()))), u)

    def following(self, x: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability of every token behind each of ``x`` ``(batch, tokens)``, ``(batch, vocab)``."""
        every, p = np.arange(self.vocab), np.full((len(x), self.vocab), 1 / self.vocab)
        before = x.shape[1]
        levels = [*self.levels[:before], self.first[before]] if before < len(self.first) else self.levels
        for n, level in enumerate(levels, start=1):
            seen = x[:, x.shape[1] - n + 1 :]
            context = seen @ self.vocab ** np.arange(n - 1)[::-1] if n > 1 else np.zeros(len(x), np.int64)
            p = level.mixed(np.repeat(context[:, None], self.vocab, axis=1), every[None], p)
        return p


class Level:
    """Counts of one order. grams: codes in ascending order, with their counts."""

    def __init__(self, grams: Codes, counts: NDArray[np.int64], vocab: int) -> None:
        self.grams, self.vocab = grams, vocab
        n1, n2, n3, n4 = (max(1, int((counts == k).sum())) for k in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        discounts = np.array([1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        # Of a short text, or one that repeats itself, the formula may take nothing, or all there is.
        taken = discounts.clip(LEAST, np.array([1, 2, 3]) - LEAST)[np.minimum(counts, 3) - 1]
        self.contexts, starts = np.unique(grams // vocab, return_index=True)
        totals = np.add.reduceat(counts, starts)
        self.rest = np.add.reduceat(taken, starts) / totals  # g(h)
        self.share = (counts - taken) / np.repeat(totals, np.diff(starts, append=len(grams)))

    def mixed(self, context: Codes, token: Codes, lower: NDArray[np.float64]) -> NDArray[np.float64]:
        """p of each token behind its context, where ``lower`` is that behind the shorter one; all of one shape."""
        at, known = _found(self.contexts, context)
        p = np.where(known, self.rest[at] * lower, lower)
        at, seen = _found(self.grams, context * self.vocab + token)
        mixed: NDArray[np.float64] = p + np.where(seen, self.share[at], 0)
        return mixed


def _found(table: Codes, asked: Codes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each of ``asked`` is in an ascending table, and whether it is there."""
    at = np.searchsorted(table, asked).clip(max=len(table) - 1)
    return at, table[at] == asked


def _counted(texts: list[NDArray[np.int64]], n: int, vocab: int) -> tuple[Codes, NDArray[np.int64]]:
    """Every n tokens in a row and how often they are."""
    return np.unique(np.concatenate([_codes(text, n, vocab) for text in texts]), return_counts=True)


def _rolling(x: NDArray[np.int64], n: int, vocab: int) -> Codes:
    """Codes of all n tokens in a row of texts ``(batch, tokens)``, ``(batch, tokens - n + 1)``; of none, 0."""
    codes = np.zeros((len(x), x.shape[1] - n + 1), np.int64)
    for i in range(n):
        codes = codes * vocab + x[:, i : i + codes.shape[1]]
    return codes


def _codes(text: NDArray[np.int64], n: int, vocab: int) -> Codes:
    return _rolling(text[None], n, vocab)[0] if len(text) >= n else np.zeros(0, np.int64)


def _rows(data: Split) -> Iterator[Tensor]:
    """The examples of a split, each without its padding."""
    for index in torch.arange(len(data)).split(1000):
        batch = data.batch(index)
        ends = [None] * len(index) if batch.lengths is None else batch.lengths.tolist()
        yield from (x[:end] for x, end in zip(batch.data, ends, strict=True))
