"""Reports: what they promise a reader. Records are made up; nothing is trained."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

import reports.data
import reports.html
import reports.markdown
from bench import Measurement, OutputError, Records, RunRecord, Summary
from bench.record import CurvePoint
from bench.results.board import Board, leaderboards, orders
from bench.results.groups import given_up, newest
from bench.results.pairs import BUSY, compare
from bench.results.ranks import BEYOND, NO_MERIT
from reports._cells import explain, legend, place_text, show
from reports._content import gather, spent
from reports._escaping import visible
from reports._figures import costs, sheet, tradeoff
from reports._losses import curve, curve_table, curves
from reports._numbers import duration, plain, scale, with_spread
from reports._quality import sparks
from reports._samples import gallery
from reports._svg import inline_svg
from reports._verdict import verdict
from reports.previews._pictures import grid
from tests.report_records import (
    ABOUT,
    ENVIRONMENT,
    failed,
    interval,
    measured,
    planned,
    record,
    save_images,
    save_texts,
)

CURVE = tuple({"step": s, "seconds": s / 10, "losses": {"loss": 9 / s, "kl": 1.0}} for s in range(1, 30))
Write = Callable[[list[RunRecord], Path, Path, list[str]], Path]
PAGES: tuple[Write, ...] = (reports.html.write, reports.markdown.write)
FORMATS: tuple[Write, ...] = (*PAGES, reports.data.write_csv, reports.data.write_json)


def board_of(records: list[RunRecord]) -> Board:
    (board,) = leaderboards(records)
    return board


def seeds(generator: str, metric: str, values: list[float]) -> list[RunRecord]:
    return [record(generator, seed, scores={metric: value}) for seed, value in enumerate(values)]


def marked(board: Board, metric: str) -> dict[str, str]:
    (column,) = board.find(metric)
    return {row.name: row.cells[column.key].mark for row in board.rows}


def shown(board: Board, metric: str, name: str) -> str:
    (column,) = board.find(metric)
    return next(str(show(row.cells[column.key], column)) for row in board.rows if row.name == name)


def a_run(folder: Path) -> list[RunRecord]:
    """A folder with pictures, text, yardsticks, a failure and things left out."""
    records = []
    for seed in range(3):
        for place, name in enumerate(("real", "vae", "dcgan", "noise")):
            scores = {"fd_lenet": 10.0 ** (place / 2) + seed / 10, "sample_throughput": 100.0 * (place + 1)}
            records.append(
                record(
                    name,
                    seed,
                    scores=scores,
                    omitted={"fid": "weights not found"},
                    curve=CURVE if name in ("vae", "dcgan") else (),
                    samples=save_images(folder, f"{name}{seed}.npz"),
                )
            )
        text = save_texts(folder, f"gpt{seed}.json", ["<script>alert('x')</script>", "with ``` inside \x00"])
        records.append(record("gpt", seed, dataset="kjv", modality="text", samples=text))
        records.append(failed("flow", seed))
    return records


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("run")
    path = reports.html.write(a_run(folder), folder, folder / "report", ["ignored x.json: half written"])
    return path.read_text(encoding="utf-8")


# ---- numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "spread", "expected"),
    [
        (12.34, 0.42, ("12.3", "0.4")),
        (12.34, 0.13, ("12.34", "0.13")),
        (12345.6, 678.0, ("12,300", "700")),
        (0.0213, 0.0031, ("0.021", "0.003")),
        (-0.04, 0.3, ("0.0", "0.3")),
        (-2.5, 0.3, ("−2.5", "0.3")),
        (1234567.0, None, ("1,234,567", "")),
        (3.14159, None, ("3.14", "")),
        (3.14159, 0.0, ("3.14", "0")),
        (6.02155, 1e-15, ("6.02", "0")),
        (0.0, 0.5, ("0.0", "0.5")),
    ],
)
def test_digits_follow_the_spread(value: float, spread: float | None, expected: tuple[str, str]) -> None:
    assert with_spread(value, spread) == expected


def test_units_are_chosen_for_the_column() -> None:
    assert scale("B", 750 * 2**20).unit == "MiB"
    assert scale("s", 0.0035).unit == "ms"
    assert scale("s", 0.0005, 0.09).unit == "ms" and scale("B", 2**21, 2**40).unit == "GiB"
    assert scale("examples/s", 5).unit == "examples/s"
    assert scale("1", 0).factor == 1
    assert plain(0.5) == "0.500"


def test_a_share_is_not_shown_in_thousandths() -> None:
    shares = {"vae": 0.0004, "dcgan": 0.0008, "noise": 0.0}
    few = [record(name, scores={"nn_ratio_lenet": share}) for name, share in shares.items()]
    assert shown(board_of(few), "nn_ratio_lenet", "vae") == "0.400"
    board = board_of([*few, record("real", scores={"nn_ratio_lenet": 1.0})])
    assert (shown(board, "nn_ratio_lenet", "real"), shown(board, "nn_ratio_lenet", "vae")) == ("1", "0.000400")


def test_mean_and_standard_deviation_over_seeds() -> None:
    board = board_of(seeds("vae", "fd_lenet", [10.0, 12.0, 14.0]))
    summary = board.rows[0].cells[board.columns[0].key].summary
    assert summary == Summary(mean=12.0, sd=2.0, n=3)
    assert shown(board, "fd_lenet", "vae") == "12 ± 2"


def test_one_seed_shows_the_interval_within_the_run() -> None:
    scores = (measured("fd_lenet", 12.3, interval=interval(11.9, 12.7)),)
    assert shown(board_of([record("vae", measurements=scores)]), "fd_lenet", "vae") == "12.30 [11.90, 12.70]"
    wide = (measured("recall_lenet", 0.961, interval=interval(0.5, 0.995)),)  # 1.0 would say more than 0.961
    assert shown(board_of([record("vae", measurements=wide)]), "recall_lenet", "vae") == "0.96 [0.50, 0.99]"


def test_a_spread_of_nothing_is_told_from_one_that_was_not_measured() -> None:
    agree, alone = seeds("vae", "parameters", [7.0, 7.0]), seeds("gpt", "parameters", [9.0])
    board = board_of(agree + alone)
    assert (shown(board, "parameters", "vae"), shown(board, "parameters", "gpt")) == ("7", "9")
    (column,) = board.columns
    tips = {row.name: explain(row.cells[column.key], column) for row in board.rows}
    assert tips["vae"].startswith("the same on all 2 seeds") and "spread not measured" in tips["gpt"]
    exact = (measured("fd_lenet", 0.0, interval=interval(0.0, 0.0)),)
    assert shown(board_of([record("vae", measurements=exact)]), "fd_lenet", "vae") == "0 [0, 0]"


@pytest.mark.parametrize(("metric", "sign"), [("bits_per_byte", "≤ "), ("is_lenet", "≥ ")])
def test_a_bound_says_on_which_side_the_truth_lies(metric: str, sign: str) -> None:
    board = board_of([record("vae", measurements=(measured(metric, 93.1, kind="bound"),))])
    assert shown(board, metric, "vae") == f"{sign}93.1"


# ---- ranking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "best"), [("fd_lenet", "vae"), ("is_lenet", "dcgan")])
def test_the_best_is_marked_in_either_direction(metric: str, best: str) -> None:
    board = board_of(seeds("vae", metric, [1.0, 1.1, 0.9]) + seeds("dcgan", metric, [9.0, 9.1, 8.9]))
    assert {name for name, mark in marked(board, metric).items() if mark} == {best}


def test_a_difference_within_the_noise_is_a_tie() -> None:
    board = board_of(seeds("a", "fd_lenet", [10, 12]) + seeds("b", "fd_lenet", [10.5, 12.5]))
    assert marked(board, "fd_lenet") == {"a": "best", "b": "tied"}
    assert (
        "share the lowest"
        in gather(seeds("a", "fd_lenet", [1.0]) + seeds("b", "fd_lenet", [1.0]), Path(), []).sections[0].verdict
    )


def test_yardsticks_are_shown_last_and_never_marked() -> None:
    values = {"real": 1.0, "vae": 12.0, "dcgan": 25.0, "noise": 900.0}
    board = board_of([r for name, value in values.items() for r in seeds(name, "fd_lenet", [value, value + 1])])
    assert [row.name for row in board.rows] == ["vae", "dcgan", "real", "noise"]
    assert marked(board, "fd_lenet") == {"vae": "best", "dcgan": "", "real": "", "noise": ""}


def diverse(name: str, values: list[float]) -> list[RunRecord]:
    return seeds(name, "self_bleu", values)


def test_what_is_better_than_real_data_is_no_merit(tmp_path: Path) -> None:
    """Texts that repeat each other less than real ones are noise, not the best."""
    others = diverse("lstm", [0.30, 0.31, 0.32]) + diverse("real", [0.117] * 3) + diverse("noise", [0.042] * 3)
    assert marked(board_of(diverse("gpt", [0.043, 0.044, 0.042]) + others), "self_bleu") == {
        "gpt": "beyond", "lstm": "", "real": "", "noise": "",
    }  # fmt: skip
    within = board_of(diverse("gpt", [0.1, 0.13, 0.12]) + others)  # not told from real data
    assert marked(within, "self_bleu") == {"gpt": "best", "lstm": "", "real": "", "noise": ""}
    for write in PAGES:
        text = write(diverse("gpt", [0.043, 0.044, 0.042]) + others, tmp_path, tmp_path, []).read_text()
        assert re.search("0.0430 ± 0.0010 ?†", re.sub("<[^>]*>", "", text)) and BEYOND in text


def test_nobody_needs_to_be_as_slow_as_real_data() -> None:
    speeds = {"vae": 900.0, "dcgan": 100.0, "real": 500.0}
    board = board_of([r for n, v in speeds.items() for r in seeds(n, "sample_throughput", [v, v + 1])])
    assert marked(board, "sample_throughput")["vae"] == "best"


def test_speed_alone_orders_nothing() -> None:
    """Or noise, which is made fastest, would come first."""
    board = board_of(
        [r for n, v in {"vae": 9.0, "static": 900.0}.items() for r in seeds(n, "sample_throughput", [v, v])]
    )
    assert board.main is None and not board.ordered_by and not any(row.standing for row in board.ranked)
    assert verdict(board).endswith("has a number for realism or likelihood, and costs alone put none before another.")


def test_of_what_was_not_trained_no_steps_are_told() -> None:
    for status, steps in (("ok", {}), ("failed", {"train_steps": 600})):
        error = None if status == "ok" else {"kind": "exception", "message": "no luck"}
        assert spent(record("theirs", status=status, error=error)) == {**steps, "batch_size": 64}
    assert spent(record("vae", steps=600)) == {"train_steps": 600, "batch_size": 64}
    assert spent(record("real")) == {}


def test_the_verdict_says_where_the_best_is_better_than_real_data() -> None:
    fds = {"vae": 2.0, "dcgan": 30.0, "real": 6.0}
    records = [r for n, v in fds.items() for r in seeds(n, "fd_lenet", [v, v + 0.1])]
    board = board_of(records)
    assert verdict(board).startswith(
        "vae (2.05 ± 0.07) is better by fd_lenet than real data itself, which is no merit, and stands aside. dcgan has"
    )
    first, second = board.ranked
    assert first.name == "dcgan" and second.standing and second.standing.place is None
    assert place_text(second.standing) == f"not ranked: {NO_MERIT}"
    assert f"{second.name} is not ranked: {NO_MERIT}" in gather(records, Path(), []).sections[0].unranked
    both = board_of([r for n, v in {**fds, "dcgan": 4.0}.items() for r in seeds(n, "fd_lenet", [v, v + 0.1])])
    assert "But that is better than real data itself, which is no merit." in verdict(both)


@pytest.mark.parametrize("write", PAGES)
def test_what_only_yardsticks_have_is_not_looked_at_first(write: Write, tmp_path: Path) -> None:
    """Nor does it order the board."""
    records = [record(n, scores={"kid_lenet": 0.5, "recall_lenet": 0.5}) for n in ("vae", "dcgan")]
    records += [record("real", scores={"fd_lenet": 1.0, "class_accuracy_lenet": 0.9})]
    board = board_of(records)
    assert board.main is not None and board.main.metric == "kid_lenet"
    assert {c.metric for c in board.headline} == {c.metric for c in board.own} == {"kid_lenet", "recall_lenet"}
    text = write(records, tmp_path, tmp_path, []).read_text(encoding="utf-8")
    tables = text[text.index("All numbers") :]
    assert "class_" in tables and "class_" not in text[: text.index("All numbers")]
    (alone,) = gather([record("real", scores={"fd_lenet": 1.0})], Path(), []).sections
    assert len(alone.board.headline) == 1 and alone.verdict == "Only yardsticks were run here."


def test_different_protocols_are_different_columns() -> None:
    few, many = {"n_fake": 500, "n_real": 1000}, {"n_fake": 1000, "n_real": 1000}
    board = board_of([
        record("vae", measurements=(measured("fd_lenet", 1.0, protocol=few),)),
        record("dcgan", measurements=(measured("fd_lenet", 9.0, protocol=many),)),
    ])  # fmt: skip
    assert [column.label for column in board.columns] == ["fd_lenet (n_fake=500)", "fd_lenet (n_fake=1000)"]
    assert not any(cell.mark for row in board.rows for cell in row.cells.values())
    assert {cell.why for row in board.rows for cell in row.cells.values()} == {"", "measured under another protocol"}


def test_times_of_two_machines_are_never_ranked_together() -> None:
    other = {**ENVIRONMENT, "cpu": "Other CPU"}
    records = [
        record("vae", scores={"latency_p50": 1.0, "fd_lenet": 1.0}),
        record("dcgan", scores={"latency_p50": 9.0, "fd_lenet": 9.0}, environment=other),
    ]
    board = board_of(records)
    assert len(board.find("latency_p50")) == 2
    assert len(board.find("fd_lenet")) == 1
    assert "2 different machines" in gather(records, Path(), []).notes[0]


def test_one_label_with_two_settings_is_two_rows() -> None:
    records = [record("vae", s, params={"latent": n}, scores={"fd_lenet": n}) for s in (0, 1) for n in (8, 64)]
    assert [row.name for row in board_of(records).rows] == ["vae (latent=8)", "vae (latent=64)"]


def test_two_suites_in_one_folder_are_told_apart() -> None:
    records = [record("vae", suite=suite, scores={"fd_lenet": 1.0}) for suite in ("digits", "nightly")]
    content = gather(records, Path("runs/both"), [])
    assert content.title == "digits, nightly"
    assert [row.name for row in content.sections[0].board.rows] == ["vae (suite=digits)", "vae (suite=nightly)"]
    assert content.commands[1] == "genbench run nightly"


def test_a_trial_run_again_counts_once() -> None:
    old = record("vae", scores={"fd_lenet": 99.0}, created="2020-01-01T00:00:00+00:00")
    new = record("vae", scores={"fd_lenet": 1.0})
    content = gather([new, old], Path(), [])
    assert shown(content.sections[0].board, "fd_lenet", "vae") == "1"
    assert old.run_id in content.notes[0]


def test_a_killed_trial_stays_with_its_fellows() -> None:
    cuda = {**ENVIRONMENT, "device": "cuda"}
    records = [record("vae", 0, environment=cuda, scores={"fd_lenet": 1.0}), failed("vae", 1, environment={})]
    (row,) = board_of(records).rows
    assert row.group.seeds == (0, 1)
    assert row.cells[board_of(records).columns[0].key].why == "seed 1: failed: ValueError: no luck"


def test_a_killed_trial_that_was_run_again_under_other_code_counts_once() -> None:
    killed = failed("vae", 1, environment={})
    again = record("vae", 1, scores={"fd_lenet": 2.0}, created="2020-01-03T00:00:00+00:00")
    current, older = newest([*seeds("vae", "fd_lenet", [1.0]), killed, again])
    assert [r.run_id for r in older] == [killed.run_id]
    (row,) = board_of(current).rows
    assert row.group.seeds == (0, 1) and row.standing and row.standing.place


def test_a_number_that_only_an_older_record_has_is_told() -> None:
    """Run again with fewer metrics, a trial loses those in the table, and not in silence."""
    old = record("vae", scores={"fd_lenet": 1.0, "kid_lenet": 2.0}, created="2020-01-01T00:00:00+00:00")
    new = record("vae", scores={"fd_lenet": 1.5}, created="2020-01-03T00:00:00+00:00")
    current, older = newest([new, old])
    assert current == [new]
    assert given_up(current, older) == ["vae on mnist: only older records have kid_lenet of seed 0"]
    oldest = old.model_copy(update={"created": "2019-01-01T00:00:00+00:00", "run_id": "f" * 16})
    assert given_up(*newest([new, old, oldest])) == given_up(current, older)
    assert given_up(*newest([old, new.model_copy(update={"measurements": old.measurements})])) == []


def test_what_was_timed_beside_other_work_is_told_from_nothing() -> None:
    """A headline must not call fastest whom the others' work left alone."""
    busy = {**ENVIRONMENT, "load": {"busy": True}}
    fast = [record("a", s, scores={"fd_lenet": 5.0 + s, "sample_throughput": 900.0 + s}) for s in range(3)]
    slow = [record("b", s, scores={"fd_lenet": 5.1 + s, "sample_throughput": 300.0 + s}) for s in range(3)]
    assert "a samples fastest" in verdict(board_of(fast + slow))
    beside = [r.model_copy(update={"environment": busy}) for r in slow]
    board = board_of(fast + beside)
    figure = tradeoff(board, {"a": 0, "b": 1})
    assert figure is not None
    figure.draw_without_rendering()
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["a", "b ‡"]
    assert "fastest" not in verdict(board) and marked(board, "sample_throughput") == {"a": "", "b": ""}
    assert {c.column.metric: c.method for c in compare(board, "a", "b")}["sample_throughput"] == BUSY
    # What looked at its own seconds knows better than the trial as a whole.
    quiet = [
        r.model_copy(update={"measurements": tuple(m.model_copy(update={"busy": False}) for m in r.measurements)})
        for r in beside
    ]
    assert "a samples fastest" in verdict(board_of(fast + quiet))


