"""Many run folders as one: what a community's leaderboard is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import DataError, OutputError
from bench.files import open_plain, refuse_links, write_atomic
from bench.results.claims import problems
from bench.results.store import read_record, run_folder


def records_under(paths: Sequence[str | Path]) -> list[Path]:
    """The files of records of run folders, and files by themselves. Raises OutputError for what is neither."""
    found: list[Path] = []
    for path in map(Path, paths):
        refuse_links([path / "records", path / "samples"])
        found += [path] if path.is_file() else sorted((run_folder(path) / "records").glob("[!.]*.json"))
    return found


def merge(folders: Sequence[str | Path], target: Path) -> tuple[int, list[str]]:
    """Copy records and their samples into one run folder; of one run the newest record wins.

    Returns how many records there are, and why others were left out: what is wrong with them (``claims``) is said, and
    they are not merged. Raises OutputError for a folder that is none, or is the target itself.
    """
    newest: dict[str, tuple[str, Path]] = {}
    refused: list[str] = []
    for folder in folders:
        if Path(folder).resolve() == target.resolve():
            raise OutputError(f"{folder} cannot be merged into itself: name another folder after --to")
        for path in records_under([folder]):
            if wrong := problems(path):
                refused += [f"{folder}: {problem}" for problem in wrong]
                continue
            record = read_record(path)
            if record.created > newest.get(record.run_id, ("", path))[0]:
                newest[record.run_id] = record.created, path
    if not newest:
        raise DataError(
            "none of the folders holds a record that can be believed" + "".join(f"\n  {r}" for r in refused)
        )
    for _, path in newest.values():
        _copy(path, target)
    return len(newest), refused


def _copy(path: Path, target: Path) -> None:
    """A record and what lies beside it; plans are not copied, as what is missing there is nobody's to run."""
    record = read_record(path)
    write_atomic(target / "records" / path.name, path.read_bytes())
    for name in record.files:
        with open_plain(path.parent.parent / "samples" / name) as file:
            write_atomic(target / "samples" / name, file.read())
