"""Worlds in which samples, held-out data and training data are drawn anew as often as one likes.

A World measures metrics on a few laws of data, in relations of the samples to the data: ``null``, nothing is wrong;
``near``, the flaw is small; ``apart``, the sides lie partly apart; ``far``, the sides share nothing, or half of the
samples are copies. Each draw returns the estimates of all of its metrics by name, and the reason where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from bench import Batch, Costs, CurvePoint, Estimate, Omitted, Trial, spacing
from bench.datasets._text import TextDataset
from bench.measure.comparison import Comparison, Space, measure
from bench.measure.feature_store import FeatureSet
from bench.protocols import SplitName
from bench.registry import MetricEntry, Side, registry
from metrics.audio.clipping_share import clipping_share
from metrics.audio.log_spectral_distance import log_spectral_distance
from metrics.audio.silence_share import silence_share
from metrics.cost.latency import percentile
from metrics.cost.throughput import rate, train_throughput
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
from metrics.text.judge_perplexity import gap, perplexity
from metrics.video.frame_fd import frame_distance
from metrics.video.temporal_consistency import distance as distance_of_changes

Array = np.ndarray
Rng = np.random.Generator
Relation = Literal["null", "near", "apart", "far"]
Found = Mapping[str, Estimate | str]
CPU = torch.device("cpu")
DIMENSIONS, MODES, LENGTH = 16, 8, 20
SHIFT: Mapping[Relation, float] = {"null": 0.0, "near": 0.25, "apart": 1.0, "far": 4.0}
COPIES: Mapping[Relation, float] = {"null": 0.0, "near": 0.05, "far": 0.5}


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn once: n samples and as many held-out examples, from ``rng``; n_train from ``train_rng``."""

    law: str
    relation: Relation
    n: int
    n_train: int
    rng: Rng
    train_rng: Rng
    names: Sequence[str]


@dataclass(frozen=True)
class World:
    """``measure`` draws once and measures the metrics named."""

    title: str
    about: str
    laws: Sequence[str]
    metrics: Sequence[str]
    measure: Callable[[Drawing], Found]
    relations: Sequence[Relation] = ("null", "near", "far")


class Drawn(Comparison):
    """Sides that were drawn; their features are the rows themselves, their logits closeness to the modes."""

    def __init__(self, modality: str, sides: Mapping[Side, Any], seed: int) -> None:
        super().__init__(modality, seed=seed, device=CPU)
        self.sides = sides

    def _stored(self, side: Side) -> Any:
        if side not in self.sides:
            raise Omitted(f"there are no {side}")
        return self.sides[side]

    def space(self, extractor: str | None) -> Space:
        return self.once(_Rows, None)

    def _say(self, text: str) -> None:
        """Nobody reads remarks on thousands of drawings."""


class _Rows(Space):
    def _features(self, side: Side) -> FeatureSet:
        x = self.comparison.tensor(side)
        return FeatureSet(x, -0.05 * torch.cdist(x, torch.from_numpy(centres()[:MODES])).square())


# Why a metric stands in no table.
NO_INTERVAL: Mapping[str, str] = {
    "longest_copy": "a maximum",
    "parameters": "a count",
    "nfe": "a count",
    "sample_flops": "a count",
    "checkpoint_bytes": "a count",
    "training_flops": "a count",
    "best_batch_size": "one of a few sizes",
    "largest_batch": "one of a few sizes",
    **dict.fromkeys(
        (
            "peak_rss_bytes", "peak_gpu_bytes", "sample_rss_bytes", "sample_gpu_bytes", "sample_gpu_requested_bytes",
            "sample_gpu_reserved_bytes", "sample_gpu_process_bytes", "load_seconds", "first_batch_seconds",
            "best_throughput", "train_energy", "sample_energy", "mfu", "host_bound",
        ),
        "what one process reached",
    ),
    **dict.fromkeys(
        ("next_frame_mse", "next_frame_psnr", "next_frame_ssim"), "over clips, as mse, psnr and ssim over images"
    ),
    **dict.fromkeys(("first_token_p50", "inter_token_p50", "inter_token_p99"), "a percentile of calls, as latency's"),
    **dict.fromkeys(
        (
            "token_throughput", "frame_throughput", "realtime_factor", "train_token_throughput",
            "stream_throughput_1", "stream_throughput_8", "stream_throughput_64",
        ),
        "work over time, as sample_throughput",
    ),
}  # fmt: skip


