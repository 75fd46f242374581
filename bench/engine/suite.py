"""A suite: what is compared on what. Read from TOML and checked whole before the first second of training.

name = "digits"                 # the file's name if left out
seeds = [0, 1, 2]
metrics = ["fd", "kid_lenet"]   # or "fd, kid_lenet": measures on every extractor, or on one; left out: all
without = ["judge_gap"]         # measures or metrics that nobody wants to wait for
extractors = ["lenet"]          # left out: all whose weights are here and that fit the data
controls = true                 # let the yardsticks that there are for such data join in
curve_metrics = ["fd_lenet"]    # taken at every look at the validation split; left out: one that is cheap
profile = true                  # measure all that a model costs, which takes a minute more; left out: false
precision = "bf16"              # left out: "fp32"; like `compile` also of one generator
[budget]                        # equal for all, unless a generator says otherwise
train_steps = 2000              # or train_examples, train_seconds, train_flops
evaluate_every = 0.1            # look at the validation split every tenth of the training (or every so many steps)
evaluate_samples = 500          # drawn at each look; left out: as many as are measured at the end
keep = "fd_lenet"               # measure the model that was best there, and not the last one
[datasets.mnist]                # a registered name, or a label with `source = "mnist"`
root = "data"
[generators.vae]                # a family, or a label with `family = "vae"`
preset = "tiny"
latent = 32
budget = { train_steps = 4000 }
vary = { beta = [1.0, 4.0] }    # one of each, named "vae (beta=1.0)" and "vae (beta=4.0)"
[generators.ours]
load = "runs/x/checkpoints/abc.safetensors"
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, get_args

from bench.engine.budget import ENDS, Budget
from bench.errors import EMPTY_PATH, DataError, GenbenchError, SuiteError, UnknownName, hint, named, nearest, shown
from bench.foreign import fault, sought
from bench.measure.names import check_name, is_features, is_measure, metric_name, separated
from bench.parameters import check, resolve
from bench.record import Precision
from bench.registry import RESERVED, DatasetEntry, GeneratorEntry, MetricEntry, registry

SECTIONS = (
    "name",
    "about",
    "seeds",
    "metrics",
    "without",
    "extractors",
    "controls",
    "curve_metrics",
    "profile",
    "precision",
    "compile",
    "budget",
    "datasets",
    "generators",
)
Table = Mapping[str, Any]
WEIGHTS = "model.safetensors"  # in the folder of a model that was saved by itself
DEEPEST = 16  # tables and lists within one another
LONGEST_LABEL = 200  # characters of a key; bytes of the name, which names the run folder
LONGEST_STRING = 4096  # the longest path that Linux opens
_BUILT_IN = "`genbench list suites` shows those that come with genbench"


@dataclass(frozen=True)
class DatasetUse:
    """A dataset as the suite names it; ``options`` are complete, defaults included."""

    label: str
    source: str
    options: Mapping[str, Any]
    entry: DatasetEntry

    @property
    def place(self) -> str:
        """Where the suite says which data it is."""
        return f"datasets.{self.label}{'' if self.source == self.label else '.source'}"


@dataclass(frozen=True)
class GeneratorUse:
    """A generator as the suite names it; ``params`` are complete.

    preset: whose values they begin with, None for the family's defaults.
    load: a checkpoint to use as it is. trained_on: the spec of the data it was trained on, as JSON has it.
    """

    label: str
    family: str
    preset: str | None
    params: Mapping[str, Any]
    budget: Budget
    precision: Precision
    compile: bool
    load: Path | None
    trained_on: Mapping[str, Any] | None
    entry: GeneratorEntry

    @property
    def place(self) -> str:
        """Where the suite says which family it is."""
        return f"generators.{self.label}{'' if self.family == self.label else '.family'}"


@dataclass(frozen=True)
class Suite:
    """A checked suite: every name is registered, every value of the right type and range."""

    name: str
    seeds: tuple[int, ...]
    metrics: tuple[str, ...] | None
    without: tuple[str, ...]
    extractors: tuple[str, ...] | None
    controls: bool
    curve: tuple[str, ...] | None
    profile: bool
    budget: Budget
    datasets: tuple[DatasetUse, ...]
    generators: tuple[GeneratorUse, ...]


def read_suite(name: str | Path, overrides: Iterable[str] = ()) -> Suite:
    """The suite of this built-in name or path, with ``path=value`` overrides applied.

    Raises SuiteError with every problem found, or UnknownName for a suite that is neither a file nor built in.
    """
    path = find_suite(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise SuiteError([f"{named(path)} is nested too deep to be read"]) from error
    except ValueError as error:  # TOML, UTF-8, or a number of more digits than Python reads
        raise SuiteError([f"{named(path)} is not valid TOML: {fault(error)}"]) from error
    except OSError as error:
        raise SuiteError([f"cannot read {named(path)}: {error.strerror}"]) from error
    for override in overrides:
        apply_override(table, override)
    return check_suite(table, default_name=path.stem)


def find_suite(name: str | Path) -> Path:
    """The file of a suite: a path that exists, or a built-in name."""
    if not str(name).strip():
        raise SuiteError([f"suite: {EMPTY_PATH} give a name (genbench list suites) or the path of a TOML file"])
    path = Path(name)
    # Not Path's own tests, which raise for a name that is too long.
    if path.suffix == ".toml" or os.path.exists(path):  # noqa: PTH110
        if os.path.isdir(path):  # noqa: PTH112
            raise SuiteError([f"{named(path)} is a folder: name the TOML file of the suite"])
        if not os.path.isfile(path):  # noqa: PTH113
            raise SuiteError([f"there is no suite file {named(path)}{sought(path)}{_near(path)}; {_BUILT_IN}"])
        return path
    try:
        built_in: Path = registry.get("suites", str(name)).path
    except UnknownName as error:
        beside = f"{name}.toml"
        own = f"such as {named(beside)}" if os.path.isfile(beside) else f"and none is here{sought(beside)}"  # noqa: PTH113
        note = f"; a suite of your own goes by the path of its TOML file, {own}; {_BUILT_IN}{registry.failure_note()}"
        raise UnknownName("suite", str(name), registry.all("suites"), note) from error
    return built_in


def _near(path: Path) -> str:
    """What may have been meant by the path of a file that is not there: a built-in suite, or a file beside it."""
    if path.stem in (names := registry.all("suites")):
        return f"; did you mean the suite {path.stem!r}, which comes with genbench?"
    beside = [file.stem for file in path.parent.glob("*.toml")] if os.path.isdir(path.parent) else []  # noqa: PTH112
    near = [shown(str(path.with_name(f"{stem}.toml"))) for stem in nearest(path.stem, beside)]
    near += [f"the suite {shown(name)}" for name in nearest(path.stem, [*names])]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def apply_override(table: dict[str, Any], override: str) -> None:
    """Change one value in place: ``generators.vae.latent=64``. What is not TOML counts as a string."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys) or len(keys) > DEEPEST:
        raise SuiteError([f"--set {named(override)}: write path=value, such as generators.vae.latent=64"])
    # An override changes what the suite holds; a misspelt label must not become a new entry.
    kind, label = keys[0], keys[1] if len(keys) > 2 else ""
    section = table.get(kind, {})
    if kind in ("datasets", "generators") and label and isinstance(section, dict) and label not in section:
        raise SuiteError([f"--set {named(override)}: the suite has no {kind}.{named(label)}{hint(label, section)}"])
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise SuiteError([f"--set {named(override)}: {shown(key)} is a value, not a table"])
    if keys[-2:-1] == ["budget"] and keys[-1] in ENDS:
        for other in ENDS:
            table.pop(other, None)
    table[keys[-1]] = _value(text, override)


