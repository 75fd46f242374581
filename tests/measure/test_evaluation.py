"""The door for those who only want numbers: from Python and from the command line."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import bench
from bench import DataError, DataWarning, GenbenchError, Omitted, TooFew, UnknownName
from bench.cli._main import run_command
from bench.measure.evaluation import COLUMNS
from bench.registry import registry

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(400, 8)), RNG.normal(size=(300, 8)) + 0.5
DIGITS = RNG.integers(0, 256, (60, 1, 28, 28), dtype=np.uint8)
OTHERS = RNG.integers(0, 200, (50, 1, 28, 28), dtype=np.uint8)


def rows(table: Any) -> list[dict[str, Any]]:
    """Rows as they are, a missing number as None."""
    return [
        {k: None if v is None or v is pd.NA or v != v else v for k, v in row.items()}
        for row in table.to_dict("records")
    ]


def value(table: Any, metric: str) -> float:
    (found,) = table[table.metric == metric].value
    return float(found)


class TestVectors:
    def test_one_row_a_metric_with_all_columns(self) -> None:
        table = bench.evaluate(FAKE, REAL, metrics=["fd", "kid"])
        assert tuple(table.columns) == COLUMNS
        assert list(table.metric) == ["fd", "kid"]
        for row in rows(table):
            assert row["lo"] <= row["value"] <= row["hi"] and row["level"] == 0.95
            assert row["protocol"]["extractor"] == "none"
            assert (row["protocol"]["n_fake"], row["protocol"]["n_real"], row["n"]) == (300, 400, 300)
            assert row["protocol"]["interval"] and row["reason"] is None

    def test_the_number_is_that_of_the_features_as_they_are(self) -> None:
        from metrics.features.frechet import frechet_distance

        assert value(bench.evaluate(FAKE, REAL, metrics=["fd"]), "fd") == frechet_distance(FAKE, REAL).value

    def test_another_reference_is_another_protocol(self) -> None:
        first, second = (
            rows(bench.evaluate(FAKE, real, metrics=["fd"]))[0]["protocol"]["reference"] for real in (REAL, REAL + 1)
        )
        assert first != second

    def test_left_out_are_all_that_apply_and_what_is_missing_says_why(self) -> None:
        found = {row["metric"]: row for row in rows(bench.evaluate(FAKE, REAL))}
        assert {"fd", "kid", "vendi", "precision", "nn_ratio"} <= set(found)
        missing = {name: row["reason"] for name, row in found.items() if row["reason"]}
        assert "training data" in missing["nn_ratio"]
        assert not set(missing) & {"fd", "kid", "vendi", "precision"}
        assert all((row["value"] is None) == (name in missing) for name, row in found.items())

    def test_counts_are_whole_though_some_are_missing(self) -> None:
        table = bench.evaluate(FAKE, REAL)
        assert table.n.isna().any() and table.n.dtype == "Int64"
        n = dict(zip(table.metric, table.n, strict=True))
        assert (n["precision"], n["recall"], n["c2st"]) == (len(FAKE), len(REAL), 2 * min(len(FAKE), len(REAL)))

    def test_none_is_the_extractor_of_vectors_as_they_are(self) -> None:
        tables = [bench.evaluate(FAKE, REAL, metrics="fd", extractor=name) for name in (None, "none", "None")]
        assert rows(tables[0]) == rows(tables[1]) == rows(tables[2])

    def test_it_does_not_depend_on_the_form_of_numbers(self) -> None:
        a, b = (
            bench.evaluate(FAKE.astype(kind), REAL.astype(kind), metrics=["fd"]) for kind in (np.float64, np.float32)
        )
        assert value(a, "fd") == pytest.approx(value(b, "fd"), rel=1e-5)


class TestImages:
    def test_the_extractor_is_part_of_the_protocol(self) -> None:
        table = bench.evaluate(OTHERS, DIGITS, metrics=["fd"], extractor="lenet")
        protocol = rows(table)[0]["protocol"]
        assert protocol["extractor"] == "lenet" and protocol["weights"].startswith("sha256:")

    def test_a_full_name_brings_its_own_extractor(self) -> None:
        named = bench.evaluate(OTHERS, DIGITS, metrics=["fd_lenet"])
        assert value(named, "fd_lenet") == value(
            bench.evaluate(OTHERS, DIGITS, metrics=["fd"], extractor="lenet"), "fd"
        )

    def test_grey_arrays_need_no_channel_where_it_is_said_that_they_are_images(self) -> None:
        named: dict[str, Any] = {"metrics": ["fd"], "extractor": "lenet"}
        bare = bench.evaluate(OTHERS[:, 0], DIGITS[:, 0], modality="image", **named)
        assert rows(bare) == rows(bench.evaluate(OTHERS, DIGITS, **named))

    def test_folders_and_arrays_give_the_same(self, tmp_path: Path) -> None:
        for index, image in enumerate(OTHERS):
            Image.fromarray(image[0]).save(tmp_path / f"{index:03}.png")
        a, b = (bench.evaluate(source, DIGITS, metrics=["fd"], extractor="lenet") for source in (OTHERS, str(tmp_path)))
        assert value(a, "fd") == value(b, "fd")

    def test_without_weights_it_says_how_to_get_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with pytest.raises(GenbenchError, match=r"fid: inception weights are not at .*download http") as caught:
            bench.evaluate(OTHERS, DIGITS, metrics=["fid"])
        assert "GENBENCH_WEIGHTS_INCEPTION" in str(caught.value)
        assert "or bring features of your own" in str(caught.value).splitlines()[-1]


FLAT = np.full((50, 1, 28, 28), 7, np.uint8)
GREYS = FLAT + np.arange(50, dtype=np.uint8)[:, None, None, None]


@pytest.mark.parametrize(
    ("samples", "reference", "options", "error", "message"),
    [
        (FAKE, REAL[:, :4], {}, DataError, r"reference are of shape \(4,\), samples of \(8,\)"),
        (FAKE[:0], REAL, {}, TooFew, "samples: empty"),
        (FAKE[:1], REAL, {}, GenbenchError, "1 samples are too few: at least 2"),
        (np.where(FAKE > 3, np.nan, FAKE), REAL, {}, DataError, "NaN or infinity"),
        (np.zeros((30, 8)), REAL, {}, GenbenchError, "all 30 examples are the same"),
        (FLAT, DIGITS, {"extractor": "lenet"}, GenbenchError, "all 50 samples are the same image"),
        (GREYS, DIGITS, {"extractor": "lenet"}, GenbenchError, "one flat colour"),
        (OTHERS / 255, DIGITS, {}, DataError, "must be uint8"),
        (FAKE, REAL, {"modality": "images"}, GenbenchError, "unknown modality 'images'; did you mean 'image'"),
        (FAKE, REAL, {"metrics": ["fdd"]}, UnknownName, "did you mean 'fd'"),
        (FAKE, REAL, {"metrics": ["frechet"]}, UnknownName, "did you mean 'fd' or 'fd_corrected'"),
        (OTHERS, DIGITS, {"extractor": "none"}, GenbenchError, "'none' takes vectors as they are, but .* image"),
        (FAKE, REAL, {"extractor": "lennet"}, UnknownName, "did you mean 'lenet'"),
        ("nowhere", REAL, {"metrics": ["fdd"]}, UnknownName, "did you mean 'fd'"),  # before an hour of reading
        (FAKE, REAL, {"extractor": "lenet"}, GenbenchError, "lenet reads image, but the samples are vector"),
        (FAKE, REAL, {"metrics": ["is"]}, GenbenchError, "is: for image, but the samples are vector"),
        (FAKE, REAL, {"metrics": ["latency_p50"]}, GenbenchError, "measured of a model, not of samples"),
        (FAKE, {"a": 1}, {}, DataError, "reference: examples must be an array, .* or a path, got dict"),
        (FAKE, REAL, {"device": "cuda"}, GenbenchError, "no CUDA GPU"),
        ("", REAL, {}, DataError, "an empty path"),
        (FAKE, REAL, {"train": ""}, DataError, "an empty path"),
        (FAKE, REAL, {"prompts": ""}, DataError, "an empty path"),
        (FAKE, REAL, {"prompts": DIGITS}, DataError, "prompts must be texts"),
        (OTHERS, DIGITS, {"prompts": ["a cat"] * 7}, DataError, "7 prompts for 50 samples: give one a sample"),
        (FAKE, DIGITS, {}, DataError, "reference: image, but the samples are vector: they must be of one kind"),
        (OTHERS, ["a"], {}, DataError, "reference: text, but the samples are image"),
        (OTHERS, DIGITS[:, 0], {}, DataError, r"reference: cannot tell .* give x\[:, None\]"),
        (FAKE, REAL, {"train": [np.zeros(3), np.zeros(2)]}, DataError, "train: a list must hold vectors of one length"),
        (np.array(3.0), REAL, {}, DataError, "samples: cannot tell what an array of shape"),
        (FAKE, np.array(3.0), {}, DataError, "reference: cannot tell what an array of shape"),
        (FAKE, REAL, {"metrics": ["FIDD"]}, UnknownName, "unknown metric 'FIDD'; did you mean 'fid'"),
        (FAKE, REAL, {"metrics": 3}, GenbenchError, "metrics = 3: should be a list of names"),
        (FAKE, REAL, {"metrics": ["fd", None]}, GenbenchError, r"metrics = \['fd', None\]: should be a list of names"),
        (FAKE, REAL, {"extractor": 3}, GenbenchError, "extractor = 3: should be a name"),
        (FAKE, REAL, {"modality": ["image"]}, GenbenchError, "unknown modality"),
        ("nowhere", REAL, {"seed": -1}, GenbenchError, "seed = -1: should be a whole number"),
        (FAKE, REAL, {"seed": "0"}, GenbenchError, "seed = '0': should be a whole number"),
        (FAKE, REAL, {"metrics": ["fid"]}, GenbenchError, "fid is fd on inception and on nothing else: ask for fd"),
        (OTHERS, DIGITS, {"metrics": ["fid"], "extractor": "lenet"}, GenbenchError, "ask for fd"),
    ],
)
def test_bad_input_is_an_error_that_names_it(
    samples: Any, reference: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        bench.evaluate(samples, reference, **{"metrics": ["fd"], **options})


def test_what_cannot_be_measured_costs_the_others_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ["is", "fd", "latency_p50", "fid", "distinct_1"]
    found = {row["metric"]: row for row in rows(bench.evaluate(FAKE, REAL, metrics=asked))}
    assert list(found) == asked
    assert found["fd"]["value"] == value(bench.evaluate(FAKE, REAL, metrics=["fd"]), "fd")
    reasons = {name: row["reason"] for name, row in found.items() if row["value"] is None}
    assert reasons == {
        "is": "for image, but the samples are vector",
        "latency_p50": "measured of a model, not of samples: use `genbench run`",
        "fid": "fid is fd on inception and on nothing else: ask for fd",
        "distinct_1": "for text, but the samples are vector",
    }
    np.save(tmp_path / "fake.npy", FAKE)
    command = ["evaluate", *[str(tmp_path / "fake.npy")] * 2, "--metrics"]
    assert run_command([*command, "is,fd", "--json"]) == 0
    left_out, measured = json.loads(capsys.readouterr().out)
    assert left_out["value"] is None and left_out["reason"] == reasons["is"] and measured["value"] is not None
    assert run_command([*command, "is,fid"]) == 2
    assert capsys.readouterr().err == "".join(f"genbench: error: {name}: {reasons[name]}\n" for name in ("is", "fid"))


def test_a_metric_that_breaks_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(space: Any) -> Any:
        raise ZeroDivisionError("of mine\nand more")

    entry = dataclasses.replace(registry.get("metrics", "kid"), compute=broken)
    monkeypatch.setitem(registry.tables["metrics"], "kid", entry)
    kid, fd = rows(bench.evaluate(FAKE, REAL, metrics=["kid", "fd"]))
    assert fd["value"] is not None and kid["value"] is None
    assert re.fullmatch(r"failed: ZeroDivisionError: of mine \(test_evaluation\.py, line \d+\)", kid["reason"])


class TestStatistics:
    """A reference of which somebody kept mean and covariance."""

    @pytest.fixture
    def kept(self, tmp_path: Path) -> Path:
        np.savez(tmp_path / "kept.npz", mu=REAL.mean(0), sigma=np.cov(REAL, rowvar=False))
        return tmp_path / "kept.npz"

    def test_they_give_the_distance_that_the_examples_give(self, kept: Path) -> None:
        known, whole = (bench.evaluate(FAKE, x, metrics=["fd"]) for x in (kept, REAL))
        assert value(known, "fd") == pytest.approx(value(whole, "fd"), rel=1e-9)
        (row,) = rows(known)
        assert row["lo"] < row["value"] < row["hi"]
        assert row["hi"] - row["lo"] < rows(whole)[0]["hi"] - rows(whole)[0]["lo"]  # only one side is drawn
        assert "mu and sigma taken as exact" in row["protocol"]["interval"]

    def test_the_protocol_says_what_they_are(self, kept: Path) -> None:
        (row,) = rows(bench.evaluate(FAKE, kept, metrics=["fd"]))
        assert row["protocol"]["n_real"] == "unknown"
        assert row["protocol"]["reference"].startswith("statistics sha256:")
        np.savez(kept, mu=REAL.mean(0), sigma=np.cov(REAL, rowvar=False), n=400)
        assert rows(bench.evaluate(FAKE, kept, metrics=["fd"]))[0]["protocol"]["n_real"] == 400

    def test_what_needs_examples_says_so(self, kept: Path) -> None:
        found = {row["metric"]: row for row in rows(bench.evaluate(FAKE, kept))}
        assert found["fd"]["value"] is not None and found["vendi"]["value"] is not None
        for name in ("kid", "precision", "fd_corrected", "c2st"):
            assert "only mu and sigma are known" in found[name]["reason"]

    def test_features_of_another_width_are_refused(self, kept: Path) -> None:
        with pytest.raises(GenbenchError, match="features are of width 7, the reference's mu and sigma of width 8"):
            bench.evaluate(FAKE[:, :7], kept, metrics=["fd"])

    def test_they_serve_pictures_too(self, tmp_path: Path) -> None:
        from metrics.extractors.lenet import lenet

        seen = lenet()(torch.from_numpy(DIGITS)).features.double().numpy()
        np.savez(tmp_path / "kept.npz", mu=seen.mean(0), sigma=np.cov(seen, rowvar=False))
        known, whole = (
            bench.evaluate(OTHERS, x, metrics=["fd"], extractor="lenet") for x in (tmp_path / "kept.npz", DIGITS)
        )
        assert value(known, "fd") == pytest.approx(value(whole, "fd"), rel=1e-6)


def test_pictures_of_several_sizes_are_seen_each_in_its_own(tmp_path: Path) -> None:
    """A picture that is stored twice as large is the same picture to who halves it by averages."""
    large = OTHERS.repeat(2, 2).repeat(2, 3)
    for index in range(50):
        Image.fromarray((large if index % 5 == 0 else OTHERS)[index, 0]).save(tmp_path / f"{index}.png")
    with pytest.warns(DataWarning, match="10 of 50 pictures are not 28x28 like the other 40") as warned:
        mixed = bench.evaluate(tmp_path, DIGITS, metrics=["fd", "precision"], extractor="lenet")
    *notes, few = mixed.attrs["notes"]
    assert notes == [str(warning.message) for warning in warned]
    assert "a covariance of 84 dimensions is singular" in few
    by_hand = [torch.from_numpy(large[i : i + 1] if i % 5 == 0 else OTHERS[i : i + 1]) for i in range(50)]
    from metrics.extractors.lenet import lenet

    extract = lenet()
    seen = torch.cat([extract(picture).features for picture in by_hand]).numpy()
    real = extract(torch.from_numpy(DIGITS)).features.numpy()
    assert value(mixed, "fd") == pytest.approx(value(bench.evaluate(seen, real, metrics=["fd"]), "fd"), rel=1e-5)


def test_sides_of_two_sizes_are_compared_and_it_is_said() -> None:
    with pytest.warns(DataWarning, match=r"reference are of shape \(1, 28, 28\), samples of \(1, 28, 14\)"):
        assert value(bench.evaluate(OTHERS[..., :14], DIGITS, metrics=["fd"], extractor="lenet"), "fd") > 0


def test_where_nothing_resizes_sizes_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from metrics.extractors.lenet import LeNetExtractor

    monkeypatch.setattr(LeNetExtractor, "protocol", {"weights": "w"})
    with (
        pytest.warns(DataWarning),
        pytest.raises(GenbenchError, match="lenet says nothing of how it resizes: give all one size"),
    ):
        bench.evaluate(OTHERS[..., :14], DIGITS, metrics=["fd"], extractor="lenet")


def test_what_takes_minutes_is_measured_where_it_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_judge(folder: str) -> None:
        raise Omitted("no judge in tests")

    monkeypatch.setattr("metrics.text._judge._load", no_judge)
    texts = [f"the cat number {i} sat on the mat and slept" for i in range(40)]
    found = {row["metric"]: row for row in rows(bench.evaluate(texts[:20], texts[20:]))}
    assert found["self_bleu"]["value"] is not None
    for name in ("judge_gap", "judge_perplexity"):
        assert found[name]["reason"] == "takes minutes without a GPU: ask for it by name (metrics, --metrics)"
    (self_bleu, asked) = rows(bench.evaluate(texts[:20], texts[20:], metrics="self_bleu judge_gap"))
    assert self_bleu["value"] is not None and asked["reason"] == "no judge in tests"


def test_blank_texts_count_in_every_form(tmp_path: Path) -> None:
    texts = [text for i in range(40) for text in (f"the cat number {i} sat on the mat and slept all day long", "")]
    (tmp_path / "x.txt").write_text("".join(f"{text}\n" for text in texts))
    (tmp_path / "x.json").write_text(json.dumps(texts))
    names, sources = ["distinct_2", "self_bleu", "rep_4"], (texts, tmp_path / "x.txt", tmp_path / "x.json")
    with pytest.warns(DataWarning, match="x.txt: 40 of 80 lines are blank: each is kept as a text"):
        tables = [bench.evaluate(source, texts, metrics=names) for source in sources]
    for table in tables:
        assert [row["protocol"]["n_fake"] for row in rows(table)] == [80] * 3
        assert list(table.value) == list(tables[0].value)


def test_what_is_said_of_a_path_that_is_two_sides_is_said_once(tmp_path: Path) -> None:
    for i in range(12):
        Image.linear_gradient("L").resize((8, 8)).rotate(30 * i).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.warns(DataWarning) as caught:
        table = bench.evaluate(str(tmp_path), str(tmp_path), metrics=["kid_lenet"])
    said = [str(warning.message) for warning in caught]
    assert said == table.attrs["notes"] and sum("notes.txt" in remark for remark in said) == 1
    assert {warning.filename for warning in caught} == {__file__}  # the line of whoever called, not ours
