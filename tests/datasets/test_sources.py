"""Tables, the Hub, torchvision's sets and shards: what each says of splits, classes and groups, and what it refuses."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

import bench
from bench import DataError, UnknownName
from bench.datasets._findings import UNDECODABLE
from bench.datasets._items import split_word
from bench.registry import registry
from tests.datasets.test_brought import rows, splits
from tests.datasets.test_promises import write_mnist

PICTURES = np.random.default_rng(1).integers(0, 256, (30, 6, 6, 3), dtype=np.uint8)


def make(source: str, **options: Any) -> Any:
    return registry.get("datasets", source).make(**options)


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def table(pictures: np.ndarray = PICTURES, **more: Any) -> pyarrow.Table:
    return pyarrow.table({"image": [{"bytes": encoded(x), "path": None} for x in pictures], **more})


def named_classes(found: pyarrow.Table, names: list[str]) -> pyarrow.Table:
    """As Hugging Face's libraries say it."""
    about = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    return found.replace_schema_metadata({"huggingface": json.dumps(about)})


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("data/train-00000-of-00002.parquet", "train"),
        ("validation/0000.parquet", "validation"),
        ("imagenet1k-val-0001.tar", "val"),
        ("cats/0.parquet", ""),
        ("testing.parquet", ""),
    ],
)
def test_a_split_is_told_by_a_word_of_its_own(path: str, word: str) -> None:
    assert split_word(Path(path)) == word


