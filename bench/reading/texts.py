"""Texts in files: .txt, .json, .jsonl. Every text is kept, blank ones too.

.txt     a text a line; a line ends with LF or CRLF, and the end of the last one begins no further text
.json    a list of strings, or of objects with the string in "text"
.jsonl   one such string or object a line; a text that is blank is written "", so a blank line is refused
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.errors import DataError, named
from bench.foreign import Say, afford, decoding

KEY = "text"
TEXTS = frozenset({".txt", ".json", ".jsonl"})


def read_texts(path: Path, say: Say) -> list[str]:
    """The texts of a file in order. Raises DataError for what holds none, with the number of the first that fails."""
    afford(path, path.stat().st_size)
    with decoding(path):
        content = path.read_bytes().decode("utf-8-sig")
    if path.suffix.lower() == ".txt":
        lines = _lines(content)
        if blank := sum(not line.strip() for line in lines):
            say(f"{named(path)}: {blank} of {len(lines)} lines are blank: each is kept as a text")
        return lines
    if path.suffix.lower() == ".jsonl":
        texts = []
        for number, line in enumerate(_lines(content), 1):
            what = f"{named(path)}: line {number}"
            if not line.strip():
                raise DataError(f'{what} is blank; a text without characters is written "" in .jsonl')
            texts.append(_text(_parse(line, what), what))
        return texts
    found = _parse(content, path)
    if not isinstance(found, list):
        raise DataError(f"{named(path)} must hold a JSON list of strings, not {_kind(found)}")
    return [_text(value, f"{named(path)}: entry {place} (from 0)") for place, value in enumerate(found)]


def _lines(content: str) -> list[str]:
    """Not splitlines(), which also breaks at form feeds and other marks within a line."""
    lines = content.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _parse(content: str, what: object) -> Any:
    with decoding(what, "; .json holds one list, .jsonl one string or object a line"):
        return json.loads(content)


def _text(value: Any, what: str) -> str:
    if isinstance(value, dict) and KEY in value:
        value, what = value[KEY], f"{what}, {KEY!r}"
    if not isinstance(value, str):
        raise DataError(f"{named(what)} is {_kind(value)}; expected a string, or an object with one under {KEY!r}")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {named(', '.join(map(repr, value)))}" if value else "an object with nothing in it"
    return {list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")
