"""``genbench list``: what is registered, each thing in a line, and found by any word in it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli._about import Described, described
from bench.cli._options import Json
from bench.cli._tables import print_table, print_text
from bench.errors import GenbenchError, hint
from bench.measure.names import classic_names
from bench.protocols import CAPABILITIES, MODALITIES, capabilities
from bench.registry import (
    KINDS,
    DatasetEntry,
    Entry,
    ExtractorEntry,
    GeneratorEntry,
    MetricEntry,
    SuiteEntry,
    command,
    registry,
)

Row = dict[str, str]
_ENDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}  # of JSON schema
_GIVEN = {"model": "a model", "samples": "samples", "features": "features"}


def _kinds(incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


@command("list")
def show(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}; all if left out.", autocompletion=_kinds),
    ] = None,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD", help="Only what holds each of these words, such as novelty.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what is registered, plugins included.

    Of a generator, a metric or a dataset that is named, as in `genbench list generators vae`, all that is said of it,
    too: what it computes, its options with their defaults, and what each of its presets sets.
    """
    rows = listed(kind, words or [])
    if as_json:
        print(json.dumps({**rows, "failed_plugins": registry.failures}, indent=1))
        return
    for title, entries in rows.items():
        if entries or not words:
            print_table(title, for_a_table(entries))
            for row in entries:
                if title in ("generators", "metrics", "datasets") and _is_named(row, words or []):
                    print_about(registry.all(title, with_rest=True)[row["name"]])
    if registry.failures:
        print(f"plugins that could not be imported:{registry.failure_note()}", file=sys.stderr)


def print_about(entry: Described) -> None:
    """What its docstrings say, each option with its default and the values that it takes, and what presets set."""
    for file, text in described(entry):
        print_text(f"{file}\n\n{text}\n")
    if not isinstance(entry, MetricEntry):
        _print_options(entry)
    if isinstance(entry, GeneratorEntry):
        presets = [{"preset": name, "sets": _as_toml(values)} for name, values in entry.presets.items()]
        print_table("presets, which leave all else at its default", presets, wrapped=["sets"])


def _as_toml(values: Mapping[str, Any]) -> str:
    """As a suite would have them, side by side."""
    return ", ".join(f"{name} = {_default(value)}" for name, value in values.items()) or "nothing"


def _print_options(entry: GeneratorEntry | DatasetEntry) -> None:
    from bench.parameters import schema

    fields = schema(entry.make).model_json_schema().get("properties", {})
    rows = [
        {"option": name, "default": _default(about.get("default")), "values": _values(about)}
        for name, about in fields.items()
    ]
    if rows:
        print_table("options", rows, wrapped=["values"])


