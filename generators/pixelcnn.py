"""PixelCNN++: an image pixel by pixel, by convolutions that see only what is above and to the left
(van den Oord et al. 2016, arXiv:1601.06759 and 1606.05328; Salimans et al. 2017, arXiv:1701.05517).

    p(x) = prod_i p(x_i | x_<i)

Two stacks of gated residual layers run side by side. One sees the rows above, by windows of 2x3 pixels; the other,
which is told of the first, also what is left in its own row, by windows of 2x2. Together no pixel before is hidden and
none after is seen: what a window would see too much of is cut off by shifting its output down, or to the right.

A layer is

    x + a sigmoid(b),    (a, b) = conv(concat_elu(conv(concat_elu(x)) + W concat_elu(other stack) + V label)),
    concat_elu(x) = elu([x, -x])

with weight normalisation, since norms over places would see the future. Pixels are a mixture of discretised logistics
of 256 levels, or Bernoulli variables (``generators/_pixels.py``). The halvings of the paper are left out, and the skips
between their two sides: each layer is at full size. ``mixture`` logistics: 10 in the paper.

Samples are drawn pixel by pixel, and nothing is computed twice: the first stack makes a row at a time, the second a
pixel, and both keep the inputs of each layer in this row and the last (Ramachandran et al. 2017, arXiv:1704.06001).
Labels and guidance as of ``generators/_labels.py``, of log p of a pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal, cast

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le, Lt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from bench import Batch, DataSpec, Presets, Rows, generator
from generators._ema import averaged_copy
from generators._labels import LABEL_DROPOUT, classes_if, guided, known, twice, withheld
from generators._pixels import Bernoulli, Logistic, OfLevels
from generators._schedule import descend, set_rate

PRESETS: Presets = {
    "test": {"width": 8, "layers": 1, "lr": 5e-3, "labels": True},
    "tiny": {"width": 16, "layers": 3, "lr": 1e-2},
    "paper": {"width": 160, "layers": 15, "mixture": 10, "dropout": 0.5, "lr": 1e-3, "ema_decay": 0.9995},
}
Convolve = Callable[["Causal", Tensor], Tensor]


@generator(
    "pixelcnn", modalities={"image"}, paper="arXiv:1701.05517", presets=PRESETS, sampling=("guidance", "temperature")
)
class PixelCNN(nn.Module):
    """Causal convolutions and a mixture of discretised logistics.

    width: channels; layers: of each stack; mixture: see above. labels, label_dropout, guidance: see above. temperature:
    of sampling, 1 = the model itself. ema_decay: of the average, which samples and is measured.
    dropout: of what a layer of the stacks has inside, while it trains. lr: Adam's. Raises GenbenchError, or
    Unsupported, for guidance without labels.
    """

    bound = False
    conditional = True
    log_prob_of: Literal["mass"] = "mass"

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: PositiveInt = 64,
        layers: PositiveInt = 6,
        mixture: PositiveInt = 5,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        labels: bool = False,
        label_dropout: Annotated[float, Ge(0), Le(1)] = LABEL_DROPOUT,
        guidance: NonNegativeFloat = 1.0,
        lr: PositiveFloat = 1e-3,
        temperature: PositiveFloat = 1.0,
        ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.995,
    ) -> None:
        super().__init__()
        self.shape, self.classes = spec.shape, classes_if(labels, spec, label_dropout, guidance)
        self.conditional = bool(self.classes)
        self.label_dropout, self.guidance, self.temperature = label_dropout, guidance, temperature
        channels, binary = spec.shape[0], spec.kind == "binary"
        self.pixels: OfLevels = Bernoulli(channels, binary) if binary else Logistic(channels, mixture)
        self.net = CausalStacks(channels, self.pixels.maps, width, layers, dropout, self.classes)
        self.average = averaged_copy(self.net, ema_decay)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=lr, fused=True)

    def pace(self, share: float) -> None:
        set_rate(self.optimiser, share)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """The loss is in nats a value."""
        label = withheld(batch.condition, self.classes, self.label_dropout, rng)
        out = self.net(batch.data, label).float()
        loss = -self.pixels.log_prob(batch.data, out).mean() / batch.data[0].numel()
        descend(self.optimiser, loss, max_norm=1.0)
        self.average.update_parameters(self.net)
        return {"loss": loss.item()}

    @torch.no_grad()
    def log_prob(self, batch: Batch) -> Tensor:
        """The exact log-probability in nats, ``(batch,)``; given labels where they are told."""
        out = self.average(batch.data, known(batch.condition, self.classes)).float()
        return self.pixels.log_prob(batch.data, out).double()

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        rows, device = Rows(rng, n), next(self.net.parameters()).device
        label = rows.labels(self.classes, condition).to(device) if self.classes else None
        u = rows.uniform(*self.shape).to(device)
        copies = 1
        if label is not None and self.guidance != 1:
            label, copies = twice(label, self.classes), 2
        with parametrize.cached():  # or each pixel would normalise all weights again
            sampler = CachedSampler(cast(CausalStacks, self.average.module), copies * n, self.shape, label)
            for row in range(self.shape[1]):
                sampler.begin(row)
                for column in range(self.shape[2]):
                    pixel = self.pixel(sampler.at(row, column).float(), u[:, :, row, column], copies)
                    sampler.image[:, :, row, column] = pixel.repeat(copies, 1)
        return sampler.image[:n].clone()

    def pixel(self, out: Tensor, u: Tensor, copies: int) -> Tensor:
        """Values ``(n, channels)`` by what the net says, ``(copies n, maps)``: of 2, the second without the label."""
        done = out.new_zeros(len(u), 0)
        for channel in range(self.shape[0]):
            log_p = self.pixels.next_channel(out, done.repeat(copies, 1)).log_softmax(1)
            log_p = guided(log_p, self.guidance) if copies == 2 else log_p
            done = torch.cat([done, self.pixels.drawn(log_p, u[:, channel], self.temperature)[:, None]], dim=1)
        return done


class CausalStacks(nn.Module):
    """``(batch, channels, height, breadth)`` to ``(batch, maps, ...)``; what is said of a pixel sees those before
    it."""

    def __init__(self, channels: int, maps: int, width: int, layers: int, dropout: float, classes: int | None) -> None:
        super().__init__()
        inside = channels + 1  # ones tell the image from what is around it
        self.above = Causal(inside, width, (2, 3))
        self.row_above, self.left = Causal(inside, width, (1, 3)), Causal(inside, width, (2, 1))
        self.rows = nn.ModuleList(Gated(width, (2, 3), dropout, classes) for _ in range(layers))
        self.pixels = nn.ModuleList(Gated(width, (2, 2), dropout, classes, told=True) for _ in range(layers))
        self.out = weight_norm(nn.Conv2d(width, maps, 1))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        x = framed(x)
        u = down(self.above(x))
        v = down(self.row_above(x)) + right(self.left(x))
        for of_rows, of_pixels in self.layers():
            u = of_rows(u, of_rows.told(label))
            v = of_pixels(v, of_pixels.told(label, u))
        out: Tensor = self.out(F.elu(v))
        return out

    def layers(self) -> Iterator[tuple[Gated, Gated]]:
        """Of both stacks, side by side."""
        return zip(cast(list[Gated], self.rows), cast(list[Gated], self.pixels), strict=True)


class Causal(nn.Module):
    """A convolution whose window ends at its pixel's row and, of two columns or one, at its column."""

    def __init__(self, inside: int, outside: int, window: tuple[int, int]) -> None:
        super().__init__()
        self.conv = weight_norm(nn.Conv2d(inside, outside, window))
        height, breadth = window
        self.around = (1, 1, height - 1, 0) if breadth == 3 else (breadth - 1, 0, height - 1, 0)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, self.around))
        return out


