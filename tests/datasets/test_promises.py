"""What every dataset owes: those that come with the install, what people bring, and, where they are, the large ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from bench.registry import registry
from bench.testing import DatasetPromises

EMBEDDED = ("digits", "kjv", "mnist5k")
EXTERNAL = ("cifar10", "jsb", "mnist", "tinyshakespeare")
BROUGHT = ("folder:pictures", "npz:images.npz", "npz:vectors.npz", "pianoroll:rolls.mat", "text:words.txt")


def test_these_are_all_there_are() -> None:
    ours = {name for name, e in registry.all("datasets", with_rest=True).items() if e.origin.startswith("bench.")}
    assert ours == {*EMBEDDED, *EXTERNAL, *(name.partition(":")[0] + ":" for name in BROUGHT)}


def cells(rolls: Sequence[np.ndarray]) -> np.ndarray:
    """As MATLAB lists arrays of several sizes."""
    listed = np.empty((1, len(rolls)), object)
    for place, roll in enumerate(rolls):
        listed[0, place] = roll.astype(np.uint8)
    return listed


class TestEmbedded(DatasetPromises):
    dataset = EMBEDDED


@pytest.mark.shared
class TestExternal(DatasetPromises):
    dataset = EXTERNAL


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
        Path("words.txt").write_text(" ".join(map(str, range(3000))) + " ümläut 字\n")
