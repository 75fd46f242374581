"""Names. A decorator files a thing under its name; entry points of ``genbench.plugins`` say which modules to import.

Built-ins and other people's packages come through the same door. Modules are imported only when a name is asked
for: looking up a report never imports a generator (or torch). A plugin that fails to import is remembered, named
beside every list and lookup error, and stops nobody else.

Names are found whatever their case. One with a colon, ``folder:pictures``, finds the entry that was registered as
``folder:`` and hands it the rest, behind what it is given anyway: a source is called as ``make(rest, **options)``, a
loader as ``make(spec, rest, **params)``, a metric as ``compute(what it looks at, rest)``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import math
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self, TypeVar, get_args, get_origin

from bench.code_digest import source_digest
from bench.doors import RUN_AS, Door, door
from bench.errors import DuplicateName, GenbenchError, UnknownName, expect, hint, said, shown
from bench.files import sha256
from bench.protocols import MODALITIES, Aspect, Dataset, DataSpec, Extractor, Generator, Modality, Role

if TYPE_CHECKING:
    from bench.engine.executors._base import MakeExecutor
    from bench.modalities._base import Modality as ModalityObject
    from bench.record import Better, Estimate, RunRecord

GROUP = "genbench.plugins"
KINDS = (
    "generators",
    "metrics",
    "datasets",
    "suites",
    "extractors",
    "reports",
    "modalities",
    "previews",
    "commands",
    "executors",
    "importers",
)
# What a generator's table in a suite says besides its hyperparameters.
RESERVED = frozenset({"family", "preset", "budget", "load", "precision", "compile", "vary"})

T = TypeVar("T", bound=Callable[..., Any])
M = TypeVar("M", bound="ModalityObject")
Locate = Callable[[], str]
Presets = Mapping[str, Mapping[str, Any]]
_ROUNDING = 1e-6  # by which arithmetic may pass the end of a range
Subject = Literal["model", "samples", "features"]
Shows = Literal["records", "data"]
Side = Literal["samples", "reference", "train", "conditional", "reconstructions"]
_SIDES: Mapping[Subject, tuple[Side, ...]] = {
    "model": (),
    "samples": ("samples",),
    "features": ("samples", "reference"),
}


class EveryModality(frozenset[str]):
    """All modalities: it lists those that come with genbench, and holds those of other packages too."""

    def __contains__(self, name: object) -> bool:
        return True

    def __and__(self, other: AbstractSet[object]) -> frozenset[str]:
        return frozenset(map(str, other))

    __rand__ = __and__


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known of a registered thing without running it.

    origin: the module (or script) it stands in.  door: where it was registered; None for what an entry point names.
    """

    name: str
    origin: str
    about: str
    door: Door | None = None

    def named(self, name: str, rest: str) -> Self:
        """The entry under a name whose rest it is handed. Raises GenbenchError for a kind that takes none."""
        raise GenbenchError(f"{shown(self.name)} takes nothing behind its colon")

    @property
    def speaks_of(self) -> frozenset[str]:
        """The modalities that it names."""
        return frozenset()

    @property
    def digest(self) -> str:
        """SHA-256 of the code the thing rests on: a changed family is another family."""
        own = source_digest(self.origin)
        if self.door is None or self.door.problem or self.door.digest == own:
            return own
        return hashlib.sha256(f"{own} {self.door.digest}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class GeneratorEntry(Entry):
    """``sampling``: hyperparameters that no training rests on. ``of_data``: made of a Dataset, and not of its spec."""

    make: Callable[..., Generator]
    modalities: frozenset[str]
    paper: str | None
    presets: Presets
    control: bool
    role: Role | None
    sampling: frozenset[str]
    content: Callable[..., str]
    fits: Callable[..., None]
    holds: Callable[..., int | None]
    of_data: bool = False

    def named(self, name: str, rest: str) -> Self:
        make, content, fits, holds = (_handed(c, rest) for c in (self.make, self.content, self.fits, self.holds))
        return replace(self, name=name, make=make, content=content, fits=fits, holds=holds)

    @property
    def trains(self) -> bool | None:
        """Whether a suite trains it; None where that is not known before it is made, as of what a function makes."""
        make = inspect.unwrap(self.make)
        if self.control or (isinstance(make, type) and not hasattr(make, "train_step")):
            return False
        return True if isinstance(make, type) else None

    def made_of(self, dataset: Dataset | None) -> Dataset | DataSpec | None:
        """What its constructor is given first. Raises GenbenchError for no data, where that is asked for its form."""
        if dataset is None and not self.of_data:
            raise GenbenchError(f"{shown(self.name)} is made for data: give some")
        return dataset if self.of_data or dataset is None else dataset.spec

    @property
    def speaks_of(self) -> frozenset[str]:
        return self.modalities


@dataclass(frozen=True, kw_only=True)
class MetricEntry(Entry):
    """``of`` and ``needs`` are read from the signature: what it is given, and the capability it asks of a model.

    extractor: of a feature metric, once it is bound to one (see ``bench.measure.names``).
    extractors: those a feature metric is taken on where nobody names one; None for all.
    classic: the name under which it is known on an extractor, where that is another than ``fd_lenet``'s kind.
    least, most: the values between which it lies whatever the data.
    lead: its place among those that order a board or stand for their aspect, then that of its extractor, lower first;
        empty: behind them all.
    curve: its place among those that are looked at in training where a suite names none, lower first; None: not.
    slow: left out of ``bench.evaluate`` where it is not asked for by name.
    asked: taken only where somebody names it, or, of efficiency, where a suite asks for a profile.
    exact: the same in every run of the same code, so that any change is one.
    locate: says where a model that it asks lies; None where it asks none.
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
    classic: Mapping[str, str] = field(default_factory=dict)
    least: float = -math.inf
    most: float = math.inf
    lead: tuple[int, ...] = ()
    curve: int | None = None
    slow: bool = False
    asked: bool = False
    exact: bool = False
    check: Callable[[str], object] | None = None
    content: Callable[..., str] = lambda *rest: ""
    locate: Locate | None = None

    def named(self, name: str, rest: str) -> Self:
        if self.check:
            self.check(rest)
        return replace(self, name=name, compute=_handed(self.compute, rest), content=_handed(self.content, rest))

    @property
    def speaks_of(self) -> frozenset[str]:
        return self.on

    def impossible(self, value: float) -> str:
        """Why no data can give this value; "" for one that some can. Rounding may pass an end."""
        ends = (self.least, self.most)
        near = any(math.isclose(value, end, rel_tol=_ROUNDING, abs_tol=_ROUNDING) for end in ends)
        if self.least <= value <= self.most or near:
            return ""
        return f"{self.name} is {value:g}, and can only lie in [{self.least:g}, {self.most:g}]"


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """modality_of: of a source with a rest, says what lies there, where that is not always the same."""

    make: Callable[..., Dataset]
    modality: Modality | Literal["any"]
    locate: Locate
    modality_of: Callable[[str], Modality] | None = None

    def named(self, name: str, rest: str) -> Self:
        modality = self.modality_of(rest) if self.modality_of else self.modality
        return replace(self, name=name, make=_handed(self.make, rest), modality=modality, modality_of=None)

    @property
    def speaks_of(self) -> frozenset[str]:
        return frozenset({self.modality} - {"any"})


@dataclass(frozen=True, kw_only=True)
class ExtractorEntry(Entry):
    """``default_for``: the modalities that are seen through it where nobody names an extractor.

    classic: names of measures on it, where the field has others than ``fd_lenet``'s kind.
    lead: its place among those that a measure is taken on, lower first; None: behind them.
    """

    make: Callable[[], Extractor]
    on: frozenset[str]
    fits: Callable[[DataSpec], bool]
    locate: Locate
    knows: Callable[[DataSpec], bool] = lambda spec: True
    default_for: frozenset[str] = frozenset()
    classic: Mapping[str, str] = field(default_factory=dict)
    lead: int | None = None

    @property
    def speaks_of(self) -> frozenset[str]:
        return self.on | self.default_for

    @property
    def here(self) -> bool:
        """Whether its weights are on this machine."""
        return self._file is not None

    @property
    def state(self) -> str:
        """What identifies it: its source and what its file of weights holds, wherever that came from and when."""
        if self._file is None:
            return "absent"
        return f"{self.digest} {sha256(self._file)}" if self._file.is_file() else self.digest

    @property
    def _file(self) -> Path | None:
        try:
            return Path(self.locate())
        except Exception:  # DataError, but a plugin may raise anything: `genbench doctor` says what
            return None


@dataclass(frozen=True, kw_only=True)
class ReportEntry(Entry):
    """asked: written only where it is asked for by name.   of: what it shows."""

    write: Callable[..., Path]
    asked: bool = False
    of: Shows = "records"


@dataclass(frozen=True, kw_only=True)
class ImporterEntry(Entry):
    read: Callable[[Path, str, str], list[RunRecord]]


@dataclass(frozen=True, kw_only=True)
class PreviewEntry(Entry):
    show: Callable[[BinaryIO], Any]


@dataclass(frozen=True, kw_only=True)
class SuiteEntry(Entry):
    path: Path


@dataclass(frozen=True, kw_only=True)
class ModalityEntry(Entry):
    modality: ModalityObject


@dataclass(frozen=True, kw_only=True)
class CommandEntry(Entry):
    call: Callable[..., int | None]


@dataclass(frozen=True, kw_only=True)
class ExecutorEntry(Entry):
    make: MakeExecutor


EVERY: frozenset[str] = EveryModality(MODALITIES)


@dataclass
class Registry:
    """Tables of entries by kind, filled by decorators while plugins are imported."""

    tables: dict[str, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    failures: dict[str, str] = field(default_factory=dict)
    importing: bool = False
    _unchecked: list[tuple[str, Entry]] = field(default_factory=list)
    _loaded: set[str] = field(default_factory=set)
    _order: dict[str, list[importlib.metadata.EntryPoint]] = field(default_factory=dict)

    def add(self, kind: str, entry: Entry) -> None:
        first = _find(self.tables[kind], entry.name)
        if first is not None:
            what = f"{singular(kind)} {entry.name!r} of {entry.origin}"
            raise DuplicateName(f"{what} is registered already by {first.origin}")
        if self.importing:  # what it speaks of may be registered further on
            self._unchecked.append((kind, entry))
        else:
            self._check_modalities(kind, entry)
        self.tables[kind][entry.name] = entry

    def _check_modalities(self, kind: str, entry: Entry) -> None:
        for name in sorted(entry.speaks_of - {*MODALITIES}):
            for _ in self._load("modalities"):
                if name in self.tables["modalities"]:
                    break
            else:
                known = {*MODALITIES, *self.tables["modalities"]}
                what = f"{singular(kind)} {entry.name!r}: unknown modality {shown(name)}{hint(name, known)}"
                raise GenbenchError(f"{what}{self.failure_note()}")

    def get(self, kind: str, name: str) -> Any:
        """The entry of this name, in any case; of ``name:rest`` the one of ``name:``, which is handed the rest.

        Raises UnknownName with the nearest right one, GenbenchError for a name that ends at its colon.
        """
        head, colon, rest = name.partition(":")
        for _ in self._load(kind):
            entry = _find(self.tables[kind], head + colon)
            if entry is None:
                continue
            if not colon:
                return entry
            if not rest.strip():
                raise GenbenchError(f"{shown(name)} names nothing behind its colon: {entry.about}")
            return entry.named(entry.name + rest, rest)
        raise UnknownName(singular(kind), name, self.tables[kind], self.failure_note())

    def all(self, kind: str, *, with_rest: bool = False) -> dict[str, Any]:
        """Every entry of a kind, by name, all plugins imported.

        with_rest: also those registered as ``name:``, which are nothing without what stands behind the colon.
        """
        for _ in self._load(kind):
            pass
        table = sorted(self.tables[kind].items())
        return {name: entry for name, entry in table if with_rest or not name.endswith(":")}

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

        What is ours and named after another kind holds nothing of this one: a report need not wait for torch. Nor
        does help: it imports only those of other packages that speak of commands.
        """
        if kind not in self._order:
            elsewhere = {*KINDS} - {kind} if kind in KINDS else set()
            points = [p for p in _entry_points() if p.name not in elsewhere or not _is_ours(p)]
            if kind == "commands":
                points = [p for p in points if _is_ours(p) or _mentions(p, "command")]
            self._order[kind] = sorted(points, key=lambda p: (p.name != kind, not _is_ours(p), p.name))
        return self._order[kind]

    def _import(self, point: importlib.metadata.EntryPoint) -> None:
        self.importing = True
        try:
            self.guarded(point.name, functools.partial(_loaded, point))
        finally:
            self.importing = False
        while self._unchecked:
            kind, entry = self._unchecked.pop()
            try:
                self._check_modalities(kind, entry)
            except GenbenchError as error:
                self.tables[kind].pop(entry.name, None)
                self.failures[point.name] = said(error)

    def guarded(self, name: str, load: Callable[[], object]) -> None:
        """Import something; where that fails, what it has registered is gone again, and ``failures`` says why."""
        before = {kind: dict(table) for kind, table in self.tables.items()}
        try:
            load()
        # A foreign module may raise anything, sys.exit() included; it is kept and shown, not hidden.
        except (Exception, SystemExit) as error:
            self.tables.update(before)
            self.failures[name] = said(error)


def _find(table: Mapping[str, Any], name: str) -> Any:
    """The entry of this name in any case; None where there is none."""
    if name in table:
        return table[name]
    return next((entry for known, entry in table.items() if known.casefold() == name.casefold()), None)


def _handed(call: Callable[..., Any], rest: str) -> Callable[..., Any]:
    """``call`` with the rest of a name behind what it is given otherwise; its signature is still that of ``call``."""

    @functools.wraps(call)
    def handed(*given: Any, **options: Any) -> Any:
        return call(*given, rest, **options)

    return handed


@functools.cache
def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=GROUP))


