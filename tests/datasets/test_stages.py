"""The three stages, each against what is known of it: formats, noise, and what stands twice."""

from __future__ import annotations

import io
import re
import unicodedata
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from cleanfid.resize import make_resizer
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench import DataError
from bench.datasets._alike import RADIUS, _candidates, glances, near_pairs, perceptual_hashes, thumbs
from bench.datasets._clean import Looks, straddling, twins
from bench.datasets._denoise import median, noise_level, non_local_means, repair, spectral_gating
from bench.datasets._findings import LEAK, TWICE
from bench.datasets._format import fitted, in_mode, resize, to_levels
from bench.datasets.digits import digits

RNG = np.random.default_rng(0)
RATE = 8000


def picture(height: int = 64, width: int = 64, seed: int = 0) -> np.ndarray:
    """``(3, H, W)``: smooth shapes in colours, as photographs have them."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (8, 8, 1)) + rng.integers(-40, 41, (8, 8, 3))  # light differs more than tint
    coarse = Image.fromarray(colours.clip(0, 255).astype(np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(smooth.transpose(2, 0, 1))


def saved_anew(pixels: np.ndarray, quality: int = 75, side: int | None = None) -> np.ndarray:
    """As a JPEG, of another size on the way."""
    image, buffer = Image.fromarray(pixels.transpose(1, 2, 0)), io.BytesIO()
    small = image.resize((side, side), Image.Resampling.BICUBIC) if side else image
    small.save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer).resize(image.size, Image.Resampling.BICUBIC)).transpose(2, 0, 1)


class TestFormat:
    @pytest.mark.parametrize("size", [(64, 48), (17, 40), (300, 200)])
    @pytest.mark.parametrize("to", [8, 32, 96])
    def test_sizes_change_as_clean_fid_changes_them(self, size: tuple[int, int], to: int) -> None:
        pixels = RNG.integers(0, 256, (3, *size), dtype=np.uint8)
        theirs = make_resizer("PIL", False, "bicubic", (to, to))(pixels.transpose(1, 2, 0)).transpose(2, 0, 1)
        apart = resize(pixels, to, to) - theirs.clip(0, 255)
        assert np.abs(apart).max() <= 0.5 + 1e-3  # half a level: what rounding takes

    def test_a_picture_of_the_right_size_stays_as_it_is(self) -> None:
        pixels = picture(16, 16)
        assert fitted(pixels, 16, "crop") is pixels

    def test_crop_keeps_the_middle_pad_the_whole_and_stretch_all_of_it(self) -> None:
        wide = np.zeros((1, 8, 24), np.uint8)
        wide[:, :, 8:16] = 200
        assert (fitted(wide, 8, "crop") == 200).all()
        padded = fitted(np.full((1, 8, 24), 200, np.uint8), 24, "pad")
        assert (padded[:, 8:16] == 200).all() and not padded[:, :8].any() and not padded[:, 16:].any()
        stretched = fitted(wide, 24, "stretch")
        assert stretched.shape == (1, 24, 24) and (stretched[:, :, 11:13] == 200).all() and not stretched[:, :, 0].any()

    def test_modes(self) -> None:
        pixels = picture(5, 4)
        grey = in_mode(pixels, "L")
        weights = np.array([299, 587, 114])[:, None, None] / 1000
        assert np.abs(grey[0] - (pixels * weights).sum(0)).max() <= 1
        assert np.array_equal(in_mode(grey, "RGB"), np.repeat(grey, 3, 0)) and in_mode(grey, "L") is grey

    def test_ranges_become_levels(self) -> None:
        levels = np.arange(256, dtype=np.uint8)
        assert np.array_equal(to_levels(levels / 255, "0..1", "x"), levels)
        assert np.array_equal(to_levels(levels / 127.5 - 1, "-1..1", "x"), levels)

    @pytest.mark.parametrize("values", ["0..255", "0..1", "-1..1"])
    def test_of_a_wrong_range_it_is_said_what_values_would_fit(self, values: Any) -> None:
        ramp = np.linspace(0, 1, 9, dtype=np.float32)
        for x, fitting, words in (
            (ramp, ("0..1", "-1..1"), 'float32 in [0, 1]: where 0 is black and 1 white, set values = "0..1"'),
            (2 * ramp - 1, ("-1..1",), 'in [-1, 1]: where -1 is black and 1 white, set values = "-1..1"'),
            (255 * ramp, (), "where 255 is white, save them as x.round().astype('uint8') and leave values out"),
            ((255 * ramp).astype(np.uint8), ("0..255",), "where 255 is white, leave values out"),
            (900 * ramp, (), 'scale them so that 0 is black and 1 white, and set values = "0..1"'),
            (np.where(ramp > 0.9, np.nan, ramp), (), "float32: 1 of 9 images hold NaN or infinity: leave them out"),
        ):
            if values in fitting:
                assert to_levels(x, values, "x").max() == 255
                continue
            with pytest.raises(DataError, match=re.escape(words)):
                to_levels(x, values, "x")


class TestDenoise:
    def test_a_median_takes_salt_and_pepper_out(self) -> None:
        flat = np.full((3, 20, 20), 90, np.uint8)
        noisy = flat.copy()
        noisy[:, 3::5, 3::5] = 255
        noisy[:, 1::5, 1::5] = 0
        assert np.array_equal(median(noisy), flat)

    def test_noise_is_told_by_its_strength(self) -> None:
        for sigma in (5, 15):
            noisy = np.clip(128 + sigma * RNG.normal(size=(1, 128, 128)), 0, 255).astype(np.uint8)
            assert abs(noise_level(noisy) / sigma - 1) < 0.1
        assert noise_level(np.full((1, 9, 9), 7, np.uint8)) == noise_level(np.zeros((1, 2, 2), np.uint8)) == 0

    def test_non_local_means_bring_a_picture_nearer_to_what_it_was(self) -> None:
        clean = picture(48, 48).astype(np.float64)
        noisy = np.clip(clean + 15 * RNG.normal(size=clean.shape), 0, 255).astype(np.uint8)
        before, after = (np.square(x - clean).mean() for x in (noisy.astype(np.float64), non_local_means(noisy)))
        assert after < before / 3
        assert np.array_equal(non_local_means(np.full((1, 9, 9), 7, np.uint8)), np.full((1, 9, 9), 7, np.uint8))

    @pytest.mark.parametrize("noise", ["hum", "hiss"])
    def test_gating_raises_the_signal_above_the_noise(self, noise: str) -> None:
        """Tones that come and go, over a noise that stays."""
        t = np.arange(2 * RATE) / RATE
        signal = 0.5 * np.sin(2 * np.pi * 880 * t) * (np.sin(2 * np.pi * 1.5 * t) > 0)
        sounds = {"hum": 0.05 * np.sin(2 * np.pi * 50 * t), "hiss": 0.03 * RNG.normal(size=t.shape)}
        noisy = (signal + sounds[noise]).astype(np.float32)
        clean = spectral_gating(np.stack([noisy, noisy]))
        assert clean.shape == (2, len(t)) and clean.dtype == np.float32 and np.array_equal(clean[0], clean[1])
        before, after = (
            10 * np.log10(np.square(signal).mean() / np.square(x - signal).mean()) for x in (noisy, clean[0])
        )
        assert after > before + 5

    def test_what_is_too_short_to_be_gated_stays(self) -> None:
        short = RNG.normal(size=700).astype(np.float32)
        assert spectral_gating(short) is short

    @pytest.mark.parametrize("text", ["größer", "naïve café", "日本語", "“so” — he said…", "Ünïcödé €5", "Ł ść ð"])
    def test_text_that_was_read_wrongly_is_read_again(self, text: str) -> None:
        def wrong(byte: int) -> str:
            try:
                return bytes([byte]).decode("cp1252")
            except UnicodeDecodeError:
                return chr(byte)

        assert repair("".join(map(wrong, text.encode()))) == text

    def test_controls_go_and_ends_of_lines_are_one(self) -> None:
        assert repair("\ufeffa\x00b\x1b[0m\r\nc\rd\te\x7f") == "ab[0m\nc\nd\te"
        assert repair("e\u0301") == "é"

    @given(st.text())
    def test_repaired_text_is_repaired_for_good(self, text: str) -> None:
        plain = "".join(c for c in text if c.isascii() and c.isprintable())
        assert repair(plain) == plain
        assert unicodedata.is_normalized("NFC", repair(text))


class TestAlike:
    def test_every_pair_within_reach_is_a_candidate(self) -> None:
        """Against all pairs: random hashes, and some with up to 7 bits turned."""
        hashes = RNG.integers(0, 2**64, 400, dtype=np.uint64)
        for place in range(200):
            bits = RNG.choice(64, place % (RADIUS + 3), replace=False).astype(np.uint64)
            hashes[place + 200] = hashes[place] ^ np.bitwise_or.reduce(np.uint64(1) << bits, initial=np.uint64(0))
        found = {tuple(pair) for pairs in _candidates(hashes) for pair in pairs.tolist()}
        wanted = {(i, j) for i, j in combinations(range(400), 2) if int(hashes[i] ^ hashes[j]).bit_count() <= RADIUS}
        assert found == wanted and len(wanted) >= 150

    def test_what_was_saved_anew_is_found_and_nothing_else(self) -> None:
        pictures = [picture(seed=seed) for seed in range(60)]
        again = [saved_anew(pictures[0]), saved_anew(pictures[1], 50), saved_anew(pictures[2], 90, 40)]
        assert pairs_in(np.stack([*pictures, *again])) == [(0, 60), (1, 61), (2, 62)]

    def test_fine_texture_that_was_saved_anew_is_found_too(self) -> None:
        noise = [(128 + 20 * RNG.normal(size=(1, 256, 256))).clip(0, 255).astype(np.uint8) for _ in range(10)]
        pictures = [np.repeat(x, 3, 0) for x in noise]
        found = pairs_in(np.stack([*pictures, *(saved_anew(x, 90, 192) for x in pictures)]))
        assert found == [(i, i + 10) for i in range(10)]

    def test_another_colour_is_another_picture(self) -> None:
        x = picture()
        assert pairs_in(np.stack([x, in_mode(in_mode(x, "L"), "RGB"), x[::-1], np.roll(x, 3, axis=2)])) == []

    def test_digits_are_all_different_however_alike(self) -> None:
        data = digits()
        assert pairs_in(torch.cat([s.pixels for s in (data.train, data.valid, data.test)]).numpy()) == []

    def test_flat_pictures_are_told_by_more_than_their_hash(self) -> None:
        flat = [np.full((3, 16, 16), level, np.uint8) for level in range(0, 256, 5)]
        ramps = [np.broadcast_to(np.linspace(0, top, 16).astype(np.uint8), (3, 16, 16)) for top in (100, 200)]
        assert pairs_in(np.stack([*flat, *ramps])) == []

    def test_flat_and_dark_pictures_of_neighbouring_levels_differ(self) -> None:
        flat = [np.full((3, 16, 16), level, np.uint8) for level in range(256)]
        dark = [np.where(RNG.random((1, 16, 16)) < 0.1, level + 2, level).astype(np.uint8) for level in range(10)]
        assert pairs_in(np.stack([*flat, *(np.repeat(x, 3, 0) for x in dark)])) == []

    def test_a_brighter_picture_is_another_one_and_a_faint_one_saved_anew_the_same(self) -> None:
        faint = [(picture(seed=seed) // 10 + 100).astype(np.uint8) for seed in range(20)]
        assert pairs_in(np.stack([*faint, *(x + 12 for x in faint)])) == []
        assert pairs_in(np.stack([*faint, *map(saved_anew, faint)])) == [(i, i + 20) for i in range(20)]


def pairs_in(pictures: np.ndarray) -> list[tuple[int, int]]:
    small = thumbs(torch.from_numpy(np.ascontiguousarray(pictures)))
    pairs = near_pairs(perceptual_hashes(small), glances(small), lambda rows: small[torch.from_numpy(rows)])
    return [(int(one), int(other)) for one, other in pairs]


class TestTwins:
    def looks(self, pictures: np.ndarray) -> Looks:
        return Looks.of([pictures], len(pictures), near=True)

    def test_the_first_stays_and_what_is_held_out_stays_before_it(self) -> None:
        x = np.stack([picture(seed=seed) for seed in (0, 1, 0, 2, 1)])
        alone = twins(self.looks(x), None, lambda rows: x[rows])
        assert [(t.row, t.stays, t.what) for t in alone] == [(2, 0, TWICE), (4, 1, TWICE)]
        apart = twins(self.looks(x), ["train", "train", "test", "train", "valid"], lambda rows: x[rows])
        assert [(t.row, t.stays, t.what) for t in apart] == [(0, 2, LEAK), (1, 4, LEAK)]

    def test_a_chain_of_near_ones_leaves_one(self) -> None:
        x = np.stack([picture(), saved_anew(picture(), 80), saved_anew(picture(), 60), picture(seed=9)])
        found = twins(self.looks(x), None, lambda rows: x[rows])
        assert [(t.row, t.stays) for t in found] == [(1, 0), (2, 0)]

    def test_groups_in_two_splits_lose_their_part_in_training(self) -> None:
        found = straddling(["a", "a", "b", None, "b"], ["train", "test", "train", "train", "train"], {0})
        assert found == []
        (twin,) = straddling(["a", "a", "b", None, "b"], ["train", "test", "train", "train", "train"], ())
        assert twin[:2] == (0, 1)
