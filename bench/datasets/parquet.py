"""Parquet files of encoded pictures or of texts as a dataset."""

from __future__ import annotations

from bench import DataError, dataset
from bench.datasets._image import ImageDataset
from bench.datasets._items import split_word
from bench.datasets._stages import AnyStages, staged
from bench.datasets._tables import Table, modality_in, prepare_tables, tables_below
from bench.datasets._text import TextDataset
from bench.errors import named
from bench.foreign import locate


def modality_of(path: str) -> str:
    """Whether they hold pictures or texts, of the types of their columns alone. Raises DataError for neither."""
    return modality_in(_tables(path))


@dataset("parquet:", modality=modality_of, locate=lambda: "parquet:PATH")
@staged
def parquet(path: str, stages: AnyStages, *, column: str = "", label: str = "") -> ImageDataset | TextDataset:
    """Pictures or texts in Parquet: parquet:PATH, a file or a folder of them; train, valid and test by their names.

    column, label: left out, the first that is named as such are.   group: the column of a key.
    """
    return prepare_tables(f"parquet:{path}", _tables(path), stages, column, label)


def _tables(path: str) -> list[Table]:
    tables = tables_below(locate(path), split_word)
    if other := next((table.path for table in tables if table.path.suffix.lower() != ".parquet"), None):
        raise DataError(f"{named(other)} is no Parquet file: hf:FOLDER reads a folder of tables of any kind")
    return tables
