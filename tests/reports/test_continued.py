"""Continuations on the page: side by side, tinted, and read as the data of somebody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import RunRecord
from bench.results.board import leaderboards
from reports._continued import MOST_BYTES, beginnings
from reports.html import write
from tests.report_records import record

PIECES = [["the", 0.2], [" word", 9.0], ["<b>", None]]


def text_record(name: str, continued: str | None) -> RunRecord:
    made = record(name, dataset="kjv", modality="text", scores={"perplexity": 3.0})
    return made.model_copy(update={"continued": continued})


def saved(folder: Path, name: str, content: Any) -> str:
    (folder / "samples").mkdir(exist_ok=True)
    (folder / "samples" / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return name


def test_generators_stand_side_by_side_below_their_prompt(tmp_path: Path) -> None:
    records = [
        text_record(name, saved(tmp_path, f"{name}.json", [{"prompt": "In the", "pieces": PIECES}]))
        for name in ("gpt", "lstm")
    ]
    (board,) = leaderboards(records)
    (beginning,), problems = beginnings(board, tmp_path)
    assert not problems and beginning.prompt == "In the" and {one.name for one in beginning.by} == {"gpt", "lstm"}
    assert [piece.shade for piece in beginning.by[0].pieces] == [0, 9, None]
    page = write(records, tmp_path, tmp_path, []).read_text()
    assert page.count('<i class="n9" title="9.00 nats"> word</i>') == 2
    assert page.count("&lt;b&gt;") == 2 and "<b></blockquote>" not in page
    assert page.count('<blockquote class="prompt">In the</blockquote>') == 1


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        [],
        {"prompt": "x"},
        [{"prompt": "x", "pieces": [["a", "b"]]}],
        [{"prompt": "x", "pieces": [["a", 1e999]]}],
        [{"prompt": 1, "pieces": []}],
        "[" * 100_000,
        " " * (MOST_BYTES + 1),
    ],
)
def test_files_that_hold_something_else_are_named(content: Any, tmp_path: Path) -> None:
    records = [text_record("gpt", saved(tmp_path, "x.json", content))]
    (board,) = leaderboards(records)
    found, problems = beginnings(board, tmp_path)
    assert not found and (content == [] or len(problems) == 1)
    page = write(records, tmp_path, tmp_path, []).read_text()
    assert content == [] or "x.json" in page


def test_no_link_is_followed(tmp_path: Path) -> None:
    saved(tmp_path, "real.json", [{"prompt": "secret", "pieces": PIECES}])
    (tmp_path / "samples" / "x.json").symlink_to("real.json")
    (board,) = leaderboards([text_record("gpt", "x.json")])
    found, (problem,) = beginnings(board, tmp_path)
    assert not found and "is a link" in problem
