"""Results that come from other tools and go to them: what they say arrives, with as much certainty as they give."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml

from bench import DataError, GenbenchError, Records, render
from bench.cli._main import run_command
from bench.record import CurvePoint
from bench.registry import registry
from bench.results.board import leaderboards
from bench.results.store import read_records, read_side, write_record
from tests.report_records import failed, interval, measured, record

FOREIGN = Path(__file__).with_name("foreign")  # a small file of each tool, in the form that it writes
DOCUMENTS = {path.stem: json.loads(path.read_text()) for path in sorted(FOREIGN.glob("*.json"))}


def read(tmp_path: Path, tool: str, document: Any = None, name: str = "") -> Any:
    path = tmp_path / "results" / "org__model" / "rev" / "file.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(DOCUMENTS[tool] if document is None else document))
    return registry.get("importers", tool).read(path, name, "mnist" if tool == "torch-fidelity" else "")


def test_every_reader_has_a_document_here() -> None:
    assert {*registry.all("importers")} == {*DOCUMENTS}


@pytest.mark.parametrize("tool", DOCUMENTS)
class TestImporters:
    def test_what_is_read_is_ranked(self, tool: str, tmp_path: Path) -> None:
        records = read(tmp_path, tool)
        assert all(f"imported from {tool}" in r.remarks[0] for r in records)
        boards = leaderboards(records)
        assert all(board.main is not None and board.rows[0].standing is not None for board in boards)
        for r in records:
            write_record(tmp_path / "run", r)
        assert render(tmp_path / "run").exists()

    def test_reading_twice_gives_the_same_record(self, tool: str, tmp_path: Path) -> None:
        assert read(tmp_path, tool) == read(tmp_path, tool)

    @pytest.mark.parametrize("document", [{}, [], 3, "text", None, {"results": {}}, {"benchmarks": []}])
    def test_what_is_no_result_is_refused(self, tool: str, tmp_path: Path, document: Any) -> None:
        path = tmp_path / "file.json"
        path.write_text(json.dumps(document))
        with pytest.raises(DataError, match=f"file.json: holds no result of {tool}"):
            registry.get("importers", tool).read(path, "", "")
        path.write_bytes(b"\xff{")
        with pytest.raises(DataError, match=r"file\.json"):
            registry.get("importers", tool).read(path, "", "")

    def test_a_name_that_is_given_counts(self, tool: str, tmp_path: Path) -> None:
        records = read(tmp_path, tool, name="mine")
        assert any("mine" in (r.plan.generator, r.plan.dataset) for r in records)


class TestWhatArrives:
    def test_lm_eval_keeps_its_standard_errors(self, tmp_path: Path) -> None:
        by_task = {r.plan.dataset: r for r in read(tmp_path, "lm-eval")}
        acc, norm = by_task["arc_easy"].measurements
        assert acc.value == 0.61 and acc.interval.lo == pytest.approx(0.61 - 1.95996 * 0.01) and acc.n == 2376
        assert norm.interval is None and by_task["wikitext"].measurements[0].better == "lower"
        assert {m.metric for m in by_task["gsm8k"].measurements} == {
            "exact_match_strict-match",
            "exact_match_flexible-extract",
        }
        assert acc.protocol == {"filter": "none", "version": 1.0, "shots": 0}

    def test_mteb_names_the_model_by_its_folder(self, tmp_path: Path) -> None:
        assert read(tmp_path, "mteb")[0].plan.generator == "org/model"

    def test_optimums_throughput_and_peaks_of_0_are_left_out(self, tmp_path: Path) -> None:
        (found,) = read(tmp_path, "optimum-benchmark")
        values = {m.metric: m.value for m in found.measurements}
        assert values == {"forward_latency_p50": 0.011, "forward_max_ram": 9e8}
        assert found.measurements[0].interval is not None and found.environment["gpu"] == "['A100']"

    def test_a_spread_over_subsets_is_no_interval(self, tmp_path: Path) -> None:
        (found,) = read(tmp_path, "torch-fidelity")
        assert [m.metric for m in found.measurements] == ["fid", "kid_subsets", "is"]
        assert all(m.interval is None for m in found.measurements)

    @pytest.mark.parametrize(("value", "why"), [(float("nan"), "the file says nan"), (-5.0, "says -5, which is impos")])
    def test_what_no_record_can_hold_is_a_reason(self, value: float, why: str, tmp_path: Path) -> None:
        document = {**DOCUMENTS["torch-fidelity"], "frechet_inception_distance": value}
        (found,) = read(tmp_path, "torch-fidelity", document)
        assert why in found.omitted["fid"] and "fid" not in {m.metric for m in found.measurements}

    @pytest.mark.parametrize("tool", ["lm-eval", "mteb"])
    def test_not_a_number_is_told(self, tool: str, tmp_path: Path) -> None:
        key = "acc,none" if tool == "lm-eval" else "cosine_spearman"
        text = json.dumps(DOCUMENTS[tool]).replace(f'"{key}": 0.61', f'"{key}": NaN')
        found = [r.omitted for r in read(tmp_path, tool, json.loads(text))]
        assert {key.partition(",")[0]: "the file says nan"} in found

    @pytest.mark.parametrize(("tool", "key"), [("mteb", "main_score"), ("pytest-benchmark", "median")])
    def test_a_file_of_nothing_else_is_no_empty_one(self, tool: str, key: str, tmp_path: Path) -> None:
        text = re.sub(rf'"{key}": [0-9.]+', f'"{key}": NaN', json.dumps(DOCUMENTS[tool]))
        found = read(tmp_path, tool, json.loads(text))
        assert found and all("the file says nan" in r.omitted.values() for r in found)
        only = read(tmp_path, "torch-fidelity", {"frechet_inception_distance": float("inf")})
        assert only[0].omitted == {"fid": "the file says inf"} and not only[0].measurements
        (rounded,) = read(tmp_path, "torch-fidelity", {"frechet_inception_distance": -1e-9})
        assert [m.metric for m in rounded.measurements] == ["fid"]

    def test_what_says_no_date_has_none(self, tmp_path: Path) -> None:
        (found,) = read(tmp_path, "torch-fidelity")
        write_record(tmp_path / "run", found)
        assert "1970" not in render(tmp_path / "run").read_text()

    def test_two_benchmarks_of_one_name_are_two(self, tmp_path: Path) -> None:
        document = json.loads(json.dumps(DOCUMENTS["pytest-benchmark"]))
        for benchmark, file in zip(document["benchmarks"], ("a.py", "b.py"), strict=True):
            benchmark |= {"name": "test_same", "fullname": f"{file}::test_same"}
        assert {r.plan.generator for r in read(tmp_path, "pytest-benchmark", document)} == {
            "a.py::test_same",
            "b.py::test_same",
        }

    @pytest.mark.parametrize("tool", [tool for tool in DOCUMENTS if tool != "torch-fidelity"])
    def test_the_tool_is_seen_from_the_file(
        self, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "f.json").write_text(json.dumps(DOCUMENTS[tool]))
        monkeypatch.chdir(tmp_path)
        assert run_command(["import", "f.json", "--name", "mine"]) == 0
        assert {r.plan.suite for r in read_records(tmp_path / "runs" / "imported")[0]} == {tool}
        (tmp_path / "odd.json").write_text("{}")
        assert run_command(["import", "odd.json"]) == 2
        assert "no tool that is known here reads it" in capsys.readouterr().err
        assert run_command(["import", tool]) == 2 and "name a file of its results" in capsys.readouterr().err

    def test_rounds_make_an_interval(self, tmp_path: Path) -> None:
        fast, slow = read(tmp_path, "pytest-benchmark")
        assert fast.measurements[0].interval.lo <= 0.0125 <= fast.measurements[0].interval.hi
        assert slow.measurements[0].interval is None and fast.environment["commit"] == "abc"

    @pytest.mark.parametrize(
        ("tool", "document"),
        [
            ("lm-eval", {"results": [1]}),
            ("lm-eval", {"results": {"a": {",none": 1.0}}}),
            ("mteb", {"scores": {"test": {"a": 1}}}),
            ("pytest-benchmark", {"benchmarks": ["a"]}),
        ],
    )
    def test_a_document_of_another_form_is_one_line(
        self, tool: str, document: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "odd.json").write_text(json.dumps(document))
        assert run_command(["import", tool, str(tmp_path / "odd.json"), "--out", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err
        assert "odd.json" in said and "Traceback" not in said

    def test_the_command_joins_them_to_a_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "f.json").write_text(json.dumps(DOCUMENTS["torch-fidelity"]))
        asked = ["import", "torch-fidelity", str(tmp_path / "f.json"), "--out", str(tmp_path / "run"), "--name", "mine"]
        assert run_command(asked) == 2 and "name it with --dataset" in capsys.readouterr().err
        for dataset in ("cifar10", "mnist"):
            assert run_command([*asked, "--dataset", dataset]) == 0 and "1 record in" in capsys.readouterr().out
        found = read_records(tmp_path / "run")[0]
        assert {r.plan.generator for r in found} == {"mine"}
        assert len(leaderboards(found)) == 2  # never in one table
        (tmp_path / "l.json").write_text(json.dumps(DOCUMENTS["lm-eval"]))
        other = ["import", "lm-eval", str(tmp_path / "l.json"), "--out", str(tmp_path / "run"), "--dataset", "mine"]
        assert run_command(other) == 2 and "name their data themselves" in capsys.readouterr().err
        assert run_command(["import", "torch-fidelity", "nowhere.json", "--out", str(tmp_path / "run")]) == 2


NAME = "=cmd() <script>|&_\\"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    curve = (CurvePoint(step=10, seconds=1.0, losses={"loss": 2.0}, metrics={"fd_lenet": 30.0}),)
    for seed in (0, 1):
        number = measured("fd_lenet", 10.0 + seed, interval=interval(9.0, 12.0))
        numbers = (number, measured("sample_throughput", 90.0 + seed))
        write_record(tmp_path / "run", record(NAME, seed, measurements=numbers, curve=curve, steps=10))
        write_record(tmp_path / "run", record(NAME.swapcase(), seed, measurements=numbers))
    write_record(tmp_path / "run", failed("gan"))
    return tmp_path / "run"


def export(folder: Path, form: str) -> Path:
    return render(folder, folder.parent / "out", [form])


class TestExports:
    def test_what_is_to_be_asked_for_is_not_written_with_every_report(self, folder: Path) -> None:
        render(folder)
        assert sorted(path.name for path in (folder / "report").iterdir() if path.is_file()) == [
            "index.html", "report.csv", "report.json", "report.md",
        ]  # fmt: skip

    def test_a_bundle_is_the_folder(self, folder: Path) -> None:
        path = export(folder, "bundle")
        assert sorted(read_side(path)[0], key=lambda r: r.run_id) == sorted(
            read_records(folder)[0], key=lambda r: r.run_id
        )
        assert run_command(["check", str(path), str(folder)]) == 0

    def test_parquet_holds_the_long_table(self, folder: Path) -> None:
        table = pd.read_parquet(export(folder, "parquet"))
        assert len(table) == 9 and sorted(table[table.metric == "fd_lenet"].value) == [10.0, 10.0, 11.0, 11.0]

    def test_latex_is_balanced_and_harmless(self, folder: Path) -> None:
        text = export(folder, "latex").read_text()
        assert r"=cmd() \textless{}script\textgreater{}|\&\_\textbackslash{}" in text
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len({row.replace(r"\&", "").count("&") for row in rows}) == 1
        assert "{mnist, 1 to 2 seeds: mean and standard deviation" in text and "Bold: the best" in text
        assert rows[0].startswith(" & place & tier & ") and " & 1 (1--2) & a & " in rows[1]
        assert text.count("{") == text.count("}") and text.count(r"\begin") == text.count(r"\end")

    def test_a_model_card_says_every_number(self, folder: Path) -> None:
        files = sorted(export(folder, "model-index").iterdir())
        assert len(files) == 2  # whatever names have in common
        front = yaml.safe_load(files[0].read_text().split("---")[1])
        (result,) = front["model-index"][0]["results"]
        assert {m["type"]: m["value"] for m in result["metrics"]} == {"fd_lenet": 10.5, "sample_throughput": 90.5}

    def test_the_hubs_results_say_how_sure_they_are(self, folder: Path) -> None:
        (file, _) = sorted(export(folder, "hf-eval").rglob("genbench.yaml"))
        entries = {e["dataset"]["task_id"]: e for e in yaml.safe_load(file.read_text())}
        assert entries["fd_lenet"]["value"] == 10.5 and "± 0.707 over 2 seeds" in entries["fd_lenet"]["notes"]

    def test_ci_services_have_a_file_a_direction(self, folder: Path) -> None:
        out = export(folder, "github-benchmark")
        smaller, bigger = (json.loads((out / f"{name}.json").read_text()) for name in ("smaller", "bigger"))
        assert {p["value"] for p in smaller} == {10.5} and {p["unit"] for p in bigger} == {"examples/s"}
        suite = ElementTree.fromstring(export(folder, "junit").read_text())
        assert suite.get("tests") == "5" and len(suite.findall("testcase/failure")) == 1

    @pytest.mark.slow
    def test_mlflow_reads_its_own_file(self, folder: Path) -> None:
        path = export(folder, "mlflow")
        with sqlite3.connect(path) as db:
            runs = db.execute("select status from runs").fetchall()
            curve = db.execute("select value, step from metrics where key = 'loss'").fetchall()
        assert sorted(runs) == [("FAILED",)] + [("FINISHED",)] * 4 and curve == [(2.0, 10)] * 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=f"sqlite:///{path}")
            (experiment,) = [e for e in client.search_experiments() if e.name == "digits"]
            found = client.search_runs([experiment.experiment_id])
        assert {r.data.metrics.get("fd_lenet") for r in found} == {10.0, 11.0, None}

    @pytest.mark.slow
    def test_wandb_writes_runs_to_be_synced(self, folder: Path) -> None:
        assert len(list(export(folder, "wandb").glob("offline-run-*/run-*.wandb"))) == 5

    def test_a_formula_is_text_in_csv(self, folder: Path) -> None:
        with export(folder, "csv").open() as file:
            assert {row["generator"][0] for row in csv.DictReader(file)} <= {"'", "g"}

    def test_the_command_wants_a_format(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command(["export", str(folder)]) == 2 and "--to: name a format" in capsys.readouterr().err
        assert run_command(["export", str(folder), "--bundle", "--to", "latex"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 2

    def test_without_a_number_there_is_no_model_card(self, tmp_path: Path) -> None:
        write_record(tmp_path / "run", failed("gan"))
        with pytest.raises(GenbenchError, match="no generator has a number"):
            export(tmp_path / "run", "model-index")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Invalid JSON"),
        ('{"bundle": 2, "records": []}', "bundle"),
        ('{"bundle": 1, "records": [{}]}', "records.0"),
    ],
)
def test_what_is_wrong_with_a_bundle_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(DataError, match=said):
        read_side(tmp_path / "b.json")


def test_records_of_a_bundle_may_be_of_before(tmp_path: Path) -> None:
    from tests.report_records import as_schema_1

    old = as_schema_1(record("vae", scores={"fd_lenet": 3.0}).model_dump(mode="json"))
    (tmp_path / "b.json").write_text(json.dumps({"bundle": 1, "records": [old], "planned": []}))
    found, _ = read_side(tmp_path / "b.json")
    assert isinstance(found, Records) and found[0].measurements[0].value == 3.0
