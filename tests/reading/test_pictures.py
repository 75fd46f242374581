"""Folders and archives of pictures: everything that is there is read or named, and memory does not grow with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image
from torch import Tensor

from bench import DataError, DataWarning, Features
from bench.datasets.cifar10 import _decode
from bench.measure.feature_store import BATCH, batches
from bench.modalities._examples import content_hash
from bench.modalities._pictures import Pictures
from bench.reading import read

RNG = np.random.default_rng(0)
CPU = torch.device("cpu")


def paint(path: Path, height: int = 4, width: int = 4, level: int | None = None, grey: bool = False) -> np.ndarray:
    """Write a picture of noise, or of one level, and return its pixels ``(C, H, W)``."""
    path.parent.mkdir(exist_ok=True, parents=True)
    shape = (height, width) if grey else (height, width, 3)
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8) if level is None else np.full(shape, level, np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def found(source: Path) -> Pictures:
    pictures = read(source)
    assert isinstance(pictures, Pictures)
    return pictures


def levels(source: Path) -> list[int]:
    """The level of each picture, in the order they are read."""
    return [int(x.flatten()[0]) for x in found(source).load()]


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for inner in sorted(folder.rglob("*")):
            file.write(inner, inner.relative_to(folder))
    return path


def test_a_name_that_stands_twice_in_an_archive_is_one_picture_and_said(tmp_path: Path) -> None:
    paint(tmp_path / "p" / "0.png", level=1)
    path = zipped(tmp_path / "p")
    paint(tmp_path / "p" / "0.png", level=2)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.write(tmp_path / "p" / "0.png", "0.png")
    with pytest.warns(DataWarning, match=r"skipped: 1 names that stand twice \(0.png\)"):
        assert levels(path) == [2]


@pytest.mark.parametrize("form", [lambda folder: folder, zipped])
class TestWhatIsRead:
    def test_numbers_in_names_count_as_numbers(self, tmp_path: Path, form: Callable[[Path], Path]) -> None:
        names = [
            "0",
            "1",
            "2",
            "10",
            "11",
            "100",
            "a2",
            "a10",
            "b/1/9",
            "b/1/10",
            "b/2/1",
            "b/10/1",
            "c",
            "c1",
            "v1.2/0",
            "v1.10/0",
        ]
        for level in RNG.permutation(len(names)):
            paint(tmp_path / "p" / f"{names[level]}.png", level=int(level))
        assert levels(form(tmp_path / "p")) == list(range(len(names)))

    def test_numbers_too_long_for_an_int_have_their_place(self, tmp_path: Path, form: Callable[[Path], Path]) -> None:
        for level, name in enumerate(("9" * 200, "1" + "0" * 200)):
            paint(tmp_path / "p" / f"{name}.png", level=level)
        assert levels(form(tmp_path / "p")) == [0, 1]

    def test_what_is_skipped_is_named_with_its_count(self, tmp_path: Path, form: Callable[[Path], Path]) -> None:
        paint(tmp_path / "p" / "0.png", level=7)
        for name in ("._0.png", ".DS_Store", "__MACOSX/._1.png", ".git/2.png", "labels.csv", "a/b.txt"):
            (tmp_path / "p" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "p" / name).write_bytes(b"no picture")
        with pytest.warns(DataWarning, match=r"skipped: .*\d hidden \(.*; 2 not named as pictures \(.*\.(csv|txt)"):
            assert levels(form(tmp_path / "p")) == [7]

    def test_one_that_is_not_like_the_rest_is_brought_to_it(self, tmp_path: Path, form: Callable[[Path], Path]) -> None:
        colour = [paint(tmp_path / "p" / f"{i}.png") for i in range(3)]
        grey = paint(tmp_path / "p" / "3.png", grey=True)
        with pytest.warns(DataWarning, match="1 of 4 pictures are grey, the others RGB: grey is repeated to RGB"):
            pictures = found(form(tmp_path / "p"))
        expected = torch.from_numpy(np.stack([*colour, grey.repeat(3, 0)]))
        assert torch.equal(pictures.load(), expected) and content_hash(pictures) == content_hash(expected)
        wide = paint(tmp_path / "p" / "4.png", 4, 5)
        with pytest.warns(DataWarning) as caught:
            pictures = found(form(tmp_path / "p"))
        assert any("1 of 5 pictures are not 4x4 like the other 4" in str(warning.message) for warning in caught)
        assert [tuple(x.shape) for x in pictures[:]] == [(3, 4, 4)] * 4 + [(3, 4, 5)]
        assert np.array_equal(pictures[4:][0], wide)
        with pytest.raises(DataError, match="needs pictures of one size, and these have 2"):
            pictures.load()

    def test_pictures_stand_as_exif_says(self, tmp_path: Path, form: Callable[[Path], Path]) -> None:
        """A camera that is held upright stores the picture on its side, and says so."""
        upright = paint(tmp_path / "p" / "0.png", 6, 4)
        exif = Image.Exif()
        exif[0x0112] = 6  # to be shown, turn by a quarter clockwise
        stored = Image.fromarray(np.rot90(upright.transpose(1, 2, 0)))  # a quarter back
        stored.save(tmp_path / "p" / "1.png", exif=exif)
        with pytest.warns(DataWarning, match="1 of 2 pictures are turned as their EXIF orientation says"):
            pictures = found(form(tmp_path / "p"))
        assert pictures.shape == (2, 3, 6, 4) and pictures.same

    def test_of_a_film_the_first_picture_is_read(self, tmp_path: Path, form: Callable[[Path], Path]) -> None:
        (tmp_path / "p").mkdir()
        frames = [Image.new("RGB", (4, 4), (level, 0, 0)) for level in (5, 200)]
        frames[0].save(tmp_path / "p" / "0.png", save_all=True, append_images=frames[1:])
        with pytest.warns(DataWarning, match="1 files hold more than one picture: the first is read"):
            assert levels(form(tmp_path / "p")) == [5]

    def test_a_picture_that_cannot_be_read_is_named(self, tmp_path: Path, form: Callable[[Path], Path]) -> None:
        for i in range(3):
            paint(tmp_path / "p" / f"{i}.png", 32, 32)
        broken = tmp_path / "p" / "1.png"
        broken.write_bytes(broken.read_bytes()[:1000])
        with pytest.raises(DataError, match=r"cannot read .*1\.png: .*truncated"):
            read(form(tmp_path / "p"))


class TestFolders:
    def test_links_are_followed_and_each_folder_is_read_once(self, tmp_path: Path) -> None:
        paint(tmp_path / "elsewhere" / "0.png", level=3)
        paint(tmp_path / "p" / "b" / "0.png", level=5)
        (tmp_path / "p" / "a").symlink_to(tmp_path / "elsewhere")
        assert levels(tmp_path / "p") == [3, 5]
        (tmp_path / "p" / "0").symlink_to(tmp_path / "p" / "b")
        (tmp_path / "p" / "b" / "loop").symlink_to(tmp_path / "p")
        with pytest.warns(DataWarning, match=r"2 folders reached before \((0, b/loop|b/loop, 0)\)"):
            assert levels(tmp_path / "p") == [3, 5]

    def test_a_folder_that_cannot_be_read_is_no_folder_without_pictures(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paint(tmp_path / "p" / "0.png")
        paint(tmp_path / "p" / "locked" / "1.png")
        scan = os.scandir

        def refuse(path: Path) -> object:  # root may read everything, so the system's answer is played
            if Path(path).name == "locked":
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(DataError, match=r"cannot read .*p/locked: Permission denied"):
            read(tmp_path / "p")

    def test_a_link_to_nothing_is_an_error(self, tmp_path: Path) -> None:
        paint(tmp_path / "p" / "0.png")
        (tmp_path / "p" / "1.png").symlink_to(tmp_path / "gone.png")
        with pytest.raises(DataError, match=r"1\.png is no file: a link to nothing"):
            read(tmp_path / "p")

    def test_none_names_what_there_is(self, tmp_path: Path) -> None:
        (tmp_path / "notes.md").write_text("")
        with pytest.raises(DataError, match=r"holds no pictures \(\.bmp, .*\); skipped: 1 not named as pictures"):
            read(tmp_path)

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
    def test_no_file_is_handed_to_another_program(
        self, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pillow goes by the content, and has Ghostscript decode PostScript."""

        def start(*_: object, **__: object) -> None:
            pytest.fail("a program was started")

        monkeypatch.setattr(EpsImagePlugin, "Ghostscript", start)
        Image.new("RGB", (4, 4)).save(tmp_path / f"x{suffix}", "EPS")
        assert (tmp_path / f"x{suffix}").read_bytes().startswith(b"%!PS-Adobe-3.0 EPSF-3.0")
        with pytest.raises(DataError, match=rf"x{suffix}: it is empty, damaged, or no picture \(PNG, JPEG"):
            read(tmp_path)
        with pytest.raises(OSError, match="cannot identify"):
            _decode((tmp_path / f"x{suffix}").read_bytes())

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
    def test_the_formats_of_data_sets_are_decoded_whatever_their_names(self, tmp_path: Path, kind: str) -> None:
        Image.new("L", (4, 4), 7).save(tmp_path / "x.png", kind)
        assert int(found(tmp_path).load().max()) == pytest.approx(7, abs=2)

    @pytest.mark.parametrize(("mode", "words"), [("I;16", "has mode I;16"), ("RGBA", "transparent in places")])
    def test_pictures_that_eight_bits_cannot_hold_are_refused(self, tmp_path: Path, mode: str, words: str) -> None:
        Image.new(mode, (4, 4)).save(tmp_path / "a.png")
        with pytest.raises(DataError, match=words):
            read(tmp_path)

    def test_a_picture_that_changes_under_the_reader_is_noticed(self, tmp_path: Path) -> None:
        paint(tmp_path / "0.png")
        paint(tmp_path / "1.png")
        pictures = found(tmp_path)
        paint(tmp_path / "1.png", 5, 5)
        with pytest.raises(DataError, match=r"1\.png changed while it was being read"):
            pictures.load()


