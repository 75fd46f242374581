"""What a page of many records promises: pictures of a few, and a table of all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import reports.html
import reports.markdown
from bench import Records
from bench.results.board import FOREMOST, PICTURED, PICTURED_IN_ALL, leaderboards
from bench.results.store import write_record
from bench.results.variants import variant_labels
from reports._content import gather
from reports._figures import tradeoff_points
from reports._losses import learning
from tests.report_records import record, save_images

REPORT_WITHOUT_TORCH = """
import sys
from bench.cli._main import run_command
assert run_command(["report", sys.argv[1]]) == 0
assert "torch" not in sys.modules
"""
CURVE = tuple({"step": s, "seconds": s / 10, "losses": {"loss": 9 / s}} for s in range(1, 4))


def test_pictures_are_drawn_of_the_first_and_the_table_holds_all(tmp_path: Path) -> None:
    pictures = save_images(tmp_path, "any.npz")
    records = [
        record(f"g{i:02}", scores={"fd_lenet": i, "sample_throughput": 9.0}, curve=CURVE, samples=pictures)
        for i in range(PICTURED + 8)
    ]
    records += [record(name, scores={"fd_lenet": 1.0}, samples=pictures) for name in ("real", "noise")]
    (section,) = gather(records, tmp_path, []).sections
    drawn = [f"g{i:02}" for i in range(PICTURED)]
    assert [sample.name for sample in section.samples] == ["real", *drawn, "noise"]
    assert [row.name for row in learning(section.board)] == drawn[:FOREMOST]
    assert [point.name for point in tradeoff_points(section.board)[1]] == drawn
    assert f"Samples are of the first {PICTURED} of {PICTURED + 8} generators" in section.undrawn
    assert f"Curves and pages of two are of the first {FOREMOST};" in section.undrawn
    for write in (reports.html.write, reports.markdown.write):
        text = write(records, tmp_path, tmp_path / "report", []).read_text(encoding="utf-8")
        assert section.undrawn in text and f"g{PICTURED + 7}" in text


def test_who_is_far_faster_than_all_that_are_better_has_a_point() -> None:
    speeds = [100.0] * (PICTURED + 2) + [110.0, 200.0]
    (board,) = leaderboards(
        record(f"g{i:02}", scores={"fd_lenet": i, "sample_throughput": speed}) for i, speed in enumerate(speeds)
    )
    names = [point.name for point in tradeoff_points(board)[1]]
    assert names == [f"g{i:02}" for i in (*range(PICTURED), len(speeds) - 1)]


def test_a_page_of_many_datasets_shares_its_pictures_out() -> None:
    boards = leaderboards(
        record(name, dataset=f"data{i}", scores={"fd_lenet": 1.0}) for i in range(8) for name in "abcdefghij"
    )
    assert {len(board.pictured) for board in boards} == {PICTURED_IN_ALL // 8}
    assert {len(board.foremost) for board in boards} == {FOREMOST * (PICTURED_IN_ALL // 8) // PICTURED}


def test_labels_name_only_what_tells_variants_apart() -> None:
    variants = [{"a": i // 2, "same as a": i // 2, "b": i % 2} for i in range(4)]
    assert variant_labels(variants) == ["a=0, b=0", "a=0, b=1", "a=1, b=0", "a=1, b=1"]


def test_many_settings_of_many_parameters_are_named_at_once() -> None:
    """Quadratic in either, this would take hours."""
    variants = [{f"k{k}": (i * k) % 997 for k in range(300)} for i in range(990)]
    labels = variant_labels(variants)
    assert len(set(labels)) == len(labels) and labels[1] == "k1=1"


def test_a_parameter_that_is_null_differs_from_one_that_is_not_there() -> None:
    assert variant_labels([{}, {"a": None}]) == ["no a", "a=None"]


def test_a_report_of_all_formats_does_not_wait_for_torch(tmp_path: Path) -> None:
    write_record(tmp_path, record("vae", scores={"fd_lenet": 1.0}))
    done = subprocess.run([sys.executable, "-c", REPORT_WITHOUT_TORCH, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "report").iterdir())) == 5  # with the folder of pages


def test_formats_share_what_is_gathered(tmp_path: Path) -> None:
    records = Records([record("vae", scores={"fd_lenet": 1.0})])
    assert gather(records, tmp_path, ["x"]) is gather(records, tmp_path, ["x"])
    assert gather(records, tmp_path, []).notes == []


def test_records_that_change_are_gathered_anew(tmp_path: Path) -> None:
    records = Records([record("vae", scores={"fd_lenet": 1.0})])
    assert gather(records, tmp_path, []).trials == "1 trial: 1 ok"
    records.append(record("gan", scores={"fd_lenet": 2.0}))
    assert gather(records, tmp_path, []).trials == "2 trials: 2 ok"
    records[1] = record("flow", scores={"fd_lenet": 2.0})
    assert set(gather(records, tmp_path, []).slots) == {"vae", "flow"}
