"""The bridge to Hugging Face evaluate: its modules measure our samples, and our measures go where its modules go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import evaluate
import pytest
import torch

import bench
from bench import GenbenchError, Omitted, as_evaluate
from bench.measure.comparison import measure
from bench.measure.evaluation import Given
from bench.measure.names import check_name, find_metric
from bench.registry import registry
from metrics.evaluate_modules import adapt, load, number
from metrics.features.mauve import clusters, mauve
from metrics.text.distinct_n import distinct_n
from metrics.text.ngram_novelty import ngram_novelty
from metrics.text.repetition import repetition
from metrics.text.self_bleu import self_bleu

OURS_TEXTS = [
    "In the beginning God created the heaven and the earth.",
    "And the earth was without form, and void; and darkness was upon the face of the deep.",
    "And the Spirit of God moved upon the face of the waters.",
    "And God said, Let there be light: and there was light.",
] * 4
THEIRS = [
    "Call me Ishmael.",
    "Some years ago, never mind how long precisely, having little or no money in my purse,",
    "and nothing particular to interest me on shore, I thought I would sail about a little",
]

SCRIPT = """
import datasets
import evaluate


class {name}(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="{name} for a test.", citation="", inputs_description="", features={features}
        )

    def _compute(self, **columns):
        {body}
