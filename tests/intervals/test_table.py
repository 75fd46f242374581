"""The tables of intervals in docs/sanity.md: every metric stands in them, and they are what the simulation gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bench import Estimate, Interval
from bench.registry import registry
from tests.intervals import table
from tests.intervals.table import EXPECTATION, FIXED, MEDIAN, SIZES, Row, cells, draw, gathered, read_rows, said
from tests.intervals.worlds import NO_INTERVAL, WORLDS, Drawing, Found, World
from tests.sanity.table import DOCS


def test_every_metric_stands_in_a_table_or_has_no_interval() -> None:
    listed = [name for world in WORLDS for name in world.metrics] + list(NO_INTERVAL)
    assert sorted(listed) == sorted(registry.all("metrics"))


def test_the_page_shows_every_metric() -> None:
    shown = read_rows(DOCS)
    missing = [name for world in WORLDS for name in world.metrics if name not in shown]
    assert not missing, f"run python -m tests.intervals.table {' '.join(missing)}"


def test_rows_of_the_metrics_named_are_rewritten_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "usable_cores", lambda: 1)
    page = Path(shutil.copy(DOCS, tmp_path))
    table.main(["is_1"], 2, page)
    before, after = read_rows(DOCS), read_rows(page)
    assert after["is_1"].drawings == 2
    assert {name: row for name, row in after.items() if name != "is_1"} == {
        name: row for name, row in before.items() if name != "is_1"
    }
    old, new = (path.read_text().splitlines() for path in (DOCS, page))
    assert [line for line in old if line not in new and not line.startswith(("| is_1 |", "Below 90"))] == []
    with pytest.raises(SystemExit, match="in no table: fid; there are c2st, "):
        table.main(["fid"], 2, page)


@pytest.mark.parametrize(
    ("worst", "drawings", "short"), [(84, 80, False), (83, 80, True), (84, 400, True), (95, 1, False)]
)
def test_what_chance_may_do_to_so_many_drawings_does_not_fall_short(worst: int, drawings: int, short: bool) -> None:
    assert Row([f"– · {worst}", "97 · 100"], "", drawings).short == short


def mean_of(width: float, method: str, bias: float = 0.0) -> World:
    """A world of one metric: the mean of n standard normals, plus bias / n, with so many standard errors around it."""

    def measure(d: Drawing) -> Found:
        value, reach = d.rng.normal(size=d.n).mean() + bias / d.n, width / np.sqrt(d.n)
        return {
            "mean": Estimate(value=value, n=d.n, interval=Interval(lo=value - reach, hi=value + reach, method=method))
        }

    return World("a mean", "", ("normal",), ("mean",), measure)


@pytest.mark.parametrize(("width", "share"), [(1.96, 95), (1.0, 68.3), (0.5, 38.3)])
def test_the_share_is_that_of_a_normal_mean(width: float, share: float) -> None:
    found = cells(mean_of(width, "normal"), "normal", 100, "null", 2000)["mean"]
    assert found.covered == pytest.approx(share, abs=3)


def test_what_an_interval_is_of_decides_what_it_must_hold() -> None:
    biased = cells(mean_of(1.96, "normal", bias=20), "normal", 100, "null", 400)["mean"]
    said = cells(mean_of(1.96, f"normal, {EXPECTATION}", bias=20), "normal", 100, "null", 400)["mean"]
    assert biased.covered is not None and biased.covered < 70
    assert said.covered == pytest.approx(95, abs=4)


@pytest.mark.parametrize(("words", "least", "most"), [(MEDIAN, 85, 95), (EXPECTATION, 0, 10)])
def test_a_median_is_not_moved_by_what_happens_seldom(words: str, least: float, most: float) -> None:
    def measure(d: Drawing) -> Found:
        value = d.rng.normal() + (1000 if d.rng.random() < 0.05 else 0)
        interval = Interval(lo=value - 1.96, hi=value + 1.96, method=f"normal, {words} this n")
        return {"mean": Estimate(value=value, n=d.n, interval=interval)}

    found = cells(World("seldom", "", ("normal",), ("mean",), measure), "normal", 100, "null", 400)["mean"]
    assert found.covered is not None and least <= found.covered <= most


def test_training_data_stays_where_the_method_says_so() -> None:
    def measure(d: Drawing) -> Found:
        value = 5 * d.train_rng.normal() + d.rng.normal(size=d.n).mean()
        interval = Interval(lo=value - 0.196, hi=value + 0.196, method=f"normal, {FIXED}")
        return {"mean": Estimate(value=value, n=d.n, interval=interval)}

    found = cells(World("fixed", "", ("normal",), ("mean",), measure), "normal", 100, "null", 400)["mean"]
    assert found.covered == pytest.approx(95, abs=4)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.title)
def test_the_rows_were_measured_of_the_methods_that_metrics_have_now(world: World) -> None:
    """By one of the drawings that the table makes."""
    shown = read_rows(DOCS)
    found = gathered(draw(world, world.laws[0], SIZES[0], "near", world.metrics, 1))
    methods = {name: e.interval.method for name, estimates in found.items() for e in estimates if e.interval}
    older = [name for name, method in methods.items() if set(method.split("; ")) - set(shown[name].of.split("; "))]
    assert not older, f"run python -m tests.intervals.table {' '.join(older)}"


def test_a_star_marks_where_most_intervals_say_that_they_may_be_too_narrow() -> None:
    found = cells(mean_of(0.5, "normal; few, too narrow on heavy tails"), "normal", 100, "null", 400)["mean"]
    assert str(found).endswith("*") and not Row([str(found)], "", 400).short
    assert not str(cells(mean_of(0.5, "normal"), "normal", 100, "null", 400)["mean"]).endswith("*")


def test_each_clause_of_the_methods_is_said_once() -> None:
    assert said(["Wilson", "Wilson; few balls", "Wilson; exact"]) == "Wilson; exact; few balls"
