"""What the harness costs beside the work that it measures: ``make test-performance``."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.datasets.mnist import mnist5k
from bench.engine.budget import Target
from bench.engine.training import Schedule, batch_index, train
from bench.streams import stream
from generators.vae import VAE

pytestmark = pytest.mark.performance
STEPS, BATCH, PAIRS = 200, 64, 15
CPU = torch.device("cpu")


def test_the_training_loop_takes_hardly_more_than_a_bare_one(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """In turn, of one model and the same batches: streams, noted losses and checkpoints against none of these."""
    data = mnist5k()

    def bare() -> float:
        model, rng = VAE(data.spec), stream(0, "bare")
        started = time.perf_counter()
        for step in range(STEPS):
            {name: float(x) for name, x in model.train_step(data.train.batch(index(step)), rng).items()}
        return time.perf_counter() - started

    def index(step: int) -> torch.Tensor:
        return batch_index(len(data.train), BATCH, step, 0)

    def ours(number: int) -> float:
        model, schedule = VAE(data.spec), Schedule(Target("steps", STEPS), BATCH, checkpoint_every=200)
        path = tmp_path / f"{number}.safetensors"
        started = time.perf_counter()
        train(model, data.train, schedule, seed=0, device=CPU, checkpoint=path, about={})
        return time.perf_counter() - started

    bare(), ours(0)
    pairs = [(ours(i), bare()) if i % 2 else tuple(reversed((bare(), ours(i)))) for i in range(1, PAIRS + 1)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    benchmark.extra_info["overhead"] = ratio - 1
    print(f"the harness takes {100 * (ratio - 1):.1f} % on top of a bare loop, the median of {PAIRS} pairs in turn")
    benchmark.pedantic(bare, rounds=1)
    assert ratio < 1.03
