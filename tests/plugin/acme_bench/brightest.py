"""``genbench acme-brightest``."""

from typing import Annotated

import typer

from bench import GenbenchError, command, read_frame


@command("acme-brightest")
def brightest(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A run folder.")],
    all_of_them: Annotated[bool, typer.Option("--all", help="Every generator, the brightest first.")] = False,
) -> None:
    """Name the generator whose samples are brightest."""
    table = read_frame(folder)
    found = table[(table.metric == "acme/brightness") & table.value.notna()].sort_values("value", ascending=False)
    if found.empty:
        raise GenbenchError(f"{folder}: acme/brightness was not measured: add it to the suite's metrics")
    for row in (found if all_of_them else found.head(1)).itertuples():
        print(f"{row.generator} {row.value:.1f}")
