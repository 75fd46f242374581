"""Features are extracted once for the same content, and anew for any other."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import bench
from bench import Features, GenbenchError
from bench.cli._main import run_command
from bench.cli.doctor import examine
from bench.engine.runner import plan
from bench.engine.worker import run_trial
from bench.files import cache_limit, private_folder
from bench.measure.feature_store import FeatureSet, FeatureStore, _say_unkept
from bench.modalities._examples import content_hash
from tests.disks import full_disk, read_only

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
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


@pytest.mark.parametrize("content", ["[]", '{"files": {}}', '{"files": 3}', '"files"', "[" * 10**5, ""])
def test_a_manifest_that_says_nothing_is_made_anew(store: FeatureStore, content: str) -> None:
    first = get(store, Counting()).features.clone()
    (manifest,) = store.folder.glob("*/manifest.json")
    manifest.write_text(content)
    assert torch.equal(get(store, Counting()).features, first)
    assert "features.npy" in json.loads(manifest.read_text())["files"]


def saved(save: Callable[..., None], *arrays: np.ndarray, **named: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


def moments(x: np.ndarray, **changes: np.ndarray) -> bytes:
    return saved(np.savez, **{"mean": x.mean(0), "covariance": np.cov(x, rowvar=False), **changes})


ROWS = IMAGES.flatten(1).double().numpy()
FORGED: Mapping[str, Mapping[str, bytes]] = {
    "moments of NaN": {"moments.npz": moments(ROWS * np.nan)},
    "moments of another width": {"moments.npz": moments(ROWS[:, :9])},
    "moments of other rows": {"moments.npz": moments(ROWS[::-1] ** 1.01)},
    "moments in half precision": {"moments.npz": moments(ROWS, mean=ROWS.mean(0).astype(np.float32))},
    "a mean a little off": {"moments.npz": moments(ROWS, mean=ROWS.mean(0) + 1e-4)},
    "one covariance changed": {"moments.npz": moments(ROWS, covariance=np.cov(ROWS, rowvar=False) + np.eye(16)[3])},
    "inverted features": {"features.npy": saved(np.save, (255 - ROWS).astype(np.float32))},
    "features in another order": {"features.npy": saved(np.save, ROWS[:, ::-1].astype(np.float32))},
    "features of fewer rows": {"features.npy": saved(np.save, ROWS[:-1].astype(np.float32))},
    "features of NaN": {"features.npy": saved(np.save, (ROWS * np.nan).astype(np.float32))},
    "features in double precision": {"features.npy": saved(np.save, ROWS)},
    "logits of fewer rows": {"logits.npy": saved(np.save, ROWS[:-1, :3].astype(np.float32))},
    "a map of a terabyte": {"features.npy": saved(np.save, ROWS[:1]).replace(b"(1, 16)", b"(10**12, 16)")},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_what_fits_its_manifest_but_not_the_rest_is_made_anew(store: FeatureStore, forged: Mapping[str, bytes]) -> None:
    extract = Counting()
    truth = get(store, extract)
    (entry,) = store.folder.iterdir()
    manifest = json.loads((entry / "manifest.json").read_text())
    for name, content in forged.items():
        (entry / name).unlink()  # what is mapped stays as it is
        (entry / name).write_bytes(content)
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (entry / "manifest.json").write_text(json.dumps(manifest))
    assert_alike(get(store, extract), truth)
    assert extract.seen == 1200
    assert_alike(get(store, extract), truth)
    assert extract.seen == 1200


def assert_alike(found: FeatureSet, truth: FeatureSet) -> None:
    """To the last bit."""
    assert found.logits is not None and truth.logits is not None
    for one, other in (
        (found.features, truth.features),
        (found.logits, truth.logits),
        (found.moments.mean, truth.moments.mean),
        (found.moments.covariance, truth.moments.covariance),
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_moments_that_were_kept_are_believed(store: FeatureStore, scale: float, shift: float) -> None:
    """Whatever the features' scale, and though they lie far from zero or hardly move."""

    class Scaled(Counting):
        def __call__(self, x: Tensor) -> Features:
            found = super().__call__(x)
            return Features(scale * (found.features.clone().fill_(3) if shift else found.features) + shift, None)

    extract = Scaled()
    get(store, extract), get(store, extract)
    assert extract.seen == 600


