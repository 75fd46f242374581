"""Moving MNIST as it was published, and folders of films, of which some are damaged."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench import DataError
from bench.datasets.clips import clips
from bench.datasets.mnist import mnist5k
from bench.datasets.moving_mnist import moving_mnist, paths
from bench.registry import registry
from bench.testing import DatasetPromises

SMALL: Mapping[str, Any] = MappingProxyType({"size": 32, "frames": 6, "clips": 40, "held_out": 20})


class TestMoving(DatasetPromises):
    dataset = "moving_mnist"
    options = SMALL


class TestMovingWithLabels(DatasetPromises):
    dataset = "moving_mnist"
    options = MappingProxyType({**SMALL, "digits": 1})


# Moving MNIST


def test_a_digit_goes_straight_at_one_speed_and_turns_at_edges() -> None:
    """A tenth of its way a frame, but where it meets an edge; and back from there."""
    places = paths(np.random.default_rng(0).random((500, 3)), 20)
    moves = np.diff(places, axis=1)
    assert places.min() >= 0 and places.max() <= 1
    inside = ((places[:, 1:] > 0) & (places[:, 1:] < 1) & (places[:, :-1] > 0) & (places[:, :-1] < 1)).all(2)
    assert np.hypot(*np.moveaxis(moves, 2, 0))[inside] == pytest.approx(0.1)
    at_edge = np.argwhere(places[:, 1:-1] == 1)
    before, after = (moves[at_edge[:, 0], at_edge[:, 1] + later, at_edge[:, 2]] for later in (0, 1))
    assert len(before) > 100 and (before > 0).all() and (after < 0).all()


def test_every_direction_and_place_is_as_likely_as_any() -> None:
    places = paths(np.random.default_rng(0).random((20_000, 3)), 2)
    moves = places[:, 1] - places[:, 0]
    whole = np.hypot(*moves.T) > 0.0999
    angle = np.arctan2(*moves[whole].T)
    assert np.histogram(angle, 8, (-np.pi, np.pi))[0] / whole.sum() == pytest.approx(1 / 8, abs=0.02)


def test_one_digit_is_laid_into_its_frame_as_it_is_and_carries_its_label() -> None:
    data, source = moving_mnist(digits=1, frames=3, clips=30, held_out=10), mnist5k().train
    batch = data.train.batch(torch.arange(30))
    assert batch.condition is not None
    for clip, label in zip(batch.data, batch.condition, strict=True):
        ink = (clip[0, 0] + 1).sum()
        same = ((source.pixels.float() / 127.5).sum((1, 2, 3)) - ink).abs() < 1e-2
        assert label in source.labels[same]


def test_two_digits_are_the_brighter_of_both() -> None:
    data = moving_mnist(**SMALL)
    which, u = data.train.shown(3)
    whole = data.train.clips(np.array([3]))[0, :, 0]
    for image, corners in zip(data.train.images[which], data.train.corners(u), strict=True):
        for frame, (top, left) in zip(whole, corners, strict=True):
            assert (frame[top : top + 14, left : left + 14] >= image).all()
    assert whole.max() == max(data.train.images[which].max((1, 2)))


def test_splits_share_no_digit() -> None:
    """Each split's digits are its source's split, disjoint from the others."""
    data, source = moving_mnist(frames=2, clips=4, held_out=2), mnist5k()
    for split in ("train", "valid", "test"):
        assert (getattr(data, split).images == getattr(source, split).pixels.numpy()[:, 0]).all()


def test_options_make_other_data_by_another_name() -> None:
    prints = {
        moving_mnist(**{**SMALL, **other}).fingerprint for other in ({}, {"clips": 41}, {"frames": 5}, {"digits": 1})
    }
    assert len(prints) == 4


@pytest.mark.shared
def test_it_is_made_of_mnist_too() -> None:
    data = moving_mnist(images="mnist", clips=20, held_out=4)
    assert data.train.images.shape == (55_000, 28, 28) and data.spec.shape == (20, 1, 64, 64)


# Films


def film(path: Path, frames: np.ndarray, rate: int = 10) -> None:
    """``(T, H, W, 3)`` as a film of the kind that its suffix says; of GIF by Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        pictures = [Image.fromarray(frame) for frame in frames]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=1000 // rate, loop=0)
        return
    import av

    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream({".mp4": "mpeg4", ".webm": "libvpx"}[path.suffix], rate=Fraction(rate))
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())


