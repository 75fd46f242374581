"""Scores a text under a model: nats, and what they are counted by, of one exact string.

Three ways to lay windows over a text. Each scores every token once; they differ in what a token may look back on, so
their numbers never share a column:

    disjoint    windows side by side; the first token of each is scored without any context, the last with a whole
                window of it. Cheapest, and the worst case of context.
    sliding     windows that overlap, by half unless told otherwise; only a window's new tokens are scored, so each
                looks back on at least ``window - stride`` tokens (from the second window on).
    stateful    the text from end to end, the model's state carried along; nothing is forgotten but by the model.

Units are counted on the string that was scored: bytes of its UTF-8, characters (code points), words (what
``str.split()`` gives: longest runs without white space). They are refused where the tokens do not spell that string.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bench import (
    Batch,
    Estimate,
    GenbenchError,
    Interval,
    Likelihood,
    Omitted,
    Rereading,
    Sequential,
    Textual,
    Trial,
    Verbatim,
    alive,
    as_read_by,
    ratio_interval,
    ratio_parts,
    stretches,
    unmet,
)
from metrics.likelihood._examples import finite
from metrics.likelihood._given import given

Windows = Literal["disjoint", "sliding", "stateful"]
Unit = Literal["token", "byte", "char", "word"]
Protocol = Mapping[str, str | int | float | bool]
SPLIT: Literal["test"] = "test"


@dataclass(frozen=True)
class Score:
    """Nats (float64) and the number of units they were spent on, ``(blocks,)`` each: a text cut block by block."""

    nats: np.ndarray
    count: np.ndarray
    unit: Unit
    bound: bool
    protocol: Protocol

    def rate(self) -> Estimate:
        """Nats per unit: sum over sum, never a mean of ratios. Raises Omitted where the text holds no such unit."""
        if not self.count.sum():
            raise Omitted(f"the text holds no {self.unit}")
        return Estimate(
            value=float(self.nats.sum() / self.count.sum()),
            n=int(self.count.sum()),
            interval=self._interval(),
            kind="bound" if self.bound else "point",
            protocol={**self.protocol, "unit": self.unit},
            parts=ratio_parts(self.nats, self.count),
        )

    def _interval(self) -> Interval | None:
        """Over the windows, or over stretches of neighbouring ones where there are more windows than stretches."""
        nats = stretches(self.nats)  # neighbouring windows of a text are alike
        over = "windows" if len(nats) == len(self.nats) else f"{len(nats)} stretches of windows"
        return ratio_interval(nats, stretches(self.count), method=f"delta method over {over}")


def score(trial: Trial, unit: Unit, windows: Windows = "disjoint") -> Score:
    """The test split under the trial's model, run once a trial for each kind of windows.

    Raises Omitted where the model cannot be run so, or where the tokens do not spell the text that has such units.
    """
    nats, protocol = trial.once(_nats, windows)
    count = trial.once(_count, unit, windows)
    named = {"tokeniser": _tokeniser(trial)} if unit == "token" else {}
    return Score(nats, count, unit, _likelihood(trial).bound, {**protocol, **named, **given(trial)})


def perplexity_of(trial: Trial, unit: Unit, windows: Windows = "disjoint") -> Estimate:
    """exp(nats / units) of the test split. Raises Omitted where that is more than a float holds."""
    return transformed(score(trial, unit, windows).rate(), _exp)


def bits_of(trial: Trial, unit: Unit, windows: Windows = "disjoint") -> Estimate:
    """nats / (ln 2 x units) of the test split."""
    rate = score(trial, unit, windows).rate()
    bits = transformed(rate, lambda nats: nats / math.log(2))
    return bits.model_copy(update={"parts": tuple(part / math.log(2) for part in rate.parts)})


def transformed(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    """The estimate under an increasing function, its interval carried along end by end; its parts are given up."""
    value, interval = function(estimate.value), estimate.interval
    if interval is not None:
        interval = interval.model_copy(update={"lo": function(interval.lo), "hi": function(interval.hi)})
    return estimate.model_copy(update={"value": value, "interval": interval, "parts": ()})


@torch.no_grad()
def disjoint_nats(model: Likelihood, tokens: Tensor, window: int, batch_size: int, device: torch.device) -> np.ndarray:
    """Nats of each window of a stream ``(tokens,)``, the shorter rest last; ``(windows,)`` float64."""
    whole = tokens[: len(tokens) // window * window].view(-1, window)
    rest = tokens[whole.numel() :]
    batches = [*whole.split(batch_size), *([rest[None]] if len(rest) else [])]
    parts = [-model.log_prob(Batch(tokens).to(device)) for tokens in alive(batches) if len(tokens)]
    return finite(torch.cat(parts).cpu().numpy())


@torch.no_grad()
def sliding_nats(
    model: Sequential, tokens: Tensor, window: int, stride: int, batch_size: int, device: torch.device
) -> np.ndarray:
    """Nats of each token of a stream, ``(tokens,)`` float64, behind at least ``window - stride`` others.

    The last window ends with the text, so that all are of one length. Raises GenbenchError for a stride that would
    leave tokens out.
    """
    if not 1 <= stride <= window:
        raise GenbenchError(f"the stride must lie between 1 and the window of {window}, got {stride}")
    window = min(window, len(tokens))
    last = len(tokens) - window
    starts = torch.tensor([*range(0, last, stride), last])
    places = starts[:, None] + torch.arange(window)  # (windows, window)
    seen = torch.cat([starts.new_zeros(1), starts[:-1] + window])  # where the window before ended
    parts = []
    for place, end in alive(zip(places.split(batch_size), seen.split(batch_size), strict=True)):
        log_p, _ = model.step_log_prob(Batch(tokens[place]).to(device))
        parts.append(-log_p.cpu()[place >= end[:, None]])
    return finite(torch.cat(parts).cpu().numpy())


@torch.no_grad()
def stateful_nats(model: Sequential, tokens: Tensor, window: int, batch_size: int, device: torch.device) -> np.ndarray:
    """Nats of each token of a stream, ``(tokens,)`` float64, behind all others.

    Where the stream is cut changes nothing: after a first window, which tells whether the model carries a state, as
    many tokens are read at once as a batch holds. Raises Omitted for a model that returns no state.
    """
    parts: list[Tensor] = []
    state = None
    for piece in alive((tokens[:window], *tokens[window:].split(window * batch_size))):
        if parts and state is None:
            raise Omitted("the model carries no state from one window to the next")
        log_p, state = model.step_log_prob(Batch(piece[None]).to(device), state)
        parts.append(-log_p[0])
    return finite(torch.cat(parts).cpu().numpy())


def count_units(text: str, ends: np.ndarray, unit: Unit) -> np.ndarray:
    """Bytes, characters or words of each block of a text, ``(blocks,)``; they sum to those of the text.

    ends: byte at which each block ends. A character or word that is cut belongs to the block in which it begins.
    """
    if unit == "byte":
        return np.diff(ends, prepend=0)
    coded = np.frombuffer(text.encode(), np.uint8)
    starts = np.flatnonzero((coded & 0xC0) != 0x80)  # bytes 10xxxxxx continue a character
    if unit == "word":
        starts = starts[[word.start() for word in re.finditer(r"\S+", text)]]
    return np.diff(np.searchsorted(starts, ends), prepend=0)


def _count(trial: Trial, unit: Unit, windows: Windows) -> np.ndarray:
    """Units in each block, a window long, of the test split."""
    if unit == "token" and windows == "disjoint" and isinstance(trial.model, Rereading):
        return trial.once(_scored_as_texts)[1]
    blocks = _blocks_of(_read(trial, windows))
    if unit == "token":
        return np.array([len(block) for block in blocks])
    return count_units(*trial.once(_spelled, windows), unit)


def _spelled(trial: Trial, windows: Windows) -> tuple[str, np.ndarray]:
    """The test split's string, and the byte at which each block of it ends.

    Raises Omitted where its tokens do not spell it.
    """
    data = _read(trial, windows)
    if not isinstance(data, Verbatim):
        raise Omitted("the dataset does not say which string its tokens stand for (it has no `text`)")
    text, (spelled,) = data.text(SPLIT), data.decode(data.tokens(SPLIT)[None])
    if text != spelled:
        raise Omitted(
            "the tokens do not spell the text: it changes when encoded and decoded, so its units are not theirs"
        )
    ends = np.cumsum([data.count_bytes(block) for block in _blocks_of(data)])
    if ends[-1] != (true := len(text.encode())):
        raise GenbenchError(f"the dataset's count_bytes says {ends[-1]} for a text of {true} bytes")
    return text, ends


def _read(trial: Trial, windows: Windows) -> Textual:
    """The data as it is scored: where windows stand side by side they are the data's, whatever tokens a model reads."""
    data = trial.dataset if windows == "disjoint" else as_read_by(trial.model, trial.dataset)
    if not isinstance(data, Textual):
        raise Omitted("needs a dataset of text")
    return data


