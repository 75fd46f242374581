"""What runs keep of every modality can be shown, and nothing else is."""

from __future__ import annotations

import base64
import io
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import reports.html
from bench import Batch, DataError, preview_of
from bench.modalities import modality_of
from bench.results.board import leaderboards
from bench.testing.made_up import MadeUp, made_up
from reports._samples import gallery
from reports.previews import Shown
from reports.previews._files import beginning
from reports.previews.video import LARGEST
from tests.report_records import record


def file_of(modality: str, dataset: Any = None) -> io.BytesIO:
    dataset = dataset or made_up(modality)
    home = modality_of(modality)
    return io.BytesIO(home.packed(home.held(dataset, "test")[:10], dataset)[1])


def shown(modality: str, file: io.BytesIO) -> Shown:
    show = preview_of(modality)
    assert show is not None
    found: Shown = show(file)
    return found


def pixels(found: Shown) -> np.ndarray:
    assert found.png is not None
    return np.asarray(Image.open(io.BytesIO(found.png)).convert("RGBA"))


def npz(**arrays: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer


@pytest.mark.parametrize("modality", ["image", "music", "audio", "video"])
def test_every_modality_that_can_be_seen_has_a_picture(modality: str) -> None:
    assert pixels(shown(modality, file_of(modality)))[..., :3].std() > 10


@pytest.mark.parametrize("modality", ["music", "audio"])
def test_unequal_lengths_are_shown(modality: str) -> None:
    dataset = MadeUp(made_up(modality).spec, unequal=True)
    assert pixels(shown(modality, file_of(modality, dataset)))[..., :3].std() > 10


def test_texts_are_shown_as_texts() -> None:
    found = shown("text", file_of("text"))
    assert found.texts[0].startswith("In the beginning") and found.png is None


def test_a_note_stands_where_it_sounds() -> None:
    """Time to the right, high notes on top."""
    roll = np.zeros((1, 8, 12), np.uint8)
    roll[0, 0, 11] = 1  # the highest note at the beginning
    sheet = pixels(shown("music", npz(samples=roll)))[..., 0]
    height, width = sheet.shape
    assert sheet[0, 0] == 255 and sheet[height // 2 :].max() == 0 and sheet[:, width // 2 :].max() == 0


def test_tokens_of_music_are_listed() -> None:
    assert shown("music", npz(samples=np.array([[60, 64, 67]]))).texts == ("60 64 67",)


def test_a_tone_is_a_line_in_its_spectrogram_and_can_be_played() -> None:
    rate = 8000.0
    tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / rate).astype(np.float32)[None]
    found = shown("audio", npz(samples=tone, rate=rate))
    levels = pixels(found)[32:96, :, 0].mean(1)  # below the waveform
    assert abs((63 - levels.argmax() + 1) / 64 * rate / 2 - 1000) < 100  # high tones stand on top
    with wave.open(io.BytesIO(found.sounds[0])) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (8000, 4000)
        played = np.frombuffer(sound.readframes(4000), "<i2") / 32767
    assert np.abs(played - tone[0]).max() < 1e-4


def test_of_a_long_sound_the_beginning_is_heard_and_without_a_rate_none() -> None:
    long = np.tile(np.array([0.5, -0.5], np.float32), (1, 100_000))
    assert not shown("audio", npz(samples=long[:, :100])).sounds
    for clip, channels in ((long, 1), (np.stack([long, long], 2), 2)):
        (sound,) = shown("audio", npz(samples=clip, rate=44100.0)).sounds
        assert 2**18 - 4 < len(sound) <= 2**18
        with wave.open(io.BytesIO(sound)) as file:
            assert (file.getnchannels(), file.getnframes()) == (channels, (2**18 - 44) // 2 // channels)
    assert not shown("audio", npz(samples=long[:, :100], rate=float("nan"))).sounds


def test_numbers_that_are_none_do_no_harm() -> None:
    broken = np.array([[np.nan, np.inf, -np.inf, 1e30]] * 2, np.float32)
    assert shown("audio", npz(samples=broken, rate=8000.0)).png
    assert shown("music", npz(samples=broken[:, :, None])).png


def test_a_film_strip_runs_from_the_first_frame_to_the_last() -> None:
    frames = np.arange(0, 110, 10, dtype=np.uint8)[None, :, None, None, None] + np.zeros((1, 1, 1, 8, 8), np.uint8)
    strip = pixels(shown("video", npz(samples=frames)))[0, :, 0]
    assert strip[0] == 0 and strip[-1] == 100
    assert len({*strip[::58].tolist()}) == 6


def test_clips_loop_in_their_order_and_at_their_rate() -> None:
    """Two beside each other, one of which is shorter and stands still at its end."""
    levels = 20 * np.arange(1, 6, dtype=np.uint8)
    clips = np.stack([levels, levels + 5])[:, :, None, None, None] + np.zeros((1, 1, 1, 8, 8), np.uint8)
    found = shown("video", npz(samples=clips, lengths=np.array([5, 3]), rate=5.0))
    assert found.moving is not None and found.first is not None
    film: Any = Image.open(io.BytesIO(found.moving))
    assert (film.n_frames, film.info["loop"], film.info["duration"]) == (5, 0, 200)
    seen = []
    for frame in range(5):
        film.seek(frame)
        row = np.asarray(film.convert("RGBA"))[0, :, 0]
        seen.append((row[0], row[-1]))
    assert seen == [(20, 25), (40, 45), (60, 65), (80, 65), (100, 65)]


def test_loops_are_as_many_as_a_page_carries_and_one_frame_is_none() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 20, 3, 64, 64)).astype(np.uint8)
    found = shown("video", npz(samples=noise))
    assert found.moving is not None and len(found.moving) <= LARGEST
    assert Image.open(io.BytesIO(found.moving)).width < 5 * 64
    assert shown("video", npz(samples=noise[:, :1])).moving is None


