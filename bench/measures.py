"""The names of metrics. A feature metric is one measure for every extractor, and a number is called after what it saw.

fd_lenet, precision_dinov2     a measure on an extractor
fid, kid, is                   their classic names, which belong to the Inception weights of 2015-12-05 alone
fd, precision                  in a suite: the measure on each of the suite's extractors
evaluate:rouge                 made when asked for, by the scheme before the colon
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.errors import UnknownName, calling, expect, nearest
from bench.protocols import DataSpec
from bench.registry import ExtractorEntry, MetricEntry, SchemeEntry, registry

CLASSIC: Mapping[str, tuple[str, str]] = {
    "fid": ("fd", "inception"),
    "kid": ("kid", "inception"),
    "is": ("is", "inception"),
}
# What stands for an extractor whose weights are not here: one line that says so, instead of one a measure.
HEADLINE = "fd"


def metric_name(measure: str, extractor: str) -> str:
    """The name of a measure on an extractor."""
    classic = {pair: name for name, pair in CLASSIC.items()}
    return classic.get((measure, extractor), f"{measure}_{extractor}")


def find_metric(name: str) -> MetricEntry:
    """The metric of a full name, bound to its extractor. Raises UnknownName with the nearest right name."""
    scheme, colon, _ = name.partition(":")
    if colon:
        found: SchemeEntry = registry.get("schemes", scheme)
        return replace(found.template, name=name, compute=found.make(name))
    if name in CLASSIC:
        return bind(*CLASSIC[name])
    if pair := _split(name):
        return bind(*pair)
    return _plain(name)


def bind(measure: str, extractor: str) -> MetricEntry:
    """A feature metric on an extractor: on what both can read."""
    entry: MetricEntry = registry.get("metrics", measure)
    on = entry.on & registry.get("extractors", extractor).on
    return replace(entry, name=metric_name(measure, extractor), extractor=extractor, on=on)


def check_name(name: str) -> MetricEntry:
    """The entry that a name in a suite stands for, a bare measure included. Raises UnknownName."""
    expect("metric", name, isinstance(name, str), "a name, such as 'fd'")
    table = registry.all("metrics")
    return table[name] if name in table else find_metric(name)


def is_measure(name: str) -> bool:
    """Whether a name is that of a feature metric without its extractor."""
    table = registry.all("metrics")
    return name in table and table[name].of == "features"


def expand(
    asked: Sequence[str] | None, spec: DataSpec, extractors: Sequence[str] | None, without: Sequence[str] = ()
) -> tuple[str, ...]:
    """Full names of the metrics for data of this form.

    asked: names or measures; None for all.  extractors: those to use; None for all that are here and fit.
    without: names or measures to leave out.
    """
    found: list[str] = []
    for name in registry.all("metrics") if asked is None else asked:
        if name in without:
            continue
        names = _on_each(name, spec, extractors, explicit=asked is not None) if is_measure(name) else [name]
        found += [n for n in names if n not in without and spec.modality in find_metric(n).on]
    return tuple(dict.fromkeys(found))


def _on_each(measure: str, spec: DataSpec, extractors: Sequence[str] | None, explicit: bool) -> list[str]:
    home = None if explicit else registry.get("metrics", measure).extractors
    fitting = [e for e in _fitting(spec) if home is None or e.name in home]
    if extractors is not None:
        names = {e.name for e in fitting}
        return [metric_name(measure, name) for name in extractors if name in names]
    names_here = [metric_name(measure, e.name) for e in fitting if e.here or measure == HEADLINE]
    # `kid` asked for by name is also the classic one, which says what is missing where it cannot be had.
    return [*names_here, measure] if explicit and measure in CLASSIC else names_here


def _fitting(spec: DataSpec) -> list[ExtractorEntry]:
    every: Iterable[ExtractorEntry] = registry.all("extractors").values()
    return [e for e in every if spec.modality in e.on and _fits(e, spec)]


def _fits(entry: ExtractorEntry, spec: DataSpec) -> bool:
    with calling(f"the extractor {entry.name!r} of {entry.origin}, asked whether it fits,"):
        return entry.fits(spec)


def _split(name: str) -> tuple[str, str] | None:
    """(measure, extractor) of a name such as ``fd_lenet``."""
    for extractor in registry.all("extractors"):
        measure = name.removesuffix(f"_{extractor}")
        if measure != name and is_measure(measure):
            return measure, extractor
    return None


def _plain(name: str) -> MetricEntry:
    """A metric that reads no features."""
    table = registry.all("metrics")
    if name in table and table[name].of != "features":
        found: MetricEntry = table[name]
        return found
    near = nearest(name, known_names())
    raise UnknownName("metric", name, near or table, registry.failure_note())


def known_names() -> list[str]:
    """Every name a metric can have."""
    extractors = registry.all("extractors")
    table: Mapping[str, MetricEntry] = registry.all("metrics")
    bound = [metric_name(m, x) for m, e in table.items() if e.of == "features" for x in extractors]
    return sorted({*table, *bound})
