"""Sequence families beside transformers and torch's own layers, the same sizes in the same run, one thread.

OMP_NUM_THREADS=1 pytest -m performance tests/performance/test_sequence_families.py
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from bench import Batch, DataSpec
from bench.streams import stream
from generators._recurrent import Recurrent
from generators.gpt import GPT
from generators.gru import GRU
from generators.lstm import LSTM
from generators.mamba import Mamba
from tests.performance.timing import cpu_seconds, times_as_fast

pytestmark = pytest.mark.performance
VOCAB, WINDOW, WIDTH = 256, 128, 128


def spec(window: int = WINDOW) -> DataSpec:
    return DataSpec("text", (window,), "tokens", vocab=VOCAB)


def texts(n: int = 16, window: int = WINDOW) -> Tensor:
    return torch.randint(VOCAB, (n, window), generator=torch.Generator().manual_seed(0))


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes: Any = {"n_embd": WIDTH, "n_layer": 4, "n_head": 4, "n_positions": WINDOW, "vocab_size": VOCAB + 1}
    rates: Any = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    return GPT2LMHeadModel(GPT2Config(**sizes, **rates, bos_token_id=VOCAB, eos_token_id=VOCAB))


def test_gpt_trains_faster_than_transformers(benchmark: BenchmarkFixture) -> None:
    ours, theirs, x = GPT(spec(), layers=4, heads=4, width=WIDTH), gpt2().train(), texts()
    optimiser = torch.optim.AdamW(theirs.parameters(), lr=1e-3, fused=True)
    seen = torch.cat([torch.full((len(x), 1), VOCAB), x[:, :-1]], dim=1)

    def step() -> None:
        loss = F.cross_entropy(theirs(seen).logits.flatten(0, 1), x.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    assert times_as_fast(benchmark, lambda: ours.train_step(Batch(x), torch.Generator()), step) > 1.2


@pytest.mark.parametrize("n", [1, 32])
def test_gpt_generates_faster_than_transformers(benchmark: BenchmarkFixture, n: int) -> None:
    ours, theirs = GPT(spec(), layers=4, heads=4, width=WIDTH).eval(), gpt2().eval()
    start = torch.full((n, 1), VOCAB)
    many = WINDOW - 1
    how = {"max_new_tokens": many, "min_new_tokens": many, "do_sample": True, "top_k": 0, "pad_token_id": VOCAB}

    def generate() -> Any:
        with torch.no_grad():
            return theirs.generate(start, attention_mask=torch.ones_like(start), use_cache=True, **how)

    assert generate().shape == (n, WINDOW)
    assert times_as_fast(benchmark, lambda: ours.sample(n, stream(0, "s")), generate) > 3


class Plain(nn.Module):
    """A language model as it is usually written over torch's layer."""

    def __init__(self, layer: Any, width: int) -> None:
        super().__init__()
        self.embedding, self.layer = nn.Embedding(VOCAB + 1, 64), layer(64, width, batch_first=True)
        self.head = nn.Linear(width, VOCAB)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        hidden, state = self.layer(self.embedding(x), state)
        return self.head(hidden), state


@pytest.mark.parametrize("family", [LSTM, GRU])
def test_recurrent_training_is_as_fast_as_torchs_layer(benchmark: BenchmarkFixture, family: type[Recurrent]) -> None:
    ours, theirs, x = family(spec(), width=WIDTH, embedding=64), Plain(family.layer, WIDTH), texts()
    optimiser = torch.optim.Adam(theirs.parameters(), lr=1e-3)
    seen = torch.cat([torch.full((len(x), 1), VOCAB), x[:, :-1]], dim=1)

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(theirs(seen)[0].flatten(0, 1), x.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimiser.step()

    assert times_as_fast(benchmark, lambda: ours.train_step(Batch(x), torch.Generator()), step) > 0.97


@pytest.mark.parametrize("family", [LSTM, GRU])
def test_streaming_is_faster_than_a_plain_loop(benchmark: BenchmarkFixture, family: type[Recurrent]) -> None:
    ours, theirs = family(spec(), width=WIDTH, embedding=64).eval(), Plain(family.layer, WIDTH).eval()
    many = 200

    def loop() -> None:
        token, state = torch.tensor([[VOCAB]]), None
        with torch.no_grad():
            for _ in range(many):
                logits, state = theirs(token, state)
                token = torch.multinomial(logits[:, -1].softmax(-1), 1)

    def streamed() -> None:
        for _ in itertools.islice(ours.stream(torch.empty(0, dtype=torch.int64), stream(0, "s")), many):
            pass

    assert times_as_fast(benchmark, streamed, loop) > 2


def test_mamba_is_linear_in_the_length_and_attention_is_not(benchmark: BenchmarkFixture) -> None:
    """A step over a text four times as long takes about four times as long, where attention takes up to sixteen."""

    def took(model: Any, window: int) -> float:
        x = texts(1, window)
        return cpu_seconds(lambda: model.train_step(Batch(x), torch.Generator()), rounds=5)

    def growth(model: Any) -> float:
        return took(model, 16384) / took(model, 4096)

    mamba = growth(Mamba(spec(), width=64, layers=1))
    gpt = growth(GPT(spec(16384), width=64, layers=1, heads=2))
    benchmark.extra_info.update({"mamba": mamba, "gpt": gpt})
    benchmark.pedantic(lambda: None)
    assert mamba < 5 and mamba < 0.7 * gpt
