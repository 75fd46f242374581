"""A UTF-8 file as a dataset."""

from __future__ import annotations

from pydantic import PositiveInt

from bench import DataError, dataset
from bench.datasets._split import Share
from bench.datasets._text import TextDataset
from bench.datasets._tokenisers import Kind, Vocab
from bench.errors import named
from bench.foreign import afford, decoding, locate
from bench.protocols import SplitName


@dataset("text:", modality="text", locate=lambda: "text:PATH")
def text(
    path: str,
    *,
    window: PositiveInt = 128,
    tokeniser: Kind = "bytes",
    vocab: Vocab = 1024,
    valid: Share = 0.1,
    test: Share = 0.1,
) -> TextDataset:
    """A file of text, UTF-8: text:PATH; its end is held out, first a share to validate and then one to test.

    window: tokens in one example. tokeniser: bytes, characters or bpe (of ``vocab`` byte pairs).
    """
    file = locate(path)
    if not file.is_file():
        raise DataError(f"{named(path)} is no file: text:PATH names one of UTF-8")
    afford(path, file.stat().st_size)
    with decoding(file, "; text:PATH wants UTF-8"):
        content = file.read_bytes().decode("utf-8")
    first, second = round(len(content) * (1 - valid - test)), round(len(content) * (1 - test))
    splits: dict[SplitName, str] = {
        "train": content[:first],
        "valid": content[first:second],
        "test": content[second:],
    }
    return TextDataset(named(f"text:{path}"), splits, window, tokeniser, vocab)
