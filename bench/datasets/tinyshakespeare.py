"""Tiny Shakespeare (Karpathy 2015): 1,115,394 characters."""

from __future__ import annotations

from pydantic import PositiveInt

from bench import dataset
from bench.datasets._content import data_root, fetch, find
from bench.datasets._split import Share
from bench.datasets._text import TextDataset
from bench.datasets._tokenisers import Kind, Vocab
from bench.foreign import decoding
from bench.protocols import SplitName

_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
_PLACES = ("tinyshakespeare.txt", "text/tinyshakespeare.txt", "tinyshakespeare/input.txt")
_HOW = "set `download = true` in the suite, or point `root` or GENBENCH_DATA at a folder that holds tinyshakespeare.txt"
_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataset("tinyshakespeare", modality="text", locate=lambda: str(find("Tiny Shakespeare", "", _PLACES, _HOW)))
def tinyshakespeare(
    *,
    root: str = "",
    download: bool = False,
    window: PositiveInt = 256,
    tokeniser: Kind = "bytes",
    vocab: Vocab = 1024,
    valid: Share = 0.05,
) -> TextDataset:
    """Tiny Shakespeare: the last 10 %, nanoGPT's validation set, as test, the 5 % before it as valid, 85 % to train.

    root: the folder it lies in; left out: GENBENCH_DATA, or ``data`` here.   download: it where it is not there.
    window: tokens in one example.   tokeniser: bytes, characters, or bpe of ``vocab`` byte pairs.
    """
    if download and not (data_root(root) / _PLACES[0]).exists():
        fetch(_URL, data_root(root) / _PLACES[0], _SHA256)
    path = find("Tiny Shakespeare", root, _PLACES, _HOW)
    with decoding(path.absolute(), "; delete it and get it anew"):
        text = path.read_text(encoding="utf-8")
    first, second = int(len(text) * (0.9 - valid)), int(len(text) * 0.9)
    splits: dict[SplitName, str] = {"train": text[:first], "valid": text[first:second], "test": text[second:]}
    return TextDataset("tinyshakespeare", splits, window, tokeniser, vocab)
