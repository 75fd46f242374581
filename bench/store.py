"""A folder of records as objects and as a pandas table. Copying files between folders merges results."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from bench.errors import DataError
from bench.files import write_atomic
from bench.record import RunRecord

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
COLUMNS = (
    "suite", "dataset", "generator", "family", "control", "modality", "seed", "status", "metric", "value", "lo", "hi",
    "level", "method", "unit", "better", "aspect", "kind", "n", "protocol", "omitted", "error", "run_id",
)  # fmt: skip
_OF_RECORD = ("suite", "dataset", "generator", "family", "control", "modality", "seed", "status", "run_id")
_OF_MEASUREMENT = ("metric", "value", "unit", "better", "aspect", "kind", "n")
_OF_INTERVAL = ("lo", "hi", "level", "method")


class Records(list[RunRecord]):
    """Records as they were read; what one report makes of them, ``once`` keeps for the next, while the list lives."""

    def __init__(self, records: Iterable[RunRecord] = ()) -> None:
        super().__init__(records)
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Make a value the first time it is asked for, and keep it."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made


def record_path(out: Path, run_id: str) -> Path:
    return out / "records" / f"{run_id}.json"


def write_record(out: Path, record: RunRecord) -> Path:
    """Write one record atomically; an older one of the same run is replaced."""
    return write_atomic(record_path(out, record.run_id), record.to_json())


def read_record(path: Path) -> RunRecord:
    """Raises DataError for a half-written or foreign file, with the reason in one line."""
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path.name}: {f'{where}: ' if where else ''}{first['msg']}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name}: {error}") from error


def read_records(out: Path) -> tuple[Records, list[str]]:
    """All records under ``out/records``, and a line for each file that is none of ours or was cut short."""
    records, ignored = Records(), []
    for path in sorted((out / "records").glob("[!.]*.json")):
        try:
            records.append(read_record(path))
        except DataError as error:
            ignored.append(f"ignored {error}")
    return records, ignored


def frame(records: list[RunRecord]) -> pd.DataFrame:
    """One row a measurement, one a metric left out (value null, ``omitted`` says why), one a trial without any."""
    import pandas as pd

    rows = [row for record in records for row in _rows(record)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read_frame(out: str | Path) -> pd.DataFrame:
    """The records of a run folder as a table; see ``frame``."""
    return frame(read_records(Path(out))[0])


def _rows(record: RunRecord) -> list[dict[str, object]]:
    base = {name: getattr(record, name) for name in _OF_RECORD}
    base["error"] = record.error.message if record.error else None
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
