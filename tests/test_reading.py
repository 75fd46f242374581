"""What people bring is read whole, or refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench import DataError, GenbenchError, TooFew
from bench.reading import check, guess_modality, read

RGB = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 6), dtype=np.uint8)


def pictures(folder: Path, images: np.ndarray = RGB) -> Path:
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        pixels = image.transpose(1, 2, 0) if len(image) == 3 else image[0]
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return folder


@pytest.mark.parametrize("form", ["array", "tensor", "npy", "npz", "folder", "last"])
def test_images_are_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    np.save(tmp_path / "x.npy", RGB)
    np.savez_compressed(tmp_path / "x.npz", samples=RGB)
    np.savez(tmp_path / "last.npz", RGB.transpose(0, 2, 3, 1), np.arange(5))
    source: Any = {
        "array": RGB,
        "tensor": torch.from_numpy(RGB.copy()),
        "npy": str(tmp_path / "x.npy"),
        "npz": tmp_path / "x.npz",
        "folder": pictures(tmp_path / "pictures"),
        "last": tmp_path / "last.npz",
    }[form]
    found = check(read(source), "image", "samples")
    assert isinstance(found, torch.Tensor) and found.dtype == torch.uint8
    np.testing.assert_array_equal(found, RGB)


def test_grey_pictures_keep_one_channel(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(pictures(tmp_path / "grey", RGB[:, :1])), RGB[:, :1])


def test_texts_are_lines_or_a_json_list(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("one\n\ntwo three\n")
    (tmp_path / "x.json").write_text(json.dumps(["one", "two\nthree"]))
    assert read(tmp_path / "x.txt") == ["one", "two three"]
    assert read(tmp_path / "x.json") == ["one", "two\nthree"]


@pytest.mark.parametrize(("source", "modality"), [(np.zeros((4, 2)), "vector"), (RGB, "image"), (["a", "b"], "text")])
def test_what_it_is_can_be_seen(source: Any, modality: str) -> None:
    assert guess_modality(read(source)) == modality


def test_what_cannot_be_seen_is_asked_for() -> None:
    with pytest.raises(DataError, match="say it with modality"):
        guess_modality(torch.zeros(2, 3, 4))


NAN = np.array([[1.0, np.nan], [0.0, 1.0], [np.inf, 2.0]])


@pytest.mark.parametrize(
    ("source", "modality", "message"),
    [
        (NAN, "vector", "2 of 3 rows hold NaN or infinity"),
        (np.zeros((3, 2, 2)), "vector", r"vectors must be \(n, D\), got \(3, 2, 2\)"),
        (np.zeros((3, 2), bool), "vector", "must be real numbers"),
        (np.zeros((3, 2), complex), "vector", "must be real numbers"),
        (["a"], "vector", "must be an array of numbers"),
        (RGB / 255, "image", r"must be uint8 0..255, got torch.float64 in \[0, 1\]; scale to 0..255"),
        (RGB.astype(np.int64), "image", "must be uint8"),
        (RGB[:, :2], "image", "1 or 3 channels"),
        (RGB[0], "image", r"must be \(n, C, H, W\)"),
        (["a"], "image", "got text"),
        (RGB, "text", "must be strings"),
        (["", "  "], "text", "every one of the 2 texts is empty"),
    ],
)
def test_what_does_not_fit_is_named(source: Any, modality: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"samples: .*{message}"):
        check(read(source), modality, "samples")


@pytest.mark.parametrize(("empty", "modality"), [(np.zeros((0, 3)), "vector"), ([], "text")])
def test_nothing_is_too_few(empty: Any, modality: Any) -> None:
    with pytest.raises(TooFew, match="reference: empty; at least 2"):
        check(read(empty), modality, "reference")


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK no")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "x.json").write_text('{"a": 1}')
    (tmp_path / "x.doc").write_text("")
    np.savez(tmp_path / "two.npz", a=RGB, b=RGB)
    np.save(tmp_path / "strings.npy", np.array(["a", "b"]))
    expected = {
        "absent.npz": "there is no",
        "broken.npz": "is no array that numpy saved",
        "x.json": "JSON list of strings",
        "x.doc": "give a folder of pictures",
        "two.npz": "holds a, b; expected an array named 'samples'",
        "strings.npy": "not numbers",
        "": "cannot read .*broken.png",
    }
    for name, message in expected.items():
        with pytest.raises(DataError, match=message):
            read(tmp_path / name)


def test_pictures_of_two_sizes_are_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mixed")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "999.png")
    with pytest.raises(DataError, match=r"999.png is 4x4 RGB, 000.png is 6x8 RGB: all must be of one size"):
        read(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        read(tmp_path / "none")


@pytest.mark.parametrize(
    ("given", "modality", "words"),
    [
        (np.array(5.0), "vector", "a single number is no set"),
        (np.zeros((4, 1, 2, 2), np.uint16), "image", r"must be uint8 0..255, got torch.uint16 in \[0, 0\]"),
        (np.zeros((4, 1, 2, 2), complex), "image", "must be uint8 0..255, got torch.complex128;"),
        (["a", "\ud800"], "text", "text 1 holds half a character"),
    ],
)
def test_odd_input_is_answered_in_a_sentence(given: Any, modality: Any, words: str) -> None:
    with pytest.raises(GenbenchError, match=words):
        check(read(given), modality, "samples")


def test_a_sparse_tensor_is_refused() -> None:
    with pytest.raises(DataError, match="must be dense"):
        read(torch.eye(3).to_sparse())


def test_numbers_of_other_types_and_byte_orders_are_taken() -> None:
    x = np.arange(6.0).reshape(3, 2)
    for form in (x.astype(">f8"), torch.from_numpy(x).bfloat16()):
        found = read(form)
        assert isinstance(found, torch.Tensor) and found.double().tolist() == x.tolist()


def test_only_the_end_of_a_line_ends_a_text(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffone\x0cpage\u2028more\r\nsecond\n".encode())
    assert read(path) == ["one\x0cpage\u2028more", "second"]


@pytest.mark.parametrize(("mode", "words"), [("I;16", "has mode I;16"), ("RGBA", "transparent in places")])
def test_pictures_that_eight_bits_cannot_hold_are_refused(tmp_path: Path, mode: str, words: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=words):
        read(tmp_path)
