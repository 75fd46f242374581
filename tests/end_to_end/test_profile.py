"""``genbench profile``, and the fixture that hands its numbers to a test: one generator, measured in full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli._main import run_command
from bench.cli.profile import _print as show
from bench.cli.profile import quantity
from bench.pytest_plugin import Profile
from tests.report_records import failed

OF_A_FRESH_PROCESS = ("load_seconds", "first_batch_seconds", "sample_rss_bytes", "best_throughput", "best_batch_size")


def test_a_test_is_given_all_that_a_generator_costs(genbench_profile: Profile, tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    costs = genbench_profile(
        "vae", "mnist5k", preset="tiny", seconds=0.5, batch_size=16, device="cpu", settings=["latent=8"],
        also=["seconds_to:mse<=1", "seconds_to:fd_lenet<=1"], looks=["mse"], trace=trace,
    )  # fmt: skip
    for name in ("latency_p50", "sample_throughput", "train_throughput", "training_flops", *OF_A_FRESH_PROCESS):
        assert costs[name].value > 0, name
    assert costs["training_flops"].exact and costs["sample_rss_bytes"].protocol["process"] == "its own"
    assert costs["sample_throughput"].protocol["scenario"] == "offline"
    with pytest.raises(pytest.fail.Exception, match="no mfu: the peak of this processor is not known"):
        costs["mfu"]
    assert 0 < costs["seconds_to:mse<=1"].value <= 0.5  # no image is farther from another
    with pytest.raises(pytest.fail.Exception, match="of `genbench profile`: --look fd_lenet"):
        costs["seconds_to:fd_lenet<=1"]
    names = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"sample a batch", "training step"} <= names


def test_what_cannot_be_profiled_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["profile", "vae", "--dataset", "mnist5kk"]) == 2
    assert "did you mean 'mnist5k'" in capsys.readouterr().err
    assert run_command(["profile", "vae", "--dataset", "mnist5k", "--metric", "goodput:fast"]) == 2
    assert "write how long a token may take" in capsys.readouterr().err
    (tmp_path / "records").mkdir()
    assert run_command(["profile", "vae", "--dataset", "mnist5k", "--out", str(tmp_path)]) == 2
    assert "name a new folder" in capsys.readouterr().err


def test_a_trial_that_never_answered_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    show(failed("vae", environment={}), "vae", "mnist5k")
    assert "failed: ValueError: no luck" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (2.5e-5, "s", "25 µs"),
        (1.5 * 2**30, "B", "1.5 GiB"),
        (1020 * 2**10, "B", "1,020 KiB"),
        (45_600, "tokens/s", "45.6 k tokens/s"),
        (2.33e8, "FLOP", "233 MFLOP"),
        (3, "1", "3"),
        (0, "B", "0 B"),
    ],
)
def test_quantities_are_as_people_read_them(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text