class TestParquet:
    def test_splits_labels_and_their_names(self, tmp_path: Path) -> None:
        for split, some in (("train", slice(0, 20)), ("validation", slice(20, 25)), ("test", slice(25, 30))):
            x = PICTURES[some]
            found = named_classes(table(x, label=[i % 2 for i in range(len(x))]), ["cat", "dog", "emu"])
            pyarrow.parquet.write_table(found, tmp_path / f"{split}-00000-of-00001.parquet")
        data = make(f"parquet:{tmp_path}")
        assert [len(s) for s in splits(data)] == [20, 5, 5]
        assert data.spec.classes == 3 and data.prepared.classes == ("cat", "dog", "emu")
        assert data.test.labels.tolist() == [0, 1, 0, 1, 0]

    def test_labels_that_are_hidden_are_left_out_and_that_is_said(self, tmp_path: Path) -> None:
        found = named_classes(table(label=[-1 if i % 3 == 0 else 0 for i in range(30)]), ["cat"])
        pyarrow.parquet.write_table(found, tmp_path / "a.parquet")
        data = make(f"parquet:{tmp_path / 'a.parquet'}")
        assert data.spec.classes is None
        assert "10 of 30 pictures have no label: those of the others are left out" in data.prepared.remarks

    def test_columns_that_may_be_labels_are_named_where_none_is_taken(self, tmp_path: Path) -> None:
        few, captions = [i % 3 for i in range(30)], [f"no. {i}" for i in range(30)]
        also: dict[str, Any] = {"licence": ["free"] * 30, "species": few, "order": few, "genus": few, "colour": few}
        found = table(id=[*range(30)], caption=captions, **also)
        pyarrow.parquet.write_table(found, tmp_path / "a.parquet")
        (remark,) = make(f"parquet:{tmp_path / 'a.parquet'}").prepared.remarks
        assert (
            remark.startswith("no column is named as labels are (label, ")
            and "of species, order, genus, say which" in remark
        )
        data = make(f"parquet:{tmp_path / 'a.parquet'}", label="species")
        assert data.spec.classes == 3 and not data.prepared.remarks

    def test_plain_bytes_are_pictures_too_and_a_set_is_what_it_is_wherever_it_lies(self, tmp_path: Path) -> None:
        pyarrow.parquet.write_table(table(), tmp_path / "a.parquet")
        pyarrow.parquet.write_table(pyarrow.table({"png": list(map(encoded, PICTURES))}), tmp_path / "b.parquet")
        np.savez(tmp_path / "c.npz", images=PICTURES)
        sources = (
            f"parquet:{tmp_path / 'a.parquet'}",
            f"parquet:{tmp_path / 'b.parquet'}",
            f"npz:{tmp_path / 'c.npz'}",
        )
        assert len({make(source).fingerprint for source in sources}) == 1

    def test_groups_are_a_column(self, tmp_path: Path) -> None:
        who = [f"p{i % 9}" for i in range(30)]
        pyarrow.parquet.write_table(table(patient=who), tmp_path / "a.parquet")
        data = make(f"parquet:{tmp_path / 'a.parquet'}", group="patient", valid=0.2, test=0.2)
        of = {x.transpose(2, 0, 1).tobytes(): i % 9 for i, x in enumerate(PICTURES)}
        groups = [{of[x.tobytes()] for x in s.pixels.numpy()} for s in splits(data)]
        assert all(groups) and sum(map(len, groups)) == 9

    def test_texts(self, tmp_path: Path) -> None:
        texts = [f"text {i} says {i * i}" for i in range(40)]
        pyarrow.parquet.write_table(pyarrow.table({"text": [*texts, texts[0]]}), tmp_path / "a.parquet")
        data = make(f"parquet:{tmp_path / 'a.parquet'}", window=8)
        assert sorted("".join(data.text(s) for s in ("train", "valid", "test")).split("\n")) == sorted([*texts, ""])
        assert [(f.count, f.of) for f in data.prepared.findings] == [(1, 41)]

    @pytest.mark.parametrize(
        ("columns", "options", "words"),
        [
            ({"n": [1, 2]}, {}, "holds neither encoded pictures nor texts: n int64"),
            ({"text": ["a"]}, {"column": "txt"}, "has no column 'txt'; its columns are text; did you mean 'text'"),
            ({"text": ["a"], "n": [1]}, {"column": "n"}, "'n' is int64, and its data text"),
            ({"text": ["a"]}, {"denoise": "median"}, "denoise = 'median' is not for texts"),
            ({"text": ["a"], "x": [1]}, {"label": "x"}, "label = 'x' is not for texts"),
            ({"text": ["a"]}, {"size": 8}, "size = 8 is not for texts"),
            ({"image": [b"x"], "x": [0.5]}, {"label": "x"}, "'x' is double, no class of each example"),
            ({"image": [b"x"], "x": [1]}, {"label": "y"}, "has no column 'y'; its columns are image, x"),
            (
                {"image": [encoded(x) for x in PICTURES[:12]], "x": pyarrow.nulls(12, pyarrow.int64())},
                {"label": "x"},
                "label = 'x' holds no label: name another column",
            ),
            ({"image": [b"x"] * 12}, {"window": 8}, "window = 8 is not for pictures"),
            ({"image": [b""] * 12}, {"clean": "keep"}, r"cannot read a\.parquet, row 0: it holds no bytes"),
            ({"image": [b"x"] * 12}, {"denoise": "repair"}, "denoise = 'repair' is not for pictures"),
        ],
    )
    def test_what_is_wrong_is_told(
        self, columns: Mapping[str, list[Any]], options: dict[str, Any], words: str, tmp_path: Path
    ) -> None:
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
        with pytest.raises(DataError, match=words):
            make(f"parquet:{tmp_path / 'a.parquet'}", **options)

    def test_a_column_that_a_later_table_lacks_is_named_with_that_table(self, tmp_path: Path) -> None:
        pyarrow.parquet.write_table(table(kind=[i % 2 for i in range(30)]), tmp_path / "a-train.parquet")
        pyarrow.parquet.write_table(table(sort=[i % 2 for i in range(30)]), tmp_path / "b-test.parquet")
        with pytest.raises(DataError, match=r"^b-test\.parquet has no column 'kind'; its columns are image, sort$"):
            make(f"parquet:{tmp_path}", label="kind")

    def test_damage_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
        (tmp_path / "x").mkdir()
        with pytest.raises(DataError, match=r"cannot read .*a\.parquet"):
            make(f"parquet:{tmp_path / 'a.parquet'}")
        with pytest.raises(DataError, match="holds no table"):
            make(f"parquet:{tmp_path / 'x'}")