class Gated(nn.Module):
    """A residual layer of one stack; ``told``: of the other's features too."""

    def __init__(
        self, width: int, window: tuple[int, int], dropout: float, classes: int | None, *, told: bool = False
    ) -> None:
        super().__init__()
        self.first, self.second = Causal(2 * width, width, window), Causal(2 * width, 2 * width, window)
        self.other = weight_norm(nn.Conv2d(2 * width, width, 1)) if told else None
        self.label = nn.Embedding(classes + 1, width) if classes else None
        self.dropout = nn.Dropout(dropout)

    def told(self, label: Tensor | None, other: Tensor | None = None) -> Tensor | float:
        """What the label, of which the last stands for none, and the other stack's features add within the layer."""
        total: Tensor | float = 0.0
        if self.other is not None and other is not None:
            total = self.other(concat_elu(other))
        if self.label is not None:
            total = total + (self.label.weight[-1:] if label is None else self.label(label))[:, :, None, None]
        return total

    def forward(self, x: Tensor, told: Tensor | float, convolve: Convolve | None = None) -> Tensor:
        """convolve: how a layer's input becomes its output, where that is not all of the image at once."""
        convolve = convolve or (lambda layer, h: layer(h))
        h = convolve(self.first, concat_elu(x)) + told
        a, b = convolve(self.second, self.dropout(concat_elu(h))).chunk(2, dim=1)
        out: Tensor = x + a * b.sigmoid()
        return out