def test_training_times_of_given_steps_bear_the_mark_of_a_busy_machine(tmp_path: Path) -> None:
    """Seconds that were given were spent whoever else was there."""
    busy = {**ENVIRONMENT, "load": {"busy": True}}
    end = (CurvePoint(step=600, seconds=30.0, losses={"loss": 1.0}),)
    given = [
        record(name, scores={"fd_lenet": 5.0}, budget=budget, curve=end, environment=environment)
        for name, budget, environment in (
            ("steps", {"train_steps": 600}, busy),
            ("seconds", {"train_seconds": 30}, busy),
            ("quiet", {"train_steps": 600}, ENVIRONMENT),
        )
    ]
    assert {row.name: row.training_busy for row in board_of(given).rows} == {
        "steps": True, "seconds": False, "quiet": False,
    }  # fmt: skip
    page = reports.html.write(given, tmp_path, tmp_path, []).read_text(encoding="utf-8")
    cells = re.findall(r'data-v="30.0">30 s<span class="mark">(.?)</span>', page)
    assert sorted(cells) == ["", "", "‡"]


def test_one_label_with_different_data_is_two_boards() -> None:
    records = [record("vae", fingerprint=f"sha256:{c * 64}", scores={"fd_lenet": 1.0}) for c in "ab"]
    assert len(leaderboards(records)) == 2