class TestHuggingFace:
    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The Hub's cache, without a network."""

        def unreachable(*given: Any, **options: Any) -> None:
            raise RuntimeError("Network is unreachable")  # of httpx, whose errors are no OSError

        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
        return tmp_path / "hub"

    def keep(self, hub: Path, *names: str, revision: str = "main") -> Path:
        """Tables as the Hub's cache keeps them, and not which others there are."""
        kept = hub / "datasets--a--b"
        (kept / "refs").mkdir(parents=True)
        (kept / "refs" / revision).write_text("1" * 40)
        for name in names:
            path = kept / "snapshots" / ("1" * 40) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(table(), path)
        return kept

    def test_what_the_cache_does_not_know_to_be_all_is_said(self, hub: Path) -> None:
        kept = self.keep(hub, "data/test-0.parquet")
        remarks = make("hf:a/b").prepared.remarks
        assert any("tables here: 1; the Hub's cache does not say whether these are all" in r for r in remarks)
        assert "all is set apart as test: it is split anew" in remarks
        listing = {"format_version": 1, "files": {"data/test-0.parquet": {"size": 1, "blob_id": "0"}}}
        (kept / "trees").mkdir()
        (kept / "trees" / f"{'1' * 40}.json").write_text(json.dumps(listing))
        assert not any("does not say" in remark for remark in make("hf:a/b").prepared.remarks)

    def test_a_revision_that_is_kept_is_found_without_a_network(self, hub: Path) -> None:
        self.keep(hub, "train.parquet", revision="v2")
        assert sum(map(len, splits(make("hf:a/b", revision="v2")))) == 30

    def test_a_card_that_changes_is_another_set(self, tmp_path: Path) -> None:
        for name, some in (("a", PICTURES[:10]), ("b", PICTURES[10:])):
            pyarrow.parquet.write_table(table(some), tmp_path / f"{name}.parquet")
        head = "---\nconfigs:\n- config_name: default\n  data_files:\n"
        sizes = []
        for parts in ({"train": "a", "test": "b"}, {"train": "b", "test": "a"}, {"train": "b", "unsupervised": "a"}):
            files = "".join(f"  - split: {split}\n    path: {name}.parquet\n" for split, name in parts.items())
            (tmp_path / "README.md").write_text(f"{head}{files}---\n")
            data = make(f"hf:{tmp_path}")
            sizes.append([len(s) for s in splits(data)])
        assert sizes == [[9, 1, 20], [18, 2, 10], [16, 2, 2]]
        assert any("is left out: unsupervised" in remark for remark in data.prepared.remarks)

    def test_a_card_says_which_files_are_which(self, tmp_path: Path) -> None:
        for name, some in (("big", PICTURES), ("small", PICTURES[:15])):
            (tmp_path / name).mkdir()
            pyarrow.parquet.write_table(table(some), tmp_path / name / "0.parquet")
        (tmp_path / "README.md").write_text(
            "---\nconfigs:\n- config_name: big\n  data_files:\n  - split: train\n    path: big/*\n"
            "- config_name: small\n  data_files: small/*.parquet\n---\n# Pictures\n"
        )
        sizes = {c: sum(map(len, splits(make(f"hf:{tmp_path}", config=c)))) for c in ("big", "small")}
        assert sizes == {"big": 30, "small": 15}
        for config in ("", "smal"):
            with pytest.raises(
                DataError, match=r"say with config which of them; (there is big, small|did you mean 'small')"
            ):
                make(f"hf:{tmp_path}", config=config)

    def test_lines_of_json_and_csv_are_texts(self, tmp_path: Path) -> None:
        texts = [f"line {i} of many, {i * i}" for i in range(40)]
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "x.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in texts))
        one, other = (make(f"hf:{tmp_path / name}", window=8) for name in "ab")
        assert one.fingerprint == other.fingerprint and rows(one.test) == rows(other.test)

    def test_what_is_not_here_says_which_file_to_put_where(self, hub: Path) -> None:
        with pytest.raises(
            DataError, match=r"set `download = true`.*run `hf download a/b --repo-type dataset --local-dir"
        ):
            registry.get("datasets", "hf:a/b")


