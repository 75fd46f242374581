"""Likelihood of text and images: against entropies, sums written out, and counts of the string itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn

from bench import Batch, DataSpec, Estimate, GenbenchError, Interval, Omitted, Trial, spacing
from bench.datasets._image import SPLITS
from bench.datasets._text import TextDataset
from bench.datasets._vector import VectorDataset
from bench.datasets.digits import digits
from bench.protocols import Likelihood, Sequential, SplitName, Textual, Verbatim, capabilities, unmet
from bench.registry import GeneratorEntry
from bench.statistics import STRETCHES
from bench.testing import families_for, made_up
from metrics.likelihood._scoring import Score, count_units, disjoint_nats, score, sliding_nats, stateful_nats
from metrics.likelihood.bits_per_byte import bits_per_byte, bits_per_byte_sliding, bits_per_byte_stateful
from metrics.likelihood.bits_per_char import bits_per_char
from metrics.likelihood.bits_per_dim import bits_of, bits_per_dim
from metrics.likelihood.log_likelihood import log_likelihood, mean_of
from metrics.likelihood.nats_per_frame import per_frame
from metrics.likelihood.perplexity import (
    perplexity,
    perplexity_byte,
    perplexity_sliding,
    perplexity_stateful,
    perplexity_word,
)

CPU = torch.device("cpu")
Metric = Callable[[Trial[Any]], Estimate]


def trial_of(model: Any, dataset: Any, batch_size: int = 32) -> Trial[Any]:
    return Trial(model, dataset, seed=0, n_samples=8, batch_size=batch_size, device=CPU)


def dataset_of(text: str, window: int) -> TextDataset:
    return TextDataset("x", dict.fromkeys(SPLITS, text), window)


class Markov:
    """A first-order chain over bytes with a known entropy, as data and as its own perfect model."""

    bound = False
    log_prob_of: Literal["mass", "density"] = "mass"

    def __init__(self, table: Mapping[str, Mapping[str, float]]) -> None:
        self.letters = sorted(table)
        p = [[table[a].get(b, 0.0) for b in self.letters] for a in self.letters]
        self.p = torch.tensor(p, dtype=torch.float64)

    def text(self, n: int, seed: int) -> str:
        rng, state, drawn = np.random.default_rng(seed), 0, []
        for _ in range(n):
            state = int(rng.choice(len(self.letters), p=self.p[state].numpy()))
            drawn.append(self.letters[state])
        return "".join(drawn)

    def step_log_prob(self, batch: Batch, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Without a letter before it, the first is as if drawn evenly."""
        index = torch.tensor([[self.letters.index(chr(t)) for t in row] for row in batch.data.tolist()])
        inner = self.p[index[:, :-1], index[:, 1:]].log()
        even = torch.full((len(index),), math.log(1 / len(self.letters)), dtype=torch.float64)
        first = even if state is None else self.p[state, index[:, 0]].log()
        return torch.cat([first[:, None], inner], dim=1), index[:, -1]

    def log_prob(self, batch: Batch) -> Tensor:
        return self.step_log_prob(batch)[0].sum(1)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, 10, dtype=torch.int64)


class Uniform:
    """Every byte as likely as any other: 8 bits a byte, whatever the text."""

    bound = False
    log_prob_of: Literal["mass", "density"] = "mass"

    def step_log_prob(self, batch: Batch, state: int | None = None) -> tuple[Tensor, int]:
        return torch.full(batch.data.shape, -math.log(256)), 0

    def log_prob(self, batch: Batch) -> Tensor:
        return self.step_log_prob(batch)[0].sum(1)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, 10, dtype=torch.int64)


CHAIN = Markov({"a": {"a": 0.9, "b": 0.1}, "b": {"a": 0.4, "b": 0.6}})
H = sum(share * (-p * math.log2(p) - (1 - p) * math.log2(1 - p)) for share, p in ((0.8, 0.9), (0.2, 0.6)))


@pytest.fixture(scope="module")
def dataset() -> TextDataset:
    texts = {"train": CHAIN.text(300, 0), "valid": CHAIN.text(300, 1), "test": CHAIN.text(20003, 2)}
    return TextDataset("chain", texts, window=100)  # type: ignore[arg-type]


FAMILIES = families_for("text", Sequential)


def carries_state(model: Any) -> bool:
    """Whether a text can go on behind its window."""
    return model.step_log_prob(Batch(torch.zeros(1, 2, dtype=torch.int64)))[1] is not None


