"""``genbench list``: what is registered, and what is found by a word."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli._about import described
from bench.cli._main import run_command
from bench.parameters import schema
from bench.registry import KINDS, extractor, registry
from bench.testing import family_for
from tests.suites import IMAGE_FAMILY


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    for kind in KINDS:
        assert [row["name"] for row in listed[kind]] == list(registry.all(kind, with_rest=True))
    can = {row["name"]: row["can"].split() for row in listed["generators"]}
    heeding = {name for name, e in registry.all("generators").items() if getattr(e.make, "conditional", False)}
    assert {name for name, words in can.items() if "labels" in words} == heeding, "who makes what it is told to"
    assert "control" in can["real"] and "control" not in can[IMAGE_FAMILY]


def test_list_is_also_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "generators"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*registry.all("generators"), "reconstruct"))


def names_in(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert run_command(["list", *words, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    return [row["name"] for kind in KINDS for row in listed.get(kind, ())]


def test_a_list_is_searched_by_any_word(capsys: pytest.CaptureFixture[str]) -> None:
    every = registry.all("metrics")
    novel = names_in(capsys, "metrics", "novelty")
    assert set(novel) >= {name for name, entry in every.items() if entry.aspect == "novelty"} and len(novel) < 25
    assert names_in(capsys, "metrics", "FID") == ["fd"]  # by the name that the field knows it by
    assert names_in(capsys, "metrics", "is")[0] == "is"
    assert names_in(capsys, "metrics", "arXiv:1904.06991") == ["precision", "recall"]
    both = {*names_in(capsys, "metrics", "text")} & {*novel}
    assert {*names_in(capsys, "metrics", "novelty", "text")} == both and "copied_ngram" in both
    assert names_in(capsys, "metrics", "copied_ngram.py") == ["copied_ngram", "longest_copy"]
    family = family_for("text")
    assert family.name in names_in(capsys, "generators", family.about.split()[0])
    assert names_in(capsys, "datasets", "folder:")[0] == "folder:"
    assert run_command(["list", "metrics", "novelti"]) == 2
    assert "did you mean 'novelty'" in capsys.readouterr().err
    assert run_command(["list", "metrics", "nosuchword"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_what_is_named_is_listed_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "datasets", "folder:"]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert ["fit", '"crop"', '"crop", "pad", "stretch"'] in lines and ["size", "integer", "> 0"] in lines
    assert ["valid", "0.1", "number > 0, < 0.5"] in lines
    assert run_command(["list", "datasets", "image"]) == 0
    assert '"stretch"' not in capsys.readouterr().out
    assert run_command(["list", "generators", "torchscript:"]) == 0
    assert "array of integer" in capsys.readouterr().out
    assert run_command(["list", "datasets", "digits"]) == 0
    assert not capsys.readouterr().out.endswith("\n\n\n")  # no table of no options


def test_of_a_family_its_presets_are_listed_with_what_each_sets(capsys: pytest.CaptureFixture[str]) -> None:
    family = registry.get("generators", IMAGE_FAMILY)
    assert run_command(["list", "generators", family.name]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[lines.index("presets, which leave all else at its default") :]
    for name, values in family.presets.items():
        (told,) = [line for line in table if line.split()[:1] == [name]]
        assert all(f"{key} = {json.dumps(value)}" in told for key, value in values.items())


def described_by_kind() -> list[Any]:
    kinds = ("generators", "metrics", "datasets")
    return [pytest.param(k, n, id=f"{k}-{n}") for k in kinds for n in registry.all(k, with_rest=True)]


@pytest.mark.parametrize(("kind", "name"), described_by_kind())
def test_what_is_said_of_a_thing_stands_alone(kind: str, name: str) -> None:
    """In a sentence of its own, with all that it points to, each of its options and, of a family, its source."""
    entry = registry.all(kind, with_rest=True)[name]
    passages = described(entry)
    text, files = "\n".join(passage.text for passage in passages), {passage.file for passage in passages}
    make = entry.compute if kind == "metrics" else entry.make
    own = inspect.cleandoc(make.__doc__ or "")
    first = own.split("\n")[0]
    assert len(first.split()) >= 4 and re.search(r"[.:]( |$)", own.replace("\n", " ")), "no sentence of its own"
    assert first in text
    assert set(re.findall(r"\b(?:generators|metrics|bench)/[\w/]+\.py\b", text)) <= files
    for pointed in re.findall(r"\b[Ss]ee\s+``([A-Z]\w+)``", text):
        things = [vars(sys.modules[file.removesuffix(".py").replace("/", ".")]).get(pointed) for file in files]
        assert any(thing and inspect.cleandoc(thing.__doc__) in text for thing in things), pointed
    if kind != "metrics":
        unsaid = [option for option in schema(make).model_fields if not re.search(rf"\b{option}\b", text)]
        assert not unsaid
    if kind == "generators" and not entry.control and not name.endswith(":"):
        assert entry.paper and re.search(r"arXiv:\d{4}\.\d{4,5}|\b(19|20)\d\d\b", text)


def test_nothing_is_said_twice_and_nothing_of_other_packages() -> None:
    for entry in registry.all("generators").values():
        passages = described(entry)
        assert len({passage.file for passage in passages}) == len(passages)
        assert all(passage.file.startswith("generators/") for passage in passages)


@pytest.mark.usefixtures("own_names")
def test_a_name_that_an_extractor_gives_a_measure_is_listed_too(capsys: pytest.CaptureFixture[str]) -> None:
    extractor("acme/ear", on={"audio"}, classic={"fd": "acme/fad"})(object)
    assert names_in(capsys, "metrics", "acme/fad") == ["fd"]


def test_a_suite_stands_in_its_toml_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "suites", "--json"]) == 0
    files = {row["name"]: row["file"] for row in json.loads(capsys.readouterr().out)["suites"]}
    assert files["demo"] == "bench/suites/demo.toml" and all(Path(file).is_file() for file in files.values())


def test_lines_in_a_pipe_end_where_their_words_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "metrics"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 40 and lines == [line.rstrip() for line in lines]


def test_a_metric_says_what_it_is_on_where_it_stands_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "metrics", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["metrics"]}
    assert "fid (on inception)" in rows["fd"]["known as"] and rows["fd"]["file"] == "metrics/features/frechet.py"
    assert (rows["fd"]["on"], rows["fd"]["of"], rows["fd"]["aspect"]) == ("all", "features", "realism")
    assert rows["bits_per_byte"]["of"] == "a model (likelihood)"
    assert all(Path(row["file"]).is_file() for row in rows.values())
