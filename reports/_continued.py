"""How generators go on from the same beginning, side by side, each token with its surprise.

Read from files of the run folder, which are other people's data: checked, and shown as text only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bench import DataError
from bench.results.board import Board
from reports._escaping import visible
from reports._samples import open_sample, pictured

MOST_BYTES = 2**20
SHADES = 10  # of surprise
WIDTH = 0.7  # nats of a shade: the darkest from 6.3 on, of which e^-6.3 is one in 550


class _Continued(BaseModel):
    prompt: Annotated[str, Field(max_length=4096)]
    pieces: Annotated[list[tuple[str, float | None]], Field(max_length=4096)]

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


_FILE = TypeAdapter(Annotated[list[_Continued], Field(max_length=16)])


@dataclass(frozen=True)
class Piece:
    """A token as text. shade: 0 to 9, the darker the less its model expected it; None where it does not say."""

    text: str
    nats: float | None

    @property
    def shade(self) -> int | None:
        return None if self.nats is None else min(SHADES - 1, max(0, int(self.nats / WIDTH)))


@dataclass(frozen=True)
class Continued:
    """What one generator wrote behind a prompt."""

    name: str
    pieces: tuple[Piece, ...]

    @property
    def scored(self) -> bool:
        """Whether its model says how much it expected any of them."""
        return any(piece.nats is not None for piece in self.pieces)


@dataclass(frozen=True)
class Beginning:
    """A prompt, and how each generator goes on."""

    prompt: str
    by: list[Continued]


def beginnings(board: Board, run_folder: Path) -> tuple[list[Beginning], list[str]]:
    """Every prompt with the continuations of the generators that are pictured, and a line for each file that is bad."""
    found: dict[str, list[Continued]] = {}
    problems = []
    for row in pictured(board):
        record = next((record for record in row.group.records if record.continued), None)
        if record is None or record.continued is None:
            continue
        try:
            with open_sample(run_folder, record.continued) as file:
                for one in _read(file.read(MOST_BYTES + 1)):
                    pieces = tuple(Piece(visible(text), nats) for text, nats in one.pieces)
                    found.setdefault(visible(one.prompt), []).append(Continued(row.name, pieces))
        except DataError as error:
            problems.append(f"{row.name}: {visible(record.continued, 80)} {error}")
    return [Beginning(prompt, by) for prompt, by in found.items()], problems


def _read(content: bytes) -> Sequence[_Continued]:
    if len(content) > MOST_BYTES:
        raise DataError("is too large to be shown")
    try:
        return _FILE.validate_json(content)
    except ValidationError as error:
        raise DataError("holds no continuations") from error