def singular(kind: str) -> str:
    """One of a kind: ``generator`` of ``generators``."""
    return "modality" if kind == "modalities" else kind.removesuffix("s")


def _is_ours(point: importlib.metadata.EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == "genbench"


def _loaded(point: importlib.metadata.EntryPoint) -> Any:
    """What an entry point names. Raises GenbenchError where another package stands before one of genbench's own."""
    package, home = point.module.partition(".")[0], Path(__file__).parent.parent
    if _is_ours(point):
        spec = importlib.util.find_spec(package)
        places = list(spec.submodule_search_locations or []) if spec else []
        if not any(Path(place).resolve() == (home / package).resolve() for place in places):
            where = places[0] if places else spec.origin if spec else "nowhere"
            raise GenbenchError(
                f"{where} stands before genbench's own package {package!r}: run elsewhere, or rename it"
            )
    return point.load()


def _mentions(point: importlib.metadata.EntryPoint, word: str) -> bool:
    """Whether a word stands in the package that an entry point names, which is read and not imported."""
    with contextlib.suppress(OSError, ValueError):
        package = importlib.util.find_spec(point.module.partition(".")[0])
        if package and package.origin:
            path = Path(package.origin)
            files = path.parent.rglob("*.py") if package.submodule_search_locations else [path]
            return any(re.search(rf"\b{word}\b".encode(), file.read_bytes()) for file in files)
    return True  # imported, it says itself what is wrong


registry = Registry()


def generator(
    name: str,
    *,
    modalities: Iterable[Modality] | None,
    paper: str | None = None,
    presets: Presets | None = None,
    control: bool | Role = False,
    sampling: Iterable[str] = (),
    content: Callable[..., str] = lambda *rest, **params: "",
    fits: Callable[..., None] = lambda spec, *rest, **params: None,
    holds: Callable[..., int | None] = lambda *rest, **params: None,
) -> Callable[[T], T]:
    """Register a family. Its constructor takes a DataSpec, then keyword-only hyperparameters with defaults.

    One whose first parameter is a Dataset by its type is given the data itself: what has a tokeniser of its own must
    read the text behind the tokens. Of a family ``name:`` the rest of the name comes second.
    modalities: those it makes; None: every one.
    presets: rows of hyperparameters by name: ``test``, the smallest that keep its promises, which tests take
        (``bench.testing``); ``tiny`` and ``paper`` by custom.
    control: a yardstick rather than a model: it is constructed from the Dataset itself, never trained, shown but
        not ranked, and joins every suite that has data of its modality. Its role, where it has one: "ceiling", held-out
        data, which models are set beside and need not beat; "floor", what each should beat; "plagiarist", training
        data.
    sampling: hyperparameters of how it samples and is measured, which change no weight: trials that differ in these
        alone share one training.
    content: of a family that reads files, such as the weights behind ``hf:NAME``: a digest of them, or their version.
        It is called with the hyperparameters, and the rest of the name if there is one; where the answer is another,
        so is the model, and it is trained and measured anew.
    fits: of a family that reads files: raises DataError where what they hold cannot be of such data. It is called with
        the DataSpec, the rest of the name if there is one, and the hyperparameters, before anything is trained, and
        should be quick: a header tells a shape.
    holds: of a family that deals what was made before: how many it has, and None where that takes long to count; called
        as ``content`` is. A suite that asks for more is refused.
    """
    known = _named(modalities)

    def register(make: T) -> T:
        from bench.parameters import schema  # pydantic is not needed to import a family, only to file it

        fields = set(schema(make).model_fields)
        if taken := RESERVED & fields:
            raise GenbenchError(f"generator {name!r}: a suite keeps the parameter name {min(taken)!r} for itself")
        if unknown := {*sampling} - fields:
            raise GenbenchError(f"generator {name!r}: sampling names {min(unknown)!r}, which is none of its parameters")
        role = None if isinstance(control, bool) else control
        roles = get_args(Role)
        expect(f"generator {name!r}: control", role, role in (None, *roles), f"True or one of {', '.join(roles)}")
        entry = GeneratorEntry(
            make=make,
            modalities=known,
            paper=paper,
            presets=presets or {},
            control=bool(control),
            role=role,
            sampling=frozenset(sampling),
            content=content,
            fits=fits,
            holds=holds,
            of_data=bool(control) or _first_type(make) in (Dataset, Dataset | None),
            **_common(name, make),
        )
        registry.add("generators", entry)
        return make

    return register


def _first_type(make: Callable[..., Any]) -> Any:
    first = next(iter(inspect.signature(make, eval_str=True).parameters.values()), None)
    return first and first.annotation


def metric(
    name: str,
    *,
    aspect: Aspect,
    unit: str,
    better: Better,
    on: Iterable[Modality] | None = None,
    sides: Iterable[Side] | None = None,
    extractors: Iterable[str] | None = None,
    classic: Mapping[str, str] | None = None,
    least: float = -math.inf,
    most: float = math.inf,
    lead: int | None = None,
    curve: int | None = None,
    slow: bool = False,
    asked: bool = False,
    exact: bool = False,
    check: Callable[[str], object] | None = None,
    content: Callable[..., str] = lambda *rest: "",
    locate: Locate | None = None,
    paper: str | None = None,
) -> Callable[[T], T]:
    """Register a measure: a function that returns an Estimate, or raises Omitted with the reason.

    The type of its first parameter says what it is given. ``Trial[Likelihood]``: a model of that capability, with its
    data and samples; ``Trial``: any model. ``Comparison``: samples and data, no model. ``Space``: the features of both;
    such a metric exists on every extractor (``fd_lenet``). The last two serve ``bench.evaluate`` too.
    on: modalities it applies to; left out: every one.  unit: "1" for a pure number.
    sides: what it looks at, whose sizes stand in the protocol; left out: samples, and for features reference.
    extractors: where a feature metric is at home; on others it is taken only when asked for by name. Left out: all.
    classic: its name on an extractor where the field has one, ``{"inception": "fid"}``.
    least, most: it lies between them whatever the data: another value is an error, and in a record not believed.
    lead: 0 or more; the lowest of realism and likelihood orders a board, that of another aspect, or of bytes, is shown.
    curve: 0 or more, of what is cheap: where a suite names nothing, the lowest that applies is looked at in training.
    slow: takes minutes without a GPU: where no metric is named, ``bench.evaluate`` leaves it out and says so.
    asked: takes time that few want to spend: only where it is named, and, of efficiency, with ``profile = true``.
    exact: the same in every run of the same code: a gate takes any change for one.
    check: of a metric ``name:``, raises GenbenchError for a rest that stands for nothing, as soon as it is named.
    content: of a metric that reads files: a digest of them, as of a family; called with the rest of its name.
    locate: where it asks a model of its own, as for a dataset, for ``genbench doctor``.
    """

    def register(compute: T) -> T:
        _check_places(f"metric {name!r}", lead=lead, curve=curve)
        expect(f"least of metric {name!r}", least, least < most, f"below most, {most:g}")
        of, needs = _given(name, compute)
        entry = MetricEntry(
            compute=compute, of=of, needs=needs, sides=_SIDES[of] if sides is None else tuple(sides), on=_named(on),
            aspect=aspect, unit=unit, better=better, least=least, most=most, paper=paper,
            extractors=None if extractors is None else frozenset(extractors), classic=dict(classic or {}),
            lead=() if lead is None else (lead,), curve=curve, slow=slow, asked=asked, exact=exact,
            check=check, content=content, locate=locate, **_common(name, compute),
        )  # fmt: skip
        registry.add("metrics", entry)
        return compute

    return register


def _check_places(what: str, **places: object) -> None:
    for name, place in places.items():
        right = place is None or (isinstance(place, int) and not isinstance(place, bool) and place >= 0)
        expect(f"{what}: {name}", place, right, "a whole number, 0 or more")


def _given(name: str, compute: Callable[..., Any]) -> tuple[Subject, type]:
    """What a metric is given and the capability that it needs, by the type of its first parameter."""
    wanted = f"metric {name!r}: the type of its first parameter must be Trial, Trial[Likelihood], Comparison or Space"
    first = next(iter(inspect.signature(compute).parameters.values()), None)
    if first is None:
        raise GenbenchError(f"{wanted}; it has none")
    found = first.annotation
    if isinstance(found, str):  # of a module that imports annotations from __future__
        try:
            found = eval(found, inspect.unwrap(compute).__globals__)
        except Exception as error:
            raise GenbenchError(f"{wanted}; {first.annotation!r} is not to be found there ({said(error)})") from error
    of: Subject | None = getattr(get_origin(found) or found, "subject", None)
    if of is None:
        raise GenbenchError(f"{wanted}; {'it has none' if found is first.empty else f'it is {shown(found)}'}")
    needs = next(iter(get_args(found)), Generator)
    try:
        isinstance(None, needs)
    except TypeError as error:
        raise GenbenchError(f"{wanted}; {shown(needs)} is neither a class nor a runtime_checkable protocol") from error
    return of, needs


def dataset(
    name: str, *, modality: Modality | Callable[[str], Modality], locate: Locate = lambda: "embedded"
) -> Callable[[T], T]:
    """Register a function of keyword-only options that returns a Dataset; of a source ``name:``, first of the rest.

    modality: of a source ``name:`` also a function of the rest, which says what lies there and reads no more than that.
    locate: says where the data was found, or raises DataError with the way to get it; it must not read the data.
    """

    def register(make: T) -> T:
        look = modality if callable(modality) else None
        known: Modality | Literal["any"] = "any" if callable(modality) else modality
        entry = DatasetEntry(make=make, modality=known, modality_of=look, locate=locate, **_common(name, make))
        registry.add("datasets", entry)
        return make

    return register


def extractor(
    name: str,
    *,
    on: Iterable[Modality] = ("image",),
    fits: Callable[[DataSpec], bool] = lambda spec: True,
    knows: Callable[[DataSpec], bool] = lambda spec: True,
    locate: Locate = lambda: "embedded",
    default_for: Iterable[Modality] = (),
    classic: Mapping[str, str] | None = None,
    lead: int | None = None,
) -> Callable[[T], T]:
    """Register a function without arguments that loads an Extractor.

    on: modalities it reads.  fits: whether it means anything on such data.  locate: as for a dataset, for its weights.
    knows: of a classifier, whether its classes are those of the data, which ``captions`` name, in their order.
    default_for: modalities that ``bench.evaluate`` sees through it where nobody names an extractor.
    classic: what the field calls a measure on it, ``{"fd": "fad"}``.
    lead: 0 or more: a measure on the extractor with the lowest leads the others. Left out: behind them.
    """

    def register(make: T) -> T:
        _check_places(f"extractor {name!r}", lead=lead)
        entry = ExtractorEntry(
            make=make,
            on=frozenset(on),
            fits=fits,
            knows=knows,
            locate=locate,
            default_for=frozenset(default_for),
            classic=dict(classic or {}),
            lead=lead,
            **_common(name, make),
        )
        registry.add("extractors", entry)
        return make

    return register


def report(name: str, *, asked: bool = False, of: Shows = "records") -> Callable[[T], T]:
    """Register a report format: ``write(records, run folder, target folder, notes) -> path written``.

    asked: it is written where it is asked for by name (``genbench export``), and not with every report.
    of: "data" for one that shows what was found in a dataset, ``write(inspection, target folder) -> path written``,
        which ``genbench data inspect`` asks for.
    """

    def register(write: T) -> T:
        entry = ReportEntry(write=write, asked=asked or of != "records", of=of, **_common(name, write))
        registry.add("reports", entry)
        return write

    return register


def importer(name: str) -> Callable[[T], T]:
    """Register how another tool's results are read: ``read(path, name, dataset) -> records``, complete as they are.

    name, dataset: of the generator and of the data, where the user gives one, for what a file does not say; else "".

    Raises DataError for what is none of its files.
    """

    def register(read: T) -> T:
        registry.add("importers", ImporterEntry(read=read, **_common(name, read)))
        return read

    return register


def preview(modality: Modality) -> Callable[[T], T]:
    """Register how samples of a modality are shown: ``show(file) -> reports.previews.Shown``, of a sample file."""

    def register(show: T) -> T:
        registry.add("previews", PreviewEntry(show=show, **_common(modality, show)))
        return show

    return register


def preview_of(modality: Modality) -> Callable[[BinaryIO], Any] | None:
    """How samples of this modality are shown; None where nobody says."""
    entry: PreviewEntry | None = registry.all("previews").get(modality)
    return entry.show if entry else None


def command(name: str) -> Callable[[T], T]:
    """Register a command, ``genbench NAME``: Typer makes its arguments and options of the signature.

    The function returns the exit status, or None for 0. A GenbenchError that it raises is told in one message and exits
    with 2. The first sentence of its docstring stands in ``genbench --help``, which imports its file: import in the
    function what takes long, such as torch.
    """

    def register(call: T) -> T:
        registry.add("commands", CommandEntry(call=call, **_common(name, call)))
        return call

    return register


def executor(name: str) -> Callable[[T], T]:
    """Register where trials run: a class or function that makes a ``bench.Executor`` for one run.

    It is called with ``out``, the run folder, in which trials leave checkpoints, samples and logs; ``jobs``, trials at
    a time; ``threads``, of each; and ``check``, to be called every second or so in the thread of ``run``: what it
    raises ends the run.
    """

    def register(make: T) -> T:
        registry.add("executors", ExecutorEntry(make=make, **_common(name, make)))
        return make

    return register


def modality(name: str) -> Callable[[type[M]], type[M]]:
    """Register a kind of data: a class, whose one object says all that is true of it; see ``bench.Modality``.

    From then on ``DataSpec.modality``, and ``on`` and ``modalities`` of everything else, may name it.
    """

    def register(make: type[M]) -> type[M]:
        registry.add("modalities", ModalityEntry(modality=make(name), **_common(name, make)))
        return make

    return register


def discover(package: str) -> None:
    """Import every module of a package, and every package in it, but for names that begin with an underscore.

    Called with ``__name__`` in a package's ``__init__``, it makes a file there all that a new family or metric needs.
    One that cannot be imported is named where somebody looks for it, and stops no other.
    """
    for found in pkgutil.iter_modules(sys.modules[package].__path__, f"{package}."):
        if not found.name.rpartition(".")[2].startswith("_"):
            registry.guarded(found.name, functools.partial(importlib.import_module, found.name))


def register_suite(path: Path, about: str, origin: str) -> None:
    """File a suite under the name of its TOML file."""
    registry.add("suites", SuiteEntry(name=path.stem, path=path, origin=origin, about=about))


def _named(modalities: Iterable[Modality] | None) -> frozenset[str]:
    return EVERY if modalities is None else frozenset(modalities)


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
