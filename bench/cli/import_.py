"""``genbench import``: other tools' results as records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._options import names_of
from bench.errors import DataError, printable, said, shown
from bench.foreign import sought
from bench.registry import command, registry

if TYPE_CHECKING:
    from bench.record import RunRecord


@command("import")
def run(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="[TOOL] FILE...",
            help="Its results. The tool, one of `genbench list importers`, may be left out where a file shows it.",
            autocompletion=names_of("importers"),
        ),
    ],
    out: Annotated[str, typer.Option(metavar="DIR", help="The run folder that the records join.")] = "runs/imported",
    name: Annotated[str, typer.Option(metavar="NAME", help="The generator, where a file names none or another.")] = "",
    dataset: Annotated[str, typer.Option(metavar="NAME", help="The data, where a file names none.")] = "",
) -> None:
    """Bring other tools' results into a run folder."""
    from bench.results.store import write_record

    named = given[0] in registry.all("importers") or (len(given) > 1 and not Path(given[0]).exists())
    tool, files = (given[0], given[1:]) if named else ("", given)
    if not files:
        raise DataError(f"{tool}: name a file of its results")
    records = []
    for file in files:
        if not Path(file).is_file():
            raise DataError(f"{file}: there is no such file{sought(file)}")
        records += _read(tool, Path(file), name, dataset) if tool else _told(Path(file), name, dataset)
    if dataset and any(record.plan.dataset != dataset for record in records):
        raise DataError(f"--dataset {shown(dataset)}: these files name their data themselves: leave it out")
    for record in records:
        write_record(Path(out), record)
    print(printable(f"{len(records)} record{'s' if len(records) != 1 else ''} in {out}; genbench report {out}"))


def _read(tool: str, file: Path, name: str, dataset: str) -> list[RunRecord]:
    """Raises DataError for what is no result of this tool."""
    try:
        found: list[RunRecord] = registry.get("importers", tool).read(file, name, dataset)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:  # of a document of any form
        raise DataError(f"{file}: no result of {tool} as it is known here ({said(error)})") from error
    return found


def _told(file: Path, name: str, dataset: str) -> list[RunRecord]:
    """By the one tool that reads it. Raises DataError where that is none, or several."""
    found, wrong = dict[str, "list[RunRecord]"](), list[str]()
    for tool in registry.all("importers"):
        try:
            found[tool] = _read(tool, file, name, dataset)
        except DataError as error:
            wrong.append(f"{tool}: {error}")
    if len(found) > 1:
        raise DataError(f"{file}: {' and '.join(found)} read it: name the tool before the file")
    if not found:
        raise DataError("\n".join([f"{file}: no tool that is known here reads it", *wrong]))
    return next(iter(found.values()))