"""
STRING = 'datasets.Value("string")'


OF_TEXTS = sorted(name for name, e in registry.all("metrics").items() if e.of != "model" and "text" in e.on)


def given(**changes: Any) -> Given:
    settings: dict[str, Any] = {"modality": "text", "seed": 0, "device": torch.device("cpu"), "prompts": None}
    sides: Any = {"samples": OURS_TEXTS, "reference": THEIRS}
    return Given(sides, **settings | changes)


def write(folder: Path, name: str, body: str, columns: str = f'{{"predictions": {STRING}}}') -> str:
    """A local module of evaluate; returns what a suite calls it."""
    place = folder / name
    place.mkdir()
    features = columns if columns.startswith("[") else f"datasets.Features({columns})"
    script = SCRIPT.format(name=name.title().replace("_", ""), features=features, body=body)
    (place / f"{name}.py").write_text(script)
    return f"evaluate:{place}"


def value(name: str, c: Given | None = None) -> bench.Estimate:
    return measure(find_metric(name), c or given())


class TestTheirs:
    def test_a_local_module_measures_the_samples(self, tmp_path: Path) -> None:
        name = write(tmp_path, "mean_length", 'return {"mean": sum(map(len, columns["predictions"])) / 16}')
        found = value(name)
        assert found.value == sum(map(len, OURS_TEXTS)) / 16
        assert (found.n, found.interval) == (16, None)
        assert found.protocol["key"] == "mean" and found.protocol["module"] == "mean_length"
        assert found.protocol["uncertainty"] == "not given"

    def test_one_of_several_numbers_is_picked_by_its_key(self, tmp_path: Path) -> None:
        name = write(tmp_path, "two_numbers", 'return {"first": 1.5, "second": 2, "words": ["a"]}')
        assert value(f"{name}#second").value == 2
        with pytest.raises(Omitted, match="gives first, second, words: pick one"):
            value(name)
        with pytest.raises(Omitted, match="gives first, second, words: pick one"):
            value(f"{name}#third")

    def test_references_are_paired_in_order_where_each_sample_takes_one(self, tmp_path: Path) -> None:
        body = 'return {"pairs": float(len(columns["references"])), "same": columns["references"][1][:4]}'
        name = write(tmp_path, "paired", body, f'{{"predictions": {STRING}, "references": {STRING}}}')
        found = value(name)
        assert (found.value, found.n) == (3, 3)
        assert (found.protocol["references"], found.protocol["pairs"]) == ("paired in order", 3)

    def test_the_protocol_knows_the_reference_and_the_script(self, tmp_path: Path) -> None:
        body, columns = 'return {"n": 1.0}', f'{{"predictions": {STRING}, "references": {STRING}}}'
        name, other = write(tmp_path, "first", body, columns), write(tmp_path, "second", body + "  # again", columns)
        sides: Any = {"samples": OURS_TEXTS, "reference": list(reversed(THEIRS))}
        turned = Given(sides, "text", seed=0, device=torch.device("cpu"), prompts=None)
        protocols = [value(name).protocol, value(name, turned).protocol, value(other).protocol]
        assert [len({p[key] for p in protocols}) for key in ("reference", "order")] == [1, 2]  # pairs depend on order
        assert protocols[0]["n_real"] == 3
        assert protocols[0]["module_source"] != protocols[2]["module_source"]

    def test_each_sample_sees_all_references_where_it_takes_many(self, tmp_path: Path) -> None:
        """Of two ways to call it, the one with lists is taken."""
        columns = (
            f'[datasets.Features({{"predictions": {STRING}, "references": {STRING}}}),'
            f' datasets.Features({{"predictions": {STRING}, "references": datasets.Sequence({STRING})}})]'
        )
        body = 'return {"seen": sum(len(r) for r in columns["references"]) / len(columns["predictions"])}'
        found = value(write(tmp_path, "many", body, columns))
        assert (found.value, found.n, found.protocol["references"]) == (3, 16, 3)

    def test_a_measurement_of_data_is_one_too(self, tmp_path: Path) -> None:
        name = write(tmp_path, "of_data", 'return {"n": len(columns["data"])}', f'{{"data": {STRING}}}')
        assert value(name).value == 16

    def test_pictures_come_as_arrays(self, tmp_path: Path) -> None:
        columns = '{"predictions": datasets.Array3D(shape=(1, 2, 2), dtype="uint8")}'
        body = 'import numpy as np; return {"level": float(np.mean(columns["predictions"]))}'
        pixels = torch.arange(12, dtype=torch.uint8).view(3, 1, 2, 2)
        sides: Any = {"samples": pixels, "reference": pixels}
        c = Given(sides, "image", seed=0, device=torch.device("cpu"), prompts=None)
        name = write(tmp_path, "brightness", body, columns)
        assert value(name, c).value == 5.5
        with pytest.raises(Omitted, match="asks for numbers, but these are texts"):
            value(name)

    def test_other_columns_are_a_reason(self, tmp_path: Path) -> None:
        name = write(tmp_path, "sourced", "return {}", f'{{"predictions": {STRING}, "sources": {STRING}}}')
        with pytest.raises(Omitted, match="asks for sources"):
            value(name)

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("raise KeyError('lost')", "failed: KeyError: 'lost'"),
            ('return {"x": float("nan")}', "gives nan for x"),
            ("return {}", "gives nothing"),
            ('return {"right": True}', "gives right: pick one"),
        ],
    )
    def test_a_module_that_fails_is_a_reason(self, tmp_path: Path, body: str, reason: str) -> None:
        name = write(tmp_path, "failing", body)
        with pytest.raises(Omitted, match=reason):
            value(name)

    def test_a_module_that_is_not_there_is_a_reason_and_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(Omitted, match="modules of the hub need the network: offline, name a local folder"):
            value(f"evaluate:{tmp_path / 'nowhere'}")

    def test_a_script_that_cannot_be_imported_is_a_reason(self, tmp_path: Path) -> None:
        name = write(tmp_path, "broken", "return {}")
        (tmp_path / "broken" / "broken.py").write_text("import evaluate\nraise RuntimeError('out of order')\n")
        with pytest.raises(Omitted, match="out of order"):
            value(name)

    def test_a_name_without_a_module_is_refused_at_once(self) -> None:
        for name in ("evaluate:", "evaluate:#key"):
            with pytest.raises(GenbenchError, match=r"names no(thing| module)"):
                find_metric(name)

    def test_a_module_is_not_loaded_before_it_is_asked(self) -> None:
        assert find_metric("evaluate:/nowhere/at/all").name == "evaluate:/nowhere/at/all"

    def test_an_instance_is_registered_from_python(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry.tables, "metrics", dict(registry.tables["metrics"]))
        instance = load(write(tmp_path, "shouting", 'return {"loud": 0.25}').removeprefix("evaluate:"))
        compute = adapt(instance, name="test/shouting", on={"text"}, better="lower", aspect="diversity")
        entry = registry.get("metrics", "test/shouting")
        assert (entry.better, entry.aspect, entry.on) == ("lower", "diversity", {"text"})
        assert (entry.about, entry.origin) == ("Shouting for a test.", __name__)
        assert compute(given()).value == 0.25
        table = bench.evaluate(OURS_TEXTS, THEIRS, metrics=["test/shouting"])
        assert table.value[0] == 0.25

    def test_a_result_of_numbers_of_any_kind(self) -> None:
        assert number({"x": torch.tensor(2.5).numpy()[()]}, "m") == ("x", 2.5)
        assert number({"x": 3, "y": "text"}, "m") == ("x", 3.0)


class TestOurs:
    def test_they_combine(self) -> None:
        names = ["distinct_1", "self_bleu", "rep_4"]
        found = evaluate.combine([as_evaluate(name) for name in names]).compute(predictions=OURS_TEXTS)
        assert found["distinct_1"] == distinct_n(OURS_TEXTS, 1).value
        assert found["self_bleu"] == self_bleu(OURS_TEXTS).value
        assert found["rep_4"] == repetition(OURS_TEXTS).value
        interval = self_bleu(OURS_TEXTS).interval
        assert interval is not None and found["self_bleu_interval"] == [interval.lo, interval.hi]

    def test_they_combine_with_theirs(self, tmp_path: Path) -> None:
        other = load(
            write(tmp_path, "others", 'return {"count": len(columns["predictions"])}').removeprefix("evaluate:")
        )
        found = evaluate.combine([as_evaluate("distinct_2"), other]).compute(predictions=OURS_TEXTS)
        assert (found["distinct_2"], found["count"]) == (distinct_n(OURS_TEXTS, 2).value, 16)

    def test_one_after_another(self) -> None:
        names = ("distinct_1", "rep_4", "distinct_1")
        assert [bench.as_evaluate(name).compute(predictions=OURS_TEXTS)[name] for name in names][1] == 0

    def test_a_reference_of_another_size_is_a_setting(self) -> None:
        found = as_evaluate("ngram_novelty_gap", reference=THEIRS * 2, train=THEIRS).compute(predictions=OURS_TEXTS)
        table = bench.evaluate(OURS_TEXTS, THEIRS * 2, train=THEIRS, metrics=["ngram_novelty_gap"])
        assert found["ngram_novelty_gap"] == table.value[0]

    def test_they_take_batches(self) -> None:
        metric = as_evaluate("self_bleu")
        for start in range(0, 16, 4):
            metric.add_batch(predictions=OURS_TEXTS[start : start + 4])
        assert metric.compute()["self_bleu"] == self_bleu(OURS_TEXTS).value

    def test_settings_are_given_once_or_at_the_call(self) -> None:
        expected = ngram_novelty(OURS_TEXTS, OURS_TEXTS[:2]).value
        bound = as_evaluate("ngram_novelty", train=OURS_TEXTS[:2])
        assert bound.compute(predictions=OURS_TEXTS)["ngram_novelty"] == expected
        free = as_evaluate("ngram_novelty")
        assert free.compute(predictions=OURS_TEXTS, train=OURS_TEXTS[:2])["ngram_novelty"] == expected

    @pytest.mark.parametrize("name", OF_TEXTS)
    def test_every_text_metric_is_one_and_asks_for_references_where_it_needs_them(self, name: str) -> None:
        expected = {"predictions", "references"} if "reference" in check_name(name).sides else {"predictions"}
        assert set(as_evaluate(name).features) == expected

    def test_mauve_is_on_the_sentence_embedding(self) -> None:
        from metrics.extractors.minilm import minilm

        ours, theirs = ([f"{text} {i}" for i in range(40) for text in side[:3]] for side in (OURS_TEXTS, THEIRS))
        extract = minilm()
        expected = mauve(clusters(extract(ours).features, extract(theirs).features)).value
        found = as_evaluate("mauve_minilm").compute(predictions=ours, references=theirs)
        assert found["mauve_minilm"] == pytest.approx(expected, abs=1e-6)

    def test_ours_go_through_the_bridge_and_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry.tables, "metrics", dict(registry.tables["metrics"]))
        compute = adapt(as_evaluate("self_bleu"), name="test/round")
        assert compute(given()).value == self_bleu(OURS_TEXTS).value

    def test_bad_input_is_said(self) -> None:
        with pytest.raises(GenbenchError, match="samples: empty"):
            as_evaluate("self_bleu").compute(predictions=[])
        with pytest.raises(GenbenchError, match="every one of the 3 texts is empty"):
            as_evaluate("self_bleu").compute(predictions=["", " ", ""])
        with pytest.raises(ValueError, match="expected format"):
            as_evaluate("self_bleu").compute(predictions=[1, 2, 3])

    def test_an_unknown_name_is_said(self) -> None:
        with pytest.raises(GenbenchError, match="did you mean 'self_bleu'"):
            as_evaluate("self_blue")

    @pytest.mark.parametrize("name", ["bits_per_byte", "clip_score", "prompt_similarity"])
    def test_what_texts_alone_do_not_tell_is_said(self, name: str) -> None:
        with pytest.raises(GenbenchError, match=f"{name} is not measured of texts alone"):
            as_evaluate(name)

    def test_nothing_is_printed_and_no_file_is_left(self, capfd: pytest.CaptureFixture[str]) -> None:
        as_evaluate("distinct_1").compute(predictions=OURS_TEXTS)
        assert capfd.readouterr() == ("", "")
        assert not list(Path(bench.cache_folder() / "evaluate").rglob("*.arrow"))

    def test_they_are_metrics_of_the_library(self) -> None:
        metric = as_evaluate("rep_4")
        assert isinstance(metric, evaluate.Metric)
        assert isinstance(metric.features, datasets.Features)
