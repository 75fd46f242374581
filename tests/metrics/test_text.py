"""Measures of text against hand counts, brute force and sacrebleu, on made-up and on real text."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import sacrebleu
import torch
from torch import Tensor

import bench
from bench import Estimate, GenbenchError, Omitted, TooFew, Trial
from bench.datasets._text import TextDataset
from bench.datasets.kjv import kjv
from bench.measure.comparison import measure
from bench.measure.evaluation import Given
from bench.registry import registry
from bench.statistics import bounded_interval
from metrics.text._texts import checked_texts, encode, spread, words
from metrics.text.copied_ngram import copied_ngram, longest_copies, longest_copy, match_lengths
from metrics.text.distinct_n import distinct_n
from metrics.text.ngram_novelty import ngram_novelty, novelty_gap_of
from metrics.text.repetition import repetition
from metrics.text.self_bleu import bleu, compare, self_bleu, without_each, words_13a
from tests.metrics.coverage import assert_honest, covered

CPU = torch.device("cpu")
Measure = Callable[[Sequence[str]], Estimate]
MARKS = [
    'don\'t pay $1,000.50 for x-ray 3-4 &amp; "<skipped>" [ok] -\nnow.',
    "3.14, .5 5. A.B.C., 'tis 1-2-3: {a}|b~ @#%^ *_* \\ / <lt> &lt;gt&gt;",
    "Größe 東京 café, naïve; \t tabs",
    "two words",
    "one",
    "",
]


@pytest.fixture(scope="module")
def passages() -> list[str]:
    """Pieces of the King James Bible of 0 to 128 characters, some of them twice, and some awkward ones."""
    data, rng = kjv(), random.Random(0)
    pieces = data.decode(data.tokens("test")[: 90 * 128].view(-1, 128))
    return [piece[: rng.randint(0, 128)] for piece in pieces] + [pieces[3], pieces[3]] + MARKS


def zipf(rng: np.random.Generator, texts: int, length: int, kinds: int = 300) -> list[str]:
    """Texts of independent words, the k-th as likely as 1/k."""
    p = 1 / np.arange(1, kinds + 1)
    drawn = rng.choice(kinds, (texts, length), p=p / p.sum())
    return [" ".join(f"w{i}" for i in row) for row in drawn]


def coverage(estimates: Sequence[Estimate], truth: float) -> float:
    return float(np.mean([e.interval is not None and e.interval.lo <= truth <= e.interval.hi for e in estimates]))


class TestWords:
    def test_marks_stand_alone_and_underscores_do_not(self) -> None:
        assert words("And he_said,  “no”!\n3.5") == ["And", "he_said", ",", "“", "no", "”", "!", "3", ".", "5"]

    def test_a_spread_takes_both_ends_and_no_item_twice(self) -> None:
        found = spread(range(1000), 7)
        assert found[0] == 0 and found[-1] == 999 and len(set(found)) == 7
        assert spread([1, 2], 7) == [1, 2]


class TestInput:
    MEASURES: tuple[Measure, ...] = (
        lambda t: distinct_n(t, 2),
        self_bleu,
        repetition,
        lambda t: mean_copy(t, ["a b"]),
        lambda t: ngram_novelty(t, ["a b"]),
        lambda t: ngram_novelty(["a b c d e f"], t),
    )

    @pytest.mark.parametrize("measure_", MEASURES)
    def test_no_texts_is_said(self, measure_: Measure) -> None:
        with pytest.raises(TooFew, match=r"0 .*texts are too few: at least \d"):
            measure_([])

    @pytest.mark.parametrize("measure_", MEASURES)
    def test_empty_texts_are_said(self, measure_: Measure) -> None:
        with pytest.raises(GenbenchError, match=r"all 4 .*texts are empty"):
            measure_(["", " ", "\n", ""])

    @pytest.mark.parametrize("measure_", MEASURES)
    def test_what_is_no_string_is_said(self, measure_: Measure) -> None:
        odd: Any = ["a b", "c", 7]
        with pytest.raises(GenbenchError, match="number 2 is of type int"):
            measure_(odd)

    @pytest.mark.parametrize("measure_", MEASURES)
    def test_one_string_is_not_a_list_of_letters(self, measure_: Measure) -> None:
        with pytest.raises(GenbenchError, match="not one string"):
            measure_("abc")

    def test_bytes_are_no_strings(self) -> None:
        odd: Any = [b"a"]
        with pytest.raises(GenbenchError, match="bytes"):
            checked_texts(odd)

    @pytest.mark.parametrize("call", [lambda t: repetition(t), lambda t: ngram_novelty(t, ["a"])])
    def test_texts_shorter_than_the_ngram_are_said(self, call: Measure) -> None:
        with pytest.raises(GenbenchError, match="so there is no"):
            call(["a b", "c d e"])


class TestDistinct:
    def test_by_hand(self) -> None:
        texts = ["a b a b", "a c"]
        assert distinct_n(texts, 1, tokens=6).value == 3 / 6
        assert distinct_n(texts, 2, tokens=6).value == 3 / 4  # ab, ba, ac of ab, ba, ab, ac: none crosses over
        assert distinct_n(texts, 1, tokens=4).value == 2 / 4

    def test_it_is_what_sets_say_of_the_first_tokens(self, passages: list[str]) -> None:
        left, grams = 1000, []
        for text in passages:
            found = words(text)[:left]
            left -= len(found)
            grams += list(zip(found, found[1:], found[2:], strict=False))
        assert distinct_n(passages, 3).value == len(set(grams)) / len(grams)

    def test_more_text_does_not_change_it_within_a_power_of_ten(self) -> None:
        texts = zipf(np.random.default_rng(0), 90, 100)
        short, long = distinct_n(texts[:12], 2), distinct_n(texts, 2)
        assert short.value == long.value and short.protocol == long.protocol
        assert short.protocol["tokens"] == 1000

    def test_it_looks_at_no_more_text_than_held_out_text_has(self) -> None:
        """Held-out text that is scored beside it must be able to stand in the same column."""
        rng = np.random.default_rng(0)
        entry, texts = registry.get("metrics", "distinct_2"), zipf(rng, 30, 100)

        def tokens(**beside: list[str]) -> Any:
            sides: dict[Any, list[str]] = {"samples": texts, **beside}
            given = Given(sides, "text", seed=0, device=CPU, prompts=None)
            return measure(entry, given).protocol["tokens"]

        assert tokens() == 1000
        assert tokens(reference=zipf(rng, 50, 100)) == 1000
        assert tokens(reference=zipf(rng, 9, 100)) == 100

    def test_fewer_than_a_hundred_tokens_are_too_few(self) -> None:
        with pytest.raises(TooFew, match="hold 99 tokens: at least 100"):
            distinct_n(["a " * 99], 1)

    def test_the_error_is_that_of_leaving_out_each_text(self) -> None:
        texts = zipf(np.random.default_rng(1), 10, 20)
        found = distinct_n(texts, 2, tokens=200)
        without = [distinct_n(texts[:i] + texts[i + 1 :], 2, tokens=180).value for i in range(10)]
        error = np.sqrt(9 / 10 * np.square(np.array(without) - np.mean(without)).sum())
        assert found.interval == bounded_interval(
            found.value, error, 10, found.interval.method if found.interval else ""
        )

    @pytest.mark.parametrize("n", [1, 2])
    def test_its_interval_covers(self, n: int) -> None:
        rng = np.random.default_rng(2)
        found = [distinct_n(zipf(rng, 40, 25), n) for _ in range(300)]
        assert 0.90 <= coverage(found, float(np.mean([e.value for e in found]))) <= 0.985  # conservative, as it says


class TestSelfBleu:
    def test_to_say_nothing_is_no_variety(self) -> None:
        said = [f"the {word} of it all" for word in ("beginning", "middle", "end", "rest")]
        assert self_bleu(said + [""] * 30).value > self_bleu(said).value

    def test_it_is_sacrebleu_against_all_others(self, passages: list[str]) -> None:
        (tokens,) = encode(passages, split=words_13a)
        matches, _ = compare(tokens)
        expected = [reference_bleu(passages, i) for i in range(len(passages))]
        np.testing.assert_allclose(bleu(matches), expected, rtol=0, atol=1e-9)
        assert self_bleu(passages).value == pytest.approx(np.mean(expected), abs=1e-9)

    def test_leaving_each_out_is_what_sacrebleu_says_of_the_rest(self, passages: list[str]) -> None:
        texts = passages[-16:]
        (tokens,) = encode(texts, split=words_13a)
        matches, losses = compare(tokens)
        expected = []
        for left_out in range(len(texts)):
            rest = texts[:left_out] + texts[left_out + 1 :]
            expected.append(np.mean([reference_bleu(rest, i) for i in range(len(rest))]))
        np.testing.assert_allclose(without_each(matches, losses, bleu(matches)), expected, rtol=0, atol=1e-9)

    def test_twins_are_one_and_strangers_zero(self) -> None:
        assert self_bleu(["the cat sat down here", "a dog ran off there"] * 2).value == pytest.approx(1)
        assert self_bleu(["a b c d", "e f g h", "i j k l"]).value == 0

    def test_order_does_not_matter(self, passages: list[str]) -> None:
        assert self_bleu(passages[::-1]).value == pytest.approx(self_bleu(passages).value, rel=1e-12)

    def test_two_texts_are_too_few(self) -> None:
        with pytest.raises(TooFew, match="at least 3"):
            self_bleu(["a b c d", "a b c d"])

    def test_its_interval_covers(self) -> None:
        rng = np.random.default_rng(3)
        found = [self_bleu(zipf(rng, 30, 12, kinds=60)) for _ in range(300)]
        assert 0.90 <= coverage(found, float(np.mean([e.value for e in found]))) <= 0.98


def reference_bleu(texts: list[str], i: int) -> float:
    """sacrebleu's; two blank texts are twins, of which it knows nothing."""
    if not texts[i].strip() and sum(not text.strip() for text in texts) > 1:
        return 1.0
    return sacrebleu.sentence_bleu(texts[i], texts[:i] + texts[i + 1 :]).score / 100


