"""``genbench report``."""

from __future__ import annotations

from typing import Annotated

import typer

import bench
from bench.registry import command, registry


def _formats(incomplete: str) -> list[str]:
    return [name for name in registry.all("reports") if name.startswith(incomplete)]


@command("report")
def report(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A run folder.")],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="One of `genbench list reports`, and again for more; all if left out.",
            autocompletion=_formats,
        ),
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="DIR", help="Where to write.", show_default="DIR/report")] = None,
) -> None:
    """Render the records of a run folder."""
    print(bench.render(folder, to, formats or []))
