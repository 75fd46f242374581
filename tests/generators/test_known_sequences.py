"""What sequence families are known to learn, and not to: the floor of a chain, copying, and recall over a distance."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec
from bench.registry import registry

pytestmark = pytest.mark.slow
VOCAB, WINDOW = 4, 32
FAMILIES: dict[str, dict[str, Any]] = {
    "rnn": {"width": 48}, "gru": {"width": 48}, "lstm": {"width": 48}, "min_gru": {"width": 32, "layers": 2},
    "tcn": {"width": 32, "layers": 2}, "gpt": {"width": 32, "layers": 2, "heads": 2},
    "llama": {"width": 32, "layers": 2, "heads": 2}, "mamba": {"width": 32, "layers": 2, "head": 16},
    "masked_diffusion": {"width": 48, "layers": 3, "heads": 2},
    "block_diffusion": {"width": 48, "layers": 2, "heads": 2},
}  # fmt: skip


def trained(name: str, spec: DataSpec, batch: Any, steps: int, **params: Any) -> Any:
    torch.manual_seed(0)
    model: Any = registry.get("generators", name).make(spec, **{"lr": 5e-3, **params})
    rng = torch.Generator().manual_seed(0)
    for step in range(steps):
        model.pace(step / steps)
        model.train_step(batch(64, rng), rng)
    return model.eval()


class TestChain:
    """A Markov chain of two tokens' memory: no model can spend less than its entropy, and each comes within 1 %."""

    rows = torch.distributions.Dirichlet(torch.full((VOCAB,), 0.5)).expand((VOCAB, VOCAB))

    def chain(self) -> Tensor:
        torch.manual_seed(1)
        p: Tensor = self.rows.sample()
        return p  # (before last, last, next)

    def batch(self, n: int, rng: torch.Generator) -> Batch:
        p, x = self.chain(), torch.randint(VOCAB, (n, 2), generator=rng)
        for _ in range(WINDOW - 2):
            x = torch.cat([x, torch.multinomial(p[x[:, -2], x[:, -1]], 1, generator=rng)], dim=1)
        return Batch(x)

    @pytest.mark.parametrize("name", FAMILIES)
    def test_every_family_reaches_the_entropy(self, name: str) -> None:
        diffusion = "diffusion" in name
        more = {"bound_steps": 1000, "least": 0.05} if diffusion else {}
        model = trained(
            name, DataSpec("text", (WINDOW,), "tokens", vocab=VOCAB), self.batch, 2500 if diffusion else 600,
            **FAMILIES[name], **more,
        )  # fmt: skip
        x = self.batch(2000, torch.Generator().manual_seed(9)).data
        p = self.chain()
        exact = 2 * math.log(VOCAB) - p[x[:, :-2], x[:, 1:-1], x[:, 2:]].log().sum(1).mean().item()
        found = -model.log_prob(Batch(x)).mean().item()
        assert exact * 0.999 < found < exact * 1.01, (found, exact)


class TestCopying:
    """Ten tokens, a gap, and the ten again (Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016, arXiv:1511.06464)."""

    LENGTH, GAP = 10, 10
    BLANK = 8

    def batch(self, n: int, rng: torch.Generator) -> Batch:
        x = torch.randint(self.BLANK, (n, self.LENGTH), generator=rng)
        return Batch(torch.cat([x, torch.full((n, self.GAP), self.BLANK), x], dim=1))

    def nats(self, name: str, **params: Any) -> float:
        """Nats a token of the copy: 0 for a perfect one, ln 8 = 2.08 for a guess."""
        spec = DataSpec("text", (2 * self.LENGTH + self.GAP,), "tokens", vocab=9)
        model = trained(name, spec, self.batch, 1000, **params)
        log_p, _ = model.step_log_prob(self.batch(500, torch.Generator().manual_seed(9)))
        return -float(log_p[:, -self.LENGTH :].mean())

    def test_gates_and_attention_tell_families_apart(self) -> None:
        rnn, lstm = (self.nats(name, width=96, embedding=32, lr=3e-3) for name in ("rnn", "lstm"))
        gpt = self.nats("gpt", width=64, layers=2, heads=4, lr=3e-3)
        assert gpt < 0.05 < lstm < rnn, (rnn, lstm, gpt)


class TestRecall:
    """Pairs of a key and a value, then a key: which value it had (associative recall, Arora et al. 2023,

    arXiv:2312.04927). Attention looks it up; a state of one size has to hold all pairs.
    """

    PAIRS, KEYS = 16, 32

    def batch(self, n: int, rng: torch.Generator) -> Batch:
        keys = torch.rand(n, self.KEYS, generator=rng).argsort(1)[:, : self.PAIRS]
        values = torch.randint(self.KEYS, (n, self.PAIRS), generator=rng) + self.KEYS
        pairs = torch.stack([keys, values], dim=2).flatten(1)
        asked = torch.rand(n, self.PAIRS, generator=rng).argsort(1)
        again = torch.stack([keys.gather(1, asked), values.gather(1, asked)], dim=2).flatten(1)
        return Batch(torch.cat([pairs, again], dim=1))

    def right(self, name: str, **params: Any) -> float:
        """Share of values recalled, of 1/32 by chance."""
        spec = DataSpec("text", (4 * self.PAIRS,), "tokens", vocab=2 * self.KEYS)
        model = trained(name, spec, self.batch, 1500, **params)
        x = self.batch(300, torch.Generator().manual_seed(9)).data
        with torch.no_grad():
            out, _ = model(model.head.shifted(x))
        places = torch.arange(2 * self.PAIRS + 1, 4 * self.PAIRS, 2)
        return float((out[:, places].argmax(-1) == x[:, places]).double().mean())

    def test_attention_recalls_what_a_state_forgets(self) -> None:
        rnn = self.right("rnn", width=64, lr=2e-3)
        lstm = self.right("lstm", width=64, lr=4e-3)
        gpt = self.right("gpt", width=64, layers=2, heads=2, lr=2e-3)
        assert gpt > 0.9 and rnn < 0.3 and lstm < 0.6, (rnn, lstm, gpt)
