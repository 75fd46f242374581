"""Features are extracted once for the same content, and anew for any other."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import Features, GenbenchError
from bench.feature_store import FeatureSet, FeatureStore, content_hash

CPU = torch.device("cpu")
IMAGES = torch.randint(256, (600, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
NAMED = {"extractor": "counting", "weights": "sha256:1", "resize": "none"}


class Counting:
    """Pixels as features, and a record of how many examples it was shown."""

    protocol: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, x: Tensor) -> Features:
        self.seen += len(x)
        return Features(x.flatten(1).float(), x.flatten(1)[:, :3].float())


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path)


def get(
    store: FeatureStore, extract: Counting, images: Tensor = IMAGES, changes: Mapping[str, str] = NAMED
) -> FeatureSet:
    return store.get(extract, {**NAMED, **changes}, images, CPU)


def test_they_are_extracted_once_and_read_from_disk_after(store: FeatureStore) -> None:
    extract = Counting()
    first, second = get(store, extract), get(store, extract)
    assert extract.seen == 600
    for found in (first, second):
        torch.testing.assert_close(found.features, IMAGES.flatten(1).float(), rtol=0, atol=0)
        assert found.logits is not None and found.logits.shape == (600, 3)
        np.testing.assert_allclose(found.moments.covariance, np.cov(IMAGES.flatten(1).double().numpy(), rowvar=False))


def test_one_changed_byte_of_the_data_misses(store: FeatureStore) -> None:
    extract, other = Counting(), IMAGES.clone()
    other[599, 0, 3, 3] ^= 1
    get(store, extract), get(store, extract, other)
    assert extract.seen == 1200


@pytest.mark.parametrize("changes", [{"weights": "sha256:2"}, {"resize": "bicubic"}, {"extractor": "other"}])
def test_other_weights_or_preprocessing_miss(store: FeatureStore, changes: dict[str, str]) -> None:
    extract = Counting()
    get(store, extract), get(store, extract, changes=changes)
    assert extract.seen == 1200


def test_the_content_is_its_type_and_shape_too() -> None:
    hashes = {content_hash(x) for x in (IMAGES, IMAGES.view(torch.int8), IMAGES.flatten(1), IMAGES[:-1])}
    assert len(hashes) == 4
    assert content_hash(["ab", "c"]) != content_hash(["a", "bc"])


@pytest.mark.parametrize("file", ["features.npy", "moments.npz", "manifest.json"])
def test_a_damaged_file_is_made_anew(store: FeatureStore, file: str) -> None:
    extract = Counting()
    get(store, extract)
    path = next(store.folder.glob(f"*/{file}"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    again = get(store, extract)
    assert extract.seen == 1200
    torch.testing.assert_close(again.features, IMAGES.flatten(1).float(), rtol=0, atol=0)


@pytest.mark.parametrize("content", ["[]", '{"files": {}}', '{"files": 3}', ""])
def test_a_manifest_that_says_nothing_is_made_anew(store: FeatureStore, content: str) -> None:
    first = get(store, Counting()).features.clone()
    (manifest,) = store.folder.glob("*/manifest.json")
    manifest.write_text(content)
    assert torch.equal(get(store, Counting()).features, first)
    assert "features.npy" in json.loads(manifest.read_text())["files"]


def test_an_extractor_that_loses_rows_is_refused(store: FeatureStore) -> None:
    class Losing(Counting):
        def __call__(self, x: Tensor) -> Features:
            return Features(torch.ones(len(x) - 1, 2), None)

    with pytest.raises(GenbenchError, match="returned 249 rows for 250 examples"):
        get(store, Losing())


def test_what_a_killed_process_left_goes_after_a_day_and_counts_for_nothing(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, limit_gb=1e-3)
    for name, age in ((".tmp-old", 2 * 86_400), (".tmp-new", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "features.npy").write_bytes(bytes(2 * 2**20))
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    get(store, Counting())
    assert sorted(path.name[:8] for path in tmp_path.glob(".*")) == [".tmp-new"] and len(list(tmp_path.iterdir())) == 2


def test_the_manifest_says_what_is_there(store: FeatureStore) -> None:
    get(store, Counting())
    manifest = json.loads(next(store.folder.glob("*/manifest.json")).read_text())
    assert manifest["weights"] == "sha256:1" and manifest["dtype"] == "float32"
    assert set(manifest["files"]) == {"features.npy", "logits.npy", "moments.npz"}
    assert manifest["examples"] == content_hash(IMAGES)


def test_what_is_read_cannot_be_written_through(store: FeatureStore) -> None:
    extract = Counting()
    get(store, extract).features.zero_()
    assert get(store, extract).features.any()
    assert extract.seen == 600


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, limit_gb=0)
    extract = Counting()
    get(store, extract), get(store, extract, changes={"weights": "sha256:2"})
    assert len(list(tmp_path.iterdir())) == 1
    get(store, extract, changes={"weights": "sha256:2"})
    assert extract.seen == 1200