class TestRepetition:
    def test_by_hand(self) -> None:
        """The first text has two 4-grams of one kind, the second none twice, the third none at all."""
        found = repetition(["a a a a a", "a b c d e f", "a b"])
        assert found.value == pytest.approx((1 / 2 + 0) / 2)
        assert found.n == 2

    def test_it_is_what_counters_say(self, passages: list[str]) -> None:
        shares = []
        for text in passages:
            found = words(text)
            grams = Counter(zip(*(found[i:] for i in range(2)), strict=False))
            if grams:
                shares.append(1 - len(grams) / grams.total())
        assert repetition(passages, n=2).value == pytest.approx(np.mean(shares), rel=1e-12)

    def test_its_interval_covers(self) -> None:
        rng = np.random.default_rng(4)
        found = [repetition(zipf(rng, 40, 30, kinds=20), n=2) for _ in range(300)]
        assert 0.90 <= coverage(found, float(np.mean([e.value for e in found]))) <= 0.98


class TestCopies:
    def test_matches_are_those_of_brute_force(self) -> None:
        rng = random.Random(5)
        for _ in range(150):
            ours, train = ([" ".join(rng.choices("abc", k=rng.randint(0, 9))) for _ in range(n)] for n in (4, 5))
            tokens, known = encode([*ours, "a"], [*train, "b"])
            assert match_lengths(tokens, known).tolist() == brute_force([*ours, "a"], [*train, "b"])

    def test_a_passage_lifted_from_a_book_is_found_whole(self) -> None:
        data = kjv()
        train = data.decode(data.tokens("train")[:200_000][None])
        lifted = words(train[0])[20_000:20_037]
        text = "zzz " + " ".join(lifted) + " qqq"
        assert longest_copies([text, "zzz qqq"], train).tolist() == [37, 0]
        assert longest_copy(longest_copies([text, "zzz qqq"], train)).value == 37
        assert mean_copy([text, "zzz qqq"], train).value == 37 / 2

    def test_a_run_does_not_go_on_into_the_next_text(self) -> None:
        assert longest_copies(["a b c d"], ["a b", "c d"]).tolist() == [2]

    def test_novelty_by_hand(self) -> None:
        """Of abcde, bcdef, cdefX the first two are known."""
        found = ngram_novelty(["a b c d e f X", "a b"], ["a b c d e f g"])
        assert found.value == pytest.approx(1 / 3)
        assert found.n == 3

    def test_novelty_is_what_sets_say(self, passages: list[str]) -> None:
        train = passages[::2]
        known = {g for text in train for g in grams_of(text, 2)}
        ours = [g for text in passages[1::2] for g in grams_of(text, 2)]
        expected = sum(g not in known for g in ours) / len(ours)
        assert ngram_novelty(passages[1::2], train, n=2).value == pytest.approx(expected, rel=1e-12)

    def test_a_copycat_is_far_below_and_gibberish_far_above_held_out_text(self) -> None:
        data = kjv()
        train, held_out = (data.decode(data.tokens(s)[: 800 * 128].view(-1, 128)) for s in ("train", "test"))
        gibberish = zipf(np.random.default_rng(6), 400, 20)
        copied, made_up = (novelty_gap_of(texts, held_out, train) for texts in (train[:100], gibberish))
        assert copied.interval is not None and copied.interval.hi < -0.5
        assert made_up.interval is not None and made_up.interval.lo > 0
        assert novelty_gap_of(held_out, held_out, train).value == 0

    def test_the_gaps_interval_covers(self) -> None:
        rng = np.random.default_rng(7)
        train = zipf(rng, 60, 30)
        found = [novelty_gap_of(zipf(rng, 30, 12), zipf(rng, 40, 12), train, n=2) for _ in range(300)]
        assert 0.90 <= coverage(found, 0) <= 0.98


