"""Damage of every kind: whatever a file holds, reading it ends in examples or in one line."""

from __future__ import annotations

import io
import json
import random
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import GenbenchError
from bench.modalities._examples import content_hash
from bench.probes.memory import peak_rss_bytes
from bench.reading import check, guess_modality, read_reference
from bench.reading.arrays import Statistics
from tests.processes import alone

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 12), dtype=np.uint8)
TEXTS = ["one", "", "two\tthree", "vier und fünf", '"quoted"']


def arrays(**held: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **held)  # type: ignore[arg-type]
    return buffer.getvalue()


def array(x: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, x)
    return buffer.getvalue()


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS[0].transpose(1, 2, 0)).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, kind in (("0.png", "png"), ("a/1.jpg", "jpeg"), ("a/notes.txt", "bmp")):
            file.writestr(name, encoded(kind))
    return buffer.getvalue()


WHOLE: dict[str, bytes] = {
    "x.npz": arrays(samples=PIXELS),
    "s.npz": arrays(mu=np.zeros(3), sigma=np.eye(3), n=np.array(50)),
    "x.npy": array(PIXELS.reshape(5, -1).astype(np.float64)),
    "x.json": json.dumps(TEXTS).encode(),
    "x.jsonl": "".join(json.dumps({"text": text, "n": 1}) + "\n" for text in TEXTS).encode(),
    "x.txt": "\n".join(TEXTS).encode(),
    "p/x.png": encoded("png"),
    "p/x.jpg": encoded("jpeg"),
    "p/x.webp": encoded("webp"),
    "p/x.tif": encoded("tiff"),
    "x.zip": archive(),
}
ODD = (b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"9" * 30, b"[" * 3000, b"\\ud800", b"-1", b"\n", b"nan")


def bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def gap(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 64)]


def odd(data: bytearray, rng: random.Random) -> None:
    start, value = rng.randrange(len(data)), rng.choice(ODD)
    data[start : start + rng.choice((0, len(value)))] = value


def twice(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start:start] = data[start : start + rng.randint(1, 256)]


def head(data: bytearray, rng: random.Random) -> None:
    """The first bytes are where sizes stand."""
    for place in rng.choices(range(min(len(data), 128)), k=3):
        data[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


DAMAGE: tuple[Callable[[bytearray, random.Random], None], ...] = (bits, cut, gap, odd, twice, head)


class Hang(BaseException):
    """No Exception, so that no reader can take it for damage."""


def give_up(*_: object) -> None:
    raise Hang("reading hangs")


def look(path: Path) -> bool:
    """Read and check a file as evaluate does; whether it holds examples."""
    try:
        found = read_reference(path.parent if path.parent.name == "p" else path, lambda remark: None)
        if not isinstance(found, Statistics):
            content_hash(check(found, guess_modality(found, "samples"), "samples"))
    except GenbenchError as error:
        assert str(error).isprintable() and len(str(error)) < 600, str(error)
        return False
    return True


def look_at_whole(folder: Path) -> None:
    for name, content in WHOLE.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        assert look(path), name
        path.unlink()


def test_undamaged_files_are_read(tmp_path: Path) -> None:
    look_at_whole(tmp_path)


def look_at_damage(folder: Path) -> tuple[int, int]:
    """How many of 200 damaged files are refused, and by how many bytes they raise the peak of memory of whole ones.

    For a process of its own, whose alarm it sets: a file that is read for a minute is a hang.
    """
    rng, refused = random.Random(0), 0
    signal.signal(signal.SIGALRM, give_up)
    look_at_whole(folder)
    before = peak_rss_bytes()
    names = sorted(WHOLE)
    for turn in range(200):
        name, data = names[turn % len(names)], bytearray(WHOLE[names[turn % len(names)]])
        for _ in range(rng.randint(1, 3)):
            if data:
                rng.choice(DAMAGE)(data, rng)
        path = folder / name
        path.write_bytes(data)
        signal.alarm(60)
        refused += not look(path)
        path.unlink()
    signal.alarm(0)
    return refused, peak_rss_bytes() - before


@pytest.mark.slow
def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    refused, grown = alone(look_at_damage, tmp_path)
    assert 50 < refused < 200  # damage is noticed, and some of it leaves a file that can be read
    assert grown < 2**29
