"""What a gate is told: margins, which metrics block, how sure it is to be. A TOML file, or options of a command."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from bench.errors import GenbenchError, hint, named, shown


class Margin(BaseModel):
    """How much worse is no worse: a share of the baseline, ``5%``, or an amount in the metric's own unit, ``0.002``."""

    model_config = ConfigDict(frozen=True)
    amount: float
    relative: bool

    @classmethod
    def read(cls, text: object) -> Self:
        """Raises ValueError for what is neither."""
        words = str(text).strip()
        try:
            number = float(words.removesuffix("%"))
        except ValueError:
            number = math.nan
        if isinstance(text, bool) or not 0 <= number < math.inf:
            raise ValueError(
                f"a margin is a share of the baseline, 5%, or an amount, 0.002: 0 or more, not {shown(text)}"
            )
        return cls(amount=number / 100 if words.endswith("%") else number, relative=words.endswith("%"))

    def __str__(self) -> str:
        return f"{100 * self.amount:g}%" if self.relative else f"{self.amount:g}"

    def of(self, baseline: float) -> float:
        """The amount beside this baseline."""
        return self.amount * abs(baseline) if self.relative else self.amount


def _margin(value: object) -> object:
    return value if isinstance(value, Margin) else Margin.read(value)


AMargin = Annotated[Margin, BeforeValidator(_margin), PlainSerializer(str)]
Patterns = tuple[str, ...]


class Policy(BaseModel):
    """What is compared, and what may stop a change.

    margin: of what has none of its own in ``margins``, by name or pattern (``fd_*``), the first that fits. blocking:
    what may fail the gate; left out: what ``margins`` names, or, where that is empty, what leads each aspect of a board
    but for times and memory, and all that is exact. The rest is shown. ignore: what is not looked at. level: of a
    verdict; for what blocks it is kept for all of it together (Holm). paired: whether runs of one seed are pairs; left
    out: where both sides have the same five seeds or more. failed: what it is where a trial ended well in the baseline
    and fails in the candidate. missing: where a number that may block is not in the candidate, which fails, or a
    generator or a dataset, of which then nothing is known. times: whether times and memory that lead may block by
    themselves, as of sides that ran in turn on one machine. ratios: numbers that are all above 0 are compared by the
    logarithm of their ratio where the margin is a share, as what slows a machine slows all that run on it by a share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    margin: AMargin = Margin(amount=0.05, relative=True)
    margins: dict[str, AMargin] = Field(default_factory=dict)
    blocking: Patterns | None = None
    ignore: Patterns = ()
    paired: bool | None = None
    failed: Literal["fail", "note"] = "fail"
    missing: Literal["fail", "note"] = "fail"
    ratios: bool = False
    times: bool = False

    def margin_of(self, metric: str, *, exact: bool = False) -> Margin:
        """That of its own, or of all; of what is exact none but its own."""
        own = next((margin for pattern, margin in self.margins.items() if fits(metric, (pattern,))), None)
        return own or (Margin(amount=0.0, relative=True) if exact else self.margin)

    def blocks(self, metric: str, *, leads: bool) -> bool:
        """leads: whether it is of those that block where nothing is said."""
        if self.blocking is not None:
            return fits(metric, self.blocking)
        return fits(metric, self.margins) if self.margins else leads

    def with_margins(self, texts: Iterable[str]) -> Policy:
        """With further margins, ``METRIC=5%`` each, which come first, or ``5%`` of all that have none of their own.

        Raises GenbenchError for what is none.
        """
        added, general = dict[str, Margin](), self.margin
        for text in [texts] if isinstance(texts, str) else texts:
            metric, equals, margin = str(text).rpartition("=")
            if equals and not metric.strip():
                raise GenbenchError(f"margin {shown(text)}: write METRIC=5%, METRIC=0.002, or 5% of all others")
            try:
                found = Margin.read(margin)
            except ValueError as error:
                raise GenbenchError(f"margin {shown(text)}: {error}, of one metric METRIC=5%") from error
            general, added = (general, {**added, metric.strip(): found}) if equals else (found, added)
        return self.model_copy(update={"margin": general, "margins": {**added, **self.margins}})


def fits(metric: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(metric.casefold(), pattern.casefold()) for pattern in patterns)


def read_policy(path: str | Path | None = None, margins: Iterable[str] = ()) -> Policy:
    """The policy of a file, or the default, with further margins.

    Raises GenbenchError for a file that is missing, no TOML or no policy, with every reason, and for no margin.
    """
    return (_read(path) if path else Policy()).with_margins(margins)


def _read(path: str | Path) -> Policy:
    try:
        table: Mapping[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return Policy.model_validate(table)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GenbenchError(f"policy {named(path)}: {error}") from error
    except ValidationError as error:
        told = "; ".join(_reason(dict(e)) for e in error.errors(include_url=False))
        raise GenbenchError(f"policy {named(path)}: {told}") from error


def _reason(error: Mapping[str, Any]) -> str:
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"there is no {shown(where)}{hint(where, list(Policy.model_fields))}"
    message = error["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list of names")
    wrong = f", not {shown(error['input'])}" if message.startswith("Input ") else ""
    return f"{named(where)} {message.removeprefix('Input ')}{wrong}" if wrong else f"{named(where)}: {message}"