def said_twice(rng: np.random.Generator, texts: int, length: int, share: float) -> list[str]:
    """Texts of words that hardly come again, but in a ``share`` of them the beginning stands at the end once more."""
    rows = rng.integers(0, 10**5, (texts, length)).astype(str)
    for row in (rows[i] for i in np.flatnonzero(rng.random(texts) < share)):
        run = min(4 + rng.geometric(0.3), length // 2)
        row[-run:] = row[:run]
    return [" ".join(row) for row in rows]


def quoting(rng: np.random.Generator, texts: int, length: int, share: float, train: Sequence[str]) -> list[str]:
    """Texts of words that no training text holds, but a ``share`` of them begins as one does."""
    rows = rng.integers(0, 10**5, (texts, length)).astype(str)
    for row in (rows[i] for i in np.flatnonzero(rng.random(texts) < share)):
        run = min(4 + rng.geometric(0.2), length)
        row[:run] = train[int(rng.integers(len(train)))].split()[:run]
    return [" ".join(row) for row in rows]


class TestEdges:
    """Where hardly any text differs from the rest, a standard error is 0 or next to it, and the truth is not there."""

    TRAIN = zipf(np.random.default_rng(0), 50, 30)
    SHARES = pytest.mark.parametrize("expected", [1, 3, 10])

    def test_no_interval_is_a_point(self) -> None:
        rng = np.random.default_rng(1)
        alone, copies = said_twice(rng, 40, 30, 0), [self.TRAIN[0]] * 40
        for texts in (alone, copies):
            for found in (
                distinct_n(texts, 1),
                distinct_n(texts, 3),
                self_bleu(texts),
                repetition(texts),
                mean_copy(texts, self.TRAIN),
                ngram_novelty(texts, self.TRAIN),
                novelty_gap_of(texts, texts, self.TRAIN),
                novelty_gap_of(alone, copies, self.TRAIN),
            ):
                assert found.interval is not None
                assert found.interval.hi - found.interval.lo > 0.001

    def test_none_of_many_is_the_rule_of_three(self) -> None:
        """Nothing of 300 texts: at 95 % no more than about 1.2 % of all of them."""
        interval = repetition(said_twice(np.random.default_rng(2), 300, 12, 0)).interval
        assert interval is not None and interval.lo == 0
        assert 3 / 300 < interval.hi < 4 / 300

    @SHARES
    def test_that_of_repetition_covers(self, expected: int) -> None:
        rng = np.random.default_rng(3)
        found = [repetition(said_twice(rng, 100, 20, expected / 100)) for _ in range(200)]
        assert_honest(covered(found), 200)

    @SHARES
    def test_those_of_copies_cover(self, expected: int) -> None:
        rng = np.random.default_rng(4)
        texts = [quoting(rng, 100, 20, expected / 100, self.TRAIN) for _ in range(200)]
        assert_honest(covered(mean_copy(t, self.TRAIN) for t in texts), 200)
        assert_honest(covered(ngram_novelty(t, self.TRAIN) for t in texts), 200)

    @pytest.mark.parametrize("expected", [0.5, 1, 3])
    def test_that_of_a_mean_of_short_runs_covers_where_a_few_long_texts_are_copies(self, expected: float) -> None:
        """Runs of about 3 of 60 words, and copies that are found whole: one of them moves the mean by half a word."""
        rng, found = np.random.default_rng(6), []
        for _ in range(400):
            runs = rng.geometric(0.33, 100)
            runs[rng.random(100) < expected / 100] = 60
            found.append(copied_ngram(runs, np.full(100, 60)))
        assert covered(found) > 0.90


def mean_copy(texts: Sequence[str], train: Sequence[str]) -> Estimate:
    longest = longest_copies(texts, train)
    return copied_ngram(longest, np.array([len(words(text)) for text in texts]))


def brute_force(texts: list[str], train: list[str]) -> list[int]:
    known = {g for text in train for n in range(1, 10) for g in grams_of(text, n)}
    found = []
    for text in texts:
        row = words(text)
        for i in range(len(row)):
            found.append(max([n for n in range(1, len(row) - i + 1) if tuple(row[i : i + n]) in known], default=0))
    return found


def grams_of(text: str, n: int) -> list[tuple[str, ...]]:
    row = words(text)
    return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]


