"""How a text becomes tokens, exactly: what is decoded is what was encoded, so that bits per byte compare across them.

bytes         UTF-8, 256 tokens
characters    code points of the training text, in order; where another split has one that it lacks, its bytes
bpe           byte pairs, merged as often as they stand together in the training text (Sennrich et al. 2016,
              arXiv:1508.07909; over bytes as Radford et al. 2019), by the package tokenizers
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Protocol

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from bench.errors import DataError, shown

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
    """``vocab`` tokens: 256 bytes, and pairs of earlier tokens in the order in which they were merged."""

    def __init__(self, text: str, vocab: int) -> None:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        self.model = Tokenizer(models.BPE())
        self.model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.model.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
        self.model.train_from_iterator(text.splitlines(keepends=True), trainer)
        known = self.model.get_vocab_size()
        letters = letters_of_bytes()
        self.name = f"{known} byte pairs"
        self.pieces = [bytes(letters[c] for c in self.model.id_to_token(i) or "") for i in range(known)]

    def encode(self, text: str) -> NDArray[np.int64]:
        return np.array(self.model.encode(text).ids, np.int64)


def letters_of_bytes() -> dict[str, int]:
    """The byte that each letter stands for in byte pairs, ``{letter: byte}``, as GPT-2 writes them down.

    Printable ones stand for themselves, the others are letters from U+0100 on.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


def tokeniser_of(kind: Kind, vocab: int, text: str, others: Iterable[str]) -> Tokeniser:
    """The tokeniser of a training text. vocab: of byte pairs."""
    if kind == "bytes":
        return Bytes()
    return Characters(text, others) if kind == "characters" else BytePairs(text, vocab)
