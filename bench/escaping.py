"""Text of other people as it can be shown: what would act rather than be read is written out, what is long is cut."""

from __future__ import annotations

import unicodedata

_ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # Unicode categories


def visible(text: str, longest: int | None = None, keep: str = "\n") -> str:
    """``text`` with control, direction and other invisible characters by their number: ``\\x1b``, ``\\u{202e}``.

    longest: how many of its characters are shown, then an ellipsis; all if None.  keep: characters left as they are.
    """
    begin = text if longest is None else text[:longest]
    shown = begin if begin.isprintable() else "".join(c if c in keep else _visible(c) for c in begin)
    return shown + ("…" if len(begin) < len(text) else "")


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _ACTING:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{{{code:x}}}"
