"""Files that are either whole or absent, a folder that one run at a time may write, and where things are kept."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, NamedTuple

import platformdirs

from bench.errors import DataError, GenbenchError, OutputError

DAY = 86_400.0  # seconds
NO_TRAP = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # flags that open no link, and wait for no pipe
PARTS = ("records", "plans", "samples", "checkpoints", "logs", "report")  # folders within a run folder


def cache_folder() -> Path:
    """GENBENCH_CACHE, else the user's cache folder for genbench; a user without a home has one for temporary files."""
    try:
        return Path(os.environ.get("GENBENCH_CACHE") or platformdirs.user_cache_dir("genbench"))
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"genbench-{os.getuid()}"


def cache_limit() -> int:
    """GENBENCH_CACHE_GB in bytes, 20 GB where it is not set. Raises GenbenchError for what is no size."""
    told = os.environ.get("GENBENCH_CACHE_GB") or "20"
    try:
        limit = float(told)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise GenbenchError(f"GENBENCH_CACHE_GB={told!r} is no number of gigabytes: set it to 20, say, or to 0")
    return int(min(limit, 1e9) * 2**30)


class _Entry(NamedTuple):
    """A folder of the cache: bytes, and when it was last used (seconds)."""

    path: Path
    size: int
    used: float

    @classmethod
    def of(cls, path: Path) -> _Entry | None:
        """None for what is no folder, or is just being removed or renamed by another worker, or is another user's."""
        try:
            return cls(path, sum(f.stat().st_size for f in path.iterdir() if f.is_file()), path.stat().st_mtime)
        except OSError:
            return None


def prune(folder: Path, limit: int, keep: str) -> None:
    """Delete folders of a cache that were not used for longest until the rest is within the limit (bytes).

    What killed processes left goes after a day. keep: one that stays whatever it takes.
    """
    entries = [entry for path in folder.iterdir() if (entry := _Entry.of(path))]
    for entry in entries:
        if entry.path.name.startswith(".") and time.time() - entry.used > DAY:
            shutil.rmtree(entry.path, ignore_errors=True)
    whole = sorted((e for e in entries if not e.path.name.startswith(".")), key=lambda entry: entry.used)
    over = sum(entry.size for entry in whole) - limit
    for entry in whole:
        if over > 0 and entry.path.name != keep:
            shutil.rmtree(entry.path, ignore_errors=True)
            over -= entry.size


def without_home(text: str) -> str:
    """A text for pages that people share: the user's home folder is ``~`` there."""
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.home() raises where there is none)
    if home in ("~", "/"):
        return text
    return re.sub(rf"(?<![\w.-]){re.escape(home)}(?!\.?[\w-])", "~", text)  # a whole path or the start of one


def sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces, and once as long as it has this size and was changed at this time."""
    found = path.stat()
    return _sha256(path.resolve(), found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def private_folder(path: Path) -> Path:
    """Make a folder that its user alone may enter (0700), or make it so. Raises OSError where it cannot be."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user")
    if found.st_mode & 0o077:
        path.chmod(0o700)
    return path


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Write to a temporary name beside ``path``, flush it to the disk and rename it.

    A reader, a crash or a full disk never sees half a file. Text is UTF-8, half a character a question mark.
    Returns the path; raises OutputError with the reason.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)
    return path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The temporary name of ``write_atomic``, for a writer of its own; raises OutputError for its OSError."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def open_plain(path: Path) -> BinaryIO:
    """A file of a run folder, which may be anybody's, for reading: never through a link, never a pipe or a device.

    Raises DataError with the reason, without the file's name.
    """
    try:
        # Opening a pipe would wait for its other end.
        handle = os.open(path, os.O_RDONLY | NO_TRAP)
    except FileNotFoundError as error:
        raise DataError("is not in the run folder") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        why = "is a link, which is not followed" if _is_link(path) else f"cannot be read ({type(error).__name__})"
        raise DataError(why) from error
    if not S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DataError("is no plain file")
    return os.fdopen(handle, "rb")


def refuse_links(folders: Iterable[Path]) -> None:
    """Raises OutputError for a folder within a run folder that is a link: what it leads to is not the run's to write.

    The run folder itself may be one.
    """
    for folder in folders:
        if _is_link(folder):
            raise OutputError(f"{folder} is a link, which is not followed: put a folder in its place")


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[Callable[[], bool]]:
    """Hold ``folder`` for this process. The system lets go of it when the process ends, however it ends.

    Gives a function that says whether the folder is still the one held: deleted under a run, it is another's to take.
    Raises OutputError where it cannot be written, or where another run holds it.
    """
    handle = _hold(folder)
    try:
        yield lambda: _is_at(handle, folder / ".lock")
    finally:
        os.close(handle)


def _hold(folder: Path) -> int:
    import fcntl  # which Windows lacks; there the package says so before it comes to this

    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | NO_TRAP, 0o644)
        except OSError as error:
            raise OutputError(
                f"cannot write to {folder}: {error.strerror}; choose another folder with --out"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if isinstance(error, BlockingIOError):
                raise OutputError(
                    f"another run is writing to {folder}; wait for it, or choose another --out"
                ) from error
            raise OutputError(f"cannot lock {folder}: {error.strerror}; choose another --out") from error
        if _is_at(handle, folder / ".lock"):
            return handle
        os.close(handle)  # deleted between the two calls: what is held is nobody's way in


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is the one that the path leads to."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False