class CachedSampler:
    """A net that is asked for n images, one pixel after the other, and keeps of each layer the inputs that later ones
    see: of this row and the last.

    label: of each. ``image``: what is there so far, which the caller fills.
    """

    def __init__(self, net: CausalStacks, n: int, shape: tuple[int, ...], label: Tensor | None) -> None:
        self.net, self.label = net, label
        channels, self.breadth = shape[0], shape[2]
        device = net.out.weight.device
        self.seen = F.pad(framed(torch.zeros(n, *shape, device=device)), (1, 1, 2, 0))  # with what lies around it
        self.image = self.seen[:, :channels, 2:, 1:-1]
        self.kept: dict[nn.Module, Tensor] = {}  # (n, channels, 2, breadth + 2): a zero before each row and behind it
        self.weights = {
            layer: (layer.conv.weight.flatten(1), layer.conv.bias)
            for layer in net.modules()
            if isinstance(layer, Causal)
        }

    def begin(self, row: int) -> None:
        """The stack of rows, for this row."""
        for kept in self.kept.values():
            kept[:, :, 0] = kept[:, :, 1]
            kept[:, :, 1] = 0
        u = self.net.above.conv(self.seen[:, :, row : row + 2]) * (row > 0)
        self.first = (self.net.row_above.conv(self.seen[:, :, row + 1 : row + 2]) * (row > 0))[:, :, 0]
        self.of_row = list[tuple[Tensor, ...]]()
        for of_rows, of_pixels in self.net.layers():
            u = of_rows(u, of_rows.told(self.label), convolve=self._row)
            told = of_pixels.told(self.label, u)
            assert isinstance(told, Tensor)
            self.of_row.append(told[:, :, 0].unbind(2))

    def at(self, row: int, column: int) -> Tensor:
        """What the net says of a pixel, ``(n, maps)``."""
        v, self.column = self.first[:, :, column], column
        if column:
            v = v + F.linear(self.seen[:, :, row + 1 : row + 3, column].flatten(1), *self.weights[self.net.left])
        for (_, layer), told in zip(self.net.layers(), self.of_row, strict=True):
            v = layer(v, told[column], convolve=self._pixel)
        return F.linear(F.elu(v), self.net.out.weight.flatten(1), self.net.out.bias)

    def _row(self, layer: Causal, h: Tensor) -> Tensor:
        """A row ``(n, channels, 1, breadth)`` below the last one."""
        kept = self._kept(layer, h)
        kept[:, :, 1, 1:-1] = h[:, :, 0]
        out: Tensor = layer.conv(kept)
        return out

    def _pixel(self, layer: Causal, h: Tensor) -> Tensor:
        """A pixel ``(n, channels)`` to the right of the last one."""
        kept, c = self._kept(layer, h), self.column
        kept[:, :, 1, c + 1] = h
        return F.linear(kept[:, :, :, c : c + 2].flatten(1), *self.weights[layer])

    def _kept(self, layer: Causal, h: Tensor) -> Tensor:
        if layer not in self.kept:
            self.kept[layer] = h.new_zeros(*h.shape[:2], 2, self.breadth + 2)
        return self.kept[layer]


def concat_elu(x: Tensor) -> Tensor:
    """elu of x and of -x, side by side."""
    return F.elu(torch.cat([x, -x], dim=1))


def framed(x: Tensor) -> Tensor:
    """With a channel of ones."""
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


def down(x: Tensor) -> Tensor:
    return F.pad(x, (0, 0, 1, 0))[:, :, :-1]


def right(x: Tensor) -> Tensor:
    return F.pad(x, (1, 0))[:, :, :, :-1]
