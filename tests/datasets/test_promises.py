"""What every dataset owes: those that come with the install, what people bring, and, where they are, the large ones."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import mido
import numpy as np
import pytest
import scipy.io
import soundfile
from PIL import Image

from bench.registry import registry
from bench.testing import DatasetPromises

EMBEDDED = ("chorales", "digits", "kjv", "mnist5k", "tones")
EXTERNAL = ("cifar10", "fsdd", "jsb", "mnist", "tinyshakespeare")
MOVING, FILMS = "moving_mnist", "clips:films"  # in test_video
OF_A_FONT = ("emoji",)
BROUGHT = (
    "folder:pictures",
    "hf:saved",
    "midi:songs",
    "npz:images.npz",
    "npz:vectors.npz",
    "parquet:pictures.parquet",
    "parquet:texts.parquet",
    "pianoroll:rolls.mat",
    "sounds:clips",
    "text:words.txt",
    "torchvision:MNIST",
    "webdataset:shards",
)


def test_these_are_all_there_are() -> None:
    ours = {name for name, e in registry.all("datasets", with_rest=True).items() if e.origin.startswith("bench.")}
    brought = (name.partition(":")[0] + ":" for name in (*BROUGHT, FILMS))
    assert ours == {*EMBEDDED, *EXTERNAL, *OF_A_FONT, MOVING, *brought}


def cells(rolls: Sequence[np.ndarray]) -> np.ndarray:
    """As MATLAB lists arrays of several sizes."""
    listed = np.empty((1, len(rolls)), object)
    for place, roll in enumerate(rolls):
        listed[0, place] = roll.astype(np.uint8)
    return listed


def encoded(picture: np.ndarray) -> bytes:
    """``(C, H, W)`` as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(buffer, "png")
    return buffer.getvalue()


def write_tables(pictures: np.ndarray) -> None:
    """Pictures and texts in Parquet, and pictures as Hugging Face's ``save_to_disk`` writes them."""
    import datasets
    import pyarrow
    import pyarrow.parquet

    cells = [{"bytes": encoded(picture), "path": f"{place}.png"} for place, picture in enumerate(pictures)]
    labels = [place % 3 for place in range(len(pictures))]
    pyarrow.parquet.write_table(pyarrow.table({"image": cells, "label": labels}), "pictures.parquet")
    texts = [" ".join(map(str, range(200 * place, 200 * place + 200))) for place in range(40)]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), "texts.parquet")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])})
    whole = datasets.Dataset.from_dict({"image": cells, "label": labels}, features=features)
    whole.train_test_split(20, seed=0).save_to_disk("saved")


def write_songs(count: int = 12) -> None:
    """Melodies of forty quarter notes."""
    Path("songs").mkdir()
    for place in range(count):
        keys = np.random.default_rng(place).integers(40, 80, 40).tolist()
        track = mido.MidiTrack()
        for key in keys:
            track.append(mido.Message("note_on", note=key, time=0))
            track.append(mido.Message("note_off", note=key, time=96))
        mido.MidiFile(ticks_per_beat=96, tracks=[track]).save(f"songs/{place}.mid")


def write_shards(pictures: np.ndarray, folder: Path) -> None:
    folder.mkdir()
    for number in range(2):
        with tarfile.open(folder / f"{number:03d}.tar", "w") as shard:
            for place in range(30 * number, 30 * number + 30):
                for suffix, content in (("png", encoded(pictures[place])), ("cls", str(place % 3).encode())):
                    about = tarfile.TarInfo(f"{place:04d}.{suffix}")
                    about.size = len(content)
                    shard.addfile(about, io.BytesIO(content))


def write_clips(folder: Path, rng: np.random.Generator) -> None:
    """Noise of several lengths."""
    folder.mkdir()
    for number in range(30):
        wave = rng.uniform(-0.5, 0.5, int(rng.integers(800, 2400)))
        soundfile.write(folder / f"{number}.wav", wave, 8000)


def write_mnist(raw: Path, pictures: np.ndarray) -> None:
    """Some for training and some for testing, in the four files of MNIST."""
    raw.mkdir(parents=True)
    first = 2 * len(pictures) // 3
    for half, some in (("train", pictures[:first]), ("t10k", pictures[first:])):
        head = struct.pack(">HBBIII", 0, 8, 3, *some.shape)
        (raw / f"{half}-images-idx3-ubyte").write_bytes(head + some.tobytes())
        labels = bytes(place % 10 for place in range(len(some)))
        (raw / f"{half}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, len(some)) + labels)


class TestEmbedded(DatasetPromises):
    dataset = EMBEDDED


class TestEvents(DatasetPromises):
    dataset = "midi:songs"
    options: ClassVar = {"form": "events"}

    @pytest.fixture(autouse=True)
    def somebody(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_songs()


@pytest.mark.shared
class TestExternal(DatasetPromises):
    dataset = EXTERNAL


class TestOfAFont(DatasetPromises):
    dataset = OF_A_FONT

    @pytest.fixture(autouse=True)
    def font(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that draws a square for every third code point: where, and in what colour, says its number."""

        def drawn(font: object, text: str) -> np.ndarray:
            picture, code = np.full((3, 136, 136), 255, np.uint8), ord(text)
            if code % 3 == 0 and code < 0xF0000:
                left, top = code % 90, code // 90 % 90
                picture[:, top : top + 30, left : left + 30] = np.array([code % 200, code // 7 % 200, 0])[:, None, None]
            return picture

        (tmp_path / "NotoColorEmoji.ttf").touch()
        monkeypatch.setenv("GENBENCH_DATA", str(tmp_path))
        monkeypatch.setattr("bench.datasets.emoji._SYSTEM", tmp_path / "nowhere")
        monkeypatch.setattr("PIL.ImageFont.truetype", lambda path, size: None)
        monkeypatch.setattr("bench.datasets.emoji._picture", drawn)


class TestBrought(DatasetPromises):
    dataset = BROUGHT

    @pytest.fixture(autouse=True)
    def somebody(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Brings pictures, arrays and words."""
        monkeypatch.chdir(tmp_path)
        rng = np.random.default_rng(0)
        pictures = rng.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
        for place, picture in enumerate(pictures):
            folder = tmp_path / "pictures" / "ab"[place % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{place}.png")
        np.savez("images.npz", images=pictures, labels=np.arange(60) % 3)
        np.savez("vectors.npz", data=rng.normal(size=(60, 5)))
        notes = [rng.random((int(steps), 88)) < 0.05 for steps in rng.integers(5, 20, 30)]
        parts = {"traindata": notes[:20], "validdata": notes[20:25], "testdata": notes[25:]}
        scipy.io.savemat("rolls.mat", {name: cells(rolls) for name, rolls in parts.items()})
        write_clips(tmp_path / "clips", rng)
        Path("words.txt").write_text(" ".join(map(str, range(3000))) + " ümläut 字\n")
        write_tables(pictures)
        write_shards(pictures, tmp_path / "shards")
        write_songs()
        write_mnist(tmp_path / "data" / "MNIST" / "raw", pictures[:, 0])
