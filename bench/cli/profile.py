"""``genbench profile``: all that one generator costs, in under a minute."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._options import Device, Json, names_of
from bench.cli._tables import print_table, print_text
from bench.errors import GenbenchError
from bench.registry import command

if TYPE_CHECKING:
    from bench.record import Measurement, RunRecord

_SCALES = {"B": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")), "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))}
_ORDER = ("training", "offline", "single-stream", "streaming")
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@command("profile")
def run(
    generator: Annotated[
        str, typer.Argument(metavar="GENERATOR", help="A family.", autocompletion=names_of("generators"))
    ],
    dataset: Annotated[str, typer.Option(metavar="D", help="Data that it makes.", autocompletion=names_of("datasets"))],
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="Of the family's presets, such as tiny.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="A setting of the generator; again for more.")
    ] = None,
    load: Annotated[
        str | None, typer.Option(metavar="FILE", help="A checkpoint, to be measured in place of a training.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, metavar="S", help="How long to train.")] = 5.0,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Of training, and of sampling.")] = 64,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", metavar="NAME", help="One more: goodput:20ms, co2:DEU or seconds_to:NAME<=X; again for more."
        ),
    ] = None,
    looks: Annotated[
        list[str] | None,
        typer.Option("--look", metavar="NAME", help="A metric to take while it trains, as seconds_to:NAME<=X needs."),
    ] = None,
    trace: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write what torch's profiler sees, for Chrome or Perfetto.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Keep the run there.", show_default="kept nowhere")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Measure all that one generator costs.

    Exits with 1 where the trial failed, or the generator cannot make such data.
    """
    from bench.engine.profiling import profile

    if out and (Path(out) / "records").exists():
        raise GenbenchError(
            f"--out {out} holds a run: name a new folder, or measure that one with `genbench run --profile`"
        )
    with tempfile.TemporaryDirectory() as scratch:
        record = profile(
            generator, dataset, Path(out or scratch), preset=preset, load=load, seconds=seconds, batch_size=batch_size,
            device=device, settings=settings or [], also=metrics or [], looks=looks or [],
            trace=Path(trace) if trace else None,
        )  # fmt: skip
    if as_json:
        print(json.dumps(record.model_dump(mode="json"), indent=1))
    else:
        _print(record, generator, dataset)
    return int(record.status != "ok")


def _print(record: RunRecord, generator: str, dataset: str) -> None:
    e = record.environment  # empty where the trial's process ended before it said anything
    place = e.get("gpu") or (f"threads: {e['threads']}, {e['cpu']}" if e else "")
    trained_beside_others = bool(e.get("load", {}).get("busy"))
    rows = list(_rows(record.measurements, trained_beside_others))
    print_table(", ".join(filter(None, [f"{generator} on {dataset}", place])), rows, wrapped=["how"])
    for reason, names in _by_reason(record.omitted).items():
        print_text(f"no {', '.join(names)}: {reason}")
    if any(m.busy for m in record.measurements):
        print_text("‡ was timed while other work kept the machine busy, or while heat or a quota held it back.")
    if trained_beside_others:
        print_text("Other work kept the machine busy during the trial: times of training are not of it alone.")
    for remark in record.remarks:
        print_text(remark)
    if record.error:
        print(f"{record.status}: {record.error.message}", file=sys.stderr)


def _rows(measurements: Iterable[Measurement], trained_beside_others: bool) -> Iterator[dict[str, str]]:
    shown = ("batch_size", "scenario", "prompt", "counter", "batch_sizes", "process")
    for m in sorted(measurements, key=_place):
        around = f"{quantity(m.interval.lo, m.unit)} to {quantity(m.interval.hi, m.unit)}" if m.interval else ""
        how = ", ".join(f"{name.replace('_', ' ')} {m.protocol[name]}" for name in shown if name in m.protocol)
        busy = trained_beside_others if m.protocol.get("scenario") == "training" else m.busy
        yield {"": m.metric, "value": quantity(m.value, m.unit) + (" ‡" if busy else ""), "95 %": around, "how": how}


def _place(m: Measurement) -> int:
    """What a model is, then how it is trained, sampled, streamed, and what a fresh process needs."""
    if m.protocol.get("process") == "its own":
        return len(_ORDER)
    scenario = m.protocol.get("scenario")
    return _ORDER.index(scenario) if scenario in _ORDER else -1


def _by_reason(omitted: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in omitted.items():
        found.setdefault(reason, []).append(name)
    return found


def quantity(value: float, unit: str) -> str:
    """``12.3 ms``, ``1.5 GiB``, ``45.6 k tokens/s``."""
    for factor, name in _SCALES.get(unit, ()):
        if abs(value) >= factor:
            return f"{_digits(value / factor)} {name}"
    what = {"1": "", "FLOP": "FLOP"}.get(unit, f" {unit}")
    for factor, prefix in _PREFIXES if unit not in _SCALES and abs(value) >= 1e4 else ():
        if abs(value) >= factor:
            return f"{_digits(value / factor)} {prefix}{what}"
    return f"{_digits(value)}{' ' if unit == 'FLOP' else ''}{what}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
