"""MaskGIT: all codes of an image at once, the surest first (Chang et al. 2022, arXiv:2202.04200).

An image is a grid of codes (``generators/_tokeniser.py``), of which a transformer that looks both ways tells those that
are masked from those that are not. In training a share cos(pi u / 2) of the places is masked, u uniform in [0, 1)
(section 3.1 and the cosine schedule of section 3.3):

    loss = -E log p(code | codes that are not masked),    a mean over masked places                (Eq. 1)

Samples begin with all N masked. In each of ``steps`` all masked codes are drawn from what the net says, and stay masked
but for those that are surest, by log p + choice_temperature (1 - t/T) g with g a draw of Gumbel's: after step t of T
ceil(N cos(pi t / 2T)) are masked (section 3.2). N/T times fewer passes than code by code.

Labels and guidance as of ``generators/_labels.py``, of log p of the codes.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le, Lt
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from bench import DataSpec, Presets, Rows, generator
from generators._heads import draw_one
from generators._labels import LABEL_DROPOUT, classes_if, guided, twice, withheld
from generators._nets import Block, Sides
from generators._schedule import descend
from generators._tokeniser import Quantiser, Tokenised

PRESETS: Presets = {
    "test": {
        "levels": [4, 3], "width": 8, "blocks": 1, "layers": 1, "heads": 2, "prior_width": 16, "lr": 5e-3, "steps": 2,
        "labels": True,
    },
    "tiny": {"width": 32, "blocks": 1, "layers": 4, "prior_width": 64, "lr": 4e-3, "tokeniser_share": 0.3},
    "paper": {
        "side": 16, "levels": [8, 5, 5, 5], "width": 128, "layers": 24, "heads": 16, "prior_width": 768,
        "prior_lr": 1e-4, "smoothing": 0.1, "dropout": 0.1, "labels": True,
    },
}  # fmt: skip


@generator(
    "maskgit",
    modalities={"image"},
    paper="arXiv:2202.04200",
    presets=PRESETS,
    sampling=("guidance", "steps", "choice_temperature", "temperature"),
)
class MaskGIT(Tokenised):
    """A transformer over masked codes.

    smoothing: of its targets. steps, choice_temperature, labels, label_dropout, guidance: see above. The rest as of
    ``generators/_tokeniser.py``, but that its codes are finite scalar ones if left out. Raises GenbenchError, or
    Unsupported, for guidance without labels.
    """

    conditional = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        quantiser: Quantiser = "fsq",
        smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
        steps: PositiveInt = 8,
        choice_temperature: NonNegativeFloat = 4.5,
        labels: bool = False,
        label_dropout: Annotated[float, Ge(0), Le(1)] = LABEL_DROPOUT,
        guidance: NonNegativeFloat = 1.0,
        **rest: Any,
    ) -> None:
        super().__init__(spec, quantiser=quantiser, **rest)
        self.classes = classes_if(labels, spec, label_dropout, guidance)
        self.conditional = bool(self.classes)
        self.label_dropout, self.guidance, self.smoothing = label_dropout, guidance, smoothing
        self.steps, self.choice_temperature = steps, choice_temperature
        self.prior = Bidirectional(self.quantiser.codes, self.grid, **self.prior_size, classes=self.classes)
        weights = self.prior.parameters()
        self.prior_optimiser = torch.optim.Adam(weights, lr=self.prior_lr, betas=(0.9, 0.96), fused=True)

    @property
    def nfe(self) -> int:
        """Evaluations of the transformer a sample."""
        return self.steps * (1 if self.guidance == 1 else 2)

    def learn_codes(self, codes: Tensor, label: Tensor | None, rng: torch.Generator) -> float:
        """Nats a masked code."""
        hidden = masks(codes.shape, rng)
        label = withheld(label, self.classes, self.label_dropout, rng)
        out = self.prior(codes.masked_fill(hidden, self.prior.mask), label)
        loss = F.cross_entropy(out[hidden], codes[hidden], label_smoothing=self.smoothing)
        descend(self.prior_optimiser, loss, max_norm=1.0)
        return loss.item()

    def draw_codes(self, rows: Rows, n: int, condition: Tensor | None) -> Tensor:
        device = self.usage.device
        label = rows.labels(self.classes, condition).to(device) if self.classes else None
        u = rows.uniform(self.steps, 2, self.places).to(device, torch.float64)
        codes, masked = torch.full((n, self.places), self.prior.mask, device=device), self.places
        for t in range(self.steps):
            log_p = self.log_p(codes, label).double()
            drawn = draw_one(log_p, u[:, t, 0])
            sure = log_p.gather(2, drawn[:, :, None]).squeeze(2)
            gumbel = -(-(u[:, t, 1] + 2.0**-26).log()).log()
            sure = sure + self.choice_temperature * (1 - (t + 1) / self.steps) * gumbel
            known = codes != self.prior.mask
            codes = torch.where(known, codes, drawn)
            left = math.ceil(self.places * math.cos(math.pi / 2 * (t + 1) / self.steps) - 1e-9)
            masked = max(0, min(left, masked - 1))  # at least one becomes known
            order = sure.masked_fill(known, torch.inf).argsort(dim=1)
            codes = codes.scatter(1, order[:, :masked], self.prior.mask)
        return codes

    def log_p(self, codes: Tensor, label: Tensor | None) -> Tensor:
        """log p of every code at each place, with guidance, ``(n, places, codes)``."""
        log_p: Tensor
        if label is None or self.guidance == 1:
            log_p = self.prior(codes, label).float()
        else:
            both = self.prior(codes.repeat(2, 1), twice(label, self.classes)).float()
            log_p = guided(both.log_softmax(2), self.guidance)
        return (log_p / self.temperature).log_softmax(2)


class Bidirectional(nn.Module):
    """Codes ``(batch, places)``, some of them ``mask``, to logits of each, ``(batch, places, codes)``.

    Input and output embeddings are tied, and attention knows the grid, neither of which is in the paper. Of half of an
    image's codes (MNIST, held out, 1,500 steps) it is told 3.87 nats each then, without the grid 4.22, untied 3.98, and
    with neither 4.36.
    """

    def __init__(
        self, codes: int, grid: Sides, layers: int, heads: int, width: int, dropout: float, classes: int | None
    ) -> None:
        super().__init__()
        self.mask, self.none = codes, classes or 0
        self.embedding, self.positions = nn.Embedding(codes + 1, width), nn.Embedding(math.prod(grid), width)
        self.label = nn.Embedding(classes + 1, width) if classes else None
        self.blocks = nn.ModuleList(Block(width, heads, dropout, grid=grid) for _ in range(layers))
        self.norm, self.bias = nn.LayerNorm(width), nn.Parameter(torch.zeros(codes))
        for table in (self.embedding, self.positions, self.label):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)

    def forward(self, codes: Tensor, label: Tensor | None = None) -> Tensor:
        h = self.embedding(codes) + self.positions.weight
        if self.label is not None:
            label = torch.full((len(codes),), self.none, device=codes.device) if label is None else label
            h = h + self.label(label)[:, None]
        for block in self.blocks:
            h = block(h)
        return F.linear(self.norm(h), self.embedding.weight[: self.mask], self.bias)


def masks(shape: torch.Size, rng: torch.Generator) -> Tensor:
    """Which places are masked, ``shape`` bool: of each row a random set of ceil(N cos(pi u / 2)), at least one."""
    u = torch.rand(shape[0], generator=rng, device=rng.device)
    many = (shape[1] * torch.cos(math.pi / 2 * u)).ceil().clamp(1, shape[1])
    order = torch.rand(shape, generator=rng, device=rng.device).argsort(dim=1).argsort(dim=1)
    return order < many[:, None]
