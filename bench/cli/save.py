"""``genbench save``: a trained model as a folder of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.registry import command


@command("save")
def save(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder.")],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A new folder for the model.")],
    generator: Annotated[str, typer.Option(metavar="LABEL", help="Which, where several were trained.")] = "",
    dataset: Annotated[str, typer.Option(metavar="LABEL", help="On what, where on several.")] = "",
    seed: Annotated[int | None, typer.Option(metavar="N", help="Which training.", show_default="the lowest")] = None,
) -> None:
    """Write a trained model as a folder for suites and model hubs."""
    from bench.engine.saving import save_model

    print(save_model(run, folder, generator=generator, dataset=dataset, seed=seed))