class TestTorchvision:
    def test_its_own_splits_stay_apart(self, tmp_path: Path) -> None:
        write_mnist(tmp_path / "MNIST" / "raw", PICTURES[..., 0])
        write_mnist(tmp_path / "FashionMNIST" / "raw", 255 - PICTURES[..., 0])
        plain, other = (make(f"torchvision:{name}", root=str(tmp_path)) for name in ("MNIST", "fashionmnist"))
        assert plain.spec.classes == 10 and plain.spec.shape == (1, 6, 6)
        assert (len(plain.train) + len(plain.valid), len(plain.test)) == (20, 10)
        assert plain.fingerprint != other.fingerprint

    def test_other_names_of_splits_are_known_and_damage_is_dropped(self, tmp_path: Path) -> None:
        base = tmp_path / "oxford-iiit-pet"
        for part in ("images", "annotations"):
            (base / part).mkdir(parents=True)
        for i, pixels in enumerate(PICTURES):
            (base / "images" / f"{i}.jpg").write_bytes(encoded(pixels) if i != 3 else b"no picture")
        for split, some in (("trainval", range(20)), ("test", range(20, 30))):
            (base / "annotations" / f"{split}.txt").write_text("".join(f"{i} {1 + i % 2} 1 1\n" for i in some))
        data = make("torchvision:OxfordIIITPet", root=str(tmp_path))
        assert (len(data.train) + len(data.valid), len(data.test), data.spec.classes) == (19, 10, 2)
        assert [(f.what, [name for name, _ in f.examples]) for f in data.prepared.findings] == [
            (UNDECODABLE, ["train 3"])
        ]
        (base / "annotations" / "trainval.txt").write_text("3 1 1 1\n")
        with pytest.raises(DataError, match="sets test apart, and nothing to train on"):
            make("torchvision:OxfordIIITPet", root=str(tmp_path))

    def test_a_split_that_is_none_of_training_and_test_is_told(self, tmp_path: Path) -> None:
        write_mnist(tmp_path / "EMNIST" / "raw", PICTURES[..., 0])
        for root, download in ((tmp_path, False), (tmp_path / "empty", True)):
            with pytest.raises(DataError, match="EMNIST cannot be used: its `split` is not of training and test"):
                make("torchvision:EMNIST", root=str(root), download=download)

    def test_what_is_not_there_or_none_of_theirs_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no CIFAR10 under .*; set `download = true`"):
            make("torchvision:cifar10", root=str(tmp_path))
        with pytest.raises(DataError, match="torchvision has no set of pictures 'CIFAR11'; did you mean 'CIFAR10'"):
            make("torchvision:CIFAR11")
        (tmp_path / "cifar-10-batches-py").mkdir()
        (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"x")
        with pytest.raises(DataError, match=r"cannot read CIFAR10 in .*set `download = true`"):
            make("torchvision:CIFAR10", root=str(tmp_path))


class TestShards:
    def write(self, path: Path, *, start: int = 0, stop: int = 30, about: bool = True) -> None:
        with tarfile.open(path, "w") as shard:
            for i in range(start, stop):
                parts = {"png": encoded(PICTURES[i])}
                if about:
                    parts["json"] = json.dumps({"label": "ab"[i % 2], "who": i % 9}).encode()
                for suffix, content in parts.items():
                    member = tarfile.TarInfo(f"set/{i:04d}.{suffix}")
                    member.size = len(content)
                    shard.addfile(member, io.BytesIO(content))

    def test_ranges_patterns_and_folders_are_the_same_shards(self, tmp_path: Path) -> None:
        self.write(tmp_path / "s-000.tar", stop=12)
        self.write(tmp_path / "s-001.tar", start=12)
        forms = ("s-{000..001}.tar", "s-*.tar", ".")
        found = [make(f"webdataset:{tmp_path / form}", group="who") for form in forms]
        assert len({data.fingerprint for data in found}) == 1
        assert found[0].prepared.classes == ("a", "b") and sum(map(len, splits(found[0]))) == 30

    def test_shards_are_set_apart_by_their_names(self, tmp_path: Path) -> None:
        for name, start, stop in (("train-0", 0, 20), ("val-0", 20, 25), ("test-0", 25, 30)):
            self.write(tmp_path / f"{name}.tar", start=start, stop=stop, about=False)
        assert [len(s) for s in splits(make(f"webdataset:{tmp_path}"))] == [20, 5, 5]

    def test_texts(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "a.tar", "w") as shard:
            for i in range(20):
                member = tarfile.TarInfo(f"{i}.txt")
                content = f"the text number {i}".encode() + (b"\xff" if i == 3 else b"")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
        source = f"webdataset:{tmp_path / 'a.tar'}"
        data = make(source, window=8)
        assert data.spec.modality == "text" and len(data.text("train").splitlines()) == 16
        assert "bytes that are no UTF-8 are dropped: 1" in data.prepared.remarks
        with pytest.raises(DataError, match="is not UTF-8"):
            make(source, window=8, clean="refuse")
        with pytest.raises(DataError, match="group = 'whom' finds no key in any example"):
            make(source, window=8, group="whom")

    def test_what_is_wrong_is_told(self, tmp_path: Path) -> None:
        self.write(tmp_path / "a.tar")
        whole = (tmp_path / "a.tar").read_bytes()
        (tmp_path / "a.tar").write_bytes(whole[:5000])
        with pytest.raises(DataError, match=r"cannot read .*a\.tar"):
            make(f"webdataset:{tmp_path / 'a.tar'}")
        with pytest.raises(DataError, match="there is no"):
            make(f"webdataset:{tmp_path / 'b-{0..3}.tar'}")
        with tarfile.open(tmp_path / "c.tar", "w") as shard:
            shard.addfile(tarfile.TarInfo("x.npy"))
        with pytest.raises(DataError, match=r"c\.tar holds npy: expected pictures"):
            make(f"webdataset:{tmp_path / 'c.tar'}")


