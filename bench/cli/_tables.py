"""Tables for people: a row a line, as wide as the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_table(title: str, rows: Sequence[Mapping[str, Any]], wrapped: Collection[str] | None = None) -> None:
    """A row a line. wrapped: the columns that give way where the terminal is narrow; all but names if left out."""
    from rich.table import Table  # takes long to import, and help shows no table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(rows[0] if rows else ()):
        keep = column == "name" if wrapped is None else column not in wrapped
        table.add_column(column, no_wrap=keep, overflow="fold", style="" if number else "bold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    show(table)
    print()


def print_text(text: str) -> None:
    """A paragraph, as it is: nothing in it is markup."""
    from rich.text import Text

    show(Text(text))


def show(what: RenderableType) -> None:
    """As wide as the terminal; a file or a pipe has no width, and gets whole lines without blanks at their ends."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console().print(what)
        return
    console = Console() if "COLUMNS" in os.environ else Console(width=100_000)
    with console.capture() as captured:
        console.print(what)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