def test_the_main_metric_orders_the_rows() -> None:
    board = board_of(seeds("a", "kid_lenet", [1.0]) + seeds("b", "fd_lenet", [2.0]) + seeds("c", "fd_lenet", [1.0]))
    assert board.main is not None and board.main.metric == "fd_lenet"
    assert [row.name for row in board.rows] == ["c", "b", "a"]


def test_the_verdict_says_who_is_best_and_how_fast() -> None:
    records = [
        record(name, seed, scores={"fd_lenet": fd + seed / 10, "sample_throughput": speed + seed})
        for name, fd, speed in (("vae", 12.0, 410.0), ("dcgan", 20.0, 100.0), ("real", 1.0, 1e6))
        for seed in range(3)
    ]
    said = gather(records, Path(), []).sections[0].verdict
    assert said.startswith("vae has the lowest fd_lenet, 12.10 ± 0.10 over 3 seeds (real data: 1.10 ± 0.10)")
    assert said.endswith("samples 4.1× as fast as dcgan, the runner-up.")


# ---- what is missing ----------------------------------------------------------------------------------------


def test_a_missing_number_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    why = "nothing was trained: the weights were loaded"
    records = [
        record("vae", scores={"fd_lenet": 3.0, "train_throughput": 7.0}),
        record("dcgan", scores={"fd_lenet": 4.0}, omitted={"train_throughput": why}),
    ]
    assert shown(board_of(records), "train_throughput", "dcgan") == "–"
    for write in FORMATS:
        assert why in write(records, tmp_path, tmp_path, []).read_text(encoding="utf-8")
    cells = json.loads((tmp_path / "report.json").read_text())["leaderboards"][0]["rows"][1]["cells"]
    assert cells["train_throughput"]["mean"] is None
    assert pd.read_csv(tmp_path / "report.csv").query("omitted == @why").value.isna().all()


