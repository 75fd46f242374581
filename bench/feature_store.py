"""Features on disk: extracted once, found again by the content they were made from.

    <cache>/features/<key>/manifest.json, features.npy, logits.npy, moments.npz

The key is a hash of the examples' bytes, of the extractor (weights, preprocessing, source) and of the arithmetic.
One changed byte of any of them is another key; a file that is not what its manifest says is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.errors import GenbenchError
from bench.files import cache_folder
from bench.moments import Moments, MomentSum
from bench.protocols import Extractor, Features
from bench.record import digest

Examples = Tensor | Sequence[str]
BATCH = 250
DEFAULT_LIMIT_GB = 20.0
ARITHMETIC = ("torch", "torchvision", "torch_fidelity", "PIL", "transformers", "tokenizers")
DAY = 86_400.0


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


def content_hash(examples: Examples) -> str:
    """SHA-256 over type, shape and every byte of the examples."""
    total = hashlib.sha256()
    if isinstance(examples, Tensor):
        array = examples.detach().cpu().contiguous().numpy()
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(array.data)
    else:
        for text in examples:
            encoded = text.encode("utf-8", "surrogatepass")
            total.update(f"{len(encoded)}:".encode() + encoded)
    return total.hexdigest()


class FeatureStore:
    """Extracted features below ``folder``; the least recently used go when they are more than ``limit_gb``."""

    def __init__(self, folder: Path | None = None, limit_gb: float | None = None) -> None:
        self.folder = folder or cache_folder() / "features"
        limit = float(os.environ.get("GENBENCH_CACHE_GB", DEFAULT_LIMIT_GB)) if limit_gb is None else limit_gb
        self.limit = int(limit * 2**30)

    def get(
        self, extract: Extractor, identity: Mapping[str, Any], examples: Examples, device: torch.device
    ) -> FeatureSet:
        """Features of ``examples``, read if they are here and extracted if not.

        identity: what names the extractor and its state; goes into the key and the manifest.
        """
        about = {**identity, "examples": content_hash(examples), "dtype": "float32", "versions": _versions()}
        key = digest({**about, "device": device.type})[:32]
        if (found := _read(self.folder / key)) is not None:
            with contextlib.suppress(FileNotFoundError):  # another worker has just pruned it; what is open stays
                os.utime(self.folder / key)
            return found
        made = self._make(key, about, extract, examples, device)
        self._prune(keep=key)
        return made

    def _make(
        self, key: str, about: Mapping[str, Any], extract: Extractor, examples: Examples, device: torch.device
    ) -> FeatureSet:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".tmp-") as name:
            work = Path(name) / key
            work.mkdir()
            _extract(work, extract, examples, device)
            _write_manifest(work, about)
            _publish(work, self.folder / key)
        found = _read(self.folder / key)
        if found is None:
            raise GenbenchError(f"features in {self.folder / key} are damaged: delete the folder")
        return found

    def _prune(self, keep: str) -> None:
        """Delete what was not used for longest until the rest is within the limit, and what killed processes left."""
        entries = [entry for path in self.folder.iterdir() if (entry := _Entry.of(path))]
        for entry in entries:
            if entry.path.name.startswith(".") and time.time() - entry.used > DAY:
                shutil.rmtree(entry.path, ignore_errors=True)
        whole = sorted((e for e in entries if not e.path.name.startswith(".")), key=lambda entry: entry.used)
        over = sum(entry.size for entry in whole) - self.limit
        for entry in whole:
            if over > 0 and entry.path.name != keep:
                shutil.rmtree(entry.path, ignore_errors=True)
                over -= entry.size


class _Entry(NamedTuple):
    """A folder of the cache: bytes, and when it was last used (seconds)."""

    path: Path
    size: int
    used: float

    @classmethod
    def of(cls, path: Path) -> _Entry | None:
        """None for what is no folder, or is just being removed or renamed by another worker."""
        try:
            return cls(path, sum(f.stat().st_size for f in path.iterdir() if f.is_file()), path.stat().st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return None


@torch.no_grad()
def batches(extract: Extractor, examples: Examples, device: torch.device) -> Iterable[Features]:
    """Features batch by batch, on the CPU."""
    for start in range(0, len(examples), BATCH):
        chunk = examples[start : start + BATCH]
        found = extract(chunk.to(device) if isinstance(chunk, Tensor) else chunk)
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


def _extract(work: Path, extract: Extractor, examples: Examples, device: torch.device) -> None:
    """One pass: features and logits to disk, moments beside them."""
    sums, files, start = MomentSum(), dict[str, np.memmap[Any, Any]](), 0
    for part in batches(extract, examples, device):
        sums.update(part.features)
        for name, rows in part._asdict().items():
            if rows is not None:
                if name not in files:
                    files[name] = _create(work / f"{name}.npy", (len(examples), rows.shape[1]))
                files[name][start : start + len(rows)] = rows.numpy()
        start += len(part.features)
    for file in files.values():
        file.flush()
    moments = sums.result()
    np.savez(work / "moments.npz", mean=moments.mean.numpy(), covariance=moments.covariance.numpy())


def _create(path: Path, shape: tuple[int, int]) -> np.memmap[Any, Any]:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)


def _write_manifest(work: Path, about: Mapping[str, Any]) -> None:
    hashes = {path.name: _sha256(path) for path in sorted(work.iterdir())}
    (work / "manifest.json").write_text(json.dumps({"schema": 1, **about, "files": hashes}, indent=1))


def _publish(work: Path, target: Path) -> None:
    """Rename into place. Where another process was faster, or an older copy is damaged, one of the two goes."""
    if target.exists() and _read(target) is None:
        shutil.rmtree(target)
    if not target.exists():
        try:
            work.rename(target)
        except OSError:
            if not target.exists():
                raise


def _read(folder: Path) -> FeatureSet | None:
    """What a folder holds; None where there is nothing, or not what its manifest says."""
    try:
        hashes: Mapping[str, str] = json.loads((folder / "manifest.json").read_text())["files"]
        whole = {"features.npy", "moments.npz"} <= set(hashes)
        if not whole or any(_sha256(folder / name) != expected for name, expected in hashes.items()):
            return None
        with np.load(folder / "moments.npz") as moments:
            mean, covariance = (torch.from_numpy(moments[name]) for name in ("mean", "covariance"))
        features = _mapped(folder / "features.npy")
        logits = _mapped(folder / "logits.npy") if "logits.npy" in hashes else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return FeatureSet(features, logits, Moments(len(features), mean, covariance))


def _mapped(path: Path) -> Tensor:
    """The array without reading it; copy on write, so that nobody's arithmetic can change the file."""
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unnamed(features: Tensor) -> FeatureSet:
    """Features that somebody brings: taken as they are."""
    return FeatureSet(features, None)
