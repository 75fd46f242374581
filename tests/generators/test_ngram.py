"""Kneser-Ney by hand, as a law that sums to one, and what was published of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from bench import Batch, DataSpec, GenbenchError, Unsupported
from bench.streams import stream
from bench.testing import made_up
from generators.ngram import LEAST, KneserNey, NGram

TEXT = "abracadabra abracadabra banana bandana cabana"


def tokens(text: str) -> np.ndarray:
    return np.array([" abcdnr".index(c) for c in text])


def plainly(text: Sequence[int], order: int, context: tuple[int, ...], word: int, vocab: int) -> float:
    """The equations one by one, with dictionaries: the probability of a word behind a context."""
    raw = Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1))
    counts = {order: dict(raw)}
    for n in range(order - 1, 0, -1):
        before = {g: {h[0] for h in counts[n + 1] if h[1:] == g} for g in {h[1:] for h in counts[n + 1]}}
        counts[n] = {g: len(words) for g, words in before.items()}
        first = tuple(text[:n])
        counts[n][first] = counts[n].get(first, 0) + 1

    def p(n: int, h: tuple[int, ...]) -> float:
        if n == 0:
            return 1 / vocab
        many = [max(1, sum(c == k for c in counts[n].values())) for k in (1, 2, 3, 4)]
        y = many[0] / (many[0] + 2 * many[1])
        d = [min(max(k - (k + 1) * y * many[k] / many[k - 1], LEAST), k - LEAST) for k in (1, 2, 3)]
        behind = {g: c for g, c in counts[n].items() if g[:-1] == h}
        lower = p(n - 1, h[1:])
        if not behind:
            return lower
        total = sum(behind.values())
        rest = sum(d[min(c, 3) - 1] for c in behind.values()) / total
        c = behind.get((*h, word), 0)
        return (c - d[min(c, 3) - 1] if c else 0) / total + rest * lower

    return p(len(context) + 1, context)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_law_is_that_of_the_equations(order: int) -> None:
    text = tokens(TEXT)
    law, asked = KneserNey([text], 7, order), tokens("banana cab rabd")
    found = np.exp(law.log_prob(asked[None])[0])
    for t, word in enumerate(asked):
        context = tuple(asked[max(0, t - order + 1) : t].tolist())
        assert found[t] == pytest.approx(plainly(text.tolist(), len(context) + 1, context, int(word), 7), rel=1e-12)


def test_what_follows_sums_to_one() -> None:
    law = KneserNey([tokens(TEXT)], 7, 5)
    for asked in ("", "a", "abra", "rrrrrr", "a banan"):
        following = law.following(tokens(asked)[None].astype(np.int64))
        assert following.sum() == pytest.approx(1, rel=1e-12)
        for word in range(7):
            text = np.append(tokens(asked), word)[None].astype(np.int64)
            assert math.log(following[0, word]) == pytest.approx(law.log_prob(text)[0, -1], rel=1e-12)


def test_texts_do_not_run_into_each_other() -> None:
    """No n-gram is counted that begins in one text and ends in the next."""
    law = KneserNey([tokens("abab"), tokens("cdcd")], 7, 2)
    assert not (law.levels[1].grams == 2 * 7 + 3).any()  # "bc"


def test_the_largest_codes_fit() -> None:
    data = made_up(DataSpec("text", (6,), "tokens", vocab=50257), n=30)
    model = NGram(data, order=7)
    assert model.law.reach == 2  # 50,257 to the third is below 2^62, to the fourth is not
    assert model.log_prob(data.test.batch(torch.arange(3))).isfinite().all()


def test_a_state_goes_on_where_a_text_was_cut() -> None:
    data = made_up("text")
    model, batch = NGram(data), data.test.batch(torch.arange(4))
    whole, _ = model.step_log_prob(batch)
    first, state = model.step_log_prob(Batch(batch.data[:, :5]))
    second, _ = model.step_log_prob(Batch(batch.data[:, 5:]), state)
    assert torch.equal(torch.cat([first, second], dim=1), whole)


def test_it_reaches_the_entropy_of_a_chain() -> None:
    """Within 1 %, as every family that is trained does (test_known_sequences.py), and never below."""
    p = np.random.default_rng(1).dirichlet(np.full(4, 0.5), size=(4, 4))
    rng, rises = np.random.default_rng(0), p.cumsum(-1)
    x = rng.integers(4, size=(3000, 32))
    for t in range(2, 32):
        x[:, t] = (rng.random((len(x), 1)) > rises[x[:, t - 2], x[:, t - 1]]).sum(1).clip(max=3)
    held_out = x[2000:]
    floor = -np.log(p[held_out[:, :-2], held_out[:, 1:-1], held_out[:, 2:]]).sum(1).mean() + 2 * math.log(4)
    found = -KneserNey(list(x[:2000]), 4, 3).log_prob(held_out).sum(1).mean()
    assert 0.999 * floor < found < 1.01 * floor


def test_a_prompt_of_what_are_no_tokens_is_refused() -> None:
    with pytest.raises(GenbenchError, match="step 1 of example 0 is not one of"):
        NGram(made_up("text")).stream(torch.tensor([0, 10_000]), stream(0, "s"))


def test_it_remembers_what_it_read() -> None:
    """Of a text that repeats one sentence, it goes on with that sentence."""
    data = made_up("text")
    drawn = data.decode(NGram(data).sample(40, stream(0, "s")))
    assert sum(text[8:] in data.text("train") for text in drawn) >= 10


def test_of_notes_each_key_is_counted_by_itself() -> None:
    data = made_up("music")
    model, frames = NGram(data), data.train.data.flatten(0, 1)
    p = (frames.double().sum(0) + 0.5) / (len(frames) + 1)
    law = torch.distributions.Independent(torch.distributions.Bernoulli(probs=p), 1)
    batch = data.test.batch(torch.arange(5))
    torch.testing.assert_close(model.step_log_prob(batch)[0], law.log_prob(batch.data.double()))


def test_real_numbers_are_refused() -> None:
    with pytest.raises(Unsupported, match="real numbers are too many to count"):
        NGram(made_up(DataSpec("music", (8, 3), "continuous")))


@pytest.mark.shared
@pytest.mark.parametrize(("order", "nats"), [(2, 2.484), (5, 1.561), (7, 1.5165)])
def test_tiny_shakespeare_costs_what_it_should(order: int, nats: float) -> None:
    """nanoGPT's split, characters, the whole validation text in one stream."""
    from bench.datasets._content import find
    from bench.datasets.tinyshakespeare import _HOW, _PLACES

    text = find("Tiny Shakespeare", "", _PLACES, _HOW).read_text()
    index = {c: i for i, c in enumerate(sorted(set(text)))}
    stream_of = np.array([index[c] for c in text])
    cut = int(len(text) * 0.9)
    law = KneserNey([stream_of[:cut]], len(index), order)
    assert -law.log_prob(stream_of[None, cut:]).mean() == pytest.approx(nats, abs=5e-4)
