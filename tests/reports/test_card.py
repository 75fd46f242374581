"""The card of a model: its numbers and where they come from, and nothing of others' work or of a moment's machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from bench import GenbenchError
from bench.registry import registry
from tests.report_records import ENVIRONMENT, record

CARD = registry.get("reports", "model-card")


def test_it_holds_numbers_their_protocol_data_and_training_alone(tmp_path: Path) -> None:
    scores = {"fd_lenet": 9.25, "sample_throughput": 77.0, "parameters": 123.0}
    busy = {**ENVIRONMENT, "load": {"busy": True}}
    records = [
        record("vae", seed, scores=scores, environment=busy, params={"latent": 17}, remarks=("a remark of a trial",))
        for seed in (0, 1)
    ] + [record("real", control=True, scores={"fd_lenet": 1.5}), record("noise")]
    CARD.write(records, tmp_path, tmp_path, ["a note of a folder"])
    card = ModelCard.load(tmp_path / "README.md")
    for words in (
        "| fd_lenet ↓ | 9.25 | 1.50 |",
        "lower is better",
        "| latent | 17 |",
        "sha256:",
        "seeds 0, 1",
    ):
        assert words in card.text, words
    for words in ("place", "tier", "noise", "busy", "77", "remark", "note"):
        assert words not in card.text, words
    assert {result.metric_type for result in card.data.eval_results or []} == {"fd_lenet", "parameters"}
    assert "\n# license: " in (tmp_path / "README.md").read_text()


def test_it_tells_what_was_left_out_of_the_data_and_nothing_of_how_the_run_was_kept_going(tmp_path: Path) -> None:
    """Nor does it say anything of data that nobody counted, as in records of before."""
    budget = {"train_steps": 600, "batch_size": 64, "checkpoint_every": 211, "stall_limit": 1717.0, "samples": 1313}
    plan: dict[str, Any] = {
        "splits": {"train": 1200, "valid": 100, "test": 90}, "budget": budget,
        "left_out": {"cannot be decoded": 2, "stand there twice": 1},
    }  # fmt: skip
    CARD.write([record("vae", scores={"fd_lenet": 9.25}, steps=600, **plan)], tmp_path, tmp_path, [])
    text = (tmp_path / "README.md").read_text()
    for words in (
        "| train | 1,200 examples |",
        "| test | 90 examples |",
        "| train_steps | 600 |",
        "| batch_size | 64 |",
    ):
        assert words in text, words
    assert "| left out | 3: 2 cannot be decoded, 1 stand there twice |" in text
    for words in ("checkpoint_every", "stall_limit", "211", "1717", "1313"):
        assert words not in text, words
    CARD.write([record("vae", scores={"fd_lenet": 9.25}, left_out={})], tmp_path, tmp_path, [])
    text = (tmp_path / "README.md").read_text()
    assert "| left out | 0 |" in text and "examples |" not in text
    CARD.write([record("vae", scores={"fd_lenet": 9.25})], tmp_path, tmp_path, [])
    assert "left out" not in (tmp_path / "README.md").read_text()


def test_one_that_has_only_times_of_a_busy_machine_has_a_card_without_numbers(tmp_path: Path) -> None:
    busy = {**ENVIRONMENT, "load": {"busy": True}}
    CARD.write([record("vae", scores={"sample_throughput": 77.0}, environment=busy)], tmp_path, tmp_path, [])
    card = ModelCard.load(tmp_path / "README.md")
    assert not card.data.eval_results and "## Training" in card.text and "77" not in card.text and "±" not in card.text
    assert "None: what was timed was so on a busy machine, and is left out." in card.text
    CARD.write([record("vae")], tmp_path, tmp_path, [])
    assert "None: nothing of it was measured." in (tmp_path / "README.md").read_text()


def test_the_home_of_its_user_is_not_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    plan: dict[str, Any] = {"source": "folder:/home/ada/pictures", "options": {"labels": "/home/ada/labels.csv"}}
    CARD.write([record("vae", scores={"fd_lenet": 9.25}, **plan)], tmp_path, tmp_path, [])
    text = (tmp_path / "README.md").read_text()
    assert "/pictures" in text and "/labels.csv" in text and "ada" not in text


def test_several_models_or_datasets_are_refused(tmp_path: Path) -> None:
    scores = {"fd_lenet": 9.25}
    for other in (record("gan", scores=scores), record("vae", dataset="digits", scores=scores)):
        with pytest.raises(GenbenchError, match=r"one model on one dataset, and here are .*vae on mnist"):
            CARD.write([record("vae", scores=scores), other], tmp_path, tmp_path, [])
    assert not any(tmp_path.iterdir())
