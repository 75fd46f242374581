"""How a text becomes tokens, exactly: what is decoded is what was encoded, so that bits per byte compare across them.

bytes         UTF-8, 256 tokens
characters    code points of the training text, in order; where another split has one that it lacks, its bytes
bpe           byte pairs, merged as often as they stand together in the training text (Sennrich et al. 2016,
              arXiv:1508.07909; over bytes as Radford et al. 2019), by the package tokenizers
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, Self

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from bench.datasets._cache import cached
from bench.datasets._image import SPLITS
from bench.errors import DataError, shown
from bench.protocols import SplitName

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MANY = 5_000_000  # characters of which it is said that they take long
_log = logging.getLogger("genbench")
Kind = Literal["bytes", "characters", "bpe"]
Vocab = Annotated[int, Ge(257), Le(2**17)]


class Tokeniser(Protocol):
    """name: in a word what the tokens are; perplexity per token is compared only under one."""

    name: str
    pieces: list[bytes]  # what each token stands for

    def encode(self, text: str) -> NDArray[np.int64]:
        """``(tokens,)``. Raises DataError for a text that it cannot spell."""
        ...


class Bytes:
    """UTF-8."""

    def __init__(self) -> None:
        self.name, self.pieces = "bytes", [bytes([i]) for i in range(256)]

    def encode(self, text: str) -> NDArray[np.int64]:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int64)


class Characters:
    """Code points of a text, and where ``others`` have one that it lacks, 256 tokens for the bytes of such."""

    def __init__(self, text: str, others: Iterable[str] = ()) -> None:
        self.alphabet = sorted(set(text))
        self.index = {character: i for i, character in enumerate(self.alphabet)}
        self.spells = any(set(other) - set(self.alphabet) for other in others)
        self.name = f"{len(self.alphabet)} characters{' and bytes' if self.spells else ''}"
        self.pieces = [c.encode() for c in self.alphabet] + (Bytes().pieces if self.spells else [])

    def encode(self, text: str) -> NDArray[np.int64]:
        lacks = set(text) - set(self.alphabet)
        if not lacks:
            return np.array([self.index[c] for c in text], np.int64)
        if not self.spells:
            raise DataError(f'the training text has no {shown(min(lacks))}: take tokeniser = "bytes"')
        first = len(self.alphabet)
        tokens = [[self.index[c]] if c in self.index else [first + byte for byte in c.encode()] for c in text]
        return np.array([token for each in tokens for token in each], np.int64)


class BytePairs:
    """256 bytes, and pairs of earlier tokens in the order in which they were merged. model: that of ``trained``."""

    def __init__(self, model: Tokenizer) -> None:
        self.model = model
        known = model.get_vocab_size()
        letters = letters_of_bytes()
        self.name = f"{known} byte pairs"
        self.pieces = [bytes(letters[c] for c in self.model.id_to_token(i) or "") for i in range(known)]

    @classmethod
    def trained(cls, text: str, vocab: int) -> Self:
        """``vocab`` tokens, fewer where the text has no more."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        model = Tokenizer(models.BPE())
        model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        model.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
        model.train_from_iterator(text.splitlines(keepends=True), trainer)
        return cls(model)

    @classmethod
    def kept(cls, file: Path) -> Self:
        """As ``model.save`` wrote it. Raises ValueError for a file that is none."""
        from tokenizers import Tokenizer

        try:
            return cls(Tokenizer.from_file(str(file)))
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"{file.name} holds no tokeniser") from error

    def encode(self, text: str) -> NDArray[np.int64]:
        return np.array(self.model.encode(text).ids, np.int64)


def letters_of_bytes() -> dict[str, int]:
    """The byte that each letter stands for in byte pairs, ``{letter: byte}``, as GPT-2 writes them down.

    Printable ones stand for themselves, the others are letters from U+0100 on.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


def tokenised(kind: Kind, vocab: int, texts: Mapping[SplitName, str]) -> tuple[Tokeniser, dict[SplitName, np.ndarray]]:
    """The tokeniser that the training text gives, and each split in its tokens. vocab: of byte pairs.

    Byte pairs of a large text take minutes, and are kept on disk: the next process finds them.
    """
    if kind == "bpe":
        hashes = [hashlib.sha256(texts[split].encode("utf-8", "surrogatepass")).hexdigest() for split in SPLITS]
        return cached([kind, vocab, *hashes], lambda folder: _keep(folder, texts, vocab), _kept)
    tokeniser = Bytes() if kind == "bytes" else Characters(texts["train"], [texts["valid"], texts["test"]])
    return tokeniser, {split: tokeniser.encode(texts[split]) for split in SPLITS}


def _keep(folder: Path, texts: Mapping[SplitName, str], vocab: int) -> None:
    if sum(map(len, texts.values())) >= MANY:
        _log.info("%s characters become byte pairs, once: they are kept", f"{sum(map(len, texts.values())):,}")
    tokeniser = BytePairs.trained(texts["train"], vocab)
    for split in SPLITS:
        np.save(folder / f"{split}.npy", tokeniser.encode(texts[split]).astype(np.int32))
    tokeniser.model.save(str(folder / "manifest.json"))


def _kept(folder: Path) -> tuple[Tokeniser, dict[SplitName, np.ndarray]] | None:
    """None for a folder that is not whole."""
    try:
        return BytePairs.kept(folder / "manifest.json"), {s: np.load(folder / f"{s}.npy") for s in SPLITS}
    except (OSError, EOFError, ValueError):
        return None
