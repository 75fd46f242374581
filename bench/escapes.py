"""Characters that act on a terminal or a page rather than be read, and the one notation in which they are written."""

from __future__ import annotations

import unicodedata


def acts(character: str) -> bool:
    """Whether it is a control, a direction, invisible, or no character at all; spaces of any width do not act."""
    return not character.isprintable() and unicodedata.category(character) != "Zs"


def escape(character: str) -> str:
    """It in ASCII, as Python writes it: ``\\x1b``, ``\\u202e``, ``\\U0010ffff``."""
    return ascii(character)[1:-1]
