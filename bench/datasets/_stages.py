"""The options of the three stages, clean, denoise and format: the same for every source, and checked with the suite."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

from annotated_types import Ge
from pydantic import Field, PositiveFloat, PositiveInt

from bench.datasets._denoise import PictureNoise, SoundNoise, TextNoise
from bench.datasets._format import Fit, Mode, Values
from bench.datasets._split import Share
from bench.datasets._tokenisers import Kind, Vocab
from bench.errors import DataError, named, shown

T = TypeVar("T")
Clean = Literal["drop", "refuse", "keep"]
Level = Literal["peak", "rms", "as_is"]
Rate = Annotated[int, Field(ge=1000, le=192_000)]  # samples a second that sounds are kept in


@dataclass(frozen=True)
class Stages:
    """What is done to pictures of any source.

    clean: what cannot be decoded, does not fit eight bits of grey or RGB, stands twice or is in training and held out
        is dropped, refused, or, where it can be, kept.   near: whether pictures that are the same but for how they were
        saved stand twice.
    denoise: None for none, since noise may be what is to be learned.
    size: pixels a side; needed where sizes differ.   fit: how pictures that are no squares come to it.
    mode: "RGB" or "L"; left out: RGB unless all are grey.
    group: where a source finds the key of a group, which stays in one split; "" where there is none.
    valid, test: shares that are held out where nothing was set apart.
    """

    clean: Clean = "drop"
    near: bool = True
    denoise: PictureNoise | None = None
    size: PositiveInt | None = None
    fit: Fit = "crop"
    mode: Mode | None = None
    group: str = ""
    valid: Share = 0.1
    test: Share = 0.1


@dataclass(frozen=True)
class SoundStages:
    """What is done to sounds of any source, in this order; channels are mixed to one before.

    clean: what cannot be decoded, is cut off, silent, clipped, of another rate than most, stands twice or is in
    training and held out is dropped, refused, or, where it can be, kept.
    denoise: None for none.   rate: samples a second that all are brought to; needed where rates differ.
    trim: whether what is more than 40 dB below the loudest is cut off at both ends.
    level: "peak": the loudest sample is at 0.95 of full scale; "rms": the root of the mean square is at 0.1, or lower
    where the loudest would be above 0.95; "as_is".
    seconds: that all are brought to: what is longer is cut at its end, what is shorter goes on in silence.
    group: where a source finds the key of a group, which stays in one split; "" where there is none.
    valid, test: shares that are held out where nothing was set apart.
    """

    near: ClassVar[bool] = False  # that nearly the same sounds are found nobody promises
    clean: Clean = "drop"
    denoise: SoundNoise | None = None
    rate: Rate | None = None
    trim: bool = True
    level: Level = "peak"
    seconds: PositiveFloat = 1.0
    group: str = ""
    valid: Share = 0.1
    test: Share = 0.1


@dataclass(frozen=True)
class FilmStages:
    """What is done to films of any source, each of which gives clips of so many ``frames``, at most so many (``most``).

    clean: what cannot be decoded, is cut short, has too few frames, stands twice or is in training and held out is
    dropped, refused, or, where it can be, kept.
    size, fit, mode: of a frame, as of a picture.   fps: frames a second that are taken; None: all.
    group: where a source finds the key of a group, which stays in one split; "" where there is none.
    valid, test: shares that are held out where nothing was set apart.
    """

    near: ClassVar[bool] = False  # that nearly the same clips are found nobody promises
    clean: Clean = "drop"
    frames: Annotated[int, Ge(2)] = 16
    size: PositiveInt = 32
    fps: PositiveFloat | None = None
    fit: Fit = "crop"
    mode: Mode | None = None
    most: PositiveInt = 8
    group: str = ""
    valid: Share = 0.1
    test: Share = 0.1


@dataclass(frozen=True)
class TextStages:
    """What is done to texts of any source: which stand twice, of which noise is repaired, and what a token is.

    clean: of documents that stand twice, and of bytes that are no UTF-8.   window: tokens in one example.
    tokeniser: bytes, characters, or bpe of ``vocab`` byte pairs.   valid, test: shares of its end that are held out.
    """

    clean: Clean = "refuse"
    denoise: TextNoise | None = None
    window: PositiveInt = 128
    tokeniser: Kind = "bytes"
    vocab: Vocab = 1024
    valid: Share = 0.1
    test: Share = 0.1


@dataclass(frozen=True)
class AnyStages(Stages):
    """Of a source that may hold pictures or texts: what is set that is meant for the other one is refused.

    What is of texts, see ``TextStages``.
    """

    denoise: PictureNoise | TextNoise | None = None  # type: ignore[assignment]
    window: PositiveInt = 128
    tokeniser: Kind = "bytes"
    vocab: Vocab = 1024

    def of_pictures(self, what: str) -> Stages:
        """Raises DataError for what is of texts."""
        return Stages(**only(what, "pictures", self, names_of(Stages)))

    def of_texts(self, what: str) -> TextStages:
        """Raises DataError for what texts have not."""
        if self.denoise not in (None, *get_args(TextNoise)):
            known = ", ".join(get_args(TextNoise))
            raise DataError(f"{named(what)}: denoise = {shown(self.denoise)} is not for texts: {known} is")
        found = only(what, "texts", self, {*names_of(TextStages), "group"})
        return TextStages(**{name: found[name] for name in names_of(TextStages)})


@dataclass(frozen=True)
class ArrayStages(Stages):
    """Of arrays, which may be pictures of any range, or waveforms.

    values: the ends of what pictures hold where they are no levels yet.
    """

    denoise: PictureNoise | SoundNoise | None = None  # type: ignore[assignment]
    values: Values = "0..255"


def names_of(kind: type[Stages] | type[TextStages]) -> set[str]:
    return {field.name for field in fields(kind)}


def only(what: str, modality: str, stages: Stages, known: Collection[str]) -> dict[str, Any]:
    """Those of the options that such data knows. Raises DataError where another one is set."""
    for field in fields(stages):
        if field.name not in known and (asked := getattr(stages, field.name)) != field.default:
            raise DataError(f"{named(what)}: {field.name} = {shown(asked)} is not for {modality}")
    return {name: getattr(stages, name) for name in known}


def staged(make: Callable[..., T]) -> Callable[..., T]:
    """Give a source the fields of its parameter ``stages`` as keyword options, behind those of its own."""
    signature = inspect.signature(make, eval_str=True)
    kind = signature.parameters["stages"].annotation
    hints = get_type_hints(kind, include_extras=True)
    defaults = {field.name: field.default for field in fields(kind)}
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
        for name, default in defaults.items()
    ]
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "stages"]

    @functools.wraps(make)
    def made(*rest: Any, **given: Any) -> T:
        chosen = {name: given.pop(name, default) for name, default in defaults.items()}
        return make(*rest, stages=kind(**chosen), **given)

    made.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return made