def _default(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _values(about: Mapping[str, Any]) -> str:
    """What JSON schema says of an option, in words."""
    if either := about.get("anyOf"):
        return ", ".join(_values(one) for one in either if one.get("type") != "null")
    if known := about.get("enum", [about["const"]] if "const" in about else None):
        return ", ".join(map(_default, known))
    if items := about.get("items"):
        return f"{about['type']} of {_values(items)}"
    ends = [f"{sign} {about[end]:g}" for end, sign in _ENDS.items() if end in about]
    return f"{about.get('type', 'any')} {', '.join(ends)}".strip()


def listed(kind: str | None = None, words: Sequence[str] = ()) -> dict[str, list[Row]]:
    """Rows by kind; of all kinds, or of one. words: only those that hold each of them, in any case; names come first.

    Raises GenbenchError for a kind that is none, and where nothing holds the words.
    """
    if kind and kind not in KINDS:
        raise GenbenchError(f"unknown kind {kind!r}{hint(kind, KINDS)}")
    rows = {k: [_row(e) for e in registry.all(k, with_rest=True).values()] for k in ([kind] if kind else KINDS)}
    found = {k: [row for row in every if _holds(row, words)] for k, every in rows.items()}
    for every in found.values():
        every.sort(key=lambda row: not _is_named(row, words))
    if words and not any(found.values()):
        known = {word for every in rows.values() for row in every for word in " ".join(row.values()).split()}
        raise GenbenchError(f"nothing here speaks of {' '.join(words)!r}{_near(words, known)}")
    return found


def for_a_table(rows: Sequence[Row]) -> list[Row]:
    """The rows without columns in which nothing stands; paper and file stand behind what a thing is about."""
    used = [c for c in (rows[0] if rows else ()) if c not in ("paper", "file") and any(row[c] for row in rows)]
    behind = [", ".join(filter(None, (row.get("paper", ""), row["file"]))) for row in rows]
    return [
        {column: row[column] for column in used} | {"about": f"{row['about']} ({where})"}
        for row, where in zip(rows, behind, strict=True)
    ]


def _near(words: Sequence[str], known: set[str]) -> str:
    """A suggestion where there is one; not the list of every word there is."""
    plain = {word.strip(".,;:()`").casefold() for word in known} - {""}
    near = get_close_matches(" ".join(words).casefold(), plain, n=1, cutoff=0.75)
    return f"; did you mean {near[0]!r}?" if near else ""


def _holds(row: Row, words: Sequence[str]) -> bool:
    """Whether each of the words begins a word of the row."""
    text = " ".join(row.values())
    return all(re.search(rf"(?<![^\W_]){re.escape(word)}", text, re.IGNORECASE) for word in words)


def _is_named(row: Row, words: Sequence[str]) -> bool:
    """Whether one of the words is its name, or one it is known by."""
    names = {row["name"], *row.get("known as", "").split()}
    return any(word.casefold() == name.casefold() for word in words for name in names)


def _row(entry: Entry) -> Row:
    """What is said of an entry, by column."""
    return {"name": entry.name, **_columns(entry), "about": entry.about, "file": file_of(entry)}


def _columns(entry: Entry) -> dict[str, str]:
    match entry:
        case GeneratorEntry():
            can = " ".join([*(["control"] if entry.control else []), *capabilities(entry.make)])
            return {"on": _on(entry.modalities), "can": can, "presets": " ".join(entry.presets)} | _paper(entry.paper)
        case MetricEntry():
            return {
                "known as": " ".join(
                    f"{known} (on {extractor})"
                    for known, (measure, extractor) in classic_names().items()
                    if measure == entry.name
                ),
                "aspect": entry.aspect,
                "on": _on(entry.on),
                "of": _given(entry),
                "unit": entry.unit,
                "better": entry.better,
            } | _paper(entry.paper)
        case DatasetEntry():
            return {"modality": entry.modality}
        case ExtractorEntry():
            return {"on": _on(entry.on)}
        case _:
            return {}


def _on(modalities: frozenset[str]) -> str:
    return "all" if modalities >= {*MODALITIES} else " ".join(sorted(modalities))


def _paper(paper: str | None) -> dict[str, str]:
    return {"paper": paper or ""}


def _given(entry: MetricEntry) -> str:
    """What a metric looks at, and which capability it needs where that is more than to sample."""
    names = {protocol: name for name, protocol in CAPABILITIES.items()}
    needs = names.get(entry.needs, entry.needs.__name__)
    return _GIVEN[entry.of] + (f" ({needs})" if entry.of == "model" and needs != "sample" else "")


def file_of(entry: Entry) -> str:
    """The file it stands in: of ours below the folder of the package, of others where it lies."""
    module = sys.modules.get(entry.origin)
    path = Path(getattr(module, "__file__", None) or entry.origin)
    if isinstance(entry, SuiteEntry):  # beside the module that registered it
        depth = entry.origin.count(".") + 1
        return "/".join(entry.path.parts[-depth - 1 :]) if entry.path.parent == path.parent else str(entry.path)
    parts = entry.origin.split(".")
    own = path.name == "__init__.py" or path.stem == parts[-1]
    return "/".join(path.parts[-len(parts) - (path.name == "__init__.py") :]) if module and own else str(path)
