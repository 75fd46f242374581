"""Sequence families: all of them but their net.

    p(x) = prod_t p(x_t | x_<t),    p(x_t | x_<t) = head(W f_t),    f_t, s_t = net(read(x_{t-1}), s_{t-1})

``read`` makes a vector of a step, by a table of tokens or a linear map of a frame; the net is the family's own;
``head`` (``_heads``) is a softmax over tokens, Bernoulli variables for the keys of a piano roll, or a mixture for
chords or real numbers. A family is so written once for all three. x_0 is the head's start, so that log p(x) covers
every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Lt
from pydantic import NonNegativeInt, PositiveFloat
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from bench import Batch, DataSpec, GenbenchError, Rows, Unsupported, modality_of
from generators._bare import bare
from generators._drawing import Drawing
from generators._heads import Tokens, head_of
from generators._schedule import adamw, descend, set_rate

SEQUENCES = {"text", "music"}  # modalities of which every sequence family makes what it has a head for
Token = Annotated[int, Ge(0)]


class Net(nn.Module):
    """Vectors of steps to features of those up to each: ``forward(h, state) -> (features, state)``.

    h: ``(batch, steps, inside)``. features: ``(batch, steps, outside)``. A state goes on from where another call
    ended, with any number of steps. endless: whether one that began with None goes on without end; else it is to
    ``begin``, and of a call that passes the window the features of the last steps alone may be given. tied: whether
    tokens are read off the features by the table that they are read in by.
    """

    inside: int
    outside: int
    endless = True
    tied = False

    def begin(self) -> Any:
        """The state before the first of steps that come one by one."""
        return None

    def step(self, h: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The same of one step, ``(batch, inside)`` to ``(batch, outside)``, which a net may know a faster way to."""
        features, state = self(h[:, None], state)
        return features[:, -1], state