def found(metrics: Sequence[str], comparison: Comparison) -> Found:
    """Each metric's estimate, or why there is none."""
    return {name: _estimate(registry.get("metrics", name), comparison) for name in metrics}


def _estimate(entry: MetricEntry, comparison: Comparison) -> Estimate | str:
    return _or_why(lambda: measure(entry, comparison))


def every(of: str, novelty: bool) -> list[str]:
    """Registered metrics of features or of samples, those of novelty or the others, that two or three sides serve."""
    sides = {"samples", "reference", "train"}
    return [
        name
        for name, entry in registry.all("metrics").items()
        if entry.of == of
        and (of == "features" or "text" in entry.on)
        and set(entry.sides) <= sides
        and (entry.aspect == "novelty") == novelty
        and name not in {*NUMBERS, *CLIPS, *NO_INTERVAL}
    ]


# Vectors ------------------------------------------------------------------------------------------------------------


@cache
def centres() -> Array:
    """Modes, ``(2 MODES, D)``; the second half is where no data is."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(2 * MODES, DIMENSIONS))
    return cast(Array, 6 * directions / np.linalg.norm(directions, axis=1, keepdims=True))


def rows(law: str, rng: Rng, n: int, relation: Relation = "null") -> Array:
    """``(n, D)`` rows of a law, moved as the relation says."""
    z = rng.normal(size=(n, DIMENSIONS))
    match law:
        case "normal":
            return (z + SHIFT[relation]) * np.linspace(0.5, 1.5, DIMENSIONS)
        case "ReLU":
            mixing = np.random.default_rng(1).normal(size=(DIMENSIONS, DIMENSIONS)) / 4
            return np.maximum((z + SHIFT[relation]) @ mixing + 0.5, 0)
        case "heavy tails":  # multivariate t of 5 degrees of freedom
            return cast(Array, z / np.sqrt(rng.chisquare(5, (n, 1)) / 5) + 2 * SHIFT[relation])
        case _:
            first, last = {
                "null": (0, MODES),
                "near": (0, MODES - 2),
                "apart": (MODES // 2, MODES // 2 + MODES),
                "far": (MODES, 2 * MODES),
            }[relation]
            return cast(Array, z + centres()[rng.integers(first, last, n)])


def vectors(d: Drawing) -> Found:
    """Realism and diversity: the samples' law moves away from that of the data."""
    sides: dict[Side, Array] = {
        "samples": rows(d.law, d.rng, d.n, d.relation),
        "reference": rows(d.law, d.rng, d.n),
        "train": rows(d.law, d.train_rng, d.n_train),
    }
    return found(d.names, _drawn(sides, d.rng))


def copied_vectors(d: Drawing) -> Found:
    """Novelty: a share of the samples are training rows, hardly moved."""
    train, samples = rows(d.law, d.train_rng, d.n_train), rows(d.law, d.rng, d.n)
    copied = np.flatnonzero(d.rng.random(d.n) < COPIES[d.relation])
    moved = 1e-3 * d.rng.normal(size=(len(copied), DIMENSIONS))
    samples[copied] = train[d.rng.integers(d.n_train, size=len(copied))] + moved
    sides: dict[Side, Array] = {"samples": samples, "reference": rows(d.law, d.rng, d.n), "train": train}
    return found(d.names, _drawn(sides, d.rng))


def _drawn(sides: Mapping[Side, Array], rng: Rng) -> Drawn:
    return Drawn("vector", {side: torch.from_numpy(x) for side, x in sides.items()}, int(rng.integers(2**31)))


# Texts --------------------------------------------------------------------------------------------------------------


