"""Text as tokens: one long stream a split, read through windows of fixed length."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.datasets._content import fingerprint
from bench.datasets._image import SPLITS
from bench.datasets._tokenisers import Kind, Tokeniser, tokenised
from bench.errors import DataError
from bench.protocols import Batch, Dataset, DataSpec, SplitName, Verbatim

if TYPE_CHECKING:
    from bench.datasets._findings import Preparation


class TextSplit:
    """A stream of tokens; example i is the window that starts at token i, so windows overlap."""

    def __init__(self, stream: np.ndarray, window: int) -> None:
        self.stream, self.window = torch.from_numpy(stream.copy()), window

    def __len__(self) -> int:
        return len(self.stream) - self.window + 1

    def batch(self, index: Tensor) -> Batch:
        return Batch(self.stream[index[:, None] + torch.arange(self.window)].long())


class Spelled:
    """Tokens of a text that is written out of them again, exactly."""

    def __init__(self, tokeniser: Tokeniser) -> None:
        self._tokeniser, self.tokeniser, self.pieces = tokeniser, tokeniser.name, tokeniser.pieces
        self._sizes = torch.tensor([len(piece) for piece in self.pieces])

    def encode(self, text: str) -> Tensor:
        """``(tokens,)`` int64. Raises DataError for a text that the tokens cannot spell."""
        return torch.from_numpy(self._tokeniser.encode(text))

    def decode(self, tokens: Tensor) -> list[str]:
        """Strings; bytes that are no UTF-8 become U+FFFD."""
        return [b"".join(self.pieces[i] for i in row).decode("utf-8", "replace") for row in tokens.tolist()]

    def count_bytes(self, tokens: Tensor) -> int:
        return int(self._sizes[tokens].sum())


class TextDataset(Spelled):
    """Text as bytes, characters or byte pairs; nothing is lost, so bits per byte are of the exact string.

    texts: the three splits, each one document; what a tokeniser learns, it learns of the first.   window: tokens in one
    example.   vocab: of byte pairs, fewer where the text has no more.
    prepared: of texts that went through the stages, what was found and done.
    Raises DataError where a split is shorter than a window.
    """

    def __init__(
        self,
        name: str,
        texts: Mapping[SplitName, str],
        window: int,
        tokeniser: Kind = "bytes",
        vocab: int = 1024,
    ) -> None:
        known, found = tokenised(tokeniser, vocab, texts)
        super().__init__(known)
        small = np.uint8 if len(self.pieces) <= 256 else np.int32
        streams = {split: found[split].astype(small) for split in SPLITS}
        for split, stream in streams.items():
            if len(stream) < window:
                raise DataError(
                    f"{name}, {split}: {len(stream)} {tokeniser} are fewer than one window of {window}: set window, or "
                    "bring more text"
                )
        self.name, self._texts = name, dict(texts)
        self.spec = DataSpec("text", (window,), "tokens", vocab=len(self.pieces))
        how = [f"{tokeniser}/1/{window}"]
        if tokeniser != "bytes":
            how += [piece.hex() for piece in self.pieces]
        self.fingerprint = fingerprint(*how, *(part for s in SPLITS for part in (s, streams[s])))
        self.train, self.valid, self.test = (TextSplit(streams[s], window) for s in SPLITS)
        self.prepared: Preparation | None = None

    def tokens(self, split: SplitName) -> Tensor:
        part: TextSplit = getattr(self, split)
        return part.stream.long()

    def text(self, split: SplitName) -> str:
        """The exact string of a split."""
        return self._texts[split]


class Retokenised(Spelled):
    """The text of a dataset in other tokens, those that a model reads which was trained elsewhere.

    Each split becomes tokens when it is first asked for.   window: tokens in one example; of a shorter text all of it.
    Raises DataError for data that does not say which text its tokens stand for.
    """

    def __init__(self, dataset: Dataset, tokeniser: Tokeniser, window: int) -> None:
        if not isinstance(dataset, Verbatim):
            raise DataError("the data does not say which text its tokens stand for (it has no `text`)")
        super().__init__(tokeniser)
        self._of, self.window, self._streams = dataset, window, dict[SplitName, Tensor]()
        self.spec = DataSpec("text", (window,), "tokens", vocab=len(self.pieces))
        self.fingerprint = fingerprint(dataset.fingerprint, f"in {self.tokeniser}/1/{window}")

    @cached_property
    def train(self) -> TextSplit:
        return self._split("train")

    @cached_property
    def valid(self) -> TextSplit:
        return self._split("valid")

    @cached_property
    def test(self) -> TextSplit:
        return self._split("test")

    def _split(self, split: SplitName) -> TextSplit:
        stream = self.tokens(split).numpy()
        return TextSplit(stream, min(self.window, len(stream)))

    def tokens(self, split: SplitName) -> Tensor:
        if split not in self._streams:
            self._streams[split] = self.encode(self.text(split))
        return self._streams[split]

    def text(self, split: SplitName) -> str:
        """The exact string of a split."""
        return self._of.text(split)
