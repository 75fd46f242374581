"""What sequence families are known to learn, and not to: the floor of a chain, copying, and recall over a distance."""

from __future__ import annotations

import itertools
import math
from functools import partial
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


def chain(order: int) -> Tensor:
    """Probabilities of the next token given the last ``order``, ``(VOCAB, ..., VOCAB)``."""
    torch.manual_seed(1)
    p: Tensor = torch.distributions.Dirichlet(torch.full((VOCAB,), 0.5)).sample((VOCAB,) * order)
    return p


def walk(p: Tensor, n: int, rng: torch.Generator) -> Batch:
    """n texts of a chain that begin anywhere."""
    order = p.dim() - 1
    x = torch.randint(VOCAB, (n, order), generator=rng)
    for _ in range(WINDOW - order):
        x = torch.cat([x, torch.multinomial(p[tuple(x[:, -order:].T)], 1, generator=rng)], dim=1)
    return Batch(x)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_reaches_the_entropy_of_a_chain(name: str) -> None:
    """No model can spend less than the chain's entropy, and each comes within 1 %.

    A chain remembers two tokens. Of those of whom any may be hidden it is one: what stands between two that are shown
    is then known from these two, or a small net would have to run a filter over the whole text for each.
    """
    diffusion = "diffusion" in name
    p = chain(1 if diffusion else 2)
    more: dict[str, Any] = {"bound_steps": 1000, "least": 0.02} if diffusion else {}
    spec = DataSpec("text", (WINDOW,), "tokens", vocab=VOCAB)
    model = trained(name, spec, partial(walk, p), 2500 if diffusion else 600, **FAMILIES[name], **more)
    x = walk(p, 2000, torch.Generator().manual_seed(9)).data
    order = p.dim() - 1
    windows = x.unfold(1, order + 1, 1)
    exact = order * math.log(VOCAB) - p[tuple(windows.permute(2, 0, 1))].log().sum(1).mean().item()
    found = -model.log_prob(Batch(x)).mean().item()
    assert exact * 0.999 < found < exact * 1.01, (found, exact)


@pytest.mark.parametrize("name", ["gpt", "llama"])
def test_a_text_longer_than_the_window_goes_on_as_it_began(name: str) -> None:
    """Counting on by a step that differs from text to text: what is read again must look like what was learned."""

    def counted(n: int, rng: torch.Generator, length: int = WINDOW) -> Batch:
        first, step = (torch.randint(11, (n, 1), generator=rng) for _ in range(2))
        return Batch((first + step * torch.arange(length)) % 11)

    spec = DataSpec("text", (WINDOW,), "tokens", vocab=11)
    model = trained(name, spec, counted, 600, **FAMILIES[name])
    texts = counted(20, torch.Generator().manual_seed(9), 3 * WINDOW).data
    for text in texts:
        found = itertools.islice(model.stream(text[:4], torch.Generator().manual_seed(0)), 3 * WINDOW - 4)
        right = torch.tensor([int(token) for token in found]) == text[4:]
        assert right.double().mean() > 0.95, (text[:4], right)


GATED: dict[str, dict[str, Any]] = {
    "lstm": {"width": 96, "embedding": 32}, "min_gru": {"width": 64, "layers": 2, "lr": 4e-3},
    "mamba": {"width": 64, "layers": 2, "head": 16, "lr": 4e-3, "weight_decay": 0.0},
}  # fmt: skip
ATTENDING: dict[str, Any] = {
    "width": 64, "layers": 2, "heads": 2, "lr": 2e-3, "weight_decay": 0.0, "warmup": 0.1,
}  # fmt: skip


class TestCopying:
    """Tokens, a gap, and the tokens again (Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016, arXiv:1511.06464)."""

    BLANK = 8

    def batch(self, length: int, gap: int, n: int, rng: torch.Generator) -> Batch:
        x = torch.randint(self.BLANK, (n, length), generator=rng)
        return Batch(torch.cat([x, torch.full((n, gap), self.BLANK), x], dim=1))

    def nats(self, name: str, length: int, gap: int, **params: Any) -> float:
        """Nats a token of the copy: 0 for a perfect one, ln 8 = 2.08 for a guess."""
        spec = DataSpec("text", (2 * length + gap,), "tokens", vocab=9)
        batch = partial(self.batch, length, gap)
        model = trained(name, spec, batch, 2500, **params)
        log_p, _ = model.step_log_prob(batch(500, torch.Generator().manual_seed(9)))
        return -float(log_p[:, -length:].mean())

    def test_gates_carry_over_a_gap_what_a_plain_state_loses(self) -> None:
        rnn = self.nats("rnn", 3, 12, width=96, embedding=32, lr=3e-3)
        gated = {name: self.nats(name, 3, 12, **params) for name, params in GATED.items()}
        assert rnn > 1.0 and all(nats < 0.5 for nats in gated.values()), (rnn, gated)

    def test_attention_copies_what_no_state_does(self) -> None:
        rnn, lstm = (self.nats(name, 10, 10, width=96, embedding=32, lr=3e-3) for name in ("rnn", "lstm"))
        gpt, llama = (self.nats(name, 10, 10, **ATTENDING) for name in ("gpt", "llama"))
        assert max(gpt, llama) < 0.05 < lstm < rnn, (rnn, lstm, gpt, llama)


class TestRecall:
    """Values, then which place had which, in any order (as in recall of pairs, Arora et al. 2023, arXiv:2312.04927).

    Attention looks it up; a state of one size has to hold all of them.
    """

    VALUES = 16

    def batch(self, places: int, n: int, rng: torch.Generator) -> Batch:
        values = torch.randint(self.VALUES, (n, places), generator=rng)
        asked = torch.rand(n, places, generator=rng).argsort(1)
        again = torch.stack([asked + self.VALUES, values.gather(1, asked)], dim=2).flatten(1)
        return Batch(torch.cat([values, again], dim=1))

    def right(self, name: str, places: int, **params: Any) -> float:
        """Share of values recalled, of 1/16 by chance."""
        spec = DataSpec("text", (3 * places,), "tokens", vocab=places + self.VALUES)
        batch = partial(self.batch, places)
        model = trained(name, spec, batch, 1500, **params)
        x = batch(300, torch.Generator().manual_seed(9)).data
        with torch.no_grad():
            out, _ = model(model.head.shifted(x))
        answers = torch.arange(places + 1, 3 * places, 2)
        return float((out[:, answers].argmax(-1) == x[:, answers]).double().mean())

    def test_gates_hold_four_values(self) -> None:
        rnn, lstm = self.right("rnn", 4, width=96, lr=3e-3), self.right("lstm", 4, width=96)
        mamba = self.right("mamba", 4, **GATED["mamba"])
        assert rnn < 0.7 and min(lstm, mamba) > 0.9, (rnn, lstm, mamba)

    def test_attention_recalls_sixteen_which_a_state_forgets(self) -> None:
        rnn, lstm = self.right("rnn", 16, width=64, lr=2e-3), self.right("lstm", 16, width=64, lr=4e-3)
        gpt, llama = (self.right(name, 16, **ATTENDING) for name in ("gpt", "llama"))
        assert min(gpt, llama) > 0.95 and max(rnn, lstm) < 0.3, (rnn, lstm, gpt, llama)
