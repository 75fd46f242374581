"""What genbench asks of every generator, asked of this one; and what is known of it alone."""

import torch
from bench import Batch, DataSpec
from bench.testing import GeneratorPromises

from acme_generator.flow import Flow


class TestPromises(GeneratorPromises):
    family = "acme_generator"


def test_it_learns_a_gaussian() -> None:
    """Mean and spread of what it makes are those of what it saw."""
    torch.manual_seed(0)
    mean, spread = torch.tensor([0.5, -0.5]), torch.tensor([0.1, 0.3])
    model = Flow(DataSpec("vector", (2,), "continuous"), width=64)
    rng = torch.Generator().manual_seed(0)
    for _ in range(1000):
        model.train_step(Batch(mean + spread * torch.randn(256, 2, generator=rng)), rng)
    made = model.sample(2000, rng)
    torch.testing.assert_close(made.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(made.std(0), spread, atol=0.05, rtol=0)
