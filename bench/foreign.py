"""Files of others: whatever a decoder says of damage is one line that names the file, and memory is asked for first."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.errors import EMPTY_PATH, DataError, GenbenchError, named, shown, words

Say = Callable[[str], None]  # where remarks go that are no errors
# What decoders say in words that help nobody, and the fault in those that do.
_PLAIN = {
    "cannot identify image file": "it is empty, damaged, or no picture (PNG, JPEG, BMP, GIF, WebP, TIFF, PPM)",
    "image file is truncated": "it is truncated: copy it again, or make it anew",
    "too large for PngImagePlugin.MAX_TEXT": "its metadata are too large: save it anew, without metadata",
    "memory used in text chunks": "its metadata are too large: save it anew, without metadata",
    "invalid maximum character": "it holds code points beyond Unicode's",
    "Bad CRC-32": "it is damaged (its checksum does not fit): copy it again, or make it anew",
    "while decompressing": "it is damaged: copy it again, or make it anew",
    "magic string": "it does not begin as numpy.save writes it",
    "unknown variant": "it holds numbers of a type that this library does not know: bring it up to date",
    "Error while deserializing header": "it is damaged, cut off, or no safetensors file: copy or download it again",
    "Protobuf parsing failed": "it is damaged, cut off, or no ONNX file: copy it again, or export it anew",
    "No graph was found in the protobuf": "it is damaged, cut off, or no ONNX file: copy it again, or export it anew",
    "can not be read in full": "the file of its weights is damaged or cut off: copy both again, or export it anew",
    "External data path": "the file of its weights is not beside it: copy both, or export it with external_data=False",
    "PytorchStreamReader failed": "it is damaged, cut off, or no file of TorchScript: copy it again, or save it anew",
    "Invalid data found when processing input": "it is damaged, cut off, or no film: copy it again, or make it anew",
    "] End of file": "it is cut off, or no film: copy it again, or make it anew",
    "File is not a zip file": "it is no archive, or it is truncated: copy it again, or make it anew",
}


@contextlib.contextmanager
def decoding(what: object, then: str = "") -> Iterator[None]:
    """Around calls of a library that decodes a file: what they raise becomes a DataError that names the file.

    what: the file.  then: what to do about it, after the reason.
    Decoders answer damage with nearly every exception there is (struct.error, SyntaxError, RecursionError, ...), so
    all are caught; our own arithmetic stays outside, where a mistake of ours is seen. What they warn of is metadata.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except GenbenchError:
        raise
    except Exception as error:
        raise DataError(f"cannot read {named(what)}: {fault(error)}{then}") from error


def fault(error: Exception) -> str:
    """Why, in one line."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which stands before it
    if isinstance(error, UnicodeDecodeError):
        line, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        return f"line {line} is not UTF-8 (byte 0x{byte:02x}): save it as UTF-8"
    if isinstance(error, json.JSONDecodeError):
        place = f"line {error.lineno}, " if "\n" in error.doc else ""
        return f"no JSON at {place}column {error.colno} ({error.msg})"
    for theirs, plain in _PLAIN.items():
        if theirs in words(error):
            return plain
    if isinstance(said := getattr(error, "strerror", None), str) and said:
        return said  # of FFmpeg, without its number and the path
    return named(words(error).strip().partition("\n")[0] or type(error).__name__)


def afford(what: object, size: int) -> None:
    """Raises DataError where so many bytes are more than the machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise DataError(f"{named(what)} needs {size / 1e9:,.1f} GB, more than this machine's {memory / 1e9:,.1f} GB")


def sought(path: str | Path) -> str:
    """Where a relative path was looked for, to stand behind words that nothing is there; "" for an absolute one."""
    try:
        whole = Path(path).absolute()
    except OSError:  # the current folder itself is gone
        return ""
    return "" if str(whole) == str(path) else f" (looked for at {named(whole)})"


def locate(source: str | Path) -> Path:
    """A path that is there. Raises DataError for one that is empty, is not there, or that no system can have."""
    if not str(source).strip():
        raise DataError(f"{EMPTY_PATH} name a file or a folder")
    path = Path(source)
    try:
        path = path.expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"there is no {shown(str(source))}{sought(path)}") from error
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a home folder of nobody, a loop of links
        raise DataError(f"there is no {shown(str(source))}: {fault(error)}") from error
    return path
