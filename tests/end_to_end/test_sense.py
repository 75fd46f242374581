"""Common sense on real digits: what is plainly worse scores worse, copies are seen, rubbish is refused.

Swept over every registered feature metric of images: a new one has to pass as well, or stand here with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

import bench
from bench import GenbenchError
from bench.datasets._image import ImageDataset
from bench.datasets.mnist import mnist5k
from bench.measure import feature_store
from bench.measure.trial import Trial
from bench.protocols import Aspect
from bench.registry import MetricEntry, registry
from bench.streams import normal

MEASURES: Mapping[str, MetricEntry] = {
    n: e for n, e in registry.all("metrics").items() if e.of == "features" and "image" in e.on
}
# Sides that digits and vectors alone do not have; these are tested beside their definitions.
ELSEWHERE = {
    "class_accuracy": "needs samples made for given labels",
    "rfd": "needs a model that reconstructs",
}
HERE = sorted(set(MEASURES) - set(ELSEWHERE))


def of(aspect: Aspect) -> list[str]:
    return [name for name in HERE if MEASURES[name].aspect == aspect]


REALISM, DIVERSITY, NOVELTY = of("realism"), of("diversity"), of("novelty")
# Of realism, those that ask of each sample whether it looks real, and not whether all kinds of data are there.
FIDELITY = {"precision", "density", "clipped_density"}
# LeNet knows digits only and puts noise among them, inside the widest balls around real features. A pixel does not.
BLIND_TO_NOISE = dict.fromkeys(FIDELITY, "noise lies within the balls around digits in LeNet's features")
SLACK = 0.02  # of a ladder's whole range: where a metric has reached its end it may tremble


class Found(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    lo: float
    hi: float


def test_only_metrics_that_need_other_sides_are_left_out() -> None:
    known = {"samples", "reference", "train"}
    assert {name for name, entry in MEASURES.items() if not set(entry.sides) <= known} == set(ELSEWHERE)


# What is measured ---------------------------------------------------------------------------------------------------


@cache
def digits() -> ImageDataset:
    return mnist5k()


@cache
def control(name: str, n: int) -> Tensor:
    """What a yardstick of every suite makes of these digits."""
    model = registry.get("generators", name).make(digits())
    return Trial(model, digits(), seed=0, n_samples=n, batch_size=500, device=torch.device("cpu")).samples


def real() -> Tensor:
    """Held-out digits in the order of their labels below."""
    return digits().valid.pixels


def blurred(sigma: float) -> Tensor:
    soft = gaussian_filter(real().numpy().astype(float), (0, 0, sigma, sigma))
    return torch.from_numpy(soft.round().clip(0, 255).astype(np.uint8))


def noisy(pixels: Tensor, levels: float) -> Tensor:
    """Normal noise of so many grey levels."""
    added = pixels + levels * normal(torch.Generator().manual_seed(2), *pixels.shape)
    return added.round().clamp(0, 255).byte()


def of_classes(count: int) -> Tensor:
    """360 different digits, evenly of the first classes."""
    pixels = torch.cat([digits().train.pixels, digits().valid.pixels])
    labels = torch.cat([digits().train.labels, digits().valid.labels])
    return torch.cat([pixels[labels == c][: 360 // count] for c in range(count)])


BLUR = {f"blur {sigma}": sigma for sigma in (1, 2, 3)}
NOISE = {f"noise {levels}": levels for levels in (25, 100, 200)}
MODES = {f"{count} classes": count for count in (10, 8, 5, 2, 1)}
PICTURES: Mapping[str, Callable[[], Tensor]] = {
    "real": lambda: control("real", 1000),
    "uniform": lambda: control("noise", 1000),
    **{name: lambda sigma=sigma: blurred(sigma) for name, sigma in BLUR.items()},  # type: ignore[misc]
    **{name: lambda levels=levels: noisy(real(), levels) for name, levels in NOISE.items()},  # type: ignore[misc]
    **{name: lambda count=count: of_classes(count) for name, count in MODES.items()},  # type: ignore[misc]
}


@cache
def measured(pictures: str) -> Mapping[str, Found]:
    """Every metric of realism and diversity in LeNet's features; one that needs more examples is missing.

    Training digits that are shown are no training data here: as copies they would say nothing of realism. Every other
    one of the rest is enough.
    """
    samples = PICTURES[pictures]()
    shown = {image.numpy().tobytes() for image in samples}
    fresh = [image.numpy().tobytes() not in shown for image in digits().train.pixels]
    return evaluate(samples, [*REALISM, *DIVERSITY], train=digits().train.pixels[torch.tensor(fresh)][::2])


def evaluate(
    samples: Tensor, metrics: Sequence[str], pixels: bool = False, train: Tensor | None = None
) -> Mapping[str, Found]:
    """Against the test split, the training split known; in LeNet's features, or pixels as they are."""
    sides = [samples, digits().test.pixels, digits().train.pixels if train is None else train]
    if pixels:
        sides = [side.flatten(1).float() for side in sides]
    space: Mapping[str, Any] = {"modality": "vector"} if pixels else {"modality": "image", "extractor": "lenet"}
    table = bench.evaluate(sides[0], sides[1], train=sides[2], metrics=list(metrics), **space)
    return {
        str(row["metric"]): Found(row["value"], row["lo"], row["hi"])
        for row in table.to_dict("records")
        if row["value"] is not None and np.isfinite(row["value"])
    }


