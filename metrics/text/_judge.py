"""The judge: a causal language model that reads texts it did not write, and what it makes of them in nats.

Each text is read in windows that do not overlap, each behind the start token, which is given and not scored; every
token is scored once. The judge is SmolLM2-135M-Instruct (metrics/text/_smollm2.py says how to get it), or the
transformers model in the folder that GENBENCH_JUDGE names.
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

from bench import DataError, Omitted, alive, fault, named, sha256
from metrics.text import _smollm2 as smollm2

FOLDER = "GENBENCH_JUDGE"
WINDOW = 512
TOKENS_AT_ONCE = 1024  # bounds the logits held at a time, 0.2 GB for 49,152 words
INSTALL = 'pip install "genbench[text]"'


@dataclass(frozen=True)
class Judge:
    """A causal language model. encode: text -> token numbers, no special ones among them; start: scored never."""

    net: nn.Module
    encode: Callable[[str], list[int]]
    start: int
    window: int
    protocol: Mapping[str, str | int]


@torch.no_grad()
def score(judge: Judge, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Nats and tokens of each text, ``(texts,)`` both; the same whatever other texts there are, but for rounding."""
    rows = [judge.encode(text) for text in texts]
    pieces = [(i, row[at : at + judge.window]) for i, row in enumerate(rows) for at in range(0, len(row), judge.window)]
    nats = np.zeros(len(rows))
    for batch in alive(_batches(pieces)):
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
    return _load(os.environ.get(FOLDER, ""))


def locate() -> str:
    """Where the judge lies. Raises DataError with the way to get one; what a folder holds is seen when it is loaded."""
    if folder := os.environ.get(FOLDER):
        if not Path(folder).is_dir():
            raise DataError(f"{FOLDER} is {named(folder)}, where no folder is")
        return folder
    return str(smollm2.locate())


@functools.lru_cache(maxsize=1)
def _load(folder: str) -> Judge:
    if folder:
        return from_folder(Path(folder))
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
            from transformers import AutoModelForCausalLM, AutoTokenizer

            model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
            net = model.eval().requires_grad_(False)
            tokeniser: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Omitted:
        raise
    except Exception as error:  # transformers and safetensors answer damage with any exception there is
        raise DataError(
            f"GENBENCH_JUDGE: {named(folder)} holds no language model that transformers reads ({fault(error)})"
        ) from error
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


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of transformers in between, and those that were on are on again."""
    try:
        from transformers.utils import logging as library
    except ImportError as error:
        raise Omitted(f"needs the package transformers; {INSTALL}") from error
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
    kinds = ("config.json", "*.safetensors", "*.bin", "*.model", "tokenizer*.json", "vocab*", "merges*")
    files = sorted({path for kind in kinds for path in folder.glob(kind)})
    return hashlib.sha256("".join(f"{path.name} {sha256(path)}\n" for path in files).encode()).hexdigest()


def _protocol(name: str, digest: str, start: str, window: int) -> dict[str, str | int]:
    return {
        "judge": name,
        "judge_weights": f"sha256:{digest}",
        "windows": "disjoint",
        "context": window,
        "start": start,
    }
