"""Labels in words: what datasets call their classes, and emoji, each of which is one."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from bench import DataError
from bench.datasets.digits import digits
from bench.datasets.emoji import emoji
from bench.datasets.folder import folder


def test_digits_are_called_by_their_numbers() -> None:
    captions = digits().spec.captions
    assert captions is not None and (captions[3], captions[8], len(captions)) == ("a three", "an eight", 10)


def test_classes_of_a_folder_are_called_as_its_folders(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place in range(40):
        where = tmp_path / ("red fox", "grey owl")[place % 2]
        where.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(where / f"{place}.png")
    assert folder(str(tmp_path)).spec.captions == ("grey owl", "red fox")


def test_a_font_that_is_none_or_has_no_pictures_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no .*nowhere\.ttf"):
        emoji(font=str(tmp_path / "nowhere.ttf"))
    (tmp_path / "NotoColorEmoji.ttf").write_bytes(b"no font")
    with pytest.raises(DataError, match="no font with pictures in colour"):
        emoji(root=str(tmp_path))
    plain = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    with pytest.raises(DataError, match=r"holds 0 emoji: take a font such as NotoColorEmoji\.ttf"):
        emoji(font=str(plain))
