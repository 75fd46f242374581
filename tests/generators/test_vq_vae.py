"""VQ-VAE: quantisers against their papers' formulas, the bound, and that the prior is trained on frozen codes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from bench import Batch, DataSpec, GenbenchError, Rows
from bench.datasets.digits import digits
from bench.streams import stream
from bench.testing import made_up
from generators._heads import Tokens
from generators._tokeniser import FSQ, Codebook, halvings, perplexity, shares
from generators.vq_vae import VQVAE, ConditionalVQVAE

GREY = DataSpec("image", (1, 28, 28), "continuous", classes=10)
SMALL: dict[str, Any] = {"levels": [4, 3], "codes": 12, "code_size": 3, "width": 8, "layers": 1, "prior_width": 16}


def images(n: int, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, *shape, generator=stream(seed, "images")) * 2 - 1


class TestFSQ:
    @pytest.mark.parametrize("levels", [(3,), (4,), (8, 6, 5), (8, 5, 5, 5), (7, 4)])
    def test_codes_and_integers_are_a_bijection(self, levels: tuple[int, ...]) -> None:
        fsq, every = FSQ(levels), torch.arange(math.prod(levels))
        vectors = fsq.vectors(every)
        assert len(vectors.unique(dim=0)) == fsq.codes == len(every)
        assert vectors.min() == -1 and vectors.max() <= 1
        digits = itertools.product(*(range(level) for level in reversed(levels)))  # the first digit is the lowest
        written = torch.tensor([digit[::-1] for digit in digits])
        assert torch.allclose(vectors, written / (torch.tensor(levels) // 2) - 1)

    @pytest.mark.parametrize("levels", [(3,), (4,), (5,), (6,), (7,), (8,)])
    def test_every_level_is_reached_and_no_other(self, levels: tuple[int, ...]) -> None:
        """Even numbers of levels need the half step: without it there is one too many."""
        z = torch.linspace(-9, 9, 4001)[:, None]
        q, codes = FSQ(levels)(z)
        assert codes.unique().tolist() == list(range(levels[0]))
        assert (codes.diff() >= 0).all() and torch.allclose(FSQ(levels).vectors(codes), q)

    @pytest.mark.parametrize("level", [3, 4, 5, 8])
    def test_nothing_is_zero(self, level: int) -> None:
        """f(0) = 0, whose place among the levels is the middle, or the one above it."""
        fsq = FSQ((level,))
        assert fsq.bounded(torch.zeros(1)).abs().item() < 1e-6
        assert fsq(torch.zeros(1))[1].item() == level // 2

    def test_gradients_go_straight_through_the_rounding(self) -> None:
        fsq = FSQ((8, 5))
        z = torch.tensor([[0.3, -0.7]], requires_grad=True)
        bounded = torch.autograd.grad(fsq.bounded(z).sum(), z)[0]
        rounded = torch.autograd.grad(fsq(z)[0].sum(), z)[0]
        assert torch.allclose(rounded, bounded / torch.tensor([4, 2])) and (rounded != 0).all()

    def test_it_is_the_papers_listing(self) -> None:
        """arXiv:2309.15505, appendix A.1, for odd levels, where its shift is 0."""
        z, levels = torch.randn(500, 2, generator=stream(0, "z")), torch.tensor([5, 7])
        theirs = (z.tanh() * (levels - 1) * (1 - 1e-3) / 2).round() / (levels // 2)
        assert torch.allclose(FSQ((5, 7))(z)[0], theirs)


class TestCodebook:
    def test_one_update_by_hand(self) -> None:
        """Two codes at 0 and 10, counts of 1: two vectors, 1 and 3, choose the first; it moves, the other decays."""
        book = Codebook(2, 1)
        book.revive(torch.tensor([[0.0], [10.0]]), stream(0, "x"))
        assert book.counts.tolist() == [1, 1] and sorted(book.book.flatten().tolist()) == [0, 10]
        z = torch.tensor([[1.0], [3.0]])
        codes = book(z)[1]
        assert codes.unique().numel() == 1
        book.learn(z, codes)
        first, other = int(codes[0]), 1 - int(codes[0])
        assert math.isclose(book.counts[first], 0.99 * 1 + 0.01 * 2, rel_tol=1e-6)
        assert math.isclose(book.counts[other], 0.99, rel_tol=1e-6)
        assert math.isclose(book.book[first], (0.99 * 0 + 0.01 * 4) / 1.01, rel_tol=1e-4)
        assert math.isclose(book.book[other], 10, rel_tol=1e-5)  # mean of what it had: only its weight falls

    def test_each_vector_takes_the_nearest_code(self) -> None:
        book, z = Codebook(30, 4), torch.randn(5, 7, 4, generator=stream(0, "z"))
        q, codes = book(z)
        assert torch.equal(codes, torch.cdist(z, book.book[None].expand(5, -1, -1)).argmin(-1))
        assert torch.allclose(q, book.vectors(codes), atol=1e-6)

    def test_gradients_go_straight_through(self) -> None:
        z = torch.randn(6, 4, generator=stream(0, "z"), requires_grad=True)
        (Codebook(5, 4)(z)[0] * torch.arange(4.0)).sum().backward()
        assert z.grad is not None and torch.equal(z.grad, torch.arange(4.0).expand(6, 4))

    def test_dead_codes_are_put_among_the_vectors_of_the_batch(self) -> None:
        """All of them before the first step, and later those that almost nothing chose for long; no others."""
        book, z = Codebook(8, 2), torch.randn(50, 2, generator=stream(0, "z"))
        book.revive(z, stream(0, "x"))
        assert all((z == code).all(1).any() for code in book.book) and len(book.book.unique(dim=0)) == 8
        far = torch.full((50, 2), 100.0)
        for _ in range(240):  # 0.99^230 < 0.1
            book.learn(far, torch.zeros(50, dtype=torch.int64))
        before = book.book.clone()
        book.revive(far, stream(1, "x"))
        assert torch.equal(book.book[0], before[0]) and (book.book[1:] == 100).all()
        assert (book.counts[1:] == 1).all()

    def test_a_codebook_finds_clusters(self) -> None:
        rng = stream(0, "z")
        centres = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
        book = Codebook(3, 2, decay=0.9)
        for _ in range(300):
            z = centres[torch.randint(3, (64,), generator=rng)] + 0.1 * torch.randn(64, 2, generator=rng)
            book.revive(z, rng)
            book.learn(z, book(z)[1])
        assert torch.cdist(centres, book.book).min(1).values.max() < 0.1


def test_the_commitment_is_a_sum_over_what_the_image_is_divided_by() -> None:
    """Eq. 3 divided by 784 values: beta times the squares of 16 places of 5 numbers, and not their mean."""
    torch.manual_seed(0)
    model = VQVAE(GREY, quantiser="ema", codes=6, code_size=5, commitment=0.5, width=4, blocks=0, prior_width=8)
    x = images(3, 1, 28, 28)
    assert isinstance(model.quantiser, Codebook)
    model.quantiser.counts.fill_(100)  # no code is dead, so that none is put elsewhere before the step
    z = model.vectors(x, learning=True)
    q, _ = model.quantiser(z)
    expected = 0.5 * (z - q).square().flatten(1).sum(1).mean().item() / 784
    model.pace(0)
    assert model.train_step(Batch(x), stream(0, "t"))["commitment"] == pytest.approx(expected, rel=1e-5)


class TestUsage:
    def test_of_all_codes_alike_it_is_their_number(self) -> None:
        assert math.isclose(perplexity(shares(torch.arange(24).repeat(3), 24)), 24, rel_tol=1e-5)

    def test_of_one_code_it_is_one(self) -> None:
        assert math.isclose(perplexity(shares(torch.full((9,), 4), 24)), 1, rel_tol=1e-6)

    def test_it_is_of_all_codes_seen_lately_and_not_of_a_batch(self) -> None:
        """Batches of one image each use few codes, and many together."""
        model = VQVAE(GREY, **SMALL)
        each: list[float] = []
        for step in range(30):
            x = images(1, 1, 28, 28, seed=step) * (step % 5) / 4
            last = model.train_step(Batch(x), stream(0, "train", step))
            each.append(perplexity(shares(model.encode(x), 12)).item())
        assert max(each[-5:]) < last["codebook_perplexity"] <= 12
        assert math.isclose(last["codebook_perplexity"], perplexity(model.usage), rel_tol=1e-5)


@pytest.mark.parametrize(
    ("shape", "side", "grid"),
    [((1, 28, 28), 4, (4, 4)), ((1, 28, 28), 7, (7, 7)), ((3, 32, 32), 8, (8, 8)), ((3, 64, 64), 4, (4, 4)),
     ((3, 32, 32), 4, (4, 4)), ((1, 8, 8), 4, (4, 4)), ((1, 5, 9), 4, (2, 3))],
)  # fmt: skip
@pytest.mark.parametrize("quantiser", ["fsq", "ema"])
def test_images_of_these_sizes(shape: tuple[int, ...], side: int, grid: tuple[int, int], quantiser: Any) -> None:
    assert halvings(shape, side)[-1] == grid
    model = VQVAE(DataSpec("image", shape, "continuous"), quantiser=quantiser, side=side, **SMALL)
    x = images(2, *shape)
    assert model.encode(x).shape == (2, math.prod(grid))
    assert model.reconstruct(Batch(x)).shape == model.sample(2, stream(0, "s")).shape == x.shape


class TestTraining:
    @pytest.mark.parametrize(("quantiser", "many"), [("fsq", 50), ("ema", 10)])
    def test_the_first_steps_leave_many_codes_in_use(self, quantiser: Any, many: int) -> None:
        """Of vectors that are not normalised, what is chosen is worth 2 of 240 codes (FSQ), or 4 of 256."""
        torch.manual_seed(0)
        data, rng = digits(), stream(0, "batches")
        model = VQVAE(data.spec, quantiser=quantiser, side=2, width=16, blocks=1, layers=1, prior_width=16, lr=4e-3)
        model.parts = ["tokeniser"]
        for step in range(60):
            model.train_step(data.train.batch(torch.randint(1000, (32,), generator=rng)), stream(0, "train", step))
        chosen = shares(model.encode(data.train.batch(torch.arange(300)).data), model.quantiser.codes)
        assert perplexity(chosen) > many

    def test_a_training_that_diverged_is_told_by_its_loss(self) -> None:
        model = VQVAE(replace(GREY, shape=(1, 8, 8)), **SMALL)
        losses = model.train_step(Batch(torch.full((4, 1, 8, 8), torch.nan)), stream(0, "train"))
        assert math.isnan(losses["loss"])

    @pytest.mark.parametrize("quantiser", ["fsq", "ema"])
    def test_first_the_tokeniser_and_then_the_prior_on_frozen_codes(self, quantiser: Any) -> None:
        model = VQVAE(GREY, quantiser=quantiser, tokeniser_share=0.5, **SMALL)

        def moved(share: float) -> set[str]:
            before = {name: x.clone() for name, x in model.state_dict().items() if name != "usage"}
            model.pace(share)
            losses = model.train_step(Batch(images(8, 1, 28, 28)), stream(0, "train"))
            assert ("reconstruction" in losses) != ("prior" in losses)
            after = model.state_dict()
            return {name.split(".")[0] for name, x in before.items() if not torch.equal(x, after[name])}

        tokeniser = {"encoder", "decoder", "norm", *(["quantiser"] if quantiser == "ema" else [])}
        assert moved(0.1) == moved(0.4) == tokeniser
        assert moved(0.5) == moved(0.9) == {"prior"}

    def test_each_rate_falls_within_its_part(self) -> None:
        model, rates = VQVAE(GREY, tokeniser_share=0.25, lr=1e-3, prior_lr=2e-3, **SMALL), []
        for share in (0.0, 0.2499, 0.25, 0.9999):
            model.pace(share)
            rates.append([o.param_groups[0]["lr"] for o in (model.optimiser, model.prior_optimiser)])
        assert rates[0][0] == 1e-3 and rates[1][0] < 1e-6
        assert rates[2][1] == 2e-3 and rates[3][1] < 1e-6

    def test_the_prior_learns_the_distribution_of_codes(self) -> None:
        """Of images of two kinds, seen three times to one, samples are as often."""
        torch.manual_seed(0)
        model = VQVAE(replace(GREY, shape=(1, 8, 8)), prior_lr=1e-2, lr=5e-3, **SMALL)
        kinds = torch.stack([torch.full((1, 8, 8), -0.8), torch.full((1, 8, 8), 0.8)])
        for step in range(240):
            which = (torch.rand(32, generator=stream(0, "which", step)) < 0.75).long()
            model.pace(step / 240)
            model.train_step(Batch(kinds[which]), stream(0, "train", step))
        drawn = model.sample(400, stream(0, "s"))
        near = (drawn[:, None] - kinds).abs().mean((2, 3, 4))
        assert near.min(1).values.mean() < 0.15 and abs(near.argmin(1).float().mean() - 0.75) < 0.08


class TestBound:
    """log p(x) >= log p(x|k(x)) + log p(k(x)): the missing terms are those of all other codes."""

    spec = DataSpec("image", (1, 2, 2), "binary")

    @pytest.mark.parametrize("quantiser", ["fsq", "ema"])
    def test_it_never_exceeds_the_exact_value(self, quantiser: Any) -> None:
        torch.manual_seed(0)
        model = VQVAE(self.spec, quantiser=quantiser, **SMALL).eval()
        every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).view(-1, 1, 2, 2)
        for step in range(20):
            model.train_step(Batch(every), stream(0, "train", step))
        bound, exact = model.log_prob(Batch(every)), self.exact(model, every)
        assert (bound <= exact + 1e-9).all() and bound.exp().sum() < exact.exp().sum()
        assert math.isclose(exact.exp().sum(), 1, rel_tol=1e-5)

    def exact(self, model: VQVAE, x: torch.Tensor) -> torch.Tensor:
        """By adding up all codes, of which an image has one."""
        codes = torch.arange(model.quantiser.codes)[:, None]
        with torch.no_grad():
            prior = -model.prior_nats(codes, None).sum(1).double()
            out = model.decode(model.quantiser.vectors(codes))
            given = torch.stack([model.pixels.log_prob(x, o[None].expand(len(x), -1, -1, -1)) for o in out]).double()
        return (prior[:, None] + given).logsumexp(0)

    def test_it_is_of_mass_where_the_decoder_is(self) -> None:
        model = VQVAE(replace(GREY, shape=(1, 8, 8)), decoder="logistic", **SMALL)
        assert model.log_prob_of == "mass" and model.log_prob(Batch(images(2, 1, 8, 8))).isfinite().all()


class TestConditional:
    def test_a_label_decides_the_image(self) -> None:
        torch.manual_seed(0)
        data = made_up(replace(GREY, shape=(1, 8, 8), classes=2))
        model = ConditionalVQVAE(data.spec, prior_lr=1e-2, lr=5e-3, **SMALL)
        label = torch.arange(32) % 2
        x = (label.float() * 1.6 - 0.8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
        for step in range(150):
            model.pace(step / 150)
            model.train_step(Batch(x, label), stream(0, "train", step))
        drawn = model.sample(100, stream(0, "s"), torch.arange(100) % 2)
        assert ((drawn.mean((1, 2, 3)) > 0).long() == torch.arange(100) % 2).float().mean() > 0.95


def test_drawing_with_cached_keys_is_drawing_from_the_whole() -> None:
    """One code at a time with what was kept, as from all codes before it anew."""
    model = VQVAE(GREY, **{**SMALL, "layers": 2}).eval()
    torch.nn.init.normal_(model.prior.embedding.weight)
    u = Rows(stream(0, "u"), 5).uniform(16)
    head, codes = Tokens(12), torch.zeros(5, 0, dtype=torch.int64)
    with torch.no_grad():
        for place in range(16):
            seen = torch.cat([head.start(5, u.device)[:, None], codes], 1)
            codes = torch.cat([codes, head.draw(model.prior(seen)[:, -1], u[:, place])[:, None]], 1)
        assert torch.equal(model.draw_codes(Rows(stream(0, "u"), 5), 5, None), codes)


def test_heads_share_the_width() -> None:
    with pytest.raises(GenbenchError, match="multiple of heads = 3"):
        VQVAE(GREY, heads=3, prior_width=16)