def tiny(family: GeneratorEntry, window: int = 8) -> Any:
    """A model of random weights, large enough for every token to matter."""
    torch.manual_seed(3)
    model: Any = family.make(DataSpec("text", (window,), "tokens", vocab=256), **family.presets["test"])
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def stateful() -> Any:
    """A model whose text goes on without end."""
    return next(model for model in map(tiny, FAMILIES.values()) if carries_state(model))


def of_one_window() -> Any:
    """A model that sees no more than its window."""
    return next(model for model in map(tiny, FAMILIES.values()) if not carries_state(model))


class TestText:
    def test_a_perfect_model_reaches_the_entropy(self, dataset: TextDataset) -> None:
        """H = sum_a pi(a) H(a), pi = (0.8, 0.2); one letter in a hundred opens a window and costs one bit."""
        found, entropy = bits_per_byte(trial_of(CHAIN, dataset)), 0.99 * H + 0.01
        assert found.interval is not None
        assert found.interval.lo < entropy < found.interval.hi
        assert found.value == pytest.approx(entropy, rel=0.03)

    def test_perplexity_is_two_to_the_bits(self, dataset: TextDataset) -> None:
        trial = trial_of(CHAIN, dataset)
        bits, per_token = bits_per_byte(trial), perplexity(trial)
        assert per_token.value == pytest.approx(2**bits.value, rel=1e-12)
        assert bits.interval and per_token.interval
        assert per_token.interval.hi == pytest.approx(2**bits.interval.hi, rel=1e-12)

    def test_per_token_it_names_the_tokeniser(self, dataset: TextDataset) -> None:
        """Perplexities of other tokens are numbers of another protocol; per byte it does not matter."""
        texts: dict[SplitName, str] = {"train": "ab" * 50, "valid": "ab" * 50, "test": "ab" * 50}
        pairs = TextDataset("pairs", texts, window=20, tokeniser="characters")
        named = [perplexity(trial_of(Uniform(), data)).protocol["tokeniser"] for data in (dataset, pairs)]
        assert named == ["bytes", "2 characters"]
        assert "tokeniser" not in bits_per_byte(trial_of(Uniform(), dataset)).protocol

    def test_by_how_many_steps_it_was_found_is_named(self) -> None:
        class Stepwise(Uniform):
            bound_steps = 7

        assert bits_per_byte(trial_of(Stepwise(), dataset_of("ab" * 50, 20))).protocol["bound_steps"] == 7

    def test_every_token_is_scored_once(self, dataset: TextDataset) -> None:
        """Also the tail that fills no window: sum over sum, not a mean of windows."""
        found = bits_per_byte(trial_of(CHAIN, dataset))
        assert found.n == 20003
        windows = dataset.tokens("test").split(100)
        nats = -sum(CHAIN.log_prob(Batch(w[None])).item() for w in windows)
        assert found.value == pytest.approx(nats / math.log(2) / 20003, rel=1e-12)

    def test_a_text_of_whole_windows_has_no_tail(self) -> None:
        assert bits_per_byte(trial_of(Uniform(), dataset_of("ab" * 50, 20))).n == 100

    def test_a_bound_is_called_one(self, dataset: TextDataset) -> None:
        class Bound(Uniform):
            bound = True

        assert perplexity(trial_of(Bound(), dataset)).kind == "bound"
        assert perplexity(trial_of(Uniform(), dataset)).kind == "point"

    @pytest.mark.parametrize("measure", [perplexity, perplexity_sliding, perplexity_stateful])
    def test_nan_is_refused(self, dataset: TextDataset, measure: Metric) -> None:
        class Broken(Uniform):
            def step_log_prob(self, batch: Batch, state: int | None = None) -> tuple[Tensor, int]:
                return torch.full(batch.data.shape, torch.nan), 0

        with pytest.raises(GenbenchError, match="log_prob returned NaN"):
            measure(trial_of(Broken(), dataset))

    def test_nats_are_added_in_double_precision(self) -> None:
        """A million tokens of a thousandth of a nat, whose sum in single precision would stray by more than this."""

        class Sure(Uniform):
            def step_log_prob(self, batch: Batch, state: int | None = None) -> tuple[Tensor, int]:
                return torch.full(batch.data.shape, -1e-3), 0

        found = stateful_nats(Sure(), torch.zeros(10**6, dtype=torch.int64), 100, 100, CPU)
        assert found.dtype == np.float64
        assert found.sum() == pytest.approx(1e6 * float(np.float32(1e-3)), rel=1e-12)


