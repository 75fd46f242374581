"""What theory says of the deep convolutional GAN."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import Batch, DataSpec, Unsupported
from bench.streams import stream
from bench.testing import made_up
from generators.dcgan import DCGAN, discriminator_loss, generator_loss


class TestLosses:
    def test_they_are_the_cross_entropy_of_real_and_made(self) -> None:
        real, fake = torch.randn(2, 6, dtype=torch.float64)
        both, truth = torch.cat([real, fake]), torch.tensor([1.0] * 6 + [0.0] * 6, dtype=torch.float64)
        expected = F.binary_cross_entropy_with_logits(both, truth)
        assert float(discriminator_loss(lambda x: x, real, fake)) == pytest.approx(2 * float(expected))
        told_real = F.binary_cross_entropy_with_logits(fake, torch.ones(6, dtype=torch.float64))
        assert float(generator_loss(lambda x: x, fake)) == pytest.approx(float(told_real))

    def test_a_discriminator_that_cannot_tell_pays_two_bits(self) -> None:
        """2 log 2 where it says 1/2 of everything, which is its value at the game's end (Goodfellow et al. 2014)."""
        x = torch.randn(4)
        assert float(discriminator_loss(torch.zeros_like, x, x)) == pytest.approx(2 * math.log(2))

    def test_a_sure_discriminator_leaves_a_gradient(self) -> None:
        """Where log(1 - sigmoid) is flat, and where probabilities would be rounded to 0."""
        logit = torch.tensor([-200.0], requires_grad=True)
        loss = generator_loss(lambda x: x, logit)
        loss.backward()
        assert float(loss.detach()) == 200 and logit.grad is not None and float(logit.grad) == -1


class TestDCGAN:
    def test_the_generator_learns_through_the_discriminator_alone(self) -> None:
        """The generator's step leaves the discriminator's weights where its own step put them."""
        dataset = made_up("image")
        model = DCGAN(dataset.spec, width=8, latent=4)
        stepped: list[list[Tensor]] = []
        model.opt_d.register_step_post_hook(
            lambda *_: stepped.append([p.clone() for p in model.discriminator.parameters()])
        )
        model.train_step(Batch(dataset.train.data), stream(0, "train"))
        assert all(torch.equal(a, b) for a, b in zip(stepped[0], model.discriminator.parameters(), strict=True))

    def test_binary_images_are_refused(self) -> None:
        with pytest.raises(Unsupported, match="not binary pixels"):
            DCGAN(DataSpec("image", (1, 8, 8), "binary"))
