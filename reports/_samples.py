"""What the generators made, side by side: samples of one seed, read from the run folder. No link is followed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from bench import DataError, RunRecord, open_plain, preview_of
from bench.results.board import Board, Row
from reports._escaping import visible
from reports.previews import Shown


@dataclass(frozen=True)
class Sample:
    """What one generator made at one seed, or why it cannot be shown."""

    name: str
    seed: int
    shown: Shown = field(default_factory=Shown)
    problem: str = ""

    @property
    def png(self) -> bytes | None:
        return self.shown.png

    @property
    def moving(self) -> bytes | None:
        return self.shown.moving

    @property
    def texts(self) -> tuple[str, ...]:
        return self.shown.texts

    @property
    def sounds(self) -> tuple[bytes, ...]:
        return self.shown.sounds

    @property
    def midi(self) -> tuple[bytes, ...]:
        return self.shown.midi


def gallery(board: Board, run_folder: Path) -> list[Sample]:
    """One sample a pictured generator, real data first and noise last, at the lowest seed that all of them have.

    None of a modality that nobody says how to show.
    """
    show = preview_of(board.modality)
    if show is None:
        return []
    rows = [row for row in pictured(board) if _with_samples(row)]
    common = set.intersection(*({r.plan.seed for r in _with_samples(row)} for row in rows)) if rows else set()
    samples = []
    for row in rows:
        records = _with_samples(row)
        record = next((r for r in records if r.plan.seed == min(common, default=None)), records[0])
        sample, name = Sample(row.name, record.plan.seed), record.samples or ""
        try:
            with open_sample(run_folder, name) as file:
                samples.append(replace(sample, shown=show(file)))
        except DataError as error:
            samples.append(replace(sample, problem=f"{visible(name, 80)} {error}"))
    return samples


def pictured(board: Board) -> list[Row]:
    """The rows that are shown: real data first, the rest as the board has it."""
    return sorted(board.pictured, key=lambda row: row.group.role != "ceiling")


def _with_samples(row: Row) -> list[RunRecord]:
    return [record for record in row.group.records if record.samples]


def open_sample(run_folder: Path, name: str) -> BinaryIO:
    """A record names a file of its own folder and no other. Raises DataError."""
    if Path(name).name != name:
        raise DataError("is no file name")
    if (run_folder / "samples").is_symlink():
        raise DataError("lies behind a link, samples/, which is not followed")
    return open_plain(run_folder / "samples" / name)


def missing(samples: Iterable[Sample]) -> Sequence[str]:
    """A line for every sample that could not be shown."""
    return [f"{sample.name}, seed {sample.seed}: {sample.problem}" for sample in samples if sample.problem]