class TestUnits:
    text = "  Über die Straße,\n\n中文 no\u00a0break \t日本語𝄞  "

    @pytest.mark.parametrize("window", [1, 2, 3, 7, 50])
    def test_blocks_add_up_to_the_string(self, window: int) -> None:
        """Windows cut characters and words; each is counted once, where it begins."""
        coded = self.text.encode()
        ends = np.minimum(np.arange(window, len(coded) + window, window), len(coded))
        assert count_units(self.text, ends, "byte").sum() == len(coded)
        assert count_units(self.text, ends, "char").sum() == len(self.text)
        assert count_units(self.text, ends, "word").sum() == len(self.text.split())

    def test_a_cut_character_belongs_to_the_block_it_begins_in(self) -> None:
        assert count_units("añb", np.array([2, 4]), "char").tolist() == [2, 1]
        assert count_units("ab cd", np.array([4, 5]), "word").tolist() == [2, 0]

    def test_a_uniform_model_needs_eight_bits_a_byte(self) -> None:
        trial = trial_of(Uniform(), dataset_of("añb " * 50, 7))
        assert bits_per_byte(trial).value == pytest.approx(8, rel=1e-6)
        assert bits_per_byte(trial).n == 250  # bytes, not characters
        assert bits_per_char(trial).value == pytest.approx(8 * 250 / 200, rel=1e-6)
        assert bits_per_char(trial).n == 200
        assert perplexity_byte(trial).value == pytest.approx(256, rel=1e-5)
        assert perplexity_word(trial).n == 50
        assert math.log2(perplexity_word(trial).value) == pytest.approx(8 * 250 / 50, rel=1e-6)

    def test_words_and_bytes_are_of_one_string(self) -> None:
        """word perplexity = exp(bits per byte x ln 2 x bytes / words), all of the string that was scored.

        Where bytes are counted on another string than the one scored, or empty words are counted (a blank at either
        end of the text makes one when it is split at white space by a pattern), the identity fails.
        """
        text = " the text \n begins and ends , with blanks . \n" * 9
        trial = trial_of(stateful(), dataset_of(text, 8))
        bits, words = bits_per_byte(trial).value, perplexity_word(trial)
        assert words.n == len(text.split()) == 81
        assert words.value == pytest.approx(math.exp(bits * math.log(2) * len(text.encode()) / 81), rel=1e-12)

    def test_a_number_says_what_it_counts(self) -> None:
        trial = trial_of(Uniform(), dataset_of("a b " * 50, 7))
        measures = (perplexity, perplexity_byte, perplexity_word, bits_per_byte, bits_per_char)
        assert [m(trial).protocol["unit"] for m in measures] == ["token", "byte", "word", "byte", "char"]

    def test_a_text_without_words_has_no_perplexity_a_word(self) -> None:
        with pytest.raises(Omitted, match="the text holds no word"):
            perplexity_word(trial_of(Uniform(), dataset_of(" \n" * 50, 7)))
        with pytest.raises(Omitted, match=r"exp\(1109\) is more than a number holds"):
            perplexity_word(trial_of(Uniform(), dataset_of("ab" * 100, 7)))


class Plain:
    """A dataset of text that keeps no string: only what `Textual` asks."""

    def __init__(self, text: str) -> None:
        inner = dataset_of(text, 7)
        self.spec, self.fingerprint = inner.spec, inner.fingerprint
        self.train, self.valid, self.test = inner.train, inner.valid, inner.test
        self.tokens, self.decode, self.count_bytes = inner.tokens, inner.decode, inner.count_bytes


class Lowered(Plain):
    """Its tokeniser lowers letters, so that the tokens do not spell the text."""

    def __init__(self, text: str) -> None:
        super().__init__(text.lower())
        self.original = text

    def text(self, split: SplitName) -> str:
        return self.original


