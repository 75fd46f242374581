"""Convolutional LSTM (Shi et al. 2015, arXiv:1506.04214): an encoder reads the first frames, a forecaster goes on.

    i_t = sigmoid(W_xi * X_t + W_hi * H_{t-1} + W_ci . C_{t-1} + b_i)          * convolves, . multiplies place by place
    f_t = sigmoid(W_xf * X_t + W_hf * H_{t-1} + W_cf . C_{t-1} + b_f)
    C_t = f_t . C_{t-1} + i_t . tanh(W_xc * X_t + W_hc * H_{t-1} + b_c)
    o_t = sigmoid(W_xo * X_t + W_ho * H_{t-1} + W_co . C_t + b_o)
    H_t = o_t . tanh(C_t)                                                                                     (Eq. 3)

Frames are read in patches, as channels of fewer places (section 4.1). The forecaster is another stack of the same
layers that begins with the encoder's states and is given nothing; what all of its layers say together is, through one
convolution of 1x1, the next frames (section 3.2, Figure 3). The loss is the cross-entropy of pixels as probabilities,
whose best answer is the mean, as it is of the squared error.

A predictor is no generator: it must be given a beginning. Here the first ``context`` frames are learned by a small VAE
(``generators/vae.py``), of frames that lie behind each other as channels; a sample is what that draws and how the
predictor goes on. It is as good as the VAE, and as certain of the rest as a mean is: where the past leaves open what
comes, it blurs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, GenbenchError, Presets, Unsupported, generator
from generators._clips import filled
from generators._pixels import pixels_of
from generators._schedule import descend, set_rate
from generators.vae import VAE

PRESETS: Presets = {
    "test": {"width": 8, "layers": 2, "kernel": 3, "patch": 2, "lr": 5e-3, "latent": 3, "coder_width": 8},
    "tiny": {"width": 32, "layers": 2, "kernel": 3, "patch": 4, "lr": 3e-3, "latent": 16, "coder_width": 32},
    "paper": {
        "width": 128,
        "layers": 2,
        "kernel": 5,
        "patch": 4,
    },  # section 4.1: two layers of 128; also 256, 128-64-64
}
State = tuple[Tensor, Tensor]  # H and C, (batch, width, height, breadth) each


@generator("convlstm", modalities={"video"}, paper="arXiv:1506.04214", presets=PRESETS)
class ConvLSTM(nn.Module):
    """Predictor of frames by convolutional LSTMs, with a learned prior of the first frames.

    context: frames that are read before it predicts, left out: half of a clip. width, layers, kernel: of either stack.
    patch: squares of so many pixels a side are taken for one place. lr: of the predictor. latent, coder_width,
    coder_lr: of the VAE of the first frames. Raises Unsupported for sides that are no multiples of patch.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        context: PositiveInt | None = None,
        width: PositiveInt = 64,
        layers: PositiveInt = 2,
        kernel: Literal[1, 3, 5, 7] = 5,
        patch: PositiveInt = 4,
        lr: PositiveFloat = 1e-3,
        latent: PositiveInt = 32,
        coder_width: Annotated[int, Ge(1)] = 32,
        coder_lr: PositiveFloat = 3e-3,
    ) -> None:
        super().__init__()
        frames, channels, *sides = spec.shape
        self.shape, self.context, self.patch = spec.shape, context or frames // 2, patch
        if any(side % patch for side in sides):
            raise Unsupported(f"patch = {patch}: sides of frames must be multiples of it, and here they are {sides}")
        if not 0 < self.context < frames:
            raise GenbenchError(f"context = {self.context}: of {frames} frames at least one must be left to predict")
        coarse, inside = [side // patch for side in sides], channels * patch**2
        of_frame = DataSpec("image", (channels, *sides), spec.kind)
        self.pixels = pixels_of(of_frame, "bernoulli")
        self.encoder = nn.ModuleList(Layer(width if i else inside, width, kernel, coarse) for i in range(layers))
        self.forecaster = nn.ModuleList(Layer(width if i else 0, width, kernel, coarse) for i in range(layers))
        self.write = nn.Conv2d(layers * width, self.pixels.maps * patch**2, 1)
        self.predictor = nn.ModuleList([self.encoder, self.forecaster, self.write])
        of_first = DataSpec("image", (self.context * channels, *sides), spec.kind)
        self.first = VAE(of_first, latent=latent, net="conv", width=coder_width, lr=coder_lr)
        self.optimiser = torch.optim.Adam(self.predictor.parameters(), lr=lr, fused=True)

    def pace(self, share: float) -> None:
        set_rate(self.optimiser, share)
        self.first.pace(share)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        batch = filled(batch)
        loss = self.loss(batch.data).mean()
        descend(self.optimiser, loss, max_norm=1.0)
        first = self.first.train_step(self.beginning(batch.data), rng)["loss"]
        return {"loss": loss.item() + first, "prediction": loss.item(), "first frames": first}

    def loss(self, x: Tensor) -> Tensor:
        """Cross-entropy of the frames behind the context in nats, summed over each clip, ``(batch,)``."""
        start, rest = x[:, : self.context], x[:, self.context :]
        said = self(start, rest.shape[1])
        return -self.pixels.log_prob(rest.flatten(0, 1), said.flatten(0, 1)).view(rest.shape[:2]).sum(1)

    @torch.no_grad()
    def example_loss(self, batch: Batch) -> Tensor:
        """That, and the VAE's loss of the frames before, ``(batch,)``."""
        batch = filled(batch)
        return self.loss(batch.data) + self.first.example_loss(self.beginning(batch.data))

    def beginning(self, x: Tensor) -> Batch:
        """The first frames as pictures with as many more channels."""
        return Batch(x[:, : self.context].flatten(1, 2))

    def forward(self, start: Tensor, steps: int) -> Tensor:
        """Logits ``(batch, steps, maps, height, breadth)`` of what follows frames ``(batch, frames, ...)``."""
        frames = start.flatten(0, 1).contiguous()
        x, states = F.pixel_unshuffle(frames, self.patch).unflatten(0, start.shape[:2]), list[State]()
        for layer in self.encoder:
            x, state = layer(x, None, x.shape[1])
            states.append(state)
        said, h = [], None
        for layer, state in zip(self.forecaster, states, strict=True):
            h, _ = layer(h, state, steps)
            said.append(h)
        out = self.write(torch.cat(said, dim=2).flatten(0, 1))
        found: Tensor = F.pixel_shuffle(out, self.patch).unflatten(0, (len(start), steps)).float()
        return found

    @torch.no_grad()
    def forecast(self, start: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        """The mean of what follows; nothing is drawn."""
        said = self(start, steps)
        mean: Tensor = self.pixels.mean(said.flatten(0, 1)).unflatten(0, said.shape[:2])
        return mean

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """First frames of the VAE, and what follows them."""
        start = self.first.sample(n, rng).unflatten(1, (self.context, self.shape[1]))
        return torch.cat([start, self.forecast(start, self.shape[0] - self.context, rng)], dim=1)


class Layer(nn.Module):
    """A layer of Eq. 3. inside: channels of its input, 0 for one that is given none. sides: of the places."""

    def __init__(self, inside: int, width: int, kernel: int, sides: list[int]) -> None:
        super().__init__()
        self.width, self.sides = width, sides
        self.of_x = nn.Conv2d(inside, 4 * width, kernel, padding="same", bias=False) if inside else None
        self.of_h = nn.Conv2d(width, 4 * width, kernel, padding="same")
        self.peepholes = nn.Parameter(torch.zeros(3, width, *sides))  # W_ci, W_cf, W_co

    def forward(self, x: Tensor | None, state: State | None, steps: int) -> tuple[Tensor, State]:
        """H of each step ``(batch, steps, width, ...)``, of x ``(batch, steps, inside, ...)`` or of none."""
        if state is None:
            assert x is not None  # a layer is given something, or begins somewhere
            zeros = x.new_zeros(len(x), self.width, *self.sides)
            state = zeros, zeros
        read = None  # of all steps at once, as no step of them waits for another
        if x is not None and self.of_x is not None:
            read = self.of_x(x.flatten(0, 1)).unflatten(0, (len(x), steps))
        found = []
        for t in range(steps):
            gates = self.of_h(state[0])
            state = self.cell(gates if read is None else gates + read[:, t], state[1])
            found.append(state[0])
        return torch.stack(found, dim=1), state

    def cell(self, gates: Tensor, c: Tensor) -> State:
        """Eq. 3, the convolutions done."""
        i, f, g, o = gates.chunk(4, dim=1)
        w_ci, w_cf, w_co = self.peepholes
        c = (f + w_cf * c).sigmoid() * c + (i + w_ci * c).sigmoid() * g.tanh()
        return (o + w_co * c).sigmoid() * c.tanh(), c
