"""Sample files that nobody honest wrote: no link is followed, nothing is unpacked that is not shown."""

from __future__ import annotations

import math
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.results.board import leaderboards
from reports._samples import Sample, gallery
from tests.report_records import record, save_images
from tests.results.hostile_stores import header, packed


def shelf(folder: Path, name: str) -> Sample:
    (board,) = leaderboards([record("vae", samples=name, scores={"fd_lenet": 1.0})])
    (sample,) = gallery(board, folder)
    return sample


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    (tmp_path / "samples").mkdir()
    return tmp_path / "samples"


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_no_link_pipe_or_device_is_followed(suffix: str, samples: Path) -> None:
    secret = samples.parent / f"secret{suffix}"
    secret.write_text('["top secret"]')
    path = samples / f"x{suffix}"
    for target, why in (
        (secret, "is a link"),
        ("/dev/zero", "is a link"),
        (path, "is a link"),
        (None, "no plain file"),
    ):
        path.symlink_to(target) if target else os.mkfifo(path)
        found = shelf(samples.parent, path.name)
        assert why in found.problem and not found.texts and not found.png
        path.unlink()


def test_a_folder_of_samples_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.json").write_text('["top secret"]')
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "samples").symlink_to(tmp_path / "elsewhere")
    assert shelf(tmp_path / "run", "x.json").problem == "x.json lies behind a link, samples/, which is not followed"


@pytest.mark.parametrize("name", ["..", ".", "a/b.npz", "a\x00.npz", "a" * 5000 + ".npz", "/etc/passwd"])
def test_odd_names_of_sample_files(name: str, samples: Path) -> None:
    problem = shelf(samples.parent, name).problem
    assert problem and problem.isprintable() and len(problem) < 200


ZEROS = bytes(2**20)
ARCHIVES: dict[str, tuple[bytes, str]] = {
    "a claim of a billion": (packed(("samples.npy", header((10**9, 1, 8, 8)))), "is damaged: shape (1000000000"),
    "more than is claimed": (packed(("samples.npy", header((1, 1, 8, 8)) + ZEROS)), "is damaged"),
    "a picture too large": (packed(("samples.npy", header((1, 1, 2**13, 2**13)) + ZEROS * 64)), "too large to be"),
    "objects": (packed(("samples.npy", header((5, 1, 8, 8), "|O"))), "holds no pictures"),
    "floats": (packed(("samples.npy", header((5, 1, 8, 8), "<f4") + bytes(1280))), "holds no pictures"),
    "no pictures": (packed(("samples.npy", header((0, 1, 8, 8)))), "holds no pictures"),
    "five channels": (packed(("samples.npy", header((1, 5, 8, 8)) + bytes(320))), "holds no pictures"),
    "no array": (packed(("samples.npy", ZEROS)), "cannot be read"),
    "nothing": (packed(("samples.npy", b"")), "cannot be read"),
    "other names": (packed(("images.npy", header((1, 1, 8, 8)) + bytes(64))), "cannot be read"),
    "another packing": (packed(("samples.npy", ZEROS), method=zipfile.ZIP_LZMA), "no run packs"),
    "a header of 4 GB": (packed(("samples.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + ZEROS)), "cannot be read"),
    "no archive": (b"PK\x05\x06" + b"\xff" * 18, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_checked_before_they_are_unpacked(name: str, samples: Path) -> None:
    content, why = ARCHIVES[name]
    (samples / "x.npz").write_bytes(content)
    found = shelf(samples.parent, "x.npz")
    assert found.png is None and why in found.problem


def bomb(path: Path, shape: tuple[int, ...]) -> None:
    """Zeros, a thousandth of their size."""
    packing = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packing as archive, archive.open("samples.npy", "w", force_zip64=True) as file:
        file.write(header(shape))
        for _ in range(math.prod(shape) // len(ZEROS)):
            file.write(ZEROS)


def shelf_within(size: int, folder: Path, name: str) -> Sample:
    """What is shown of a file, if that takes at most so many bytes."""
    tracemalloc.start()
    try:
        found = shelf(folder, name)
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()
    return found


@pytest.mark.parametrize("size", [2**26, pytest.param(2**31, marks=pytest.mark.slow)])
def test_a_zip_bomb_is_not_unpacked(size: int, samples: Path) -> None:
    """Refused by the size of its pictures, or shown by the first of them; never taken into memory."""
    bomb(samples / "large.npz", (1, 1, 2**13, size // 2**13))
    bomb(samples / "many.npz", (size // 2**10, 1, 32, 32))
    assert "too large to be shown" in shelf_within(2**24, samples.parent, "large.npz").problem
    assert shelf_within(2**24, samples.parent, "many.npz").png


@pytest.mark.parametrize("shape", [(1, 1, 1, 100_000), (30, 3, 100_000, 1), (1, 1, 1, 2**24), (30, 1, 3, 5000)])
def test_long_pictures_take_little_memory(shape: tuple[int, ...], tmp_path: Path) -> None:
    save_images(tmp_path, "x.npz", np.zeros(shape, np.uint8))
    assert shelf_within(2**27, tmp_path, "x.npz").png


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ('["a\\nb", "c", "d", "e"]', ("a\nb", "c", "d")),
        (' [ "a" ]', ("a",)),
        ('["\\ud800", "\\u202e"]', ("\\ud800", "\\u202e")),
        ('["é", "' + "x" * 2**23 + '"]', ("é",)),
        ('["' + "é" * 2**23, ()),
        ("[" * 2**20, ()),
        ("[1, 2]", ()),
        ("[]", ()),
        ('["cut', ()),
        ("9" * 2**20, ()),
        ("", ()),
    ],
)
def test_texts_are_read_from_the_beginning(content: str, shown: tuple[str, ...], samples: Path) -> None:
    (samples / "x.json").write_text(content, encoding="utf-8")
    found = shelf(samples.parent, "x.json")
    assert found.texts == shown
    assert bool(found.problem) is not bool(shown)
