"""MADE: an autoencoder whose outputs see only what stands before them (Germain et al. 2015, arXiv:1502.03509).

    p(x) = prod_d p(x_d | x_<d)                                                                                 (Eq. 4)

One pass of a perceptron gives all D factors if its weights are masked: each hidden unit has a number m between 1 and D
- 1, here spread evenly, and is connected to inputs, or units of the layer before, whose number is at most m; and output
d to hidden units whose number is less than d (Eqs. 8, 9). Then no path leads from x_d to what is said of it.

``made`` is of black and white pixels, each a Bernoulli variable, or of 256 levels, each a mixture of discretised
logistics (``generators/_pixels.py``). ``maf`` is its density of real values (Papamakarios et al. 2017,
arXiv:1705.07057): each Gaussian given those before, which is a flow, z_d = (x_d - mu_d) exp(-alpha_d) (Eqs. 4, 5),
``blocks`` of them one after the other with the order turned around in between (section 3.1). alpha is kept within 3.

Orders are not changed while it trains (one of them), and samples go value by value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

import torch
import torch.nn.functional as F
from annotated_types import MinLen
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, Presets, Rows, generator
from generators._flows import Layer, Maps, NormalisingFlow
from generators._pixels import Bernoulli, Logistic, OfLevels
from generators._schedule import descend, set_rate

PRESETS: Presets = {
    "test": {"hidden": [32], "lr": 5e-3},
    "tiny": {"hidden": [1000], "lr": 2e-3},
    "paper": {"hidden": [8000, 8000], "lr": 1e-3},  # section 6.2, binarised MNIST
}
DENSITY: Presets = {
    "test": {"width": 16, "blocks": 2, "lr": 5e-3},
    "tiny": {"space": "latent", "width": 128, "blocks": 5, "lr": 2e-3},
    "paper": {"width": 1024, "blocks": 5, "logit": True, "lr": 1e-4},
}


@generator("made", modalities={"image"}, paper="arXiv:1502.03509", presets=PRESETS)
class MADE(nn.Module):
    """Masked perceptron over the values of an image, channel by channel and row by row.

    hidden: sizes of its layers. lr: Adam's.
    """

    bound = False
    log_prob_of: Literal["mass"] = "mass"

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden: Annotated[tuple[PositiveInt, ...], MinLen(1)] = (1000,),
        lr: PositiveFloat = 1e-3,
    ) -> None:
        super().__init__()
        self.shape, size = spec.shape, math.prod(spec.shape)
        self.pixels: OfLevels = Bernoulli(1, binary=True) if spec.kind == "binary" else Logistic(1)
        self.net = Masked(size, hidden, self.pixels.maps)
        self.optimiser = torch.optim.Adam(self.parameters(), lr=lr, fused=True)

    def pace(self, share: float) -> None:
        set_rate(self.optimiser, share)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """The loss is in nats an image."""
        loss = -self.score(batch.data).mean()
        descend(self.optimiser, loss)
        return {"loss": loss.item()}

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        u = Rows(rng, n).uniform(self.net.size).to(next(self.parameters()).device)

        def value(d: int, out: Tensor) -> Tensor:
            told = self.pixels.next_channel(out.float(), out[:, :0])
            return self.pixels.drawn(told, u[:, d])

        return self.net.in_order(n, value).view(n, *self.shape)

    @torch.no_grad()
    def log_prob(self, batch: Batch) -> Tensor:
        """The exact log-probability in nats, ``(batch,)``."""
        return self.score(batch.data).double()

    def score(self, x: Tensor) -> Tensor:
        """log p(x) in nats, ``(batch,)``, with a gradient."""
        out = self.net(x.flatten(1)).float()  # (batch, maps, size)
        return self.pixels.log_prob(x.view(len(x), 1, -1, 1), out[..., None])


@generator("maf", modalities={"image"}, paper="arXiv:1705.07057", presets=DENSITY, sampling=("temperature",))
class MAF(NormalisingFlow):
    """Masked autoregressive flow: ``blocks`` of MADEs with two hidden layers of ``width``.

    The rest as of ``generators/_flows.py`` and ``generators/_latent.py``.
    """

    presets = DENSITY

    def __init__(self, spec: DataSpec, *, blocks: PositiveInt = 5, width: PositiveInt = 128, **rest: Any) -> None:
        super().__init__(spec, **rest)
        self.ready([[MaskedLayer(self.shape, width, bool(i % 2)) for i in range(blocks)]])


class MaskedLayer(Layer):
    """z_d = (x_d - mu(x_<d)) exp(-alpha(x_<d)), over values in their order or from the last to the first."""

    def __init__(self, shape: tuple[int, ...], width: int, backwards: bool) -> None:
        super().__init__()
        self.backwards = backwards
        self.net = Masked(torch.Size(shape).numel(), [width, width], outputs=2)

    def forward(self, x: Tensor) -> Maps:
        flat = self._turned(x.flatten(1))
        shift, log_scale = self._parts(self.net(flat))
        return self._turned((flat - shift) * (-log_scale).exp()).view_as(x), -log_scale.sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        z = self._turned(y.flatten(1))

        def value(d: int, out: Tensor) -> Tensor:
            shift, log_scale = self._parts(out)
            return z[:, d] * log_scale.exp() + shift

        return self._turned(self.net.in_order(len(z), value)).view_as(y)

    @staticmethod
    def _parts(out: Tensor) -> tuple[Tensor, Tensor]:
        """mu and alpha of what the net says, ``(batch, 2, ...)``."""
        shift, log_scale = out.float().unbind(1)
        return shift, 3 * torch.tanh(log_scale / 3)

    def _turned(self, x: Tensor) -> Tensor:
        return x.flip(1) if self.backwards else x


class Masked(nn.Module):
    """``(batch, size)`` to ``(batch, outputs, size)``, of which what is said of d sees only x_1 .. x_{d-1}."""

    def __init__(self, size: int, hidden: Any, outputs: int) -> None:
        super().__init__()
        self.size, self.outputs = size, outputs
        self.numbers, layers = [torch.arange(1, size + 1)], list[nn.Module]()  # of each layer's units, which rise
        for many in hidden:
            following = 1 + torch.arange(many) * max(1, size - 1) // many
            layers += [MaskedLinear(following[:, None] >= self.numbers[-1]), nn.ReLU()]
            self.numbers.append(following)
        last = torch.arange(1, size + 1).repeat(outputs)
        self.layers = nn.Sequential(*layers, MaskedLinear(last[:, None] > self.numbers[-1]))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x).unflatten(1, (self.outputs, self.size))
        return out

    def in_order(self, n: int, value: Callable[[int, Tensor], Tensor]) -> Tensor:
        """x ``(n, size)``, value by value: ``value(d, what is said of d)``, ``(n,)`` of ``(n, outputs)``.

        Each unit is computed once, when the last value that it sees is there: all of it costs as much as one pass.
        """
        *hidden, last = (cast(MaskedLinear, layer) for layer in self.layers[::2])
        weights, biases = last.weight.unflatten(0, (self.outputs, self.size)), last.bias.view(self.outputs, self.size)
        # How many inputs, and units of each layer, have a number of at most 0 .. size.
        ends = [
            [0, *torch.bincount(numbers, minlength=self.size + 1)[1:].cumsum(0).tolist()] for numbers in self.numbers
        ]
        known = [last.weight.new_zeros(n, len(numbers)) for numbers in self.numbers]
        for d in range(self.size):
            end = ends[-1][d]
            known[0][:, d] = value(d, F.linear(known[-1][:, :end], weights[:, d, :end], biases[:, d]))
            for i, layer in enumerate(hidden):
                seen, new = ends[i][d + 1], slice(ends[i + 1][d], ends[i + 1][d + 1])
                said = F.linear(known[i][:, :seen], layer.weight[new, :seen], layer.bias[new])
                known[i + 1][:, new] = said.relu()
        return known[0]


class MaskedLinear(nn.Linear):
    """A linear layer of which only the weights under ``mask`` ``(outside, inside)`` are there."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.mask: Tensor
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)
