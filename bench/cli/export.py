"""``genbench export``: results in the formats of other tools."""

from __future__ import annotations

from typing import Annotated

import typer

import bench
from bench.cli._options import names_of
from bench.errors import GenbenchError
from bench.registry import command, registry


@command("export")
def export(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A run folder.")],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="One of `genbench list reports`; again for more.",
            autocompletion=names_of("reports"),
        ),
    ] = None,
    bundle: Annotated[bool, typer.Option("--bundle", help="The same as --to bundle.")] = False,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Where to write.", show_default="DIR/report")] = None,
) -> None:
    """Write results in the formats of other tools."""
    asked = [*(formats or []), *(["bundle"] if bundle else [])]
    if not asked:
        raise GenbenchError(f"--to: name a format: {', '.join(registry.all('reports'))}")
    for name in asked:
        print(bench.render(folder, out, [name]))
