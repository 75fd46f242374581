"""No interval is of no width, at either end of what a metric can be, unless its method says when it is exact.

Swept over every registered metric that makes intervals, on data where sides share all or nothing, or nothing varies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import Estimate, spacing
from bench.registry import Side
from metrics.audio.clipping_share import clipping_share
from metrics.audio.log_spectral_distance import log_spectral_distance
from metrics.audio.silence_share import silence_share
from metrics.features.class_accuracy import class_accuracy
from metrics.features.prompt_similarity import prompt_similarity
from metrics.features.rfd import paired_distance
from metrics.image.clip_score import clip_score
from metrics.image.mse import mean_squared_error
from metrics.image.psnr import peak_signal_to_noise
from metrics.image.ssim import structural_similarity
from metrics.likelihood.bits_per_dim import bits_of
from metrics.likelihood.log_likelihood import mean_of
from metrics.likelihood.nats_per_frame import per_frame
from metrics.text.distinct_n import distinct_n
from metrics.text.judge_perplexity import gap, perplexity
from metrics.text.ngram_novelty import ngram_novelty, novelty_gap_of
from metrics.video.frame_fd import frame_distance
from metrics.video.temporal_consistency import distance
from tests.intervals.worlds import (
    DIMENSIONS,
    FRAMES,
    KEYS,
    LIKELIHOODS,
    MUSIC,
    WORLDS,
    Drawing,
    Drawn,
    Found,
    found,
    likelihoods,
    pace_of,
    pieces,
)

N = 120
SIDES: tuple[Side, ...] = ("samples", "reference", "train")
VECTORS = [*WORLDS[0].metrics, *WORLDS[1].metrics]
# Too few rows for its subsets; the interval is kid's own. Clocks have order statistics, which hold whatever is equal.
ELSEWHERE = {"kid_subsets", "latency_p50", "latency_p90", "latency_p99", "sample_throughput", "train_throughput"}


def same_rows() -> Found:
    return _vectors(*[_rows(0)] * 3)


def rows_apart() -> Found:
    return _vectors(_rows(0), _rows(1) + 1e3, _rows(2) - 1e3)


def rows_of_samples_that_are_the_data() -> Found:
    return _vectors(_rows(0), _rows(1), _rows(0))


def even_atoms() -> Found:
    return _vectors(*[np.eye(DIMENSIONS)[np.arange(N) % DIMENSIONS]] * 3)


def same_texts() -> Found:
    return _texts(*[_new("s")] * 3)


def texts_apart() -> Found:
    return _texts(_new("s"), _new("r"), _new("r"))


def one_text_again_and_again() -> Found:
    return _texts(["a b c d e f g h i j"] * N, _new("r"), _new("r"))


def same_pieces() -> Found:
    return _pieces(*[pieces("walks", np.random.default_rng(0), N)] * 3)


def pieces_apart() -> Found:
    """One key alone, and all of the others."""
    low = np.zeros((N, FRAMES, KEYS), np.uint8)
    low[:, ::2, 0] = 1
    return _pieces(low, 1 - low, 1 - low)


def one_piece_again_and_again() -> Found:
    rng = np.random.default_rng(0)
    return _pieces(np.repeat(pieces("walks", rng, 1), N, axis=0), *[pieces("walks", rng, N) for _ in range(2)])


def same_clips() -> Found:
    frames = _rows(0).reshape(N // 4, 4, DIMENSIONS)
    moves = np.full((N, 3), 0.2)
    return _clips(frames, frames, moves, moves)


def clips_apart() -> Found:
    """Other frames, and clips that stand still beside some of which no frame is like the one before."""
    fake, real = (_rows(seed).reshape(N // 4, 4, DIMENSIONS) + 1e3 * seed for seed in range(2))
    return _clips(fake, real, np.zeros((N, 3)), np.ones((N, 3)))


def same_waves() -> Found:
    """Silent ones, of which copies are exact."""
    silent = torch.zeros(N, 800)
    return _waves(silent, silent)


def waves_apart() -> Found:
    """As loud as can be, beside silence."""
    return _waves(torch.ones(N, 800), torch.zeros(N, 800))


def even_likelihoods() -> Found:
    rng = np.random.default_rng(0)
    return likelihoods(Drawing("two letters", "far", 60, 60, rng, rng, LIKELIHOODS))


def perfect_numbers() -> Found:
    """Copies, pairs and answers without a fault, and judges that find all alike."""
    rows, labels = _rows(0), torch.arange(N) % 8
    pictures = np.random.default_rng(0).integers(0, 255, size=(N, 1, 12, 12)).astype(np.uint8)
    return {
        **_alike(),
        "clip_score": clip_score(rows, rows),
        "prompt_similarity": prompt_similarity(np.tile(rows[:1], (N, 1)), rows),
        "class_accuracy": class_accuracy(torch.nn.functional.one_hot(labels, 8).double(), labels),
        "mse": mean_squared_error(pictures, pictures),
        "ssim": structural_similarity(pictures, pictures),
        "rfd": paired_distance(rows, rows),
    }


def worst_numbers() -> Found:
    rows, labels = _rows(0), torch.arange(N) % 8
    black = np.zeros((N, 1, 12, 12), np.uint8)
    return {
        **_alike(),
        "clip_score": clip_score(rows, -rows),
        "prompt_similarity": prompt_similarity(*[np.tile(rows[:1], (N, 1))] * 2),
        "class_accuracy": class_accuracy(torch.nn.functional.one_hot((labels + 1) % 8, 8).double(), labels),
        "mse": mean_squared_error(black, 255 - black),
        "psnr": peak_signal_to_noise(black, 255 - black),
        "ssim": structural_similarity(black, 255 - black),
        "rfd": paired_distance(rows, rows + 1),
    }


ENDS: Mapping[str, Callable[[], Found]] = {
    make.__name__: cache(make)
    for make in (
        same_rows,
        rows_apart,
        rows_of_samples_that_are_the_data,
        even_atoms,
        same_texts,
        texts_apart,
        one_text_again_and_again,
        same_pieces,
        pieces_apart,
        one_piece_again_and_again,
        same_clips,
        clips_apart,
        same_waves,
        waves_apart,
        even_likelihoods,
        perfect_numbers,
        worst_numbers,
    )
}


@pytest.mark.parametrize("end", ENDS)
def test_no_interval_is_of_no_width(end: str) -> None:
    for name, estimate in ENDS[end]().items():
        if isinstance(estimate, Estimate) and estimate.interval is not None:
            width = estimate.interval.hi - estimate.interval.lo
            assert width > 1e-8 * abs(estimate.value) or "exact" in estimate.interval.method, f"{name}: {estimate}"


def test_every_metric_with_an_interval_was_at_its_ends() -> None:
    seen = {
        name
        for make in ENDS.values()
        for name, estimate in make().items()
        if isinstance(estimate, Estimate) and estimate.interval is not None
    }
    assert {name for world in WORLDS for name in world.metrics} - seen == ELSEWHERE


def test_one_unit_alone_has_no_interval_as_the_readme_says() -> None:
    one = [" ".join(f"w{i % 40}" for i in range(150))]
    alone: dict[str, Estimate] = {
        **{f"distinct_{n}": distinct_n(one, n) for n in (1, 2, 3)},
        "ngram_novelty": ngram_novelty(one, _new("t")),
        "ngram_novelty_gap": novelty_gap_of(_new("s"), one, _new("t")),
        "judge_perplexity": perplexity(np.array([60.0]), np.array([30])),
        "judge_gap": gap(np.array([60.0]), np.array([30]), np.array([50.0, 70.0]), np.array([30, 30])),
        "clip_score": clip_score(_rows(0)[:1], _rows(0)[:1]),
        "train_throughput": pace_of(np.array([1.0, 1.1]), notes=1),
    }
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    said = readme[readme.index("Every number comes with a 95 % interval") :].split("The method says")[0]
    for name, estimate in alone.items():
        assert estimate.interval is None, name
        assert f"`{name}`" in said or name == "distinct_2"


def _rows(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, DIMENSIONS))


def _vectors(*sides: np.ndarray) -> Found:
    drawn = Drawn("vector", dict(zip(SIDES, map(torch.from_numpy, sides), strict=True)), 0)
    return found(VECTORS, drawn)


def _new(letter: str) -> list[str]:
    """Texts of words that come once each."""
    return [" ".join(f"{letter}{i}x{j}" for j in range(12)) for i in range(N)]


def _texts(*sides: list[str]) -> Found:
    return found(WORLDS[2].metrics, Drawn("text", dict(zip(SIDES, sides, strict=True)), 0))


def _pieces(*sides: np.ndarray) -> Found:
    return found(MUSIC, Drawn("music", dict(zip(SIDES, map(torch.from_numpy, sides), strict=True)), 0))


def _waves(waves: torch.Tensor, originals: torch.Tensor) -> Found:
    return {
        "clipping_share": clipping_share(waves),
        "silence_share": silence_share(waves, 8000),
        "log_spectral_distance": log_spectral_distance(waves, originals),
    }


def _clips(fake: np.ndarray, real: np.ndarray, fake_moves: np.ndarray, real_moves: np.ndarray) -> Found:
    return {"frame_fd": frame_distance(fake, real), "temporal_consistency": distance(fake_moves, real_moves)}


def _alike() -> dict[str, Estimate]:
    """Every text and picture is as likely as the next."""
    nats, tokens = np.full(N, 60.0), np.full(N, 30)
    return {
        "judge_perplexity": perplexity(nats, tokens),
        "judge_gap": gap(nats, tokens, nats, tokens),
        "bits_per_dim": bits_of(nats, DIMENSIONS, spacing()),
        "log_likelihood": mean_of(-nats),
        "nats_per_frame": per_frame(nats, np.full(len(nats), 60)),
    }
