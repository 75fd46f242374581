"""``genbench list``: what is registered, and what is found by a word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli._main import run_command
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
    assert set(novel) >= {name for name, entry in every.items() if entry.aspect == "novelty"} and len(novel) < 20
    assert names_in(capsys, "metrics", "FID") == ["fd"]  # by the name that the field knows it by
    assert names_in(capsys, "metrics", "is")[0] == "is"
    assert names_in(capsys, "metrics", "arXiv:1904.06991") == ["precision", "recall"]
    both = {*names_in(capsys, "metrics", "text")} & {*novel}
    assert {*names_in(capsys, "metrics", "novelty", "text")} == both and "copied_ngram" in both
    assert names_in(capsys, "metrics", "copied_ngram.py") == ["copied_ngram", "longest_copy"]
    family = family_for("text")
    assert family.name in names_in(capsys, "generators", family.about.split()[0])
    assert names_in(capsys, "datasets", "folder:") == ["folder:"]
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
