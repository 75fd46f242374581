"""Long short-term memory language model (Hochreiter & Schmidhuber 1997; Graves 2013, arXiv:1308.0850).

    p(x) = prod_t p(x_t | x_<t),      p(x_t | x_<t) = softmax(W h_t),      (h_t, c_t) = LSTM(x_{t-1}, h_{t-1}, c_{t-1})

x_0 is a start token outside the vocabulary, so that the first token is predicted too and log p(x) is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, Presets, Unsupported, generator, uniform
from generators._heads import Tokens
from generators._sequence import clip_and_step, draw_sequences

PRESETS: Presets = {
    "test": {"width": 16, "embedding": 8, "layers": 2, "lr": 5e-3},
    "tiny": {"width": 192, "embedding": 64, "layers": 1, "lr": 6e-3},
    "paper": {"width": 700, "embedding": 256, "layers": 3, "dropout": 0.2},  # of the size of Graves' text networks
}
State = tuple[Tensor, Tensor]
Seen = tuple[Tensor, State | None]  # the last token, which is yet to be read, and the state before it


@generator("lstm", modalities={"text"}, paper="arXiv:1308.0850", presets=PRESETS)
class LSTM(nn.Module):
    """Stacked LSTM over tokens.

    width: of each layer's state. embedding: size of a token's vector. temperature: of sampling, 1 = the model itself.
    """

    bound = False
    log_prob_of = "mass"

    def __init__(
        self,
        spec: DataSpec,
        *,
        embedding: PositiveInt = 128,
        width: PositiveInt = 512,
        layers: PositiveInt = 2,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        lr: PositiveFloat = 2e-3,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        if spec.kind != "tokens" or spec.vocab is None:
            raise Unsupported(f"lstm makes tokens, not {spec.kind} data")
        (self.window,), self.tokens, self.temperature = spec.shape, Tokens(spec.vocab), temperature
        self.embedding = nn.Embedding(spec.vocab + 1, embedding)
        self.lstm = nn.LSTM(embedding, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, spec.vocab)
        self.optimiser = torch.optim.AdamW(self.parameters(), lr=lr, weight_decay=0.0)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits ``(batch, tokens, vocab)`` of the token after each of ``x`` ``(batch, tokens)``; the new state."""
        hidden, state = self.lstm(self.embedding(x), state)  # (batch, tokens, width)
        return self.head(self.dropout(hidden)), state

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        logits, _ = self(self.tokens.shifted(batch.data))
        loss = self.tokens.loss(logits, batch)
        clip_and_step(self.optimiser, loss)
        return {"loss": loss.item()}

    @torch.no_grad()
    def log_prob(self, batch: Batch) -> Tensor:
        """Exact log-probability of each sequence in nats, ``(batch,)``."""
        return self.step_log_prob(batch)[0].sum(1)

    @torch.no_grad()
    def step_log_prob(self, batch: Batch, state: Seen | None = None) -> tuple[Tensor, Seen]:
        """log p of each token in nats, ``(batch, tokens)``, and the state from which the text goes on without end."""
        x = batch.data
        last, hidden = state or (self.tokens.start(len(x), x.device)[:, None], None)
        logits, hidden = self(torch.cat([last, x[:, :-1]], dim=1), hidden)
        return self.tokens.log_prob(logits, batch), (x[:, -1:], hidden)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        u = uniform(rng, n, self.window).to(self.head.weight.device)
        return draw_sequences(self, self.tokens, u, self.temperature)

    @torch.no_grad()
    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Continue ``prompt`` ``(tokens,)``, which may be empty, one token ``()`` at a time, without end."""
        start = self.tokens.start(1, self.head.weight.device)[:, None]
        token, state = torch.cat([start, prompt[None].to(start)], dim=1), None
        while True:
            logits, state = self(token, state)
            token = self.tokens.draw(logits[:, -1], torch.rand(1, generator=rng), self.temperature)[:, None]
            yield token[0, 0]
