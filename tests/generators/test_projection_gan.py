"""What is known of the conditional GAN with a projection discriminator."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench import DataSpec, Rows, Unsupported
from bench.datasets.digits import digits
from bench.engine.training import advance
from bench.streams import stream
from generators.projection_gan import ProjectionGAN
from metrics.extractors.lenet import LeNetExtractor
from metrics.features.class_accuracy import class_accuracy


def test_data_without_labels_is_refused() -> None:
    with pytest.raises(Unsupported, match="sngan"):
        ProjectionGAN(DataSpec("image", (1, 8, 8), "continuous"))


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


@pytest.mark.slow
def test_digits_are_those_asked_for() -> None:
    """A classifier that was trained on other digits reads most of the 8x8 samples as labelled.

    Of real ones of that size it reads 0.79; by chance it would be 0.1.
    """
    torch.manual_seed(0)
    data, steps = digits(), 3000
    model = ProjectionGAN(data.spec, width=32, latent=32, lr=5e-3).train()
    for step in range(steps):
        model.pace(step / steps)
        advance(model, data.train, 64, step, 0, torch.device("cpu"))
    label = torch.arange(500) % 10
    made = model.eval().sample(500, stream(0, "s"), label)
    assert right(made, label) > 0.5


def right(images: Tensor, label: Tensor) -> float:
    """The share of images in [-1, 1] that the shipped classifier, which was trained on MNIST, reads as labelled."""
    levels = ((images + 1) * 127.5).round().to(torch.uint8)
    logits = LeNetExtractor()(levels).logits
    return class_accuracy(logits, label).value
