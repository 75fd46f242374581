"""Heads of sequence models: against torch's and scipy's distributions, sums and integrals that must be one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import integrate, stats
from torch import Tensor
from torch import distributions as laws

from bench import Batch, DataSpec, GenbenchError, Unsupported
from generators._heads import Continuous, Frames, Head, Tokens, head_of

HEADS: tuple[Head, ...] = (Tokens(5), Frames(3), Frames(3, 2), Continuous(2, 3), Continuous(1, 4))


def grid(n: int) -> Tensor:
    """n numbers that lie evenly in [0, 1)."""
    return (torch.arange(n) + 0.5) / n


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(head: Head, batch: int, steps: int) -> Tensor:
    """Steps as the head would draw them."""
    u = torch.rand(batch * steps, *head.draws, generator=rng(1))
    drawn = head.draw(torch.randn(batch * steps, head.size, generator=rng(2)), u)
    return drawn.view(batch, steps, *drawn.shape[1:])


class TestTokens:
    def test_log_prob_is_torchs(self) -> None:
        out, x = torch.randn(4, 6, 5), torch.randint(5, (4, 6))
        expected = laws.Categorical(logits=out).log_prob(x)
        torch.testing.assert_close(Tokens(5).log_prob(out, Batch(x)).float(), expected)

    def test_inversion_draws_each_token_by_its_probability(self) -> None:
        p = torch.tensor([0.1, 0.0, 0.6, 0.3])
        counts = torch.bincount(Tokens(4).draw(p.log().expand(10000, 4), grid(10000)), minlength=4)
        assert counts.tolist() == [1000, 0, 6000, 3000]

    @pytest.mark.parametrize("vocab", [1, 7, 100_000])
    def test_the_ends_of_the_unit_interval_are_tokens_that_can_be(self, vocab: int) -> None:
        """Also where rounding adds up over many tokens, and those at both ends have no probability."""
        out = torch.randn(1, vocab, generator=rng())
        ends = torch.tensor([0.0, 1 - 2**-24])
        assert Tokens(vocab).draw(out.expand(2, vocab), ends).tolist() == [0, vocab - 1]
        shut = F.pad(out, (1, 1), value=-torch.inf)
        assert Tokens(vocab + 2).draw(shut.expand(2, vocab + 2), ends).tolist() == [1, vocab]

    def test_the_start_is_outside_the_vocabulary(self) -> None:
        assert Tokens(5).shifted(torch.tensor([[3, 1, 4]])).tolist() == [[5, 3, 1]]


class TestFrames:
    def test_log_prob_is_torchs(self) -> None:
        out, x = torch.randn(4, 6, 88), torch.randint(2, (4, 6, 88)).float()
        expected = laws.Independent(laws.Bernoulli(logits=out), 1).log_prob(x)
        torch.testing.assert_close(Frames(88).log_prob(out, Batch(x)).float(), expected)

    @pytest.mark.parametrize("components", [1, 4])
    def test_probabilities_of_all_frames_sum_to_one(self, components: int) -> None:
        every, head = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))[None], Frames(3, components)
        out = torch.randn(head.size).expand(1, 8, head.size)
        assert head.log_prob(out, Batch(every)).exp().sum().item() == pytest.approx(1, rel=1e-6)

    def test_a_mixture_is_torchs(self) -> None:
        head, out, x = Frames(88, 3), torch.randn(4, 6, 3 * 89), torch.randint(2, (4, 6, 88)).float()
        weights, logits = out.split([3, 3 * 88], dim=-1)
        inner = laws.Independent(laws.Bernoulli(logits=logits.view(4, 6, 3, 88)), 1)
        expected = laws.MixtureSameFamily(laws.Categorical(logits=weights), inner).log_prob(x)
        torch.testing.assert_close(head.log_prob(out, Batch(x)).float(), expected)

    def test_a_mixture_draws_chords(self) -> None:
        """Two chords that share no key, each as often as it weighs: independent keys would sound in any mixture."""
        out = torch.cat([torch.tensor([0.1, 0.9]).log(), torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 1.0]).logit()])
        u = torch.cat([grid(1000)[:, None], torch.rand(1000, 3, generator=rng())], dim=1)
        chords, counts = Frames(3, 2).draw(out.expand(1000, 8), u).unique(dim=0, return_counts=True)
        assert chords.tolist() == [[0, 0, 1], [1, 1, 0]]
        assert counts.tolist() == [900, 100]

    def test_each_key_is_drawn_by_its_probability(self) -> None:
        p = torch.tensor([0.0, 0.25, 1.0])
        drawn = Frames(3).draw(p.logit().expand(1000, 3), grid(1000)[:, None].expand(1000, 3))
        assert drawn.sum(0).tolist() == [0, 250, 1000]

    def test_a_mixture_learns_chords(self) -> None:
        """Of four that share no key: ln 4 nats at best, and 6.7 at best for keys that know nothing of each other."""
        torch.manual_seed(0)
        head, chords = Frames(12, 8), torch.eye(4).repeat_interleave(3, dim=1)
        write = torch.nn.Linear(16, head.size)
        head.prepare(write)
        adam = torch.optim.Adam(write.parameters(), lr=1e-2)
        for _ in range(400):
            loss = head.nats(write(torch.randn(64, 1, 16)), chords[torch.randint(4, (64, 1))]).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        assert loss.item() < 4

    def test_components_begin_alike_with_keys_that_seldom_sound(self) -> None:
        head = Frames(88, 8)
        write = torch.nn.Linear(64, head.size)
        head.prepare(write)
        weights, keys = write(torch.randn(500, 64)).detach().split([8, 8 * 88], dim=-1)
        assert weights.softmax(-1).max() < 0.25
        assert keys.sigmoid().mean().item() == pytest.approx(4 / 88, abs=0.01)

    def test_silence_stands_before(self) -> None:
        assert Frames(2).shifted(torch.ones(1, 3, 2)).tolist() == [[[0, 0], [1, 1], [1, 1]]]


class TestContinuous:
    def test_a_mixture_of_logistics_is_scipys(self) -> None:
        out, x = np.random.default_rng(0).normal(size=(2, 9))
        weights, mean, log_scale = np.split(out, 3)
        density = (stats.logistic.pdf(x[:, None], mean, np.exp(log_scale)) * np.exp(weights)).sum(1)
        batch = Batch(torch.from_numpy(x).float().view(1, 9, 1))
        found = Continuous(1, 3).log_prob(torch.from_numpy(out).expand(1, 9, 9), batch)
        assert found[0].numpy() == pytest.approx(np.log(density / np.exp(weights).sum()), rel=1e-5)

    def test_the_density_integrates_to_one(self) -> None:
        head, out = Continuous(1, 4), torch.randn(1, 1, 12, generator=rng())

        def density(x: float) -> float:
            return head.log_prob(out, Batch(torch.tensor([[[x]]]))).exp().item()

        assert integrate.quad(density, -40, 40, points=[-2, 0, 2], limit=200)[0] == pytest.approx(1, abs=1e-4)

    def test_draws_follow_the_density(self) -> None:
        head, out = Continuous(2, 3), torch.randn(1, 15, generator=rng()).double()
        drawn = head.draw(out.expand(4000, 15), torch.rand(4000, 3, generator=rng(1)))
        weights, mean, log_scale = (part.numpy()[0] for part in out.split([3, 6, 6], dim=-1))
        share = np.exp(weights) / np.exp(weights).sum()

        for i in range(2):
            center, scale = mean.reshape(3, 2)[:, i], np.exp(log_scale.reshape(3, 2)[:, i])
            cdf = lambda x, c=center, s=scale: stats.logistic.cdf(x[:, None], c, s) @ share  # noqa: E731
            assert stats.kstest(drawn[:, i].numpy(), cdf).pvalue > 0.01

    def test_cold_it_draws_the_middle_of_the_likeliest_component(self) -> None:
        out = torch.tensor([[0.0, 3.0, -0.5, 0.25, 0.0, 0.0]])  # two weights, two means, two scales of 1
        found = Continuous(1, 2).draw(out, torch.tensor([[0.3, 0.9]]), temperature=1e-8)
        assert found.item() == pytest.approx(0.25, abs=1e-3)

    def test_the_ends_of_the_unit_interval_are_finite(self) -> None:
        u = torch.tensor([[0.0, 0.0], [1 - 2**-24, 1 - 2**-24]])
        assert Continuous(1, 2).draw(torch.zeros(2, 6), u).isfinite().all()

    def test_a_component_cannot_shrink_to_a_point(self) -> None:
        """On the very value of the data its density would grow without bound, and training with it."""
        out = torch.tensor([0.0, 0.5, -100.0])
        assert Continuous(1, 1).log_prob(out.view(1, 1, 3), Batch(torch.full((1, 1, 1), 0.5))) < 7


@pytest.mark.parametrize("head", HEADS, ids=str)
class TestEveryHead:
    def test_loss_is_the_mean_of_nats(self, head: Head) -> None:
        x, out = data(head, 3, 5), torch.randn(3, 5, head.size)
        mean = -head.log_prob(out, Batch(x)).mean()
        assert head.loss(out, Batch(x)).item() == pytest.approx(mean.item(), rel=1e-5)

    def test_padding_means_nothing(self, head: Head) -> None:
        x, out, lengths = data(head, 3, 5), torch.randn(3, 5, head.size), torch.tensor([2, 0, 5])
        found = head.log_prob(out, Batch(x, lengths=lengths))
        full = head.log_prob(out, Batch(x))
        for row, whole, n in zip(found, full, lengths.tolist(), strict=True):
            assert torch.equal(row[:n], whole[:n]) and not row[n:].any()
        assert head.loss(out, Batch(x, lengths=lengths)).item() == pytest.approx(-found.sum().item() / 7, rel=1e-5)

    def test_a_row_depends_on_its_own_draws(self, head: Head) -> None:
        out, u = torch.randn(6, head.size), torch.rand(6, *head.draws)
        assert torch.equal(head.draw(out, u)[2:4], head.draw(out[2:4], u[2:4]))

    def test_what_is_no_step_is_named(self, head: Head) -> None:
        """In padding anything may stand."""
        x = data(head, 2, 3)
        head.check(Batch(x))
        x[1, 2] = torch.nan if x.is_floating_point() else head.size
        head.check(Batch(x, lengths=torch.tensor([3, 2])))
        with pytest.raises(GenbenchError, match="step 2 of example 1 is not"):
            head.check(Batch(x))


def test_the_kind_of_data_chooses_the_head() -> None:
    assert head_of(DataSpec("text", (256,), "tokens", vocab=65)) == Tokens(65)
    assert head_of(DataSpec("music", (64, 88), "binary")) == Frames(88)
    assert head_of(DataSpec("audio", (100, 80), "continuous")) == Continuous(80)
    assert head_of(DataSpec("music", (64, 88), "binary"), 4) == Frames(88, 4)
    assert head_of(DataSpec("audio", (100, 80), "continuous"), 4) == Continuous(80, 4)
    with pytest.raises(Unsupported, match="a token is of no mixture"):
        head_of(DataSpec("text", (256,), "tokens", vocab=65), 4)
    with pytest.raises(Unsupported, match=r"no sequence of steps: continuous data of shape \(1, 8, 8\)"):
        head_of(DataSpec("image", (1, 8, 8), "continuous"))
