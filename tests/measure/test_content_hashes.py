"""A side is known by what it holds, whatever its order, its dtype and the form in which it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import bench
from bench.modalities._examples import content_hash, ordered_hash, unordered_hash
from bench.reading import check, read

RNG = np.random.default_rng(0)
VECTORS = RNG.integers(-40, 40, (300, 3)) / 8  # what every dtype below holds exactly
OTHER = VECTORS + 1
IMAGES = RNG.integers(256, size=(30, 3, 8, 8)).astype(np.uint8)
TEXTS = ["a b c", "", "a b", "c", "a b", "ö"]
MIXED = RNG.permutation(len(VECTORS))


def names(reference: Any, train: Any = OTHER) -> tuple[Any, Any]:
    """What protocols call the reference and the training data."""
    table = bench.evaluate(OTHER, reference, train=train, metrics=["auth_gap", "fd"])
    protocols = table.set_index("metric").protocol
    return protocols["fd"]["reference"], protocols["auth_gap"]["train"]


SAME = {
    "float32": VECTORS.astype(np.float32),
    "float16": VECTORS.astype(np.float16),
    "bfloat16": torch.from_numpy(VECTORS).bfloat16(),
    "big-endian": VECTORS.astype(">f8"),
    "by column": np.asfortranarray(VECTORS),
    "in another order": VECTORS[MIXED],
    "in another order and dtype": VECTORS[MIXED].astype(np.float32),
    "negative zeros": np.where(VECTORS == 0, -0.0, VECTORS),
}
DIFFERENT = {
    "one number": VECTORS + (np.arange(900) == 7).reshape(300, 3) / 1024,
    "a row fewer": VECTORS[1:],
    "a row twice": np.concatenate([VECTORS, VECTORS[:1]]),
    "a row in place of another": np.concatenate([VECTORS[1:], VECTORS[1:2]]),
    "columns in another order": VECTORS[:, ::-1].copy(),
    "what float32 cannot hold": VECTORS + 2.0**-40,
}


@pytest.mark.parametrize("same", SAME.values(), ids=SAME.keys())
def test_order_and_dtype_make_no_other_side(same: Any) -> None:
    assert unordered_hash(check(read(same), "vector", "reference")) == unordered_hash(torch.from_numpy(VECTORS))


@pytest.mark.parametrize("other", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_other_content_does(other: np.ndarray) -> None:
    assert unordered_hash(torch.from_numpy(other)) != unordered_hash(torch.from_numpy(VECTORS))


def test_protocols_call_a_side_by_what_it_holds() -> None:
    first = names(VECTORS, VECTORS)
    assert first == names(VECTORS[MIXED].astype(np.float32), VECTORS[MIXED].astype(np.float32))
    assert first[0] != names(OTHER)[0] and first[1] != names(VECTORS, OTHER)[1]


def test_an_ordered_hash_knows_order_and_no_dtype() -> None:
    rows = torch.from_numpy(VECTORS)
    assert ordered_hash(rows) == ordered_hash(rows, most=3) != ordered_hash(rows.flip(0))
    assert ordered_hash(rows.float()) == ordered_hash(rows.float().double())


@pytest.mark.parametrize(
    ("samples", "reference", "extractor"),
    [
        (RNG.normal(size=(1010, 3)), RNG.normal(size=(1020, 3)), None),
        (RNG.integers(0, 256, (40, 1, 28, 28), np.uint8), RNG.integers(0, 256, (50, 1, 28, 28), np.uint8), "lenet"),
        (TEXTS * 3, [f"{text} {i}" for i, text in enumerate(TEXTS * 2)], None),
    ],
    ids=["vectors", "pictures", "texts"],
)
def test_one_protocol_gives_one_value_in_whatever_order_the_reference_stands(
    samples: Any, reference: Any, extractor: str | None
) -> None:
    sides = (reference, reference[::-1])
    tables = [bench.evaluate(samples, side, train=reference, extractor=extractor) for side in sides]
    measured = [table[table.value.notna()].set_index("metric") for table in tables]
    alike = measured[0].protocol == measured[1].protocol
    assert alike.sum() > 5
    first, second = (table.value[alike].to_dict() for table in measured)
    assert first == pytest.approx(second, rel=1e-6, abs=1e-9)


def pictures(folder: Path) -> Any:
    """Of a folder, whatever there is to say of them."""
    return check(read(folder, lambda remark: None), "image", "reference")


def test_texts_and_pictures_are_known_likewise(tmp_path: Path) -> None:
    assert unordered_hash(TEXTS) == unordered_hash(TEXTS[::-1]) != unordered_hash(TEXTS[:-1])
    assert unordered_hash(["ab", "c"]) != unordered_hash(["a", "bc"])
    for number, picture in zip(RNG.permutation(30), IMAGES, strict=True):
        Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / f"{number}.png")
    whole = unordered_hash(pictures(tmp_path))
    assert whole == unordered_hash(torch.from_numpy(IMAGES))
    Image.fromarray(IMAGES[0, :, :4].transpose(1, 2, 0)).save(tmp_path / "small.png")
    mixed = unordered_hash(pictures(tmp_path))
    (tmp_path / "small.png").rename(tmp_path / "000.png")
    assert unordered_hash(pictures(tmp_path)) == mixed != whole


@pytest.mark.parametrize("examples", [torch.from_numpy(VECTORS), TEXTS])
def test_features_are_kept_in_the_order_of_their_examples(examples: Any) -> None:
    backwards: Any = examples.flip(0) if isinstance(examples, torch.Tensor) else examples[::-1]
    assert content_hash(backwards) != content_hash(examples)
