"""Generated text under a language model that had no part in making it (Holtzman et al. 2020, arXiv:1904.09751,
section 4.1).

    perplexity = exp(sum of nats over all tokens / tokens)

Sum over sum, never a mean of ratios; every token is scored once. Each text is read in windows that do not overlap,
each behind the start token, which is given and not scored. Perplexity per token is of the judge's tokens: numbers of
two judges never compare.

Too low is no better than too high: a text that repeats itself is easy to foresee. What to match is the perplexity of
held-out text in pieces of the same length, and ``judge_gap`` is the distance to it.

The judge is SmolLM2-135M-Instruct from the extra `text`, or the transformers model in the folder that GENBENCH_JUDGE
names.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import Comparison, DataError, Estimate, GenbenchError, Interval, Omitted, metric, ratio_interval
from metrics import smollm2
from metrics.extractors.weights import sha256
from metrics.scoring import transformed
from metrics.texts import checked_texts, cut, difference, spread

PAPER = "arXiv:1904.09751, section 4.1"
WINDOW = 512
TEXTS = 128  # of each side at most: the judge reads a few hundred tokens a second on one core
TOKENS_AT_ONCE = 1024  # bounds the logits held at a time, 0.2 GB for 49,152 words
METHOD = "delta method over texts"


@dataclass(frozen=True)
class Judge:
    """A causal language model. encode: text -> token numbers, no special ones among them; start: scored never."""

    net: nn.Module
    encode: Callable[[str], list[int]]
    start: int
    window: int
    protocol: Mapping[str, str | int]


def perplexity(nats: np.ndarray, tokens: np.ndarray) -> Estimate:
    """exp(sum of nats / sum of tokens), at least 1, from both of each text, ``(texts,)``.

    Raises GenbenchError where there is no token, or where nats are not finite.
    """
    rate = mean_nats(nats, tokens)
    interval = cut(ratio_interval(nats, tokens), 0, np.inf, METHOD)
    return transformed(Estimate(value=rate, n=int(tokens.sum()), interval=interval), lambda x: float(np.exp(x)))


def gap(nats: np.ndarray, tokens: np.ndarray, their_nats: np.ndarray, their_tokens: np.ndarray) -> Estimate:
    """|log perplexity of ours - log perplexity of theirs| in nats a token, at least 0; the sides are independent."""
    signed = mean_nats(nats, tokens) - mean_nats(their_nats, their_tokens)
    interval = difference(signed, ratio_interval(nats, tokens), ratio_interval(their_nats, their_tokens))
    return Estimate(value=abs(signed), n=int(tokens.sum()), interval=interval and _folded(interval))


def mean_nats(nats: np.ndarray, tokens: np.ndarray) -> float:
    """Nats a token. Raises GenbenchError as ``perplexity`` does."""
    if not len(tokens) or not tokens.sum():
        raise GenbenchError("the texts hold no token to score: check what was sampled or loaded")
    if not np.isfinite(nats).all():
        raise GenbenchError("the judge returned NaN or infinity")
    return float(nats.sum() / tokens.sum())


def _folded(signed: Interval) -> Interval:
    """Interval of the absolute value."""
    ends = sorted((abs(signed.lo), abs(signed.hi)))
    return signed.model_copy(update={"lo": 0.0 if signed.lo <= 0 <= signed.hi else ends[0], "hi": ends[1]})


@torch.no_grad()
def score(judge: Judge, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Nats and tokens of each text, ``(texts,)`` both; the same whatever other texts there are, but for rounding."""
    rows = [judge.encode(text) for text in texts]
    pieces = [(i, row[at : at + judge.window]) for i, row in enumerate(rows) for at in range(0, len(row), judge.window)]
    nats = np.zeros(len(rows))
    for batch in _batches(pieces):
        owners, parts = zip(*batch, strict=True)
        np.add.at(nats, list(owners), _nats(judge, parts))
    return nats, np.array([len(row) for row in rows])


