"""How a sample of each modality is shown: a file each, named after it, with a function ``show``.

``show(file) -> Shown`` reads the beginning of a sample file. Sample files are other people's data: checked, never
unpickled, shown as text, pixels and sound only. What is not shown is not read, so a page takes the same memory for a
hundred samples and for a million. Raises DataError for a file that holds anything else.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import BinaryIO

from reports.previews._shown import Shown

__all__ = ["Shown", "preview_of"]

_NAMES = frozenset(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))


def preview_of(modality: str) -> Callable[[BinaryIO], Shown] | None:
    """How samples of this modality are shown; None where nobody says."""
    if modality not in _NAMES:
        return None
    show: Callable[[BinaryIO], Shown] = importlib.import_module(f"{__name__}.{modality}").show
    return show
