"""What is seen of data before anyone trains on it: counted rightly, found where it was planted, and shown on a page."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bench
from bench import GenbenchError, SuiteError
from bench.cli._main import run_command
from bench.datasets._findings import LABELS, LEAK, NEAR_LEAK, TWICE
from bench.datasets._inspection import LINE
from bench.datasets._proportions import LEVEL, chance_of, held_out_remarks
from bench.protocols import SplitName
from tests.datasets.test_brought import write
from tests.datasets.test_prepared import PICTURES, mess

__all__ = ["mess"]


def test_a_set_that_came_with_the_install_is_counted_and_clean() -> None:
    found = bench.inspect("digits")
    assert dict(found.splits) == {"train": 1197, "valid": 300, "test": 300} and found.held is None
    assert sum(sum(counts.values()) for counts in found.classes.values()) == 1797 and len(found.classes) == 10
    assert found.findings == () and found.pairs == {}
    assert len(found.levels) == 1 and abs(sum(found.levels[0]) - 1) < 1e-9
    with np.load(io.BytesIO(found.examples["train"])) as examples:
        assert examples["samples"].shape == (60, 1, 8, 8)


def test_what_was_not_cleaned_is_looked_through(tmp_path: Path) -> None:
    """Arrays that nobody cleans: vectors, of which two stand twice and one is held out, too."""
    x = np.random.default_rng(0).normal(size=(30, 4))
    np.savez(tmp_path / "x.npz", train=np.concatenate([x[:20], x[:2], x[25:26]]), valid=x[20:25], test=x[25:])
    found = bench.inspect(f"npz:{tmp_path / 'x.npz'}")
    assert {f.what: (f.count, f.of, f.dropped) for f in found.findings} == {
        TWICE: (2, 33, False),
        LEAK: (1, 33, False),
    }
    assert [f.leaks for f in found.findings if f.what == LEAK] == [True]


def test_lines_that_stand_in_two_splits_are_found(tmp_path: Path) -> None:
    lines = [f"this is line {i} of a text that is long enough to be told" for i in range(100)]
    lines[95] = lines[3]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    (finding,) = bench.inspect(f"text:{tmp_path / 'a.txt'}").findings
    assert (finding.what, finding.count) == ("lines of test stand in training, too", 1)
    assert finding.examples[0][0] == lines[3] and finding.leaks


def test_where_nothing_was_found_it_says_what_was_looked_for(tmp_path: Path) -> None:
    """A short line may stand in two splits by chance, and nobody says that it does not."""
    (tmp_path / "a.txt").write_text("a short line\n" * 2000)
    text, pictures = bench.inspect(f"text:{tmp_path / 'a.txt'}"), bench.inspect("digits")
    assert not text.findings and text.nothing_found == (
        f"No line of {LINE} characters or more that is held out stands in training, too."
    )
    assert not pictures.findings and pictures.nothing_found.startswith("Nothing stands twice")


def test_what_was_dropped_is_shown_beside_what_stayed(mess: Path) -> None:
    found = bench.inspect(f"folder:{mess}")
    assert found.held == 50 and sum(found.splits.values()) == 40 and found.left_out == 10
    assert found.pairs[LEAK].shape == (2, 2, 3, 24, 24) and (found.pairs[LEAK][:, 0] == found.pairs[LEAK][:, 1]).all()
    assert not (found.pairs[NEAR_LEAK][:, 0] == found.pairs[NEAR_LEAK][:, 1]).all()


def test_texts_are_counted_in_windows_that_do_not_overlap(tmp_path: Path) -> None:
    """As many as a suite may ask for beside real data."""
    (tmp_path / "a.txt").write_text("0123456789" * 100)
    found = bench.inspect(f"text:{tmp_path / 'a.txt'}", {"window": 30})
    assert found.splits == {"train": 26, "valid": 3, "test": 3} and found.unit == "windows"
    assert found.numbers["budget.samples"].startswith("at most 3 beside real data")


def test_labels_that_differ_are_told_of_data_that_nobody_cleans(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 4))
    x[7], y = x[3], np.arange(30) % 5
    np.savez(tmp_path / "x.npz", train=x[:20], test=x[20:], train_labels=y[:20], test_labels=y[20:])
    (labels,) = bench.inspect(f"npz:{tmp_path / 'x.npz'}").findings
    assert (labels.what, labels.count, labels.dropped) == (LABELS, 2, False)
    assert {label for _, label in (name.split(": ") for name in labels.examples[0])} == {"2", "3"}


def proportions(train: tuple[int, ...], test: tuple[int, ...]) -> list[str]:
    """What is remarked of splits with so many of each class."""
    classes: dict[str, dict[SplitName, int]] = {
        str(i): {"train": a, "valid": 0, "test": b} for i, (a, b) in enumerate(zip(train, test, strict=True))
    }
    return list(held_out_remarks({"train": sum(train), "valid": 0, "test": sum(test)}, classes, "images"))


class TestProportions:
    def test_a_test_split_of_other_classes_is_remarked(self) -> None:
        few, (apart,) = proportions((50, 50), (23, 7)), proportions((500, 500), (300, 100))
        assert len(few) == 2 and "test holds only 30 images" in few[0] and "off by 0.18" in few[0]
        assert "0 76.7% of test and 50.0% of train" in few[1] and "p = 0.0098" in few[1]
        assert "not in proportion" in apart

    def test_one_that_is_like_training_or_hardly_unlike_is_not(self) -> None:
        assert proportions((500, 500), (110, 90)) == []  # p = 0.2
        assert proportions((500_000, 500_000), (51_000, 49_000)) == []  # surely unlike, and by 1 % alone
        assert proportions((100,), (100,)) == proportions((0, 0), (50, 50)) == []  # one class, and nothing known

    def test_sound_splits_are_remarked_no_more_often_than_it_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also where classes are many and examples few, which the chi-square distribution alone would not serve."""
        monkeypatch.setattr("bench.datasets._proportions.DRAWN", 149)
        rng = np.random.default_rng(0)
        for shares in (np.full(2, 1 / 2), np.full(100, 1 / 100), np.array([0.9, *[0.1 / 30] * 30])):
            drawn = [[rng.multinomial(n, shares) for n in (300, 120)] for _ in range(100)]
            false = sum(chance_of(train, test) < LEVEL for train, test in drawn)
            assert false <= 100 * LEVEL + 3 * (100 * LEVEL) ** 0.5

    def test_it_stands_among_the_remarks_of_a_folder(self, tmp_path: Path) -> None:
        names = [f"train/{'ab'[i % 2]}/{i}.png" if i < 20 else f"test/a/{i}.png" for i in range(40)]
        told = "\n".join(bench.inspect(f"folder:{write(tmp_path, PICTURES, names)}").remarks)
        assert "test holds only 20 images" in told and "b 0.0% of test and 55.6% of train" in told


