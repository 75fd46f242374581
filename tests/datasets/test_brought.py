"""Data that people bring: folder:, text:, npz:. Split and known by content, and honest about what is wrong."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench import DataError, SuiteError
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.registry import registry
from tests.suites import IMAGE_FAMILY

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (30, 5, 4, 3), dtype=np.uint8)


def make(source: str, **options: Any) -> Any:
    return registry.get("datasets", source).make(**options)


def write(folder: Path, pictures: np.ndarray, names: list[str] | None = None) -> Path:
    for i, pixels in enumerate(pictures):
        path = folder / (names[i] if names else f"{i}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def rows(split: Any) -> list[bytes]:
    """Every example, as the bytes of its values."""
    return [x.numpy().tobytes() for x in split.batch(torch.arange(len(split))).data]


def splits(data: Any) -> list[Any]:
    return [data.train, data.valid, data.test]


class TestFolder:
    def test_its_pictures_are_split_once_and_for_all(self, tmp_path: Path) -> None:
        data = make(f"folder:{write(tmp_path, PICTURES)}")
        assert [len(s) for s in splits(data)] == [24, 3, 3]
        found = sorted(row for s in splits(data) for row in rows(s))
        wanted = torch.from_numpy(PICTURES).permute(0, 3, 1, 2).float() / 127.5 - 1
        assert found == sorted(x.contiguous().numpy().tobytes() for x in wanted)
        assert (data.spec.modality, data.spec.shape, data.spec.classes) == ("image", (3, 5, 4), None)
        assert data.train.batch(torch.arange(2)).condition is None

    def test_names_and_packing_move_nothing(self, tmp_path: Path) -> None:
        plain = make(f"folder:{write(tmp_path / 'a', PICTURES)}")
        other = write(tmp_path / "b", PICTURES[::-1])
        with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
            for file in other.iterdir():
                archive.write(file, file.name)
        for source in (other, tmp_path / "c.zip"):
            found = make(f"folder:{source}")
            assert found.fingerprint == plain.fingerprint and rows(found.test) == rows(plain.test)

    def test_a_changed_pixel_is_another_set(self, tmp_path: Path) -> None:
        changed = PICTURES.copy()
        changed[7, 0, 0, 0] ^= 1
        one, two = (make(f"folder:{write(tmp_path / str(i), x)}") for i, x in enumerate((PICTURES, changed)))
        assert one.fingerprint != two.fingerprint

    def test_twins_stay_on_one_side(self, tmp_path: Path) -> None:
        data = make(f"folder:{write(tmp_path, np.concatenate([PICTURES[:12]] * 3))}")
        parts = [set(rows(s)) for s in splits(data)]
        assert all(parts) and sum(map(len, parts)) == 12

    def test_sub_folders_are_labels(self, tmp_path: Path) -> None:
        names = [f"{'cat' if i % 3 else 'dog'}/{i}.png" for i in range(30)]
        data = make(f"folder:{write(tmp_path, PICTURES, names)}")
        assert data.spec.classes == 2
        as_seen = (torch.from_numpy(PICTURES).permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous().numpy()
        wanted = {x.tobytes(): int(i % 3 == 0) for i, x in enumerate(as_seen)}
        for split in splits(data):
            batch = split.batch(torch.arange(len(split)))
            assert [wanted[x.numpy().tobytes()] for x in batch.data] == batch.condition.tolist()

    def test_what_was_set_apart_stays_apart(self, tmp_path: Path) -> None:
        names = [f"{'train' if i < 20 else 'val' if i < 25 else 'test'}/{'ab'[i % 2]}/{i}.png" for i in range(30)]
        data = make(f"folder:{write(tmp_path, PICTURES, names)}")
        assert [len(s) for s in splits(data)] == [20, 5, 5] and data.spec.classes == 2
        assert data.train.labels.tolist().count(0) == 10

    def test_what_is_set_apart_as_anything_else_is_left_out_and_that_is_said(self, tmp_path: Path) -> None:
        names = [f"{'train' if i < 20 else 'test' if i < 25 else 'unlabelled'}/{i}.png" for i in range(30)]
        data = make(f"folder:{write(tmp_path, PICTURES, names)}")
        assert [len(s) for s in splits(data)] == [18, 2, 5]
        assert any("is left out: unlabelled" in remark for remark in data.prepared.remarks)

    def test_a_class_may_be_called_train(self, tmp_path: Path) -> None:
        names = [f"{('car', 'plane', 'train')[i % 3]}/{i}.png" for i in range(30)]
        data = make(f"folder:{write(tmp_path, PICTURES, names)}")
        assert data.prepared.classes == ("car", "plane", "train") and sum(map(len, splits(data))) == 30

    def test_nothing_is_trained_on_that_was_set_apart_to_test(self, tmp_path: Path) -> None:
        names = [f"{'val' if i < 15 else 'test'}/{i}.png" for i in range(30)]
        with pytest.raises(DataError, match="sets valid and test apart, and nothing to train on"):
            make(f"folder:{write(tmp_path, PICTURES, names)}")

    def test_the_same_files_are_other_data_from_another_place(self, tmp_path: Path) -> None:
        write(tmp_path, PICTURES, [f"pets/{'cat' if i % 2 else 'dog'}/{i}.png" for i in range(30)])
        found = [make(f"folder:{place}").prepared.classes for place in (tmp_path, tmp_path / "pets")]
        assert found == [("pets",), ("cat", "dog")]

    def test_sizes_that_differ_need_a_size(self, tmp_path: Path) -> None:
        write(tmp_path, PICTURES)
        Image.fromarray(np.zeros((9, 20, 3), np.uint8)).save(tmp_path / "wide.png")
        with pytest.raises(DataError, match=r"wide\.png is 20x9, the 30 before it are 4x5: say with size = 4"):
            make(f"folder:{tmp_path}")
        data = make(f"folder:{tmp_path}", size=8)
        assert data.spec.shape == (3, 8, 8) and sum(map(len, splits(data))) == 31

    def test_a_picture_that_has_the_size_is_kept_to_the_last_level(self, tmp_path: Path) -> None:
        write(tmp_path, PICTURES[:, :4])
        assert make(f"folder:{tmp_path}", size=4).fingerprint == make(f"folder:{tmp_path}").fingerprint

    def test_too_few_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds 9 examples, too few to be split: at least 10"):
            make(f"folder:{write(tmp_path, PICTURES[:9])}")

    def test_one_picture_many_times_cannot_be_split(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="the same example so often"):
            make(f"folder:{write(tmp_path, np.repeat(PICTURES[:1], 12, axis=0))}", clean="keep")

    def test_what_is_no_folder_of_pictures_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_text("hello")
        with pytest.raises(DataError, match="there is no 'nowhere'"):
            make("folder:nowhere")
        with pytest.raises(DataError, match=r"neither a folder nor a .zip of pictures"):
            make(f"folder:{tmp_path / 'x.txt'}")
        with pytest.raises(DataError, match="holds no pictures"):
            make(f"folder:{tmp_path}")


class TestText:
    def test_it_is_the_file_to_the_last_byte(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        content = "".join(f"line {i}: größer\r\n" for i in range(200))
        path.write_bytes(content.encode())
        data = make(f"text:{path}", window=16)
        assert "".join(data.text(name) for name in ("train", "valid", "test")) == content
        assert len(data.text("test")) == len(data.text("valid")) == round(len(content) / 10)
        assert data.spec.shape == (16,) and data.spec.vocab == 256

    def test_one_changed_letter_is_another_set(self, tmp_path: Path) -> None:
        prints = set()
        for word in ("moon", "noon"):
            (tmp_path / "a.txt").write_text(word * 500)
            prints.add(make(f"text:{tmp_path / 'a.txt'}").fingerprint)
        assert len(prints) == 2

    def test_what_cannot_be_read_or_is_too_short_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "latin.txt").write_bytes("größer".encode("latin-1") * 100)
        (tmp_path / "short.txt").write_text("hello")
        for name, words in (
            ("latin.txt", "cannot read .*latin.txt.*wants UTF-8"),
            ("short.txt", "0 bytes are fewer than one window of 128|bytes are fewer than one window"),
            ("nowhere.txt", "there is no"),
            (".", "is no file"),
        ):
            with pytest.raises(DataError, match=words):
                make(f"text:{tmp_path / name}")


class TestNpz:
    images = RNG.integers(0, 256, (30, 1, 6, 6), dtype=np.uint8)
    vectors = RNG.normal(size=(40, 3))

    def save(self, tmp_path: Path, **arrays: np.ndarray) -> str:
        np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
        return f"npz:{tmp_path / 'x.npz'}"

    @pytest.mark.parametrize("form", ["channels first", "channels last", "grey"])
    def test_images_in_any_form_are_the_same_set(self, form: str, tmp_path: Path) -> None:
        x: dict[str, np.ndarray] = {
            "channels first": self.images,
            "channels last": self.images.transpose(0, 2, 3, 1),
            "grey": self.images[:, 0],
        }
        wanted = make(self.save(tmp_path, images=self.images)).fingerprint
        source = self.save(tmp_path, images=x[form])
        assert registry.get("datasets", source).modality == "image"
        assert make(source).fingerprint == wanted

    @pytest.mark.parametrize("name", ["vectors", "features", "data", "x"])
    def test_vectors_stay_what_they_are(self, tmp_path: Path, name: str) -> None:
        source = self.save(tmp_path, **{name: self.vectors})
        assert registry.get("datasets", source).modality == "vector"
        data = make(source)
        assert (data.spec.modality, data.spec.shape, data.spec.kind) == ("vector", (3,), "continuous")
        assert [len(s) for s in splits(data)] == [32, 4, 4]
        assert sorted(row for s in splits(data) for row in rows(s)) == sorted(
            x.tobytes() for x in self.vectors.astype(np.float32)
        )

    @pytest.mark.parametrize(
        "names",
        [
            ("train", "train_labels", "test", "test_labels"),
            ("x_train", "y_train", "x_test", "y_test"),
            ("train_images", "train_labels", "test_images", "test_labels"),
        ],
    )
    def test_splits_and_labels_by_the_names_of_the_field(self, names: tuple[str, ...], tmp_path: Path) -> None:
        labels = np.arange(30) % 3 + 5
        parts: tuple[np.ndarray, ...] = (self.images[:24], labels[:24], self.images[24:], labels[24:, None])
        data = make(self.save(tmp_path, **dict(zip(names, parts, strict=True))))
        assert data.spec.classes == 3 and len(data.test) == 6
        assert data.test.labels.tolist() == (labels[24:] - 5).tolist()  # in its own order
        assert len(data.train) + len(data.valid) == 24 and len(data.valid) == 2

    def test_all_three_are_taken_as_they_are(self, tmp_path: Path) -> None:
        x = self.images
        data = make(self.save(tmp_path, train=x[:2], val=x[2:3], test=x[3:5]))
        assert [len(s) for s in splits(data)] == [2, 1, 2]
        assert np.array_equal(data.test.pixels.numpy(), x[3:5])

    def test_what_is_wrong_is_told(self, tmp_path: Path) -> None:
        x = self.images
        bad: list[tuple[dict[str, Any], str]] = [
            ({"images": x[:5]}, "holds 5 examples, too few to be split"),
            ({"images": x.astype(float)}, "images must be uint8"),
            (
                {"images": x, "labels": np.arange(29)},
                r"labels of train must be a whole number or a name for each of 30",
            ),
            ({"images": x, "labels": np.linspace(0, 1, 30)}, r"labels of train must be"),
            ({"test": x}, "holds test; expected `images`"),
            ({"train": x, "test": x[:, :, :3]}, "all splits must be of one shape"),
            ({"data": np.full((20, 2), np.nan)}, "hold NaN or infinity"),
            ({"data": np.zeros(20)}, r"data is \(20,\) float64: images are"),
        ]
        for arrays, words in bad:
            with pytest.raises(DataError, match=words):
                make(self.save(tmp_path, **arrays))
        (tmp_path / "y.npz").write_bytes(b"no archive")
        for name, words in (("y.npz", "cannot read .*y.npz"), ("z.npz", "there is no")):
            with pytest.raises(DataError, match=words):
                make(f"npz:{tmp_path / name}")

    def test_pickled_objects_are_never_read(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="pickled objects"):
            make(self.save(tmp_path, images=self.images, labels=np.array([None] * 30)))


class TestSuites:
    def test_a_source_stands_in_a_suite_and_its_data_decides_the_identity(self, tmp_path: Path) -> None:
        write(tmp_path / "pictures", PICTURES)
        table = {
            "metrics": ["mse"],
            "budget": {"samples": 3},
            "datasets": {"mine": {"source": f"folder:{tmp_path / 'pictures'}", "size": 8}},
            "generators": {IMAGE_FAMILY: {}},
        }
        plans = plan_trials(check_suite(table, "x"), "cpu")
        assert {(p.dataset, p.modality) for p in plans} == {("mine", "image")}
        before = {p.training_id for p in plans}
        shutil.copy(tmp_path / "pictures" / "1.png", tmp_path / "pictures" / "again.png")  # twice: it is dropped
        assert before == {p.training_id for p in plan_trials(check_suite(table, "x"), "cpu")}
        write(tmp_path / "pictures", 255 - PICTURES[:1], ["more.png"])
        assert not before & {p.training_id for p in plan_trials(check_suite(table, "x"), "cpu")}

    def test_what_is_wrong_with_it_is_told_with_the_rest(self, tmp_path: Path) -> None:
        table = {
            "datasets": {
                "a": {"source": "npz:nowhere.npz"},
                "b": {"source": "folder:"},
                "c": {"source": "foldr:x"},
                "d": {"source": "folder:x", "sise": 3},
            },
            "generators": {IMAGE_FAMILY: {}},
        }
        with pytest.raises(SuiteError) as caught:
            check_suite(table, "x")
        told = str(caught.value)
        for words in (
            "datasets.a.source: there is no 'nowhere.npz'",
            "names nothing behind its colon",
            "did you mean 'folder:'",
            "'size'",
        ):
            assert words in told
