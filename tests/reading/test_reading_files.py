"""Files that are damaged, hostile or none at all: one line that names the file and the fault."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bench import DataError, DataWarning, evaluate
from bench.reading import check, read, read_prompts, read_reference
from bench.reading.arrays import Statistics

X = np.arange(12.0).reshape(4, 3)


def npy(x: np.ndarray = X, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, x, allow_pickle=pickled)
    return buffer.getvalue()


def claiming(shape: str, descr: str = "<f8", held: bytes = X.tobytes()) -> bytes:
    """A .npy whose header promises another shape than it holds."""
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + held


def packed(content: bytes, how: int = zipfile.ZIP_DEFLATED, name: str = "samples.npy") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as file:
        file.writestr(name, content)
    return buffer.getvalue()


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


def marked(content: bytes, offset: int, value: int) -> bytes:
    """A zip file with two bytes of its only part's heads changed, at this offset of the local one."""
    data, central = bytearray(content), content.index(b"PK\x01\x02")
    for start in (offset, central + offset + 2):
        data[start : start + 2] = struct.pack("<H", value)
    return bytes(data)


def damaged(content: bytes) -> bytes:
    """One byte in the middle of the packed data is another."""
    data = bytearray(content)
    middle = 30 + (content.index(b"PK\x01\x02") - 30) * 2 // 3
    data[middle] ^= 0xFF
    return bytes(data)


def png(side: int = 4, **save: object) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "png", **save)
    return buffer.getvalue()


def wordy() -> bytes:
    text = PngInfo()
    text.add_text("prompt", "a" * 2_000_000, zip=True)
    return png(pnginfo=text)


def huge(side: int) -> bytes:
    """A PNG that claims to be that large."""
    content = bytearray(png())
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


