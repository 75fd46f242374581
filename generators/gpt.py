"""GPT: a decoder-only transformer (Radford et al. 2019, "Language models are unsupervised multitask learners";
Brown et al. 2020, arXiv:2005.14165).

    h_0 = E x + P,    h_l' = h_{l-1} + attention(norm(h_{l-1})),    h_l = h_l' + mlp(norm(h_l')),
    p(x_t | x_<t) = softmax(E norm(h_L))

Normalisation stands before each block (pre-norm), positions are learned, input and output embeddings are tied, and
residual projections start smaller by 1/sqrt(2 layers). x_0 is a start token, so log p(x) covers every token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from bench import Batch, DataSpec, GenbenchError, Presets, Unsupported, generator, uniform
from generators._heads import Tokens
from generators._nets import CausalTransformer
from generators._schedule import scheduled
from generators._sequence import clip_and_step, draw_sequences

PRESETS: Presets = {
    "test": {"layers": 2, "heads": 2, "width": 16, "lr": 5e-3, "warmup": 2},
    "tiny": {"layers": 2, "heads": 4, "width": 96, "lr": 5e-3, "weight_decay": 0.0, "warmup": 50},
    "paper": {
        "layers": 12,
        "heads": 12,
        "width": 768,
        "dropout": 0.1,
        "lr": 6e-4,
        "warmup": 2000,
    },  # the size of GPT-2 small, dropout as there, learning rate as GPT-3 small
}


@generator("gpt", modalities={"text"}, paper="arXiv:2005.14165", presets=PRESETS)
class GPT(CausalTransformer):
    """Decoder-only transformer with learned positions.

    width: of the residual stream, a multiple of heads. warmup: steps of linear rise of lr. decay: step at which a
    cosine has brought it down to a tenth, where it stays (arXiv:2005.14165, appendix B); 0 = no fall.
    temperature: of sampling, 1 = the model itself.
    """

    bound = False
    log_prob_of = "mass"

    def __init__(
        self,
        spec: DataSpec,
        *,
        layers: PositiveInt = 4,
        heads: PositiveInt = 4,
        width: PositiveInt = 128,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        lr: PositiveFloat = 1e-3,
        weight_decay: Annotated[float, Ge(0)] = 0.1,
        warmup: NonNegativeInt = 100,
        decay: NonNegativeInt = 0,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        if spec.kind != "tokens" or spec.vocab is None:
            raise Unsupported(f"gpt makes tokens, not {spec.kind} data")
        if width % heads:
            raise GenbenchError(f"gpt: width = {width} must be a multiple of heads = {heads}")
        super().__init__(spec.vocab, spec.shape[0], layers=layers, heads=heads, width=width, dropout=dropout)
        self.tokens, self.temperature = Tokens(spec.vocab), temperature
        decayed = [p for p in self.parameters() if p.dim() >= 2]  # matrices only: biases and norms are left alone
        others = [p for p in self.parameters() if p.dim() < 2]
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))
        self.schedule = scheduled(self.optimiser, warmup=warmup, decay=decay, floor=0.1)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        logits, _ = self(self.tokens.shifted(batch.data))
        loss = self.tokens.loss(logits, batch)
        clip_and_step(self.optimiser, loss)
        self.schedule.step()
        return {"loss": loss.item()}

    @torch.no_grad()
    def log_prob(self, batch: Batch) -> Tensor:
        """Exact log-probability of each sequence of at most ``window`` tokens in nats, ``(batch,)``."""
        return self.step_log_prob(batch)[0].sum(1)

    @torch.no_grad()
    def step_log_prob(self, batch: Batch, state: None = None) -> tuple[Tensor, None]:
        """log p of each of at most ``window`` tokens in nats, ``(batch, tokens)``; no state, as positions end there."""
        return self.tokens.log_prob(self(self.tokens.shifted(batch.data))[0], batch), None

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        u = uniform(rng, n, self.window).to(self.norm.weight.device)
        return draw_sequences(self, self.tokens, u, self.temperature)

    @torch.no_grad()
    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Continue ``prompt`` ``(tokens,)``, which may be empty, one token ``()`` at a time, without end.

        Past the window the context slides: its older half is dropped and the cache built again.
        """
        start = self.tokens.start(1, self.norm.weight.device)
        context, cache = torch.cat([start, prompt.to(start)])[-self.window :], None
        while True:
            if cache is not None and len(context) > self.window:
                context, cache = context[-(self.window // 2 + 1) :], None
            logits, cache = self(context[None, -1:] if cache else context[None], cache)
            token = self.tokens.draw(logits[:, -1], torch.rand(1, generator=rng), self.temperature)
            context = torch.cat([context, token])
            yield token[0]
