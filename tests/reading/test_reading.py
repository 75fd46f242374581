"""What people bring is read whole, or refused in one sentence."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench import DataError, DataWarning, GenbenchError, TooFew
from bench.modalities._examples import content_hash
from bench.modalities._pictures import Pictures
from bench.reading import check, guess_modality, read, read_prompts

RGB = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 6), dtype=np.uint8)


def pictures(folder: Path, images: np.ndarray = RGB) -> Path:
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        pixels = image.transpose(1, 2, 0) if len(image) == 3 else image[0]
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return folder


@pytest.mark.parametrize(
    "form", ["array", "tensor", "npy", "npz", "folder", "last", "zip", "arrays", "tensors", "pictures", "batches"]
)
def test_images_are_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    np.save(tmp_path / "x.npy", RGB)
    np.savez_compressed(tmp_path / "x.npz", samples=RGB)
    np.savez(tmp_path / "last.npz", RGB.transpose(0, 2, 3, 1))
    source: Any = {
        "array": RGB,
        "tensor": torch.from_numpy(RGB.copy()),
        "npy": str(tmp_path / "x.npy"),
        "npz": tmp_path / "x.npz",
        "folder": pictures(tmp_path / "pictures"),
        "last": tmp_path / "last.npz",
        "zip": archive(pictures(tmp_path / "zipped")),
        "arrays": list(RGB.transpose(0, 2, 3, 1)),
        "tensors": list(torch.from_numpy(RGB)),
        "pictures": [Image.fromarray(image.transpose(1, 2, 0)) for image in RGB],
        "batches": [RGB[:3], RGB[3:]],
    }[form]
    examples = read(source)
    assert isinstance(examples, torch.Tensor | Pictures)
    found = check(examples, "image", "samples")
    assert content_hash(found) == content_hash(torch.from_numpy(RGB))
    pixels = found.load() if isinstance(found, Pictures) else found
    assert isinstance(pixels, torch.Tensor) and pixels.dtype == torch.uint8
    np.testing.assert_array_equal(pixels, RGB)


def test_of_several_arrays_those_not_used_are_named(tmp_path: Path) -> None:
    """Others keep labels beside their samples."""
    np.savez(tmp_path / "x.npz", RGB, np.arange(5))
    with pytest.warns(DataWarning, match=r"x.npz: arr_0 is read; not used: arr_1$"):
        found = read(tmp_path / "x.npz")
    assert isinstance(found, torch.Tensor) and found.shape == RGB.shape


def archive(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for picture in folder.iterdir():
            file.write(picture, f"inner/{picture.name}")
    return path


HARD = ["", "one", "", "  ", "two\tthree", ""]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.txt", "\none\n\n  \ntwo\tthree\n\n"),
        ("x.TXT", "\r\none\r\n\r\n  \r\ntwo\tthree\r\n\r\n"),
        ("x.json", json.dumps(HARD)),
        ("x.json", json.dumps([{"text": text, "label": 1} for text in HARD])),
        ("x.jsonl", "".join(f"{json.dumps(text)}\n" for text in HARD)),
        ("x.jsonl", "\r\n".join(json.dumps({"id": 7, "text": text}) for text in HARD)),
    ],
)
def test_texts_are_the_same_in_every_form_and_blank_ones_are_kept(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(content.encode())
    told: list[str] = []
    assert read(tmp_path / name, told.append) == read_prompts(tmp_path / name, told.append) == HARD
    assert all("4 of 6 lines are blank: each is kept as a text" in remark for remark in told)
    assert len(told) == (2 if name.lower().endswith(".txt") else 0)
    assert read(HARD) == read(np.array(HARD)) == read(np.array(HARD, dtype=object)) == HARD


@pytest.mark.parametrize(("content", "texts"), [("a", ["a"]), ("a\n", ["a"]), ("a\n\n", ["a", ""]), ("\n", [""])])
def test_only_one_end_of_line_ends_the_last_line(tmp_path: Path, content: str, texts: list[str]) -> None:
    (tmp_path / "x.txt").write_text(content)
    assert read(tmp_path / "x.txt", lambda remark: None) == texts


@pytest.mark.parametrize(("source", "modality"), [(np.zeros((4, 2)), "vector"), (RGB, "image"), (["a", "b"], "text")])
def test_what_it_is_can_be_seen(source: Any, modality: str) -> None:
    assert guess_modality(read(source), "samples") == modality


def test_what_cannot_be_seen_is_asked_for() -> None:
    with pytest.raises(DataError, match=r"samples: .*say it with modality.*of grey pictures .* give x\[:, None\]"):
        guess_modality(torch.zeros(2, 3, 4), "samples")


NAN = np.array([[1.0, np.nan], [0.0, 1.0], [np.inf, 2.0]])


@pytest.mark.parametrize(
    ("source", "modality", "message"),
    [
        (NAN, "vector", "2 of 3 rows hold NaN or infinity"),
        (np.zeros((3, 2, 2)), "vector", r"vectors must be \(n, D\), got \(3, 2, 2\)"),
        (np.zeros((3, 2), bool), "vector", "must be real numbers"),
        (np.zeros((3, 2), complex), "vector", "must be real numbers"),
        (["a"], "vector", "must be an array of numbers"),
        (RGB / 255, "image", r"must be uint8 0..255, got float64 in \[0, 1\]; where 1 is white, multiply by 255"),
        (RGB.astype(np.int64), "image", r"got int64 in \[0, 255\]; .*only a cast is needed: x.astype\('uint8'\)"),
        (RGB.astype(np.float16), "image", r"got float16 in \[0, 255\]; .*x.round\(\).astype\('uint8'\)"),
        (RGB / 127.5 - 1, "image", r"in \[-1, 1\]; where -1 is black and 1 white: \(\(x \+ 1\) \* 127.5\)"),
        (RGB / 64 - 2, "image", r"in \[-2, 1.98\]; scale so that 0 is black and 255 white"),
        (RGB > 9, "image", r"got bool in \[0, 1\]; where 1 is white"),
        (np.where(RGB > 250, np.nan, 0), "image", "got float64: . of 5 images hold NaN or infinity"),
        (RGB // 128, "image", "no pixel is brighter than 1 of 255.*multiply by 255 before the cast"),
        (RGB[:, [0, 1, 2, 2]], "image", "got .*: lay what is transparent on a background"),
        (RGB[:, :, :0], "image", r"examples of shape \(3, 0, 6\) hold no numbers"),
        (
            RGB[0].transpose(1, 2, 0),
            "image",
            r"got \(8, 6, 3\): of grey pictures .*give x\[:, None\]; a single picture",
        ),
        (np.zeros((3, 0)), "vector", r"examples of shape \(0,\) hold no numbers"),
        (np.zeros(3), "vector", r"got \(3,\): of a single number each give x\[:, None\]"),
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


def test_pictures_of_zeros_and_ones_are_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="samples: no pixel is brighter than 1 of 255"):
        check(read(pictures(tmp_path / "p", RGB // 128)), "image", "samples")


def test_grey_pictures_keep_one_channel(tmp_path: Path) -> None:
    grey = RGB[:, :1]
    for source in (pictures(tmp_path / "grey", grey), list(grey[:, 0]), grey[:, 0]):  # the last where it is said
        assert content_hash(check(read(source), "image", "samples")) == content_hash(torch.from_numpy(grey))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ([[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4], [5, 6]]),
        ([np.array([1.0, 2.0]), torch.tensor([3.0, 4.0])], [[1, 2], [3, 4]]),
        ([np.eye(2), np.zeros((1, 2))], [[1, 0], [0, 1], [0, 0]]),
    ],
)
def test_lists_of_vectors_and_of_batches_are_joined(source: Any, expected: list[list[float]]) -> None:
    found = check(read(source), "vector", "samples")
    assert isinstance(found, torch.Tensor) and found.tolist() == expected


@pytest.mark.parametrize(
    ("given", "modality", "words"),
    [
        (np.array(5.0), "vector", "a single number is no set"),
        (np.zeros((4, 1, 2, 2), np.uint16), "image", r"must be uint8 0..255, got uint16 in \[0, 0\]"),
        (np.zeros((4, 1, 2, 2), complex), "image", "must be uint8 0..255, got complex128: give real"),
        (["a", "\ud800"], "text", "text 1 holds half a character"),
    ],
)
def test_odd_input_is_answered_in_a_sentence(given: Any, modality: Any, words: str) -> None:
    with pytest.raises(GenbenchError, match=words):
        check(read(given), modality, "samples")


def test_what_can_be_an_array_is_taken_as_one() -> None:
    found = read(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}))  # type: ignore[arg-type]
    assert isinstance(found, torch.Tensor) and found.tolist() == [[1, 3], [2, 4]]
    assert read(pd.Series(["one", ""])) == ["one", ""]  # type: ignore[arg-type]


def nested(layout: torch.layout) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its nested tensors a prototype
        return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=layout)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.eye(3).to_sparse(), "must be dense"),
        (lambda: nested(torch.strided), "must not be nested"),
        (lambda: nested(torch.jagged), "must not be nested"),
        (lambda: torch.zeros(3, 2, device="meta"), "'meta' holds no numbers"),
        (lambda: torch.zeros(2, 2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), "cannot read a tensor of"),
        (lambda: np.ma.masked_array(np.eye(3), np.eye(3) > 0), "is masked"),
        (lambda: np.array([{}, 1]), "the array holds dict, int: it must hold numbers alone"),
        (lambda: pd.Series(["a", None, "b"]), "Series holds .*str: .*or strings alone"),
        (lambda: np.array(["1", "2"])[:, None], "not numbers"),
        (lambda: [Path("a/0.png")], "entry 0 is PosixPath: open it with Image.open, or give the folder"),
        (
            lambda: ["a/0.png", "a/1.JPG"],
            r"a list of texts, and these name pictures \(a/0.png, ...\): give their folder",
        ),
        (lambda: (x for x in "ab"), "must be an array, .* or a path, got generator"),
        (lambda: b"text", "got bytes"),
        (lambda: [b"text"], "entry 0 is bytes"),
        (lambda: ["text", 1], "a list that holds strings must hold nothing else; entry 1 is int"),
        (lambda: [1, "text"], "a list that holds strings must hold nothing else; entry 0 is int"),
        (lambda: [[1, 2], [3]], r"vectors of one length.*got \(1,\), \(2,\)"),
        (lambda: [[1, [2]]], "cannot read entry 0 of the list"),
        (lambda: [np.zeros((4, 4, 3)), np.zeros((5, 4, 3))], "uint8 pictures"),
        (
            lambda: np.broadcast_to(np.zeros((1, 4)), (10**12, 4)),
            "the array needs 32,000.0 GB, more than this machine's",
        ),
        (lambda: torch.zeros(1, 4).expand(10**12, 4), "the tensor needs 16,000.0 GB"),
        (lambda: torch.zeros(1, 4, dtype=torch.bfloat16).expand(10**12, 4), "the tensor needs 16,000.0 GB"),
        (lambda: [np.broadcast_to(np.zeros((1, 4)), (10**12, 4))] * 2, "the list needs 64,000.0 GB"),
        (
            lambda: np.frombuffer(b"\xff\xff\xff\x7f", "<U1"),
            "cannot read the array: it holds code points beyond Unicode's",
        ),
    ],
)
def test_what_holds_no_plain_numbers_is_refused(make: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(make())


def opened(content: bytes) -> Image.Image:
    """Not yet decoded."""
    return Image.open(io.BytesIO(content))


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB[0].transpose(1, 2, 0)).save(buffer, kind)
    return buffer.getvalue()


def test_opened_pictures_stand_as_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown, turn by a quarter clockwise
    upright, turned = RGB[0].transpose(1, 2, 0), np.rot90(RGB[1].transpose(1, 2, 0))
    Image.fromarray(upright).save(tmp_path / "0.png")
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "1.png", exif=exif)
    with pytest.warns(DataWarning, match="a list: 1 of 2 pictures are turned as their EXIF orientation says"):
        found = read([Image.open(tmp_path / name) for name in ("0.png", "1.png")])
    assert isinstance(found, Tensor) and torch.equal(found, torch.from_numpy(RGB[:2]))


def closed() -> Image.Image:
    picture = Image.new("L", (4, 4))
    picture.close()
    return picture


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: opened(encoded("png")[:100]), "cannot read picture 1: it is truncated"),
        (closed, "cannot read picture 1: Operation on closed image"),
        (lambda: Image.new("La", (4, 4)), "picture 1 has mode La"),
        (lambda: Image.new("1", (12_000, 12_000)), "picture 1 claims 12000x12000, more than 89,478,485 pixels"),
        (lambda: opened(encoded("eps")), r"picture 1 is EPS; decoded are PNG, .*: give image.convert\('RGB'\)"),
    ],
)
def test_a_picture_that_cannot_be_decoded_is_named(make: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read([Image.new("L", (4, 4)), make()])


def test_a_picture_is_taken_whether_it_is_decoded_yet_or_not() -> None:
    decoded = opened(encoded("png"))
    decoded.load()
    found = read([opened(encoded("png")), decoded, decoded.convert("RGB")])
    assert isinstance(found, torch.Tensor) and torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_numbers_of_eight_bits_are_taken_exactly() -> None:
    x = torch.tensor([[0.5, -1.0], [448.0, 0.0]])
    found = read(x.to(torch.float8_e4m3fn))
    assert isinstance(found, torch.Tensor) and torch.equal(found, x)


def test_numbers_of_other_types_and_byte_orders_are_taken() -> None:
    x = np.arange(6.0).reshape(3, 2)
    for form in (x.astype(">f8"), torch.from_numpy(x).bfloat16()):
        found = read(form)
        assert isinstance(found, torch.Tensor) and found.double().tolist() == x.tolist()


def test_only_the_end_of_a_line_ends_a_text(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffone\x0cpage\u2028more\r\nsec\rond\n".encode())
    assert read(path) == ["one\x0cpage\u2028more", "sec\rond"]
