"""Ratios of sampling speed, both sides measured in one run: ``make test-performance``."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from bench import DataSpec
from bench.streams import normal, stream, uniform
from generators.gpt import GPT
from tests.performance.timing import ROUNDS, median, seconds

pytestmark = pytest.mark.performance


@torch.no_grad()
def without_cache(model: GPT, n: int, rng: torch.Generator) -> Tensor:
    """Sampling as it would be if every token read the whole context again."""
    u = uniform(rng, n, model.window)
    context = model.head.start(n, torch.device("cpu"))[:, None]
    for t in range(model.window):
        logits, _ = model(context)
        context = torch.cat([context, model.head.draw(logits[:, -1], u[:, t])[:, None]], dim=1)
    return context[:, 1:]


def test_the_cache_makes_sampling_at_least_three_times_faster(benchmark: BenchmarkFixture) -> None:
    torch.manual_seed(0)
    model = GPT(DataSpec("text", (256,), "tokens", vocab=256), layers=4, heads=4, width=128).eval()
    drawn = model.sample(2, stream(0, "s"))
    assert isinstance(drawn, Tensor) and torch.equal(drawn, without_cache(model, 2, stream(0, "s")))
    naive = seconds(lambda: without_cache(model, 8, stream(0, "s")))
    benchmark.pedantic(lambda: model.sample(8, stream(0, "s")), rounds=ROUNDS, warmup_rounds=1)
    ratio = naive / median(benchmark)
    benchmark.extra_info["times faster"] = ratio
    assert ratio > 3


def test_draws_of_their_own_cost_little_beside_a_network(benchmark: BenchmarkFixture) -> None:
    """A stream for every sample is dearer than one for all, but stays below a tenth of drawing DCGAN's digits."""
    from generators.dcgan import DCGAN

    model = DCGAN(DataSpec("image", (1, 28, 28), "continuous")).eval()
    network = seconds(lambda: model.sample(256, stream(0, "s")))
    benchmark.pedantic(lambda: normal(stream(0, "s"), 256, 100), rounds=ROUNDS, warmup_rounds=1)
    assert median(benchmark) < network / 10
