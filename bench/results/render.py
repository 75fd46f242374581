"""From a run folder to its reports, through whatever formats are registered. Torch is not needed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from bench.errors import GenbenchError, check_path, printable, said
from bench.files import refuse_links
from bench.registry import registry
from bench.results.store import read_records, run_folder

log = logging.getLogger("genbench")


def render(folder: str | Path, target: str | Path | None = None, formats: Sequence[str] = ()) -> Path:
    """Write reports of a run folder and return the path of the page to open, or of the only format that was asked for.

    formats: by name; left out: all but those that are to be asked for, such as other tools' own.

    Files that are no records, and trials that were planned and have none, are named on the page; the log "genbench"
    says so. Raises OutputError for what is no run folder, and for a folder in it that is a link; UnknownName for an
    unknown format. A format that fails does not keep the others from being written; then GenbenchError says which.
    """
    check_path("to", target)
    folder = run_folder(folder)
    asked = [registry.get("reports", name) for name in formats]
    if of_data := next((entry.name for entry in asked if entry.of == "data"), ""):
        raise GenbenchError(f"{of_data!r} shows data and no records: genbench data inspect SOURCE writes it")
    entries = asked or [entry for entry in registry.all("reports").values() if not entry.asked]
    if not target:
        refuse_links([folder / "report", *(folder / "report").glob("*/")])
    records, notes = read_records(folder)
    for note in notes:
        log.warning("%s", note)
    if not records:
        log.warning("no trial in %s has finished yet", folder)
    for unfinished in records.unfinished:
        command = unfinished.planned.command
        told = f"{unfinished}; to go on: {command}" if command else str(unfinished)
        log.warning("%s", printable(told.replace("\n", " ")))  # a plan may be anybody's file
    written, failed = dict[str, Path](), dict[str, Exception]()
    for entry in entries:
        try:
            written[entry.name] = entry.write(records, folder, Path(target or folder / "report"), notes)
        except Exception as error:  # of another package it may be any
            failed[entry.name] = error
    for name, cause in failed.items():
        raise cause if isinstance(cause, GenbenchError) else GenbenchError(f"report {name!r}: {said(cause)}") from cause
    return Path(written.get("html") or next(iter(written.values())))
