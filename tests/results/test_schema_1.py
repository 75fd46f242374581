"""Run folders of before records held their plans: nothing in them is lost, and they show what they showed.

``schema_1/`` was written by the genbench of that time: yardsticks, trained and loaded models, looks on the way, a
training that its limit stopped, a family that broke, one that cannot make the data, and trials that were never run.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from bench import RunRecord, read_frame, read_records
from bench.results.board import Board, leaderboards
from bench.results.groups import newest
from bench.results.store import record_path, write_record
from tests.report_records import as_schema_1
from tests.results.hostile_stores import REPORTS, pages

FOLDER = Path(__file__).parent / "schema_1"
FILES = sorted(FOLDER.glob("records/*.json"))
OLD: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
# What a record of today says of a trial with the defaults of suites, and one of schema 1 did not.
SAID_NOW = {"preset": "tiny", "source": "digits", "options": {}, "metrics": ("fd_lenet",), "curve_metrics": (),
            "precision": "fp32", "compile": False}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "run")
    return tmp_path / "run"


def records(folder: Path) -> dict[str, RunRecord]:
    found, ignored = read_records(folder)
    assert not ignored
    return {record.run_id: record for record in found}


def planned_now(record: RunRecord, **changes: Any) -> RunRecord:
    """The same record as it would be written today."""
    return record.model_copy(update={"plan": record.plan.model_copy(update={**SAID_NOW, **changes})})


def digits(found: list[RunRecord]) -> Board:
    return next(board for board in leaderboards(newest(found)[0]) if board.dataset == "digits")


def test_all_that_a_record_said_it_still_says(folder: Path) -> None:
    found = records(folder)
    assert {run_id: as_schema_1(r.model_dump(mode="json")) for run_id, r in found.items()} == OLD
    assert {old["status"] for old in OLD.values()} == {"ok", "failed", "skipped"}


def test_what_it_did_not_say_is_null(folder: Path) -> None:
    for record in records(folder).values():
        assert {name: getattr(record.plan, name) for name in SAID_NOW} == dict.fromkeys(SAID_NOW)


def test_the_weights_that_were_loaded_are_a_file_and_its_hash(folder: Path) -> None:
    (old,) = (old for old in OLD.values() if old["load"])
    plan = records(folder)[old["run_id"]].plan
    assert plan.load is not None and plan.load.endswith(".safetensors") and len(str(plan.load_digest)) == 64
    assert plan.weights == old["load"]


def test_a_record_that_is_written_again_has_the_schema_of_today_and_all_it_held(folder: Path) -> None:
    before = records(folder)
    for record in before.values():
        write_record(folder, record)
    assert {json.loads(path.read_text())["schema"] for path in folder.glob("records/*.json")} == {2}
    assert records(folder) == before


def test_every_number_is_in_the_table_and_the_csv(folder: Path) -> None:
    told = {
        (old["run_id"], m["metric"]): (m["value"], m["interval"] and m["interval"]["lo"], m["n"], old["generator"])
        for old in OLD.values()
        for m in old["measurements"]
    }
    table = read_frame(folder)
    rows = table[table.value.notna()].to_dict("records")
    assert len(rows) == len(told) > 25
    pages(folder)
    with (folder / "report" / "report.csv").open(encoding="utf-8") as file:
        lines = [row for row in csv.DictReader(file) if row["value"]]
    assert len(lines) == len(told)
    for row in (*rows, *lines):
        value, low, n, generator = told[str(row["run_id"]), str(row["metric"])]
        assert (float(row["value"]), float(row["n"]), row["generator"]) == (value, n, generator)
        assert low is None or float(row["lo"]) == low


def test_every_page_shows_them(folder: Path) -> None:
    """The means over seeds, from the files themselves."""
    shown = pages(folder)
    values = {(old["run_id"], m["metric"]): m["value"] for old in OLD.values() for m in old["measurements"]}
    rows = [row for board in json.loads(shown["report.json"])["leaderboards"] for row in board["rows"]]
    assert {run_id for row in rows for run_id in row["records"]} == {
        id for id, o in OLD.items() if o["status"] != "skipped"
    }
    for row in rows:
        its = [values[run_id, "fd_lenet"] for run_id in row["records"] if (run_id, "fd_lenet") in values]
        if its:
            assert row["cells"]["fd_lenet"]["mean"] == pytest.approx(fmean(its))
            (written,) = re.findall(
                rf"\| \*?{re.escape(row['name'])}\*? \|[^|]*\|[^|]*\| \**([0-9.]+)", shown["report.md"]
            )
            assert float(written) == pytest.approx(fmean(its), rel=0.1) and f">{written}" in shown["index.html"]
    for text in ("trials of before have no record yet", "makes tokens only", "RuntimeError: no luck", "safetensors"):
        assert all(text in shown[name] for name in ("index.html", "report.md"))


def test_the_pages_of_a_folder_do_not_depend_on_the_schema(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "now")
    for record in records(folder).values():
        write_record(tmp_path / "now", record)
    old, now = pages(folder), pages(tmp_path / "now")
    assert {name: old[name] == now[name] for name in REPORTS} == dict.fromkeys(REPORTS, True)


def test_records_of_both_schemas_share_one_board(folder: Path) -> None:
    """Seed 0 as it was written then, seed 1 as it would be now: seeds of one generator, numbers of one column."""
    before = digits(list(records(folder).values()))
    for record in records(folder).values():
        if record.plan.seed == 1:
            write_record(folder, planned_now(record))
    schemas = defaultdict(set)
    for path in folder.glob("records/*.json"):
        schemas[json.loads(path.read_text())["schema"]].add(path)
    assert set(schemas) == {1, 2}
    board = digits(list(records(folder).values()))
    assert board.columns == before.columns
    assert {row.name: row.cells for row in board.rows} == {row.name: row.cells for row in before.rows}
    assert next(row for row in board.rows if row.name == "real").group.seeds == (0, 1)


def test_models_of_another_precision_are_another_generator(folder: Path) -> None:
    """They were averaged while records did not say it."""
    for record in records(folder).values():
        if (record.plan.suite, record.plan.generator, record.plan.seed) == ("before", "vae", 1):
            write_record(folder, planned_now(record, precision="bf16"))
    names = {row.name: row.group.seeds for row in digits(list(records(folder).values())).rows}
    assert names["vae (train_steps=20, precision=fp32)"] == (0,)
    assert names["vae (train_steps=20, precision=bf16)"] == (1,)
    assert all("precision=bf16" in pages(folder)[name] for name in ("index.html", "report.md"))


def test_a_file_of_schema_1_may_leave_out_what_had_a_default(folder: Path) -> None:
    (run_id, old) = next(iter(OLD.items()))
    left_out = {"schema", "command", "control", "load", "omitted", "remarks"}
    path = record_path(folder, run_id)
    path.write_text(json.dumps({name: value for name, value in old.items() if name not in left_out}))
    found = records(folder)[run_id]
    assert (found.plan.command, found.plan.load, found.plan.generator) == ("", None, old["generator"])