def test_a_page_plays_clips_beside_their_strip_and_not_for_who_wants_no_motion(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "clips.npz").write_bytes(file_of("video").getvalue())
    given = [record("flow", modality="video", samples="clips.npz", scores={"fd_lenet": 1.0})]
    page = reports.html.write(given, tmp_path, tmp_path, []).read_text(encoding="utf-8")
    place = page.index('<img class="moving"')
    assert "<img alt=" in page[place - 20_000 : place]  # the strip, which stands still
    assert "prefers-reduced-motion: reduce) { .moving { display: none" in page
    png = page[place:].partition("base64,")[2].partition('"')[0]
    assert b"acTL" in base64.b64decode(png)  # the chunk of an animation


@pytest.mark.parametrize("modality", ["image", "music", "audio", "video", "text"])
@pytest.mark.parametrize(
    "file",
    [
        npz(samples=np.zeros((2, 3), np.complex64)),
        npz(other=np.zeros(3)),
        io.BytesIO(b"PK\x03\x04 no archive"),
        io.BytesIO(b'{"a": 1}'),
        npz(samples=np.array([{"a": 1}], dtype=object)),
    ],
    ids=["complex", "another name", "no archive", "json", "pickled"],
)
def test_what_no_run_writes_is_not_shown(modality: str, file: io.BytesIO) -> None:
    file.seek(0)
    with pytest.raises(DataError, match=r"cannot be read|holds no"):
        shown(modality, file)


def test_examples_too_large_to_be_shown_are_not_unpacked() -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2, 2**25)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("samples.npy", "w") as part:
        part.write(header.getvalue())
    with pytest.raises(DataError, match="waveforms too large to be shown"):
        shown("audio", buffer)


def test_lengths_beyond_the_data_are_cut() -> None:
    found = beginning(
        npz(samples=np.zeros((2, 4), np.float32), lengths=np.array([9, -1])), 2, "x", lambda s, d: True, lambda s: 1
    )
    assert found.lengths.tolist() == [4, 0]


@pytest.mark.parametrize("modality", ["vector", "acme/graph", "../image", "_files"])
def test_what_nobody_says_how_to_show_is_left_out(modality: str, tmp_path: Path) -> None:
    assert preview_of(modality) is None
    (board,) = leaderboards([record("vae", modality=modality, samples="x.npz", scores={"fd_lenet": 1.0})])
    assert gallery(board, tmp_path) == []


def test_what_a_model_made_is_what_is_shown(tmp_path: Path) -> None:
    """From samples through the file to the page's picture: every pixel."""
    home, dataset = modality_of("image"), made_up("image")
    levels: Tensor = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    stored = home.stored(Batch(levels.float() / 127.5 - 1), dataset.spec)
    sheet = pixels(shown("image", io.BytesIO(home.packed(stored, dataset)[1])))
    assert (sheet[::7, ::7, 0] == levels[0, 0].numpy()).all()
