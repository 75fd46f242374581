"""Trials and their ids: what decides a result is in its id, and nothing else is."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import Comparison, Estimate, GenbenchError, SuiteError, metric
from bench.cli.doctor import examine
from bench.engine.plan import TrialPlan, plan_trials
from bench.engine.suite import apply_override, check_suite
from bench.registry import DatasetEntry, registry
from tests.suites import IMAGE_FAMILY, OURS, SMALL, TEXT_FAMILY


def one_of_samples(c: Comparison) -> Estimate:
    """Nothing, as a metric of samples."""
    return Estimate(value=0.0, n=1)


def plans(*overrides: str, text: str = SMALL) -> list[TrialPlan]:
    table = tomllib.loads(text)
    for override in overrides:
        apply_override(table, override)
    return plan_trials(check_suite(table, "small"), "cpu")


def test_every_generator_meets_every_dataset_of_its_modality_and_every_seed() -> None:
    text = SMALL + f"[generators.words]\nfamily = '{TEXT_FAMILY}'\n[datasets.kjv]\n"
    found = [(p.generator, p.dataset, p.seed) for p in plans("seeds=[0, 1]", text=text)]
    images = [(g, "digits", s) for s in (0, 1) for g in ("ours", "copycat", "gaussian", "noise", "real")]
    texts = [(g, "kjv", s) for s in (0, 1) for g in ("words", "copycat", "ngram", "noise", "real", "shuffled")]
    assert found == [*images, *texts]


def test_metrics_can_be_left_out() -> None:
    asked = 'metrics=["fd", "kid"]', 'extractors=["lenet"]'
    assert plans(*asked)[0].metrics == ("fd_lenet", "kid_lenet")
    assert plans(*asked, 'without=["kid"]')[0].metrics == ("fd_lenet",)


def test_controls_can_be_left_out() -> None:
    assert [p.generator for p in plans("controls=false")] == ["ours"]


@pytest.mark.parametrize(
    "override",
    [
        "seeds=[1]",
        "generators.ours.preset=tiny",
        "budget.train_steps=21",
        "budget.batch_size=31",
        "generators.ours.lr=0.1",
    ],
)
def test_what_decides_the_weights_is_in_both_ids(override: str) -> None:
    (base, *_), (other, *_) = plans(), plans(override)
    assert other.training_id != base.training_id
    assert other.run_id != base.run_id


@pytest.mark.parametrize("override", ["budget.samples=99", "metrics=['fd_lenet']"])
def test_measuring_anew_does_not_mean_training_anew(override: str) -> None:
    (base, *_), (other, *_) = plans(), plans(override)
    assert other.training_id == base.training_id
    assert other.run_id != base.run_id


@pytest.mark.parametrize(
    "override", ["budget.time_limit=9", "budget.stall_limit=9", "budget.checkpoint_every=7", "about=x"]
)
def test_what_decides_nothing_is_in_no_id(override: str) -> None:
    (base, *_), (other, *_) = plans(), plans(override)
    assert (other.training_id, other.run_id) == (base.training_id, base.run_id)


def test_labels_tell_records_apart_but_share_the_training() -> None:
    twice = SMALL + OURS.replace("generators.ours", "generators.again")
    first, second, *_ = plans(text=twice)
    assert first.training_id == second.training_id
    assert first.run_id != second.run_id


def test_a_changed_family_is_another_family() -> None:
    plan = plans()[0]
    changed: dict[str, Any] = {**plan.model_dump(), "code": {**plan.code, plan.family: "0" * 64}}
    assert TrialPlan.model_validate(changed).training_id != plan.training_id


def test_what_looks_at_a_model_while_it_trains_decides_its_weights() -> None:
    """It decides the curve, and which moment is kept; what only measures the trained model does not."""
    looked, plain = plans("budget.evaluate_every=0.5")[0], plans()[0]
    for plan, trains_anew in ((looked, True), (plain, False)):
        for what in ("fd_lenet", "extractor lenet"):
            changed: dict[str, Any] = {**plan.model_dump(), "code": {**plan.code, what: "another"}}
            assert (TrialPlan.model_validate(changed).training_id != plan.training_id) == trains_anew


def test_the_same_data_in_another_place_is_the_same(tmp_path: Path) -> None:
    rng, ids = np.random.default_rng(0), set()
    images = rng.integers(0, 256, (300, 1, 8, 8), dtype=np.uint8)
    for name in ("here", "there"):
        np.savez(tmp_path / f"{name}.npz", images=images)
        text = SMALL.replace("[datasets.digits]", f"[datasets.mine]\nsource = 'npz:{tmp_path / name}.npz'")
        ids.add(plans("controls=false", text=text)[0].training_id)
    assert len(ids) == 1


def test_weights_that_arrive_later_make_it_another_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metrics.extractors.inception import WEIGHTS

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    without, *_ = plans("metrics=['fid']")
    weights = tmp_path / "hub" / "checkpoints" / WEIGHTS.file
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    arrived, *_ = plans("metrics=['fid']")
    assert arrived.training_id == without.training_id and arrived.run_id != without.run_id


def test_what_a_metric_reads_is_in_the_run_alone(tmp_path: Path) -> None:
    """As the script behind ``evaluate:PATH``."""
    script = tmp_path / "brevity" / "brevity.py"
    script.parent.mkdir()
    script.write_text("x = 1")
    asked = f"metrics=['evaluate:{script.parent}#score']"
    before, again = plans(asked)[0], plans(asked)[0]
    script.write_text("x = 2")
    after = plans(asked)[0]
    assert before.run_id == again.run_id != after.run_id and before.training_id == after.training_id


@pytest.mark.usefixtures("own_names")
def test_what_a_metric_reads_is_its_own_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "importing", True)  # as of a package, which a trial finds again
    said = ["1"]

    def measure(c: Comparison, name: str) -> Estimate:
        """Anything."""
        return Estimate(value=0.0, n=1)

    metric("acme/of:", aspect="realism", unit="1", better="none", content=lambda rest: said[0] + rest)(measure)
    first, other = (plans(f"metrics=['acme/of:{rest}']")[0].code[f"acme/of:{rest}"] for rest in "ab")
    said[0] = "2"
    assert len({first, other, plans("metrics=['acme/of:a']")[0].code["acme/of:a"]}) == 3
    metric("acme/broken", aspect="realism", unit="1", better="none", content=lambda: os.environ["ACME"])(one_of_samples)
    with pytest.raises(GenbenchError, match=r"'acme/broken' of .*, asked what it reads, failed: KeyError"):
        plans("metrics=['acme/broken']")


@pytest.mark.usefixtures("own_names")
def test_what_is_looked_at_on_the_way_is_declared_by_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a suite names nothing: the first in the order they give that applies and whose weights are here."""
    monkeypatch.setattr(registry, "importing", True)
    look = "budget.evaluate_every=0.5"
    assert plans(look)[0].curve_metrics == ("fd_lenet",)
    text = SMALL.replace("[datasets.digits]", "[datasets.kjv]").replace(IMAGE_FAMILY, TEXT_FAMILY)
    assert plans(look, "metrics=['perplexity']", text=text)[0].curve_metrics == ("bits_per_byte",)
    metric("acme/quick", aspect="realism", unit="1", better="lower", curve=0)(one_of_samples)
    assert plans(look)[0].curve_metrics == ("acme/quick",)
    assert plans(look, "without=['acme/quick']")[0].curve_metrics == ("fd_lenet",)


