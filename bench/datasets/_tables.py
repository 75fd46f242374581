"""Tables of encoded pictures or of texts, in Parquet, Arrow, CSV and JSON lines, read a few hundred rows at a time."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import Any

from bench.datasets._documents import Document, prepare_texts
from bench.datasets._image import ImageDataset
from bench.datasets._items import Item, Source, identity_of, set_apart
from bench.datasets._prepared import prepare
from bench.datasets._stages import AnyStages
from bench.datasets._text import TextDataset
from bench.errors import DataError, hint, named, nearest, shown
from bench.foreign import decoding
from bench.protocols import SplitName
from bench.reading.encoded import Decoded, decode
from bench.reading.folders import hidden

BATCH = 256  # rows
LABELS = ("label", "labels", "class", "target", "fine_label", "category")
LOOKED_AT, CLASSES, OFFERED = 10_000, 1000, 3  # rows; most that number classes; columns that are named as such
TEXTS = ("text", "content", "document", "sentence")


@dataclass(frozen=True)
class Table:
    """A file of rows. word: names the split that it is of, as ``train``; "" where nothing does."""

    path: Path
    word: str = ""

    @property
    def schema(self) -> Any:
        """Names and types of its columns; the rows are not read, but for CSV and JSON, where the first are."""
        with decoding(self.path):
            return _OPEN[self.path.suffix.lower()](self.path, None)[0]

    def batches(self, columns: Sequence[str]) -> Iterator[list[Mapping[str, Any]]]:
        """Rows of these columns, a few hundred at a time. Raises DataError for damage, and where one is missing."""
        with decoding(self.path):
            schema, batches = _OPEN[self.path.suffix.lower()](self.path, columns)
            _check_columns(named(self.path.name), columns, schema.names)
            for batch in batches:
                yield batch.select(columns).to_pylist()


def tables_below(place: Path, word_of: Callable[[Path], str]) -> list[Table]:
    """A file, or all below a folder in order, but for hidden ones. Raises DataError for none."""
    if place.is_file():
        return [Table(place)]
    files = [path for path in sorted(place.rglob("*")) if _is_table(path.relative_to(place)) and path.is_file()]
    if not files:
        raise DataError(f"{named(place)} holds no table ({', '.join(_OPEN)}); folder:PATH reads pictures")
    return [Table(path, word_of(path.relative_to(place))) for path in files]


def _is_table(path: PurePath) -> bool:
    """Whether it is named so, is not hidden, and is no copy that Hugging Face's ``map`` leaves beside what it saved."""
    is_copy = path.name.startswith("cache-") and path.suffix == ".arrow"
    return path.suffix.lower() in _OPEN and not is_copy and not any(map(hidden, path.parts))


def modality_in(tables: Sequence[Table]) -> str:
    """Whether the first table holds pictures or texts, by the types of its columns. Raises DataError for neither."""
    schema = tables[0].schema
    if any(map(_is_picture, schema)):
        return "image"
    if any(map(_is_text, schema)):
        return "text"
    columns = ", ".join(f"{field.name} {field.type}" for field in schema)
    raise DataError(f"{named(tables[0].path)} holds neither encoded pictures nor texts: {named(columns)}")


def prepare_tables(
    name: str, tables: Sequence[Table], stages: AnyStages, column: str, label: str, remarks: Sequence[str] = ()
) -> ImageDataset | TextDataset:
    """The dataset of tables. column, label: their names there; "" for the first that is named as such are.

    remarks: what the source has noticed. Raises DataError for a column that is not there.
    """
    schema, modality = tables[0].schema, modality_in(tables)
    is_right = _is_picture if modality == "image" else _is_text
    fitting = [field.name for field in schema if is_right(field)]
    column = column or next((known for known in TEXTS if known in fitting), fitting[0])
    numbering = [field.name for field in schema if _is_label(field) and field.name != column]
    if label and modality == "text":
        raise DataError(f"{named(name)}: label = {shown(label)} is not for texts")
    by_name = label
    label = label or next((known for known in LABELS if known in numbering), "")
    asked = list(dict.fromkeys(filter(None, (column, label, stages.group))))
    _check_columns(named(name), asked, schema.names)
    if column not in fitting:
        raise DataError(f"{named(name)}: {shown(column)} is {schema.field(column).type}, and its data {modality}")
    if label and label not in numbering:
        raise DataError(f"{named(name)}: {shown(label)} is {schema.field(label).type}, no class of each example")
    parts, left_out = set_apart(tables, [table.word for table in tables])
    rows, remarks = partial(_rows, parts, asked), [*remarks, *left_out]
    if modality == "image" and not label and (few := _with_few_values(tables[0], numbering)):
        some = named(", ".join(few))
        remarks.append(f"no column is named as labels are ({', '.join(LABELS)}): of {some}, say which with label")
    if modality == "text":
        read = [("" if (text := row[column]) is None else text, row, where, split) for row, where, split in rows()]
        documents = (Document(where, text, _key(row, stages.group), split) for text, row, where, split in read)
        return prepare_texts(name, documents, stages, remarks)

    def items() -> Iterator[Item]:
        for row, where, split in rows():
            yield Item(where, partial(_decoded, row[column], where), row.get(label), _key(row, stages.group), split)

    identity = f"{identity_of(table.path for table in tables)} {[table.word for table in tables]} {column!r} {label!r}"
    source = Source(name, identity, items, _class_names(schema, label), remarks, labels=by_name)
    return prepare(source, stages.of_pictures(name))


