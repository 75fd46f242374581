"""Text as bytes: one long stream a split, read through windows of fixed length."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from bench.datasets._content import fingerprint
from bench.datasets._image import SPLITS
from bench.errors import DataError
from bench.protocols import Batch, DataSpec, SplitName


class TextSplit:
    """A stream of tokens; example i is the window that starts at token i, so windows overlap."""

    def __init__(self, stream: np.ndarray, window: int) -> None:
        self.stream, self.window = torch.from_numpy(stream.copy()), window

    def __len__(self) -> int:
        return len(self.stream) - self.window + 1

    def batch(self, index: Tensor) -> Batch:
        return Batch(self.stream[index[:, None] + torch.arange(self.window)].long())


class ByteDataset:
    """Text as its UTF-8 bytes, 256 tokens; nothing is lost, so bits per byte are of the exact string.

    texts: the three splits.   window: tokens in one example.
    Raises DataError where a split is shorter than a window.
    """

    tokeniser = "bytes"

    def __init__(self, name: str, texts: Mapping[SplitName, str], window: int) -> None:
        streams = {split: np.frombuffer(texts[split].encode(), np.uint8) for split in SPLITS}
        for split, stream in streams.items():
            if len(stream) < window:
                raise DataError(f"{name}, {split}: {len(stream)} bytes are fewer than one window of {window}")
        self.name = name
        self.spec = DataSpec("text", (window,), "tokens", vocab=256)
        self.fingerprint = fingerprint(f"bytes/1/{window}", *(part for s in SPLITS for part in (s, streams[s])))
        self.train, self.valid, self.test = (TextSplit(streams[s], window) for s in SPLITS)

    def tokens(self, split: SplitName) -> Tensor:
        part: TextSplit = getattr(self, split)
        return part.stream.long()

    def text(self, split: SplitName) -> str:
        """The exact string of a split."""
        part: TextSplit = getattr(self, split)
        return part.stream.numpy().tobytes().decode()

    def decode(self, tokens: Tensor) -> list[str]:
        """Strings; bytes that are no UTF-8 become U+FFFD."""
        return [bytes(row).decode("utf-8", "replace") for row in tokens.tolist()]

    def count_bytes(self, tokens: Tensor) -> int:
        return tokens.numel()
