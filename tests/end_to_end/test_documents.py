"""Documents whose examples are run as they stand there: files are written, and what is typed is typed, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desk import ROOT, Desk

FILE = re.compile(r"# ([\w/]+\.\w+)")


def blocks(document: str) -> Iterator[str]:
    """What is indented by four blanks, a block at a time; blank lines do not end one."""
    for found in re.finditer(r"(?:^    .*\n(?:\n*(?=    ))?)+", document, re.MULTILINE):
        yield re.sub("^    ", "", found[0], flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["extending.md"])
def test_its_examples_run(name: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for block in blocks((ROOT / "docs" / name).read_text()):
        if file := FILE.match(block):
            target = desk.folder / file[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block)
        else:
            desk.must(block)
