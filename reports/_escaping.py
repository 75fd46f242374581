"""Text of other people as a page can show it: what would act rather than be read is written out, the long is cut."""

from __future__ import annotations

import re
import unicodedata

from bench import acts, escape

# Characters that a page gives to a text.
SHORT_NAME, NAME, LONG_NAME = 30, 60, 120
TIP, ENTRY, LISTING = 1000, 2000, 4000  # what explains a number; an entry of a list or table; settings in a row
WHOLE = 20_000  # of any text
_PLAIN = re.compile("[ -~¡-¬®-ÿ–—‘’“”†‡…→↑↓−≈≤≥]*")  # of what pages are made of themselves; nothing that acts, no mark
_MARKS = 4  # on one letter; a hundred would lie over the lines around it


def visible(text: str, longest: int | None = None, keep: str = "\n") -> str:
    """``text`` with control, direction and other invisible characters by their number: ``\\x1b``, ``\\u202e``.

    longest: how many characters are shown, then an ellipsis; all if None.  keep: characters left as they are.
    """
    begin = text[:longest]
    shown = begin if _PLAIN.fullmatch(begin) else _written_out(begin, keep)
    # What is written out is longer than what it stands for.
    return shown[:longest] + ("…" if len(begin) < len(text) or len(shown[:longest]) < len(shown) else "")


def ending(text: str) -> str:
    """The end of a traceback, where it says what happened, as ``visible`` shows it."""
    text = text.rstrip()
    shown = visible(text[-WHOLE:], keep="\n\t")
    return shown if len(shown) <= WHOLE and len(text) <= WHOLE else f"…{shown[-WHOLE + 1 :]}"


def _written_out(text: str, keep: str) -> str:
    shown, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        hidden = (acts(character) and character not in keep) or marks > _MARKS
        shown.append(escape(character) if hidden else character)
    return "".join(shown)
