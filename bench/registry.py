"""Names. A decorator files a thing under its name; entry points of ``genbench.plugins`` say which modules to import.

Built-ins and other people's packages come through the same door. Modules are imported only when a name is asked
for: looking up a report never imports a generator (or torch). A plugin that fails to import is remembered, named
beside every list and lookup error, and stops nobody else.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from bench.doors import RUN_AS, Door, door
from bench.errors import DuplicateName, GenbenchError, UnknownName, said
from bench.identity import source_digest
from bench.protocols import MODALITIES, Aspect, Dataset, DataSpec, Extractor, Generator, Modality
from bench.record import Better, Estimate, RunRecord

GROUP = "genbench.plugins"
KINDS = ("generators", "metrics", "datasets", "suites", "extractors", "reports")
# What a generator's table in a suite says besides its hyperparameters.
RESERVED = frozenset({"family", "preset", "budget", "load"})

T = TypeVar("T", bound=Callable[..., Any])
Locate = Callable[[], str]
Presets = Mapping[str, Mapping[str, Any]]
Subject = Literal["model", "samples", "features"]
Side = Literal["samples", "reference", "train", "conditional", "reconstructions"]
_SIDES: Mapping[Subject, tuple[Side, ...]] = {
    "model": (),
    "samples": ("samples",),
    "features": ("samples", "reference"),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known of a registered thing without running it.

    origin: the module (or script) it stands in.  door: where it was registered; None for what an entry point names.
    """

    name: str
    origin: str
    about: str
    door: Door | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the code the thing rests on: a changed family is another family."""
        own = source_digest(self.origin)
        if self.door is None or self.door.problem or self.door.digest == own:
            return own
        return hashlib.sha256(f"{own} {self.door.digest}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class GeneratorEntry(Entry):
    make: Callable[..., Generator]
    modalities: frozenset[str]
    paper: str | None
    presets: Presets
    control: bool


@dataclass(frozen=True, kw_only=True)
class MetricEntry(Entry):
    """``extractor``: of a feature metric, once it is bound to one (see ``bench.measures``).

    ``extractors``: those a feature metric is taken on where nobody names one; None for all.
    """

    compute: Callable[[Any], Estimate]
    of: Subject
    sides: tuple[Side, ...]
    on: frozenset[str]
    aspect: Aspect
    unit: str
    better: Better
    needs: type
    paper: str | None
    extractors: frozenset[str] | None = None
    extractor: str | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    make: Callable[..., Dataset]
    modality: Modality
    locate: Locate


@dataclass(frozen=True, kw_only=True)
class ExtractorEntry(Entry):
    make: Callable[[], Extractor]
    on: frozenset[str]
    fits: Callable[[DataSpec], bool]
    locate: Locate

    @property
    def here(self) -> bool:
        """Whether its weights are on this machine."""
        return self.state != "absent"

    @property
    def state(self) -> str:
        """What identifies it: its source and its weight file (by size and time, its hash is checked on loading)."""
        try:
            path = Path(self.locate())
        except Exception:  # DataError, but a plugin may raise anything: `genbench doctor` says what
            return "absent"
        found = path.stat() if path.is_file() else None
        return f"{self.digest} {found.st_size} {found.st_mtime_ns}" if found else self.digest


@dataclass(frozen=True, kw_only=True)
class ReportEntry(Entry):
    write: Callable[[list[RunRecord], Path, Path, list[str]], Path]


@dataclass(frozen=True, kw_only=True)
class SchemeEntry(Entry):
    """``make`` gives the function of a name; ``template`` all else that is known of such a metric."""

    make: Callable[[str], Callable[[Any], Estimate]]
    template: MetricEntry


@dataclass(frozen=True, kw_only=True)
class SuiteEntry(Entry):
    path: Path


@dataclass
class Registry:
    """Tables of entries by kind, filled by decorators while plugins are imported."""

    tables: dict[str, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in (*KINDS, "schemes")})
    failures: dict[str, str] = field(default_factory=dict)
    importing: bool = False
    _loaded: set[str] = field(default_factory=set)
    _order: dict[str, list[importlib.metadata.EntryPoint]] = field(default_factory=dict)

    def add(self, kind: str, entry: Entry) -> None:
        table = self.tables[kind]
        if entry.name in table:
            first = table[entry.name].origin
            raise DuplicateName(f"{kind} {entry.name!r} of {entry.origin} is registered already by {first}")
        table[entry.name] = entry

    def get(self, kind: str, name: str) -> Any:
        """The entry of this name. Raises UnknownName with the nearest right one."""
        for _ in self._load(kind):
            if name in self.tables[kind]:
                return self.tables[kind][name]
        raise UnknownName(kind.removesuffix("s"), name, self.tables[kind], self.failure_note())

    def all(self, kind: str) -> dict[str, Any]:
        """Every entry of a kind, by name, all plugins imported."""
        for _ in self._load(kind):
            pass
        return dict(sorted(self.tables[kind].items()))

    def failure_note(self) -> str:
        return "".join(f"\n  (plugin {name!r} could not be imported: {why})" for name, why in self.failures.items())

    def _load(self, kind: str) -> Iterator[None]:
        """Import plugins one after another."""
        yield
        for point in self._in_order(kind):
            if point.value not in self._loaded:
                self._loaded.add(point.value)
                self._import(point)
            yield

    def _in_order(self, kind: str) -> list[importlib.metadata.EntryPoint]:
        """The entry named after the kind first, our own before others'. Kept: whose one is costs a parsed file.

        What is ours and named after another kind holds nothing of this one: a report need not wait for torch.
        """
        if kind not in self._order:
            elsewhere = {*KINDS} - {kind} if kind in KINDS else set()
            points = [p for p in _entry_points() if p.name not in elsewhere or not _is_ours(p)]
            self._order[kind] = sorted(points, key=lambda p: (p.name != kind, not _is_ours(p), p.name))
        return self._order[kind]

    def _import(self, point: importlib.metadata.EntryPoint) -> None:
        before = {kind: dict(table) for kind, table in self.tables.items()}
        self.importing = True
        try:
            point.load()
        # A foreign module may raise anything, sys.exit() included; it is kept and shown, not hidden.
        except (Exception, SystemExit) as error:
            self.tables.update(before)
            self.failures[point.name] = said(error)
        finally:
            self.importing = False


@functools.cache
def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=GROUP))


def _is_ours(point: importlib.metadata.EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == "genbench"


registry = Registry()


def generator(
    name: str,
    *,
    modalities: Iterable[Modality],
    paper: str | None = None,
    presets: Presets | None = None,
    control: bool = False,
) -> Callable[[T], T]:
    """Register a family. Its constructor takes a DataSpec, then keyword-only hyperparameters with defaults.

    presets: rows of hyperparameters by name, ``tiny`` and ``paper`` by custom.
    control: a yardstick rather than a model: it is constructed from the Dataset itself, never trained, shown but
        not ranked, and joins every suite that has data of its modality.
    """
    known = frozenset(modalities)
    if wrong := known - set(MODALITIES):
        raise GenbenchError(f"generator {name!r}: no such modality: {', '.join(sorted(wrong))}")

    def register(make: T) -> T:
        from bench.parameters import schema  # pydantic is not needed to import a family, only to file it

        if taken := RESERVED & set(schema(make).model_fields):
            raise GenbenchError(f"generator {name!r}: a suite keeps the parameter name {min(taken)!r} for itself")
        entry = GeneratorEntry(
            make=make,
            modalities=known,
            paper=paper,
            presets=presets or {},
            control=control,
            **_common(name, make),
        )
        registry.add("generators", entry)
        return make

    return register


def metric(
    name: str,
    *,
    on: Iterable[Modality],
    aspect: Aspect,
    unit: str,
    better: Better,
    of: Subject = "model",
    sides: Iterable[Side] | None = None,
    extractors: Iterable[str] | None = None,
    needs: type = Generator,
    paper: str | None = None,
) -> Callable[[T], T]:
    """Register a measure: a function that returns an Estimate, or raises Omitted with the reason.

    of: what the function is given: "model" a Trial, "samples" a Comparison, "features" a Space. The last two need no
        model, so that they also serve ``bench.evaluate``; the last makes one metric an extractor (``fd_lenet``).
    on: modalities it applies to.  unit: "1" for a pure number.  needs: the capability it asks of the generator.
    sides: what it looks at; their sizes become part of the protocol, and so do those of others that it reads. Left out:
        samples, and for features reference.
    extractors: where a feature metric is at home; on others it is taken only when asked for by name. Left out: all.
    """

    def register(compute: T) -> T:
        entry = MetricEntry(
            compute=compute,
            of=of,
            sides=_SIDES[of] if sides is None else tuple(sides),
            on=frozenset(on),
            aspect=aspect,
            unit=unit,
            better=better,
            needs=needs,
            paper=paper,
            extractors=None if extractors is None else frozenset(extractors),
            **_common(name, compute),
        )
        registry.add("metrics", entry)
        return compute

    return register


def metric_scheme(
    prefix: str,
    *,
    on: Iterable[Modality],
    aspect: Aspect,
    unit: str,
    better: Better,
    of: Subject = "samples",
) -> Callable[[T], T]:
    """Register a function from a name such as ``prefix:rest`` to the function that measures it, as for ``metric``.

    It is called when such a name is met; it should load nothing yet, and raise GenbenchError for a name that is wrong.
    """

    def register(make: T) -> T:
        about = _common(prefix, make)
        template = MetricEntry(
            compute=make, of=of, sides=_SIDES[of], on=frozenset(on), aspect=aspect, unit=unit, better=better,
            needs=Generator, paper=None, **about,
        )  # fmt: skip
        registry.add("schemes", SchemeEntry(make=make, template=template, **about))
        return make

    return register


def dataset(name: str, *, modality: Modality, locate: Locate = lambda: "embedded") -> Callable[[T], T]:
    """Register a function of keyword-only options that returns a Dataset.

    locate: says where the data was found, or raises DataError with the way to get it; it must not read the data.
    """

    def register(make: T) -> T:
        registry.add("datasets", DatasetEntry(make=make, modality=modality, locate=locate, **_common(name, make)))
        return make

    return register


def extractor(
    name: str,
    *,
    on: Iterable[Modality] = ("image",),
    fits: Callable[[DataSpec], bool] = lambda spec: True,
    locate: Locate = lambda: "embedded",
) -> Callable[[T], T]:
    """Register a function without arguments that loads an Extractor.

    on: modalities it reads.  fits: whether it means anything on such data.  locate: as for a dataset, for its weights.
    """

    def register(make: T) -> T:
        entry = ExtractorEntry(make=make, on=frozenset(on), fits=fits, locate=locate, **_common(name, make))
        registry.add("extractors", entry)
        return make

    return register


def report(name: str) -> Callable[[T], T]:
    """Register a report format: ``write(records, run folder, target folder, notes) -> path written``."""

    def register(write: T) -> T:
        registry.add("reports", ReportEntry(write=write, **_common(name, write)))
        return write

    return register


def register_suite(path: Path, about: str, origin: str) -> None:
    """File a suite under the name of its TOML file."""
    registry.add("suites", SuiteEntry(name=path.stem, path=path, origin=origin, about=about))


def _common(name: str, thing: Any) -> dict[str, Any]:
    """Name, origin, first docstring line and door. A script's own file stands for ``__main__``."""
    found = None if registry.importing else door()
    origin = str(thing.__module__)
    if found and found.file and origin in ("__main__", RUN_AS):
        origin = found.file
    # An entry point leads there too.
    if found and found.module.partition(".")[0] in {re.split("[.:]", point.value)[0] for point in _entry_points()}:
        found = None
    return {"name": name, "origin": origin, "about": (thing.__doc__ or "").strip().split("\n")[0], "door": found}
