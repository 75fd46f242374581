"""Fingerprints, and where data is looked for."""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from bench import DataError, write_atomic
from bench.errors import named, shown
from bench.foreign import decoding, fault


class Fingerprint:
    """A hash over descriptions and arrays that arrive one after another, so that no array need be held whole."""

    def __init__(self) -> None:
        self._total = hashlib.sha256()

    def add(self, part: str | np.ndarray) -> None:
        """A description, or an array: its type, shape and bytes."""
        if isinstance(part, np.ndarray):
            self.add_rows(part.dtype, part.shape, [part])
        else:
            self._total.update(part.encode() + b"\0")

    def add_rows(self, dtype: np.dtype, shape: tuple[int, ...], rows: Iterable[np.ndarray]) -> None:
        """An array of this type and shape, of which only a few rows are here at a time."""
        self._total.update(f"{dtype.str}{shape}".encode())
        for row in rows:
            self._total.update(np.ascontiguousarray(row).data)
        self._total.update(b"\0")

    def __str__(self) -> str:
        return f"sha256:{self._total.hexdigest()}"


def fingerprint(*parts: str | np.ndarray) -> str:
    """``sha256:...`` over descriptions of the preprocessing and over shapes, types and bytes of the arrays."""
    total = Fingerprint()
    for part in parts:
        total.add(part)
    return str(total)


def carried_digits(
    module: str, file: str, shape: tuple[int, int, int, int], read: Callable[[], tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (uint8, of this shape) and labels (int64) of a CSV file in a package: a digit a line, label last.

    read: the package's own reader, whose import takes seconds; it is asked where the file lies elsewhere.
    Raises DataError for a damaged file.
    """
    found = importlib.util.find_spec(module)
    places = (found.submodule_search_locations if found else None) or []
    path = next((path for place in places if (path := Path(place, file)).is_file()), None)
    if path is None:
        pixels, labels = read()
        return pixels.astype(np.uint8).reshape(shape), labels.astype(np.int64)
    with decoding(path, ": install the package that holds it again"):
        rows = np.loadtxt(path, np.uint8, delimiter=",", ndmin=2)
        return rows[:, :-1].reshape(shape), rows[:, -1].astype(np.int64)


def data_root(root: str) -> Path:
    """The folder named by the suite's ``root``, else by GENBENCH_DATA, else ``data`` below the current folder.

    Raises DataError for the home folder of nobody.
    """
    folder = root or os.environ.get("GENBENCH_DATA") or "data"
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise DataError(f"there is no {shown(folder)}: {fault(error)}") from error


def find(name: str, root: str, places: Iterable[str], how: str) -> Path:
    """The first of ``places`` below the root that exists. Raises DataError naming the folder and the way to get it."""
    folder = data_root(root)
    try:
        for place in places:
            if (folder / place).exists():
                return folder / place
    except OSError as error:  # a name too long, a folder that may not be looked into
        raise DataError(f"cannot look for {name} under {named(folder)}: {fault(error)}") from error
    raise DataError(f"no {name} under {named(folder.absolute())} (looked for {', '.join(places)}); {how}")


def fetch_whole(kind: type, name: str, root: str) -> None:
    """Have torchvision's dataset of this ``kind`` fetch itself to the root. Raises DataError where it cannot."""
    folder = data_root(root)
    try:
        kind(str(folder), download=True)
    except (RuntimeError, OSError) as error:
        raise DataError(f"cannot download {name} to {folder.absolute()}: {error}") from error


def fetch(url: str, path: Path, sha256: str) -> None:
    """Fetch a file and keep it only if its SHA-256 is the expected one. Raises DataError."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            content: bytes = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"cannot download {url}: {error}; fetch it by hand and put it at {path.absolute()}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(f"{url} has SHA-256 {found}, expected {sha256}; it was not kept")
    write_atomic(path, content)