class TestRefusal:
    @pytest.mark.parametrize("measure", [bits_per_byte, bits_per_char, perplexity_byte, perplexity_word])
    def test_a_lossy_tokeniser_has_no_bytes_characters_or_words(self, measure: Metric) -> None:
        with pytest.raises(Omitted, match="the tokens do not spell the text"):
            measure(trial_of(Uniform(), Lowered("Some Text, " * 20)))

    def test_a_lossy_tokeniser_still_has_tokens(self) -> None:
        trial = trial_of(Uniform(), Lowered("Some Text, " * 20))
        for measure in (perplexity, perplexity_sliding, perplexity_stateful):
            assert measure(trial).value == pytest.approx(256, rel=1e-5)
        assert measure(trial).n == 220

    def test_what_loses_nothing_is_not_refused(self) -> None:
        assert bits_per_byte(trial_of(Uniform(), Lowered("some text, " * 20))).value == pytest.approx(8, rel=1e-6)

    def test_a_dataset_without_its_string_is_not_trusted(self) -> None:
        plain = Plain("some text, " * 20)
        assert isinstance(plain, Textual) and not isinstance(plain, Verbatim)
        assert perplexity(trial_of(Uniform(), plain)).n == 220
        with pytest.raises(Omitted, match="does not say which string"):
            bits_per_byte(trial_of(Uniform(), plain))

    def test_a_dataset_that_miscounts_is_found_out(self) -> None:
        data = Lowered("some text, " * 20)
        data.count_bytes = lambda tokens: 2 * tokens.numel()
        with pytest.raises(GenbenchError, match="count_bytes says 440 for a text of 220 bytes"):
            bits_per_byte(trial_of(Uniform(), data))

    def test_bytes_spell_their_text(self) -> None:
        text = "Ärger, 中文\r\n\0𝄞" * 5
        data = dataset_of(text, 7)
        assert isinstance(data, Verbatim) and data.text("test") == text


class TestWindows:
    """Disjoint windows give a token the least context, a carried state the most; none scores a token twice."""

    measures = (bits_per_byte, bits_per_byte_sliding, bits_per_byte_stateful)

    def test_all_reach_the_entropy(self, dataset: TextDataset) -> None:
        """Letters that open a window cost a bit: one in 100 disjoint, one in 20,003 sliding (each later one is scored
        behind others) and stateful. A first-order chain needs no more context than that."""
        found = [m(trial_of(CHAIN, dataset)) for m in self.measures]
        for estimate, opening in zip(found, (201 / 20003, 1 / 20003, 1 / 20003), strict=True):
            assert estimate.interval is not None and estimate.n == 20003
            assert estimate.interval.lo < (1 - opening) * H + opening < estimate.interval.hi
        disjoint, sliding, stateful = (f.value for f in found)
        assert sliding < disjoint
        assert sliding == pytest.approx(stateful, rel=1e-12)

    def test_only_the_first_token_is_without_context_in_a_stream(self, dataset: TextDataset) -> None:
        whole = -CHAIN.log_prob(Batch(dataset.tokens("test")[None])).item()
        assert score(trial_of(CHAIN, dataset), "token", "stateful").nats.sum() == pytest.approx(whole, rel=1e-12)

    @pytest.mark.parametrize("batch_size", [1, 3, 100])
    def test_a_carried_state_is_one_long_text(self, batch_size: int) -> None:
        model, tokens = stateful(), torch.randint(256, (203,), generator=torch.Generator().manual_seed(0))
        whole = -model.log_prob(Batch(tokens[None])).item()
        found = stateful_nats(model, tokens, 8, batch_size, CPU)
        assert found.shape == (203,)
        assert found.sum() == pytest.approx(whole, rel=1e-6)

    @pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
    @pytest.mark.parametrize(("length", "stride"), [(203, 4), (203, 3), (200, 8), (201, 1), (8, 4), (5, 4)])
    def test_sliding_is_the_difference_of_two_texts(self, family: GeneratorEntry, length: int, stride: int) -> None:
        """log p(new | context) = log p(context, new) - log p(context), window by window, written out."""
        model, tokens = tiny(family), torch.randint(256, (length,), generator=torch.Generator().manual_seed(0))
        nats, end, start = 0.0, 0, 0
        while end < length:
            start = max(0, min(start, length - 8))
            window, context = tokens[None, start : start + 8], end - start
            nats -= model.log_prob(Batch(window)).item()
            nats += model.log_prob(Batch(window[:, :context])).item() if context else 0.0
            assert end == 0 or context >= 8 - stride
            start, end = start + stride, start + 8
        found = sliding_nats(model, tokens, 8, stride, 5, CPU)
        assert found.shape == (length,)
        assert found.sum() == pytest.approx(nats, rel=1e-5)

    def test_sliding_scores_each_token_where_it_first_appears(self) -> None:
        """A model whose nats are the token's own number tells which were scored; its place, behind how many."""

        class Teller(Uniform):
            def step_log_prob(self, batch: Batch, state: int | None = None) -> tuple[Tensor, int]:
                return -batch.data.double() - torch.arange(batch.data.shape[1]) / 100, 0

        found = sliding_nats(Teller(), torch.arange(43), 10, 5, 2, CPU)
        assert np.floor(found + 1e-9).tolist() == list(range(43))
        places = np.rint((found - np.arange(43)) * 100)
        assert places[:10].tolist() == list(range(10))
        assert set(places[10:]) == {5, 6, 7, 8, 9}

    @pytest.mark.parametrize("measure", measures)
    @pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
    def test_batch_size_changes_nothing(self, family: GeneratorEntry, measure: Metric) -> None:
        if measure is bits_per_byte_stateful and not carries_state(tiny(family)):
            return
        data = dataset_of("Many a mickle makes a muckle. " * 7, 8)
        found = [measure(trial_of(tiny(family), data, batch)).value for batch in (1, 7, 1000)]
        assert found == pytest.approx([found[0]] * 3, rel=1e-6)

    def test_whole_windows_of_nats_are_those_of_log_prob(self) -> None:
        tokens = torch.tensor(list(b"abab" * 30))[:95]
        found = disjoint_nats(CHAIN, tokens, 10, 4, CPU)
        assert found.tolist() == pytest.approx([-CHAIN.log_prob(Batch(w[None])).item() for w in tokens.split(10)])

    def test_a_window_of_positions_carries_no_state(self) -> None:
        with pytest.raises(Omitted, match="carries no state"):
            bits_per_byte_stateful(trial_of(of_one_window(), dataset_of("text " * 20, 8)))

    @pytest.mark.parametrize("measure", measures[1:])
    def test_a_model_of_whole_examples_scores_no_tokens(self, measure: Metric) -> None:
        class Whole:
            bound = False
            log_prob_of: Literal["mass", "density"] = "mass"

            def log_prob(self, batch: Batch) -> Tensor:
                return torch.zeros(len(batch.data))

            def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
                return torch.zeros(n, 10)

        assert isinstance(Whole(), Likelihood) and not isinstance(Whole(), Sequential)
        with pytest.raises(Omitted, match="score steps"):
            measure(trial_of(Whole(), dataset_of("text " * 20, 8)))

    def test_a_stride_that_skips_tokens_is_refused(self) -> None:
        with pytest.raises(GenbenchError, match="between 1 and the window of 8, got 9"):
            sliding_nats(of_one_window(), torch.zeros(50, dtype=torch.int64), 8, 9, 4, CPU)

    def test_no_two_ways_share_a_protocol(self, dataset: TextDataset) -> None:
        protocols = [m(trial_of(CHAIN, dataset)).protocol for m in self.measures]
        assert [p["windows"] for p in protocols] == ["disjoint", "sliding", "stateful"]
        assert (protocols[1]["context"], protocols[1]["stride"]) == (100, 50)

    def test_families_say_what_they_can(self) -> None:
        assert FAMILIES and not FAMILIES.keys() & families_for("image").keys()
        assert all("score steps" in capabilities(entry.make) for entry in FAMILIES.values())


