"""What is known of the conditional GAN with a projection discriminator."""

from __future__ import annotations

import torch

from bench import DataSpec, Rows
from bench.streams import stream
from generators.projection_gan import ProjectionGAN


def test_labels_that_nobody_asks_for_are_drawn() -> None:
    """Those that the same stream would draw, asked for by name, give the same samples."""
    torch.manual_seed(0)
    model = ProjectionGAN(DataSpec("image", (1, 8, 8), "continuous", classes=10), width=4, latent=4).eval()
    for table in (m for name, m in model.average.named_modules() if name.endswith(("scale", "shift"))):
        torch.nn.init.normal_(table.weight)
    rows = Rows(stream(0, "s"), 6)
    rows.normal(4)
    drawn = rows.labels(10)
    free, asked, other = (model.sample(6, stream(0, "s"), label) for label in (None, drawn, (drawn + 1) % 10))
    assert torch.equal(free, asked) and not torch.equal(free, other)