class Autoregressive(nn.Module):
    """A net with what stands before and behind it, trained and sampled.

    lr: rises over a share ``warmup`` of the training, and falls in a line to 0 at its end. weight_decay: AdamW's.
    truncate: of those whose state has no end, the steps through which a gradient goes back: a longer example is read in
    pieces, with an update each, and the state carried on from one to the next (Williams & Peng 1990); 0 = all.
    components: parts of the mixture that says what a frame is; 0 = 1 for keys, which are independent then, and 10 for
    real numbers. The rest are of sampling; see ``Drawing``. Raises Unsupported for data that is no sequence, and for
    components of tokens.
    """

    bound = False
    log_prob_of = "mass"
    classes: int | None = None  # of those that are told labels

    def __init__(
        self,
        spec: DataSpec,
        net: Net,
        truncate: int = 0,
        *,
        components: NonNegativeInt = 0,
        lr: PositiveFloat = 1e-3,
        weight_decay: Annotated[float, Ge(0)] = 0.01,
        warmup: Annotated[float, Ge(0), Lt(1)] = 0.05,
        temperature: PositiveFloat = 1.0,
        top_k: NonNegativeInt = 0,
        top_p: Annotated[float, Gt(0), Le(1)] = 1.0,
        min_p: Annotated[float, Ge(0), Lt(1)] = 0.0,
        repetition: PositiveFloat = 1.0,
        stop: tuple[Token, ...] = (),
    ) -> None:
        super().__init__()
        spec = self.sequence(spec)
        self.window, self.head = spec.shape[0], head_of(spec, components)
        self.truncate, self.warmup = truncate, warmup
        self.log_prob_of = self.head.log_prob_of
        self.drawing = Drawing(self.head, temperature, top_k, top_p, min_p, repetition, tuple(stop))
        tokens = isinstance(self.head, Tokens)
        self.read = nn.Embedding(spec.vocab + 1, net.inside) if tokens else nn.Linear(spec.shape[1], net.inside)  # type: ignore[operator]
        self.net = net
        self.write = None if net.tied and tokens else nn.Linear(net.outside, self.head.size)
        if self.write is not None:
            self.head.prepare(self.write)
        self.optimiser = adamw(self, lr, weight_decay)

    def pace(self, share: float) -> None:
        set_rate(self.optimiser, share, hold=self.warmup, rise=self.warmup)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """What is said of the step after each of ``x`` ``(batch, steps, ...)``: ``(batch, steps, head.size)``."""
        features, state = self.net(self.read(x).float(), state)  # what layers add up is not rounded by autocast
        return self._said(features), state

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The same of one step ``(batch, ...)``: ``(batch, head.size)``."""
        features, state = self.net.step(self.read(x).float(), state)
        return self._said(features), state

    def _said(self, features: Tensor) -> Tensor:
        if self.write is None:
            return F.linear(features, self.read.weight[: self.head.size])
        said: Tensor = self.write(features)
        return said

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """An update, or one for each piece of ``truncate`` steps; the loss is a mean over all steps.

        Raises GenbenchError for a batch of nothing but padding.
        """
        total, steps, last, state = 0.0, 0, None, self.told(batch.condition)
        for piece in pieces(self._readable(batch), self.truncate):
            out, state = self(self.head.shifted(piece.data, last), state)
            loss = self.head.loss(out, piece)
            descend(self.optimiser, loss, max_norm=1.0)
            many = int(piece.mask.sum())
            total, steps = total + many * loss.item(), steps + many
            state, last = tree_map_only(Tensor, Tensor.detach, state), piece.data[:, -1]
        if not steps:
            raise GenbenchError("every example of this batch is of length 0: there is nothing to learn")
        return {"loss": total / steps}

    @torch.no_grad()
    def log_prob(self, batch: Batch) -> Tensor:
        """Exact log-probability of each example in nats, ``(batch,)``, given how long it is.

        Raises GenbenchError for tokens that the data has not, and for what is longer than a net with an end can read.
        """
        batch = self._readable(batch)
        self.head.check(batch)
        return self.head.log_prob(self(self.head.shifted(batch.data), self.told(batch.condition))[0], batch).sum(1)

    def _readable(self, batch: Batch) -> Batch:
        """Examples as sequences as wide as the longest, with zeros for padding. Raises GenbenchError for too wide."""
        batch = self.steps(batch)
        if batch.lengths is not None:
            x = batch.data[:, : max(1, int(batch.lengths.max()))]
            batch = batch._replace(data=x)
            batch = batch._replace(data=x.where(batch.mask.view(*x.shape[:2], *[1] * (x.ndim - 2)), 0))
        if not self.net.endless and batch.data.shape[1] > self.window:
            raise GenbenchError(
                f"{batch.data.shape[1]} steps, and this family reads {self.window} at once: score windows of them"
            )
        return batch

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor | Batch:
        device = next(self.parameters()).device
        rows = Rows(rng, n)
        label = rows.labels(self.classes, condition).to(device) if self.classes else None
        u = rows.uniform(self.window, *self.head.draws).to(device)
        with torch.inference_mode():  # a sixth faster here than no_grad
            model, step, state = bare(self), self.head.start(n, device), self.told(label) or self.net.begin()
            seen, drawn = self.drawing.nothing_seen(n, device), []
            for each in u.unbind(1):
                out, state = model.step(step, state)
                step = self.drawing.draw(out, each, seen)
                drawn.append(step)
            x = torch.stack(drawn, dim=1)
        x = x.clone()  # a tensor like any other
        return ended(x, self.drawing) if self.drawing.stop else self.made(x)

    def told(self, label: Tensor | None) -> Any:
        """The state before the first step of a net that is told labels ``(batch,)``; None where it is told nothing."""
        return None

    @classmethod
    def sequence(cls, spec: DataSpec) -> DataSpec:
        """What the examples are as sequences. Raises Unsupported."""
        return spec

    def steps(self, batch: Batch) -> Batch:
        """Examples as the sequences that they are read as."""
        return batch

    def made(self, x: Tensor) -> Tensor:
        """Sequences ``(n, steps, ...)`` as the examples that they are."""
        return x


class Sequence(Autoregressive):
    """An autoregressive family of sequences: one step after the other is a step of the data."""

    @torch.no_grad()
    def step_log_prob(self, batch: Batch, state: tuple[Tensor, Any] | None = None) -> tuple[Tensor, Any]:
        """log p of each step in nats, ``(batch, steps)``, and the state from which the text goes on without end.

        That is the last step, which is yet to be read, with the net's; None where the net's has an end. Raises as
        ``log_prob``.
        """
        width, batch = batch.data.shape[1], self._readable(batch)
        self.head.check(batch)
        last, before = state or (None, self.told(batch.condition))
        out, after = self(self.head.shifted(batch.data, last), before)
        log_p = F.pad(self.head.log_prob(out, batch), (0, width - batch.data.shape[1]))
        return log_p, (batch.data[:, -1], after) if self.net.endless else None

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Continue ``prompt`` ``(steps, ...)``, which may be empty, step by step ``(...)``, to a token that stops it.

        Without one it has no end. What lies beyond the window of a net that has one is handled as the family says.
        Raises GenbenchError for tokens that the data has not.
        """
        return (pieces.squeeze(0) for pieces in self.stream_batch(prompt[None], rng))

    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """The same of several side by side, ``(n, steps, ...)`` to ``(n, ...)`` at a time, until all have ended.

        More is drawn from rng than has been used.
        """
        self.head.check(Batch(prompts))
        n, device = len(prompts), next(self.parameters()).device
        label = Rows(rng, n).labels(self.classes).to(device) if self.classes else None
        model, state, seen = bare(self), self.told(label) or self.net.begin(), self.drawing.nothing_seen(n, device)
        if seen is not None:
            seen.scatter_(1, prompts.to(device), value=True)
        start, ended = self.head.start(n, device), torch.zeros(n, dtype=torch.bool, device=device)
        u, fast = without_end(rng, (n, *self.head.draws), device), torch.inference_mode()
        with fast:
            said, state = model(torch.cat([start[:, None], prompts.to(start)], dim=1), state)
            drawn = self.drawing.draw(said[:, -1], next(u), seen)
        while True:
            yield drawn.clone()  # a tensor like any other
            if self.drawing.stop:
                ended = ended | self.drawing.ends(drawn)
                if bool(ended.all()):
                    return
            with fast:
                out, state = model.step(drawn, state)
                drawn = self.drawing.draw(out, next(u), seen)