class Means:
    """Sees the mean of each channel, of pictures of any size."""

    protocol: Mapping[str, str] = {"resize": "none is needed"}

    def __call__(self, x: Tensor) -> Features:
        means = x.flatten(2).double().mean(2)
        return Features(means, -means)


def test_an_extractor_sees_each_picture_in_its_own_size_and_place() -> None:
    items = [RNG.integers(0, 256, (3, *size), dtype=np.uint8) for size in ((4, 4), (5, 4), (4, 4), (2, 7), (5, 4))]
    with pytest.warns(DataWarning, match="a list: 3 of 5 pictures are not 4x4 like the other 2"):
        pictures = read(items)
    assert isinstance(pictures, Pictures)
    (seen,) = batches(Means(), pictures, CPU)
    expected = np.stack([item.mean((1, 2)) for item in items])
    np.testing.assert_allclose(seen.features, expected, rtol=1e-6)
    assert seen.logits is not None
    np.testing.assert_allclose(seen.logits, -expected, rtol=1e-6)


def test_a_chunk_is_bounded_in_number_and_in_bytes() -> None:
    small = Pictures(["x"] * 600, lambda i: np.full((1, 2, 2), i % 7, np.uint8))
    assert [len(chunk) for chunk in small.chunks(BATCH)] == [250, 250, 100]
    large = np.zeros((3, 4000, 4000), np.uint8)  # 48 million bytes
    assert [len(chunk) for chunk in Pictures(["x"] * 3, lambda i: large).chunks(BATCH)] == [1, 1, 1]