class TestInterval:
    @pytest.mark.parametrize("memory", [0.0, 0.8])
    def test_it_covers_the_truth_also_where_neighbours_are_alike(self, memory: float) -> None:
        """Nats of 2,000 windows whose level wanders: an autoregression of mean 2 with this memory."""
        rng, hits, repeats = np.random.default_rng(0), 0, 300
        for _ in range(repeats):
            nats, level = rng.normal(size=2000), 0.0
            for i, shock in enumerate(nats):
                level = memory * level + shock
                nats[i] = 200 + 10 * level
            interval = Score(nats, np.full(2000, 100), "token", False, {}).rate().interval
            assert interval is not None
            hits += interval.lo < 2 < interval.hi
        assert 0.90 <= hits / repeats <= 0.98

    def test_bits_hold_their_parts_and_perplexities_do_not(self, dataset: TextDataset) -> None:
        """What the parts add up to is the error that the interval is made of."""
        text, rows = trial_of(CHAIN, dataset), np.random.default_rng(0).normal(50, 10, 80)
        of_rows = [bits_of(rows, 64), per_frame(rows, np.full(80, 7)), mean_of(rows)]
        for estimate in [bits_per_byte(text), bits_per_char(text), *of_rows]:
            around = interval_of(estimate)
            assert len(estimate.parts) in (80, STRETCHES)
            assert math.hypot(*estimate.parts) == pytest.approx((around.hi - around.lo) / 2 / 1.959964, rel=1e-5)
        assert perplexity(text).parts == ()

    def test_the_value_does_not_depend_on_how_windows_are_joined(self) -> None:
        rng = np.random.default_rng(0)
        nats, count = rng.exponential(100, 1234), rng.integers(50, 150, 1234)
        found = Score(nats, count, "byte", False, {}).rate()
        assert found.value == pytest.approx(nats.sum() / count.sum(), rel=1e-15)