class Raster(Autoregressive):
    """An autoregressive family of images: value by value, a pixel's channels beside each other, row after row.

    Each value is a token of as many as the data has levels.
    """

    def __init__(self, spec: DataSpec, net: Net, **rest: Any) -> None:
        super().__init__(spec, net, **rest)
        if self.drawing.stop:
            raise Unsupported("an image ends at its last pixel: leave out stop")
        self.shape, self.binary = spec.shape, spec.kind == "binary"

    @classmethod
    def sequence(cls, spec: DataSpec) -> DataSpec:
        levels = modality_of(spec).levels(spec)
        if levels is None or len(spec.shape) != 3:
            raise Unsupported(f"no image of levels: {spec.kind} data of shape {spec.shape}")
        return DataSpec("text", (math.prod(spec.shape),), "tokens", vocab=levels)

    def steps(self, batch: Batch) -> Batch:
        x = batch.data if self.binary else (batch.data + 1) / 2 * (self.head.size - 1)
        return batch._replace(data=x.round().long().permute(0, 2, 3, 1).flatten(1))

    def made(self, x: Tensor) -> Tensor:
        channels, *sides = self.shape
        x = x.unflatten(1, (*sides, channels)).permute(0, 3, 1, 2).float()
        return x if self.binary else 2 * x / (self.head.size - 1) - 1


def pieces(batch: Batch, size: int) -> Iterator[Batch]:
    """A batch of sequences in pieces of at most ``size`` steps, all of it for 0; none that is padding alone."""
    steps = batch.data.shape[1] if batch.lengths is None else int(batch.lengths.max())
    for first in range(0, steps, size or max(1, steps)):
        data = batch.data[:, first : min(first + (size or steps), steps)]
        lengths = None if batch.lengths is None else (batch.lengths - first).clamp(0, data.shape[1])
        if lengths is None or bool(lengths.any()):
            yield Batch(data, batch.condition, lengths)


def without_end(rng: torch.Generator, shape: tuple[int, ...], device: torch.device) -> Iterator[Tensor]:
    """Float32 numbers in [0, 1) of this shape, again and again, as float64, in which tokens are drawn.

    By the 64, as a call takes as long for one as for many.
    """
    while True:
        yield from torch.rand(64, *shape, generator=rng).to(device, torch.float64).unbind()


def ended(x: Tensor, drawing: Drawing) -> Batch:
    """Texts ``(n, steps)`` up to the first token that stops each, which is kept."""
    stops = drawing.ends(x)
    before = stops.long().cumsum(1) - stops.long()  # stops before each place
    lengths = (before == 0).sum(1)
    return Batch(x, lengths=lengths)
