"""The results for other programs: a row a measurement (CSV, Parquet), the leaderboards (JSON), the records (bundle)."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import Records, RunRecord, frame, report, write_atomic
from bench.results.across import Across
from bench.results.board import Board, Cell, Column, Row, Standing
from bench.results.store import write_bundle
from reports._content import gather
from reports._escaping import visible

SCHEMA = 1


@report("csv")
def write_csv(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """The long table of ``bench.frame``: a row a measurement, a metric left out, or a trial without any.

    Numbers are as they are. Text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    return write_atomic(target / "report.csv", frame(records).map(_no_formula).to_csv(index=False))


@report("parquet", asked=True)
def write_parquet(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """``report.parquet``: the same table with its types, for pandas, polars, DuckDB and Spark."""
    buffer = io.BytesIO()
    frame(records).to_parquet(buffer, index=False)
    return write_atomic(target / "report.parquet", buffer.getvalue())


@report("bundle", asked=True)
def write_bundled(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """``bundle.json``: all records in one file, without samples, as ``genbench check`` reads them."""
    return write_bundle(target / "bundle.json", records if isinstance(records, Records) else Records(records))


def _no_formula(value: object) -> object:
    """A cell's text, nothing in it invisible, and no formula once the blanks before it are dropped."""
    if not isinstance(value, str):
        return value
    shown = visible(value, keep="\n\t")
    return f"'{shown}" if shown.lstrip().startswith(("=", "+", "-", "@")) else shown


@report("json")
def write_json(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """Leaderboards as data: places, means, spreads, marks and reasons, with the ids of the records behind them."""
    content = gather(records, run_folder, notes)
    data = {
        "schema": SCHEMA,
        "suites": content.suites,
        "trials": dict(content.counts),
        "unfinished": [asdict(pending) for pending in content.unfinished],
        "leaderboards": [{**_board(s.board), "verdict": s.verdict} for s in content.sections],
        "across": [_across(one) for one in content.across],
        "left_out": [asdict(entry) for entry in content.left_out],
        "failures": [asdict(trouble) for trouble in content.failures],
        "skipped": [asdict(trouble) for trouble in content.skipped],
        "notes": content.notes,
        "environment": asdict(content.machines),
        "commands": content.commands,
    }
    return write_atomic(target / "report.json", json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")


def _board(board: Board) -> dict[str, Any]:
    return {
        "dataset": board.dataset,
        "modality": board.modality,
        "fingerprint": board.fingerprint,
        "main_metric": board.main.label if board.main else None,
        "columns": [_column(column) for column in board.columns],
        "rows": [_row(row, board) for row in board.rows],
    }


def _column(column: Column) -> dict[str, Any]:
    names = ("metric", "label", "aspect", "unit", "better", "fingerprint")
    return {**{name: getattr(column, name) for name in names}, "protocol": dict(column.protocol)}


def _row(row: Row, board: Board) -> dict[str, Any]:
    return {
        "name": row.name,
        "generator": row.group.first.plan.generator,
        "family": row.group.first.plan.family,
        "control": row.group.control,
        "seeds": list(row.group.seeds),
        "records": [record.run_id for record in row.group.records],
        "standing": _standing(row.standing),
        "cells": {column.label: _cell(row.cells[column.key]) for column in board.columns},
    }


def _standing(standing: Standing | None) -> dict[str, Any] | None:
    """Its place with the first and the last that it may have at 95 %; null where it has none, and for yardsticks."""
    if standing is None:
        return None
    place = standing.place._asdict() if standing.place else None
    told = {name: getattr(standing, name) for name in ("done", "tried", "behind")}
    return {"place": place, "tier": standing.tier or None, **told, "why": standing.why or None}


def _across(one: Across) -> dict[str, Any]:
    return {**asdict(one), "interval": one.interval.model_dump() if one.interval else None}


def _cell(cell: Cell) -> dict[str, Any]:
    """In the unit of the column, unscaled; null where there is no number."""
    summary = asdict(cell.summary) if cell.summary else {"mean": None, "sd": None, "n": 0}
    return {
        **summary,
        "interval": cell.interval.model_dump() if cell.interval else None,
        "kind": "bound" if cell.bound else "point",
        "mark": cell.mark or None,
        "why": cell.why or None,
    }
