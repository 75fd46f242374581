"""What the Hugging Face Hub reads: ``model-index`` of a model card, and entries of ``.eval_results``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml
from huggingface_hub.repocard_data import eval_results_to_model_index

from bench import GenbenchError, RunRecord, report, write_atomic
from bench.results.board import Board, Cell, Column, Row, leaderboards
from bench.results.groups import newest

TASKS = {"image": "unconditional-image-generation", "text": "text-generation", "audio": "text-to-audio",
         "music": "text-to-audio", "video": "text-to-video"}  # fmt: skip


@report("model-index", asked=True)
def write_model_index(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """``model-index/NAME.md``, a file a generator: the front matter of its model card, all its numbers in it."""
    models = results_of(records)
    _any(models)
    for name, results in models.items():
        head = front({"model-index": eval_results_to_model_index(name, results)})
        write_atomic(target / "model-index" / f"{_file(name, models)}.md", head)
    return target / "model-index"


def results_of(records: list[RunRecord], *, calm: bool = False) -> dict[str, list[EvalResult]]:
    """The numbers of each generator. calm: without times that a busy machine gave."""
    models: dict[str, list[EvalResult]] = {}
    for board, row, column, cell in _numbers(records):
        if calm and cell.busy:
            continue
        models.setdefault(row.name, []).append(
            EvalResult(
                task_type=TASKS.get(board.modality, "other"),
                dataset_type=board.dataset,
                dataset_name=board.dataset,
                dataset_revision=board.fingerprint,
                metric_type=column.metric,
                metric_name=column.label,
                metric_value=_mean(cell),
                metric_args={**column.protocol, "seeds": _seeds(cell)},
            )
        )
    return models


def front(content: dict[str, Any], remark: str = "") -> str:
    """The head of a card. remark: lines of comment below it, which no page shows."""
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}{remark}---\n"


@report("hf-eval", asked=True)
def write_eval_results(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """``hf-eval/NAME/.eval_results/genbench.yaml``, a file a generator; intervals and protocols stand in the notes."""
    models: dict[str, list[EvalResultEntry]] = {}
    for board, row, column, cell in _numbers(records):
        models.setdefault(row.name, []).append(
            EvalResultEntry(
                dataset_id=board.dataset,
                task_id=column.label,
                value=_mean(cell),
                dataset_revision=board.fingerprint,
                date=max((r.created for r in row.group.records if r.day), default=None),
                notes=_notes(column, cell),
            )
        )
    _any(models)
    for name, entries in models.items():
        text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
        write_atomic(target / "hf-eval" / _file(name, models) / ".eval_results" / "genbench.yaml", text)
    return target / "hf-eval"


def _numbers(records: list[RunRecord]) -> Iterator[tuple[Board, Row, Column, Cell]]:
    for board in leaderboards(newest(records)[0]):
        for row in board.ranked:
            for column in board.columns:
                if row.cells[column.key].summary:
                    yield board, row, column, row.cells[column.key]


def _mean(cell: Cell) -> float:
    assert cell.summary
    return cell.summary.mean


def _seeds(cell: Cell) -> int:
    assert cell.summary
    return cell.summary.n


def _notes(column: Column, cell: Cell) -> str:
    """What the Hub has no field for: how sure the number is, and what it saw."""
    assert cell.summary
    spread = [f"± {cell.summary.sd:.3g} over {cell.summary.n} seeds"] if cell.summary.sd is not None else []
    if cell.interval:
        spread.append(f"{cell.interval.level:.0%} interval {cell.interval.lo:.5g} to {cell.interval.hi:.5g}")
    bound = ["a bound"] if cell.bound else []
    unit = [column.unit] if column.unit != "1" else []
    return "; ".join([*unit, *bound, *spread, *(f"{k} {v}" for k, v in column.protocol.items())])


def _file(name: str, all_names: Any) -> str:
    """A file name that differs from those of the others."""
    plain = {known: re.sub(r"[^\w.=-]+", "_", known).strip("._") or "model" for known in all_names}
    same = [known for known in plain if plain[known].casefold() == plain[name].casefold()]
    return plain[name] + (f"-{same.index(name) + 1}" if len(same) > 1 else "")


def _any(models: dict[str, Any]) -> None:
    if not models:
        raise GenbenchError("no generator has a number yet")