def test_wrong_options_are_told() -> None:
    with pytest.raises(SuiteError, match="unknown parameter 'sise'"):
        bench.inspect("digits", {"sise": 3})


class Parts(HTMLParser):
    """Tags of a page, and what lies outside of it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        links = [value for name, value in attrs if name in ("src", "href") and value]
        self.outside += [link for link in links if not link.startswith(("data:", "#"))]


class TestCommand:
    def test_it_prints_a_summary_and_writes_a_page(
        self, mess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run_command(["data", "inspect", f"folder:{mess}", "--set", "size=16", "--to", str(tmp_path / "x")]) == 0
        printed = capsys.readouterr()
        for words in (
            "in the source   50 images",
            "train           27 images",
            "test            10 images",
            "left out        10 images",
            "budget.samples  at most 3 beside real data",
            "are in two splits: train/b/leak31.png",
        ):
            assert words in printed.out
        assert printed.out.count("are in two splits: ") == 1 and "are in two splits" not in printed.err
        page = Path(printed.out.splitlines()[-1])
        assert page == tmp_path / "x" / "index.html"
        parts = Parts(page.read_text())
        assert parts.outside == [] and parts.tags.count("img") >= 3 + 6 and parts.tags.count("svg") >= 2
        for words in ("leak31.png", "cut.png", "are nearly in two splits", "16"):
            assert words in page.read_text()

    def test_what_has_no_room_in_the_terminal_is_on_the_page(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write(tmp_path / "x", PICTURES, [f"{i}.png" for i in range(40)])
        write(folder, PICTURES[:20], [f"again{i}.png" for i in range(20)])
        for named, said in ((1000, "and 17 more on the page"), (15, "and 17 more, 12 of them on the page")):
            monkeypatch.setattr("bench.datasets._findings.NAMED", named)
            monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / f"cache{named}"))
            assert run_command(["data", "inspect", f"folder:{folder}", "--to", str(tmp_path / "page")]) == 0
            assert f"{said}: dropped (the first stays)" in capsys.readouterr().out
            page = (tmp_path / "page" / "index.html").read_text()
            assert sum(f"<strong>again{i}.png" in page for i in range(20)) == min(named, 20)
            assert ("and 5 more, which are not named here" in page) == (named < 20)
        (finding,) = bench.inspect(f"folder:{folder}").findings
        assert "and 17 more: dropped" in finding.told  # in a record there is no page

    def test_as_json_it_is_one_document(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command(["data", "inspect", "digits", "--to", str(tmp_path), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["splits"] == {"train": 1197, "valid": 300, "test": 300} and told["findings"] == []
        assert told["fingerprint"].startswith("sha256:") and told["pages"] == [str(tmp_path / "index.html")]

    @pytest.mark.parametrize("kind", ["text", "vector", "audio", "grey"])
    def test_every_kind_of_data_has_a_page(
        self, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        rng = np.random.default_rng(0)
        Path("a.txt").write_text(" ".join(map(str, range(2000))))
        np.savez("vector.npz", vectors=rng.normal(size=(40, 3)))
        np.savez("audio.npz", waveforms=rng.uniform(-1, 1, (40, 500)), rate=8000)
        np.savez("grey.npz", images=rng.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8), labels=rng.integers(0, 50, 40))
        source = "text:a.txt" if kind == "text" else f"npz:{kind}.npz"
        assert run_command(["data", "inspect", source]) == 0
        page = Path(capsys.readouterr().out.splitlines()[-1])
        assert page.is_file() and page.parent.parent == Path("inspected") and Parts(page.read_text()).outside == []

    def test_names_that_would_act_on_a_page_are_shown_as_they_are(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = [f"<script>alert({i})<>/{i}.png" for i in range(40)]
        names = [name.replace("/", "", name.count("/") - 1) for name in names]
        folder = write(tmp_path / "odd", PICTURES, names)
        Image.fromarray(PICTURES[0]).save(folder / names[0].replace("0.png", "copy\u202e.png"))
        assert run_command(["data", "inspect", f"folder:{folder}", "--to", str(tmp_path / "x")]) == 0
        page = (tmp_path / "x" / "index.html").read_text()
        assert not re.search("<script>alert", page) and "\u202e" not in page and "&lt;script&gt;alert" in page

    def test_what_is_wrong_is_one_message(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for words, told in (
            (["data", "inspect", "folder:nowhere"], "there is no 'nowhere'"),
            (["data", "inspect", "digitz"], "did you mean 'digits'"),
            (["data", "look", "digits"], "'look' is not"),
            (["data", "inspect", "digits", "--to", ""], "to: an empty path"),
        ):
            assert run_command(words) == 2
            assert told in capsys.readouterr().err

    def test_the_page_of_data_is_no_report_of_records(self, tmp_path: Path) -> None:
        (tmp_path / "records").mkdir()
        with pytest.raises(GenbenchError, match="shows data and no records: genbench data inspect"):
            bench.render(tmp_path, formats=["inspection"])


def test_a_path_is_told_what_stands_in_front_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    with pytest.raises(GenbenchError, match=r"pictures is a path: put in front what it holds, one of .*folder:, "):
        bench.inspect("pictures")