def test_an_entry_answers_to_its_own_name_alone(store: FeatureStore) -> None:
    extract = Counting()
    truth = get(store, extract)
    (entry,) = store.folder.iterdir()
    get(store, extract, 255 - IMAGES)
    (other,) = set(store.folder.iterdir()) - {entry}
    shutil.rmtree(entry)
    shutil.copytree(other, entry)
    assert_alike(get(store, extract), truth)
    assert extract.seen == 1800


@pytest.mark.parametrize("make", [lambda path: path.write_text("in the way"), lambda path: path.symlink_to("nowhere")])
def test_what_has_the_name_of_an_entry_gives_way(store: FeatureStore, make: Callable[[Path], object]) -> None:
    extract = Counting()
    truth = get(store, extract)
    (entry,) = store.folder.iterdir()
    shutil.rmtree(entry)
    make(entry)
    for _ in range(2):
        assert_alike(get(store, extract), truth)
    assert extract.seen == 1200


def test_the_folder_is_private_to_its_user(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    get(FeatureStore(folder), Counting())
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    get(FeatureStore(folder), Counting())
    assert folder.stat().st_mode & 0o777 == 0o700


@contextlib.contextmanager
def file_in_its_place(folder: Path) -> Iterator[None]:
    folder.write_text("in the way")
    yield


@contextlib.contextmanager
def path_too_long(folder: Path) -> Iterator[None]:
    yield


@contextlib.contextmanager
def another_users(folder: Path) -> Iterator[None]:
    """With entries that would be believed, were they ours."""
    get(FeatureStore(folder), Counting())
    me = os.geteuid()
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(os, "geteuid", lambda: me + 1)
        yield


@contextlib.contextmanager
def empty_and_read_only(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700)
    with read_only(folder):
        yield


FAILING = {
    "full": (lambda folder: full_disk(folder, left=8192), "", "No space left|File too large"),
    "read only": (empty_and_read_only, "", "Read-only|Permission denied"),
    "a file in its place": (file_in_its_place, "", "File exists|Not a directory"),
    "no way to it": (file_in_its_place, "below/features", "Not a directory"),
    "too long": (path_too_long, "x" * 300, "File name too long"),
    "another user's": (another_users, "", "belongs to another user"),
}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, in a process that has said nothing yet."""
    _say_unkept.cache_clear()
    return caplog


@pytest.mark.parametrize(("failing", "below", "reason"), FAILING.values(), ids=FAILING.keys())
def test_a_cache_that_fails_costs_time_and_moves_no_number(
    failing: Callable[[Path], contextlib.AbstractContextManager[None]],
    below: str,
    reason: str,
    tmp_path: Path,
    said: pytest.LogCaptureFixture,
) -> None:
    truth = get(FeatureStore(tmp_path / "healthy"), Counting())
    extract = Counting()
    with failing(tmp_path / "failing"):
        for _ in range(2):
            assert_alike(get(FeatureStore(tmp_path / "failing" / below), extract), truth)
    assert 1200 <= extract.seen <= 1700  # a full disk is found out after the first batch
    (line,) = said.messages
    assert str(tmp_path / "failing") in line and "GENBENCH_CACHE" in line and "\n" not in line
    assert re.search(reason, line)


def test_a_cache_at_home_is_said_without_its_user(
    tmp_path: Path, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line stands on pages that people share."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cache").write_text("in the way")
    get(FeatureStore(tmp_path / "cache" / "features"), Counting())
    (line,) = said.messages
    assert "in ~/cache/features (" in line and str(tmp_path) not in line


def test_a_disk_that_fills_half_way_moves_no_number(
    tmp_path: Path, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where room cannot be reserved, as on macOS."""
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    truth = get(FeatureStore(tmp_path / "healthy"), Counting())

    extract = Counting()
    with full_disk(tmp_path / "full", left=35_000):
        assert_alike(get(FeatureStore(tmp_path / "full"), extract), truth)
    assert 1100 <= extract.seen <= 1200 and len(said.messages) == 1


def test_features_that_cannot_get_their_name_are_not_extracted_twice(
    store: FeatureStore, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("bench.measure.feature_store._write_manifest", full)
    extract = Counting()
    torch.testing.assert_close(get(store, extract).features, IMAGES.flatten(1).float(), rtol=0, atol=0)
    assert extract.seen == 600 and len(said.messages) == 1 and not list(store.folder.iterdir())


def test_a_cache_to_read_only_is_read(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    extract, store = Counting(), FeatureStore(private_folder(tmp_path / "cache"))
    truth = get(store, extract)
    with read_only(tmp_path / "cache"):
        assert_alike(get(store, extract), truth)
    assert extract.seen == 600 and not said.messages


def test_the_trouble_of_an_extractor_is_not_the_caches(store: FeatureStore) -> None:
    class Unreadable(Counting):
        def __call__(self, x: Tensor) -> Features:
            raise OSError(errno.ENOENT, "no such picture")

    with pytest.raises(OSError, match="no such picture"):
        get(store, Unreadable())
    assert not list(store.folder.iterdir())


def test_a_trial_without_a_cache_has_the_same_numbers_and_says_so_once(
    small: Path, tmp_path: Path, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = next(p for p in plan(small, device="cpu") if p.generator == "noise")
    truth = run_trial(trial, tmp_path / "out")
    monkeypatch.setenv("GENBENCH_CACHE", os.devnull)
    found = run_trial(trial, tmp_path / "out")
    assert found.status == truth.status == "ok" and found.omitted == truth.omitted
    assert found.measurements == truth.measurements
    assert truth.remarks == () and [os.devnull in remark for remark in found.remarks] == [True]


def test_the_command_line_says_it_in_one_line(
    tmp_path: Path, said: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", RNG.integers(256, size=(40, 1, 28, 28)).astype(np.uint8))
    monkeypatch.setenv("GENBENCH_CACHE", os.devnull)
    words = ["evaluate", f"{tmp_path}/x.npy", f"{tmp_path}/x.npy", "--extractor", "lenet", "--metrics", "fd,kid"]
    assert run_command(words) == 0
    told = capsys.readouterr().err.splitlines()
    assert sum(line.startswith(f"genbench: warning: features cannot be kept in {os.devnull}") for line in told) == 1


def test_doctor_tells_whether_the_cache_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> tuple[bool, str]:
        found = next(finding for finding in examine() if (finding.section, finding.name) == ("cache", "features"))
        return found.here, found.detail

    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("GENBENCH_CACHE_GB", "2.5")
    assert told() == (True, f"{tmp_path}/features, private to its user, at most 2.5 GB")
    with read_only(tmp_path / "features"):
        here, why = told()
    assert not here and "cannot be used" in why and "GENBENCH_CACHE" in why
    monkeypatch.setenv("GENBENCH_CACHE_GB", "lots")
    assert told() == (False, "GENBENCH_CACHE_GB='lots' is no number of gigabytes: set it to 20, say, or to 0")


@pytest.mark.parametrize("told", ["lots", "nan", "inf", "-1", "1e999", "20 GB"])
def test_a_limit_that_is_no_size_is_refused_before_anything_is_measured(
    told: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBENCH_CACHE_GB", told)
    for refuse in (cache_limit, lambda: plan(small), lambda: bench.evaluate(ROWS, ROWS, metrics=["fd"])):
        with pytest.raises(GenbenchError, match=f"GENBENCH_CACHE_GB='{told}' is no number of gigabytes") as caught:
            refuse()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("told", "size"), {"": 20 * 2**30, "0": 0, "0.5": 2**29, "1e300": 10**9 * 2**30}.items())
def test_a_limit_is_in_gigabytes(told: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBENCH_CACHE_GB", told)
    assert cache_limit() == size


def test_an_extractor_that_loses_rows_is_refused(store: FeatureStore) -> None:
    class Losing(Counting):
        def __call__(self, x: Tensor) -> Features:
            return Features(torch.ones(len(x) - 1, 2), None)

    with pytest.raises(GenbenchError, match="returned 249 rows for 250 examples"):
        get(store, Losing())


def test_an_extractor_that_changes_its_mind_is_refused(store: FeatureStore) -> None:
    class Changing(Counting):
        def __call__(self, x: Tensor) -> Features:
            features, logits = super().__call__(x)
            return Features(features, logits if self.seen <= 500 else None)

    with pytest.raises(GenbenchError, match=r"'logits': 3\} numbers a row, and then \{'features': 16\}"):
        get(store, Changing())


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