def badness(name: str, values: Sequence[float]) -> list[float]:
    """Values so that larger is worse."""
    assert MEASURES[name].better in ("lower", "higher"), f"{name} says not which way is better"
    return [value if MEASURES[name].better == "lower" else -value for value in values]


def assert_worsens(name: str, values: Sequence[float]) -> None:
    """Step by step, and by far from the first to the last."""
    bad = badness(name, values)
    span = max(bad) - min(bad)
    assert span > 0.1 * max(map(abs, bad))
    assert bad[-1] >= max(bad) - SLACK * span and bad[0] <= min(bad) + SLACK * span, values
    assert all(later >= earlier - SLACK * span for earlier, later in pairwise(bad)), values


# Ladders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REALISM)
def test_blur_makes_every_realism_metric_worse(name: str) -> None:
    assert_worsens(name, [measured(pictures)[name].value for pictures in ("real", *BLUR)])


@pytest.mark.parametrize("name", sorted(set(REALISM) - set(BLIND_TO_NOISE)))
def test_noise_makes_every_realism_metric_worse(name: str) -> None:
    assert_worsens(name, [measured(pictures)[name].value for pictures in ("real", *NOISE)])


@cache
def in_pixels(pictures: str) -> Mapping[str, Found]:
    return evaluate(PICTURES[pictures](), sorted(FIDELITY), pixels=True)


@pytest.mark.parametrize("name", sorted(BLIND_TO_NOISE))
def test_noise_is_seen_in_pixels_where_features_hide_it(name: str) -> None:
    assert_worsens(name, [in_pixels(pictures)[name].value for pictures in ("real", *NOISE, "uniform")])
    assert measured("uniform")["precision"].value > measured("real")["precision"].value  # why they are named above


@pytest.mark.parametrize("name", DIVERSITY)
def test_dropped_modes_make_every_diversity_metric_worse(name: str) -> None:
    assert_worsens(name, [measured(pictures)[name].value for pictures in MODES])


@pytest.mark.parametrize("name", sorted(FIDELITY))
def test_dropped_modes_leave_fidelity_alone(name: str) -> None:
    values = [measured(pictures)[name].value for pictures in MODES]
    assert min(values) > values[0] - 0.06  # the classes differ by some percent in how well they are covered


@pytest.mark.parametrize("name", sorted(set(REALISM) - FIDELITY - {"kid_subsets"}))  # which needs 1,000 examples
def test_dropped_modes_make_every_distance_worse(name: str) -> None:
    assert_worsens(name, [measured(pictures)[name].value for pictures in MODES])


