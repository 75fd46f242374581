"""``genbench report``."""

from __future__ import annotations

from typing import Annotated

import typer

import bench
from bench.cli._options import names_of
from bench.registry import command


@command("report")
def report(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A run folder.")],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="One of `genbench list reports`, and again for more; left out, those that are not to be asked for.",
            autocompletion=names_of("reports"),
        ),
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="DIR", help="Where to write.", show_default="DIR/report")] = None,
) -> None:
    """Render the records of a run folder."""
    print(bench.render(folder, to, formats or []))
