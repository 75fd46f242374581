"""Measures of text against the plain way to compute them, on the King James Bible."""

from __future__ import annotations

import pytest
import sacrebleu
from pytest_benchmark.fixture import BenchmarkFixture

from bench.datasets.kjv import kjv
from metrics.text._texts import Tokens, encode
from metrics.text.copied_ngram import match_lengths
from metrics.text.self_bleu import self_bleu
from tests.performance.timing import median, seconds

pytestmark = pytest.mark.performance


def passages(split: str, n: int) -> list[str]:
    data = kjv()
    return data.decode(data.tokens("train" if split == "train" else "test")[: n * 128].view(-1, 128))


def test_self_bleu_is_faster_than_a_text_at_a_time(benchmark: BenchmarkFixture) -> None:
    """Linear in the texts instead of quadratic, so the ratio grows with their number."""
    texts = passages("test", 300)
    benchmark(self_bleu, texts)

    def plain() -> float:
        return sum(sacrebleu.sentence_bleu(t, texts[:i] + texts[i + 1 :]).score for i, t in enumerate(texts))

    ratio = seconds(plain, rounds=1) / median(benchmark)
    benchmark.extra_info["times faster"] = ratio
    assert ratio > 50


def test_matches_are_found_faster_than_in_sets_of_every_length(benchmark: BenchmarkFixture) -> None:
    """Lengths to ten only, as Merrill et al. plot them; ours have no end."""
    ours, train = encode(passages("test", 500), passages("train", 8000))
    benchmark.pedantic(match_lengths, (ours, train), rounds=3)
    ratio = seconds(lambda: in_sets(ours, train), rounds=1) / median(benchmark)
    benchmark.extra_info["times faster"] = ratio
    assert ratio > 2


def in_sets(ours: Tokens, train: Tokens) -> list[int]:
    sides = [[side.ids[side.text == i].tolist() for i in range(side.texts)] for side in (ours, train)]
    return [len(grams(sides[0], n) & grams(sides[1], n)) for n in range(1, 11)]


def grams(texts: list[list[int]], n: int) -> set[tuple[int, ...]]:
    return {tuple(row[i : i + n]) for row in texts for i in range(len(row) - n + 1)}
