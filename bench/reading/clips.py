"""Folders of sounds and of films, a file an example, as others made them: none is resampled, resized or cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.errors import DataError, named
from bench.foreign import Say, afford
from bench.modalities._sequences import Sequences
from bench.reading.films import all_grey, decode_film
from bench.reading.folders import FILMS, RECORDINGS, list_files
from bench.reading.sounds import decode_sound


def read_sounds(folder: Path, say: Say) -> Tensor | Sequences:
    """``(n, T)``, of several channels ``(n, T, channels)``, float32; of several lengths sequences.

    Raises DataError for damage, and for rates or channels that differ.
    """
    listing = list_files(folder, RECORDINGS)
    found, first = list[Tensor](), ""
    for place, name in enumerate(listing.names):
        with listing.open(place) as file:
            sound = decode_sound(file, name)
        form = f"{sound.rate:,} Hz, {sound.samples.shape[1]} channels"
        if form != (first := first or form):
            raise DataError(f"{named(name)} is of {form}, those before it of {first}: bring all to one form")
        found.append(torch.from_numpy(sound.samples[:, 0] if sound.samples.shape[1] == 1 else sound.samples))
    say(f"{named(folder)}: {len(found)} sounds of {first}{f'; {listing.skipped}' if listing.skipped else ''}")
    return _together(found)


def read_films(folder: Path, say: Say) -> Tensor | Sequences:
    """``(n, T, C, H, W)`` uint8, grey where all of them are; of several lengths sequences.

    Raises DataError for damage, for one without frames, and for sizes that differ.
    """
    listing = list_files(folder, FILMS)
    found, held = list[np.ndarray](), 0
    for place, name in enumerate(listing.names):
        with listing.open(place) as file:
            frames = decode_film(file, Path(name).name).pixels
        if not frames:
            raise DataError(f"{named(name)} holds no frame")
        found.append(np.stack(frames))
        if found[-1].shape[1:] != found[0].shape[1:]:
            sizes = [f"{film.shape[3]}x{film.shape[2]}" for film in (found[-1], found[0])]
            raise DataError(f"{named(name)} is {sizes[0]}, those before it {sizes[1]}: bring all to one size")
        afford(folder, held := held + found[-1].nbytes)
    if listing.skipped:
        say(f"{named(folder)}: {listing.skipped}")
    if all(map(all_grey, found)):
        found = [film[:, :1] for film in found]
    return _together([torch.from_numpy(np.ascontiguousarray(film)) for film in found])


def _together(rows: list[Tensor]) -> Tensor | Sequences:
    return torch.stack(rows) if len({len(row) for row in rows}) == 1 else Sequences.of(rows)
