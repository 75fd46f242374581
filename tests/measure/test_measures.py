"""A number is called after what it saw; a suite may name measures, and gets them on each of its extractors."""

from __future__ import annotations

import math

import pytest

from bench import DataError, DataSpec, Estimate, Space, UnknownName, metric
from bench.measure.names import check_name, expand, find_metric, is_measure, known_names, metric_name
from bench.registry import extractor, registry

DIGITS = DataSpec("image", (1, 28, 28), "continuous", classes=10)
PHOTOS = DataSpec("image", (3, 32, 32), "continuous", classes=10)
TEXT = DataSpec("text", (128,), "tokens", vocab=256)


@pytest.mark.parametrize(
    ("name", "measure", "extractor"),
    [
        ("fid", "fd", "inception"),
        ("kid", "kid", "inception"),
        ("is", "is", "inception"),
        ("fd_lenet", "fd", "lenet"),
        ("fd_corrected_lenet", "fd_corrected", "lenet"),
        ("fd_inception-clean", "fd", "inception-clean"),
    ],
)
def test_a_name_and_its_parts(name: str, measure: str, extractor: str) -> None:
    entry = find_metric(name)
    assert (entry.name, entry.extractor, entry.compute) == (name, extractor, registry.get("metrics", measure).compute)
    assert metric_name(measure, extractor) == name


def test_every_known_name_is_found_and_is_its_own() -> None:
    names = [name for name in known_names() if not is_measure(name)]
    assert len(set(names)) == len(names) > 50
    assert [find_metric(name).name for name in names] == names


@pytest.mark.parametrize("name", ["fd_lenett", "fid_lenet", "fd_corected", "perplexty"])
def test_a_wrong_name_is_answered_with_a_near_one(name: str) -> None:
    with pytest.raises(UnknownName, match="did you mean"):
        check_name(name)


def test_a_metric_on_an_extractor_is_for_what_both_read() -> None:
    assert find_metric("fd_lenet").on == {"image"}
    assert find_metric("fd_minilm").on == {"text"}


def test_a_measure_stands_for_each_extractor_of_the_suite() -> None:
    assert expand(["fd", "vendi"], DIGITS, ["lenet", "mobilenet"]) == (
        "fd_lenet",
        "fd_mobilenet",
        "vendi_lenet",
        "vendi_mobilenet",
    )


def test_what_is_not_wanted_is_left_out_by_measure_or_by_name() -> None:
    assert expand(["fd", "vendi"], DIGITS, ["lenet", "mobilenet"], ["vendi", "fd_lenet"]) == ("fd_mobilenet",)
    assert "self_bleu" not in expand(None, TEXT, None, ["self_bleu"])


def test_extractors_that_mean_nothing_here_are_left_out() -> None:
    assert expand(["fd"], PHOTOS, ["lenet", "mobilenet"]) == ("fd_mobilenet",)
    assert expand(["fd"], TEXT, ["lenet"]) == ()


def test_all_that_apply_are_those_whose_weights_are_here_and_a_line_for_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    names = expand(None, DIGITS, None)
    assert {"fd_lenet", "precision_lenet", "fid", "fd_dinov2", "sample_throughput"} <= set(names)
    assert not {"kid", "is", "precision_inception", "perplexity", "fd_minilm"} & set(names)


def test_a_classic_asked_for_by_name_is_never_silently_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert expand(["kid"], DIGITS, None) == ("kid_lenet", "kid")
    assert expand(["fid", "fd_lenet"], DIGITS, ["lenet"]) == ("fid", "fd_lenet")


@pytest.mark.usefixtures("own_names")
def test_an_extractor_says_what_the_field_calls_a_measure_on_it() -> None:
    """As a package that brings the network of a known measure, and can write into no file of ours."""
    extractor("acme/ear", on={"image"}, classic={"fd": "acme/fad"})(object)
    found = find_metric("ACME/fad")
    assert (found.name, found.extractor) == ("acme/fad", "acme/ear")
    assert find_metric("fd_acme/ear").name == "acme/fad" and find_metric("kid_acme/ear").name == "kid_acme/ear"
    assert expand(["fd"], DIGITS, ["acme/ear"]) == ("acme/fad",) and "acme/fad" in known_names()


@pytest.mark.usefixtures("own_names")
def test_a_measure_leads_whatever_the_field_calls_it() -> None:
    """First by measure, then by extractor; the one that leads all stands for an extractor that is not here."""
    extractor("acme/ear", on={"audio"}, classic={"fd": "acme/fad"})(object)
    extractor("acme/eye", on={"image"}, locate=absent)(object)
    best_first = ["bits_per_byte", "fid", "fd_lenet", "acme/fad", "fd_corrected_lenet", "kid_lenet", "kid_acme/ear",
                  "perplexity"]  # fmt: skip
    assert sorted(best_first, key=lambda name: (*find_metric(name).lead, math.inf)) == best_first
    assert find_metric("density_lenet").lead == find_metric("rep_4").lead == ()
    assert [name for name in expand(None, DIGITS, None) if name.endswith("acme/eye")] == ["fd_acme/eye"]
    metric("acme/better", aspect="realism", unit="1", better="lower", lead=0)(of_features)
    assert [name for name in expand(None, DIGITS, None) if name.endswith("acme/eye")] == ["acme/better_acme/eye"]


def absent() -> str:
    raise DataError("not here")


def of_features(space: Space) -> Estimate:
    """Nothing, as a metric of features."""
    return Estimate(value=0.0, n=1)


def test_a_protocol_at_home_elsewhere_is_taken_only_when_named() -> None:
    assert "cmmd_v_lenet" not in expand(None, DIGITS, ["lenet"])
    assert expand(["cmmd_v"], DIGITS, ["lenet"]) == ("cmmd_v_lenet",)
