"""The pages of one generator and of two: whole, linked, safe, and true to the board."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

import reports.html
from bench import RunRecord
from bench.results.board import FOREMOST, PICTURED, leaderboards
from bench.results.pairs import compare
from reports._about import paper_link
from reports._page import address
from tests.report_records import failed, record, save_images, save_texts

HOSTILE = '<script>alert("x")</script>'


def written(records: list[RunRecord], folder: Path) -> dict[str, str]:
    """Every page by its name, ``index.html`` among them."""
    index = reports.html.write(records, folder, folder / "report", [])
    return {path.name: path.read_text(encoding="utf-8") for path in (index, *(index.parent / "pages").iterdir())}


def three(folder: Path) -> list[RunRecord]:
    found = {"vae": (4.0, 4.1), "gan": (9.0, 9.3), "flow": (6.0, 6.2), "real": (1.0, 1.1)}
    pictures, near = (
        save_images(folder, "a.npz"),
        save_images(folder, "a.nearest.npz", np.full((12, 1, 28, 28), 7, np.uint8)),
    )
    made = {"samples": pictures, "nearest": near, "paper": "arXiv:1312.6114"}
    return [
        record(name, seed, scores={"fd_lenet": value}, **made)
        for name, values in found.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_each_generator_and_each_two_have_a_page(tmp_path: Path) -> None:
    pages = written(three(tmp_path), tmp_path)
    ones = {address("mnist", name) for name in ("vae", "gan", "flow", "real")}
    pairs = {address("mnist", *pair) for pair in (("vae", "flow"), ("vae", "gan"), ("flow", "gan"))}  # as they rank
    assert pages.keys() == {"index.html"} | ones | pairs


def test_one_that_is_not_pictured_has_a_page_and_a_link_to_it(tmp_path: Path) -> None:
    found = [record(f"g{i:02}", scores={"fd_lenet": float(i)}) for i in range(PICTURED + 3)]
    pages = written(found, tmp_path)
    last = address("mnist", f"g{PICTURED + 2:02}")
    assert f'href="pages/{last}"' in pages["index.html"] and "fd_lenet" in pages[last]
    assert len(pages) == 1 + (PICTURED + 3) + FOREMOST * (FOREMOST - 1) // 2


def test_every_link_leads_to_a_page(tmp_path: Path) -> None:
    pages = written(three(tmp_path), tmp_path)
    for name, page in pages.items():
        here = tmp_path / "report" / ("" if name == "index.html" else "pages")
        links = [
            link for link in re.findall(r'href="([^"]+)"', page) if not link.startswith(("#", "https://arxiv.org/"))
        ]
        assert links
        for link in links:
            target, _, anchor = unquote(link).partition("#")
            assert (here / target).is_file(), (name, link)
            assert not anchor or f'id="{anchor}"' in (here / target).read_text(encoding="utf-8")


def test_a_generators_page_says_where_it_stands_and_what_each_seed_gave(tmp_path: Path) -> None:
    page = written(three(tmp_path), tmp_path)[address("mnist", "gan")]
    assert "Place 3" in page
    assert "9, 9.3" in page  # of each seed
    assert "width=64" in page
    assert '<a href="https://arxiv.org/abs/1312.6114">arXiv:1312.6114</a>' in page
    assert page.count("nearest in the training data") == 2  # a seed each


def test_a_pairs_page_tells_what_the_comparison_tells(tmp_path: Path) -> None:
    found = three(tmp_path)
    (board,) = leaderboards(found)
    (contrast,) = compare(board, "vae", "gan")
    page = written(found, tmp_path)[address("mnist", "vae", "gan")]
    assert contrast.better == "first"
    assert f"{contrast.p:.2g}" in page
    assert re.search(r"vae</a> <span>is told to be better in fd_lenet", page)
    assert re.search(r"gan</a> <span>is not told to be better in anything", page)


def test_what_a_text_shares_with_training_text_is_marked(tmp_path: Path) -> None:
    samples = save_texts(tmp_path, "a.json", ["xx in the beginning yy", "<b>q</b>"])
    near = save_texts(tmp_path, "a.nearest.json", ["so in the beginning was", "<b>r</b>"])
    found = [record("gpt", scores={"bits_per_byte": 2.0}, samples=samples, nearest=near)]
    page = written(found, tmp_path)[address("mnist", "gpt")]
    assert "so<mark> in the beginning </mark>was" in page
    assert "<b>" not in page


def test_names_that_would_act_are_text_and_have_a_plain_address(tmp_path: Path) -> None:
    names = (HOSTILE, "../../up", "=cmd()", "ü" * 300)
    found = [record(name, seed, scores={"fd_lenet": seed + i}) for i, name in enumerate(names) for seed in (0, 1)]
    pages = written(found, tmp_path)
    assert len(pages) == 1 + len(names) + 6
    assert not any("<script>alert" in page for page in pages.values())
    assert all(re.fullmatch("[a-z0-9-]+[.]html", name) for name in pages)
    assert len({address("mnist", name) for name in names}) == len(names)


def test_a_bad_file_of_the_nearest_is_a_line_not_a_crash(tmp_path: Path) -> None:
    save_images(tmp_path, "a.npz")
    (tmp_path / "samples" / "b.npz").write_bytes(b"nothing")
    page = written([record("vae", scores={"fd_lenet": 1.0}, samples="a.npz", nearest="b.npz")], tmp_path)
    assert "b.npz" in page[address("mnist", "vae")]
    assert 'src="data:image/png' in page[address("mnist", "vae")]


class TestAsked:
    """What a model was asked for, on its page."""

    def shown(self, folder: Path, captions: tuple[str, ...] | None, name: str = "a.asked.npz", **changes: Any) -> str:
        unseen = changes.pop("unseen", ())
        asked = {"file": name, "labels": (0, 0, 1, 2), "captions": captions, "unseen": unseen}
        made = [record("vae", scores={"fd_lenet": 1.0}, asked=asked, **changes)]
        return written(made, folder)[address("mnist", "vae")]

    def test_each_label_once_by_its_caption_under_what_came(self, tmp_path: Path) -> None:
        pictures = np.repeat(np.arange(4, dtype=np.uint8)[:, None, None, None], 28, 3).repeat(28, 2)
        save_images(tmp_path, "a.asked.npz", pictures)
        page = self.shown(tmp_path, ("a zero", "a zero", "a one", "two & more"))
        found = re.findall(r'<img alt="[^"]*" src="data:image/png;base64,([^"]+)">\s*<figcaption>([^<]*)', page)
        assert [name for _, name in found] == ["a zero", "a one", "two &amp; more"]
        tiles = [np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")) for png, _ in found]
        assert [tile[0, 0, 0] for tile in tiles] == [0, 2, 3]  # the first of each
        assert tiles[0].shape[1] > 2 * 56 and tiles[0][0, -1, 0] == 1  # both that were asked for as one

    def test_one_that_no_training_example_has_is_marked(self, tmp_path: Path) -> None:
        save_images(tmp_path, "a.asked.npz")
        page = self.shown(tmp_path, None, unseen=(1,))
        assert re.findall("<figcaption>(.*?)</figcaption>", page) == [
            "label 0", "label 1 <small>held out</small>", "label 2"
        ]  # fmt: skip
        assert "no training example has this label" in page
        assert "no training example has this label" not in self.shown(tmp_path, None)

    def test_labels_that_nobody_named_go_by_their_number(self, tmp_path: Path) -> None:
        save_images(tmp_path, "a.asked.npz")
        assert re.findall("<figcaption>(label [^<]*)", self.shown(tmp_path, None)) == ["label 0", "label 1", "label 2"]

    def test_captions_that_would_act_are_text(self, tmp_path: Path) -> None:
        save_images(tmp_path, "a.asked.npz")
        page = self.shown(tmp_path, (HOSTILE, HOSTILE, '" onerror="alert(1)', "\u202e" + "w" * 5000))
        assert "<script>alert" not in page and 'onerror="alert' not in page and "\u202e" not in page
        assert "w" * 1001 not in page

    def test_sounds_and_texts_are_shown_as_theirs(self, tmp_path: Path) -> None:
        (tmp_path / "samples").mkdir()
        waves = np.zeros((4, 4000), np.float32) + np.linspace(-1, 1, 4000, dtype=np.float32)
        np.savez(tmp_path / "samples" / "a.asked.npz", samples=waves, rate=np.float64(4000))
        assert self.shown(tmp_path, None, modality="audio").count("<audio") == 3  # one a label
        texts = save_texts(tmp_path, "a.asked.json", ["one", "<b>two</b>", "three", "four"])
        page = self.shown(tmp_path, None, texts, modality="text")
        assert re.findall("<blockquote>(.*?)</blockquote>", page) == ["one", "&lt;b&gt;two&lt;/b&gt;", "three", "four"]

    @pytest.mark.parametrize("content", [b"", b"nothing", b"PK\3\4", b'["one"]'])
    def test_a_bad_file_is_a_line_not_a_crash(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "samples").mkdir()
        (tmp_path / "samples" / "a.asked.npz").write_bytes(content)
        assert "a.asked.npz" in self.shown(tmp_path, None)

    def test_one_file_too_few_is_said(self, tmp_path: Path) -> None:
        save_images(tmp_path, "a.asked.npz", np.zeros((3, 1, 8, 8), np.uint8))
        assert "holds 3 samples of 4 that were asked for" in self.shown(tmp_path, None)

    def test_a_page_carries_so_many_bytes_of_sound_and_no_more(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "samples").mkdir()
        monkeypatch.setattr("reports._asked.HEAVIEST", 17_000)  # a sound of 4,000 samples has 8,044 bytes
        waves = np.random.default_rng(0).uniform(-1, 1, (4, 4000)).astype(np.float32)
        np.savez(tmp_path / "samples" / "a.asked.npz", samples=waves, rate=np.float64(4000))
        page = self.shown(tmp_path, None, modality="audio")
        assert page.count("<audio") == 2 and page.count("<figcaption>label") == 3


def test_who_was_asked_for_nothing_has_no_such_part(tmp_path: Path) -> None:
    assert "Asked for" not in written(three(tmp_path), tmp_path)[address("mnist", "vae")]


def test_one_without_a_number_has_a_page_too(tmp_path: Path) -> None:
    page = written([failed("vae"), record("gan", scores={"fd_lenet": 1.0})], tmp_path)[address("mnist", "vae")]
    assert "It has no number." in page


@pytest.mark.parametrize("paper", ["arXiv:1312.6114<script>", "PMLR 119:1691-1703", "javascript:alert(1)", ""])
def test_only_arxiv_numbers_are_links(paper: str) -> None:
    assert "href" not in paper_link(paper)
    assert "<script" not in paper_link(paper)
