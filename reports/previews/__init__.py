"""How a sample of each modality is shown: a file each, with a function that is registered for it by ``@preview``.

``show(file) -> Shown`` reads the beginning of a sample file. Sample files are other people's data: checked, never
unpickled, shown as text, pixels and sound only. What is not shown is not read, so a page takes the same memory for a
hundred samples and for a million. Raises DataError for a file that holds anything else.
"""

from __future__ import annotations

from bench import discover
from reports.previews._shown import Shown

__all__ = ["Shown"]

discover(__name__)