# Controls -----------------------------------------------------------------------------------------------------------

BETWEEN = ["blur 1", *NOISE]


@pytest.mark.parametrize("name", sorted(set(REALISM) - set(BLIND_TO_NOISE)))  # those are shown above, in pixels
def test_real_is_the_floor_of_every_realism_metric(name: str) -> None:
    floor, *others = badness(name, [measured(pictures)[name].value for pictures in ("real", *BETWEEN, "uniform")])
    assert floor <= min(others) + SLACK * (max(others) - floor)


@pytest.mark.parametrize("name", sorted(set(REALISM) - set(BLIND_TO_NOISE)))
def test_noise_is_the_ceiling_of_every_realism_metric(name: str) -> None:
    ceiling, *others = badness(name, [measured(pictures)[name].value for pictures in ("uniform", "real", *BETWEEN)])
    assert ceiling >= max(others) - SLACK * (ceiling - min(others))


# Novelty ------------------------------------------------------------------------------------------------------------

N = 600


def copies() -> Tensor:
    return control("copycat", N)


def partly_copied(share: float) -> Tensor:
    count = round(share * N)
    return torch.cat([copies()[:count], real()[: N - count]])


def toward_the_middle(share: float) -> Tensor:
    """Held-out digits, moved so far to the mean of their class."""
    pixels, labels = digits().train.pixels.float(), digits().train.labels
    middles = torch.stack([pixels[labels == c].mean(0) for c in range(10)])
    return torch.lerp(real()[:N].float(), middles[digits().valid.labels[:N]], share).round().byte()


def of_three_classes() -> Tensor:
    return real()[digits().valid.labels < 3]


COPIED: Mapping[str, Callable[[], Tensor]] = {
    "copies": copies,
    "half of them copies": lambda: partly_copied(0.5),
    "copies with noise of 4 levels": lambda: noisy(copies(), 4),
    "copies moved by a pixel": lambda: torch.roll(copies(), 1, dims=-1),
}
SHRUNK: Mapping[str, Callable[[], Tensor]] = {
    "three classes": of_three_classes,
    "a third toward the middle": lambda: toward_the_middle(0.3),
    "two thirds toward the middle": lambda: toward_the_middle(0.6),
}


# Each says of an estimate, and of that of held-out data, whether copying is plain: with its whole interval.
FLAGS: Mapping[str, Callable[[Found, Found], bool]] = {
    "nn_ratio": lambda found, _: found.lo > 0.01,
    "ct": lambda found, _: found.hi < -3,
    "ct_worst": lambda found, _: found.hi < -3,
    "auth_pct": lambda found, held_out: found.hi < held_out.lo,
    "auth_gap": lambda found, _: found.hi < 0,
    "fld_gap": lambda found, held_out: found.hi < held_out.lo,
}


@cache
def held_out_novelty() -> Mapping[str, Found]:
    return evaluate(real()[:N], NOVELTY)


@cache
def copied_novelty(kind: str) -> Mapping[str, Found]:
    return evaluate(COPIED[kind](), NOVELTY)


def test_every_novelty_metric_says_what_it_flags() -> None:
    assert set(FLAGS) == set(NOVELTY)


@pytest.mark.parametrize("kind", COPIED)
@pytest.mark.parametrize("name", NOVELTY)
def test_copies_are_flagged(name: str, kind: str) -> None:
    found = copied_novelty(kind)[name]
    assert FLAGS[name](found, held_out_novelty()[name]), found


@pytest.mark.parametrize("name", NOVELTY)
def test_held_out_data_is_not_flagged(name: str) -> None:
    found = held_out_novelty()[name]
    assert not FLAGS[name](found, found)


@pytest.mark.parametrize("pixels", [False, True], ids=["lenet", "pixels"])
@pytest.mark.parametrize("kind", SHRUNK)
def test_the_neighbour_ratio_does_not_take_shrunk_modes_for_copies(kind: str, pixels: bool) -> None:
    found = evaluate(SHRUNK[kind](), ["nn_ratio"], pixels)["nn_ratio"]
    assert not FLAGS["nn_ratio"](found, found), found