class Given:
    """Log-probabilities of images, by a function of each value; learns nothing."""

    bound = False

    def __init__(self, log_p: Callable[[Tensor], Tensor], log_prob_of: Literal["mass", "density"] = "density") -> None:
        self.log_p, self.log_prob_of = log_p, log_prob_of

    def log_prob(self, batch: Batch) -> Tensor:
        return self.log_p(batch.data).flatten(1).sum(1)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, 1, 8, 8)


def interval_of(estimate: Estimate) -> Interval:
    assert estimate.interval is not None
    return estimate.interval


class TestBitsPerDim:
    def test_an_even_density_needs_eight_bits(self) -> None:
        """The 256 cells of width 1 / 127.5 cover 256 / 127.5 of the axis, half a cell beyond -1 and 1."""

        def even(x: Tensor) -> Tensor:
            inside = ((x + 1) * 127.5 + 0.5 >= 0) & ((x + 1) * 127.5 + 0.5 <= 256)
            return torch.where(inside, torch.tensor(math.log(127.5 / 256), dtype=torch.float64), -torch.inf)

        found = bits_per_dim(trial_of(Given(even), digits()))
        assert found.value == pytest.approx(8, rel=1e-12)
        assert (found.n, found.kind) == (300, "bound")

    def test_a_density_flat_in_each_cell_needs_the_entropy_of_the_levels(self) -> None:
        """Then the bound is tight: -mean log2 P(level), with P the frequencies of the test images themselves."""
        data = digits()
        levels = data.test.pixels.long()
        share = torch.bincount(levels.flatten(), minlength=256).double() / levels.numel()

        def histogram(x: Tensor) -> Tensor:
            return (share[((x.double() + 1) * 127.5).round().long()] * 127.5).log()

        entropy = -(share[share > 0] * share[share > 0].log2()).sum().item()
        found = bits_per_dim(trial_of(Given(histogram), data))
        assert found.value == pytest.approx(entropy, rel=1e-9)

    def test_a_gaussian_is_as_the_closed_form_says(self) -> None:
        """E_t (x - mu)^2 = (level - mu)^2 + w^2 / 12 with cells of width w, here of mean 0 and sigma 0.5.

        One draw of noise a pixel leaves an error of 8e-5; noise that is not centred on the level would cost 6e-3.
        """
        data = digits()
        normal = torch.distributions.Normal(torch.tensor(0.0).double(), 0.5)
        found = bits_per_dim(trial_of(Given(lambda x: normal.log_prob(x.double())), data))
        x = data.test.batch(torch.arange(300)).data.double()
        nats = 0.5 * math.log(2 * math.pi * 0.25) + (x.square().mean().item() + (1 / 127.5) ** 2 / 12) / (2 * 0.25)
        assert found.value == pytest.approx(nats / math.log(2) + math.log2(127.5), abs=4e-4)

    def test_a_bound_lies_above_the_mass_of_the_cells(self) -> None:
        """A Gaussian's density against numerical integration: of -log2 p over the cells, which the bound is, and of p,
        whose logarithm is what the levels truly cost; the second lies below by little, as the density is smooth."""
        data, law = digits(), stats.norm(-0.4, 0.7)
        normal = torch.distributions.Normal(torch.tensor(-0.4).double(), 0.7)
        found = bits_per_dim(trial_of(Given(lambda x: normal.log_prob(x.double())), data))
        levels, counts = np.unique(data.test.pixels.numpy(), return_counts=True)
        edges = [(level / 127.5 - 1 - 1 / 255, level / 127.5 - 1 + 1 / 255) for level in levels]
        bound = [integrate.quad(lambda x: -np.log2(law.pdf(x) * 2 / 255), a, b)[0] * 127.5 for a, b in edges]
        true = [-np.log2(integrate.quad(law.pdf, a, b)[0]) for a, b in edges]
        assert found.value == pytest.approx(np.average(bound, weights=counts), abs=2e-4)
        assert 0 < np.average(bound, weights=counts) - np.average(true, weights=counts) < 1e-4

    def test_an_even_mass_needs_eight_bits(self) -> None:
        """As it is: added noise and the width of cells would make 14.99 of it."""

        def even(x: Tensor) -> Tensor:
            assert torch.equal(x, ((x + 1) * 127.5).round() / 127.5 - 1), "levels are shown as they are"
            return torch.full(x.shape, -math.log(256), dtype=torch.float64)

        found = bits_per_dim(trial_of(Given(even, "mass"), digits()))
        assert found.value == pytest.approx(8, rel=1e-12)
        assert (found.n, found.kind, found.protocol["levels"]) == (300, "point", 256)

    def test_of_binary_images_a_fair_coin_needs_one_bit(self) -> None:
        data = digits()
        data.spec = dataclasses.replace(data.spec, kind="binary")
        found = bits_per_dim(trial_of(Given(lambda x: torch.full(x.shape, -math.log(2), dtype=x.dtype), "mass"), data))
        assert found.value == pytest.approx(1, rel=1e-6) and found.protocol["levels"] == 2
        with pytest.raises(Omitted, match="a density, and binary data has none"):
            bits_per_dim(trial_of(Given(lambda x: x), data))

    @pytest.mark.parametrize(
        ("spec", "levels"),
        [
            (DataSpec("music", (6, 5), "binary"), 2),
            (DataSpec("music", (9,), "tokens", vocab=32), 32),
            (DataSpec("audio", (9,), "tokens", vocab=1024), 1024),
            (DataSpec("vector", (5,), "binary"), 2),
            (DataSpec("video", (3, 1, 4, 4), "continuous"), 256),
        ],
    )
    def test_an_even_mass_over_any_levels_needs_their_logarithm(self, spec: DataSpec, levels: int) -> None:
        """A fair coin for each note of a piano roll needs exactly one bit a note."""
        even = Given(lambda x: torch.full(x.shape, -math.log(levels), dtype=torch.float64), "mass")
        found = bits_per_dim(trial_of(even, made_up(spec)))
        assert found.value == pytest.approx(math.log2(levels), rel=1e-12)
        assert found.protocol["levels"] == levels and found.kind == "point"

    def test_padding_counts_for_nothing(self) -> None:
        """Of rolls of unequal length, half of whose notes are known for certain: half a bit, over the notes alone."""

        class Half(Given):
            def log_prob(self, batch: Batch) -> Tensor:
                assert batch.lengths is not None
                return -math.log(2) * batch.lengths.double() * batch.data.shape[2] / 2

        data = made_up(DataSpec("music", (6, 4), "binary"), unequal=True)
        assert bits_per_dim(trial_of(Half(lambda x: x, "mass"), data)).value == pytest.approx(0.5, rel=1e-12)

    @pytest.mark.parametrize("modality", ["audio", "vector", "music"])
    def test_what_has_no_levels_has_no_bits(self, modality: str) -> None:
        data = made_up(DataSpec(modality, (6, 2) if modality == "music" else (6,), "continuous"))
        with pytest.raises(Omitted, match=r"needs data of levels, and continuous .* have none"):
            bits_per_dim(trial_of(Given(lambda x: x), data))

    def test_a_bound_on_a_mass_is_called_one(self) -> None:
        class Bound(Given):
            bound = True

        assert bits_per_dim(trial_of(Bound(lambda x: -x.square(), "mass"), digits())).kind == "bound"

    def test_what_is_given_labels_is_measured_apart(self) -> None:
        """log p(x | label) is a number of another kind than log p(x)."""

        class Told(Given):
            conditional = True

            def log_prob(self, batch: Batch) -> Tensor:
                assert batch.condition is not None
                return -batch.condition.double()

        data = digits()
        found = bits_per_dim(trial_of(Told(lambda x: x, "mass"), data))
        assert found.value == pytest.approx(data.test.labels.double().mean().item() / 64 / math.log(2), rel=1e-9)
        assert found.protocol["given"] == "labels"
        assert "given" not in bits_per_dim(trial_of(Given(lambda x: x, "mass"), data)).protocol

    def test_by_how_many_steps_it_was_found_is_named(self) -> None:
        class Stepwise(Given):
            measured_steps = 7

        found = bits_per_dim(trial_of(Stepwise(lambda x: x, "mass"), digits()))
        assert found.protocol["measured_steps"] == 7

    def test_the_mean_is_over_examples(self) -> None:
        nats = np.array([10.0, 30.0, 20.0])
        found = bits_of(nats, 5, spacing())
        bits = nats / 5 / math.log(2) + math.log2(127.5)
        assert found.value == pytest.approx(bits.mean(), rel=1e-12)
        reach = 1.959964 * bits.std(ddof=1) / math.sqrt(3)
        assert interval_of(found).hi == pytest.approx(found.value + reach, rel=1e-6)

    def test_the_interval_covers_the_truth(self) -> None:
        rng, hits = np.random.default_rng(1), 0
        for _ in range(300):
            found = interval_of(bits_of(rng.normal(50, 10, 200), 64))
            hits += found.lo < 50 / 64 / math.log(2) < found.hi
        assert 0.90 <= hits / 300 <= 0.98

    def test_a_score_that_does_not_say_what_it_is_is_no_likelihood(self) -> None:
        """Taken for a density by default, a mass would count 6.99 bits too many."""

        class Score:
            bound = False

            def log_prob(self, batch: Batch) -> Tensor:
                return torch.zeros(len(batch.data))

            def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
                return torch.zeros(n, 1, 8, 8)

        assert not isinstance(Score(), Likelihood) and "likelihood" not in capabilities(Score)
        assert unmet(Score(), Likelihood) == "needs the capability 'likelihood': the model has no log_prob_of"
        assert unmet(Score(), Sequential) == (
            "needs the capability 'score steps', which this generator has not "
            "(`genbench list generators score steps` shows who has it)"
        )

    def test_families_say_what_their_number_is_of(self) -> None:
        assert all(tiny(family).log_prob_of == "mass" for family in FAMILIES.values())

    def test_nan_is_refused(self) -> None:
        with pytest.raises(GenbenchError, match="log_prob returned NaN"):
            bits_per_dim(trial_of(Given(lambda x: x * torch.nan), digits()))


