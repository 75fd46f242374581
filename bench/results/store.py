"""A run folder as objects and as a pandas table: its records, and what its suites set out to do.

Copying files between folders merges results.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json

from bench.errors import DataError, OutputError, check_path, expect, named, shown
from bench.files import open_plain, refuse_links, write_atomic
from bench.foreign import sought
from bench.record import SCHEMA, Count, Frozen, Label, RunRecord, Text, upgraded

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
LARGEST_FILE = 2**24  # bytes of a record or a plan; a hundred times what the longest of ours takes
LARGEST_BUNDLE = 2**30
BUNDLE = "bundle.json"  # as it is exported, in a folder of its own
COLUMNS = (
    "suite", "dataset", "generator", "family", "control", "modality", "seed", "status", "metric", "value", "lo", "hi",
    "level", "method", "unit", "better", "aspect", "kind", "n", "protocol", "omitted", "error", "run_id",
)  # fmt: skip
_OF_PLAN = ("suite", "dataset", "generator", "family", "control", "modality", "seed")
_OF_MEASUREMENT = ("metric", "value", "unit", "better", "aspect", "kind", "n")
_OF_INTERVAL = ("lo", "hi", "level", "method")


class PlannedTrial(Frozen):
    """A trial that a run set out to do."""

    run_id: str = Field(pattern="^[0-9a-f]{16}$")
    generator: Label
    dataset: Label
    seed: Count


class Planned(Frozen):
    """The trials of a suite as it was last run into a folder: ``plans/<suite>.json``."""

    suite: Label
    command: Text = ""
    trials: tuple[PlannedTrial, ...]


class Bundle(Frozen):
    """The records of a run folder in one file."""

    bundle: Literal[1]
    records: tuple[RunRecord, ...]
    planned: tuple[Planned, ...] = ()


class NewerRecord(DataError):
    """A record that a newer genbench wrote."""


class Unfinished(NamedTuple):
    """What is missing of a suite: ``trials`` of those ``planned`` have no record."""

    planned: Planned
    trials: list[PlannedTrial]

    def __str__(self) -> str:
        count, total = len(self.trials), len(self.planned.trials)
        have = "has" if count == 1 else "have"
        return f"{count} of {total} trials of {self.planned.suite} {have} no record yet"


class Records(list[RunRecord]):
    """Records as they were read; what one report makes of them, ``once`` keeps for the next, until the list changes.

    planned: what was to be done, as far as the run folder says.
    """

    def __init__(self, records: Iterable[RunRecord] = (), planned: Iterable[Planned] = ()) -> None:
        super().__init__(records)
        self.planned = tuple(planned)
        self._made: dict[Hashable, Any] = {}
        self._made_of = list(self)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Make a value the first time it is asked for, and keep it while the list holds the same records."""
        if self._made_of != self:
            self._made, self._made_of = {}, list(self)
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    @property
    def unfinished(self) -> list[Unfinished]:
        """The suites of which a planned trial has no record, and those trials. A failed trial has one."""
        done = {record.run_id for record in self}
        found = (Unfinished(p, [trial for trial in p.trials if trial.run_id not in done]) for p in self.planned)
        return [unfinished for unfinished in found if unfinished.trials]


def record_path(out: Path, run_id: str) -> Path:
    return out / "records" / f"{run_id}.json"


def write_record(out: Path, record: RunRecord) -> Path:
    """Write one record atomically; an older one of the same run is replaced."""
    return write_atomic(record_path(out, record.run_id), record.to_json())


def read_record(path: Path) -> RunRecord:
    """A record of this schema or of one before it.

    Raises DataError for a file that is half-written, foreign or none at all, with the reason in one line, and
    NewerRecord for one of a schema that is not known yet.
    """
    return _read(path, RunRecord, "record", _in_this_schema)


def write_planned(out: Path, planned: Planned) -> Path:
    """Keep what a run sets out to do, in place of what the last run of its suite did."""
    return write_atomic(out / "plans" / f"{planned.suite}.json", json.dumps(planned.model_dump(), indent=1) + "\n")


