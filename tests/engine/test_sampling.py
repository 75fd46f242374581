"""Hyperparameters that only sampling rests on: trials that differ in these alone share one training."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import DataSpec, GenbenchError, RunRecord, SuiteError, generator, run_trial
from bench.engine.plan import TrialPlan, plan_trials
from bench.engine.runner import waves
from bench.engine.suite import check_suite
from bench.registry import registry

# A family that counts its evaluations, by steps of a solver.
FAMILY = next(name for name, entry in registry.all("generators").items() if {"steps", "solver"} <= entry.sampling)
SUITE = f"""
controls = false
metrics = ["fd_lenet", "nfe"]
budget = {{ train_steps = 6, samples = 40 }}
[datasets.digits]
[generators.ours]
family = "{FAMILY}"
preset = "test"
"""


def plans(text: str) -> list[TrialPlan]:
    return plan_trials(check_suite(tomllib.loads(text), "few"), "cpu")


def test_they_are_in_the_id_of_the_run_alone() -> None:
    (two,), (three,), (other,) = (plans(SUITE + more) for more in ("steps = 2", "steps = 3", "lr = 0.1"))
    assert two.training_id == three.training_id != other.training_id
    assert two.run_id != three.run_id


def test_where_samples_are_looked_at_on_the_way_they_decide_the_training() -> None:
    """By the curve, and by the moment that is kept."""
    looked = SUITE.replace("samples = 40", "samples = 40, evaluate_every = 0.5")
    (two,), (three,) = (plans(looked + more) for more in ("steps = 2", "steps = 3"))
    assert two.training_id != three.training_id


def test_a_name_that_is_no_hyperparameter_is_refused() -> None:
    class Nothing:
        """Draws zeros."""

        def __init__(self, spec: DataSpec, *, steps: int = 1) -> None:
            self.spec = spec

        def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
            return torch.zeros(n, *self.spec.shape)

    with pytest.raises(GenbenchError, match="sampling names 'step', which is none of its parameters"):
        generator("test/nothing", modalities={"image"}, sampling=("step",))(Nothing)


def test_of_trials_that_share_a_training_no_two_run_at_once() -> None:
    text = SUITE + "vary = { steps = [2, 3, 4] }\n" + SUITE.partition("[datasets.digits]")[2].replace("ours", "same")
    every = plans(f"seeds = [0, 1]\n{text}")
    found = waves(every)
    assert [len(wave) for wave in found] == [2, 2, 2, 2]  # of each seed three ways, and once more as "same"
    assert all(len({plan.training_id for plan in wave}) == len(wave) for wave in found)
    assert sorted(plan.run_id for wave in found for plan in wave) == sorted(plan.run_id for plan in every)


class TestVary:
    def test_one_table_stands_for_one_of_each_combination(self) -> None:
        found = plans(SUITE + "vary = { steps = [2, 3], width = [8, 16] }")
        assert [plan.generator for plan in found] == [
            "ours (steps=2, width=8)",
            "ours (steps=2, width=16)",
            "ours (steps=3, width=8)",
            "ours (steps=3, width=16)",
        ]
        assert [(plan.params["steps"], plan.params["width"]) for plan in found] == [(2, 8), (2, 16), (3, 8), (3, 16)]

    def test_a_label_that_is_its_family_stays_one(self) -> None:
        text = SUITE.replace("generators.ours", f"generators.{FAMILY}").replace(f'family = "{FAMILY}"', "")
        assert {plan.family for plan in plans(text + "vary = { steps = [2, 3] }")} == {FAMILY}

    @pytest.mark.parametrize(
        ("vary", "words"),
        [
            ("3", "vary = 3: should be lists of values by parameter"),
            ("{ steps = 3 }", "should be lists of values by parameter"),
            ("{ steps = [] }", "should be lists of values by parameter"),
            ("{}", "should be lists of values by parameter"),
            ("{ steps = [2, 2] }", "stands there 2 times: look at vary"),
            ("{ stepz = [2, 3] }", "unknown parameter 'stepz'"),
        ],
    )
    def test_what_lists_nothing_is_refused(self, vary: str, words: str) -> None:
        with pytest.raises(SuiteError) as caught:
            plans(f"{SUITE}vary = {vary}")
        assert words in str(caught.value)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, RunRecord]:
    """By steps, of trials that sample one model in three ways."""
    out: Path = tmp_path_factory.mktemp("ways")
    found = {p.params["steps"]: run_trial(p, out) for p in plans(SUITE + "vary = { steps = [1, 2, 8] }")}
    assert len([*(out / "checkpoints").glob("*.safetensors")]) == 1
    return found


class TestRun:
    def test_it_trains_once_and_measures_each(self, records: Mapping[int, RunRecord]) -> None:
        assert {*records} == {1, 2, 8} and all(record.status == "ok" for record in records.values())
        assert len({record.training_id for record in records.values()}) == 1
        values = {steps: {m.metric: m.value for m in record.measurements} for steps, record in records.items()}
        assert len({found["fd_lenet"] for found in values.values()}) == 3
        assert values[1]["nfe"] < values[2]["nfe"] < values[8]["nfe"]

    def test_the_page_plots_quality_against_evaluations(
        self, records: Mapping[int, RunRecord], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bench.results.board import leaderboards
        from reports._colours import slots
        from reports._effort import effort, effort_lines

        (board,) = leaderboards(records.values())
        lines = effort_lines(board)
        assert [*lines] == ["ours"] and len(lines["ours"]) == 3
        evaluations: list[Any] = [point.speed for point in lines["ours"]]
        assert evaluations == sorted(evaluations)
        figure = effort(board, slots(row.name for row in board.rows))
        assert figure is not None and figure.axes[0].get_xscale() == "log"
        (label,) = figure.axes[0].texts
        assert label.get_text() == "ours"

    def test_two_models_of_one_label_are_two_lines(self, records: Mapping[int, RunRecord]) -> None:
        """As of other widths."""
        from bench.results.board import leaderboards
        from reports._effort import effort_lines

        wide = []
        for record in records.values():
            label = record.plan.generator.replace(")", ", width=16)")
            plan = record.plan.model_copy(update={"generator": label, "params": {**record.plan.params, "width": 16}})
            run_id = record.run_id[::-1]
            wide.append(record.model_copy(update={"plan": plan, "training_id": "0" * 16, "run_id": run_id}))
        (board,) = leaderboards([*records.values(), *wide])
        lines = effort_lines(board)
        assert len(lines) == 2 and all(len(points) == 3 for points in lines.values())
