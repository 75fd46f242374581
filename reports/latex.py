"""``report.tex``: the leaderboards as tables for a paper, in booktabs."""

from __future__ import annotations

from pathlib import Path

from bench import RunRecord, report, write_atomic
from bench.results.board import Board, Column, Row
from reports._cells import place_and_tier, scale_of, show
from reports._content import gather
from reports._escaping import NAME, visible

_ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$", "none": ""}
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "≤": r"$\le$", "≥": r"$\ge$", "±": r"$\pm$", "≈": r"$\approx$", "−": "$-$", "†": r"\dag{}", "µ": r"\textmu{}",
    "×": r"$\times$", "–": "--", "∞": r"$\infty$",
}  # fmt: skip


@report("latex", asked=True)
def write(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """A table a dataset, of what is looked at first; bold for the best, as on the page. Wants booktabs."""
    content = gather(records, run_folder, notes)
    tables = [_table(section.board) for section in content.sections if section.board.headline]
    return write_atomic(target / "report.tex", "\n\n".join(["% \\usepackage{booktabs}", *tables]) + "\n")


def _table(board: Board) -> str:
    columns = board.headline
    heads = ["place", "tier", *(_heading(column) for column in columns)]
    ranked = [_row(row, columns) for row in board.ranked]
    controls = [_row(row, columns) for row in board.controls]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(board)}}}",
        rf"\begin{{tabular}}{{lrl{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join(["", *heads]) + r" \\",
        r"\midrule",
        *ranked,
        *([r"\midrule", *controls] if controls else []),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _caption(board: Board) -> str:
    """What the numbers are of: data, seeds, and how many samples."""
    seeds = sorted({len(row.group.seeds) for row in board.ranked})
    of = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}" if seeds else "no"
    plural = "" if seeds == [1] else "s"
    spread = ": mean and standard deviation" if seeds and seeds[-1] > 1 else ""
    sizes = dict.fromkeys(
        f"{column.protocol['n_fake']:,} samples"
        for column in board.headline if isinstance(column.protocol.get("n_fake"), int)
    )  # fmt: skip
    parts = [f"{tex(board.dataset)}, {of} seed{plural}{spread}", *map(tex, sizes)]
    return (
        f"{'; '.join(parts)}. Behind a place those that it may have at 95\\,\\%; two that share a letter are not told "
        "apart. Bold: the best mean, told from others or not. Italics: yardsticks."
    )


def _heading(column: Column) -> str:
    unit = scale_of(column).unit
    return tex(column.label) + (f" ({tex(unit)})" if unit else "") + f" {_ARROWS[column.better]}".rstrip()


def _row(row: Row, columns: tuple[Column, ...]) -> str:
    name = tex(row.name)
    cells = [rf"\textit{{{name}}}" if row.group.control else name, *map(tex, place_and_tier(row.standing))]
    for column in columns:
        cell = row.cells[column.key]
        shown = show(cell, column)
        value = tex(shown.value)
        value = rf"\textbf{{{value}}}" if cell.mark == "best" else value
        cells.append(f"{value} {tex(shown.spread)}".strip())
    return " & ".join(cells) + r" \\"


def tex(text: str) -> str:
    """Text that stays text, whatever it is called."""
    return "".join(_SPECIAL.get(c, c) for c in visible(text, NAME, keep=""))
