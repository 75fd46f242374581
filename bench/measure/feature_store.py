"""Features on disk: extracted once, found again by the content they were made from.

    <cache>/features/<key>/manifest.json, features.npy, logits.npy, moments.npz

The key is a hash of the examples' bytes, of the extractor (weights, preprocessing, source) and of the arithmetic.
One changed byte of any of them is another key. The manifest must hash to its key and the files to what it says, and
moments must be those of the features, else they are made anew. The folder is private to its user (0700): nobody else
can put there what fits. A cache may cost time, never a number: where it fails, features are made in memory.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bench.errors import GenbenchError
from bench.files import cache_folder, cache_limit, private_folder, prune, sha256, without_home
from bench.measure.moments import Moments, MomentSum
from bench.modalities._examples import Examples, chunks, content_hash, see
from bench.probes.pulse import alive
from bench.protocols import Extractor, Features
from bench.record import digest
from bench.streams import stream

BATCH = 250
ARITHMETIC = ("torch", "torchvision", "torch_fidelity", "PIL", "transformers", "tokenizers")


@dataclass(frozen=True)
class FeatureSet:
    """Features of one set of examples: ``(n, D)`` float32, logits ``(n, classes)`` or None.

    gathered: their moments, where those were taken while features were extracted.
    """

    features: Tensor
    logits: Tensor | None
    gathered: Moments | None = None

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance of the features."""
        return self.gathered or MomentSum().update(self.features).result()


class FeatureStore:
    """Extracted features below ``folder``; the least recently used go when they are more than ``limit_gb``.

    The folder is private to its user, and what is read from it is checked. Where it cannot be used, features are made
    in memory, with a line on the log `genbench` that says why.
    """

    def __init__(self, folder: Path | None = None, limit_gb: float | None = None) -> None:
        self.folder = folder or cache_folder() / "features"
        self.limit = cache_limit() if limit_gb is None else int(limit_gb * 2**30)

    def get(
        self, extract: Extractor, identity: Mapping[str, Any], examples: Examples, device: torch.device
    ) -> FeatureSet:
        """Features of ``examples``, read if they are here and extracted if not.

        identity: what names the extractor and its state; goes into the key and the manifest.
        """
        about = {**identity, "examples": content_hash(examples), "dtype": "float32", "versions": _versions()}
        about["device"] = device.type
        target = self.folder / _key(about)
        try:
            with _keeping():
                private_folder(self.folder)
            if (found := _read(target, len(examples))) is not None:
                with contextlib.suppress(OSError):  # a cache to read only, or another worker has just pruned it
                    os.utime(target)
                return found
            made = self._make(target, about, extract, examples, device)
        except _Unkept as error:
            _say_unkept(self.folder, str(error))
            return _extract(_InMemory, extract, examples, device)
        with contextlib.suppress(OSError):  # what cannot be deleted now can be the next time
            prune(self.folder, self.limit, keep=target.name)
        return made

    def _make(
        self, target: Path, about: Mapping[str, Any], extract: Extractor, examples: Examples, device: torch.device
    ) -> FeatureSet:
        """Extract into a folder of its own, and give it its name when it is whole; raises _Unkept before that."""
        with contextlib.ExitStack() as stack:
            with _keeping():
                temporary = tempfile.TemporaryDirectory(dir=self.folder, prefix=".tmp-", ignore_cleanup_errors=True)
                work = Path(stack.enter_context(temporary)) / target.name
                work.mkdir()
            made = _extract(partial(_OnDisk, stack, work, len(examples)), extract, examples, device)
            try:  # what is extracted is mapped, and stays so whatever becomes of its name
                _write_manifest(work, about, made.moments)
                _publish(work, target, len(examples))
            except OSError as error:
                _say_unkept(self.folder, error.strerror or str(error))
        return made


class _Unkept(Exception):
    """The cache cannot be written, and why."""


@contextlib.contextmanager
def _keeping() -> Iterator[None]:
    """Tells an error of the cache from one of an extractor."""
    try:
        yield
    except OSError as error:
        raise _Unkept(error.strerror or str(error)) from error


@cache
def _say_unkept(folder: Path, reason: str) -> None:
    """Say once in a process that the cache does not help. It stands on pages that people share: home is ``~`` there."""
    logging.getLogger("genbench").warning(
        "features cannot be kept in %s (%s): they are extracted anew whenever they are needed, which takes time and "
        "moves no number; GENBENCH_CACHE names another folder",
        *(without_home(str(folder)), reason),
    )


@torch.no_grad()
def batches(extract: Extractor, examples: Examples, device: torch.device) -> Iterable[Features]:
    """Features batch by batch, on the CPU."""
    for chunk in alive(chunks(examples, BATCH)):
        found = see(extract, examples, chunk, device)
        if len(found.features) != len(chunk):
            raise GenbenchError(f"the extractor returned {len(found.features)} rows for {len(chunk)} examples")
        if not torch.isfinite(found.features).all():
            raise GenbenchError("the extractor returned NaN or infinity")
        yield Features(found.features.cpu().float(), None if found.logits is None else found.logits.cpu().float())


@cache
def _versions() -> dict[str, str]:
    """Of the libraries that do an extractor's arithmetic, those that are installed."""
    installed = importlib.metadata.packages_distributions()
    return {name: importlib.metadata.version(installed[name][0]) for name in ARITHMETIC if name in installed}


class _Rows(Protocol):
    """``(n, width)`` float32 that arrive a batch at a time."""

    def append(self, rows: Tensor) -> None: ...
    def whole(self) -> Tensor: ...


class _InMemory:
    def __init__(self, name: str, width: int) -> None:
        self.parts: list[Tensor] = []

    def append(self, rows: Tensor) -> None:
        self.parts.append(rows)

    def whole(self) -> Tensor:
        return torch.cat(self.parts)