def test_ct_takes_shrunk_modes_for_copies_as_it_says() -> None:
    found = evaluate(toward_the_middle(0.6), ["ct"], pixels=True)["ct"]
    assert FLAGS["ct"](found, found)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_neighbour_ratio_is_the_share_of_copies(share: float) -> None:
    """And about 1 % of what is new."""
    found = evaluate(partly_copied(share), ["nn_ratio"])["nn_ratio"]
    assert share <= found.value <= share + 0.02


# Batches ------------------------------------------------------------------------------------------------------------


def test_the_size_of_batches_does_not_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Features extracted anew in batches of another size; what is left is float32's last digit."""
    whole = measured("noise 100")
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(feature_store, "BATCH", 37)
    parts = evaluate(PICTURES["noise 100"](), [*REALISM, *DIVERSITY], train=digits().train.pixels[::2])
    assert {n: f.value for n, f in parts.items()} == pytest.approx({n: f.value for n, f in whole.items()}, rel=1e-4)


# Hostile input ------------------------------------------------------------------------------------------------------


def rows(n: int = 1000, d: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def with_one(value: float) -> np.ndarray:
    spoilt = rows()
    spoilt[3, 2] = value
    return spoilt


HOSTILE: Mapping[str, tuple[np.ndarray, str]] = {
    "NaN": (with_one(np.nan), "1 of 1000 rows hold NaN or infinity"),
    "infinity": (with_one(np.inf), "1 of 1000 rows hold NaN or infinity"),
    "all the same": (np.tile(rows(1), (1000, 1)), "all 1000 examples are the same"),
    "empty": (rows(0), "empty; at least 2 examples are needed"),
    "one row": (rows(1), "at least 2 are needed"),
    "another width": (rows(d=7), "both must be the same"),
    "no width": (rows(d=0), "hold no numbers"),
    "boolean": (rows() > 0, "must be real numbers, got torch.bool"),
    "complex": (rows() * 1j, "must be real numbers, got torch.complex128"),
    "flat": (rows().ravel(), r"must be \(n, D\)"),
    "text": (np.full((1000, 6), "a"), "not numbers"),
}
OF_VECTORS = [name for name in HERE if "vector" in MEASURES[name].on]


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("name", OF_VECTORS)
def test_rubbish_on_any_side_is_an_error_that_names_it(name: str, case: str) -> None:
    bad, message = HOSTILE[case]
    for side in MEASURES[name].sides:
        sides: dict[str, Any] = {"samples": rows(seed=1), "reference": rows(seed=2), "train": rows(2100, seed=3)}
        sides[side] = bad
        with pytest.raises(GenbenchError, match=message):
            bench.evaluate(**sides, metrics=[name], modality="vector")


@pytest.mark.parametrize("name", sorted(set(OF_VECTORS) - {"vendi"}))  # which looks at directions alone
def test_values_whose_powers_leave_float64_are_refused(name: str) -> None:
    sides: dict[str, Any] = {"samples": rows(seed=1) * 1e120, "reference": rows(seed=2), "train": rows(2100, seed=3)}
    if "samples" not in MEASURES[name].sides:
        sides |= {"samples": rows(seed=1), "train": rows(2100, seed=3) * 1e120}
    with pytest.raises(GenbenchError, match="so rescale them"):
        bench.evaluate(**sides, metrics=[name], modality="vector")


@pytest.mark.parametrize("name", OF_VECTORS)
def test_the_same_call_without_rubbish_gives_a_number(name: str) -> None:
    sides: dict[str, Any] = {"samples": rows(seed=1), "reference": rows(seed=2), "train": rows(2100, seed=3)}
    table = bench.evaluate(**sides, metrics=[name], modality="vector")
    assert np.isfinite(table["value"][0])
