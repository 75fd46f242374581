"""From a run folder to its reports, through whatever formats are registered. Torch is not needed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from bench.errors import OutputError
from bench.registry import registry
from bench.results.store import read_records

log = logging.getLogger("genbench")


def render(folder: str | Path, target: str | Path | None = None, formats: Sequence[str] = ()) -> Path:
    """Write reports of a run folder (all formats if none is named) and return the path of the page to open.

    Files that are no records are named in the log "genbench" and on the page.
    Raises OutputError for a folder without records, UnknownName for an unknown format.
    """
    folder = Path(folder)
    if not (folder / "records").is_dir():
        raise OutputError(f"{folder} is no run folder: it has no records/")
    entries = [registry.get("reports", f) for f in formats] or list(registry.all("reports").values())
    records, notes = read_records(folder)
    for note in notes:
        log.warning("%s", note)
    written = {e.name: e.write(records, folder, Path(target or folder / "report"), notes) for e in entries}
    return Path(written.get("html") or next(iter(written.values())))
