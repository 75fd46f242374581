"""Features on disk: extracted once, found again by the content they were made from.

    <cache>/features/<key>/manifest.json, features.npy, logits.npy, moments.npz

The key is a hash of the examples' bytes, of the extractor (weights, preprocessing, source) and of the arithmetic.
One changed byte of any of them is another key; a file that is not what its manifest says is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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
        about = {**identity, "examples": content_hash(examples), "dtype": "float32", "torch": torch.__version__}
        key = digest({**about, "device": device.type})[:32]
        if (found := _read(self.folder / key)) is not None:
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
        """Delete what was not used for longest until the rest is within the limit."""
        entries = sorted((p for p in self.folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
        sizes = {p: sum(f.stat().st_size for f in p.iterdir() if f.is_file()) for p in entries}
        over = sum(sizes.values()) - self.limit
        for path, size in sizes.items():
            if over > 0 and path.name != keep and not path.name.startswith("."):
                shutil.rmtree(path, ignore_errors=True)
                over -= size


@torch.no_grad()
def batches(extract: Extractor, examples: Examples, device: torch.device) -> Iterable[Features]:
    """Features batch by batch, on the CPU."""
    for start in range(0, len(examples), BATCH):
        chunk = examples[start : start + BATCH]
        found = extract(chunk.to(device) if isinstance(chunk, Tensor) else chunk)
        yield Features(found.features.cpu().float(), None if found.logits is None else found.logits.cpu().float())


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
        if any(_sha256(folder / name) != expected for name, expected in hashes.items()):
            return None
    except (OSError, ValueError, KeyError):
        return None
    moments = np.load(folder / "moments.npz")
    features = _mapped(folder / "features.npy")
    logits = _mapped(folder / "logits.npy") if "logits.npy" in hashes else None
    mean, covariance = (torch.from_numpy(moments[name]) for name in ("mean", "covariance"))
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
