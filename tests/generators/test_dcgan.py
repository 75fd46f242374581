"""What theory and the reference say of the deep convolutional GAN."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench import Batch, DataSpec, Unsupported
from bench.streams import stream
from bench.testing import made_up
from generators.dcgan import DCGAN, make_discriminator, make_generator


class TestDCGAN:
    def test_maps_have_the_documented_sizes(self) -> None:
        shapes: list[tuple[int, ...]] = []
        net = make_generator(100, 256, 1, (7, 7))
        for layer in net:
            if isinstance(layer, nn.Unflatten | nn.ConvTranspose2d):
                layer.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
        net(torch.randn(2, 100))
        assert shapes == [(256, 7, 7), (128, 7, 7), (64, 14, 14), (1, 28, 28)]
        net = make_discriminator(64, 1, (7, 7), 0.3)
        shapes.clear()
        for layer in net:
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
        assert net(torch.randn(2, 1, 28, 28)).shape == (2, 1)
        assert shapes == [(64, 14, 14), (128, 7, 7)]

    def test_it_has_the_parameters_of_the_reference(self) -> None:
        """102*12544 + 256*128*25 + 2*128 + 128*64*25 + 2*64 + 64*25 + 1, and 64*26 + 128*64*25 + 128 + 6273."""
        model = DCGAN(DataSpec("image", (1, 28, 28), "continuous"))
        counts = [sum(p.numel() for p in m.parameters()) for m in (model.generator, model.discriminator)]
        assert counts == [2_305_473, 212_865]

    def test_the_generator_learns_through_the_discriminator_alone(self) -> None:
        """The generator's step leaves the discriminator's weights where its own step put them."""
        dataset = made_up("image")
        model = DCGAN(dataset.spec, width=8, noise=4)
        stepped: list[list[Tensor]] = []
        model.opt_d.register_step_post_hook(
            lambda *_: stepped.append([p.clone() for p in model.discriminator.parameters()])
        )
        model.train_step(Batch(dataset.train.data), stream(0, "train"))
        assert all(torch.equal(a, b) for a, b in zip(stepped[0], model.discriminator.parameters(), strict=True))

    def test_sides_that_are_no_multiple_of_four_are_refused(self) -> None:
        with pytest.raises(Unsupported, match="not 9x8"):
            DCGAN(DataSpec("image", (1, 9, 8), "continuous"))
