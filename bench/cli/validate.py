"""``genbench validate``: whether records that somebody hands in can be believed as far as they go."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.errors import DataError, printable
from bench.registry import command


@command("validate")
def run(
    paths: Annotated[list[str], typer.Argument(metavar="RECORD...", help="Records, or run folders of them.")],
) -> int:
    """Check records that others submit.

    Schema, names, samples, and that no number denies another; exits with 1 where one cannot be believed.
    """
    from bench.results.claims import problems
    from bench.results.merge import records_under

    found = records_under(paths)
    if not found:
        raise DataError(f"{', '.join(paths)}: there is no record")
    wrong = {path: list(problems(path)) for path in found}
    for path, its in wrong.items():
        for problem in its:
            print(printable(f"{path.parent.parent}: {problem}"))
    bad = sum(bool(its) for its in wrong.values())
    print(f"{len(found)} record{'s' if len(found) != 1 else ''}: {len(found) - bad} can be believed, {bad} cannot")
    return int(bad > 0)
