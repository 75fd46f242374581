"""The tables of intervals in docs/sanity.md: every metric stands in them, and they are what the simulation gives."""

from __future__ import annotations

import numpy as np
import pytest

from bench import Estimate, Interval
from bench.registry import registry
from tests.intervals.table import BEGIN, END, EXPECTATION, FIXED, cells
from tests.intervals.worlds import NO_INTERVAL, WORLDS, Drawing, Found, World
from tests.sanity.table import DOCS


def test_every_metric_stands_in_a_table_or_has_no_interval() -> None:
    listed = [name for world in WORLDS for name in world.metrics] + list(NO_INTERVAL)
    assert sorted(listed) == sorted(registry.all("metrics"))


def test_the_page_shows_every_metric() -> None:
    tables = DOCS.read_text().split(BEGIN)[1].split(END)[0]
    for world in WORLDS:
        for name in world.metrics:
            assert f"\n| {name} |" in tables, f"run python -m tests.intervals.table: {name} is not in docs/sanity.md"


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


def test_training_data_stays_where_the_method_says_so() -> None:
    def measure(d: Drawing) -> Found:
        value = 5 * d.train_rng.normal() + d.rng.normal(size=d.n).mean()
        interval = Interval(lo=value - 0.196, hi=value + 0.196, method=f"normal, {FIXED}")
        return {"mean": Estimate(value=value, n=d.n, interval=interval)}

    found = cells(World("fixed", "", ("normal",), ("mean",), measure), "normal", 100, "null", 400)["mean"]
    assert found.covered == pytest.approx(95, abs=4)
