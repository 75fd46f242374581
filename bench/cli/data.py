"""``genbench data inspect``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import bench
from bench.cli._options import Json, names_of
from bench.cli._tables import print_table, print_text
from bench.errors import GenbenchError, check_path, named
from bench.registry import command, registry

if TYPE_CHECKING:
    from bench.datasets._inspection import Inspection

_MOST = 12  # classes and sizes in the terminal; the page has all
_ITEMS = {"text": "documents", "video": "films"}  # what a source holds, where that is not what splits do


@command("data")
def run(
    action: Annotated[Literal["inspect"], typer.Argument(help="What to do.")],
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A dataset, as folder:PATH.", autocompletion=names_of("datasets"))
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="K=V", help="An option of the dataset (genbench list datasets NAME); again for more."
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where to write the page.", show_default="inspected/SOURCE")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at data before anyone trains on it.

    Prints a summary and writes a page: counts, sizes, classes, examples, what stands twice, and what is held out and
    learned from at once.
    """
    from bench.engine.suite import apply_override

    check_path("to", to)
    options: dict[str, Any] = {}
    for setting in settings or []:
        apply_override(options, setting)
    found = bench.inspect(source, options)
    folder = Path(to or Path("inspected") / re.sub(r"[^\w.-]+", "-", source).strip("-.")[:80])
    pages = [entry.write(found, folder) for entry in registry.all("reports").values() if entry.of == "data"]
    if not pages:
        raise GenbenchError("no report shows data: genbench list reports")
    if as_json:
        print(json.dumps({**_plain(found), "pages": list(map(str, pages))}, indent=1))
        return
    _print(found)
    print(*pages, sep="\n")


def _plain(found: Inspection) -> Mapping[str, Any]:
    """All of it but pictures."""
    return {
        "source": found.source,
        "options": found.options,
        "fingerprint": found.fingerprint,
        "spec": found.spec.to_dict(),
        "held": found.held,
        "splits": found.splits,
        "unit": found.unit,
        "left_out": found.left_out,
        "numbers": found.numbers,
        "classes": found.classes,
        "sizes": found.sizes,
        "findings": [finding.model_dump() for finding in found.findings],
        "remarks": found.remarks,
    }


def _print(found: Inspection) -> None:
    about = [{"": name, "value": value} for name, value in _facts(found)]
    print_table(named(found.source), about, wrapped=["value"])
    if found.classes:
        rows = [{"class": named(name), **counts} for name, counts in list(found.classes.items())[:_MOST]]
        print_table(f"classes: {len(found.classes)}", rows)
    for finding in found.findings:
        print_text(finding.line(page=True))
    if not found.findings:
        print_text(found.nothing_found)
    for remark in found.remarks:
        print_text(remark)


def _facts(found: Inspection) -> Iterator[tuple[str, str]]:
    yield "fingerprint", found.fingerprint
    if found.held is not None:
        yield "in the source", f"{found.held:,} {_ITEMS.get(found.modality, found.unit)}"
    for split, count in found.splits.items():
        yield split, f"{count:,} {found.unit}"
    if found.left_out is not None:
        yield "left out", f"{found.left_out:,} {found.unit}"
    yield from found.numbers.items()
    if found.sizes:
        some = ", ".join(f"{size} ({count:,})" for size, count in list(found.sizes.items())[:_MOST])
        yield "sizes", f"{some}, and {len(found.sizes) - _MOST} others" if len(found.sizes) > _MOST else some
