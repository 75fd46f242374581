"""Texts: the first ones, each as far as a page has room for."""

from __future__ import annotations

import codecs
import json
import re
from typing import BinaryIO

from bench import DataError, preview
from reports._escaping import visible
from reports.previews._shown import Shown

TEXTS, LONGEST = 3, 420
_MOST_TEXT = 2**22  # bytes of a file of texts that are read
_FIRST, _NEXT = re.compile(r'\s*\[\s*(?=")'), re.compile(r'\s*,\s*(?=")')  # before a text in a JSON list


@preview("text")
def show(file: BinaryIO) -> Shown:
    """The first texts of a JSON list."""
    return Shown(texts=tuple(visible(text, LONGEST) for text in first_texts(file, TEXTS)))


def first_texts(file: BinaryIO, count: int) -> list[str]:
    """Up to ``count`` texts from the beginning of a JSON list of strings. Raises DataError for anything else."""
    data = file.read(_MOST_TEXT)
    whole = len(data) < _MOST_TEXT
    texts: list[str] = []
    try:
        # What is read of a long file may end within a text, and within a character.
        content = codecs.getincrementaldecoder("utf-8")().decode(data, whole)
        place = _FIRST.match(content)
        while place and len(texts) < count:
            text, end = json.JSONDecoder().raw_decode(content, place.end())
            texts.append(text)
            place = _NEXT.match(content, end)
    except ValueError as error:
        if whole or not texts:
            raise DataError(f"cannot be read ({type(error).__name__})") from error
    if not texts:
        raise DataError("holds no list of texts")
    return texts
