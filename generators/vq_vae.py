"""VQ-VAE: discrete codes, and a prior over them (van den Oord et al. 2017, arXiv:1711.00937).

An encoder gives a vector z_e at each place of a coarse grid, 4x4 say; a quantiser puts one of K code vectors in its
place, and a decoder makes the image of those. An image so becomes a few integers, which an autoregressive model learns
like a text. To sample is to draw integers, and to decode them.

Learned code vectors (``quantiser = "ema"``, the paper's) or finite scalar ones ("fsq"), and how the two nets are
trained, stand in ``generators/_tokeniser.py``.

The encoder is deterministic, and one term of p(x) = sum_k p(x|k) p(k) bounds it from below (section 3.2):

    log p(x) >= log p(x|k(x)) + log p(k(x))

which is ``log_prob``. The paper trains the prior, a PixelCNN, after the autoencoder. Here it is a small transformer
that reads codes row by row, and both come within one budget. One that is never told how far it is trains both in each
step.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import Batch, DataSpec, Presets, Rows, generator
from generators._attention import Cache
from generators._bare import bare
from generators._heads import Tokens
from generators._labels import classes_of, needed
from generators._schedule import descend
from generators._tokeniser import Tokenised
from generators._transformer import Blocks

PRESETS: Presets = {
    "test": {
        "codes": 12, "code_size": 4, "width": 8, "blocks": 1, "layers": 1, "heads": 2, "prior_width": 16, "lr": 5e-3,
    },
    "tiny": {"width": 32, "blocks": 1, "layers": 2, "prior_width": 96, "lr": 4e-3, "tokeniser_share": 0.3},
    "paper": {
        "codes": 512, "side": 8, "width": 128, "blocks": 2, "decoder": "gaussian", "lr": 2e-4, "layers": 8, "heads": 8,
        "prior_width": 512, "prior_lr": 3e-4,
    },  # section 3.2 has 8x8x10 codes for CIFAR10, here 8x8; a transformer in place of the PixelCNN
}  # fmt: skip


@generator("vq_vae", modalities={"image"}, paper="arXiv:1711.00937", presets=PRESETS, sampling=("temperature",))
class VQVAE(Tokenised):
    """Convolutional autoencoder with discrete codes, and a transformer over them.

    Hyperparameters are those of ``generators/_tokeniser.py``.
    """

    bound = True
    conditional = False  # but of cvq_vae
    names = ("cvq_vae", "vq_vae")  # with labels, and without

    def __init__(self, spec: DataSpec, **rest: Any) -> None:
        classes = classes_of(spec, self.conditional, *self.names)
        super().__init__(spec, **rest)
        self.classes = classes
        self.tokens = Tokens(self.quantiser.codes)
        self.prior = Prior(self.quantiser.codes, self.classes or 1, self.places, **self.prior_size)
        weights = self.prior.parameters()
        self.prior_optimiser = torch.optim.Adam(weights, lr=self.prior_lr, betas=(0.9, 0.95), fused=True)

    @property
    def log_prob_of(self) -> Literal["mass", "density"]:
        return self.pixels.log_prob_of

    def learn_codes(self, codes: Tensor, label: Tensor | None, rng: torch.Generator) -> float:
        """Nats a code."""
        loss = self.prior_nats(codes, label).mean()
        descend(self.prior_optimiser, loss, max_norm=1.0)
        return loss.item()

    def draw_codes(self, rows: Rows, n: int, condition: Tensor | None) -> Tensor:
        device = self.usage.device
        label = rows.labels(self.classes, condition).to(device) if self.classes else None
        u = rows.uniform(self.places).to(device)
        code, prior, cache, codes = self.starts(n, label), bare(self.prior), Cache(self.places), []
        for each in u.unbind(1):
            code = self.tokens.draw(prior(code[:, None], cache)[:, -1], each, self.temperature)
            codes.append(code)
        return torch.stack(codes, dim=1)

    def log_prob(self, batch: Batch) -> Tensor:
        """The bound above in nats, ``(batch,)``. Raises Omitted for a Bernoulli decoder of grey levels."""
        self.pixels.check()
        return -self.example_loss(batch)

    @torch.no_grad()
    def example_loss(self, batch: Batch) -> Tensor:
        """Nats of each image's codes under the prior, and of the image given these, ``(batch,)``."""
        codes = self.encode(batch.data)
        log_p = self.pixels.log_prob(batch.data, self.decode(self.quantiser.vectors(codes)))
        return self.prior_nats(codes, batch.condition).double().sum(1) - log_p.double()

    def prior_nats(self, codes: Tensor, label: Tensor | None) -> Tensor:
        """-log p of each code after those before it, ``(batch, places)``."""
        seen = self.tokens.shifted(codes, self.starts(len(codes), label))
        return self.tokens.nats(self.prior(seen), codes)

    def starts(self, n: int, label: Tensor | None) -> Tensor:
        """What stands before the first code, ``(n,)``: a token of each class, or one for all."""
        start = self.tokens.start(n, self.usage.device)
        return start + needed(label, self.classes) if self.classes else start


@generator("cvq_vae", modalities={"image"}, paper="arXiv:1711.00937", presets=PRESETS, sampling=("temperature",))
class ConditionalVQVAE(VQVAE):
    """A VQ-VAE whose prior begins with the label, as the paper's for ImageNet does: it makes what is asked for."""

    conditional = True


class Prior(nn.Module):
    """Codes ``(batch, places)`` to logits of the code after each, ``(batch, places, codes)``.

    Embeddings of input and output are tied. Codes from ``codes`` on are those that stand before the first.
    """

    def __init__(
        self, codes: int, starts: int, places: int, layers: int, heads: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.codes, self.embedding = codes, nn.Embedding(codes + starts, width)
        self.blocks = Blocks(places, layers, heads, width, 0, dropout)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, codes: Tensor, cache: Cache | None = None) -> Tensor:
        h, _ = self.blocks(self.embedding(codes), cache)
        return F.linear(h, self.embedding.weight[: self.codes])