def _read(
    path: Path, model: type[M], what: str, brought_up: Callable[[bytes], bytes] = bytes, largest: int = LARGEST_FILE
) -> M:
    try:
        with open_plain(path) as file:
            text = file.read(largest + 1)
        if len(text) > largest:
            raise DataError(f"is larger than {largest >> 20} MiB, which no {what} is")
        return model.model_validate_json(brought_up(text), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = named(".".join(map(str, first["loc"])))
        wrong = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{named(path.name)}: {f'{where}: ' if where else ''}{wrong}") from error
    except NewerRecord as error:
        raise NewerRecord(f"{named(path.name)}: {error}") from error
    except (DataError, OSError) as error:
        raise DataError(f"{named(path.name)}: {error}") from error


def _in_this_schema(text: bytes) -> bytes:
    """A record as a file holds it, in the schema of today. Text, because only JSON is read strictly and whole."""
    try:
        document = from_json(text)
    except ValueError:
        return text  # no JSON: the model says what is wrong with it
    if not isinstance(document, dict):
        return text
    if isinstance(schema := document.get("schema"), int) and schema > SCHEMA:
        raise NewerRecord(f"is of schema {shown(schema)}, which a newer genbench wrote: update genbench to read it")
    now = upgraded(document)
    return text if now is document else json.dumps(now).encode()


def _each_in_this_schema(text: bytes) -> bytes:
    """A bundle with every record in the schema of today."""
    try:
        document = from_json(text)
        records = [json.dumps(record).encode() for record in document["records"]]
    except (ValueError, TypeError, KeyError):
        return text  # the model says what is wrong with it
    return json.dumps({**document, "records": [from_json(_in_this_schema(record)) for record in records]}).encode()


def run_folder(named_so: str | Path) -> Path:
    """A run makes its lock and its plan before its first record. Raises OutputError for what is no run folder."""
    expect("folder", named_so, isinstance(named_so, str | os.PathLike), "the path of a run folder")
    check_path("folder", named_so)
    folder = Path(named_so)
    if not folder.is_dir():
        raise OutputError(f"{folder} is no run folder: there is no such folder{sought(folder)}")
    if not any((folder / name).exists() for name in ("records", "plans", ".lock")):
        raise OutputError(f"{folder} is no run folder: it has no records/, and no run was ever begun in it")
    return folder


def read_records(out: str | Path) -> tuple[Records, list[str]]:
    """The records under ``out/records``, one a run; and a line for each file that is foreign, cut short or a copy.

    They know the plans under ``out/plans``. Older run folders have none. Raises OutputError where either is a link.
    """
    out = Path(out)
    refuse_links([out / "records", out / "plans"])
    found: dict[str, list[tuple[Path, RunRecord]]] = defaultdict(list)
    ignored = []
    for path in sorted((out / "records").glob("[!.]*.json")):
        try:
            record = read_record(path)
        except DataError as error:
            ignored.append(f"ignored {error}")
        else:
            found[record.run_id].append((path, record))
    for same in found.values():
        same.sort(key=lambda pair: (pair[1].created, pair[0].stem == pair[1].run_id))
        newest = named(same[-1][0].name)
        ignored += [f"ignored {named(path.name)}: the same run is in {newest}" for path, _ in same[:-1]]
    planned = []
    for path in sorted((out / "plans").glob("[!.]*.json")):
        try:
            planned.append(_read(path, Planned, "plan"))
        except DataError as error:
            ignored.append(f"ignored plans/{error}")
    return Records((same[-1][1] for same in found.values()), planned), ignored


def read_side(path: str | Path) -> tuple[Records, list[str]]:
    """What somebody brings to be compared: the records of a run folder, of a bundle, or a record by itself.

    And a line for each file that was ignored. Raises OutputError for what is no run folder, DataError for a file that
    holds no record.
    """
    check_path("path", path)
    if Path(path).is_dir():
        return read_records(run_folder(path))
    if not Path(path).exists():
        raise DataError(f"{named(path)}: there is no such run folder, record or bundle{sought(path)}")
    if not is_bundle(Path(path)):
        return Records([read_record(Path(path))]), []
    bundle = _read(Path(path), Bundle, "bundle", _each_in_this_schema, largest=LARGEST_BUNDLE)
    return Records(bundle.records, bundle.planned), []


def sides_under(folder: str | Path) -> list[Path]:
    """A run folder itself, or what lies in a folder of several: run folders and files of records or bundles, by name.

    A bundle may lie in a folder of its own, as ``genbench export`` writes it.

    Raises OutputError for what is no folder, or holds none of them.
    """
    check_path("folder", folder)
    root = Path(folder)
    if root.is_file() or (root / "records").is_dir():
        return [root]
    if not root.is_dir():
        raise OutputError(f"{named(folder)}: there is no such folder{sought(folder)}")
    found = []
    for path in sorted(root.iterdir()):
        if (path / "records").is_dir() or (path.is_file() and path.suffix == ".json"):
            found.append(path)
        elif (path / BUNDLE).is_file():
            found.append(path / BUNDLE)
    if not found:
        raise OutputError(f"{named(folder)} holds no run folder, record or bundle")
    return found


def is_bundle(path: Path) -> bool:
    """Whether a file begins as a bundle does."""
    with open_plain(path) as file:
        return re.match(rb'\s*{\s*"bundle"\s*:', file.read(200)) is not None


def write_bundle(path: Path, records: Records) -> Path:
    """Records and what was planned in one file, without samples: a baseline to commit, a result to send."""
    ordered = sorted(records, key=lambda r: (r.plan.dataset, r.plan.generator, r.plan.seed, r.run_id))
    bundle = Bundle(bundle=1, records=tuple(ordered), planned=records.planned)
    return write_atomic(path, json.dumps(bundle.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def frame(records: list[RunRecord]) -> pd.DataFrame:
    """One row a measurement, one a metric left out (value null, ``omitted`` says why), one a trial without any."""
    import pandas as pd

    rows = [row for record in records for row in _rows(record)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    # Whole numbers, and none where there is none; taken as they are, as a float holds none of 2^63 - 1.
    table["n"] = pd.Series([row.get("n") for row in rows], table.index, "Int64")
    return table


def read_frame(out: str | Path) -> pd.DataFrame:
    """The records of a run folder as a table; see ``frame``. Raises OutputError for what is no run folder."""
    return frame(read_records(run_folder(out))[0])


def _rows(record: RunRecord) -> list[dict[str, object]]:
    base: dict[str, object] = {name: getattr(record.plan, name) for name in _OF_PLAN}
    base |= {"status": record.status, "run_id": record.run_id, "error": record.error.message if record.error else None}
    rows = [
        {
            **base,
            **{name: getattr(m, name) for name in _OF_MEASUREMENT},
            **({name: getattr(m.interval, name) for name in _OF_INTERVAL} if m.interval else {}),
            "protocol": m.fingerprint,
        }
        for m in record.measurements
    ]
    rows += [{**base, "metric": name, "omitted": why} for name, why in record.omitted.items()]
    return rows or [base]
