"""What is known of the networks that adversarial families share."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import DataSpec, Unsupported
from generators._adversarial import Adversarial
from generators._gan_nets import (
    BatchNorm,
    ConvDiscriminator,
    ConvGenerator,
    Layout,
    Residual,
    ResidualDiscriminator,
    ResidualGenerator,
)

GREY = DataSpec("image", (1, 28, 28), "continuous")


def colour(side: int) -> DataSpec:
    return DataSpec("image", (3, side, side), "continuous")


def maps_of(net: nn.Module, kind: type[nn.Module], *given: Tensor) -> list[tuple[int, ...]]:
    """Shapes that the layers of one kind give, in their order."""
    shapes: list[tuple[int, ...]] = []
    for layer in net.modules():
        if isinstance(layer, kind):
            layer.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
    net(*given)
    return shapes


def largest_singular_value(layer: Any) -> float:
    return float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2))


class TestSizes:
    def test_maps_are_halved_while_they_are_even_and_above_four(self) -> None:
        z, x = torch.randn(2, 5), torch.randn(2, 1, 28, 28)
        grown = maps_of(ConvGenerator(GREY, 5, 8), nn.ConvTranspose2d, z)
        assert grown == [(8, 14, 14), (1, 28, 28)]
        assert maps_of(ConvDiscriminator(GREY, 8), nn.Conv2d, x) == [(8, 14, 14), (16, 7, 7)]
        wide = maps_of(ConvDiscriminator(colour(64), 4), nn.Conv2d, torch.randn(2, 3, 64, 64))
        assert wide == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]

    @pytest.mark.parametrize("side", [8, 28, 32, 64])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_every_net_makes_and_judges_every_size(self, side: int, channels: int) -> None:
        spec, z = DataSpec("image", (channels, side, side), "continuous"), torch.randn(2, 5)
        layouts: tuple[Layout, ...] = ("dcgan", "sngan")
        pairs = [(ConvGenerator(spec, 5, 4, layout=way), ConvDiscriminator(spec, 4, layout=way)) for way in layouts]
        for makes, judges in [*pairs, (ResidualGenerator(spec, 5, 4), ResidualDiscriminator(spec, 4))]:
            made = makes(z)
            assert made.shape == (2, channels, side, side) and made.abs().max() <= 1
            assert judges(made).shape == (2,)

    def test_they_have_the_parameters_of_pytorchs_dcgan(self) -> None:
        """Its example for 64 pixels (100 numbers of noise, 64 maps): 3,576,704 and 2,765,568, and biases at the image.

        Here the layers that touch the image have biases: 3 in one net, 64 in the other.
        """
        nets = ConvGenerator(colour(64), 100, 64), ConvDiscriminator(colour(64), 64, norm="batch")
        counts = [sum(p.numel() for p in net.parameters()) for net in nets]
        assert counts == [3_576_704 + 3, 2_765_568 + 64]

    def test_the_sngan_layout_is_that_of_its_paper(self) -> None:
        """Convolutions of 3, 4, 3, 4, 3, 4 and 3 pixels (Table 3), with the channels of its authors' code."""
        net = ConvDiscriminator(colour(32), 64, layout="sngan")
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
        assert [layer.kernel_size[0] for layer in layers] == [3, 4, 3, 4, 3, 4, 3]
        assert [layer.out_channels for layer in layers] == [64, 128, 128, 256, 256, 512, 512]

    @pytest.mark.parametrize(
        ("spec", "why"),
        [
            (DataSpec("image", (1, 8, 8), "binary"), "not binary pixels"),
            (DataSpec("image", (4, 8, 8), "continuous"), "not 4"),
            (DataSpec("image", (1, 9, 8), "continuous"), "not 9x8"),
            (DataSpec("image", (1, 36, 36), "continuous"), "not 36x36"),
        ],
    )
    def test_what_they_cannot_make_is_refused(self, spec: DataSpec, why: str) -> None:
        for net in (ConvGenerator, ResidualGenerator):
            with pytest.raises(Unsupported, match=why):
                net(spec, 5, 4)


class TestSpectralNorm:
    def test_the_largest_singular_value_becomes_one(self) -> None:
        """Of each weight, a vector of each class among them, after some power iterations: one a call in training."""
        torch.manual_seed(0)
        net, x, label = (
            ConvDiscriminator(GREY, 8, norm="spectral", classes=10),
            torch.randn(2, 1, 28, 28),
            torch.ones(2),
        )
        for _ in range(30):
            net(x, label.long())
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]
        assert len(layers) == 4
        assert [largest_singular_value(layer) for layer in layers] == pytest.approx([1.0] * 4, abs=0.02)

    def test_evaluation_does_not_iterate(self) -> None:
        net, x = ConvDiscriminator(GREY, 8, norm="spectral"), torch.randn(2, 1, 28, 28)

        def moved() -> bool:
            before = {name: b.clone() for name, b in net.named_buffers()}
            net(x)
            return any(not torch.equal(b, before[name]) for name, b in net.named_buffers())

        assert moved()
        net.eval()
        assert not moved()

    def test_it_is_one_lipschitz(self) -> None:
        """Up to what reading a kernel as a matrix leaves out: a halving 4x4 kernel meets each pixel four times.

        However large the weights, the steepest slope that ascent finds is below that; without the norm it is far above.
        """
        assert steepest(ConvDiscriminator(GREY, 8, norm="spectral")) < 2**2 < steepest(ConvDiscriminator(GREY, 8)) / 10


