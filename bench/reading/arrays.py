"""Arrays in .npy and .npz files. What a file claims is held against what it holds before memory is taken."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from bench.errors import DataError, named
from bench.foreign import Say, afford, decoding

Shape = tuple[int, ...]
# The names under which arrays of samples are kept: ours, numpy's own, and those of other evaluators.
KEYS = ("samples", "arr_0", "images", "features", "data", "vectors")
LARGEST = 1e100  # of mu and sigma, as of features: beyond it squares and their sums leave float64
ROUNDING = 1e-5  # of sigma's Frobenius norm
STATISTICS = ("mu", "sigma")  # pytorch-fid, TTUR, clean-fid, EDM and ADM call them so
RATE = "rate"  # samples or frames a second, as a run keeps them beside its samples
# A part of an archive that unpacks to more than this, and to so many times what it takes, is a trap or a mistake.
BOMB_BYTES, BOMB_RATIO = 2**28, 200
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class Statistics:
    """What is kept of a reference where its examples are not: mean ``(D,)``, covariance ``(D, D)``, both float64.

    n: the number of examples behind them; None where that was not kept.
    """

    mean: Tensor
    covariance: Tensor
    n: int | None = None


def read_array(path: Path, say: Say) -> np.ndarray | Statistics:
    """The array of a .npy file, or of a .npz file the one that holds samples, else statistics.

    Raises DataError for damage, pickled objects, encryption, and for what claims more than it holds.
    """
    with decoding(path), path.open("rb") as file:
        if file.read(2) != b"PK":
            file.seek(0)
            return _array(file, path.stat().st_size, path)
        archive = zipfile.ZipFile(path)
    with archive:
        parts = _arrays_in(archive)
        found = [key for key in KEYS if key in parts] or (list(parts) if len(parts) == 1 else [])
        if not found and parts.keys() >= set(STATISTICS):
            mean, covariance = (_part(archive, parts[name], path) for name in STATISTICS)
            return statistics(mean, covariance, _part(archive, parts["n"], path) if "n" in parts else None, path)
        if not found:
            held = ", ".join(parts or archive.namelist()) or "nothing"
            raise DataError(
                f"{named(path)} holds {named(held)}; expected an array named {KEYS[0]!r}: give that name to the samples"
            )
        if unused := [name for name in parts if name not in (found[0], RATE)]:
            alone = "; mu and sigma serve as a reference where they are alone" if {*unused} >= set(STATISTICS) else ""
            say(f"{named(path)}: {found[0]} is read; not used: {named(', '.join(unused))}{alone}")
        return _part(archive, parts[found[0]], path)


def array_forms(path: Path) -> dict[str, tuple[Shape, np.dtype]]:
    """Shape and type of every array in a .npz file, by name, of their headers alone. Raises as ``read_array``."""
    forms = {}
    with _opened(path) as archive:
        for name, part in _arrays_in(archive).items():
            with decoding(what := f"{path}: {part.filename}"), archive.open(part) as file:
                forms[name] = _header(file, what)
    return forms


def sample_form(path: Path) -> tuple[Shape, np.dtype] | None:
    """Shape and type of what ``read_array`` reads, of its header alone; None where it holds no such array."""
    with decoding(path), path.open("rb") as file:
        if file.read(2) != b"PK":
            file.seek(0)
            return _header(file, path)
    forms = array_forms(path)
    key = next((key for key in KEYS if key in forms), next(iter(forms)) if len(forms) == 1 else None)
    return None if key is None else forms[key]


def read_rate(path: Path) -> float | None:
    """The ``rate`` of a .npz file, above 0; None where it holds none. Raises as ``read_array``."""
    if not zipfile.is_zipfile(path):
        return None
    with _opened(path) as archive:
        part = _arrays_in(archive).get(RATE)
        found = None if part is None else _part(archive, part, path)
    if found is None or found.shape or found.dtype.kind not in "fiu" or not 0 < found < math.inf:
        return None
    return float(found)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array in a .npz file, by name. Raises as ``read_array``."""
    with _opened(path) as archive:
        return {name: _part(archive, part, path) for name, part in _arrays_in(archive).items()}


def _opened(path: Path) -> zipfile.ZipFile:
    with decoding(path, " (no .npz)"):
        return zipfile.ZipFile(path)


