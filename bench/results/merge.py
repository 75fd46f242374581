"""Many run folders as one: what a community's leaderboard is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.errors import DataError, OutputError
from bench.files import open_plain, refuse_links, write_atomic
from bench.record import RunRecord
from bench.results.claims import problems
from bench.results.store import read_record, run_folder


def records_under(paths: Sequence[str | Path]) -> list[Path]:
    """The files of records of run folders, and files by themselves. Raises OutputError for what is neither."""
    found: list[Path] = []
    for path in map(Path, paths):
        refuse_links([path / "records", path / "samples"])
        found += [path] if path.is_file() else sorted((run_folder(path) / "records").glob("[!.]*.json"))
    return found


class Merged(NamedTuple):
    """How many records were taken, why others were not, and what to know of those that were."""

    taken: int
    refused: list[str]
    notes: list[str]


def merge(folders: Sequence[str | Path], target: Path) -> Merged:
    """Copy records and their samples into one run folder; of one run the newest record wins.

    What is wrong with those that are refused (``claims``) is said; so is it where two records of one run differ in
    their numbers. What was in the target stays. Raises OutputError for a folder that is none, or is the target itself.
    """
    newest: dict[str, tuple[RunRecord, Path]] = {}
    refused: list[str] = []
    notes: list[str] = []
    for folder in folders:
        if Path(folder).resolve() == target.resolve():
            raise OutputError(f"{folder} cannot be merged into itself: name another folder after --to")
        for path in records_under([folder]):
            if wrong := problems(path):
                refused += [f"{folder}: {problem}" for problem in wrong]
                continue
            record = read_record(path)
            known, its = newest.get(record.run_id) or _kept(target, record.run_id) or (record, path)
            newest[record.run_id] = max((known, its), (record, path), key=lambda one: one[0].created)
            if known.measurements != record.measurements:
                shown = newest[record.run_id][1]
                notes.append(f"{its} and {path} are of one run and differ in their numbers: taken is {shown}")
    if not newest:
        raise DataError(
            "none of the folders holds a record that can be believed" + "".join(f"\n  {r}" for r in refused)
        )
    before = {path.stem for path in (target / "records").glob("[!.]*.json")} - newest.keys()
    if before:
        notes.append(f"{target} holds {len(before)} more of earlier merges: delete the folder to leave them out")
    for record, path in newest.values():
        if path.parent.parent.resolve() != target.resolve():
            _copy(record, path, target)
    return Merged(len(newest), refused, notes)


def _kept(target: Path, run_id: str) -> tuple[RunRecord, Path] | None:
    """The record of this run that an earlier merge left there."""
    path = target / "records" / f"{run_id}.json"
    return None if not path.is_file() or problems(path) else (read_record(path), path)


def _copy(record: RunRecord, path: Path, target: Path) -> None:
    """A record and what lies beside it; plans are not copied, as what is missing there is nobody's to run."""
    write_atomic(target / "records" / path.name, path.read_bytes())
    for name in record.files:
        with open_plain(path.parent.parent / "samples" / name) as file:
            write_atomic(target / "samples" / name, file.read())