def sentences(law: str, rng: Rng, n: int, strange: bool = False) -> list[list[str]]:
    """n texts of about LENGTH words: independent words, a chain of words, or sentences from a few patterns."""
    match law:
        case "words":
            numbers = rng.zipf(1.3, size=(n, LENGTH)) % 400
        case "chain":
            numbers = np.empty((n, LENGTH), int)
            numbers[:, 0] = rng.integers(200, size=n)
            for i in range(1, LENGTH):
                numbers[:, i] = (3 * numbers[:, i - 1] + rng.geometric(0.4, size=n)) % 200
        case _:
            patterns = np.random.default_rng(2).integers(300, size=(40, LENGTH))
            free = rng.random((n, LENGTH)) < 0.3
            numbers = np.where(free, rng.integers(300, size=(n, LENGTH)), patterns[rng.integers(40, size=n)])
    letter = "x" if strange else "w"
    lengths = rng.integers(LENGTH // 2, LENGTH + 1, size=n)
    return [[f"{letter}{word}" for word in row[:length]] for row, length in zip(numbers, lengths, strict=True)]


def texts(d: Drawing) -> Found:
    """All measures of texts: near, some texts are training texts and some repeat themselves; far, no word is known."""
    train = sentences(d.law, d.train_rng, d.n_train)
    samples = sentences(d.law, d.rng, d.n, strange=d.relation == "far")
    if d.relation == "near":
        for i in np.flatnonzero(d.rng.random(d.n) < COPIES["near"]):
            samples[i] = train[int(d.rng.integers(d.n_train))]
        for i in np.flatnonzero(d.rng.random(d.n) < COPIES["near"]):
            samples[i] = (samples[i][:5] * LENGTH)[: len(samples[i])]
    sides = {"samples": samples, "reference": sentences(d.law, d.rng, d.n), "train": train}
    joined: dict[Side, list[str]] = {
        cast(Side, side): [" ".join(words) for words in part] for side, part in sides.items()
    }
    return found(d.names, Drawn("text", joined, int(d.rng.integers(2**31))))


# Music --------------------------------------------------------------------------------------------------------------

FRAMES, KEYS = 16, 24
MUSIC = (
    "pitch_class_distance", "note_length_distance", "polyphony_gap", "scale_consistency_gap", "groove_gap",
    "repetition_gap", "longest_copied_passage",
)  # fmt: skip
DEGREES = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 17, 19, 21, 23])  # of C major, two octaves