def broken(problem: Any) -> DatasetEntry:
    """A dataset of somebody's package whose constructor does that."""

    def make() -> Any:
        if isinstance(problem, BaseException):
            raise problem
        return problem

    return DatasetEntry(name="theirs/x", origin="acme_bench.data", about="", make=make, modality="image", locate=str)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ZeroDivisionError("of theirs\nand more"), "ZeroDivisionError: of theirs"),
        (SystemExit("no"), "SystemExit: no"),
        (None, "TypeError: it gave NoneType, which is no bench.Dataset"),
    ],
)
def test_a_dataset_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, problem: Any, words: str) -> None:
    monkeypatch.setitem(registry.tables["datasets"], "theirs/x", broken(problem))
    theirs = SMALL + "[datasets.other]\nsource = 'theirs/x'\n"
    with pytest.raises(GenbenchError) as caught:
        plans(text=theirs)
    told = (
        rf"datasets\.other: the dataset 'theirs/x' of acme_bench\.data failed: {words} \((test_)?plan\.py, line \d+\)"
    )
    assert re.fullmatch(told, str(caught.value))
    with pytest.raises(SuiteError) as several:
        plans("budget.samples=301", text=theirs)
    assert len(several.value.problems) == 2 and several.value.problems[1] == str(caught.value)
    assert "datasets.digits holds out only 300" in several.value.problems[0]


def test_an_extractor_that_cannot_be_asked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError("not today")

    lenet = registry.get("extractors", "lenet")
    monkeypatch.setitem(registry.tables["extractors"], "lenet", replace(lenet, locate=refuse))
    assert not registry.get("extractors", "lenet").here
    assert [(f.here, f.detail) for f in examine() if f.name == "lenet"] == [(False, "OSError: not today")]
    monkeypatch.setitem(registry.tables["extractors"], "lenet", replace(lenet, fits=refuse))
    with pytest.raises(GenbenchError, match=r"the extractor 'lenet' of metrics\.extractors\.lenet, .*: not today"):
        plans("metrics=['fd']")


def test_more_samples_than_the_floor_can_have_are_refused_with_the_number() -> None:
    with pytest.raises(SuiteError, match=r"set budget\.samples=300"):
        plans("budget.samples=301")
    assert plans("budget.samples=301", "controls=false")
