"""``genbench new``: a small package of one's own, which works as it is written."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from bench.errors import GenbenchError, check_path, named, printable, shown
from bench.measure.names import known_names
from bench.registry import command, registry

Kind = Literal["generator", "metric", "dataset"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TEMPLATES = Path(__file__).with_name("templates")  # of each kind a package that is called acme_KIND
_OURS = ("tests", "runs")  # folders that stand beside the package
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")  # what is an identifier, and a name on a package index


@command("new")
def run(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the package and of what it adds: acme_flow.")],
    to: Annotated[str | None, typer.Option(metavar="DIR", help="The folder to write; ./NAME if left out.")] = None,
) -> None:
    """Write a package that adds a generator, a metric or a dataset.

    It works as it is written: its tests ask it for what genbench promises, and a suite uses it.
    """
    from bench.files import write_atomic

    check_path("to", to)
    folder = Path(name if to is None else to)
    _check_name(kind, name)
    if os.path.lexists(folder):
        raise GenbenchError(f"{named(folder)} is there already: name another folder by --to")
    written = dict(_written(kind, name))
    for place, text in written.items():
        write_atomic(folder / place, text)
    print(printable(f"{folder}: {', '.join(map(str, written))}\nnext:\n    cd {shlex.quote(str(folder))}"))
    print("\n".join(line for line in written[Path("README.md")].splitlines() if line.startswith("    ")))


def _written(kind: Kind, name: str) -> Iterator[tuple[Path, str]]:
    """Each file of a template, by its place in the package, with its own name for the template's."""
    root, stands_for = TEMPLATES / kind, f"acme_{kind}"
    for path in sorted(root.rglob("*")):
        place = str(path.relative_to(root)).replace(stands_for, name)
        if path.suffix in (".md", ".py", ".toml"):  # and not what Python and tools leave beside them
            text = path.read_text(encoding="utf-8").replace(stands_for, name)
            yield Path(place), text.replace(stands_for.replace("_", "-"), name.replace("_", "-"))


def _check_name(kind: Kind, name: str) -> None:
    """Raises GenbenchError for a name that no package of one's own can have, or that something else has."""
    if not _WORD.fullmatch(name):
        near = re.sub(r"[-./\s]+", "_", name).strip("_")
        meant = f"; did you mean {shown(near)}?" if _WORD.fullmatch(near) else ""
        raise GenbenchError(f"{shown(name)} is no name for a package: letters, digits and single _ between them{meant}")
    if name in _OURS or keyword.iskeyword(name):
        raise GenbenchError(f"{shown(name)} means something else in a package: take another name, such as my_{name}")
    known = {entry.name.rstrip(":").casefold() for entry in registry.all(f"{kind}s", with_rest=True).values()}
    if name.casefold() in known | ({*map(str.casefold, known_names())} if kind == "metric" else set()):
        raise GenbenchError(f"there is a {kind} {shown(name)} already: take another name, such as my_{name}")
    found = importlib.util.find_spec(name)
    if found and found.origin:  # and no mere folder, which Python takes for a package without files
        raise GenbenchError(f"there is a module {shown(name)} already: take another name, such as my_{name}")
