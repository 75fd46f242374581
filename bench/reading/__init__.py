"""Examples that somebody brings, from memory or from files, in the form data is stored in and checked whole.

vectors   (n, D) numbers: an array, a .npy or .npz file
images    (n, C, H, W) uint8: an array, a .npy or .npz file (channels may stand last; where it is said that they are
          images, grey ones may be (n, H, W)); a list of arrays or of Pillow's pictures; a folder or a .zip of pictures
sounds    (n, T) or (n, T, channels) floats in [-1, 1]: an array, a .npy or .npz file, a folder of WAV, FLAC or OGG
videos    (n, T, C, H, W) uint8: an array, a .npy or .npz file, a folder of films
texts     strings: a list, a .txt file of lines, a .json list, .jsonl
"""

from __future__ import annotations

import inspect
import stat
import warnings
from pathlib import Path

from torch import Tensor

from bench.errors import DataError, DataWarning, Omitted, TooFew, named
from bench.foreign import Say, locate
from bench.modalities import Modality, modality_of
from bench.modalities._examples import Examples, kind_of, texts_of
from bench.reading.arrays import Statistics, read_array
from bench.reading.clips import read_films, read_sounds
from bench.reading.folders import FILMS, PICTURES, RECORDINGS, SUFFIXES, kind_in, read_pictures
from bench.reading.memory import Held, from_array, from_memory
from bench.reading.texts import TEXTS, read_texts
from bench.registry import registry

Source = Held | str | Path
_BENCH = Path(__file__).parents[1]
_FOLDERS = {PICTURES: read_pictures, RECORDINGS: read_sounds, FILMS: read_films}
ARRAYS = frozenset({".npy", ".npz"})
FORMS = (
    "a folder or .zip of pictures, a folder of sounds or of films, .npz or .npy (numpy.save writes it), .txt (a text a "
    "line), .json or .jsonl"
)


def warn(remark: str) -> None:
    """Say what is no error but not as it was given, as a DataWarning of the line outside of bench that led here."""
    frame, depth = inspect.currentframe(), 1
    while frame and (frame := frame.f_back) and Path(frame.f_code.co_filename).is_relative_to(_BENCH):
        depth += 1
    warnings.warn(remark, DataWarning, stacklevel=depth + 1)


def read(source: Source, say: Say = warn, *, sequences: bool = False) -> Examples:
    """What a source holds, not yet checked. Raises DataError for what cannot be read.

    say: takes remarks.  sequences: each array of a list is one example, and their lengths may differ.
    """
    found = read_reference(source, say, sequences=sequences)
    if isinstance(found, Statistics):
        raise DataError(f"{named(source)} holds mu and sigma alone, which serve as a reference only: give the examples")
    return found


def read_reference(source: Source, say: Say = warn, *, sequences: bool = False) -> Examples | Statistics:
    """As ``read``; statistics in place of examples are taken too."""
    if not isinstance(source, str | Path):
        return from_memory(source, say, sequences=sequences)
    try:
        path = locate(source)
    except DataError as error:
        if len(str(source).split()) > 1 and Path(source).suffix.lower() not in {*ARRAYS, *TEXTS, *SUFFIXES, ".zip"}:
            raise DataError(f"{error}; texts are a list of strings, or a .txt file with one a line") from error
        raise
    about, suffix = path.stat(), path.suffix.lower()
    if stat.S_ISDIR(about.st_mode):
        return _FOLDERS[kind_in(path)](path, say)
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"{named(source)} is neither a file nor a folder: save it to a file first")
    if not about.st_size:
        raise DataError(f"{named(source)} is empty: it holds 0 bytes")
    if suffix in ARRAYS:
        found = read_array(path, say)
        return found if isinstance(found, Statistics) else from_array(found, named(path))
    if suffix in TEXTS:
        return read_texts(path, say)
    if suffix == ".zip":
        return read_pictures(path, say)
    if suffix in SUFFIXES:
        raise DataError(f"{named(source)} is a single picture, which is no set: give its folder")
    raise DataError(f"cannot read {named(source)}: give {FORMS}")


def examples_in(source: Source, modality: str, say: Say = warn) -> Examples:
    """What a source holds, in the form that data of this modality is stored in. Raises DataError as both do."""
    what = named(source) if isinstance(source, str | Path) else type(source).__name__
    return check(read(source, say), modality, what)


def read_prompts(source: Source, say: Say = warn) -> list[str]:
    """One text a sample, blank ones too. Raises DataError for what is no texts."""
    found = read(source, say)
    try:
        return texts_of(found, "")
    except Omitted as error:
        what = named(source) if isinstance(source, str | Path) else type(source).__name__
        raise DataError(
            f"prompts must be texts (a list of strings, .txt, .json or .jsonl); {what} holds none"
        ) from error


def guess_modality(examples: Examples, what: str) -> str:
    """What examples look like. Raises DataError, which names ``what`` they are, where that is not plain."""
    every: list[Modality] = [entry.modality for entry in registry.all("modalities").values()]
    if len(alike := [modality.name for modality in every if modality.looks_like(examples)]) == 1:
        return alike[0]
    shape = f" of shape {tuple(examples.shape)}" if isinstance(examples, Tensor) else ""
    forms = ", ".join(f"{modality.examples} are {modality.form}" for modality in every)
    told = "; ".join([forms, *filter(None, (modality.advice(examples) for modality in every))])
    raise DataError(
        f"{what}: cannot tell what {kind_of(examples)}{shape} is: say it with modality (--modality); {told}"
    )


def check(examples: Examples, modality: str, what: str) -> Examples:
    """The examples in stored form. Raises DataError (TooFew for none) that names ``what`` is wrong."""
    if isinstance(examples, Tensor) and not examples.ndim:
        raise DataError(f"{what}: a single number is no set of examples")
    if not len(examples):
        raise TooFew(f"{what}: empty; at least 2 examples are needed")
    if isinstance(examples, Tensor) and not examples.numel():
        raise DataError(f"{what}: examples of shape {tuple(examples.shape[1:])} hold no numbers")
    return modality_of(modality).check(examples, what)
