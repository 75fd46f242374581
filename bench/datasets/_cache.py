"""Decoded data on disk: made once, and found again by where it came from and what was done to it, without being read.

    <cache>/datasets/<key>/manifest.json, train.npy, valid.npy, test.npy ...

The folder is private to its user. Where it cannot be used, data is made for this process alone.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench.errors import OutputError
from bench.files import cache_folder, cache_limit, private_folder, prune, without_home
from bench.record import digest

T = TypeVar("T")
_LIBRARIES = ("numpy", "pillow", "scipy", "tokenizers")
_log = logging.getLogger("genbench")


def cached(about: object, make: Callable[[Path], None], open_: Callable[[Path], T | None]) -> T:
    """What ``open_`` finds in the folder of this data, which ``make`` fills where it is not there yet.

    about: where the data comes from and what is done to it.   open_: gives None for a folder that is damaged; what it
    returns may map files, and must not need their names.
    """
    target = cache_folder() / "datasets" / digest([about, _code(), *map(importlib.metadata.version, _LIBRARIES)])[:32]
    try:
        private_folder(target.parent)  # before anything is believed that lies there
        found = open_(target) if (target / "manifest.json").is_file() else None
        if found is not None:
            with contextlib.suppress(OSError):  # a cache to read only
                os.utime(target)
            return found
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".tmp-"))
    except OSError as error:
        _log.warning(
            "data cannot be kept in %s (%s): it is decoded anew each time; GENBENCH_CACHE names another folder",
            *(without_home(str(target.parent)), error.strerror or error),
        )
        return _made(Path(tempfile.mkdtemp(prefix="genbench-")), None, make, open_)
    return _made(work, target, make, open_)


def _made(work: Path, target: Path | None, make: Callable[[Path], None], open_: Callable[[Path], T | None]) -> T:
    """Fill ``work`` and open it; it takes the name of ``target``, or, where it has none to take, is gone again."""
    try:
        try:
            make(work)
        except OSError as error:
            raise OutputError(
                f"cannot keep decoded data in {work.parent}: {error.strerror or error}; GENBENCH_CACHE names another "
                "folder"
            ) from error
        found = open_(work)
        assert found is not None  # for it was made just now
        if target is not None:
            if open_(target) is None:  # not there, or damaged; else another process was faster
                shutil.rmtree(target, ignore_errors=True)
                with contextlib.suppress(OSError):  # what could not be named is mapped, and serves this process
                    work.rename(target)
            with contextlib.suppress(OSError):
                prune(target.parent, cache_limit(), keep=target.name)
        return found
    finally:
        shutil.rmtree(work, ignore_errors=True)


@functools.cache
def _code() -> str:
    """Of the files that decide what becomes of a picture or a text."""
    here = Path(__file__).parent
    total = hashlib.sha256()
    for path in sorted([*here.glob("*.py"), *here.with_name("reading").glob("*.py")]):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()
