"""The card of one model: how to load it, its numbers and how they were measured, its data and its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.repocard_data import eval_results_to_model_index

from bench import GenbenchError, Plan, RunRecord, report, without_home, write_atomic
from bench.results.board import Board, Cell, Column, seeds_text
from reports import hub, markdown
from reports._cells import MISSING, heading, show
from reports._content import Section, gather, listed, spent
from reports._samples import Sample

LICENSE = "# license: which, as apache-2.0? And may the data be used so?\n"
_OF_THE_RUN = frozenset({"checkpoint_every", "stall_limit", "samples"})  # of a budget: they decide nothing of the model
LEGEND = (
    "±: standard deviation over seeds. [ ]: interval within one run, which knows nothing of other seeds. ≤ and ≥: a "
    "bound. What was measured the same way of yardsticks stands beside it."
)


@report("model-card", asked=True)
def write(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """``README.md`` beside the weights of one generator: front matter, how to load it, its numbers and pictures.

    Places, remarks on the machine, and times that a busy one gave are no facts of a model, and are left out.
    Raises GenbenchError for records of more than one model or dataset.
    """
    section = _only(gather(records, run_folder, notes).sections)
    (row,) = section.board.ranked
    name, plan = row.name, row.group.first.plan
    found = hub.results_of(records, calm=True).get(name)
    task = hub.TASKS.get(plan.modality)
    head = {
        "library_name": "genbench",
        **({"pipeline_tag": task} if task else {}),
        "tags": ["genbench", plan.family, plan.modality],
        **({"model-index": eval_results_to_model_index(name, found)} if found else {}),
    }
    paper = f" ({markdown.text(plan.paper)})" if plan.paper else ""
    told = f"A {markdown.name(plan.family)}{paper}, trained and measured by genbench on {markdown.name(plan.dataset)}."
    parts = [
        f"# {markdown.name(name)}",
        told,
        f'    [generators.{name}]\n    load = "FOLDER"        # this one, in a suite',
        *_numbers(section.board),
        *_samples(section, target),
        *_data(plan),
        "## Training",
        _facts(_training(row.group.first)),
    ]
    return write_atomic(target / "README.md", hub.front(head, LICENSE) + "\n" + "\n\n".join(parts) + "\n")


def _only(sections: Sequence[Section]) -> Section:
    """That of the one model. Raises GenbenchError where there are more, or none."""
    found = [f"{row.name} on {section.board.dataset}" for section in sections for row in section.board.ranked]
    if len(found) != 1:
        here = ", ".join(found) or "none"
        raise GenbenchError(f"a card is of one model on one dataset, and here are {here}: see `genbench save --help`")
    return next(section for section in sections if section.board.ranked)


def _numbers(board: Board) -> list[str]:
    """A number a line, the model's before those of yardsticks, and how each was taken."""
    columns = [c for c in board.own if any(_is_known(row.cells[c.key]) for row in board.ranked)]
    if not columns:
        timed = any(cell.busy for row in board.ranked for cell in row.cells.values())
        why = "what was timed was so on a busy machine, and is left out" if timed else "nothing of it was measured"
        return ["## Results", f"None: {why}."]
    beside = [row for row in board.rows if any(_is_known(row.cells[c.key]) for c in columns)]
    header = ["", *(markdown.name(row.name) for row in beside)]
    rows = [[markdown.name(heading(c)), *(_cell(row.cells[c.key], c) for row in beside)] for c in columns]
    title = f"## Results on the test split of {markdown.name(board.dataset)}, {seeds_text(board.seeds)}"
    return [title, markdown.table(header, rows), LEGEND, markdown.explained(columns, "How they were measured")]


def _is_known(cell: Cell) -> bool:
    return cell.summary is not None and not cell.busy


def _cell(cell: Cell, column: Column) -> str:
    return markdown.text(str(show(cell, column))) if _is_known(cell) else MISSING


def _samples(section: Section, target: Path) -> Sequence[str]:
    """Of the model alone."""
    own = {row.name for row in section.board.ranked}
    its: list[Sample] = [sample for sample in section.samples if sample.name in own]
    return markdown.pictured(its, target, 1)


def _data(plan: Plan) -> list[str]:
    options = listed({name: value for name, value in (plan.options or {}).items() if value not in (None, "")})
    facts = {
        "source": plan.source or None,
        "options": options or None,
        "fingerprint": plan.fingerprint,
        **{split: f"{n:,} examples" for split, n in (plan.splits or {}).items()},
        **({"left out": _left_out(plan.left_out)} if plan.left_out is not None else {}),
    }
    return [f"## Data: {markdown.name(plan.dataset)}", _facts(facts)]


def _left_out(reasons: Mapping[str, int]) -> str:
    """``3: 2 cannot be decoded, 1 stand there twice``."""
    told = ", ".join(f"{n:,} {what}" for what, n in reasons.items())
    return f"{sum(reasons.values()):,}{f': {told}' if told else ''}"


def _training(record: RunRecord) -> dict[str, Any]:
    """Hyperparameters and budget, without what the run alone rests on."""
    return {**record.plan.params, **{name: v for name, v in spent(record).items() if name not in _OF_THE_RUN}}


def _facts(facts: Mapping[str, Any]) -> str:
    """A line for each that is known; its user's home folder is nobody else's concern."""
    rows = [[name, without_home(str(value))] for name, value in facts.items() if value is not None]
    return markdown.table(["", ""], [[markdown.name(name), markdown.text(value)] for name, value in rows])