def _blocks_of(data: Textual) -> tuple[Tensor, ...]:
    window: int = data.spec.shape[0]  # type: ignore[attr-defined]
    blocks: tuple[Tensor, ...] = data.tokens(SPLIT).split(window)
    return blocks


def _tokeniser(trial: Trial) -> str:
    """What the dataset, as the model reads it, calls its tokens, or else its class, which decides what they are."""
    data = as_read_by(trial.model, trial.dataset)
    return str(getattr(data, "tokeniser", f"{type(data).__module__}.{type(data).__qualname__}"))


def _likelihood(trial: Trial) -> Likelihood:
    if not isinstance(trial.model, Likelihood):
        raise Omitted(unmet(trial.model, Likelihood))
    return trial.model


def _sequential(trial: Trial) -> Sequential:
    if not isinstance(trial.model, Sequential):
        raise Omitted(unmet(trial.model, Sequential))
    return trial.model


def _nats(trial: Trial, windows: Windows) -> tuple[np.ndarray, Protocol]:
    """Nats in each block, a window long, of the test split, and how the windows were laid."""
    data, batch, device = _read(trial, windows), trial.batch_size, trial.device
    tokens, window = data.tokens(SPLIT), len(_blocks_of(data)[0])
    protocol: dict[str, str | int | float | bool] = {"split": SPLIT, "windows": windows}
    match windows:
        case "disjoint" if isinstance(trial.model, Rereading):
            return trial.once(_scored_as_texts)[0], {**protocol, "context": window, "reset": "window"}
        case "disjoint":
            nats = disjoint_nats(_likelihood(trial), tokens, window, batch, device)
            return nats, {**protocol, "context": window, "reset": "window"}
        case "sliding":
            stride = max(1, window // 2)
            nats = sliding_nats(_sequential(trial), tokens, window, stride, batch, device)
            return _blocks(nats, window), {**protocol, "context": window, "stride": stride, "reset": "window"}
        case "stateful":
            nats = stateful_nats(_sequential(trial), tokens, window, batch, device)
            return _blocks(nats, window), {**protocol, "context": "stream", "reset": "never"}


@torch.no_grad()
def _scored_as_texts(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """Nats of each block of the test split, and the model's own tokens in it: it is read as a text by itself."""
    model: Any = trial.model
    nats, tokens = model.score_texts(cut(*trial.once(_spelled, "disjoint")))
    return finite(nats.cpu().numpy()), tokens.cpu().numpy()


def cut(text: str, ends: np.ndarray) -> list[str]:
    """The text in blocks that end at these bytes; a character that is cut belongs to the block in which it begins."""
    coded = text.encode()
    starts = np.flatnonzero((np.frombuffer(coded, np.uint8) & 0xC0) != 0x80)  # bytes 10xxxxxx continue a character
    whole = np.append(starts, len(coded))
    ends = whole[np.searchsorted(whole, ends)]
    return [coded[a:b].decode() for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _blocks(nats: np.ndarray, window: int) -> np.ndarray:
    return np.add.reduceat(nats, np.arange(0, len(nats), window))


def _exp(nats: float) -> float:
    if nats > math.log(np.finfo(float).max):
        raise Omitted(f"exp({nats:.0f}) is more than a number holds: the text has hardly any such units")
    return math.exp(nats)
