"""Where reports go: files written whole, with a clear word when they cannot be."""

from __future__ import annotations

import contextlib
from pathlib import Path

from bench import OutputError


def save(path: Path, content: str | bytes) -> Path:
    """Write under a temporary name and rename: no reader sees half a page. Raises OutputError."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
    return path
