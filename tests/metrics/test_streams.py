"""Measures of streams against a generator whose every token takes a known time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Omitted, TooFew, Trial
from bench.measure.names import find_metric
from bench.measure.trial import measure_model
from bench.testing.made_up import SPECS, made_up
from metrics.cost.seconds_to import goal
from metrics.cost.stream_throughput import limit

WORDS = made_up(SPECS["text"])
TOKEN, PROMPT, SLOW = 0.004, 0.02, 3  # seconds of a token and of a prompt; every third token takes three times as long


class Clock:
    """In place of the system's, so that times are exact; a generator moves it, and nothing else."""

    now = 0.0


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: Clock.now)


class Metronome:
    """Says one token over and over, each in its time, however many streams there are."""

    ends_after: int | None = None

    def sleep(self, seconds: float) -> None:
        Clock.now += seconds

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, *WORDS.spec.shape, dtype=torch.int64)

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        return (piece[0] for piece in self.stream_batch(prompt[None], rng))

    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        self.sleep(PROMPT)
        said = 0
        while self.ends_after is None or said < self.ends_after:
            said += 1
            self.sleep(TOKEN * (SLOW if said % 3 == 0 else 1))
            yield torch.zeros(len(prompts), dtype=torch.int64)


def measured(name: str, model: object, trial: Trial | None = None) -> Estimate:
    found = trial or Trial(model, WORDS, seed=0, n_samples=8, batch_size=4, device=torch.device("cpu"))  # type: ignore[arg-type]
    return measure_model(find_metric(name), found)


def test_the_first_token_takes_the_prompt_too() -> None:
    found = measured("first_token_p50", Metronome())
    assert found.value == pytest.approx(PROMPT + TOKEN, rel=0.05)
    assert found.protocol["prompt"] == WORDS.spec.shape[0] // 2 and found.protocol["scenario"] == "streaming"


def test_a_token_that_sleeps_is_measured_to_a_twentieth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    class Sleeper(Metronome):
        def sleep(self, seconds: float) -> None:
            time.sleep(10 * seconds)

    assert measured("first_token_p50", Sleeper()).value == pytest.approx(10 * (PROMPT + TOKEN), rel=0.05)


def test_streams_side_by_side_are_counted_together_and_goodput_counts_what_comes_in_time() -> None:
    trial: Trial = Trial(Metronome(), WORDS, seed=0, n_samples=8, batch_size=4, device=torch.device("cpu"))
    mean = TOKEN * (2 + SLOW) / 3
    eight = measured("stream_throughput_8", None, trial)
    assert eight.value == pytest.approx(8 / mean, rel=0.05) and eight.interval
    in_time = measured("goodput:6ms", None, trial)  # two of three
    assert in_time.value == pytest.approx(eight.value * 2 / 3, rel=0.02)
    assert measured("goodput:1s", None, trial).value == pytest.approx(eight.value)
    assert measured("goodput:1ms", None, trial).value == 0
    assert list(trial.timings) == ["stream, 8 at a time"]  # timed once for both


def test_a_percentile_of_tokens_is_one_of_them_and_takes_enough() -> None:
    trial: Trial = Trial(Metronome(), WORDS, seed=0, n_samples=8, batch_size=4, device=torch.device("cpu"))
    assert measured("inter_token_p50", None, trial).value == pytest.approx(TOKEN, rel=0.05)
    with pytest.raises(TooFew, match=r"1\d\d calls were timed, and the percentile takes 662"):
        measured("inter_token_p99", None, trial)


def test_behind_the_end_of_a_stream_another_begins() -> None:
    brief = Metronome()
    brief.ends_after = 2
    found = measured("stream_throughput_1", brief)
    assert found.value == pytest.approx(2 / (PROMPT + 2 * TOKEN), rel=0.05)


def test_one_that_does_not_stream_has_none() -> None:
    class Mute:
        sample = Metronome.sample

    for name in ("first_token_p50", "stream_throughput_64", "goodput:20ms"):
        with pytest.raises(Omitted, match="needs the capability 'stream"):
            measured(name, Mute())


@pytest.mark.parametrize(("text", "seconds"), [("20ms", 0.02), ("0.5s", 0.5), ("1.5ms", 0.0015)])
def test_a_limit_is_a_time(text: str, seconds: float) -> None:
    assert limit(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "20", "fast", "0ms", "-1s", "1.2.3s", "."])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(GenbenchError, match="write how long a token may take"):
        limit(text)


def test_a_goal_is_a_metric_and_a_number() -> None:
    assert goal("fd_lenet<=50") == ("fd_lenet", "<=", 50.0)
    assert goal("is_lenet >= 2.5") == ("is_lenet", ">=", 2.5)
    for text in ("fd_lenet", "fd_lenet<50", "fd_lenet<=x", "<=5", "fd<=nan", ""):
        with pytest.raises(GenbenchError, match="write METRIC<=NUMBER"):
            goal(text)