def test_failures_and_notes_are_on_the_page(page: str) -> None:
    assert "flow on mnist" in page and "ValueError: no luck" in page and "seeds 0, 1, 2" in page
    assert "Traceback: &lt;here&gt;" in page
    assert "ignored x.json: half written" in page
    assert "weights not found" in page


def test_a_skipped_trial_is_listed_but_has_no_row(tmp_path: Path) -> None:
    error = {"kind": "unsupported", "message": "makes tokens only"}
    records = [record("vae", scores={"fd_lenet": 1.0}), record("gpt", status="skipped", error=error)]
    assert [row.name for row in board_of(records).rows] == ["vae"]
    assert "makes tokens only" in reports.html.write(records, tmp_path, tmp_path, []).read_text()


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("records", [[], [failed("vae", seed) for seed in (0, 1)]], ids=["empty", "all failed"])
def test_folders_without_a_result_have_a_page(write: Write, records: list[RunRecord], tmp_path: Path) -> None:
    path = write(records, tmp_path, tmp_path / "report", ["ignored y.json: cut short"])
    text = path.read_text(encoding="utf-8")
    assert text
    if records:
        assert "no luck" in text
    if path.suffix != ".csv":
        assert "ignored y.json: cut short" in text


def half_finished(generators: int = 3, seeds: int = 7) -> Records:
    """All of the plan but the last seed of each generator."""
    every = [record(f"g{i}", seed, scores={"fd_lenet": 1.0 + i}) for i in range(generators) for seed in range(seeds)]
    return Records([r for r in every if r.plan.seed < seeds - 1], [planned(every)])


@pytest.mark.parametrize("write", PAGES)
def test_a_half_finished_run_says_what_is_missing_and_how_to_go_on(write: Write, tmp_path: Path) -> None:
    text = write(half_finished(), tmp_path, tmp_path, []).read_text(encoding="utf-8")
    assert "3 of 21 trials of digits have no record yet" in text
    assert "g0 on mnist, seed 6; g1 on mnist, seed 6; g2 on mnist, seed 6" in text
    assert "genbench run digits.toml --out runs/digits" in text
    assert "18 trials: 18 ok" in text


@pytest.mark.parametrize("write", PAGES)
def test_of_many_missing_trials_the_first_are_named_and_all_are_listed(write: Write, tmp_path: Path) -> None:
    text = write(half_finished(generators=9), tmp_path, tmp_path, []).read_text(encoding="utf-8")
    assert "; and 4 more" in text and text.count("g8 on mnist, seed 6") == 1


@pytest.mark.parametrize("write", PAGES)
def test_a_run_that_is_whole_or_left_no_plan_misses_nothing(write: Write, tmp_path: Path) -> None:
    some = half_finished()
    for records in (list(some), Records(some), Records(some, [planned(some)])):
        assert "no record yet" not in write(records, tmp_path, tmp_path, []).read_text(encoding="utf-8")


@pytest.mark.parametrize("write", PAGES)
def test_a_run_of_which_nothing_has_finished_has_a_page(write: Write, tmp_path: Path) -> None:
    text = write(Records([], half_finished().planned), tmp_path, tmp_path, []).read_text(encoding="utf-8")
    assert "No trial in this folder has finished yet" in text and "21 of 21 trials of digits have no record" in text


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        reports.data.write_csv([], tmp_path, tmp_path / "file", [])


# ---- pages --------------------------------------------------------------------------------------------------


