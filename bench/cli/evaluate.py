"""``genbench evaluate``: the numbers of ``bench.evaluate``, as a table or as JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

import bench
from bench.cli._options import Device, Json
from bench.cli._tables import print_table, print_text
from bench.openmp import waiting_policy
from bench.registry import command

DOWNLOAD = "GENBENCH_DOWNLOAD"  # extractors that may fetch their weights; 1 for all that are asked for


@command("evaluate")
def evaluate(
    samples: Annotated[
        str,
        typer.Argument(
            metavar="SAMPLES",
            help="A folder or .zip of pictures, .npz, .npy, .txt (a text a line), .json or .jsonl.",
        ),
    ],
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REFERENCE",
            help="Held-out real data, in any of these forms; for fd, .npz of mu, sigma.",
        ),
    ],
    metrics: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Such as fd,kid or 'fd kid'; all that apply if left out."),
    ] = None,
    modality: Annotated[
        str | None, typer.Option(metavar="MODALITY", help="What the samples are; guessed if left out.")
    ] = None,
    extractor: Annotated[
        str | None, typer.Option(metavar="E", help="Whose features (genbench list extractors).")
    ] = None,
    train: Annotated[
        str | None, typer.Option(metavar="TRAIN", help="The training data, for measures of novelty.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(metavar="FILE", help="One text a sample, in the samples' order.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of splits and folds.")] = 0,
    device: Device = "auto",
    download: Annotated[
        bool,
        typer.Option("--download", help="Fetch the extractor's weights where they are not here, checked by hash."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure samples of your own against real data."""
    os.environ.update(waiting_policy(os.environ))
    if download:
        os.environ[DOWNLOAD] = "1"
    table = bench.evaluate(
        samples,
        reference,
        metrics=metrics,
        modality=modality,
        extractor=extractor,
        train=train,
        prompts=prompts,
        seed=seed,
        device=device,
    )
    rows = json.loads(table.to_json(orient="records", double_precision=15))
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        _print_measured(rows)


def _print_measured(rows: list[dict[str, Any]]) -> None:
    """Values with their intervals and what is theirs alone of the protocol; what all share; what is missing and why."""
    measured = [row for row in rows if row["value"] is not None]
    common = _common([row["protocol"] for row in measured])
    shown = [
        {
            "metric": row["metric"],
            "value": f"{row['value']:.6g}",
            "95 %": "" if row["lo"] is None else f"[{row['lo']:.6g}, {row['hi']:.6g}]",
            "unit": "" if row["unit"] == "1" else row["unit"],
            "better": row["better"],
            "n": f"{row['n']:,}",
            "protocol": _settings(pair for pair in row["protocol"].items() if pair not in common),
        }
        for row in measured
    ]
    used = [column for column in shown[0] if any(row[column] for row in shown)]
    print_table("", [{column: row[column] for column in used} for row in shown], wrapped=["protocol"])
    lines = ["under " + _settings(common)] if common else []
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["value"] is None:
            reasons.setdefault(row["reason"], []).append(row["metric"])
    lines += [f"{', '.join(names)}: left out: {reason}" for reason, names in reasons.items()]
    for line in lines:
        print_text(line)


def _common(protocols: Sequence[Mapping[str, Any]]) -> set[tuple[str, Any]]:
    """What all have alike, and the data that some read: whether one does, its n_real or n_train says in its row."""
    every = {pair for protocol in protocols for pair in protocol.items()}
    counts = Counter(name for name, _ in every)
    return {
        pair
        for pair in every
        if all(pair in p.items() for p in protocols) or (pair[0] in ("reference", "train") and counts[pair[0]] == 1)
    }


def _settings(pairs: Iterable[tuple[str, Any]]) -> str:
    """What was seen before how: the extractor, the rest by name, the method of the interval last."""
    order = sorted(pairs, key=lambda pair: (pair[0] == "interval", pair[0] != "extractor", pair[0]))
    return "; ".join(f"{name} {value}" for name, value in order)