def _check_columns(what: str, asked: Sequence[str], known: Sequence[str]) -> None:
    """Raises DataError, which lists those that there are, for a column that is not there."""
    if wrong := next((one for one in asked if one not in known), ""):
        near = hint(wrong, known) if nearest(wrong, known) else ""
        raise DataError(f"{what} has no column {shown(wrong)}; its columns are {named(', '.join(known))}{near}")


def _with_few_values(table: Table, columns: Sequence[str]) -> list[str]:
    """The first columns that could number classes: of several values, each of which stands about twice or more."""
    rows = list(chain.from_iterable(islice(table.batches(columns), LOOKED_AT // BATCH))) if columns else []
    different = {column: len({row[column] for row in rows}) for column in columns}
    return [column for column, n in different.items() if 1 < n <= min(len(rows) // 2, CLASSES)][:OFFERED]


def _rows(
    tables: Sequence[tuple[Table, SplitName | None]], columns: Sequence[str]
) -> Iterator[tuple[Mapping[str, Any], str, SplitName | None]]:
    """Every row, what messages call it, and the split that it was set apart for."""
    for table, split in tables:
        number = 0
        for batch in table.batches(columns):
            for row in batch:
                yield row, f"{table.path.name}, row {number}", split
                number += 1


def _key(row: Mapping[str, Any], group: str) -> str | None:
    return None if not group or row[group] is None else str(row[group])


def _decoded(cell: Any, where: str) -> Decoded:
    """A picture as tables keep it: its bytes, or these beside a path that says where they were."""
    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if not content:
        raise DataError(f"cannot read {named(where)}: it holds no bytes")
    return decode(io.BytesIO(content), where)


def _is_picture(field: Any) -> bool:
    import pyarrow.types as is_

    if is_.is_struct(field.type):
        return any(part.name == "bytes" for part in field.type)
    return bool(is_.is_binary(field.type) or is_.is_large_binary(field.type))


def _is_text(field: Any) -> bool:
    import pyarrow.types as is_

    return bool(is_.is_string(field.type) or is_.is_large_string(field.type))


def _is_label(field: Any) -> bool:
    import pyarrow.types as is_

    return bool(is_.is_integer(field.type) or is_.is_boolean(field.type) or _is_text(field))


def _class_names(schema: Any, label: str) -> list[str] | None:
    """What Hugging Face's libraries write of a column of numbered labels beside its type."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):  # others write nothing
        return None
    return [str(name) for name in names]


def _parquet(path: Path, columns: Sequence[str] | None) -> tuple[Any, Iterator[Any]]:
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(path)
    return file.schema_arrow, file.iter_batches(BATCH, columns=columns)


def _arrow(path: Path, columns: Sequence[str] | None) -> tuple[Any, Iterator[Any]]:
    """As ``save_to_disk`` writes it: a stream, mapped and not read."""
    import pyarrow

    stream = pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)))
    return stream.schema, (part for batch in stream for part in _pieces(batch))


def _csv(path: Path, columns: Sequence[str] | None) -> tuple[Any, Iterator[Any]]:
    import pyarrow.csv

    reader = pyarrow.csv.open_csv(path, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True))
    return reader.schema, iter(reader)


def _json(path: Path, columns: Sequence[str] | None) -> tuple[Any, Iterator[Any]]:
    import pyarrow.json

    reader = pyarrow.json.open_json(path)
    return reader.schema, iter(reader)


def _pieces(batch: Any) -> Iterator[Any]:
    return (batch.slice(start, BATCH) for start in range(0, batch.num_rows, BATCH))


_OPEN: Mapping[str, Callable[[Path, Sequence[str] | None], tuple[Any, Iterator[Any]]]] = {
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".csv": _csv,
    ".jsonl": _json,
}