def _value(text: str, override: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError) as error:
        raise SuiteError([f"--set {named(override)}: the value has too many digits, or is nested too deep"]) from error
    return found["value"] if len(found) == 1 else text  # a text of several lines is no value


def check_suite(table: Table, default_name: str) -> Suite:
    """A Suite from its parsed TOML. Raises SuiteError listing every problem."""
    if problems := list(_beyond(table, ())):
        raise SuiteError(problems)
    return _Checker().suite(table, default_name)


def _beyond(value: Any, path: tuple[Any, ...]) -> Iterator[str]:
    """Problems of values that no suite needs and that something behind it could not write, print or open."""
    where = named(".".join(map(str, path)))
    if len(path) > DEEPEST:
        yield f"{where} is nested more than {DEEPEST} deep"
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or len(key) > LONGEST_LABEL:
                yield f"{where or 'the suite'} has the key {shown(key)}: should be a string of at most {LONGEST_LABEL}"
            else:
                yield from _beyond(item, (*path, key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _beyond(item, (*path, i))
    elif isinstance(value, int) and value.bit_length() > 63:
        yield f"{where} is a number beyond 64 bits"
    elif isinstance(value, str) and (len(value) > LONGEST_STRING or "\0" in value):
        yield f"{where} = {shown(value)}: should be at most {LONGEST_STRING} characters, none of them null"


class _Checker:
    """Collects problems instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.features_alone = False

    def suite(self, table: Table, default_name: str) -> Suite:
        self.problems += [_unknown_key(key) for key in table if key not in SECTIONS]
        datasets = self.uses(table, "datasets", self.dataset)
        self.features_alone = bool(datasets) and all(is_features(d.entry.modality) for d in datasets)
        budget = self.budget(self.section(table, "budget"), "budget")
        arithmetic = self.arithmetic(table, ("fp32", False))
        suite = Suite(
            name=self.name(table, default_name),
            seeds=self.seeds(table.get("seeds", [0])),
            metrics=self.names(table, "metrics", check_name),
            without=self.names(table, "without", check_name) or (),
            extractors=self.names(table, "extractors", lambda name: registry.get("extractors", name)),
            controls=self.typed(table, "controls", bool, True),
            curve=self.names(table, "curve_metrics", check_name),
            profile=self.typed(table, "profile", bool, False),
            budget=budget,
            datasets=datasets,
            generators=self.uses(table, "generators", lambda label, t: self.generator(label, t, budget, arithmetic)),
        )
        if not self.problems:
            self.together(suite)
        if self.problems:
            raise SuiteError(self.problems)
        return suite

    def typed(self, table: Table, key: str, kind: type, default: Any, where: str = "") -> Any:
        value = table.get(key, default)
        if not isinstance(value, kind):
            self.problems.append(f"{where}{key} = {shown(value)}: should be a {_KINDS[kind]}")
        return value

    def name(self, table: Table, default: str) -> str:
        """It becomes a folder below runs/, so it may not lead elsewhere."""
        found = self.typed(table, "name", str, default)
        fine = (
            isinstance(found, str) and re.fullmatch(r"\w[\w. -]*", found) and len(os.fsencode(found)) <= LONGEST_LABEL
        )
        if isinstance(found, str) and not fine:
            self.problems.append(
                f"name = {shown(found)}: should be letters, digits, spaces, dots and dashes, not too many"
            )
        return str(found)

    def section(self, table: Table, key: str, where: str = "") -> Table:
        found = self.typed(table, key, dict, {}, where)
        return found if isinstance(found, dict) else {}

    def seeds(self, value: Any) -> tuple[int, ...]:
        good = isinstance(value, list) and value and all(type(s) is int and 0 <= s < 2**31 for s in value)
        if not good or len(set(value)) != len(value):
            self.problems.append(
                f"seeds = {shown(value)}: should be a list of different whole numbers, such as [0, 1, 2]"
            )
            return ()
        return tuple(value)

    def names(self, table: Table, key: str, find: Callable[[str], Any]) -> tuple[str, ...] | None:
        """Names as they are registered, of a list or of one string; None where it is left out."""
        value = table.get(key)
        if value is None:
            return None
        value = separated(value) if isinstance(value, str) else value
        if not isinstance(value, list) or not value or not all(isinstance(m, str) for m in value):
            self.problems.append(f"{key} = {shown(value)}: should be a list of names; leave it out for all that apply")
            return None
        found = [self.found(partial(find, name), key) for name in value]
        return tuple(dict.fromkeys(entry.name for entry in found if entry))

    def budget(self, table: Table, where: str) -> Budget:
        found, problems = check(Budget, table, where, _HOMES)
        self.problems += problems
        if found and found.keep is not None:
            found = found.model_copy(update={"keep": self.found(partial(self.directed, found.keep), f"{where}.keep")})
        return found or Budget()

    def directed(self, metric: str) -> str:
        """Its registered name. Raises GenbenchError for no metric of the data, or one that says not what is better."""
        entry: MetricEntry = check_name(metric)
        if is_measure(entry.name) and not self.features_alone:
            known = [metric_name(entry.name, name) for name in registry.all("extractors")]
            raise UnknownName("metric", metric, known)
        if entry.better == "none":
            raise GenbenchError(f"keep = {shown(metric)}: no value of it is better than another")
        return entry.name

    def uses(self, table: Table, key: str, read: Callable[[str, Table], Any]) -> tuple[Any, ...]:
        section = self.section(table, key)
        if not table.get(key):
            self.problems.append(f"the suite has no {key}: add a table such as {_EXAMPLE[key]}")
        tables = self.varied(section) if key == "generators" else section.items()
        return tuple(use for label, value in tables if (use := self.use(key, label, value, read)))

    def varied(self, section: Table) -> Iterator[tuple[str, Any]]:
        """Labels and tables; one that varies stands for one of each combination of the values that it lists."""
        for label, table in section.items():
            lists = table.get("vary") if isinstance(table, dict) else None
            if lists is None:
                yield label, table
            elif isinstance(lists, dict) and lists and all(isinstance(v, list) and v for v in lists.values()):
                family = {} if "load" in table else {"family": label}
                rest = {key: value for key, value in table.items() if key != "vary"}
                for values in product(*lists.values()):
                    chosen = dict(zip(lists, values, strict=True))
                    name = ", ".join(f"{key}={value}" for key, value in chosen.items())
                    yield f"{label} ({name})", {**family, **rest, **chosen}
            else:
                self.problems.append(
                    f"generators.{label}.vary = {shown(lists)}: should be lists of values by parameter, such as "
                    "{ latent = [8, 16] }"
                )

    def use(self, key: str, label: str, value: Any, read: Callable[[str, Table], Any]) -> Any:
        if not isinstance(value, dict):
            self.problems.append(f"{key}.{label} = {shown(value)}: should be a table, such as {_EXAMPLE[key]}")
            return None
        if not label.strip() or not label.isprintable():
            self.problems.append(f"{key}.{shown(label)}: a label needs letters that can be printed")
            return None
        return read(label, value)

    def dataset(self, label: str, table: Table) -> DatasetUse | None:
        source = table.get("source", label)
        entry = self.look_up("datasets", source, f"datasets.{label}{'.source' if 'source' in table else ''}")
        if entry is None:
            return None
        given = {k: v for k, v in table.items() if k != "source"}
        if not str(given.get("root", ".")).strip():
            self.problems.append(f"datasets.{label}.root: {EMPTY_PATH} name a folder, or leave it out")
        options, problems = resolve(entry.make, given, f"datasets.{label}", _HOMES)
        self.problems += problems
        return DatasetUse(label, entry.name, options, entry)

    def generator(
        self, label: str, table: Table, budget: Budget, arithmetic: tuple[Precision, bool]
    ) -> GeneratorUse | None:
        where = f"generators.{label}"
        path = self.typed(table, "load", str, "", f"{where}.")
        if not isinstance(path, str):
            return None
        if "load" in table and not path.strip():
            self.problems.append(f"{where}.load: {EMPTY_PATH} name a checkpoint, or leave it out")
            return None
        load = Path(path) if "load" in table else None
        if load and os.path.isdir(load):  # noqa: PTH112 (Path's own raises for a name that is too long)
            load /= WEIGHTS
        saved = self.saved(load, where) if load else {}
        if load and not saved:
            return None
        family = table.get("family", saved.get("family", label))
        entry = self.look_up("generators", family, where)
        if entry is None:
            return None
        if load and entry.control:
            self.problems.append(f"{where}.load: {family} is a control, which has no weights")
            return None
        if saved and entry.name != saved["family"]:
            self.problems.append(f"{where}.family = {shown(family)}, but {named(load)} holds a {saved['family']}")
            return None
        given = {k: v for k, v in table.items() if k not in RESERVED}
        params, problems = resolve(
            entry.make, {**self.preset(entry, table, where), **saved.get("params", {}), **given}, where, _HOMES
        )
        self.problems += problems
        own = self.section(table, "budget", f"{where}.")
        if own:
            budget = self.budget(budget.changed(dict(own)), f"{where}.budget")
        preset = None if table.get("preset") is None else str(table["preset"])
        arithmetic = self.arithmetic(table, arithmetic, f"{where}.")
        return GeneratorUse(label, entry.name, preset, params, budget, *arithmetic, load, saved.get("spec"), entry)

    def arithmetic(self, table: Table, default: tuple[Precision, bool], where: str = "") -> tuple[Precision, bool]:
        """``precision`` and ``compile``."""
        precision = table.get("precision", default[0])
        if precision not in (known := get_args(Precision)):
            self.problems.append(f"{where}precision = {shown(precision)}{hint(str(precision), known)}")
        return precision, self.typed(table, "compile", bool, default[1], where)

    def preset(self, entry: GeneratorEntry, table: Table, where: str) -> Table:
        name = table.get("preset")
        if name is None:
            return {}
        if str(name) not in entry.presets:
            self.problems.append(f"{where}: unknown preset {shown(name)}{hint(str(name), entry.presets)}")
        return entry.presets.get(str(name), {})

    def saved(self, load: Path, where: str) -> Table:
        from bench.engine.checkpoint import read_about  # torch is needed only where a checkpoint is named

        try:
            return read_about(load).model_dump()
        except DataError as error:
            self.problems.append(f"{where}.load: {error}")
            return {}

    def look_up(self, kind: str, name: Any, where: str) -> Any:
        return self.found(lambda: registry.get(kind, str(name)), where)

    def found(self, find: Callable[[], Any], where: str) -> Any:
        """What ``find`` returns; None, and a problem more, where it does not."""
        try:
            return find()
        except GenbenchError as error:
            self.problems.append(f"{where}: {error}")
            return None

    def fitting(self, metrics: Iterable[str], offered: AbstractSet[str]) -> None:
        """A metric asked for by name must have something to measure."""
        for name in metrics:
            on = check_name(name).on
            if not on & offered:
                self.problems.append(f"metrics: {name} is for {_join(on)}, but the suite's data is {_join(offered)}")

    def controls(self) -> set[str]:
        return {name for name, entry in registry.all("generators").items() if entry.control}

    def together(self, suite: Suite) -> None:
        """Every generator needs data it can make and a name of its own, and every dataset a generator."""
        offered = {d.entry.modality for d in suite.datasets}
        self.fitting(suite.metrics or (), offered)
        for label, many in Counter(g.label for g in suite.generators).items():
            if many > 1:
                self.problems.append(f"generators: {shown(label)} stands there {many} times: look at vary")
        for g in suite.generators:
            if g.label != g.family and g.label in self.controls():
                self.problems.append(f"generators.{g.label} has the name of a control: choose another label")
            if not g.entry.modalities & offered:
                self.problems.append(
                    f"generators.{g.label} makes {_join(g.entry.modalities)}, but the suite's data is {_join(offered)}"
                )
        fitting = any(g.entry.modalities & offered for g in suite.generators)  # else each was told already
        for d in suite.datasets:
            if fitting and not any(d.entry.modality in g.entry.modalities for g in suite.generators):
                self.problems.append(f"datasets.{d.label} is {d.entry.modality}, {_who_makes(d.entry.modality)}")


def _who_makes(modality: str) -> str:
    """Of what no generator of a suite makes, those that do."""
    every: Iterable[GeneratorEntry] = registry.all("generators").values()
    families, yardsticks = (
        [e.name for e in every if e.control is c and modality in e.modalities] for c in (False, True)
    )
    if families:
        more = len(families) - FEW
        some = f"{', '.join(families[:FEW])}{f', and {more} more: `genbench list generators`' if more > 0 else ''}"
        return f"which no generator of the suite makes: name one that does ({some})"
    return f"which no family here makes: there are only yardsticks, which may be named ({', '.join(yardsticks)})"


def _unknown_key(key: str) -> str:
    if key in _HOMES:
        return f"{key} belongs {_HOMES[key]}, not at the top of the suite"
    return f"unknown key {shown(key)}{hint(key, SECTIONS)}"


# Where a key belongs that stands elsewhere; what may stand in several places counts for the first of them.
_HOMES = {
    "source": "in the table of a dataset, such as [datasets.mine]",
    **dict.fromkeys(RESERVED, "in the table of a generator, such as [generators.vae]"),
    **dict.fromkeys(Budget.model_fields, "in [budget]"),
    **dict.fromkeys(SECTIONS, "at the top of the suite"),
}
FEW = 10  # families that are named where any would do
_KINDS = {str: "string", bool: "truth value", dict: "table"}
_EXAMPLE = {"datasets": "[datasets.mnist5k]", "generators": "[generators.vae]"}


def _join(names: Iterable[str]) -> str:
    return " or ".join(sorted(names))
