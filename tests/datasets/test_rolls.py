"""Piano rolls that people bring, good and bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from bench import DataError
from bench.datasets.jsb import jsb
from bench.datasets.pianoroll import pianoroll
from bench.registry import registry
from tests.datasets.test_promises import cells

ROLL = np.eye(4, 88)


def saved(folder: Path, **parts: Any) -> str:
    path = folder / "x.mat"
    good = {name: cells([ROLL, ROLL[:2]]) for name in ("traindata", "validdata", "testdata")}
    scipy.io.savemat(path, {name: part for name, part in {**good, **parts}.items() if part is not None})
    return str(path)


def test_pieces_keep_their_lengths(tmp_path: Path) -> None:
    data = pianoroll(saved(tmp_path))
    batch = data.train.batch(torch.tensor([1, 0]))
    assert data.spec.shape == (4, 88) and data.spec.kind == "binary"
    assert batch.lengths is not None and batch.lengths.tolist() == [2, 4]
    assert torch.equal(batch.data[1], torch.from_numpy(ROLL).float()) and not batch.data[0, 2:].any()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"testdata": None}, "testdata: there is no list of piano rolls"),
        ({"traindata": np.eye(3)}, "traindata: there is no list of piano rolls"),
        ({"validdata": cells([ROLL, 2 * ROLL])}, r"validdata: entry 1 is no piano roll, \(steps, keys\) of 0 and 1"),
        ({"validdata": cells([np.zeros((0, 88))])}, "validdata: entry 0 is no piano roll"),
        ({"testdata": cells([ROLL[:, :60]])}, "rolls have 60 to 88 keys, not all as many"),
    ],
)
def test_what_is_no_piano_roll_is_named(parts: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        pianoroll(saved(tmp_path, **parts))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no file: pianoroll:FILE\.mat names one of MATLAB's"):
        registry.get("datasets", f"pianoroll:{tmp_path}").make()
    (tmp_path / "x.mat").write_bytes(b"MATLAB 5.0 no")
    with pytest.raises(DataError, match=r"pianoroll: wants a \.mat file with traindata, validdata and testdata"):
        pianoroll(str(tmp_path / "x.mat"))


@pytest.mark.shared
def test_chorales_are_in_the_standard_split() -> None:
    data = jsb()
    assert [len(split) for split in (data.train, data.valid, data.test)] == [229, 76, 77]
    assert data.spec.shape == (160, 88)
    assert int(data.test.lengths.sum()) == 4725
