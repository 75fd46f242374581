"""``genbench import``: other tools' results as records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli._options import names_of
from bench.errors import DataError, printable, said, shown
from bench.registry import command, registry


@command("import")
def run(
    tool: Annotated[
        str,
        typer.Argument(metavar="TOOL", help="One of `genbench list importers`.", autocompletion=names_of("importers")),
    ],
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Its results.")],
    out: Annotated[str, typer.Option(metavar="DIR", help="The run folder that the records join.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="The generator, where a file names none or another.")] = "",
    dataset: Annotated[str, typer.Option(metavar="NAME", help="The data, where a file names none.")] = "",
) -> None:
    """Bring other tools' results into a run folder."""
    from bench.results.store import write_record

    read = registry.get("importers", tool).read
    records = []
    for file in files:
        if not Path(file).is_file():
            raise DataError(f"{file}: there is no such file")
        try:
            records += read(Path(file), name, dataset)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:  # of a document of any form
            raise DataError(f"{file}: no result of {tool} as it is known here ({said(error)})") from error
    if dataset and any(record.plan.dataset != dataset for record in records):
        raise DataError(f"--dataset {shown(dataset)}: files of {tool} name their data themselves: leave it out")
    for record in records:
        write_record(Path(out), record)
    print(printable(f"{len(records)} record{'s' if len(records) != 1 else ''} in {out}; genbench report {out}"))
