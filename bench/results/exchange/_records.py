"""What all readers share: a file of JSON, and a record of numbers that somebody else measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeGuard

from scipy import special

from bench.errors import DataError, named
from bench.files import open_plain
from bench.protocols import Aspect
from bench.record import UNDATED, Better, Interval, Measurement, Plan, RunRecord, digest

LARGEST = 2**28  # bytes of a file of results
_SLACK = 1e-6  # of the arithmetic of others


def read_json(path: Path) -> Any:
    """Raises DataError for what is no JSON."""
    try:
        with open_plain(path) as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise DataError(f"is larger than {LARGEST >> 20} MiB")
        return json.loads(text)
    except (OSError, ValueError, RecursionError, DataError) as error:
        raise DataError(f"{named(path)}: {error}") from error


def number(
    metric: str,
    value: float,
    aspect: Aspect,
    better: Better,
    *,
    unit: str = "1",
    n: int = 0,
    error: float | None = None,
    interval: Interval | None = None,
    protocol: Mapping[str, Any] | None = None,
    lead: int | None = None,
) -> Measurement:
    """A measurement. error: a standard error, where the tool gives one; n: 0 where it says no number."""
    if interval is None and error is not None and error > 0:
        reach = float(special.ndtri(0.975)) * error
        interval = Interval(lo=value - reach, hi=value + reach, method="standard error, as imported")
    plain = {k: v if isinstance(v, str | int | float | bool) else json.dumps(v) for k, v in (protocol or {}).items()}
    return Measurement(
        metric=metric, value=value, unit=unit, better=better, aspect=aspect, kind="point", n=n, interval=interval,
        protocol=plain, lead=() if lead is None else (lead,),
    )  # fmt: skip


def imported(
    tool: str,
    path: Path,
    *,
    generator: str,
    dataset: str,
    modality: str,
    measurements: Iterable[Measurement],
    data: Any = None,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    created: str = UNDATED,
    version: str = "",
    omitted: Mapping[str, str] | None = None,
) -> RunRecord:
    """A record of what a tool measured, which says so. data: what tells its data from others of the same name.

    omitted: by metric why a number of the file is none to keep (``wrong``).
    """
    found = tuple(measurements)
    plan = Plan(
        suite=tool, generator=generator, family=generator, modality=modality, dataset=dataset,
        fingerprint=f"{tool}:{digest([dataset, data])}", seed=seed, params=dict(params or {}), budget={},
        command="",
    )  # fmt: skip
    identity = digest([tool, generator, dataset, data, seed, plan.params, [m.model_dump(mode="json") for m in found]])
    return RunRecord(
        run_id=identity[:16], plan=plan, status="ok", measurements=found, omitted=dict(omitted or {}), created=created,
        environment=dict(environment or {}),
        remarks=(f"imported from {tool}{f' {version}' if version else ''} ({path.name}): measured there, not here",),
    )  # fmt: skip


def moment(seconds: float) -> str:
    """UTC, as records have it; second 0 is no date."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: object) -> TypeGuard[float]:
    """Whether it is a number that a record can hold."""
    return is_number(value) and abs(value) <= 1e300


def wrong(value: float, least: float = -math.inf, most: float = math.inf) -> str:
    """Why a number that a file holds is none to keep; "" for one that is."""
    if not finite(value):
        return f"the file says {named(str(value))}"
    if not least - _SLACK <= value <= most + _SLACK:
        return f"the file says {value:g}, which is impossible: it lies between {least:g} and {most:g}"
    return ""


def needed(found: list[RunRecord], path: Path, tool: str) -> list[RunRecord]:
    """Raises DataError where nothing was found."""
    if not found:
        raise DataError(f"{named(path)}: holds no result of {tool}")
    return found