class _OnDisk:
    """A .npy file, written like any other and mapped when it is whole: a disk that is full under a map kills."""

    def __init__(self, opened: contextlib.ExitStack, work: Path, n: int, name: str, width: int) -> None:
        self.path, head = work / f"{name}.npy", io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (n, width)})
        with _keeping():
            self.file = opened.enter_context(self.path.open("xb", buffering=0))
            _reserve(self.file.fileno(), len(head.getvalue()) + 4 * n * width)
            self.file.write(head.getvalue())

    def append(self, rows: Tensor) -> None:
        left = rows.numpy().astype("<f4", order="C", copy=False).data.cast("B")
        with _keeping():
            while left:
                left = left[self.file.write(left) :]

    def whole(self) -> Tensor:
        with _keeping():
            os.fsync(self.file.fileno())
            return _mapped(self.path)


def _reserve(file: int, size: int) -> None:
    """Take room for a file before an hour of work goes into it. Raises OSError where there is none."""
    if not hasattr(os, "posix_fallocate"):  # macOS: there a write will tell
        return
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # of file systems that know no such call
            raise


def _extract(
    rows: Callable[[str, int], _Rows], extract: Extractor, examples: Examples, device: torch.device
) -> FeatureSet:
    """One pass: features and logits into ``rows`` of a name and a width, moments beside them."""
    sums, tables, widths = MomentSum(), dict[str, _Rows](), dict[str, int]()
    for part in batches(extract, examples, device):
        found = {name: table for name, table in part._asdict().items() if table is not None}
        if not tables:
            widths = {name: table.shape[1] for name, table in found.items()}
            tables = {name: rows(name, width) for name, width in widths.items()}
        if (now := {name: table.shape[1] for name, table in found.items()}) != widths:
            raise GenbenchError(f"the extractor returned {widths} numbers a row, and then {now}")
        sums.update(part.features)
        for name, table in found.items():
            tables[name].append(table)
    whole = {name: table.whole() for name, table in tables.items()}
    return FeatureSet(whole["features"], whole.get("logits"), sums.result())


def _key(about: Mapping[str, Any]) -> str:
    """The name of an entry: a digest of all that its manifest says of where it comes from."""
    return digest(about)[:32]


def _write_manifest(work: Path, about: Mapping[str, Any], moments: Moments) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, mean=moments.mean.numpy(), covariance=moments.covariance.numpy())
    (work / "moments.npz").write_bytes(buffer.getvalue())
    hashes = {path.name: sha256(path) for path in sorted(work.iterdir())}
    (work / "manifest.json").write_text(json.dumps({"schema": 1, **about, "files": hashes}, indent=1))


def _publish(work: Path, target: Path, n: int) -> None:
    """Rename into place. Where another process was faster, or an older copy is damaged, one of the two goes."""
    try:
        work.rename(target)
    except OSError:  # something has that name
        if _read(target, n) is None:
            shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink(missing_ok=True)
            work.rename(target)


def _read(folder: Path, n: int) -> FeatureSet | None:
    """The features of ``n`` examples that a folder holds; None where it is not what its name and manifest say."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        hashes: Mapping[str, str] = manifest.pop("files")
        if manifest.pop("schema") != 1 or _key(manifest) != folder.name:
            return None
        if {*hashes, "logits.npy"} != {"features.npy", "logits.npy", "moments.npz"}:
            return None
        if any(sha256(folder / name) != expected for name, expected in hashes.items()):
            return None
        with np.load(folder / "moments.npz") as moments:
            mean, covariance = (torch.from_numpy(moments[name]) for name in ("mean", "covariance"))
        features = _mapped(folder / "features.npy")
        logits = _mapped(folder / "logits.npy") if "logits.npy" in hashes else None
        found = FeatureSet(features, logits, Moments(n, mean, covariance))
        return found if _belong_together(found, n) else None
    except Exception:  # a damaged file may fail in any way: whatever it is, it is made anew
        return None


def _belong_together(found: FeatureSet, n: int) -> bool:
    """Whether there is a row for each of ``n`` examples, all finite, and the moments are theirs.

    The covariance C is compared along one direction v, where C v = X' X v / (n - 1) of the centred rows X: a matrix
    that is another differs there too but for a chance of zero (Freivalds 1977), and it costs a thousandth of C.
    """
    x, mean, covariance = found.features, found.moments.mean, found.moments.covariance
    width = x.shape[1]
    if x.shape != (n, width) or mean.shape != (width,) or covariance.shape != (width, width):
        return False
    if found.logits is not None and (found.logits.ndim != 2 or len(found.logits) != n):
        return False
    if {mean.dtype, covariance.dtype} != {torch.float64} or x.dtype != torch.float32:
        return False
    direction = stream(0, "direction")
    v = torch.nn.functional.normalize(torch.randn(width, dtype=torch.float64, generator=direction), dim=0)
    total, image = torch.zeros(2, width, dtype=torch.float64)
    for part in x.split(4 * BATCH):
        centred = part.double() - mean
        total += centred.sum(0)
        image += (centred @ v) @ centred
    spread, size = covariance.trace(), mean.square().sum()
    centred_well = (total / n).norm() <= 1e-9 * (spread + size).sqrt()
    return bool(centred_well and (covariance @ v - image / (n - 1)).norm() <= 1e-9 * spread + 1e-12 * size)


def _mapped(path: Path) -> Tensor:
    """The array without reading it; copy on write, so that nobody's arithmetic can change the file."""
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def unnamed(features: Tensor) -> FeatureSet:
    """Features that somebody brings: taken as they are."""
    return FeatureSet(features, None)