def shades(seed: int, frames: int = 8, side: int = 48) -> np.ndarray:
    """Frames of one shade each, which is brighter in every next one."""
    first = np.random.default_rng(seed).integers(20, 60)
    levels = np.clip(first + 20 * np.arange(frames), 0, 255).astype(np.uint8)
    found = np.broadcast_to(levels[:, None, None, None], (frames, side, side + 16, 3)).copy()
    found[:, : side // 2, :, 0] //= 2
    found[:, :8, : 4 * (seed % 12 + 1)] = 255
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "films"
    for seed in range(12):
        suffix = (".mp4", ".webm", ".gif")[seed % 3]
        film(place / "ab"[seed % 2] / f"{seed}{suffix}", shades(seed))
    return place


class TestFilms(DatasetPromises):
    dataset = "clips:films"
    options = MappingProxyType({"frames": 4, "size": 16})

    @pytest.fixture(autouse=True)
    def somebody(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder.parent)


def all_of(data: object) -> torch.Tensor:
    parts = [getattr(data, split) for split in ("train", "valid", "test")]
    return torch.cat([part.batch(torch.arange(len(part))).data for part in parts])


def test_films_of_every_kind_become_clips_of_one_form(folder: Path) -> None:
    """Frames in order, brighter and brighter; labels by sub-folder; all clips of a film in one split."""
    data = clips(str(folder), frames=4, size=16)
    assert data.spec.shape == (4, 3, 16, 16) and data.spec.classes == 2 and data.prepared.classes == ("a", "b")
    assert sum(data.prepared.splits.values()) == 24 and all(n % 2 == 0 for n in data.prepared.splits.values())
    assert (all_of(data)[:, :, 2, 12:].mean((2, 3)).diff(dim=1) > 0.05).all()


def test_frames_are_taken_at_the_rate_that_is_asked_for(folder: Path) -> None:
    """Of ten a second every other one at five, and each twice at twenty."""
    plain, slow, fast = (clips(str(folder), frames=4, size=16, fps=fps, most=1) for fps in (None, 5, 20))
    assert slow.spec.rate == 5

    def steps(data: object) -> torch.Tensor:
        return all_of(data)[:, :, 2, 12:].mean((2, 3)).diff(dim=1).mean(0)

    assert torch.allclose(steps(slow), 2 * steps(plain), rtol=0.2)
    assert steps(fast)[[0, 2]].abs().max() < 0.02 and steps(fast)[1] > 0.1


def test_what_is_damaged_is_named_and_counted(folder: Path) -> None:
    whole = (folder / "a" / "0.mp4").read_bytes()
    (folder / "a" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    film(folder / "a" / "long.webm", shades(3, 40))
    long = (folder / "a" / "long.webm").read_bytes()
    (folder / "a" / "long.webm").write_bytes(long[: len(long) // 3])
    (folder / "a" / "nothing.mp4").write_bytes(b"")
    (folder / "a" / "no film.gif").write_bytes(b"words, and no film" * 20)
    film(folder / "a" / "short.mp4", shades(5, 2))
    (folder / "a" / "twice.mp4").write_bytes(whole)
    (folder / "readme.txt").write_text("not a film")
    data = clips(str(folder), frames=4, size=16, most=20)
    told = " ".join(data.prepared.remarks)
    for name in ("cut.mp4", "nothing.mp4", "no film.gif", "short.mp4", "long.webm"):
        assert name in told, told
    assert "too short: a/short.mp4 (2 frames" in told and "1 not named as films" in told and "stand there twice" in told
    assert data.prepared.held == 18 and sum(data.prepared.splits.values()) == 24
    of = {finding.what: (finding.count, finding.of) for finding in data.prepared.findings}
    assert of["cannot be decoded"] == (2, 18) and of["are too short"] == (1, 18), "of files"
    assert of["stand there twice"] == (2, 26), "of clips"
    assert "nothing.mp4 (it is empty)" in told and "Errno" not in told and str(folder) not in told
    with pytest.raises(DataError, match=r"too short: a/short.mp4.*clean = \"drop\""):
        clips(str(folder), frames=4, size=16, most=20, clean="refuse")


def test_a_second_look_opens_no_film(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = clips(str(folder), frames=4, size=16)
    monkeypatch.setattr("bench.reading.films.pyav", None)
    assert clips(str(folder), frames=4, size=16).fingerprint == first.fingerprint


def test_what_was_set_apart_stays_apart(folder: Path) -> None:
    (folder / "a").rename(folder / "train")
    (folder / "b").rename(folder / "test")
    film(folder / "val" / "12.gif", shades(23))
    data = clips(str(folder), frames=8, size=16)
    assert (len(data.train), len(data.valid), len(data.test)) == (6, 1, 6) and data.spec.classes is None


def test_clips_have_the_rate_of_their_films_where_these_share_one(folder: Path) -> None:
    assert clips(str(folder), frames=4, size=16).spec.rate == 10
    film(folder / "a" / "faster.gif", shades(15), rate=20)
    data = clips(str(folder), frames=4, size=16)
    assert data.spec.rate is None
    assert any("a second (10, 20), so that of clips is not known: fps sets one" in r for r in data.prepared.remarks)


def test_clips_are_grey_where_all_films_are(tmp_path: Path) -> None:
    """As pictures are; grey among RGB is repeated, whichever came first."""
    for seed in range(12):
        film(tmp_path / f"{seed}.gif", np.repeat(shades(seed)[..., 1:2], 3, axis=3))
    grey, rgb = (clips(str(tmp_path), frames=4, size=16, mode=mode) for mode in (None, "RGB"))
    assert grey.spec.shape == (4, 1, 16, 16) and not grey.prepared.remarks
    assert {clip.numpy().tobytes() for clip in all_of(grey)} == {
        clip.numpy().tobytes() for clip in all_of(rgb)[:, :, 2:]
    }
    film(tmp_path / "12.gif", shades(12))
    mixed = clips(str(tmp_path), frames=4, size=16)
    assert mixed.spec.shape == (4, 3, 16, 16) and "12 of 13 films are grey" in mixed.prepared.remarks[0]
    assert mixed.fingerprint == clips(str(tmp_path), frames=4, size=16, mode="RGB").fingerprint


def test_an_archive_holds_what_its_folder_does(folder: Path) -> None:
    archive = shutil.make_archive(str(folder), "zip", folder)
    assert clips(archive, frames=4, size=16).fingerprint == clips(str(folder), frames=4, size=16).fingerprint


def test_films_of_a_group_stay_in_one_split(folder: Path) -> None:
    """Three groups, by suffix, of four films of two clips each."""
    data = clips(str(folder), frames=4, size=16, group=r"\.(\w+)$")
    assert data.prepared.splits == {"train": 8, "valid": 8, "test": 8}
    with pytest.raises(DataError, match="group = 'no such' finds no key"):
        clips(str(folder), frames=4, size=16, group="no such")


def test_what_cannot_be_kept_is_refused(folder: Path) -> None:
    """One that stands twice can be; one that is too short cannot."""
    film(folder / "b" / "twice.gif", shades(5))
    kept = clips(str(folder), frames=4, size=16, clean="keep")
    assert sum(kept.prepared.splits.values()) == 26 and not kept.prepared.left_out
    film(folder / "a" / "short.gif", shades(5, 2))
    with pytest.raises(DataError, match=r'short.gif gives no clip \(2 frames, .* or say clean = "drop"'):
        clips(str(folder), frames=4, size=16, clean="keep")


def test_a_folder_without_films_and_a_python_without_pyav_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="holds no films"):
        clips(str(tmp_path))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"genbench\[video\]"):
        clips(str(tmp_path))


def test_films_come_by_their_name() -> None:
    assert registry.get("datasets", "clips:somewhere").modality == "video"