def _arrays_in(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {part.filename.removesuffix(".npy"): part for part in archive.infolist() if part.filename.endswith(".npy")}


def refuse_bomb(part: zipfile.ZipInfo, what: str) -> None:
    """Raises DataError for a part of an archive that is encrypted, or that unpacks to far more than data does."""
    if part.flag_bits & 1:
        raise DataError(f"{named(what)} is encrypted: unpack it first")
    if part.file_size > max(BOMB_BYTES, BOMB_RATIO * part.compress_size):
        raise DataError(
            f"{named(what)} would unpack {part.compress_size:,} bytes to {part.file_size:,}: no data packs so well"
        )
    afford(what, part.file_size)


def _part(archive: zipfile.ZipFile, part: zipfile.ZipInfo, path: Path) -> np.ndarray:
    what = f"{path}: {part.filename}"
    refuse_bomb(part, what)
    with decoding(what), archive.open(part) as file:
        return _array(file, part.file_size, what)


def _array(file: IO[bytes], size: int, what: object) -> np.ndarray:
    """The array in ``size`` bytes. Raises DataError unless they are what its header tells."""
    dtype, claimed = _claim(file, what)
    held = size - file.tell()
    if claimed != held:
        raise DataError(
            f"{named(what)} claims {claimed:,} bytes of {dtype} and holds {held:,}: its header is damaged, or it was "
            "cut off or written to twice"
        )
    afford(what, claimed)
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _claim(file: IO[bytes], what: object) -> tuple[np.dtype, int]:
    """Type and bytes of the array that a header promises."""
    shape, dtype = _header(file, what)
    return dtype, math.prod(shape) * dtype.itemsize


def _header(file: IO[bytes], what: object) -> tuple[Shape, np.dtype]:
    with decoding(what, " (neither .npy nor .npz)"):
        version = np.lib.format.read_magic(file)
    if version not in _HEADERS:  # the third version is for names of columns alone
        raise DataError(f"{named(what)} is of .npy version {version}: an array of plain numbers is of (1, 0) or (2, 0)")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise DataError(f"{named(what)} holds pickled objects, which could run code and are not read: save numbers")
    # Numbers of no bytes, and rows of no numbers, are in an empty file as often as a header says.
    if any(length < 0 for length in shape) or not dtype.itemsize or (shape[:1] > (0,) and 0 in shape):
        raise DataError(f"{named(what)} claims the shape {shape} of {dtype}: its header is damaged")
    return shape, dtype


def statistics(mean: np.ndarray, covariance: np.ndarray, n: np.ndarray | None, path: Path) -> Statistics:
    """Checked whole. Raises DataError for what is no mean ``(D,)`` with its covariance ``(D, D)``, of 1e100 at most."""
    mean, width = np.atleast_1d(mean), mean.size
    shapes_fit = mean.shape == (width,) and covariance.shape == (width, width) and width
    if any(x.dtype.kind not in "fiu" for x in (mean, covariance)) or not shapes_fit:
        raise DataError(
            f"{named(path)}: statistics must be mu (D,) and sigma (D, D), got {mean.shape} {mean.dtype} and "
            f"{covariance.shape} {covariance.dtype}"
        )
    m, s = torch.from_numpy(mean.astype(np.float64)), torch.from_numpy(covariance.astype(np.float64))
    if not (torch.isfinite(m).all() and torch.isfinite(s).all()):
        raise DataError(f"{named(path)}: mu or sigma holds NaN or infinity")
    if max(m.abs().max(), s.abs().max()) > LARGEST:
        raise DataError(f"{named(path)}: mu or sigma holds a number beyond {LARGEST:g}: rescale the features")
    if (s - s.T).abs().max() > 1e-3 * s.abs().max() or bool((s.diagonal() < 0).any()):
        raise DataError(f"{named(path)}: sigma is no covariance: it must be symmetric, its diagonal not negative")
    s = (s + s.T) / 2
    if _has_negative_variance(s):
        raise DataError(f"{named(path)}: sigma is no covariance: in some direction its variance is negative")
    if n is not None and (n.size != 1 or n.dtype.kind not in "iu" or n.item() < 2):
        raise DataError(f"{named(path)}: n must be the number of examples behind mu and sigma, at least 2")
    return Statistics(m, s, None if n is None else int(n.item()))


def _has_negative_variance(s: Tensor) -> bool:
    """Whether a symmetric matrix has an eigenvalue below 0 by more than rounding in single precision leaves there."""
    scaled = s / s.abs().max().clamp(min=torch.finfo(s.dtype).tiny)
    # Cholesky's factors exist where all eigenvalues, so raised, are above 0, and take a tenth of their time.
    raised = scaled + (ROUNDING * scaled.norm() + torch.finfo(s.dtype).tiny) * torch.eye(len(s), dtype=s.dtype)
    return bool(torch.linalg.cholesky_ex(raised).info)
