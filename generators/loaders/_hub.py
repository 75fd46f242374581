"""Models of the Hugging Face Hub, and folders that look like its: where their files lie, and what they hold."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open

from bench import DataError, decoding, fault, hub_folder, locate, named, sha256, sought

_OTHERS = ["*.h5", "*.msgpack", "*.onnx*", "*.ot", "*.tflite", "*.pth", "*.ckpt", "*.gguf", "original/*", "*.md"]
_PICKLES = ["*.bin", "*.pt"]  # read only where there is nothing else, and then as tensors alone
_POINTER = b"version https://git-lfs"
_HELD = {".json", ".safetensors", ".bin", ".gguf", ".model", ".txt", ".py", ".jinja"}


def found(target: str, revision: str = "", file: str = "") -> Path:
    """A folder or file of this path, or the folder in the Hub's cache of the model of this name.

    What the cache has not is fetched, and said with its size; what it has is taken as it is, with no network.
    revision: a branch, tag or commit.  file: the one that is wanted besides those that describe the model.
    Raises DataError that says what to do where it is not to be had, and for weights that are cut off or none.
    """
    if Path(target).expanduser().exists() or target.startswith((".", "/", "~")):
        return _whole(locate(target))
    if target.count("/") != 1:
        raise DataError(f"{named(target)} is no path here{sought(target)}, and a model of the Hub is OWNER/NAME")
    if file:
        wanted: list[dict[str, Any]] = [{"allow": [file, "*.json"]}]
    else:
        wanted = [{"ignore": _OTHERS + _PICKLES}, {"ignore": _OTHERS}]
    for fetch in (False, True):
        for files in wanted:
            folder = hub_folder(target, revision=revision, fetch=fetch, **files)
            if folder and _holds_weights(folder, file, files is wanted[-1]):
                return _whole(folder)
    raise DataError(f"{named(target)}: the Hub has no weights of it in a form that is read here (safetensors, .bin)")


def _whole(place: Path) -> Path:
    """The same, once the header of each file of weights was read, which says how long the file must be.

    Those of a model lie in its folder, those of a pipeline in one for each part.
    """
    pipeline = (place / "model_index.json").is_file()
    for path in sorted(place.glob("*/*.safetensors" if pipeline else "*.safetensors")):
        with decoding(path):
            with path.open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    raise DataError(f"{named(path)} only points to its weights: `git lfs pull` in its folder gets them")
            with safe_open(path, framework="pt"):
                pass
    return place


def _holds_weights(folder: Path, file: str, pickles: bool) -> bool:
    """Whether all that is needed is there: the cache may hold a part, such as a tokeniser that somebody asked for."""
    if file:
        return (folder / file).is_file()
    listed = {
        index.parent / name
        for index in folder.rglob("*.index.json")
        for name in json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values()
    }
    suffixes = (".safetensors", ".bin") if pickles else (".safetensors",)
    needed = [path for path in listed if path.suffix in suffixes]
    return all(path.is_file() for path in needed) and any(path.suffix in suffixes for path in folder.rglob("*"))


def described(place: Path, file: str = "") -> str:
    """Revision and SHA-256 of the files that make a model, a line each."""
    root, revision = place, [f"revision {place.name}"] if place.parent.name == "snapshots" else []
    if place.is_file():
        root, files = place.parent, [place]
    else:
        files = sorted(path for path in place.rglob("*") if path.suffix in _HELD and path.is_file())
        files = [path for path in files if path.suffix != ".gguf" or path == place / file]
    return "\n".join([*revision, *(f"{path.relative_to(root)} sha256:{sha256(path)}" for path in files)])


@contextlib.contextmanager
def library(name: str, extra: str = "hf") -> Iterator[None]:
    """Around an import of a library that an extra brings. Raises DataError with the way to get it."""
    try:
        yield
    except ImportError as error:
        raise DataError(f'needs the package {name}: pip install "genbench[{extra}]"') from error


@contextlib.contextmanager
def reading(what: str, kind: str, logging: Any) -> Iterator[None]:
    """Around a library that loads a model: no progress bars, and whatever it raises is a DataError that names it.

    logging: the library's own module of that name.
    """
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # these libraries answer damage with any exception there is
        if "trust_remote_code" in str(error):
            raise DataError(
                f"{named(what)} needs code that comes with it: read it, then say trust_remote_code = true"
            ) from error
        raise DataError(f"{named(what)} holds no {kind} ({fault(error)})") from error
    finally:
        if shown:
            logging.enable_progress_bar()