class References(HTMLParser):
    """Every address a page would load or open, every id, and every script."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "srcset", "data", "poster"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    found = References()
    found.feed(page)
    assert found.addresses
    assert all(a.startswith(("#", "pages/", "data:image/png;base64,")) for a in found.addresses)
    assert all(u.startswith("#") for u in re.findall(r"url\(['\"]?([^)'\"]*)", page))
    assert "@import" not in page
    assert "http:" not in page and "https:" not in page


def test_ids_are_unique_though_figures_are_many(page: str) -> None:
    found = References()
    found.feed(page)
    assert page.count("<svg") == 3  # two learning curves, one scatter
    assert len(found.ids) == len(set(found.ids))
    assert {a[1:] for a in found.addresses if a.startswith("#")} <= set(found.ids)


def test_samples_are_shown_as_text_only(page: str) -> None:
    found = References()
    found.feed(page)
    assert found.scripts == 1  # ours
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page
    assert "\x00" not in page and "\\x00" in page


def test_names_from_records_are_escaped_everywhere(tmp_path: Path) -> None:
    nasty = '<img src=x onerror="1">$^{|`'
    records = [
        record(name, scores={"fd_lenet": v, "sample_throughput": 1.0 + v}, curve=CURVE, dataset=nasty, suite=nasty)
        for name, v in ((nasty, 1.0), ("vae", 2.0))
    ]
    html = reports.html.write(records, tmp_path, tmp_path, [nasty]).read_text(encoding="utf-8")
    assert "<img src=x" not in html
    markdown = reports.markdown.write(records, tmp_path, tmp_path, [nasty]).read_text(encoding="utf-8")
    assert "<img src=x" not in re.sub(r"```.*?```", "", markdown, flags=re.DOTALL).replace("\\<", "")


def test_the_page_marks_what_the_board_marks(page: str) -> None:
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', page, flags=re.DOTALL)
    best = [row for row in rows if 'class="best"' in row]
    assert best and all(re.search(r"</i>(<a [^>]*>)?(vae|dcgan)", row) for row in best)


def a_wide_run(folder: Path) -> list[RunRecord]:
    """Two generators with numbers of every aspect, a yardstick with one more, and samples."""
    names = [name for name in ABOUT if not name.startswith(("perplexity", "bits"))]
    records = []
    for place, name in enumerate(("vae", "dcgan", "real")):
        numbers = []
        for metric in names:
            if metric != "class_accuracy_lenet" or name == "real":
                sees = {"extractor": "lenet", "weights": "sha256:feed"} if metric.endswith("_lenet") else {}
                own = {"k": 5} if metric == "recall_lenet" else {}
                numbers.append(measured(metric, 1.0 + place, about=f"What {metric} says.", protocol={**sees, **own}))
        samples = save_images(folder, f"{name}.npz")
        records.append(record(name, measurements=tuple(numbers), samples=samples))
    return records


def test_samples_stand_right_after_the_headline_and_every_number_below(tmp_path: Path) -> None:
    records = a_wide_run(tmp_path)
    board = board_of(records)
    leading = ["fd_lenet", "recall_lenet", "nn_ratio_lenet"]
    assert [c.label for c in board.headline] == [*leading, "sample_throughput", "peak_rss_bytes"]
    costless = [[m for m in r.measurements if m.aspect != "efficiency" or m.metric == "parameters"] for r in records]
    unranked = [r.model_copy(update={"measurements": its}) for r, its in zip(records, costless, strict=True)]
    assert [c.label for c in board_of(unranked).headline] == leading
    page = reports.html.write(records, tmp_path, tmp_path, []).read_text(encoding="utf-8")
    first, *others = [found.start() for found in re.finditer('<table class="board', page)]
    assert first < page.index("Samples <span>") < page.index("All numbers") < others[0]
    assert page.count('<details class="fold">') == len(others)
    text = reports.markdown.write(records, tmp_path, tmp_path, []).read_text(encoding="utf-8")
    head, full = (text.index(line) for line in re.findall(r"^\| generator \|.*", text, flags=re.MULTILINE)[:2])
    assert head < text.index("### Samples") < text.index("### All numbers") < full


def test_tables_fit_the_page_and_hold_every_column_once(tmp_path: Path) -> None:
    board = board_of(a_wide_run(tmp_path))
    room = reports.html.widths(board)
    tables = [
        t for of_yardsticks in (False, True) for t in reports.html.tables(board, room, of_yardsticks=of_yardsticks)
    ]
    alone = [column for column in board.columns if column.metric == "class_accuracy_lenet"]
    assert [c for table in tables for c in table.columns] == [*(c for c in board.columns if c not in alone), *alone]
    assert len(tables) < len({(c.aspect, c.extractor) for c in board.columns})
    assert all(len(table.columns) == sum(span.width for span in table.spans) for table in tables)
    few = board_of([record("vae", scores={"fd_lenet": 1.0, "sample_throughput": 2.0})])
    assert few.headline == few.columns and not list(reports.html.tables(few, reports.html.widths(few)))


def test_the_width_of_a_table_counts_its_spreads(tmp_path: Path) -> None:
    """Intervals of one seed take twice the room; what does not fit all the same has them below its values."""

    def within(spread: float | None) -> list[RunRecord]:
        its = interval(1234.567 - spread, 1234.567 + spread) if spread else None
        numbers = tuple(measured(metric, 1234.567, interval=its) for metric in ABOUT)
        return [record(name, measurements=numbers) for name in ("vae", "dcgan", "w" * 200)]

    counts = []
    for spread in (None, 0.001):
        board = board_of(within(spread))
        room = reports.html.widths(board)
        tables = list(reports.html.tables(board, room))
        counts.append(len(tables))
        assert all(reports.html.table_width(room, table.columns) <= reports.html.WIDEST for table in tables)
        page = reports.html.write(within(spread), tmp_path, tmp_path, []).read_text(encoding="utf-8")
        fits = reports.html.table_width(room, board.headline) + reports.html.BESIDE <= reports.html.WIDEST
        assert page.count('<table class="board first">') == fits
    assert counts[0] < counts[1] and not fits


@pytest.mark.parametrize("write", PAGES)
def test_datasets_stand_in_the_order_of_the_suite(write: Write, tmp_path: Path) -> None:
    every = [record("vae", dataset=name, scores={"fd_lenet": 1.0}) for name in ("mnist", "cifar10", "kjv")]
    boards = gather(Records(every, [planned(every)]), tmp_path, []).sections
    assert [section.board.dataset for section in boards] == ["mnist", "cifar10", "kjv"]
    assert [section.board.dataset for section in gather(every, tmp_path, []).sections] == ["cifar10", "kjv", "mnist"]
    merged = [*every, record("vae", dataset="afhq", scores={"fd_lenet": 1.0})]  # from a folder without its plan
    text = write(Records(merged, [planned(every)]), tmp_path, tmp_path, []).read_text(encoding="utf-8")
    places = [re.search(f"(<h2>|## ){name}", text) for name in ("mnist", "cifar10", "kjv", "afhq")]
    assert [p.start() for p in places if p] == sorted(p.start() for p in places if p) and all(places)


@pytest.mark.parametrize("write", PAGES)
def test_beside_its_name_stands_what_a_board_is_ordered_by(write: Write, tmp_path: Path) -> None:
    found = [record("vae", scores={"recall_lenet": 0.5, "parameters": 9.0})]
    text = write(found, tmp_path, tmp_path, []).read_text(encoding="utf-8")
    after = re.search(r"(?:<h2>|## )mnist(.*?)(?:</h2>|\n\|)", text, re.DOTALL)
    assert after and "ordered by recall_lenet, higher is better" in after[1]


def test_the_head_of_the_page_shows_the_first_pictures(tmp_path: Path) -> None:
    page = reports.html.write(a_run(tmp_path), tmp_path, tmp_path, []).read_text(encoding="utf-8")
    shown = re.findall('alt="first samples of (.*?) on mnist"', page[: page.index("<main>")])
    assert shown == ["real", "vae", "dcgan"]


@pytest.mark.parametrize("write", PAGES)
def test_a_column_means_first_what_its_metric_says(write: Write, tmp_path: Path) -> None:
    text = html.unescape(write(a_wide_run(tmp_path), tmp_path, tmp_path, []).read_text(encoding="utf-8"))
    meanings = text[text.index("What the columns mean") :]
    for metric in ("fd_lenet", "recall_lenet", "parameters"):
        meaning = re.sub("<[^>]*>|[*]", "", meanings[meanings.index(metric) :])
        about, better = meaning.index(f"What {metric} says."), re.search("is better|not ranked", meaning)
        assert better is not None and about < better.start()
    assert meanings.count("weights = sha256:feed") == 1 and "k = 5" in meanings
    if "<th" in text:
        assert 'title="fd_lenet: What fd_lenet says. lower is better; extractor = lenet' in text


def test_the_page_says_how_to_run_it_again(page: str) -> None:
    assert "genbench run digits" in page
    assert "Example CPU 9000" in page and "train_steps=600" in page


def test_several_environments_are_told_apart() -> None:
    other = {**ENVIRONMENT, "versions": {"genbench": "0.1.0", "torch": "2.12.0"}}
    machines = gather([record("vae"), record("vae", 1, environment=other)], Path(), []).machines
    assert machines.shared["python"] == "3.12.1"
    assert sorted(what["torch"] for what, _ in machines.differing) == ["2.11.0", "2.12.0"]


# ---- markdown, csv, json ------------------------------------------------------------------------------------


def markdown_tables(text: str) -> list[list[list[str]]]:
    tables = re.findall(r"(?:^\|.*\|$\n?)+", text, flags=re.MULTILINE)
    split = re.compile(r"(?<!\\)\|")
    return [[[c.strip() for c in split.split(line)[1:-1]] for line in t.strip().splitlines()] for t in tables]


def test_markdown_tables_are_tables(tmp_path: Path) -> None:
    text = reports.markdown.write(a_run(tmp_path), tmp_path, tmp_path / "report", ["a | note"]).read_text()
    tables = markdown_tables(text)
    assert all(len(row) == len(table[0]) for table in tables for row in table)
    (board,) = [table for table in tables if "fd_lenet ↓" in table[0]]
    assert [row[0] for row in board[2:]] == ["vae", "dcgan", "flow", "*real*", "*noise*"]
    assert board[2][3].startswith("**") and not any(row[3].startswith("**") for row in board[3:])


def test_markdown_pictures_lie_beside_it(tmp_path: Path) -> None:
    path = reports.markdown.write(a_run(tmp_path), tmp_path, tmp_path / "report", [])
    pictures = re.findall(r"!\[[^]]*\]\(([^)]*)\)", path.read_text())
    assert len(pictures) == 1 + 2
    assert all((path.parent / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_csv_comes_back_through_pandas(tmp_path: Path) -> None:
    records = a_run(tmp_path)
    table = pd.read_csv(reports.data.write_csv(records, tmp_path, tmp_path, []))
    assert len(table.dropna(subset="value")) == sum(len(r.measurements) for r in records)
    means = table[table.metric == "fd_lenet"].groupby("generator").value.mean()
    assert means["real"] == pytest.approx(1.1)


def test_json_has_the_numbers_and_the_records_behind_them(tmp_path: Path) -> None:
    records = a_run(tmp_path)
    data = json.loads(reports.data.write_json(records, tmp_path, tmp_path, []).read_text())
    board = next(b for b in data["leaderboards"] if b["dataset"] == "mnist")
    vae = next(row for row in board["rows"] if row["name"] == "vae")
    assert vae["cells"]["fd_lenet"]["mean"] == pytest.approx(10**0.5 + 0.1)
    assert vae["cells"]["fd_lenet"]["mark"] == "best"
    assert set(vae["records"]) == {r.run_id for r in records if r.plan.generator == "vae"}
    assert vae["standing"]["place"]["rank"] == 1 and vae["standing"]["tier"] == "a" and not vae["standing"]["behind"]
    assert next(row for row in board["rows"] if row["control"])["standing"] is None
    assert data["trials"] == {"ok": 15, "failed": 3}


def test_marks_of_the_column_that_orders_are_of_those_that_have_a_place() -> None:
    """Two of three trials are no mean of all, however good; beside what is better than real data nothing is best."""
    means = {"a": 5.0, "b": 10.0, "c": 10.1, "d": 40.0}
    records = [
        record(name, s, measurements=(measured("fd_lenet", mean + s / 10),) if (name, s) != ("a", 2) else ())
        for name, mean in means.items()
        for s in range(3)
    ]
    board = board_of(records)
    assert board.main
    found = {row.name: row.cells[board.main.key].mark for row in board.ranked}
    assert found == {"a": "", "b": "best", "c": "tied", "d": ""}
    real = [record("real", s, measurements=(measured("fd_lenet", 20 + s / 10),)) for s in range(3)]
    board = board_of([*records, *real])
    assert board.main
    assert {row.cells[board.main.key].mark for row in board.ranked} == {"", "beyond"}


@pytest.mark.parametrize("seed", range(8))
def test_headline_tiers_places_and_marks_are_of_one_mind(seed: int, tmp_path: Path) -> None:
    """Each by itself, pairs of a large board are told apart that together are not: the page must not say both."""
    rng = np.random.default_rng(seed)
    records = [
        record(f"g{g}", s, measurements=(measured("fd_lenet", float(mean + rng.normal(0, 1))),))
        for g, mean in enumerate(rng.normal(20, 6, 9))
        for s in range(3)
    ]
    board = board_of(records)
    (best, *others), main = board.ranked, board.main
    assert main and best.standing and best.standing.tier.startswith("a")
    for row in others:
        apart = not set(row.standing.tier) & set(best.standing.tier) if row.standing else None
        assert row.standing and row.standing.place and row.standing.behind == apart
        assert (row.cells[main.key].mark == "") == apart and (not apart or row.standing.place.lo > 1)
    assert verdict(board).startswith("It is open") == any(not row.standing.behind for row in others if row.standing)
    shown = reports.markdown.write(records, tmp_path, tmp_path, []).read_text()
    assert re.search(rf"\| {best.name} \| 1[^|]*\| {' '.join(best.standing.tier)} \|", shown)


# ---- samples ------------------------------------------------------------------------------------------------


def test_sounds_in_markdown_say_whose_they_are(tmp_path: Path) -> None:
    """A folder of files with numbers for names is behind the links."""
    (tmp_path / "samples").mkdir()
    for name in ("wavenet", "wavegan"):
        np.savez(tmp_path / "samples" / f"{name}.npz", samples=np.zeros((1, 400), np.float32), rate=np.float64(4000))
    records = [record(name, modality="audio", samples=f"{name}.npz") for name in ("wavenet", "wavegan")]
    written = reports.markdown.write(records, tmp_path, tmp_path / "report", []).read_text(encoding="utf-8")
    links = re.findall(r"\[listen to sample 1 of (\w+)\]\(figures/(samples-1-\d-1\.wav)\)", written)
    assert {name for name, _ in links} == {"wavenet", "wavegan"} and len({file for _, file in links}) == 2


def test_samples_stand_side_by_side_at_one_seed(tmp_path: Path) -> None:
    records = [
        record(name, seed, samples=save_images(tmp_path, f"{name}{seed}.npz"))
        for name, its in (("vae", (0, 1, 2)), ("real", (1, 2)), ("noise", (1, 2)))
        for seed in its
    ]
    shelf = gallery(board_of(records), tmp_path)
    assert [(sample.name, sample.seed) for sample in shelf] == [("real", 1), ("vae", 1), ("noise", 1)]
    assert all(sample.png for sample in shelf)


def test_one_sheet_shows_what_all_made_under_their_names(tmp_path: Path) -> None:
    records = [record(f"g{i}", samples=save_images(tmp_path, f"g{i}.npz")) for i in range(7)]
    figure = sheet(gallery(board_of(records), tmp_path))
    assert figure is not None
    shown = {axes.get_title(): axes.images[0].get_array() for axes in figure.axes if axes.images}
    assert set(shown) == {f"g{i}, seed 0" for i in range(7)}
    assert all(array is not None and np.ptp(array[..., :3]) > 0 for array in shown.values())
    written = reports.markdown.write(records, tmp_path, tmp_path / "report", []).read_text()
    assert written.count("figures/samples-") == 1 and (tmp_path / "report" / "figures" / "samples-1.png").is_file()
    assert sheet([]) is None


def test_a_grid_keeps_every_pixel_of_small_pictures() -> None:
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 1, 4, 4)
    sheet = grid(images, columns=2, rows=1)
    factor = 14  # 4 pixels become 56
    assert sheet.shape == (56, 2 * 56 + 2, 4)
    assert (sheet[::factor, :56:factor, 0] == images[0, 0]).all()
    assert (sheet[:, 56:58, 3] == 0).all()


@pytest.mark.parametrize("shape", [(3, 3, 8, 8), (40, 1, 200, 100), (1, 1, 1, 1)])
def test_grids_of_any_size(shape: tuple[int, ...]) -> None:
    assert grid(np.zeros(shape, np.uint8)).ndim == 3


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("gone.npz", None, "is not in the run folder"),
        ("bad.npz", b"PK\x03\x04 no archive", "cannot be read"),
        ("bad.json", b'["cut sho', "cannot be read"),
        ("other.json", b'{"a": 1}', "holds no list of texts"),
        ("../secret.json", b'["top secret"]', "is no file name"),
    ],
)
def test_a_damaged_sample_file_is_a_line_not_a_crash(
    name: str, content: bytes | None, why: str, tmp_path: Path
) -> None:
    (tmp_path / "samples").mkdir()
    if content is not None:
        (tmp_path / "samples" / name).write_bytes(content)
    records = [record("vae", samples=name, scores={"fd_lenet": 1.0})]
    for write in PAGES:
        text = write(records, tmp_path, tmp_path / "report", []).read_text(encoding="utf-8")
        assert why in text
        assert "top secret" not in text


def test_arrays_that_are_no_pictures_are_said_to_be_none(tmp_path: Path) -> None:
    records = [record("wavenet", samples=save_images(tmp_path, "a.npz", np.zeros((4, 16000), np.float32)))]
    assert "holds no pictures" in gallery(board_of(records), tmp_path)[0].problem


def test_characters_that_act_are_written_out() -> None:
    assert visible("a\nb\x1b[1m\u202ec") == "a\nb\\x1b[1m\\u202ec"
    assert visible("x" * 10_000, 3) == "xxx…"


# ---- figures ------------------------------------------------------------------------------------------------


def test_learning_curves_hold_every_seed_and_loss() -> None:
    board = board_of([record("vae", seed, curve=CURVE) for seed in (0, 1)])
    table = curve_table(board.rows[0])
    assert len(table) == 2 * 2 * len(CURVE)
    assert set(table.loss) == {"loss", "kl"}


def test_the_mean_of_seeds_is_taken_note_by_note() -> None:
    """Seeds that were trained by the clock note their losses at steps of their own."""

    def noted(every: int, loss: float) -> list[dict[str, object]]:
        return [{"step": every * i, "seconds": i / 10, "losses": {"loss": loss / i}} for i in range(1, 6)]

    board = board_of([record("vae", 0, curve=noted(10, 4.0)), record("vae", 1, curve=noted(14, 6.0))])
    (axes,) = curve(board.rows[0], 0).axes
    thick = max(axes.lines, key=lambda line: line.get_linewidth())
    drawn = np.asarray(thick.get_xydata(), float)
    np.testing.assert_allclose(drawn, [(12 * i, 5 / i) for i in range(1, 6)])


def test_a_count_beside_losses_has_an_axis_of_its_own() -> None:
    points = [{"step": i, "seconds": i / 10, "losses": {"loss": 2 / i, "codes": 200.0 + i}} for i in range(1, 9)]
    left, right = curve(board_of([record("vae", curve=points)]).rows[0], 0).axes
    assert left.get_ylim()[1] < 3 < 199 < right.get_ylim()[1]
    legend = left.get_legend()
    assert legend is not None and [text.get_text() for text in legend.texts] == ["loss", "codes →"]


def test_the_scatter_names_its_points_and_takes_the_pages_colours() -> None:
    names = ("vae", "dcgan", "real")
    board = board_of(
        [record(n, scores={"fd_lenet": 1.0 + i, "sample_throughput": 9.0 + i}) for i, n in enumerate(names)]
    )
    figure = tradeoff(board, {"vae": 0, "dcgan": 1})
    assert figure is not None
    svg = inline_svg(figure, "one", 'a "label"')
    assert all(f">{name}<" in svg for name in names)
    assert "var(--s0" in svg and "var(--ink)" in svg and "http" not in svg
    assert 'aria-label="a &quot;label&quot;"' in svg


def scatter(speeds: dict[str, list[float]], fds: dict[str, list[float]]) -> Axes:
    """Quality against throughput, drawn."""
    records = [
        record(n, seed, scores={"fd_lenet": fd, "sample_throughput": speeds.get(n, [9.0] * 9)[seed]})
        for n, values in fds.items()
        for seed, fd in enumerate(values)
    ]
    figure = tradeoff(board_of(records), {n: i for i, n in enumerate(fds)})
    assert figure is not None
    figure.draw_without_rendering()
    return figure.axes[0]


def arrows(axes: Axes) -> list[str]:
    return [str(line.get_marker()) for line in axes.lines if line.get_marker() in ("<", ">", "^", "v")]


def test_error_bars_lie_within_the_axes_or_end_in_an_arrow() -> None:
    fds = {"vae": [90.0, 94.0], "dcgan": [10.0, 30.0]}
    axes = scatter({"vae": [40.0, 120.0], "dcgan": [900.0, 2100.0]}, fds)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < 80 - 57 and right > 1500 + 849 and bottom < 20 - 14.2 and top > 94.9
    assert arrows(axes) == []
    below_zero = scatter({"vae": [10.0, 150.0], "dcgan": [1000.0, 1001.0]}, fds)
    assert arrows(below_zero) == ["<"] and below_zero.get_xlim()[1] < 1e5
    assert arrows(scatter({}, {"vae": [90.0, 94.0], "dcgan": [1.0, 60.0]})) == ["v"]  # quality ends at 0
    in_logarithms = scatter({}, {"vae": [4000.0, 4001.0], "dcgan": [1.0, 9.0]})
    assert in_logarithms.get_yscale() == "log" and arrows(in_logarithms) == ["v"]


def test_yardsticks_at_one_height_are_named_side_by_side() -> None:
    axes = scatter({}, {"vae": [90.0], "dcgan": [40.0], "real": [6.0], "noise": [6.1]})
    assert "real, noise" in [text.get_text() for text in axes.texts]


def test_a_legend_lies_over_no_curve() -> None:
    (row,) = board_of([record("vae", curve=CURVE)]).rows
    for figure in (curve(row, 0), curves([row, row], {"vae": 0})):
        figure.draw_without_rendering()
        for axes in figure.axes:
            legend = axes.get_legend()
            assert legend is not None
            box, frame = legend.get_window_extent(), axes.get_window_extent()
            assert box.y0 >= frame.y1 - 1
            titles = [t for t in axes.get_children() if isinstance(t, Text) and t.get_text() == "vae"]
            assert all(title.get_window_extent().y0 >= box.y1 - 3 for title in titles)


def test_without_two_points_there_is_no_scatter() -> None:
    assert tradeoff(board_of([record("vae", scores={"fd_lenet": 1.0, "sample_throughput": 2.0})]), {"vae": 0}) is None


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    test_the_scatter_names_its_points_and_takes_the_pages_colours()
    assert dict(mpl.rcParams) == before


def test_reports_need_no_torch() -> None:
    code = "import reports, sys; assert 'torch' not in sys.modules; assert 'seaborn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


# ---- the first board ----------------------------------------------------------------------------------------


def looked_at(name: str, fds: list[float], seconds: float = 60.0, **changes: object) -> list[RunRecord]:
    """Trials whose fd falls to its end in three looks."""
    found = []
    for seed, fd in enumerate(fds):
        curve = tuple(
            CurvePoint(step=s, seconds=seconds * s / 3, losses={"loss": 1.0}, metrics={"fd_lenet": fd * (4 - s)})
            for s in (1, 2, 3)
        )
        scores = {"fd_lenet": fd, "sample_throughput": 100.0 + seed, "peak_rss_bytes": 1e9 + seed}
        found.append(record(name, seed, scores=scores, curve=curve, **changes))
    return found


class TestFirstBoard:
    RECORDS = (
        *looked_at("good", [10.0, 10.2, 9.8]), *looked_at("alike", [10.1, 10.4, 9.9], 90.0),
        *looked_at("poor", [40.0, 41.0, 39.0], 7200.0), *looked_at("partly", [1.0, 1.1]), failed("partly", 2),
    )  # fmt: skip

    def test_places_have_intervals_tiers_have_letters_and_what_failed_has_no_place(self) -> None:
        rows = {row.name: row.standing for row in board_of([*self.RECORDS]).ranked}
        assert list(rows) == ["good", "alike", "poor", "partly"]
        found = {name: (s.place, s.tier) for name, s in rows.items() if s}
        assert found == {
            "good": ((1, 1, 2), "a"),
            "alike": ((2, 1, 2), "a"),
            "poor": ((3, 3, 3), "b"),
            "partly": (None, ""),
        }
        assert rows["partly"] is not None and (rows["partly"].done, rows["partly"].tried) == (2, 3)

    def test_the_page_shows_them_with_training_and_a_line_over_time(self, tmp_path: Path) -> None:
        page = reports.html.write([*self.RECORDS], tmp_path, tmp_path, []).read_text(encoding="utf-8")
        table = page[page.index('class="board') : page.index("</table>")]
        assert 'title="place 2; at 95 % it may be 1 to 2">2<small>1–2</small>' in table
        assert 'title="place 3, at 95 %">3</span>' in table
        some = "2 of 3 trials have a number, and a mean of some is no mean of all"
        assert f'title="not ranked: {some} (seed 2: failed: ValueError: no luck)">2/3<' in table
        assert "<dt>2/3</dt><dd>no place: how many of its trials have a number that orders the board;" in page
        none = board_of([*self.RECORDS, failed("never"), failed("never", 1)]).ranked[-1].standing
        assert none is not None and place_text(none).startswith("not ranked: none of its trials has a number (")
        assert ">60 s<" in table and "2.0 h" in table and table.count('<svg class="spark"') == 4

    def test_tiers_by_the_dozen_stand_behind_the_place_and_not_beside_the_name(self, tmp_path: Path) -> None:
        rising = [row for i in range(24) for row in looked_at(f"g{i}", [9.4 + i, 10.0 + i, 10.6 + i])]
        page = reports.html.write(rising, tmp_path, tmp_path, []).read_text(encoding="utf-8")
        assert "; tiers a b c d e f" in page and 'class="tier"' not in page and "on its own page</dd>" in page
        few = reports.html.write([*self.RECORDS], tmp_path, tmp_path, []).read_text(encoding="utf-8")
        assert 'class="tier"' in few and "<dt>a b</dt>" in few and "on its own page</dd>" not in few

    def test_the_legend_names_the_signs_that_the_tables_bear_and_no_other(self, tmp_path: Path) -> None:
        def three(name: str, fd: float) -> list[RunRecord]:
            return [record(name, seed, scores={"fd_lenet": fd + seed / 10}) for seed in range(3)]

        def one(*numbers: Measurement) -> list[RunRecord]:
            return [record("one", measurements=numbers)]

        plain, usual = [*three("vae", 10.0), *three("dcgan", 30.0)], ["1 (1–2)", "a b", "bold", "±"]
        assert [sign for sign, _ in legend(board_of(plain))] == usual
        around, bound = measured("fd_lenet", 60.0, interval=interval(59, 61)), measured("perplexity", 9.0, kind="bound")
        for signs, records in (
            ({"≈"}, three("ebm", 10.01)),
            ({"†", "–", "italics"}, three("real", 20.0)),  # beyond real data there is no place
            ({"[ ]"}, one(around)),
            ({"no spread"}, one(measured("fd_lenet", 60.0))),
            ({"[ ]", "≤ ≥", "–", "no spread"}, one(around, bound)),
            ({"[ ]", "‡", "–", "no spread"}, one(around, measured("sample_throughput", 9.0, busy=True))),
            ({"2/3", "–", "*", "no spread"}, [*three("ebm", 60.0), *self.RECORDS[-3:]]),
        ):
            found = {sign for sign, _ in legend(board_of([*plain, *records]))}
            assert found - {*usual} == signs
        page = reports.html.write([*plain, *three("noise", 90.0)], tmp_path, tmp_path, []).read_text(encoding="utf-8")
        listed = re.findall("<dt>(.*?)</dt><dd>", page[page.index('<dl class="legend">') : page.index("</dl>")])
        assert listed == [*usual[:2], '<b class="key">bold</b>', "±", "italics"]
        lines = reports.markdown.write(plain, tmp_path, tmp_path, []).read_text(encoding="utf-8").splitlines()
        assert "- **bold**: best mean of the generators" in lines and not any(line.startswith("- ≈") for line in lines)

    def test_lines_are_on_one_scale_with_better_above(self) -> None:
        found = sparks(board_of([*self.RECORDS]))
        heights = {
            n: [float(p.split(",")[1]) for p in re.findall(r"[\d.]+,[\d.]+", str(svg))] for n, svg in found.items()
        }
        assert all(line == sorted(line, reverse=True) for line in heights.values())  # pixels count from above
        assert heights["good"][-1] < heights["poor"][-1]
        assert sparks(board_of([record("vae", scores={"fd_lenet": 1.0})])) == {}

    def test_quality_stands_against_memory_and_training(self) -> None:
        board = board_of([*self.RECORDS])
        figure = costs(board, {row.name: i for i, row in enumerate(board.ranked)})
        assert figure is not None
        assert [a.get_xlabel() for a in figure.axes] == [
            "peak memory (MiB), lower is better", "training time (s), lower is better",
        ]  # fmt: skip
        assert costs(board_of([record("vae", scores={"fd_lenet": 1.0})]), {"vae": 0}) is None

    @pytest.mark.parametrize(
        ("seconds", "shown"), [(None, ""), (0.5, "0.5 s"), (35, "35 s"), (180, "3.0 min"), (7200, "2.0 h")]
    )
    def test_durations_are_in_units_that_people_read(self, seconds: float | None, shown: str) -> None:
        assert duration(seconds) == shown


def test_what_orders_boards_is_told_in_the_order_of_the_records() -> None:
    found = [
        record("vae", dataset="mnist", scores={"recall_lenet": 0.5, "parameters": 9.0}),
        record("vae", dataset="afhq", scores={"fd_lenet": 1.0, "sample_throughput": 2.0}),
        record("vae", dataset="empty"),
    ]
    told = orders(found)
    assert list(told) == ["mnist", "afhq", "empty"]
    assert told == {board.dataset: board.ordered_by for board in leaderboards(found)}
