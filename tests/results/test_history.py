"""Numbers over commits: what changed is found where it changed, and what never did is left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import GenbenchError, OutputError, Records, RunRecord
from bench.cli._main import run_command
from bench.results.history import MARGIN, as_one, history
from bench.results.store import sides_under, write_bundle, write_record
from bench.statistics import Split, best_split, change_points, fewest_points, merged
from tests.report_records import measured, record


class TestChangePoints:
    def test_a_step_is_found_where_it_is(self) -> None:
        rng = np.random.default_rng(0)
        x = np.concatenate([rng.normal(10, 0.1, 20), rng.normal(11, 0.1, 15), rng.normal(9, 0.1, 12)])
        found = change_points(x.tolist(), rng)
        assert [change.at for change in found] == [20, 35]
        assert found[0].before == pytest.approx(10, abs=0.1) and found[0].after == pytest.approx(11, abs=0.1)

    def test_of_noise_no_more_is_told_than_is_said(self) -> None:
        """Of series of 60 points that never change a hundredth, where other tools tell nine of a hundred."""
        rng = np.random.default_rng(0)
        told = sum(bool(change_points(rng.normal(1, 0.03, 60).tolist(), rng, level=0.01)) for _ in range(300))
        assert told / 300 < 0.035

    def test_five_percent_is_found_in_noise_of_three(self) -> None:
        rng = np.random.default_rng(0)
        series = [np.r_[rng.normal(1, 0.03, 50), rng.normal(1.05, 0.03, 50)] for _ in range(30)]
        assert np.mean([bool(change_points(x.tolist(), rng)) for x in series]) > 0.9

    def test_a_level_without_scatter_changes_too(self) -> None:
        (found,) = change_points([1.0] * 6 + [2.0] * 6, np.random.default_rng(0))
        assert found.at == 6 and (found.before, found.after) == (1.0, 2.0)

    def test_what_is_too_little_or_too_short_is_none(self) -> None:
        rng = np.random.default_rng(0)
        assert change_points([1.0] * 10, rng) == [] and change_points([1.0, 9.0, 9.0], rng) == []
        assert change_points([], rng) == []
        n = fewest_points(0.01)
        assert change_points([1.0] * (n // 2 + 1) + [2.0] * (n // 2 + 1), rng)
        assert not change_points([1.0] * (n // 2) + [2.0] * (n // 2 - 2), rng)

    def test_more_orders_are_looked_at_where_a_finer_p_is_asked_for(self) -> None:
        x = [1.0] * 30 + [2.0] * 30
        coarse, fine = (best_split(x, np.random.default_rng(0), orders=n) for n in (999, 10_000))
        assert coarse and fine and fine.at == coarse.at == 30 and fine.p <= 1e-4 < coarse.p
        even = best_split(np.random.default_rng(1).normal(size=60), np.random.default_rng(0), orders=10_000)
        assert even and even.p > 0.01

    def test_a_split_that_is_known_is_not_drawn_again(self) -> None:
        """Near the level another draw of orders would be the toss of a coin."""
        x = np.random.default_rng(1).normal(size=24).tolist()
        found = change_points(x, np.random.default_rng(0), level=0.01, first=Split(12, 0.01))
        assert [(change.at, change.p) for change in found] == [(12, 0.01)]

    def test_a_slow_drift_is_a_change_though_no_step_of_it_is(self) -> None:
        rng = np.random.default_rng(0)
        x = np.concatenate([rng.normal(100 - 1.5 * step, 0.05, 8) for step in range(8)]).tolist()
        steps = change_points(x, rng)
        assert len(steps) == 7
        left = merged(x, steps, lambda c: abs(c.after - c.before) < 0.02 * c.before)
        assert 0 < len(left) < 7 and all(abs(c.after - c.before) >= 0.02 * c.before for c in left)
        assert left[0].before == pytest.approx(np.mean(x[: left[0].at]))
        assert merged(x, steps, lambda c: True) == []

    def test_the_same_generator_gives_the_same_answer(self) -> None:
        x = np.random.default_rng(3).normal(0, 1, 40).tolist()
        assert change_points(x, np.random.default_rng(0)) == change_points(x, np.random.default_rng(0))


def at(day: int, value: float, metric: str = "sample_throughput", **environment: Any) -> RunRecord:
    created = f"2020-01-{day:02}T00:00:00+00:00"
    facts = {"cpu": "one", "commit": f"c{day:02}", **environment}
    return record("vae", measurements=(measured(metric, value),), created=created, environment=facts)


def noise(days: int, seed: int, level: float = 1.0, metric: str = "sample_throughput") -> list[RunRecord]:
    rng = np.random.default_rng(seed)
    return [at(day, level * float(rng.normal(100, 1)), metric) for day in range(1, days + 1)]


SLOWER = [at(day, 100 + day % 3 - (20 if day >= 10 else 0)) for day in range(1, 21)]


class TestHistory:
    def test_a_commit_that_made_it_slower_is_named(self) -> None:
        (series,) = history(SLOWER, np.random.default_rng(0))
        (change,) = series.changes
        assert series.points[change.at].commit == "c10" and series.worse(change)

    def test_machines_do_not_share_a_line_and_sizes_do(self) -> None:
        moved = [*SLOWER[:9], *(at(d, 80, cpu="other") for d in range(10, 21))]
        assert all(not s.changes for s in history(moved, np.random.default_rng(0)))
        sizes = []
        for day in range(1, 21):
            found = at(day, 100.0 if day < 10 else 150.0, "parameters", cpu=f"cpu {day}")
            number = found.measurements[0].model_copy(update={"exact": True, "better": "lower"})
            sizes.append(found.model_copy(update={"measurements": (number,)}))
        assert history(sizes, np.random.default_rng(0))[0].changes

    def test_many_series_that_never_change_are_left_alone(self) -> None:
        """One of a hundred would be told to by itself; of two hundred together hardly ever any."""
        one = noise(28, 0)
        records = [
            r.model_copy(update={"measurements": tuple(
                r.measurements[0].model_copy(update={"metric": f"m{k}", "value": float(v)})
                for k, v in enumerate(np.random.default_rng(day).normal(1, 0.1, 200))
            )}) for day, r in enumerate(one)
        ]  # fmt: skip
        found = history(records, np.random.default_rng(0))
        assert len(found) == 200 and sum(bool(s.changes) for s in found) == 0

    def test_a_series_changes_in_history_where_it_does_by_itself(self) -> None:
        """Both of its changes: what the test of all series asks makes the places within one no harder to find."""
        for seed in range(10):
            values = np.random.default_rng(seed).normal(np.repeat([100.0, 95.0, 90.0], 10), 1.0)
            (found,) = history([at(day, float(v)) for day, v in enumerate(values, 1)], np.random.default_rng(0))
            alone = change_points(values, np.random.default_rng(0))
            assert [c.at for c in found.changes] == [c.at for c in alone] and len(alone) == 2

    def test_suites_do_not_share_a_line(self) -> None:
        other = [r.model_copy(update={"plan": r.plan.model_copy(update={"suite": "other"})}) for r in SLOWER[9:]]
        assert {s.suite for s in history([*SLOWER[:9], *other], np.random.default_rng(0))} == {"other", "digits"}

    def test_a_margin_is_a_share_or_an_amount_of_one_metric_or_all(self) -> None:
        for margin, told in [
            ("30%", False),
            ("5%", True),
            ("30", False),
            ("sample_*=30%", False),
            ("sample_*=5%", True),
        ]:
            found = history(SLOWER, np.random.default_rng(0), policy=MARGIN.with_margins([margin]))
            assert bool(found[0].changes) == told, margin

    def test_a_metric_is_a_name_or_a_pattern(self) -> None:
        records = [*SLOWER, *noise(20, 1, metric="fd_lenet")]
        for pattern in ("fd_lenet", "fd_*"):
            assert [s.metric for s in history(records, np.random.default_rng(0), metrics=[pattern])] == ["fd_lenet"]
        with pytest.raises(GenbenchError, match="no 'fd_lenets' here; did you mean 'fd_lenet'"):
            history(records, np.random.default_rng(0), metrics=["fd_lenets"])

    def test_runs_of_one_commit_are_one_point(self) -> None:
        twice = [*SLOWER, *(r.model_copy(update={"run_id": r.run_id[::-1]}) for r in SLOWER)]
        (series,) = history(twice, np.random.default_rng(0))
        assert len(series.points) == 20 and series.points[0].n == 2

    def test_one_run_in_two_folders_is_one(self) -> None:
        assert len(as_one({"a": Records(SLOWER), "b": Records(SLOWER)})) == 20

    def test_seeds_of_a_folder_without_commits_are_one_point(self) -> None:
        def side(first: int) -> list[RunRecord]:
            return [at(first + day, 100.0, commit=None) for day in range(3)]

        (series,) = history(as_one({"monday": side(1), "tuesday": side(10)}), np.random.default_rng(0))
        assert [(point.commit, point.n) for point in series.points] == [("monday", 3), ("tuesday", 3)]

    def test_the_command_reads_a_bundle_a_commit(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for r in SLOWER:
            write_bundle(tmp_path / "all" / f"{r.created[:10]}.json", Records([r]))
        assert run_command(["history", str(tmp_path / "all")]) == 1  # the newest change is for the worse
        said = capsys.readouterr().out
        assert "c10" in said and "worse" in said and "(-" in said and "█" in said
        assert run_command(["history", str(tmp_path / "all"), "--json"]) == 1
        assert len(json.loads(capsys.readouterr().out)[0]["points"]) == 20
        for kind, begins in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
            plot = tmp_path / f"history.{kind}"
            assert run_command(["history", str(tmp_path / "all"), "--plot", str(plot)]) == 1
            assert plot.read_bytes().startswith(begins)
        drawn = (tmp_path / "history.svg").read_text()
        assert "worse" in drawn and "c10" in drawn and "sample_throughput" in drawn and "better" in drawn
        assert run_command(["history", str(tmp_path / "all"), "--plot", "history.txt"]) == 2
        assert "name a file that ends in .svg, .png or .pdf" in capsys.readouterr().err
        assert run_command(["history", str(tmp_path / "all"), "--margin", "90%"]) == 0
        capsys.readouterr()
        assert run_command(["history", str(tmp_path / "all")]) == 1 and "--accept c10" in capsys.readouterr().out
        assert run_command(["history", str(tmp_path / "all"), "--accept", "c10"]) == 0
        assert run_command(["history", str(tmp_path / "all"), "--accept", "c99"]) == 2
        assert "no number here is of that commit" in capsys.readouterr().err
        assert run_command(["history", str(tmp_path / "all"), "--accept", "c1"]) == 2
        assert "fits 10 of the commits here" in capsys.readouterr().err
        assert run_command(["history", str(tmp_path / "all"), "--margin", "sample_throughputt=9%"]) == 2
        other = tmp_path / "days"
        for r in SLOWER:
            bare = r.model_copy(update={"environment": {**r.environment, "commit": None}})
            write_bundle(other / r.created[:10] / "bundle.json", Records([bare]))
        assert run_command(["history", str(other)]) == 1  # folders in full: short they would all be one
        assert "--accept 2020-01-10/bundle.json" in capsys.readouterr().out.replace("--accept\n", "--accept ")
        assert run_command(["history", str(other), "--accept", "2020-01-10/bundle.json"]) == 0
        few = tmp_path / "few"
        for r in SLOWER[:5]:
            write_bundle(few / f"{r.created[:10]}.json", Records([r]))
        assert run_command(["history", str(few)]) == 0 and "takes at least 10" in capsys.readouterr().out
        write_record(tmp_path / "one", SLOWER[0])
        assert run_command(["history", str(tmp_path / "one")]) == 2 and "two points" in capsys.readouterr().err

    def test_a_folder_of_nothing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="holds no run folder"):
            sides_under(tmp_path)
        with pytest.raises(OutputError, match="no such folder"):
            sides_under(tmp_path / "missing")