BAD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "no array": ("x.npy", lambda: b"hello", "neither .npy nor .npz"),
    "page": ("x.npy", lambda: b"<html>404</html>", "neither .npy nor .npz"),
    "empty": ("x.npy", lambda: b"", "x.npy is empty: it holds 0 bytes"),
    "empty text": ("x.txt", lambda: b"", "x.txt is empty"),
    "empty json": ("x.json", lambda: b"", "x.json is empty"),
    "empty zip": ("x.zip", lambda: b"", "x.zip is empty"),
    "empty picture": ("a/x.png", lambda: b"", r"x.png: it is empty, damaged, or no picture \(PNG, .*\)$"),
    "no zip": ("x.npz", lambda: b"PK no", "it is no archive, or it is truncated: copy it again"),
    "cut npz": ("x.npz", lambda: packed(npy())[:-40], "it is no archive, or it is truncated: copy it again"),
    "objects": ("x.npy", lambda: npy(np.array([{}, {}]), True), "pickled objects, which could run code"),
    "objects packed": ("x.npz", lambda: packed(npy(np.array([{}, {}]), True)), "pickled objects, which could run code"),
    "fields": ("x.npy", lambda: npy(np.zeros(3, [("a", "f8")])), "not numbers"),
    "too many rows": ("x.npy", lambda: claiming("(1000000000000, 3)"), "claims 24,000,000,000,000 bytes.*holds 96"),
    "too many rows packed": ("x.npz", lambda: packed(claiming("(10**12, 3)".replace("10**12", "9" * 12))), "holds 96"),
    "more than it claims": ("x.npy", lambda: claiming("(2, 3)"), "claims 48 bytes of float64 and holds 96"),
    "negative": ("x.npy", lambda: claiming("(-1, 3)"), r"claims the shape \(-1, 3\)"),
    "rows of nothing": ("x.npy", lambda: claiming("(1000000000000, 0)", held=b""), r"\(1000000000000, 0\) of float64"),
    "rows of nothing packed": ("x.npz", lambda: packed(claiming("(9, 0)", held=b"")), r"samples.npy claims .*\(9, 0\)"),
    "texts of nothing": ("x.npy", lambda: claiming("(1000000000,)", "<U0", b""), "claims the shape .* of <U0"),
    "no characters": ("x.npy", lambda: claiming("(1,)", "<U1", b"\xff\xff\xff\x7f"), "code points beyond Unicode's"),
    "header": ("x.npy", lambda: changed(npy(), b"'descr'", b"'desk\x00'"), "cannot read"),
    "header of parentheses": ("x.npy", lambda: claiming("(" * 5000), "cannot read"),
    "noise": ("x.npy", lambda: bytes(range(64)), r"does not begin as numpy.save writes it \(neither .npy nor .npz\)"),
    "version": ("x.npy", lambda: changed(npy(), b"NUMPY\x01", b"NUMPY\x09"), r"is of \.npy version \(9, 0\)"),
    "cut off": ("x.npy", lambda: npy()[:-8], "cut off"),
    "encrypted": ("x.npz", lambda: marked(packed(npy()), 6, 1), "is encrypted"),
    "compression": ("x.npz", lambda: marked(packed(npy()), 8, 77), "compression method"),
    "crc": ("x.npz", lambda: damaged(packed(npy(), zipfile.ZIP_STORED)), "checksum .*: copy it again"),
    "lzma": (
        "x.npz",
        lambda: damaged(packed(npy(np.random.default_rng(0).normal(size=999)), zipfile.ZIP_LZMA)),
        "cannot read .*samples.npy",
    ),
    "bzip2": ("x.npz", lambda: damaged(packed(npy(), zipfile.ZIP_BZIP2)), "cannot read .*samples.npy"),
    "deflate": ("x.npz", lambda: damaged(packed(npy())), "cannot read .*samples.npy"),
    "no arrays": ("x.npz", lambda: packed(b"hello", name="a.txt"), "holds a.txt; expected an array named 'samples'"),
    "no array inside": ("x.npz", lambda: packed(b"hello"), "x.npz: samples.npy.*does not begin as numpy.save"),
    "nothing": ("x.npz", lambda: b"PK\x05\x06" + bytes(18), "holds nothing"),
    "deep": ("x.json", lambda: b"[" * 100_000, "nested too deep"),
    "digits": ("x.json", lambda: b"[" + b"1" * 5000 + b"]", "digits"),
    "no list": ("x.json", lambda: b'{"a": 1}', "a JSON list of strings, not an object with 'a'"),
    "numbers": ("x.json", lambda: b'["a", 1]', r"entry 1 \(from 0\) is a number"),
    "other objects": ("x.json", lambda: b'[{"prompt": "a"}]', "expected a string, or an object with one under 'text'"),
    "no json": ("x.json", lambda: b"[", "cannot read"),
    "json of lines": (
        "x.json",
        lambda: b'"a"\n"b"\n',
        r"no JSON at line 2, column 1 .*\.jsonl one string or object a line",
    ),
    "list in lines": ("x.jsonl", lambda: b'[\n"a"\n]\n', r"line 1: no JSON at column 2 .*; \.json holds one list"),
    "another key": ("x.jsonl", lambda: b'"a"\n{"prompt": 1}', "line 2 is an object with 'prompt'; expected .*'text'"),
    "null": ("x.jsonl", lambda: b'{"text": null}', "x.jsonl: line 1, 'text' is null; expected a string"),
    "latin-1": (
        "x.txt",
        lambda: "a\nb\nd\xe9j\xe0".encode("latin-1"),
        "x.txt: line 3 is not UTF-8 .byte 0xe9.: save it as",
    ),
    "utf-16": ("x.json", lambda: '["a"]'.encode("utf-16"), "x.json: line 1 is not UTF-8"),
    "line": ("x.jsonl", lambda: b'"a"\n[\n', "line 2"),
    "deep line": ("x.jsonl", lambda: b'"a"\n' + b"[" * 100_000, "line 2: it is nested too deep"),
    "blank line": ("x.jsonl", lambda: b'"a"\n\n"b"\n', "line 2 is blank"),
    "unknown": ("x.doc", lambda: b"a", "give a folder or .zip of pictures, a folder of sounds or of films"),
    "picture": ("a/x.png", lambda: b"no picture", "it is empty, damaged, or no picture"),
    "one picture": ("x.JPG", png, "x.JPG is a single picture, which is no set: give its folder"),
    "cut picture": ("a/x.png", lambda: png(64)[:1000], "it is truncated: copy it again, or make it anew$"),
    "damaged picture": ("a/x.png", lambda: changed(png(), b"IDAT", b"IDAT\xff"), "cannot read"),
    "wordy picture": ("a/x.png", wordy, "its metadata are too large: save it anew, without metadata$"),
    "100 megapixels": ("a/x.png", lambda: huge(10_000), "claims 10000x10000, more than 89,478,485 pixels"),
    "400 megapixels": ("a/x.png", lambda: huge(20_000), "exceeds limit|claims 20000x20000"),
    "zip of nothing": ("x.zip", lambda: packed(b"a", name="a.txt"), "holds no pictures .*skipped: 1 not named"),
    "damaged zip": ("x.zip", lambda: b"PK", "it is no archive, or it is truncated"),
    "encrypted zip": ("x.zip", lambda: marked(packed(png(), name="a.png"), 6, 1), "x.zip: a.png is encrypted"),
    "zip with damage": ("x.zip", lambda: damaged(packed(png(), 0, name="a.png")), "x.zip: a.png"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, case: str) -> None:
    name, make, words = BAD[case]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(make())
    with pytest.raises(DataError, match=words) as caught:
        read(path.parent if path.suffix == ".png" else path)
    told = str(caught.value)
    assert path.name in told and told.isprintable() and len(told) < 500