class Parrot:
    """Says what it heard: windows of the training text."""

    def __init__(self, data: TextDataset) -> None:
        self.data = data

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.data.tokens("train")[: n * 128].view(n, 128)


@pytest.fixture(scope="module")
def trial() -> Trial:
    data = kjv()
    return Trial(Parrot(data), data, seed=0, n_samples=40, batch_size=40, device=CPU)


class TestThroughTheKernel:
    NAMES = ("distinct_1", "distinct_2", "distinct_3", "self_bleu", "rep_4", "copied_ngram", "longest_copy",
             "ngram_novelty", "ngram_novelty_gap")  # fmt: skip

    @pytest.mark.parametrize("name", NAMES)
    def test_each_measures_a_model_of_text(self, trial: Trial, name: str) -> None:
        found = measure(registry.get("metrics", name), trial)
        assert found.interval is None or found.interval.lo <= found.value <= found.interval.hi
        assert (found.interval is None) == (name == "longest_copy")
        assert found.protocol["n_fake"] == 40

    def test_a_parrot_is_not_novel(self, trial: Trial) -> None:
        """Runs across windows are found too, so nothing is new but what a window cuts through."""
        found = measure(registry.get("metrics", "ngram_novelty"), trial)
        assert found.value < 0.2 and found.protocol["searched"] == "stream"
        assert measure(registry.get("metrics", "ngram_novelty_gap"), trial).value < -0.5

    def test_people_with_files_are_served(self, passages: list[str]) -> None:
        table = bench.evaluate(passages[:40], passages[40:], metrics=["self_bleu", "copied_ngram"], train=passages)
        assert table.set_index("metric").value["self_bleu"] == pytest.approx(self_bleu(passages[:40]).value)

    def test_without_training_text_the_reason_stands_there(self, passages: list[str]) -> None:
        table = bench.evaluate(passages[:40], passages[40:], metrics=["self_bleu", "longest_copy"])
        assert "give the training data" in table.set_index("metric").reason["longest_copy"]

    def test_pictures_are_left_out(self) -> None:
        pixels = torch.arange(4 * 64, dtype=torch.uint8).view(4, 1, 8, 8)
        with pytest.raises(GenbenchError, match="for text"):
            bench.evaluate(pixels, pixels, metrics=["self_bleu"])
        assert issubclass(TooFew, Omitted)