def normals(n: int, width: int, sigma: float, seed: int = 0) -> VectorDataset:
    """Rows of a normal law of mean 1."""
    rng = np.random.default_rng(seed)
    rows = {split: (rng.normal(1, sigma, (n, width)), None) for split in SPLITS}
    return VectorDataset("normals", rows, None)


class TestLogLikelihood:
    """Of a normal law of standard deviation s, in D dimensions, its own density expects -D (1 + ln(2 pi s^2)) / 2."""

    def model(self, sigma: float) -> Given:
        law = torch.distributions.Normal(torch.tensor(1.0).double(), sigma)
        return Given(lambda x: law.log_prob(x.double()))

    def test_of_its_own_density_it_is_minus_the_entropy(self) -> None:
        found = log_likelihood(trial_of(self.model(0.3), normals(4000, 5, 0.3), 500))
        truth = -5 * (1 + math.log(2 * math.pi * 0.09)) / 2
        assert interval_of(found).lo < truth < interval_of(found).hi
        assert found.value == pytest.approx(truth, abs=4 * math.sqrt(5 / 2 / 4000))  # sd of an example: sqrt(D / 2)
        assert (found.n, found.kind) == (4000, "point")
        assert found.protocol == {"split": "test", "n_real": 4000}

    def test_of_another_density_it_is_less_by_their_divergence(self) -> None:
        """KL of normals of deviations s, t: D (ln(t / s) + s^2 / (2 t^2) - 1/2)."""
        data, own, wide = normals(4000, 5, 0.3), self.model(0.3), self.model(0.6)
        less = log_likelihood(trial_of(own, data)).value - log_likelihood(trial_of(wide, data)).value
        assert less == pytest.approx(5 * (math.log(2) + 1 / 8 - 1 / 2), abs=0.1)

    def test_the_interval_covers_the_truth(self) -> None:
        rng = np.random.default_rng(1)
        found = [interval_of(mean_of(rng.normal(-3, 2, 200))) for _ in range(300)]
        assert 0.90 <= np.mean([i.lo < -3 < i.hi for i in found]) <= 0.98

    def test_what_has_levels_is_counted_in_bits(self) -> None:
        with pytest.raises(Omitted, match="binary data has levels, which are counted in bits: see bits_per_dim"):
            log_likelihood(trial_of(self.model(1), made_up("music")))

    def test_a_mass_is_no_density(self) -> None:
        with pytest.raises(Omitted, match="is a mass, and continuous data has a density"):
            log_likelihood(trial_of(Given(lambda x: x, "mass"), made_up("vector")))

    def test_a_bound_is_called_one_and_nan_is_refused(self) -> None:
        model = self.model(1)
        model.bound = True
        assert log_likelihood(trial_of(model, made_up("vector"))).kind == "bound"
        with pytest.raises(GenbenchError, match="log_prob returned NaN"):
            log_likelihood(trial_of(Given(lambda x: x * torch.nan), made_up("vector")))