PEAK = """
import sys
import torch
from bench import Features
from bench.measure.feature_store import batches
from bench.modalities._examples import content_hash
from bench.probes.memory import peak_rss_bytes
from bench.reading import read

class Means:
    protocol = {}
    def __call__(self, x):
        return Features(x.flatten(1).float().mean(1, keepdim=True), None)

for folder in sys.argv[1:]:
    pictures = read(folder)
    content_hash(pictures)
    assert sum(len(part.features) for part in batches(Means(), pictures, torch.device("cpu"))) == len(pictures)
    print(peak_rss_bytes())
"""


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    """Links stand for pictures: 2,000 of 128x128 more are 98 MB more, of which a batch may be there at once."""
    paint(tmp_path / "0.bmp", 128, 128)
    for n in (500, 2500):
        (tmp_path / str(n)).mkdir()
        for i in range(n):
            (tmp_path / str(n) / f"{i}.bmp").symlink_to(tmp_path / "0.bmp")
    command = [sys.executable, "-c", PEAK, str(tmp_path / "500"), str(tmp_path / "2500")]
    few, many = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert many - few < 70e6


def test_remarks_are_made_once(tmp_path: Path) -> None:
    paint(tmp_path / "0.png")
    (tmp_path / "x.txt").write_text("")
    told: list[str] = []
    pictures = read(tmp_path, told.append)
    content_hash(pictures)
    assert len(told) == 1 and re.fullmatch(r".*: skipped: 1 not named as pictures \(x\.txt\)", told[0])
