"""Disks that are full or can only be read, as far as this machine lets a test have them."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def full_disk(folder: Path, left: int = 0) -> Iterator[None]:
    """``folder`` on a disk with ``left`` bytes to spare; where none may be mounted, no file may grow beyond that."""
    with _mounted(folder) as ours:
        if not ours:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        else:
            with contextlib.suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            os.truncate(folder / "filler", (folder / "filler").stat().st_size - left)
            yield


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """``folder``, and what it holds, to be read only: mounted so, or where that may not be, by its mode."""
    words = ["mount", "--bind", "-o", "ro", str(folder), str(folder)]
    ours = _call(*words) and _call("mount", "-o", "remount,bind,ro", str(folder))
    folder.chmod(0o500) if not ours else None
    try:
        yield
    finally:
        _call("umount", "-l", str(folder)) if ours else folder.chmod(0o700)


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[bool]:
    folder.mkdir(exist_ok=True)
    ours = _call("mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder))
    try:
        yield ours
    finally:
        if ours:
            _call("umount", "-l", str(folder))


def _call(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