def steepest(net: ConvDiscriminator) -> float:
    """The largest norm of the gradient by an image of 28x28, of weights ten times as large, that ascent comes to."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(10)
    for _ in range(30):
        net(torch.randn(2, 1, 28, 28))  # power iterations
    x = torch.randn(16, 1, 28, 28, requires_grad=True)
    rule = torch.optim.Adam([x], lr=0.1)
    net.eval()
    for _ in range(40):
        (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        size = slope.flatten(1).norm(dim=1)
        rule.zero_grad()
        (-size.sum()).backward(inputs=[x])
        rule.step()
    return float(size.detach().max())


class TestConditions:
    def test_a_projection_is_added_to_the_answer(self) -> None:
        """psi(phi(x)) + <v_y, phi(x)>."""
        net, x, label = ConvDiscriminator(GREY, 4, classes=3), torch.randn(5, 1, 28, 28), torch.tensor([0, 1, 2, 0, 1])
        phi, psi, v = net.features(x), net.answer, net.label
        assert isinstance(psi, nn.Linear) and isinstance(v, nn.Embedding)
        expected = torch.stack([phi[i] @ (psi.weight[0] + v.weight[y]) for i, y in enumerate(label)])
        assert torch.allclose(net(x, label), expected, atol=1e-5)

    def test_each_class_has_a_scale_and_a_shift_of_its_own(self) -> None:
        norm, h = BatchNorm(2, 3), torch.randn(4, 2, 3, 3)
        plain = nn.functional.batch_norm(h, None, None, training=True)
        label = torch.tensor([0, 1, 2, 1])
        assert torch.allclose(norm(h, label), plain, atol=1e-6)  # as it begins
        assert norm.scale is not None and norm.shift is not None
        norm.scale.weight.data[1], norm.shift.weight.data[1] = 2.0, -1.0
        expected = torch.where((label == 1).view(4, 1, 1, 1), 2 * plain - 1, plain)
        assert torch.allclose(norm(h, label), expected, atol=1e-6)


class TestResidualNets:
    def test_a_block_begins_as_the_identity(self) -> None:
        x = torch.randn(2, 16, 4, 4)
        assert torch.equal(Residual(16, 4)(x), x)

    def test_convolutions_of_three_pixels_are_in_groups_of_sixteen(self) -> None:
        layers = [
            m for m in ResidualGenerator(GREY, 5, 16).modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] == 3
        ]
        assert {layer.in_channels // layer.groups for layer in layers} == {16}

    def test_there_is_no_norm_of_any_kind(self) -> None:
        for net in (ResidualGenerator(GREY, 5, 8), ResidualDiscriminator(GREY, 8)):
            assert not [m for m in net.modules() if "Norm" in type(m).__name__]


class TestTheAverage:
    def test_it_has_the_buffers_of_the_last_step_and_mean_weights(self) -> None:
        """Statistics of batches are copied, or those of an average would be of nothing."""
        torch.manual_seed(0)
        model = Adversarial(
            ConvGenerator(GREY, 5, 4), ConvDiscriminator(GREY, 4), latent=5, lr=1e-2, betas=(0.0, 0.9), ema_decay=0.9
        )
        for _ in range(3):
            model.descend_generator(-model.discriminator(model.generator(torch.randn(8, 5))).mean())
        average, last = model.average.module.state_dict(), model.generator.state_dict()
        buffers = {name for name, _ in model.generator.named_buffers()}
        assert "norms.0.norm.running_mean" in buffers and last["norms.0.norm.running_mean"].any()
        assert all(torch.equal(average[name], last[name]) for name in buffers)
        assert not any(torch.equal(average[name], last[name]) for name, _ in model.generator.named_parameters())

    def test_the_discriminator_stands_still_while_the_generator_learns(self) -> None:
        model = Adversarial(
            ConvGenerator(GREY, 5, 4), ConvDiscriminator(GREY, 4), latent=5, lr=1e-2, betas=(0.0, 0.9), ema_decay=0.9
        )
        before = [p.clone() for p in model.discriminator.parameters()]
        model.descend_generator(-model.discriminator(model.generator(torch.randn(8, 5))).mean())
        assert all(torch.equal(p, old) for p, old in zip(model.discriminator.parameters(), before, strict=True))
        assert all(p.grad is None for p in model.discriminator.parameters())
