"""TarFlow: a normalising flow of transformers (Zhai et al. 2025, arXiv:2412.06329).

An image is a sequence of patches x_1 .. x_N, and a block moves each by what a causal transformer says of those before:

    z_i = (x_i - mu(x_<i)) exp(-alpha(x_<i)),    log |det dz/dx| = -sum alpha            (Eqs. 4 to 6)

The first is left as it is. ``blocks`` of them follow one another, each in the other direction. Forward is one pass; the
inverse goes patch by patch, x_i = z_i exp(alpha(x_<i)) + mu(x_<i), and remembers keys and values of those it has made.

noise      standard deviation of what is added to images in training, which such a flow needs to make good ones
           (section 2.4). Its density is that of noised images, and samples are cleaned by one step of its own score
           (section 2.5, after Tweedie): x + noise^2 grad log p(x). 0: levels spread over their cells, and a density of
           images; nothing is cleaned

In a latent space a patch is ``patch`` latents.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, GenbenchError, Omitted, Presets, Rows, Unsupported, generator
from generators._attention import Cache
from generators._flows import Layer, Maps, NormalisingFlow
from generators._transformer import Block

PRESETS: Presets = {
    "test": {"width": 8, "heads": 2, "blocks": 2, "layers": 1, "patch": 4, "lr": 5e-3},
    "tiny": {
        "space": "latent",
        "width": 48,
        "heads": 2,
        "blocks": 4,
        "layers": 1,
        "patch": 2,
        "noise": 0.0,
        "lr": 3e-3,
    },
    # the authors' for ImageNet of 64 pixels
    "paper": {"width": 768, "heads": 12, "blocks": 8, "layers": 8, "patch": 2, "noise": 0.05, "lr": 1e-4},
}


@generator("tarflow", modalities={"image"}, paper="arXiv:2412.06329", presets=PRESETS, sampling=("temperature",))
class TarFlow(NormalisingFlow):
    """Autoregressive flow over patches of ``patch`` pixels a side.

    blocks: of the flow, each of ``layers`` of a transformer with ``heads`` and ``width``. noise: see above. The rest as
    of ``generators/_flows.py`` and ``generators/_latent.py``. Raises Unsupported for sides that are no multiple of
    patch.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        patch: PositiveInt = 4,
        blocks: PositiveInt = 4,
        layers: PositiveInt = 4,
        width: PositiveInt = 128,
        heads: PositiveInt = 2,
        noise: NonNegativeFloat = 0.1,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        if width % heads:
            raise GenbenchError(f"tarflow: width = {width} must be a multiple of heads = {heads}")
        if any(side % patch for side in self.shape[-2:]):
            raise Unsupported(f"patch = {patch}: what is cut must be a multiple of it, and is {list(self.shape)}")
        if self.logit and noise:
            raise GenbenchError("tarflow: noised pixels have no logits: take noise = 0, or logit = false")
        self.noise, self.dequantised = noise, not noise
        self.ready([[Autoregressive(self.shape, patch, layers, width, heads, bool(i % 2)) for i in range(blocks)]])

    def learn(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> float:
        return super().learn(x + self.noise * torch.randn(x.shape, generator=rng, device=rng.device), label, rng)

    def draw(self, rows: Rows, n: int, condition: Tensor | None) -> Tensor:
        x = super().draw(rows, n, condition)
        if not self.noise:
            return x
        with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
            x.requires_grad_()
            (score,) = torch.autograd.grad(self.log_p(x).sum(), x)
        return (x + self.noise**2 * score).detach()

    def log_prob(self, batch: Batch) -> Tensor:
        """The density in nats, ``(batch,)``. Raises Omitted where it is one of noised images, or of latents."""
        if self.noise:
            raise Omitted(
                f"it learns images with noise on them (noise = {self.noise:g}), and the density of those is none of "
                "the images themselves: set noise = 0"
            )
        return super().log_prob(batch)


class Autoregressive(Layer):
    """One block of the flow: over patches in their order, or from the last to the first."""

    def __init__(
        self, shape: tuple[int, ...], patch: int, layers: int, width: int, heads: int, backwards: bool
    ) -> None:
        super().__init__()
        self.shape, self.patch, self.backwards = shape, patch, backwards
        size = patch if len(shape) == 1 else shape[0] * patch**2
        self.tokens = torch.Size(shape).numel() // size
        self.inward, self.outward = nn.Linear(size, width), nn.Linear(width, 2 * size)
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)
        self.positions = nn.Parameter(0.02 * torch.randn(self.tokens, width))
        self.layers = nn.ModuleList(Block(i, width, heads, 0, 0.0) for i in range(layers))
        self.norm = nn.LayerNorm(width)
        if self.tokens == 1:
            raise Unsupported("tarflow needs more than one patch: set a smaller patch")

    def forward(self, x: Tensor) -> Maps:
        tokens = self._cut(x)
        shift, log_scale = self._said(tokens[:, :-1])
        rest = (tokens[:, 1:] - shift) * (-log_scale).exp()
        return self._joined(torch.cat([tokens[:, :1], rest], dim=1)), -log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        tokens = self._cut(y)
        made, cache = [tokens[:, :1]], Cache(self.tokens)
        for i in range(1, self.tokens):
            shift, log_scale = self._said(made[-1], cache)
            made.append(tokens[:, i : i + 1] * log_scale.exp() + shift)
        return self._joined(torch.cat(made, dim=1))

    def _said(self, tokens: Tensor, cache: Cache | None = None) -> Maps:
        """Shift and log of the scale of the token after each, ``(batch, tokens, size)``; cache: of those before."""
        before = cache.length if cache else 0
        h = self.inward(tokens) + self.positions[before : before + tokens.shape[1]]
        for layer in self.layers:
            h = layer(h, cache)
        if cache is not None:
            cache.note(tokens)
        shift, log_scale = self.outward(self.norm(h)).float().chunk(2, dim=2)
        return shift, log_scale

    def _cut(self, x: Tensor) -> Tensor:
        """Patches ``(batch, tokens, size)`` in the order of this block."""
        tokens: Tensor
        if len(self.shape) == 1:
            tokens = x.unflatten(1, (-1, self.patch))
        else:
            tokens = F.pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)
        return tokens.flip(1) if self.backwards else tokens

    def _joined(self, tokens: Tensor) -> Tensor:
        """The way back."""
        tokens = tokens.flip(1) if self.backwards else tokens
        if len(self.shape) == 1:
            return tokens.flatten(1)
        sides = [side // self.patch for side in self.shape[1:]]
        return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, sides), self.patch)
