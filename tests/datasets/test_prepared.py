"""Pictures of any source, prepared: what is wrong is found and told, memory stays flat, a second start is instant."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench import DataError, SuiteError, modality_of
from bench.datasets import _content
from bench.datasets._findings import (
    GROUPS,
    LABELS,
    LEAK,
    NEAR_LEAK,
    NEARLY,
    TWICE,
    UNDECODABLE,
    UNLIKE,
    WRONG_MODE,
    Preparation,
)
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.engine.worker import run_trial
from bench.registry import registry
from tests.datasets.test_brought import rows, splits, write
from tests.datasets.test_stages import picture, saved_anew
from tests.suites import IMAGE_FAMILY

PICTURES = np.stack([picture(24, 24, seed).transpose(1, 2, 0) for seed in range(40)])

QUICK: dict[str, Any] = {
    "metrics": ["sample_throughput"], "controls": False, "budget": {"samples": 3}, "generators": {"noise": {}},
}  # fmt: skip


def make(source: str, **options: Any) -> Any:
    return registry.get("datasets", source).make(**options)


@pytest.fixture
def mess(tmp_path: Path) -> Path:
    """Thirty pictures to learn from and ten held out, and of each thing that can be wrong one or two."""
    names = [f"{'train' if i < 30 else 'test'}/{'ab'[i % 2]}/{i}.png" for i in range(40)]
    folder = write(tmp_path / "mess", PICTURES, names)
    (folder / "train/a/cut.png").write_bytes((folder / "train/a/2.png").read_bytes()[:200])
    (folder / "train/a/empty.jpg").write_bytes(b"")
    Image.fromarray(np.full((24, 24), 40_000, np.uint16)).save(folder / "train/a/deep.png")
    Image.fromarray(np.zeros((24, 24, 4), np.uint8)).save(folder / "train/b/clear.png")
    write(folder, PICTURES[[4, 5]], ["train/a/twice4.png", "train/b/twice5.png"])
    write(folder, PICTURES[[31, 33]], ["train/b/leak31.png", "train/b/leak33.png"])
    for i, name in ((6, "train/a/anew6.png"), (35, "train/b/anew35.png")):
        write(folder, saved_anew(PICTURES[i].transpose(2, 0, 1)).transpose(1, 2, 0)[None], [name])
    return folder


class TestCleaning:
    def test_all_that_is_wrong_is_found_counted_named_and_dropped(self, mess: Path) -> None:
        data = make(f"folder:{mess}")
        assert {f.what: (f.count, f.of, f.dropped) for f in data.prepared.findings} == {
            UNDECODABLE: (2, 50, True),
            WRONG_MODE: (2, 50, True),
            TWICE: (2, 50, True),
            LEAK: (2, 50, True),
            NEARLY: (1, 50, True),
            NEAR_LEAK: (1, 50, True),
        }
        named = {f.what: [name for name, _ in f.examples] for f in data.prepared.findings}
        assert sorted(named[UNDECODABLE]) == ["train/a/cut.png", "train/a/empty.jpg"]
        assert sorted(named[WRONG_MODE]) == ["train/a/deep.png", "train/b/clear.png"]
        pairs = {f.what: f.examples for f in data.prepared.findings if f.pairs}
        assert pairs[LEAK] == (("train/b/leak31.png", "test/b/31.png"), ("train/b/leak33.png", "test/b/33.png"))
        assert pairs[NEARLY] == (("train/a/anew6.png", "train/a/6.png"),)
        assert (len(data.train) + len(data.valid), len(data.test)) == (30, 10)
        assert sorted(row for s in splits(data) for row in rows(s)) == sorted(
            x.contiguous().numpy().tobytes() for x in torch.from_numpy(PICTURES).permute(0, 3, 1, 2).float() / 127.5 - 1
        )
        order = [f.what for f in data.prepared.findings if f.pairs for _ in f.examples]
        same = [bool((one == other).all()) for one, other in data.found]
        assert same == [what in (TWICE, LEAK) for what in order]

    def test_it_stands_in_every_record_and_is_said_nowhere_else(
        self, mess: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        table = {**QUICK, "datasets": {"mine": {"source": f"folder:{mess}"}}}
        for _ in range(2):
            (plan,) = plan_trials(check_suite(table, "test"), "cpu")
            told = "\n".join(run_trial(plan, tmp_path / "out").remarks)
            assert f"folder:{mess}: 2 of 50 are in two splits: train/b/leak31.png (test/b/31.png), " in told
            assert told.count("dropped") == 6 and not caplog.records

    @pytest.mark.parametrize("clean", ["drop", "keep"])
    def test_of_those_that_are_the_same_under_several_labels_none_stays(self, clean: str, tmp_path: Path) -> None:
        folder = write(tmp_path / "x", PICTURES, [f"{'ab'[i % 2]}/{i}.png" for i in range(40)])
        write(folder, PICTURES[[4, 6]], ["a/same.png", "b/other.png"])
        write(folder, saved_anew(PICTURES[8].transpose(2, 0, 1)).transpose(1, 2, 0)[None], ["b/anew.png"])
        data = make(f"folder:{folder}", clean=clean)
        (finding,) = (f for f in data.prepared.findings if f.what == LABELS)
        assert (finding.count, finding.of, finding.dropped) == (4, 43, clean == "drop")
        assert finding.examples == (
            ("a/6.png: a", "b/other.png: b"),
            ("a/8.png: a", "b/anew.png: b"),
            ("b/anew.png: b", "a/8.png: a"),
            ("b/other.png: b", "a/6.png: a"),
        )
        assert len(data.found) == 5  # and that of those that agree
        (twice,) = (f for f in data.prepared.findings if f.what == TWICE)
        assert twice.count == 1 and sum(map(len, splits(data))) == (38 if clean == "drop" else 43)
        assert ("none of them stays" in finding.told) == (clean == "drop")

    def test_what_is_held_out_stays_under_its_label_and_what_is_learned_from_goes(self, tmp_path: Path) -> None:
        names = [f"{'train' if i < 30 else 'test'}/{'ab'[i % 2]}/{i}.png" for i in range(40)]
        folder = write(tmp_path, PICTURES, names)
        write(folder, PICTURES[[32, 33]], ["train/b/x32.png", "train/b/x33.png"])  # 32 is held out under a
        data = make(f"folder:{folder}")
        told = {f.what: (f.count, f.dropped, f.examples) for f in data.prepared.findings}
        assert told[UNLIKE] == (1, False, (("test/a/32.png: a", "train/b/x32.png: b"),))
        assert told[LEAK][:2] == (2, True) and len(data.test) == 10 and LABELS not in told

    def test_without_labels_for_all_none_is_contested(self, tmp_path: Path) -> None:
        folder = write(tmp_path, PICTURES, [f"a/{i}.png" if i < 39 else "39.png" for i in range(40)])
        write(folder, PICTURES[:1], ["b/same.png"])
        assert {f.what: f.count for f in make(f"folder:{folder}").prepared.findings} == {TWICE: 1}

    def test_what_is_left_out_is_counted_once(self, mess: Path) -> None:
        """Whatever is wrong with it: twice, under another label, and nearly the same as a third."""
        write(mess, PICTURES[[4, 8, 35]], ["train/b/twin4.png", "train/b/twin8.png", "train/a/leak35.png"])
        data = make(f"folder:{mess}")
        gone = data.prepared.held - sum(map(len, splits(data)))
        assert sum(data.prepared.left_out.values()) == gone == 10 + 3 + 2  # both that twins of others' labels are like

    @pytest.mark.parametrize("better", ["a.png", "z.png"])
    def test_of_two_that_were_saved_in_different_ways_the_better_stays(self, better: str, tmp_path: Path) -> None:
        """Whichever comes first by name: the larger, then the one that lost nothing."""
        write(tmp_path, PICTURES[1:], [f"{i}.png" for i in range(1, 40)])
        picture = Image.fromarray(PICTURES[0])
        picture.save(tmp_path / better)
        picture.save(tmp_path / "m.jpg", quality=90)
        (finding,) = make(f"folder:{tmp_path}").prepared.findings
        assert (finding.what, finding.examples) == (NEARLY, (("m.jpg", better),))
        assert finding.told.endswith("(the largest stays, then one saved without loss, then the first)")
        picture.resize((96, 96), Image.Resampling.BICUBIC).save(tmp_path / "n.jpg", quality=95)
        (finding,) = make(f"folder:{tmp_path}", size=24).prepared.findings
        assert dict(finding.examples) == {"m.jpg": "n.jpg", better: "n.jpg"}

    @pytest.mark.parametrize("clean", ["drop", "refuse"])
    def test_modes_that_are_converted_are_told_and_stay(self, clean: str, tmp_path: Path) -> None:
        write(tmp_path, PICTURES[:20], [f"{i}.png" for i in range(20)])
        for i, mode in ((20, "CMYK"), (21, "CMYK"), (22, "P"), (23, "RGBA"), (24, "L")):
            suffix = "jpg" if mode == "CMYK" else "png"
            Image.fromarray(PICTURES[i]).convert(mode).save(tmp_path / f"{i}.{suffix}")
        data = make(f"folder:{tmp_path}", clean=clean)
        told = {f.what: (f.count, [name for name, _ in f.examples], f.became) for f in data.prepared.findings}
        assert told == {
            "are of mode CMYK (a colour profile is not applied)": (2, ["20.jpg", "21.jpg"], "converted to RGB"),
            "are of mode P (a palette)": (1, ["22.png"], "converted to RGB"),
            "are of mode RGBA (an alpha channel, opaque)": (1, ["23.png"], "converted to RGB"),
        }
        assert sum(map(len, splits(data))) == 25 and data.prepared.left_out == {}
        assert any("converted to grey" in f.told for f in make(f"folder:{tmp_path}", mode="L").prepared.findings)

    def test_how_far_it_is_is_said_where_decoding_takes_long(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bench.datasets._preparing.PAUSE", 0.0)
        caplog.set_level("INFO", "genbench")
        source = f"folder:{write(tmp_path / 'x', PICTURES, [f'{i}.png' for i in range(40)])}"
        make(source)
        assert "pictures decoded: 39 of 40" in caplog.messages[-1] and "are decoded, once" not in caplog.text
        caplog.clear()
        make(source)
        assert not caplog.records
        monkeypatch.setattr("bench.datasets._preparing.MANY", 40)
        make(source, size=8)
        assert caplog.messages[0].endswith("x: 40 pictures are decoded, once: they are kept")
        (plan,) = plan_trials(check_suite({**QUICK, "datasets": {"mine": {"source": source}}}, "test"), "cpu")
        monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "emptied"))
        remarks = run_trial(plan, tmp_path / "out").remarks
        assert "pictures decoded" in caplog.text and "decoded" not in "\n".join(remarks)

    def test_refused_it_is_one_message_that_names_everything(self, mess: Path) -> None:
        with pytest.raises(DataError) as caught:
            make(f"folder:{mess}", clean="refuse")
        for words in (UNDECODABLE, WRONG_MODE, TWICE, LEAK, NEARLY, NEAR_LEAK):  # of one it "is", of several they "are"
            assert words.split(" ", 1)[1] in str(caught.value)
        assert "train/a/cut.png" in str(caught.value) and 'clean = "drop"' in str(caught.value)
        assert make(f"folder:{write(mess / 'clean', PICTURES)}", clean="refuse").prepared.findings == ()

    def test_kept_it_stays_but_what_cannot_be_read(self, mess: Path) -> None:
        with pytest.raises(DataError, match=r"cannot read train/a/cut\.png: it is truncated"):
            make(f"folder:{mess}", clean="keep")
        for name in ("train/a/cut.png", "train/a/empty.jpg", "train/a/deep.png", "train/b/clear.png"):
            (mess / name).unlink()
        data = make(f"folder:{mess}", clean="keep")
        assert len(data.train) + len(data.valid) == 36 and not any(f.dropped for f in data.prepared.findings)

    def test_near_ones_stay_where_they_are_wanted(self, mess: Path) -> None:
        data = make(f"folder:{mess}", near=False)
        assert {f.what for f in data.prepared.findings} == {UNDECODABLE, WRONG_MODE, TWICE, LEAK}

    def test_nothing_readable_says_why(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"no picture")
        with pytest.raises(DataError, match=r"holds no picture that can be read: a\.png \(it is empty, damaged"):
            make(f"folder:{tmp_path}")


class TestFormats:
    def test_sizes_fits_and_modes_are_options(self, tmp_path: Path) -> None:
        write(tmp_path, PICTURES[:20])
        Image.fromarray(PICTURES[21][:12]).save(tmp_path / "wide.png")
        prints = set()
        for fit in ("crop", "pad", "stretch"):
            for mode in ("L", "RGB"):
                data = make(f"folder:{tmp_path}", size=16, fit=fit, mode=mode)
                assert data.spec.shape == ({"L": 1, "RGB": 3}[mode], 16, 16)
                prints.add(data.fingerprint)
        assert len(prints) == 6

    @pytest.mark.parametrize("first", ["grey", "colour"])
    def test_grey_among_colours_is_repeated_whichever_comes_first(self, first: str, tmp_path: Path) -> None:
        grey = PICTURES[:3, :, :, 0]
        for i, pixels in enumerate([*grey, *PICTURES[3:20]] if first == "grey" else [*PICTURES[3:20], *grey]):
            Image.fromarray(pixels).save(tmp_path / f"{i:02d}.png")
        data = make(f"folder:{tmp_path}")
        held = torch.cat([s.pixels for s in splits(data)])
        assert data.spec.shape[0] == 3 and sum(bool((x[0] == x[1]).all() and (x[0] == x[2]).all()) for x in held) == 3
        assert "3 of 20 pictures are grey, the others RGB: grey is repeated to RGB" in data.prepared.remarks

    def test_denoising_is_off_and_where_it_is_on_part_of_the_identity(self, tmp_path: Path) -> None:
        write(tmp_path, PICTURES[:20])
        prints = {make(f"folder:{tmp_path}", denoise=how).fingerprint for how in (None, "median", "non-local-means")}
        assert len(prints) == 3

    def test_wrong_options_are_told_with_the_suite(self, tmp_path: Path) -> None:
        options: dict[str, Any] = {"clean": "mop", "fit": "squeeze", "size": 0, "denoise": "repair", "near": 3}
        table = {
            "datasets": {"mine": {"source": f"folder:{tmp_path}", **options}},
            "generators": {IMAGE_FAMILY: {}},
        }
        with pytest.raises(SuiteError) as caught:
            check_suite(table, "x")
        assert all(f"datasets.mine.{name} = " in str(caught.value) for name in options)

    def test_a_pattern_that_is_none_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"group = '\(' is no regular expression"):
            make(f"folder:{write(tmp_path, PICTURES)}", group="(")


class TestGroups:
    def test_they_never_straddle_splits(self, tmp_path: Path) -> None:
        write(tmp_path, PICTURES, [f"patient{i % 13}_{i}.png" for i in range(40)])
        data = make(f"folder:{tmp_path}", group=r"patient(\d+)_", valid=0.2, test=0.2)
        of = {np.ascontiguousarray(x.transpose(2, 0, 1)).tobytes(): i % 13 for i, x in enumerate(PICTURES)}
        groups = [{of[x.tobytes()] for x in s.pixels.numpy()} for s in splits(data)]
        assert all(groups) and len(set.union(*groups)) == sum(map(len, groups)) == 13

    def test_those_that_were_set_apart_wrongly_are_found(self, tmp_path: Path) -> None:
        names = [f"{'train' if i < 30 else 'test'}/p{i % 35}_{i}.png" for i in range(40)]
        data = make(f"folder:{write(tmp_path, PICTURES, names)}", group=r"p(\d+)_")
        (finding,) = data.prepared.findings
        assert (finding.what, finding.count) == (GROUPS, 5)

    def test_a_group_that_no_example_is_of_is_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", images=PICTURES)
        for source in (f"folder:{write(tmp_path / 'pictures', PICTURES)}", f"npz:{tmp_path / 'x.npz'}"):
            with pytest.raises(DataError, match="group = 'patient' finds no key in any example"):
                make(source, group="patient")

    def test_what_is_the_same_in_two_groups_joins_them(self, tmp_path: Path) -> None:
        twice = np.concatenate([PICTURES, PICTURES[:13]])
        names = [f"g{i % 13}_{i}.png" if i < 40 else f"g{(i + 1) % 13}_{i}.png" for i in range(53)]
        with pytest.raises(DataError, match="so few groups, that it cannot be split"):  # each is joined to the next
            make(f"folder:{write(tmp_path, twice, names)}", group=r"g(\d+)_", clean="keep")


def spoil(folder: Path) -> None:
    """Write other bytes into every file, as many, and set the clock back: who opens one would notice."""
    for path in folder.rglob("*.png"):
        about = path.stat()
        path.write_bytes(b"x" * about.st_size)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


class TestCache:
    def test_a_second_start_opens_no_file_of_the_source(self, tmp_path: Path) -> None:
        source = f"folder:{write(tmp_path / 'pictures', PICTURES)}"
        first = make(source)
        spoil(tmp_path / "pictures")
        again = make(source)
        assert again.fingerprint == first.fingerprint and all(
            rows(one) == rows(other) for one, other in zip(splits(first), splits(again), strict=True)
        )

    def test_nor_does_planning_or_a_process_of_its_own_and_none_takes_a_hash_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = f"folder:{write(tmp_path / 'pictures', PICTURES)}"
        wanted = make(source).fingerprint
        spoil(tmp_path / "pictures")
        for hashing in ("add", "add_rows"):
            monkeypatch.setattr(_content.Fingerprint, hashing, None)
        table = {
            "metrics": ["mse"],
            "budget": {"samples": 3},
            "datasets": {"mine": {"source": source}},
            "generators": {IMAGE_FAMILY: {}},
        }
        assert {plan.fingerprint for plan in plan_trials(check_suite(table, "x"), "cpu")} == {wanted}
        code = f"from bench.registry import registry; print(registry.get('datasets', {source!r}).make().fingerprint)"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert told.strip() == wanted

    def test_a_file_that_changed_is_another_source(self, tmp_path: Path) -> None:
        source = f"folder:{write(tmp_path, PICTURES)}"
        before = make(source).fingerprint
        write(tmp_path, 255 - PICTURES[:1])
        assert make(source).fingerprint != before

    def test_what_was_cut_off_is_made_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
        source = f"folder:{write(tmp_path / 'pictures', PICTURES)}"
        first = make(source)
        (kept,) = (tmp_path / "cache" / "datasets").iterdir()
        for name, content in (("train.npy", b""), ("manifest.json", b"{}"), ("found.npy", b"x")):
            (kept / name).unlink()  # and not cut while it is mapped
            (kept / name).write_bytes(content)
            assert make(source).fingerprint == first.fingerprint and rows(make(source).train) == rows(first.train)
        assert kept.stat().st_mode & 0o777 == 0o700

    def test_labels_of_another_length_are_made_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
        names = [f"{'ab'[i % 2]}/{i}.png" for i in range(40)]
        source = f"folder:{write(tmp_path / 'pictures', PICTURES, names)}"
        wanted = make(source).train.labels.tolist()
        (kept,) = (tmp_path / "cache" / "datasets").iterdir()
        np.save(kept / "train_labels.npy", np.zeros(3, np.int64))
        assert make(source).train.labels.tolist() == wanted

    def test_what_another_user_keeps_there_is_not_believed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
        source = f"folder:{write(tmp_path / 'pictures', PICTURES)}"
        wanted = rows(make(source).train)
        (kept,) = (tmp_path / "cache" / "datasets").iterdir()
        (kept / "train.npy").unlink()
        np.save(kept / "train.npy", np.zeros((32, 3, 24, 24), np.uint8))
        assert rows(make(source).train) != wanted  # one's own is taken as it is
        mine = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
        assert rows(make(source).train) == wanted and "it belongs to another user" in caplog.text

    def test_without_a_cache_it_is_decoded_each_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = f"folder:{write(tmp_path / 'pictures', PICTURES)}"
        kept = make(source).fingerprint
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "file" / "cache"))
        data = make(source)
        assert data.fingerprint == kept and len(rows(data.train)) == 32
        assert "data cannot be kept in" in caplog.text

    def test_what_is_done_to_a_batch_or_to_all_of_it_stays_in_the_process(self, tmp_path: Path) -> None:
        source = f"folder:{write(tmp_path, PICTURES)}"
        data = make(source)
        held: Any = modality_of(data.spec).held(data, "train")
        assert held.data_ptr() == data.train.pixels.data_ptr()  # nobody copies what is mapped
        held.zero_()
        assert make(source).train.stored.any()

    def test_the_manifest_is_what_the_dataset_says(self, tmp_path: Path) -> None:
        data = make(f"folder:{write(tmp_path, PICTURES)}")
        about = data.prepared
        assert Preparation.model_validate_json(json.dumps(about.model_dump())) == about
        assert about.sizes == {"24x24": 40} and about.splits == {"train": 32, "valid": 4, "test": 4}


PEAK = """
import resource, sys
from bench.registry import registry
peaks = []
for source in sys.argv[1:]:
    data = registry.get("datasets", source).make()
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(*peaks, len(data.train))
"""


def shard(path: Path, n: int, side: int) -> str:
    """Pictures of noise in a tar, as bitmaps, which take as much as their pixels; ``side`` is a multiple of four."""
    buffer, rng = io.BytesIO(), np.random.default_rng(0)
    Image.new("RGB", (side, side)).save(buffer, "bmp")
    head = buffer.getvalue()[: -3 * side * side]
    with tarfile.open(path, "w") as archive:
        for i in range(n):
            about = tarfile.TarInfo(f"{i}.bmp")
            about.size = len(buffer.getvalue())
            archive.addfile(about, io.BytesIO(head + rng.bytes(3 * side * side)))
            archive.members = []  # type: ignore[attr-defined]
    return f"webdataset:{path}"


def peaks(*sources: str) -> list[int]:
    """Memory of a process in bytes at its highest, after each of these."""
    told = subprocess.run([sys.executable, "-c", PEAK, *sources], capture_output=True, text=True, check=True).stdout
    scale = 1 if sys.platform == "darwin" else 1024
    return [scale * int(word) for word in told.split()[: len(sources)]]


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    few, many = shard(tmp_path / "few.tar", 300, 64), shard(tmp_path / "many.tar", 2300, 64)
    first, then = peaks(few, many)
    assert then - first < 2000 * 64 * 64 * 3 / 4


@pytest.mark.slow
def test_memory_stays_flat_for_two_hundred_thousand(tmp_path: Path) -> None:
    few, many = shard(tmp_path / "few.tar", 2000, 32), shard(tmp_path / "many.tar", 200_000, 32)
    first, then = peaks(few, many)
    assert then - first < 200_000 * 32 * 32 * 3 / 6
