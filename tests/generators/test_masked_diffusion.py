"""Masked and block diffusion: the bound against the exact likelihood of the sampler, counted over all of its paths."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, GenbenchError, Unsupported, uniform
from bench.streams import stream
from bench.testing import made_up
from generators.block_diffusion import BlockDiffusion
from generators.masked_diffusion import MaskedDiffusion, in_turn, own_draws, shown, times

TINY = DataSpec("text", (4,), "tokens", vocab=3)
EVERY = torch.tensor(list(itertools.product(range(3), repeat=4)))
FAMILIES: tuple[tuple[type[MaskedDiffusion], dict[str, Any]], ...] = (
    (MaskedDiffusion, {}),
    *((BlockDiffusion, {"block": block}) for block in (1, 2, 4)),
)


def opinionated(family: Any, spec: DataSpec = TINY, **params: Any) -> Any:
    torch.manual_seed(0)
    model: Any = family(spec, layers=2, heads=2, width=16, **params).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.7)
    return model


@torch.no_grad()
def by_way(model: MaskedDiffusion, steps: int) -> Tensor:
    """log p of each text for every way to share out tokens to steps, ``(steps^4, 81)``."""
    total = []
    for ways in itertools.product(range(steps), repeat=4):
        shown_at, log_p = torch.tensor(ways), torch.zeros(len(EVERY), dtype=torch.float64)
        for r in range(steps):
            hidden = (shown_at <= r).expand(len(EVERY), 4)
            log_p -= model.hidden_nats(Batch(EVERY), hidden).where(shown_at == r, 0).double().sum(1)
        total.append(log_p)
    return torch.stack(total)


@pytest.mark.parametrize(("family", "params"), FAMILIES)
@pytest.mark.parametrize("steps", [1, 3])
def test_the_bound_never_exceeds_the_exact_value(family: Any, params: dict[str, Any], steps: int) -> None:
    model = opinionated(family, **params, bound_steps=steps, bound_draws=100)
    ways = by_way(model, steps)
    exact, bound = ways.logsumexp(0) - math.log(len(ways)), ways.mean(0)
    assert exact.exp().sum() == pytest.approx(1, rel=1e-5)
    assert (bound <= exact + 1e-9).all()
    drawn = model.log_prob(Batch(EVERY))
    assert ((drawn - bound).abs() <= 5 * ways.std(0, correction=0) / 100**0.5 + 1e-4).all()  # the mean of 100 draws
    if steps == 1 or params.get("block") == 1:  # one way alone: nothing is lost
        torch.testing.assert_close(drawn, exact, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("family", "params"), FAMILIES)
def test_samples_follow_the_likelihood(family: Any, params: dict[str, Any]) -> None:
    model = opinionated(family, **params, steps=3)
    drawn = model.sample(5_000, stream(0, "s"))
    seen = torch.bincount((drawn * torch.tensor([27, 9, 3, 1])).sum(1), minlength=81) / len(drawn)
    assert 0.5 * (seen - by_way(model, 3).exp().mean(0)).abs().sum() < 0.1


def test_blocks_see_those_before_them_and_no_others() -> None:
    model = opinionated(BlockDiffusion, DataSpec("text", (8,), "tokens", vocab=5), block=2)
    x = torch.randint(5, (1, 8))
    hidden = torch.tensor([False] * 4 + [True] * 2 + [False] * 2)[None]
    with torch.no_grad():
        found = model.hidden_logits(Batch(x), hidden)[0, 4:6]
        for place, matters in [(1, True), (3, True), (4, False), (6, False), (7, False)]:
            other = x.clone()
            other[0, place] = (other[0, place] + 1) % 5
            changed = model.hidden_logits(Batch(other), hidden)[0, 4:6]
            assert torch.allclose(changed, found) != matters, place


def test_the_bound_of_a_text_repeats() -> None:
    model = opinionated(MaskedDiffusion)
    assert torch.equal(model.log_prob(Batch(EVERY[:5])), model.log_prob(Batch(EVERY))[:5])


@pytest.mark.parametrize(("family", "params"), FAMILIES)
def test_a_shorter_text_has_a_bound_too(family: Any, params: dict[str, Any]) -> None:
    """The last of a text, that does not fill a window nor a block: as the same with padding behind it."""
    model = opinionated(family, **params)
    short = model.log_prob(Batch(EVERY[:5, :3]))
    padded = model.log_prob(Batch(EVERY[:5].where(torch.arange(4) < 3, 0), lengths=torch.full((5,), 3)))
    torch.testing.assert_close(short, padded, atol=1e-4, rtol=1e-4)


def test_draws_of_a_text_do_not_see_its_padding() -> None:
    x = torch.arange(6)[None]
    padded = [own_draws(Batch(x.where(x < 4, other), lengths=torch.tensor([4])), 2)[:, :, :4] for other in (7, 8)]
    assert torch.equal(*padded)
    assert torch.equal(padded[0], own_draws(Batch(x[:, :4]), 2))  # nor how much there is of it


def test_times_are_spread_evenly() -> None:
    found = times(10, 0.1, torch.Generator()).sort().values
    torch.testing.assert_close(found.diff(), torch.full((9,), 0.09))
    assert found.min() >= 0.1 and found.max() < 1


def test_a_stream_of_blocks_goes_on_like_samples() -> None:
    """With blocks of one token at nearly no temperature, each is the likeliest behind those before it."""
    model = opinionated(BlockDiffusion, DataSpec("text", (6,), "tokens", vocab=5), block=1, steps=1, temperature=1e-4)
    whole = model.sample(1, stream(0, "s"))[0]
    rest = torch.stack(list(itertools.islice(model.stream(whole[:2], stream(0, "s")), 4)))
    assert rest.tolist() == whole[2:].tolist()


@pytest.mark.parametrize("limit", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 0.999}])
def test_with_the_likeliest_token_alone_left_no_draw_matters(limit: dict[str, Any]) -> None:
    model = opinionated(BlockDiffusion, DataSpec("text", (6,), "tokens", vocab=5), block=1, steps=1, **limit)
    assert torch.equal(model.sample(4, stream(0, "s")), model.sample(4, stream(1, "s")))


def test_samples_are_drawn_from_what_the_whole_text_says() -> None:
    """Block by block with what was kept of those before, as by the net of training over all of them anew."""
    model = opinionated(BlockDiffusion, DataSpec("text", (8,), "tokens", vocab=5), block=2, steps=3)
    u = uniform(stream(0, "s"), 6, 4, 3, 2, 2)
    x = torch.empty(6, 0, dtype=torch.int64)
    for each in u.unbind(1):
        new = torch.full((6, 2), model.mask)
        for i in (3, 2, 1):
            with torch.no_grad():
                logits = model.logits(torch.cat([x, new], dim=1), torch.cat([x, new], dim=1))[:, -2:]
            new = shown(new, logits, each[:, 3 - i], i, model.mask, model.drawing)
        x = torch.cat([x, new], dim=1)
    assert torch.equal(model.sample(6, stream(0, "s")), x)


@pytest.mark.parametrize("given", [0, 1, 4, 5])
def test_a_stream_goes_on_from_all_of_its_prompt(given: int) -> None:
    """A prompt that ends within a block changes what follows by its last token, as by its first."""
    model = opinionated(BlockDiffusion, DataSpec("text", (12,), "tokens", vocab=5), block=3, steps=3, temperature=1e-4)
    prompt = torch.arange(given) % 5

    def continued(prompt: Tensor) -> list[int]:
        return [int(token) for token in itertools.islice(model.stream(prompt, stream(0, "s")), 40)]

    found = continued(prompt)
    assert len(found) == 40 and all(0 <= token < 5 for token in found)
    for place in {0, given - 1} if given else ():
        others = [prompt.clone().index_fill_(0, torch.tensor([place]), value) for value in range(5)]
        assert any(continued(other) != found for other in others), place


def test_past_the_window_the_newer_blocks_are_read_again() -> None:
    """What comes behind a text that fills the window is what comes behind the newer half of it alone."""
    model = opinionated(BlockDiffusion, DataSpec("text", (8,), "tokens", vocab=5), block=2, steps=2, temperature=1e-4)
    text = torch.randint(5, (8,), generator=stream(0, "t"))
    whole, half = (list(itertools.islice(model.stream(x, stream(0, "s")), 8)) for x in (text, text[4:]))
    assert whole == half


def test_a_batch_shorter_than_the_window_is_learned_from() -> None:
    model = BlockDiffusion(DataSpec("text", (8,), "tokens", vocab=5), layers=1, heads=1, width=8, block=4)
    batch = Batch(torch.randint(5, (3, 6)), lengths=torch.tensor([6, 2, 5]))
    assert model.train_step(batch, stream(0, "t"))["loss"] > 0


@pytest.mark.parametrize(("family", "params"), FAMILIES)
def test_a_mask_is_no_token_of_a_text(family: Any, params: dict[str, Any]) -> None:
    model = opinionated(family, **params)
    with pytest.raises(GenbenchError, match=r"step 1 of example 0 is not one of the 3 tokens, 0..2"):
        model.log_prob(Batch(torch.tensor([[0, 3, 1, 2]])))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(Unsupported, match="masked diffusion is of tokens, not of binary data"):
        MaskedDiffusion(made_up("music").spec)
    with pytest.raises(GenbenchError, match="block = 5 must divide the window of 16 tokens"):
        BlockDiffusion(made_up("text").spec, block=5)


def test_steps_are_taken_in_turn() -> None:
    assert in_turn(torch.tensor([[3, 0, 3, 7], [5, 5, 5, 5]]), 8).tolist() == [[1, 0, 1, 2], [0, 0, 0, 0]]
