"""A UTF-8 file as a dataset."""

from __future__ import annotations

import logging

from bench import DataError, dataset
from bench.datasets._denoise import repair
from bench.datasets._documents import cut
from bench.datasets._stages import TextStages, staged
from bench.datasets._text import TextDataset
from bench.errors import named
from bench.foreign import afford, decoding, locate

_log = logging.getLogger("genbench")


@dataset("text:", modality="text", locate=lambda: "text:PATH")
@staged
def text(path: str, stages: TextStages) -> TextDataset:
    """A file of text, UTF-8: text:PATH; its end is held out, first a share to validate and then one to test.

    window: tokens in one example. tokeniser: bytes, characters or bpe (of ``vocab`` byte pairs).
    clean: of bytes that are no UTF-8. denoise: "repair" mends wrong decoding and takes out control characters.
    """
    file = locate(path)
    if not file.is_file():
        raise DataError(f"{named(path)} is no file: text:PATH names one of UTF-8")
    afford(path, file.stat().st_size)
    with decoding(file, '; text:PATH wants UTF-8, or clean = "drop" to leave such bytes out'):
        held = file.read_bytes()
        content = held.decode("utf-8", "ignore" if stages.clean == "drop" else "strict")
    if lost := len(held) - len(content.encode()):
        _log.warning("%s: %d of %d bytes are no UTF-8: dropped", named(path), lost, len(held))
    content = repair(content) if stages.denoise else content
    splits = cut(content, stages.valid, stages.test)
    return TextDataset(named(f"text:{path}"), splits, stages.window, stages.tokeniser, stages.vocab)
