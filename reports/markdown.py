"""``report.md``: the comparison for repositories and reviews, with its pictures beside it in ``figures/``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import RunRecord, report, write_atomic
from bench.results.board import Board, Column, Row
from reports._cells import ARROWS, heading, legend, mark, meanings, place_and_tier, show
from reports._content import MOST_NAMED, Content, Pending, Section, Trouble, gather, listed
from reports._effort import effort
from reports._escaping import LISTING, NAME, WHOLE, ending, visible
from reports._figures import costs, sheet, to_png, tradeoff
from reports._losses import curves, learning
from reports._notes import gaps
from reports._overall import numbers, overall
from reports._quality import quality
from reports._samples import Sample, missing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLED = {"bold": "**bold**", "italics": "*italics*"}


@report("markdown")
def write(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """One markdown file, figures and sample grids as PNG beside it."""
    content = gather(records, run_folder, notes)
    lines = [f"- **{name(s.board.dataset)}**: {text(s.verdict)}" for s in content.sections]
    if not content.sections:
        lines.append("No trial in this folder has finished yet.")
    parts = [f"# {name(content.title)}", " · ".join(filter(None, (text(content.dates), content.trials)))]
    parts += ["\n".join(lines), *map(_pending, content.unfinished)]
    parts += _overall(content, target)
    for number, section in enumerate(content.sections, 1):
        parts += _section(section, content, target, number)
    parts += [_troubles("Failures", content.failures), _troubles("Skipped", content.skipped)]
    if content.notes:
        parts.append("\n".join(["## Notes\n", *(f"- {text(note)}" for note in content.notes)]))
    parts += [_left_out(content), _settings(content), _machines(content), _commands(content)]
    return write_atomic(target / "report.md", "\n\n".join(part for part in parts if part) + "\n")


def _overall(content: Content, target: Path) -> list[str]:
    """All datasets together."""
    figure = overall(content.across, content.slots)
    if figure is None:
        return []
    path = write_atomic(target / "figures" / "overall.png", to_png(figure))
    told = "Each run as a multiple of the best mean on its dataset, by what orders its board; quality alone."
    header = ["generator", "interquartile mean ↓", "", "the first is better in"]
    rows = [[name(who), *found] for who, *found in numbers(content.across)]
    return [
        f"## Datasets together: {text(', '.join(content.across[0].runs))}",
        told,
        table(header, rows),
        f"![performance profiles](figures/{path.name})",
    ]


def _pending(pending: Pending) -> str:
    how = f"\n\nTo go on, run this again; it does only what is missing.\n\n{fence(visible(pending.command, WHOLE))}"
    which = f"{text(pending.first)}." + (how if pending.command else "")
    every = fold("All of them", "\n".join(f"- {text(trial)}" for trial in pending.trials))
    return f"**{text(pending.summary)}:** {which}" + (f"\n\n{every}" if len(pending.trials) > MOST_NAMED else "")


def _section(section: Section, content: Content, target: Path, number: int) -> list[str]:
    board = section.board
    about = [name(board.modality), text(section.data), f"suite {name(', '.join(board.suites))}", text(board.ordered_by)]
    parts = [f"## {name(board.dataset)}", " · ".join(filter(None, about))]
    if board.columns:
        signs = "\n".join(f"- {_STYLED.get(sign, text(sign))}: {text(meaning)}" for sign, meaning in legend(board))
        parts += [_leaderboard(board, board.headline, places=board.main is not None), signs]
        parts += [text(line) for line in (section.band, *section.unranked)]
    parts += [section.undrawn, *pictured(section.samples, target, number), *_continued(section)]
    parts += _figures(board, content, target, number)
    if board.headline != board.columns:
        parts += ["### All numbers", _leaderboard(board, board.columns)]
    empty = "\n".join(f"- {text('; '.join(gap.where))}: {text(gap.why)}" for gap in gaps(board))
    return [*parts, explained(board.columns), fold("Missing numbers", empty) if empty else ""]


def _leaderboard(board: Board, columns: Sequence[Column], *, places: bool = False) -> str:
    header = ["generator", *(["place", "tier"] if places else []), *(name(heading(column)) for column in columns)]
    rows = [
        [_name(row), *(place_and_tier(row.standing) if places else []), *(_cell(row, column) for column in columns)]
        for row in board.rows
    ]
    return table(header, rows)


def _name(row: Row) -> str:
    return f"*{name(row.name)}*" if row.group.control else name(row.name)


def _cell(row: Row, column: Column) -> str:
    cell = row.cells[column.key]
    shown = text(str(show(cell, column)))
    return f"{f'**{shown}**' if cell.mark == 'best' else shown} {text(mark(cell))}".strip()


def explained(columns: Iterable[Column], headline: str = "What the columns mean") -> str:
    """What each is and how it was taken, folded away below a headline; "" for none."""
    parts = []
    for title, shared, its in meanings(columns):
        parts.append(f"**{text(title)}**{f': {text(shared)}' if shared else ''}")
        own = ((c, f"{text(c.about)} " if c.about else "", setting) for c, setting in its)
        parts.append("\n".join(f"- **{name(c.label)}** {ARROWS[c.better]} {about}*{text(s)}*" for c, about, s in own))
    return fold(headline, "\n\n".join(parts)) if parts else ""


def _continued(section: Section) -> list[str]:
    """How each goes on from the same beginnings."""
    parts = ["### From one beginning"] if section.beginnings else []
    for beginning in section.beginnings:
        parts.append(fence(beginning.prompt))
        for one in beginning.by:
            parts.append(f"**{name(one.name)}**\n\n{fence(''.join(piece.text for piece in one.pieces))}")
    return [*parts, *(f"- not shown: {text(line)}" for line in section.unread)]


def pictured(samples: Sequence[Sample], target: Path, number: int) -> list[str]:
    """Samples, with their pictures, sounds and scores beside the file."""
    parts = ["### Samples"] if samples else []
    if figure := sheet(samples):
        path = write_atomic(target / "figures" / f"samples-{number}.png", to_png(figure))
        names = ", ".join(name(sample.name) for sample in samples if sample.png)
        parts.append(f"![samples of {names}](figures/{path.name})")
    for index, sample in enumerate(samples, 1):
        title = f"**{name(sample.name)}**, seed {sample.seed}"
        for place, sound in enumerate(sample.sounds, 1):
            path = write_atomic(target / "figures" / f"samples-{number}-{index}-{place}.wav", sound)
            parts.append(f"[listen to sample {place} of {name(sample.name)}](figures/{path.name})")
        for place, score in enumerate(sample.midi, 1):
            path = write_atomic(target / "figures" / f"samples-{number}-{index}-{place}.mid", score)
            parts.append(f"[sample {place} of {name(sample.name)} as MIDI](figures/{path.name})")
        parts += [f"{title}\n\n{fence(sample_text)}" for sample_text in sample.texts[:1]]
        parts += [fence(sample_text) for sample_text in sample.texts[1:]]
    return [*parts, *(f"- not shown: {text(line)}" for line in missing(samples))]


def _figures(board: Board, content: Content, target: Path, number: int) -> list[str]:
    parts = []
    if figure := tradeoff(board, content.slots):
        parts.append(_figure("Quality against throughput", f"tradeoff-{number}.png", figure, target))
    if figure := costs(board, content.slots):
        parts.append(_figure("Quality against cost", f"costs-{number}.png", figure, target))
    if figure := effort(board, content.slots):
        parts.append(_figure("Quality against evaluations", f"effort-{number}.png", figure, target))
    if figure := quality(board, content.slots):
        parts.append(_figure("Quality while training", f"quality-{number}.png", figure, target))
    if rows := learning(board):
        parts.append(_figure("Learning curves", f"curves-{number}.png", curves(rows, content.slots), target))
    return parts


def _figure(title: str, name: str, figure: Figure, target: Path) -> str:
    write_atomic(target / "figures" / name, to_png(figure))
    return f"### {title}\n\n![{title}](figures/{name})"


def _left_out(content: Content) -> str:
    entries = ((", ".join(e.metrics), e.why, "; ".join(e.where)) for e in content.left_out)
    rows = [[text(part) for part in entry] for entry in entries]
    return "## Left out\n\n" + table(["metrics", "reason", "where"], rows) if rows else ""


def _troubles(title: str, troubles: Sequence[Trouble]) -> str:
    parts = []
    for trouble in troubles:
        parts.append(f"- **{text(trouble.who)}**, {trouble.seeds} ({trouble.kind}): {text(trouble.message)}")
        if trouble.traceback:
            parts.append(fold("traceback", fence(ending(trouble.traceback))))
    return "\n\n".join([f"## {title}", *parts]) if parts else ""


def _settings(content: Content) -> str:
    rows = [
        [text(cell) for cell in (s.name, s.family, ", ".join(s.datasets), listed(s.params), listed(s.budget))]
        for s in content.settings
    ]
    header = ["generator", "family", "data", "hyperparameters", "budget"]
    return "## Settings\n\n" + table(header, rows) if rows else ""


def _machines(content: Content) -> str:
    machines = content.machines
    if not machines.shared and not machines.differing:
        return ""
    parts = ["## Environment", table(["", ""], [[text(k), text(v)] for k, v in machines.shared.items()])]
    if machines.differing:
        parts.append("The records come from several environments:")
        parts.append(
            "\n".join(f"- {n} trial{'s' if n > 1 else ''}: {text(listed(what))}" for what, n in machines.differing)
        )
    return "\n\n".join(parts)


def _commands(content: Content) -> str:
    if not content.commands:
        return ""
    seeds = ", ".join(map(str, content.seeds))
    hint = f"Seeds {seeds}. For a suite of your own give the path of its TOML file."
    commands = visible("\n".join(content.commands), WHOLE)
    return "\n\n".join(["## To reproduce", fence(commands), hint])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; cells are escaped already."""
    lines = [header, ["---", *(["---:"] * (len(header) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(value: str, longest: int = LISTING) -> str:
    """Plain text in markdown: one line, nothing in it taken for markup, an entity, an address or a table's edge."""
    one_line = visible(" ".join(value.split()), longest)
    escaped = re.sub(r"([\\`*|\[\]<>&~]|(?<!\w)_|_(?!\w)|:(?=//))", r"\\\1", one_line)
    # What begins a heading, a list or a rule.
    return re.sub(r"^(|\d+(?=[.)](?: |$)))([#+=.)-])", r"\1\\\2", escaped)


def name(value: str) -> str:
    """The same of a name, as long as a table has room for."""
    return text(value, NAME)


def fence(value: str) -> str:
    """A code block whose fence is longer than any run of backticks within."""
    longest = max((len(run) for run in re.findall("`+", value)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{value}\n{ticks}"


def fold(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
