"""Documents whose examples are run as they stand there: files are written, and what is typed is typed, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desk import ROOT, Desk

FILE = re.compile(r"# ([\w/]+\.\w+)\n")
DOCUMENTS = ("extending.md",)


def blocks(document: str) -> Iterator[str]:
    """What is indented by four blanks, a block at a time; blank lines do not end one."""
    for found in re.finditer(r"^    .*\n(?:\n*    .*\n)*", document, re.MULTILINE):
        yield re.sub("^    ", "", found[0], flags=re.MULTILINE)


def test_a_block_is_all_that_is_indented_together() -> None:
    text = "a\n\n    # x.py\n    def f():\n\n\n        pass\n\nb\n    run\nc\n"
    assert [*blocks(text)] == ["# x.py\ndef f():\n\n\n    pass\n", "run\n"]


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_its_examples_run(name: str, tmp_path: Path) -> None:
    desk, ran = Desk(tmp_path), 0
    for block in blocks((ROOT / "docs" / name).read_text()):
        if file := FILE.match(block):
            target = desk.folder / file[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block)
        else:
            desk.must(block)
            ran += 1
    assert ran


@pytest.mark.parametrize("name", DOCUMENTS)
def test_its_links_lead_somewhere(name: str) -> None:
    """To a file, and to a heading in it."""
    path = ROOT / "docs" / name
    for file, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text()):
        text = (path.parent / file if file else path).resolve().read_text()
        titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
        assert not heading or heading in {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}, heading