def _batches(pieces: list[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
    """Pieces of like length together, as many as make ``TOKENS_AT_ONCE`` tokens with their padding."""
    ordered = sorted(pieces, key=lambda piece: len(piece[1]))
    while ordered:
        size = max(1, TOKENS_AT_ONCE // len(ordered[-1][1]))
        yield ordered[-size:]
        del ordered[-size:]


def _nats(judge: Judge, parts: Sequence[list[int]]) -> np.ndarray:
    """Negative log-likelihood of each part behind the start token, ``(parts,)`` float64."""
    device = next(judge.net.parameters()).device
    lengths = torch.tensor([len(part) for part in parts], device=device)
    y = nn.utils.rnn.pad_sequence([torch.tensor(part) for part in parts], batch_first=True).to(device)
    x = F.pad(y[:, :-1], (1, 0), value=judge.start)
    inside = torch.arange(y.shape[1], device=device) < lengths[:, None]  # padding stands behind, where nobody looks
    logits: Tensor = judge.net(input_ids=x, attention_mask=inside.long(), use_cache=False).logits
    nats = F.cross_entropy(logits.float().flatten(0, 1), y.flatten(), reduction="none").view_as(y)
    return (nats.double() * inside).sum(1).cpu().numpy()


def judge() -> Judge:
    """The judge, loaded once a process. Raises Omitted where there is none, DataError for a folder that holds none."""
    return _load(os.environ.get("GENBENCH_JUDGE", ""))


@functools.lru_cache(maxsize=1)
def _load(folder: str) -> Judge:
    return from_folder(Path(folder)) if folder else _default()


def _default() -> Judge:
    try:
        path = smollm2.locate()
    except DataError as error:
        raise Omitted(f"needs a language model as judge: {error}") from error
    net, encode, start = smollm2.load(path)
    return Judge(net, encode, start, WINDOW, _protocol(path.stem, sha256(path), smollm2.START, WINDOW))


def from_folder(folder: Path) -> Judge:
    """A causal model and its tokeniser as transformers saves them; nothing is fetched and no code in it is run.

    Raises DataError for anything else, and for a tokeniser that has no token to begin a text with.
    """
    try:
        with _quiet():
            net, tokeniser = _from_transformers(folder)
    except (OSError, ValueError, KeyError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"GENBENCH_JUDGE: {folder} holds no language model that transformers reads ({why})") from error
    start = tokeniser.eos_token_id if tokeniser.bos_token_id is None else tokeniser.bos_token_id
    if start is None:
        raise DataError(f"GENBENCH_JUDGE: the tokeniser in {folder} has neither a first nor a last token")
    window = min(WINDOW, getattr(net.config, "max_position_embeddings", WINDOW))
    name, shown = type(net).__name__, str(tokeniser.convert_ids_to_tokens(start))

    def encode(text: str) -> list[int]:
        # What looks like a control token is plain text here.
        coded = tokeniser(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return list(coded["input_ids"])

    return Judge(net, encode, start, window, _protocol(name, _digest(folder), shown, window))


def _from_transformers(folder: Path) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise Omitted(f"needs the package transformers; {smollm2.INSTALL}") from error
    net: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return net.eval().requires_grad_(False), AutoTokenizer.from_pretrained(folder, local_files_only=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of transformers in between, and those that were on are on again."""
    try:
        from transformers.utils import logging as library
    except ImportError as error:
        raise Omitted(f"needs the package transformers; {smollm2.INSTALL}") from error
    logging: Any = library
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _digest(folder: Path) -> str:
    """SHA-256 over the weights and the tokeniser, whatever the folder is called."""
    kinds = ("*.safetensors", "*.bin", "*.model", "tokenizer*.json", "vocab*", "merges*")
    files = sorted({path for kind in kinds for path in folder.glob(kind)})
    return hashlib.sha256("".join(f"{path.name} {sha256(path)}\n" for path in files).encode()).hexdigest()


def _protocol(name: str, digest: str, start: str, window: int) -> dict[str, str | int]:
    return {
        "judge": name,
        "judge_weights": f"sha256:{digest}",
        "windows": "disjoint",
        "context": window,
        "start": start,
        "texts": f"at most {TEXTS}, evenly spread",
    }


def judged(texts: Sequence[str], by: Judge, limit: int = TEXTS) -> tuple[np.ndarray, np.ndarray]:
    """Nats and tokens of at most ``limit`` of the texts."""
    return score(by, spread(checked_texts(texts), limit))


def judge_perplexity(texts: Sequence[str]) -> Estimate:
    """Perplexity of texts under the judge, with its name, weights and windows in the protocol."""
    by = judge()
    return perplexity(*judged(texts, by)).model_copy(update={"protocol": by.protocol})


def judge_gap(texts: Sequence[str], reference: Sequence[str]) -> Estimate:
    """Distance of the texts' log perplexity to that of the reference, in nats a token."""
    by = judge()
    return gap(*judged(texts, by), *judged(reference, by)).model_copy(update={"protocol": by.protocol})


def _of_side(c: Comparison, side: Any, by: Judge) -> tuple[np.ndarray, np.ndarray]:
    """Scores of one side, on the comparison's device, shared by both metrics."""

    def compute() -> tuple[np.ndarray, np.ndarray]:
        by.net.to(c.device)
        return judged(c.texts(side), by, min(TEXTS, c.count("samples")))

    return c.once(f"judge/{side}", compute)


@metric("judge_perplexity", of="samples", on={"text"}, aspect="realism", unit="1", better="lower",
        paper=PAPER)  # fmt: skip
def judge_perplexity_of_samples(c: Comparison) -> Estimate:
    """Perplexity of the samples under a language model that did not make them; match held-out text, not 1."""
    by = judge()
    return perplexity(*_of_side(c, "samples", by)).model_copy(update={"protocol": by.protocol})


@metric("judge_gap", of="samples", sides=("samples", "reference"), on={"text"}, aspect="realism", unit="nat/token",
        better="lower", paper=PAPER)  # fmt: skip
def judge_gap_of_samples(c: Comparison) -> Estimate:
    """How far the samples' log perplexity under that language model is from held-out text's, in nats a token."""
    by = judge()
    found = gap(*_of_side(c, "samples", by), *_of_side(c, "reference", by))
    return found.model_copy(update={"protocol": by.protocol})
