"""Options that several commands have alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from bench.registry import registry

Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def names_of(kind: str) -> Callable[[str], list[str]]:
    """How a shell completes a name of this kind."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in registry.all(kind) if name.startswith(incomplete)]

    return complete