@pytest.mark.parametrize(("name", "part"), [("x.npz", "samples.npy"), ("x.zip", "a.png")])
def test_what_a_part_would_unpack_to_is_refused_before_it_is(tmp_path: Path, name: str, part: str) -> None:
    """A megabyte that says it holds two gigabytes, as zeros can."""
    content = bytearray(packed(zlib.compress(bytes(2**30 // 1024), 0), name=part))
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", 2 * 2**30)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{part} would unpack [\d,]+ bytes to 2,147,483,648: no data packs so well"):
        read(tmp_path / name)


def test_a_file_with_holes_claims_no_more_than_there_is_memory(tmp_path: Path) -> None:
    rows = 10**11
    head = claiming(f"({rows},)")[: -X.nbytes]
    with (tmp_path / "x.npy").open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 8 * rows)
    with pytest.raises(DataError, match=r"x.npy needs 800.0 GB, more than this machine's"):
        read(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "an empty path: is a variable not set"),
        (" ", "an empty path"),
        ("nowhere.npz", r"there is no 'nowhere.npz' \(looked for at /.*/nowhere\.npz\)$"),
        ("a" * 5000, r"there is no 'aaa.*\.\.\.aaa.*: File name too long"),
        ("~nosuchuser/x.npy", "there is no '~nosuchuser/x.npy': "),
        ("a\0b.npy", r"there is no 'a\\x00b.npy': "),
        ("two\nlines.npy", r"there is no 'two\\nlines.npy' \(looked for at /.*two\\nlines\.npy\)$"),
        (
            "hello world",
            r"no 'hello world' \(.*/hello world\); texts are a list of strings, or a .txt file with one a line$",
        ),
        ("hello world.npy", r"there is no 'hello world.npy' \(.*\)$"),
        ("/dev/null", "neither a file nor a folder"),
        ("/dev/null/x.npy", "there is no '/dev/null/x.npy'$"),
    ],
)
def test_paths_that_lead_nowhere(path: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(path)
    assert len(str(caught.value)) < 500


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        read(tmp_path / "x.npy")
    with pytest.raises(DataError, match=r"x.png is no file: a link to nothing, a pipe or a device"):
        read(tmp_path)


@pytest.mark.parametrize("given", ["folder", "array", "statistics"])
def test_prompts_are_texts(tmp_path: Path, given: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(png())
    np.savez(tmp_path / "s.npz", mu=np.zeros(2), sigma=np.eye(2))
    sources: dict[str, Any] = {"folder": tmp_path / "a", "array": X, "statistics": tmp_path / "s.npz"}
    source = sources[given]
    with pytest.raises(DataError, match=r"prompts must be texts|give the examples"):
        read_prompts(source)


class TestStatistics:
    def test_they_are_read_with_their_number_if_it_is_there(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "s.npz", mu=np.arange(3.0), sigma=np.diag([1.0, 2.0, 3.0]))
        found = read_reference(tmp_path / "s.npz")
        assert isinstance(found, Statistics) and found.n is None
        assert found.mean.tolist() == [0, 1, 2] and found.covariance.diagonal().tolist() == [1, 2, 3]
        np.savez(tmp_path / "s.npz", mu=np.arange(3.0), sigma=np.eye(3), n=50_000)
        found = read_reference(tmp_path / "s.npz")
        assert isinstance(found, Statistics) and found.n == 50_000

    @pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
    def test_rounding_is_no_negative_variance(self, tmp_path: Path, kind: type) -> None:
        """Of fewer rows than columns, of very different scales, written in any precision."""
        rows = np.random.default_rng(0).normal(size=(20, 50)) * np.logspace(-4, 2, 50)
        for sigma in (np.cov(rows.T), np.zeros((50, 50)), 1e-12 * np.ones((50, 50))):
            np.savez(tmp_path / "s.npz", mu=np.zeros(50), sigma=sigma.astype(kind))
            assert isinstance(read_reference(tmp_path / "s.npz"), Statistics)

    @pytest.mark.parametrize(("mu", "sigma"), [(1e100, 1.0), (0.0, 1e100), (0.0, 0.0)])
    def test_whatever_is_taken_can_be_measured_against(self, tmp_path: Path, mu: float, sigma: float) -> None:
        np.savez(tmp_path / "s.npz", mu=np.full(3, mu), sigma=sigma * np.eye(3))
        rows = np.random.default_rng(0).normal(size=(60, 3))
        expected = ((rows.mean(0) - mu) ** 2).sum() + np.cov(rows.T).trace() + 3 * sigma
        expected -= 2 * np.sqrt(sigma * np.linalg.eigvalsh(np.cov(rows.T))).sum()
        found = evaluate(rows, tmp_path / "s.npz", metrics=["fd"])
        assert found["value"][0] == pytest.approx(expected, rel=1e-9)

    def test_beside_samples_they_are_said_to_be_unused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "s.npz", arr_0=X, mu=np.arange(3.0), sigma=np.eye(3))
        with pytest.warns(DataWarning, match="arr_0 is read; not used: mu, sigma; mu and sigma serve"):
            assert isinstance(read(tmp_path / "s.npz"), torch.Tensor)

    def test_they_are_no_samples(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "s.npz", mu=np.arange(3.0), sigma=np.eye(3))
        with pytest.raises(DataError, match=r"s.npz holds mu and sigma alone, which serve as a reference only"):
            read(tmp_path / "s.npz")

    @pytest.mark.parametrize(
        ("parts", "words"),
        [
            ({"mu": np.zeros((2, 2)), "sigma": np.eye(4)}, r"must be mu \(D,\) .* got \(2, 2\)"),
            ({"mu": np.full(2, 1e101), "sigma": np.eye(2)}, r"a number beyond 1e\+100: rescale"),
            ({"mu": np.zeros(2), "sigma": 1e308 * np.eye(2)}, r"a number beyond 1e\+100: rescale"),
            (
                {"mu": np.zeros(9), "sigma": 2 * np.ones((9, 9)) - np.eye(9)},
                "in some direction its variance is negative",
            ),
            ({"mu": np.zeros(3), "sigma": np.eye(2)}, r"must be mu \(D,\) and sigma \(D, D\), got \(3,\)"),
            ({"mu": np.zeros(2), "sigma": np.eye(2) * 1j}, "complex"),
            ({"mu": np.array([0, np.nan]), "sigma": np.eye(2)}, "NaN or infinity"),
            ({"mu": np.zeros(2), "sigma": np.array([[1.0, 5], [-5, 1]])}, "no covariance"),
            ({"mu": np.zeros(2), "sigma": -np.eye(2)}, "no covariance"),
            ({"mu": np.zeros(2), "sigma": np.eye(2), "n": 1}, "at least 2"),
            ({"mu": np.zeros(2), "sigma": np.eye(2), "n": "many"}, "at least 2"),
        ],
    )
    def test_what_no_gaussian_has_is_refused(self, tmp_path: Path, parts: dict[str, np.ndarray], words: str) -> None:
        np.savez(tmp_path / "s.npz", **parts)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=words):
            read_reference(tmp_path / "s.npz")


def test_json_of_surrogates_is_told_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(["a", "\ud800"]))
    with pytest.raises(DataError, match="text 1 holds half a character"):
        check(read(tmp_path / "x.json"), "text", "samples")


@pytest.mark.parametrize("side", ["samples", "reference", "train", "prompts"])
def test_an_empty_path_says_which_it_is(side: str) -> None:
    given: dict[str, Any] = {"samples": X, "reference": X} | {side: ""}
    with pytest.raises(DataError, match=f"^{side}: an empty path: is a variable not set"):
        evaluate(given.pop("samples"), given.pop("reference"), **given)