def pieces(law: str, rng: Rng, n: int, relation: Relation = "null") -> Array:
    """``(n, FRAMES, KEYS)`` of two voices in a key: each note apart, voices that walk, or phrases that come again.

    near: one note in ten is a semitone beside the scale, and held for longer; far: half of them, and a third voice.
    """
    wrong, held = {"null": (0.0, 0.5), "near": (0.1, 0.6)}.get(relation, (0.5, 0.8))
    voices = 3 if relation == "far" else 2
    degree = rng.integers(0, 7, (n, voices, FRAMES)) + 3 * np.arange(voices)[:, None]
    if law == "walks":
        steps = rng.integers(-1, 2, (n, voices, FRAMES)).cumsum(2)
        degree = degree[:, :, :1] + steps
    if law == "phrases":
        again = (rng.random((n, 1, 1)) < 0.5) & (np.arange(FRAMES) >= FRAMES // 2)
        degree = np.where(again, np.roll(degree, FRAMES // 2, 2), degree)
    fresh = rng.random((n, voices, FRAMES)) >= held
    fresh[:, :, 0] = True
    place = np.maximum.accumulate(np.where(fresh, np.arange(FRAMES), 0), 2)
    beside = (rng.random((n, voices, FRAMES)) < wrong).astype(int)
    key = DEGREES[degree % len(DEGREES)] + beside
    key = np.take_along_axis(key, place, 2) % KEYS
    rolls = np.zeros((n, FRAMES, KEYS), np.uint8)
    rolls[np.arange(n)[:, None, None], np.arange(FRAMES), key] = 1
    return rolls


def music(d: Drawing) -> Found:
    """All measures of piano rolls; near and far, some samples are training pieces in another key, too."""
    train, samples = pieces(d.law, d.train_rng, d.n_train), pieces(d.law, d.rng, d.n, d.relation)
    copied = np.flatnonzero(d.rng.random(d.n) < COPIES[d.relation])
    samples[copied] = train[d.rng.integers(d.n_train, size=len(copied))]
    sides: dict[Side, Array] = {"samples": samples, "reference": pieces(d.law, d.rng, d.n), "train": train}
    every_one: dict[Side, Tensor] = {side: torch.from_numpy(x) for side, x in sides.items()}
    return found(d.names, Drawn("music", every_one, int(d.rng.integers(2**31))))


# Likelihoods --------------------------------------------------------------------------------------------------------

WINDOW = 16
LIKELIHOODS = (
    "bits_per_byte", "bits_per_byte_sliding", "bits_per_byte_stateful", "bits_per_char", "perplexity",
    "perplexity_byte", "perplexity_sliding", "perplexity_stateful", "perplexity_word", "membership_auc",
)  # fmt: skip


@cache
def transitions(law: str) -> Array:
    """``(letters, letters)``: how likely each letter is after each other; the last one is a space."""
    letters = {"two letters": 3, "sticky": 5, "many letters": 27}[law]
    p = np.random.default_rng(3).dirichlet(np.full(letters, 0.5), size=letters) + 0.02
    if law == "sticky":
        p += 4 * np.eye(letters)
    p[:, -1] += 0.2 * p.sum(1)  # words of a few letters
    return cast(Array, p / p.sum(1, keepdims=True))


class _Chain:
    """A model of letters that believes in ``p``."""

    bound = False
    log_prob_of: Literal["mass", "density"] = "mass"

    def __init__(self, p: Array) -> None:
        self.log_p = torch.from_numpy(np.log(p))

    def step_log_prob(self, batch: Batch, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        index = _letters(batch.data, len(self.log_p))
        first = torch.full((len(index),), -np.log(len(self.log_p))) if state is None else self.log_p[state, index[:, 0]]
        return torch.cat([first[:, None], self.log_p[index[:, :-1], index[:, 1:]]], 1), index[:, -1]

    def log_prob(self, batch: Batch) -> Tensor:
        return self.step_log_prob(batch)[0].sum(1)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.full((n, WINDOW), 97)


def _letters(tokens: Tensor, count: int) -> Tensor:
    return torch.where(tokens == 32, count - 1, tokens - 97)


def _spelled(law: str, rng: Rng, n: int) -> str:
    p = transitions(law).cumsum(1)
    state, drawn = 0, []
    for u in rng.random(n):
        state = min(int(np.searchsorted(p[state], u)), len(p) - 1)
        drawn.append(" " if state == len(p) - 1 else chr(97 + state))
    return "".join(drawn)


def likelihoods(d: Drawing) -> Found:
    """n windows of text under the chain it was drawn from, under a blurred one, and under an even one."""
    even = np.full_like(transitions(d.law), 1 / len(transitions(d.law)))
    weight = {"null": 0.0, "near": 0.3, "far": 1.0}[d.relation]
    model = _Chain((1 - weight) * transitions(d.law) + weight * even)
    parts: dict[SplitName, str] = {
        "train": _spelled(d.law, d.train_rng, d.n_train * WINDOW),
        "valid": "a" * WINDOW,
        "test": _spelled(d.law, d.rng, d.n * WINDOW),
    }
    dataset, seed = TextDataset("chain", parts, WINDOW), int(d.rng.integers(2**31))
    return found(d.names, Trial(model, dataset, seed=seed, n_samples=8, batch_size=500, device=CPU))


# Numbers of each example --------------------------------------------------------------------------------------------

NUMBERS = (
    "clip_score", "class_accuracy", "judge_perplexity", "judge_gap", "latency_p50", "latency_p90",
    "latency_p99", "mse", "prompt_similarity", "psnr",
    "rfd", "sample_throughput", "train_throughput", "ssim", "bits_per_dim",
    "log_likelihood", "nats_per_frame", "clipping_share", "silence_share", "log_spectral_distance",
)  # fmt: skip


def spread(law: str, rng: Rng, n: int) -> Array:
    """``(n,)`` positive numbers of mean about 1."""
    match law:
        case "normal":
            return np.maximum(1 + 0.2 * rng.normal(size=n), 0.05)
        case "skewed":
            return cast(Array, rng.lognormal(-0.125, 0.5, n))
        case _:
            return np.where(rng.random(n) < 0.1, 2.5, 0.8) * (1 + 0.1 * rng.random(n))


def numbers(d: Drawing) -> Found:
    """Measures that take one number, picture or vector an example from a network or a clock."""
    law, rng, n, relation = d.law, d.rng, d.n, d.relation
    worse = 1 + SHIFT[relation]
    tokens, their_tokens = rng.integers(10, 40, n), rng.integers(10, 40, n)
    nats, their_nats = 2 * worse * tokens * spread(law, rng, n), 2 * their_tokens * spread(law, rng, n)
    seconds = tuple(1e-3 * worse * spread(law, rng, n))
    meant = rng.normal(size=(n, DIMENSIONS))
    pictures = rng.integers(60, 196, size=(n, 1, 12, 12))
    noise = 6 * worse * spread(law, rng, n)[:, None, None, None] * rng.normal(size=pictures.shape)
    copies = np.clip(pictures + noise.round(), 0, 255).astype(np.uint8)
    made = meant + worse * spread(law, rng, n)[:, None] * rng.normal(size=meant.shape)
    labels = torch.arange(n) % MODES
    heard = rng.random(n) < {"null": 0.999, "near": 0.95, "far": 1 / MODES}[relation]
    answers = torch.where(torch.from_numpy(heard), labels, (labels + 1) % MODES)
    every_one: Mapping[str, Callable[[], Estimate]] = {
        **sound_measures(d),
        "judge_perplexity": lambda: perplexity(nats, tokens),
        "judge_gap": lambda: gap(nats, tokens, their_nats, their_tokens),
        "latency_p50": lambda: percentile(seconds, 0.5),
        "latency_p90": lambda: percentile(seconds, 0.9),
        "latency_p99": lambda: percentile(seconds, 0.99),
        "sample_throughput": lambda: rate(64 * n, float(np.sum(seconds)), np.full(n, 64), seconds, "calls"),
        "clip_score": lambda: clip_score(made, meant),
        "prompt_similarity": lambda: prompt_similarity(made, meant),
        "class_accuracy": lambda: class_accuracy(torch.nn.functional.one_hot(answers, MODES).double(), labels),
        "mse": lambda: mean_squared_error(copies, pictures.astype(np.uint8)),
        "psnr": lambda: peak_signal_to_noise(copies, pictures.astype(np.uint8)),
        "ssim": lambda: structural_similarity(copies, pictures.astype(np.uint8)),
        "rfd": lambda: paired_distance(made, meant),
        "bits_per_dim": lambda: bits_of(nats, DIMENSIONS, spacing()),
        "log_likelihood": lambda: mean_of(-nats),
        "nats_per_frame": lambda: per_frame(nats, tokens),
        "train_throughput": lambda: pace_of(np.array(seconds)),
    }
    return {name: _or_why(every_one[name]) for name in d.names}


RATE, LENGTH = 8000, 400  # samples a second, and of a sound


def sounds(d: Drawing) -> tuple[Tensor, Tensor]:
    """Noise, ``(n, LENGTH)``, and where something is wrong: a beginning, as long as the law says."""
    noise = torch.from_numpy(d.rng.normal(size=(d.n, LENGTH))).float().clamp(-3, 3) / 4
    share = 0.1 * (1 + SHIFT[d.relation]) * spread(d.law, d.rng, d.n)
    return noise, torch.linspace(0, 1, LENGTH) < torch.from_numpy(share)[:, None]


def sound_measures(d: Drawing) -> Mapping[str, Callable[[], Estimate]]:
    """Of sounds whose beginnings are clipped or silent, and of copies of them that lack theirs."""

    def spoilt(by: float) -> tuple[Tensor, Tensor]:
        noise, wrong = sounds(d)
        return torch.where(wrong, by, noise), noise

    return {
        "clipping_share": lambda: clipping_share(spoilt(1.0)[0]),
        "silence_share": lambda: silence_share(spoilt(0.0)[0], RATE),
        "log_spectral_distance": lambda: log_spectral_distance(*spoilt(0.0)),
    }


def _or_why(work: Callable[[], Estimate]) -> Estimate | str:
    try:
        return work()
    except Omitted as reason:
        return str(reason)


def pace_of(seconds: Array, notes: int = 100) -> Estimate:
    """Of a training whose steps took so long, noted so often."""
    ends = np.linspace(0, len(seconds), notes + 1).astype(int)[1:]
    points = [CurvePoint(step=int(end), seconds=float(seconds[:end].sum()), losses={}) for end in ends]
    spent = Costs(float(seconds.sum()), len(seconds), 0, None, "", curve=points)
    return train_throughput(cast(Trial[Any], SimpleNamespace(costs=spent, conditions={}, batch_size=1)))


# Clips --------------------------------------------------------------------------------------------------------------

LASTING = 4  # frames of a clip
CLIPS = ("frame_fd", "temporal_consistency")


def clips(d: Drawing) -> Found:
    """Clips of a few frames that depend on one another: their features, and their changes."""
    law, rng, n, relation = d.law, d.rng, d.n, d.relation
    worse = 1 + SHIFT[relation]

    def seen(moved: Relation) -> Array:  # what a clip shows, and a little of each frame's own
        own = 0.3 * rng.normal(size=(n, LASTING, DIMENSIONS))
        return rows("normal", rng, n, moved)[:, None] + spread(law, rng, n)[:, None, None] * own

    def changed(scale: float) -> Array:
        return scale * spread(law, rng, n)[:, None] * (1 + 0.2 * rng.random((n, LASTING)))

    every_one: Mapping[str, Callable[[], Estimate]] = {
        "frame_fd": lambda: frame_distance(seen(relation), seen("null")),
        "temporal_consistency": lambda: distance_of_changes(changed(worse), changed(1.0)),
    }
    return {name: _or_why(every_one[name]) for name in d.names}


WORLDS = (
    World(
        "Realism and diversity, of vectors",
        "near: moved by a quarter of a standard deviation, or two of eight modes left out; apart: by one, or four of "
        "eight modes are shared; far: nothing is shared; heavy tails (multivariate t, 5 degrees) move twice as far",
        ("normal", "ReLU", "modes", "heavy tails"),
        every("features", novelty=False),
        vectors,
        ("null", "near", "apart", "far"),
    ),
    World(
        "Novelty, of vectors",
        "near: one sample in twenty is a training row, hardly moved; far: every other one",
        ("normal", "ReLU", "modes"),
        every("features", novelty=True),
        copied_vectors,
    ),
    World(
        "Texts",
        "near: one text in twenty is a training text and one in twenty repeats itself; far: no word is known",
        ("words", "chain", "patterns"),
        [*every("samples", novelty=False), *every("samples", novelty=True)],
        texts,
    ),
    World(
        "Music",
        "near: one note in ten is beside its scale and notes are longer, and one piece in twenty is a training piece; "
        "far: every other one, and three voices in place of two",
        ("notes", "walks", "phrases"),
        MUSIC,
        music,
    ),
    World(
        "Likelihood of text, and membership",
        "the model is the chain that wrote the text; near: three tenths of it blurred; far: it knows nothing",
        ("two letters", "sticky", "many letters"),
        LIKELIHOODS,
        likelihoods,
    ),
    World(
        "One number an example: copies, pairs, judges, clocks",
        "far: errors five times as large, or answers at random",
        ("normal", "skewed", "two kinds"),
        NUMBERS,
        numbers,
    ),
    World(
        "Clips, whose frames depend on one another",
        "near: features moved by a quarter of a standard deviation, changes a quarter larger; far: features moved by "
        "four, changes five times as large",
        ("normal", "skewed", "two kinds"),
        CLIPS,
        clips,
    ),
)
