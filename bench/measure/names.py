"""The names of metrics. A feature metric is one measure for every extractor, and a number is called after what it saw.

fd_lenet, precision_dinov2     a measure on an extractor
fid, kid, is                   their classic names, which belong to the Inception weights of 2015-12-05 alone
fd, precision                  in a suite: the measure on each of the suite's extractors; of vectors, which are features
                               themselves, its name
evaluate:rouge                 a metric that is registered as `evaluate:`, handed what stands behind the colon

They are found whatever their case.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.errors import UnknownName, calling, expect, nearest
from bench.protocols import ORDERING, DataSpec
from bench.registry import ExtractorEntry, MetricEntry, ModalityEntry, registry

MOST_AKIN = 6  # metrics that are suggested at once


def classic_names() -> dict[str, tuple[str, str]]:
    """The measure and the extractor behind every classic name, which either of them may say."""
    measures: Iterable[MetricEntry] = registry.all("metrics").values()
    extractors: Iterable[ExtractorEntry] = registry.all("extractors").values()
    known = {name: (entry.name, extractor) for entry in measures for extractor, name in entry.classic.items()}
    return {**{name: (measure, x.name) for x in extractors for measure, name in x.classic.items()}, **known}


def metric_name(measure: str, extractor: str) -> str:
    """The name of a measure on an extractor."""
    entry: MetricEntry = registry.get("metrics", measure)
    known = entry.classic.get(extractor) or registry.get("extractors", extractor).classic.get(measure)
    return known or f"{measure}_{extractor}"


def separated(names: str | Sequence[str]) -> list[str]:
    """Names as somebody writes them, each once: a list, or one string in which commas or spaces stand between them."""
    return list(dict.fromkeys(names.replace(",", " ").split() if isinstance(names, str) else names))


def find_metric(name: str, modality: str | None = None) -> MetricEntry:
    """The metric of a full name, bound to its extractor. Raises UnknownName with the nearest right name.

    modality: of the data, where it is known: of one whose examples are features, a measure's own name is a full one.
    """
    if modality is not None and is_measure(name) and is_features(modality):
        measured_as_is: MetricEntry = registry.get("metrics", name)
        return measured_as_is
    entry: MetricEntry
    if pair := _parts(name):
        measure, extractor = pair
        entry = registry.get("metrics", measure)
        seen: ExtractorEntry = registry.get("extractors", extractor)
        on = entry.on & seen.on  # what both can read
        lead = entry.lead if not entry.lead or seen.lead is None else (*entry.lead, seen.lead)
        return replace(entry, name=metric_name(measure, extractor), extractor=extractor, on=on, lead=lead)
    with contextlib.suppress(UnknownName):
        entry = registry.get("metrics", name)
        if entry.of != "features":
            return entry
    near = nearest(name, known_names()) or registry.all("metrics", with_rest=True)
    raise UnknownName("metric", name, near, registry.failure_note(), akin=_speaking_of(name))


def _speaking_of(word: str) -> list[str]:
    """The metrics whose sentence, file or paper holds a word that begins so: ``fd`` of "frechet"; none of too many."""
    begins = re.compile(rf"(?<![^\W_]){re.escape(word)}", re.IGNORECASE)
    every: Iterable[MetricEntry] = registry.all("metrics").values()
    found = [e.name for e in every if len(word) > 2 and begins.search(f"{e.about} {e.origin} {e.paper}")]
    return found if len(found) <= MOST_AKIN else []


def check_name(name: str) -> MetricEntry:
    """The entry that a name in a suite stands for, a bare measure included. Raises UnknownName."""
    expect("metric", name, isinstance(name, str), "a name, such as 'fd'")
    with contextlib.suppress(UnknownName):
        entry: MetricEntry = registry.get("metrics", name)
        return entry
    return find_metric(name)


def is_measure(name: str) -> bool:
    """Whether a name is that of a feature metric without its extractor."""
    entry = registry.all("metrics").get(name)
    return entry is not None and entry.of == "features"


def is_features(modality: str) -> bool:
    """Whether examples of a modality are features themselves, which are measured as they are."""
    entry: ModalityEntry = registry.get("modalities", modality)
    return entry.modality.is_features


def expand(
    asked: Sequence[str] | None, spec: DataSpec, extractors: Sequence[str] | None, without: Sequence[str] = ()
) -> tuple[str, ...]:
    """Full names of the metrics for data of this form.

    asked: names or measures; None for all but those that are to be asked for.  extractors: those to use; None for all
    that are here and fit.  without: names or measures to leave out.
    """
    entries = registry.all("metrics")
    names = [name for name in entries if not entries[name].asked] if asked is None else asked
    every = [name for name in names if name not in without]
    found = [full for name in every for full in _full_names(name, spec, extractors, explicit=asked is not None)]
    return tuple(dict.fromkeys(full for full in found if full not in without))


def profiled() -> list[str]:
    """What a profile takes whatever else a suite names: every measure of cost."""
    every: Iterable[MetricEntry] = registry.all("metrics").values()
    return [entry.name for entry in every if entry.aspect == "efficiency"]


def reasons(
    asked: Sequence[str] | None, spec: DataSpec, extractors: Sequence[str] | None, without: Sequence[str] = ()
) -> dict[str, str]:
    """Why data of this form has none of a metric that was asked for, by name. The arguments are those of ``expand``.

    Where all that apply are, of features the one that stands for the others.
    """
    if asked is None:
        asked = [name for name in _standing() if spec.modality in check_name(name).on] if extractors is None else []
    lacking = [name for name in asked if name not in without and not _full_names(name, spec, extractors, explicit=True)]
    return {name: _why_none(name, spec, extractors) for name in lacking}


def _full_names(name: str, spec: DataSpec, extractors: Sequence[str] | None, explicit: bool) -> list[str]:
    if is_measure(name):
        names = _on_each(name, spec, extractors, explicit)
    else:
        names = [name] if not (seen := _seen_through(name)) or _fits(seen, spec) else []
    return [full for full in names if spec.modality in find_metric(full, spec.modality).on]


def _seen_through(name: str) -> ExtractorEntry | None:
    """The extractor that a full name such as ``kid_lenet`` names; None of a measure of something else."""
    extractor = find_metric(name).extractor
    return registry.get("extractors", extractor) if extractor else None


def _on_each(measure: str, spec: DataSpec, extractors: Sequence[str] | None, explicit: bool) -> list[str]:
    entry: MetricEntry = registry.get("metrics", measure)
    home = None if explicit else entry.extractors
    as_is = [measure] if home is None and is_features(spec.modality) else []
    fitting = [e for e in _readers(spec) if (home is None or e.name in home) and _fits(e, spec)]
    if extractors is not None:
        names = {e.name for e in fitting}
        return as_is + [metric_name(measure, name) for name in extractors if name in names]
    stands = entry.name in _standing()
    names_here = as_is + [metric_name(measure, e.name) for e in fitting if e.here or stands]
    # `kid` asked for by name is also the classic one, which says what is missing where it cannot be had.
    return [*names_here, measure] if explicit and measure in entry.classic.values() else names_here


def _standing() -> list[str]:
    """Of feature metrics what orders a board before the others: one line says for all that an extractor is not here."""
    every: Iterable[MetricEntry] = registry.all("metrics").values()
    ordering = [e for e in every if e.of == "features" and e.aspect in ORDERING and e.lead]
    return [e.name for e in ordering if e.lead == min(e.lead for e in ordering)]


def _why_none(name: str, spec: DataSpec, extractors: Sequence[str] | None) -> str:
    on = check_name(name).on
    if spec.modality not in on:
        return f"for {' or '.join(sorted(on))}, but the data is {spec.modality}"
    if not is_measure(name) and (seen := _seen_through(name)):
        return f"{seen.name} is not for such data: {seen.about}"
    if not (readers := _readers(spec)):
        return f"no extractor that reads {spec.modality} is registered, and features are made by one"
    if extractors is not None:
        return f"none of the suite's extractors ({', '.join(extractors)}) is for such data"
    if not (fitting := [entry.name for entry in readers if _fits(entry, spec)]):
        return f"of the extractors that read {spec.modality}, none is for such data"
    return f"the weights of {', '.join(fitting)} are not here: see `genbench doctor`"


def _readers(spec: DataSpec) -> list[ExtractorEntry]:
    every: Iterable[ExtractorEntry] = registry.all("extractors").values()
    return [entry for entry in every if spec.modality in entry.on]


def _fits(entry: ExtractorEntry, spec: DataSpec) -> bool:
    with calling(f"the extractor {entry.name!r} of {entry.origin}, asked whether it fits,"):
        return entry.fits(spec)


def measure_of(name: str) -> str:
    """``fd`` of ``fd_lenet`` or ``fid``; another metric's own name."""
    return pair[0] if (pair := _parts(name)) else name


def _parts(name: str) -> tuple[str, str] | None:
    """(measure, extractor) of a name such as ``fid`` or ``fd_lenet``."""
    classic = {known.casefold(): pair for known, pair in classic_names().items()}
    if name.casefold() in classic:
        return classic[name.casefold()]
    named = {measure.casefold(): measure for measure in _measures()}
    for extractor in registry.all("extractors"):
        measure = name.casefold().removesuffix(f"_{extractor.casefold()}")
        if measure != name.casefold() and measure in named:
            return named[measure], extractor
    return None


def known_names() -> list[str]:
    """Every name a metric can have, but for what may stand behind a colon."""
    extractors, every = registry.all("extractors"), registry.all("metrics")
    return sorted({*every, *(metric_name(measure, x) for measure in _measures() for x in extractors)})


def _measures() -> list[str]:
    every: Iterable[MetricEntry] = registry.all("metrics").values()
    return [entry.name for entry in every if entry.of == "features"]