class TestArrays:
    def test_pictures_of_other_ranges_become_levels(self, tmp_path: Path) -> None:
        levels = PICTURES.transpose(0, 3, 1, 2)
        prints = set()
        for values, x in (("0..255", levels), ("0..1", levels / 255), ("-1..1", levels / 127.5 - 1)):
            np.savez(tmp_path / "x.npz", images=x)
            prints.add(make(f"npz:{tmp_path / 'x.npz'}", values=values).fingerprint)
        assert len(prints) == 1

    @pytest.mark.parametrize("lowest", [0, -0.1])
    def test_what_has_no_negative_number_and_is_taken_as_if_it_might_is_told(
        self, lowest: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Where black is 0 all would be too bright by half; and sound swings to both sides."""
        x = np.random.default_rng(0).uniform(0, 1, (20, 1, 8, 8))
        x[0, 0, 0, 0] = lowest
        np.savez(tmp_path / "x.npz", images=x)
        np.savez(tmp_path / "y.npz", waveforms=x.reshape(20, 1, 64).astype(np.float32))
        told = 'no number is below 0, and values = "-1..1": where 0 is black, set values = "0..1"'
        assert (told in bench.inspect(f"npz:{tmp_path / 'x.npz'}", {"values": "-1..1"}).remarks) is (lowest == 0)
        make(f"npz:{tmp_path / 'y.npz'}")
        assert ("y.npz: waveforms are taken as they are, in -1..1: no sample is below 0" in caplog.text) is (
            lowest == 0
        )

    @pytest.mark.parametrize(
        "option", [{"clean": "refuse"}, {"near": False}, {"group": "x"}, {"size": 8}, {"fit": "pad"}, {"mode": "L"}]
    )
    @pytest.mark.parametrize("kind", ["vectors", "waveforms"])
    def test_stages_that_are_of_pictures_alone_are_told(
        self, kind: str, option: dict[str, Any], tmp_path: Path
    ) -> None:
        arrays: dict[str, Any] = {kind: np.zeros((20, 8), np.float32)}
        np.savez(tmp_path / "x.npz", **arrays)
        ((name, _),) = option.items()
        with pytest.raises(DataError, match=f"{name} = .* is not for {'audio' if kind == 'waveforms' else 'vector'}"):
            make(f"npz:{tmp_path / 'x.npz'}", **option)

    def test_waveforms_are_gated_where_that_is_asked_for(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        waves = (0.01 * rng.normal(size=(20, 2048))).astype(np.float32)
        np.savez(tmp_path / "x.npz", waveforms=waves, rate=8000)
        source = f"npz:{tmp_path / 'x.npz'}"
        plain, gated = make(source), make(source, denoise="spectral-gating")
        assert plain.spec.modality == registry.get("datasets", source).modality == "audio" and plain.spec.rate == 8000
        assert plain.fingerprint != gated.fingerprint
        power = [float(data.train.batch(np.arange(4)).data.square().mean()) for data in (plain, gated)]
        assert power[1] < power[0] / 2  # noise alone is turned down
        with pytest.raises(DataError, match="denoise = 'median' is not for audio"):
            make(source, denoise="median")


def test_a_source_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'parquet:'"):
        registry.get("datasets", "parqet:x")
