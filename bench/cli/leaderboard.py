"""``genbench leaderboard``: one static site of many run folders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import bench
from bench.errors import OutputError, printable
from bench.registry import command

RESULTS = "results"  # the run folder within the site


@command("leaderboard")
def run(
    folders: Annotated[list[str], typer.Argument(metavar="FOLDER...", help="Run folders.")],
    to: Annotated[str, typer.Option(metavar="SITE", help="The folder to write; it may be served as it is.")],
) -> int:
    """Merge run folders into one static site.

    Exits with 1 where a record was refused.
    """
    from bench.results.merge import merge

    site = Path(to)
    if any(Path(folder).resolve() == site.resolve() for folder in folders):
        raise OutputError(f"{to} is one of the run folders: name another for the site")
    taken, refused, notes = merge(folders, site / RESULTS)
    for line in [*(f"left out: {reason}" for reason in refused), *notes]:
        print(printable(line), file=sys.stderr)
    page = bench.render(site / RESULTS, site)
    print(f"{taken} record{'s' if taken != 1 else ''}; {page}")
    return int(bool(refused))
