"""What other evaluators are known to get wrong, and that ours is right: D1 to D30 of harnesses, P1 to P25 of metrics.

Each defect is one test that fails if we had it. Most are a promise of the part that could have them and are tested
beside it: ELSEWHERE says where. The others stand here, under their number.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

import bench
from bench import DataSpec, GenbenchError, ratio_interval, summarise
from bench.datasets.digits import digits
from bench.engine.budget import Budget
from bench.engine.executors._base import Limits
from bench.engine.executors.local import _lines
from bench.measure.trial import Trial
from bench.modalities import quantise
from bench.probes.memory import reset_peak_gpu
from bench.probes.stopwatch import time_calls
from bench.results.ranks import Evidence, told
from generators.controls import Noise
from metrics.features.frechet import frechet_distance, gaussian_distance
from metrics.features.rfd import paired_distance

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
FAKE, REAL, TRAIN = (RNG.normal(size=(n, 6)) + shift for n, shift in ((400, 0.3), (500, 0), (600, 0)))

ELSEWHERE = {
    "D2 bytes of another string": "metrics/test_likelihood.py::test_words_and_bytes_are_of_one_string",
    "D5 one kind of window for all": "metrics/test_likelihood.py::test_no_two_ways_share_a_protocol",
    "D7 mean of perplexities": "metrics/test_likelihood.py::test_every_token_is_scored_once",
    "D8 latency as 1 / throughput": "probes/test_stopwatch.py::test_throughput_overlaps_host_and_device",
    "D9 throughput from a mean latency": "metrics/test_cost.py::test_throughput_is_work_over_time",
    "D10 tokens called samples": "metrics/test_cost.py::test_tokens_are_examples_times_their_length",
    "D11 0 bytes for no answer": "measure/test_alone.py::test_a_process_that_nvml_does_not_know_is_null",
    "D16 a fixed share decides": "results/test_gate.py::test_one_seed_of_a_training_says_nothing_of_others",
    "D17 a global generator decides": "ground/test_comparing.py::test_it_is_drawn_from_the_generator_that_is_given",
    "D20 the spread is never used": "results/test_ranking.py::test_two_seeds_need_a_wide_gap",
    "D21 times of any two machines": "results/test_gate.py::test_times_of_another_machine_are_not_compared",
    "D22 a missing task counts as 0": "results/test_across.py::test_who_failed_somewhere_is_not_counted",
    "D23 NaN becomes 0": "end_to_end/test_run.py::test_a_metric_that_breaks_costs_no_other_its_number",
    "D24 the jobs die with their parent": (
        "end_to_end/test_run.py::test_a_run_killed_in_the_middle_goes_on_to_the_same_result"
    ),
    "D25 no environment in the record": "end_to_end/test_run.py::test_a_record_says_everything",
    "D28 best of random batches": "metrics/test_likelihood.py::test_every_token_is_scored_once",
    "D29 a percentile of a few calls": "metrics/test_cost.py::test_a_percentile_takes_the_calls_that_it_needs",
    "D30 failed shown as completed": (
        "end_to_end/test_run.py::test_a_trial_that_goes_wrong_leaves_a_record_that_says_how"
    ),
    "P4 three resizers under one name": "metrics/test_extractors.py::test_the_clean_resizer_is_clean_fids",
    "P5 cut instead of rounded": "measure/test_trial.py::test_it_rounds_and_does_not_cut",
    "P6 DINOv2 behind another resizer": "metrics/test_extractors.py::test_preprocessing_is_that_of_stein_et_al",
    "P8 AuthPct less 50, of a part": "metrics/test_novelty.py::test_it_is_its_definition",
    "P10 splits that nobody names": "metrics/test_inception_score.py::test_the_protocol_tells_parts_and_shuffle",
    "P13 bias that is left": ("metrics/test_frechet.py::test_the_correction_leaves_no_bias_where_both_sides_are_alike"),
    "P14 arithmetic by chance": "metrics/test_extractors.py::test_arithmetic_is_exact_inside_and_untouched_outside",
    "P15 rounded distances": "metrics/test_neighbours.py::test_rounded_products_are_not_trusted",
    "P16 caches keyed by name": "measure/test_feature_store.py::test_one_changed_byte_of_the_data_misses",
    "P18 the best of several seeds": "reports/test_reports.py::test_mean_and_standard_deviation_over_seeds",
    "P19 one space alone": "measure/test_measures.py::test_a_measure_stands_for_each_extractor_of_the_suite",
    "P24 cells by unseeded clusters": "metrics/test_novelty.py::test_twice_is_the_same",
    "P25 ranges taken for one another": "measure/test_trial.py::test_what_is_no_pixel_is_refused",
}


def names_in(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("where", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_what_is_tested_elsewhere_is_there(where: str) -> None:
    file, _, name = where.partition("::")
    assert name in names_in(ROOT / "tests" / file)


def test_no_defect_is_left_out() -> None:
    here = {name.split("_")[1].upper() for name in names_in(Path(__file__)) if re.match(r"test_[dp]\d", name)}
    there = {name.split()[0] for name in ELSEWHERE}
    assert sorted(here | there) == sorted([f"D{i}" for i in range(1, 31)] + [f"P{i}" for i in range(1, 26)])
    assert not here & there


def value(metric: str, **changes: Any) -> float:
    given = {"samples": FAKE, "reference": REAL, "train": TRAIN} | changes
    return float(bench.evaluate(given.pop("samples"), given.pop("reference"), metrics=[metric], **given).value.iloc[0])


def apart(*sides: np.ndarray) -> bool:
    """Whether a report tells these values over seeds apart."""
    return told(*(Evidence(summarise(side.tolist())) for side in sides))


class TestHarnesses:
    def test_d1_a_cached_answer_belongs_to_one_model(self) -> None:
        dataset = digits()
        other = type("Other", (Noise,), {"sample": lambda self, n, rng, condition=None: Noise.sample(self, n, rng) / 2})
        distances = [
            Trial(make(dataset), dataset, seed=0, n_samples=50, batch_size=50, device=torch.device("cpu"))
            .space("lenet")
            .fake
            for make in (Noise, other)
        ]
        assert not torch.equal(*distances)

    def test_d3_every_measure_says_how_sure_it_is(self) -> None:
        table = bench.evaluate(FAKE, REAL, train=TRAIN)
        measured = table[table.value.notna()]
        assert len(measured) > 15
        sure = (measured.lo <= measured.value) & (measured.value <= measured.hi)
        assert measured.metric[~sure].tolist() == []

    def test_d4_what_comes_in_pairs_is_compared_in_pairs(self) -> None:
        """A copy and its original err together: taken for strangers they would seem farther apart than they can be."""
        originals = RNG.normal(size=(500, 6))
        copies = originals + 0.1 * RNG.normal(size=(500, 6)) + 0.2
        pairs, strangers = paired_distance(copies, originals).interval, frechet_distance(copies, originals).interval
        assert pairs is not None and strangers is not None
        assert pairs.hi - pairs.lo < 0.5 * (strangers.hi - strangers.lo)

    def test_d6_a_standard_error_is_the_spread_of_the_estimate(self) -> None:
        """Not that spread over the root of the number of replicates, 31 times too small at a thousand."""
        rng = np.random.default_rng(0)
        found, widths = [], []
        for _ in range(400):
            x, n = rng.exponential(3, 200), rng.integers(1, 9, 200)
            interval = ratio_interval(x, n)
            assert interval is not None
            found.append(x.sum() / n.sum())
            widths.append((interval.hi - interval.lo) / (2 * 1.96))
        assert np.mean(widths) == pytest.approx(np.std(found), rel=0.1)

    def test_d12_cached_blocks_are_given_back_before_a_peak_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        called: list[str] = []
        for name in ("empty_cache", "synchronize", "reset_peak_memory_stats"):
            monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: called.append(name))
        reset_peak_gpu(torch.device("cuda"))
        assert called == ["empty_cache", "synchronize", "reset_peak_memory_stats"]

    def test_d13_the_parent_takes_no_time_while_it_waits(self) -> None:
        """What a worker says ten times a second costs its parent less than a fiftieth of a core."""
        worker = "import time\nfor step in range(20):\n    print({}, flush=True)\n    time.sleep(0.1)"
        with subprocess.Popen([sys.executable, "-S", "-c", worker], stdout=subprocess.PIPE) as process:
            wall, busy = time.perf_counter(), time.process_time()
            heard = [line for line in _lines(process, Limits(Budget())) if line]
            assert time.process_time() - busy < 0.02 * (time.perf_counter() - wall)
        assert len(heard) == 20

    def test_d14_the_device_is_idle_before_and_after_every_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[str] = []
        monkeypatch.setattr(torch.cuda, "synchronize", lambda device: seen.append("idle"))
        monkeypatch.setattr(torch.cuda, "Event", lambda **_: MagicMock(elapsed_time=lambda end: 1.0))
        time_calls(lambda: seen.append("call"), torch.device("cuda"), min_calls=3, min_seconds=0)
        told = "".join({"idle": "-", "call": "c"}[what] for what in seen)
        assert re.fullmatch("(-+c-)+-*", told) and told.count("c") >= 3

    def test_d15_a_clock_that_is_set_back_moves_no_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        backwards: Iterator[float] = iter(range(10**6, 0, -1))
        monkeypatch.setattr(time, "time", lambda: next(backwards))
        assert min(time_calls(lambda: None, torch.device("cpu"), min_seconds=0).calls) >= 0

    def test_d18_noise_is_called_a_difference_as_seldom_as_promised(self) -> None:
        """Three seeds a side and the n - 1 of a sample; with n it would be 8.7 % of the time."""
        rng = np.random.default_rng(0)
        assert np.mean([apart(rng.normal(size=3), rng.normal(size=3)) for _ in range(2000)]) <= 0.06

    def test_d19_a_difference_is_seen(self) -> None:
        """A step of 5 % under a noise of 3 %, ten values a side."""
        rng = np.random.default_rng(0)
        found = [apart(rng.normal(1, 0.03, 10), rng.normal(1.05, 0.03, 10)) for _ in range(500)]
        assert np.mean(found) > 0.88

    def test_d26_no_distance_is_negative_or_complex(self) -> None:
        """Collapsed features make covariances singular, and the roots of their product rounding errors."""
        flat = np.repeat(RNG.normal(size=(20, 6)), 10, axis=0) * [1, 1, 0, 0, 0, 0]
        assert value("fd", samples=flat) > 0
        assert value("fd", samples=flat, reference=flat) == pytest.approx(0, abs=1e-9)

    def test_d27_clusters_are_drawn_more_than_once(self) -> None:
        protocol = bench.evaluate(FAKE, REAL, metrics=["mauve"]).protocol.iloc[0]
        assert protocol["seeds"] >= 5


class TestImageEvaluators:
    def test_p1_nothing_depends_on_sqrtm(self) -> None:
        sources = [p.read_text() for p in (ROOT / "metrics").rglob("*.py")]
        assert not any("sqrtm(" in source for source in sources)

    @pytest.mark.parametrize("exponent", [-3, -6, -9])
    def test_p2_a_product_that_is_nearly_singular_has_no_imaginary_rubbish(self, exponent: int) -> None:
        """Whole variances beside tiny ones, diagonal, so that the sum over dimensions is the truth."""
        a, b = (np.array([1.0, 10.0**exponent, 10.0 ** (2 * exponent)]) * scale for scale in (1, 2))
        found = gaussian_distance(np.zeros(3), np.diag(a), np.zeros(3), np.diag(b))
        assert found == pytest.approx(((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-9)

    def test_p3_fewer_samples_than_features_keep_every_digit(self) -> None:
        """Against the distance in the plane that holds all of both samples, where nothing is singular."""
        plane, _ = np.linalg.qr(RNG.normal(size=(200, 40)))
        x, y = RNG.normal(size=(100, 40)), RNG.normal(size=(120, 40)) * 2
        low, high = (value("fd", samples=a, reference=b, train=None) for a, b in ((x, y), (x @ plane.T, y @ plane.T)))
        assert high == pytest.approx(low, rel=1e-9)

    def test_p7_a_row_is_of_the_samples_it_names(self) -> None:
        first, second = RNG.normal(size=(300, 6)), RNG.normal(size=(300, 6)) * 3
        assert value("vendi", samples=first) != value("vendi", samples=second)
        assert value("fd", samples=first) < value("fd", samples=second)

    @pytest.mark.parametrize(
        ("metric", "settings"),
        {
            "auth_gap": {"n_train"},
            "cmmd_u": {"kernel", "sigma", "scale", "rows", "statistic"},
            "coverage": {"k", "strict"},
            "ct": {"cells", "least", "clustering"},
            "density": {"k", "strict"},
            "fd_corrected": {"bias", "splits"},
            "fld": {"gaussians", "floor", "fit"},
            "kid": {"kernel", "statistic"},
            "mauve": {"clusters", "seeds", "pca_variance", "norm", "kmeans", "scaling", "smoothing"},
            "mind": {"projections", "seed", "scale", "rows"},
            "nn_ratio": {"k", "threshold"},
            "precision": {"k", "strict"},
            "recall": {"k", "strict"},
            "vendi": {"kernel"},
        }.items(),
    )
    def test_p9_settings_that_fork_are_part_of_the_protocol(self, metric: str, settings: set[str]) -> None:
        protocol = bench.evaluate(FAKE, REAL, train=TRAIN, metrics=[metric]).protocol.iloc[0]
        assert settings | {"extractor", "n_fake"} <= set(protocol)

    def test_p11_numbers_of_two_sample_counts_have_two_protocols(self) -> None:
        first, second = (bench.evaluate(x, REAL, metrics=["fd"]).protocol.iloc[0] for x in (FAKE, FAKE[:200]))
        assert first["n_fake"] != second["n_fake"]

    def test_p12_the_error_of_kid_is_not_the_spread_of_subsets(self) -> None:
        """Subsets of 100 spread far more than the estimate from all rows is wrong."""
        table = bench.evaluate(FAKE, REAL, metrics=["kid"])
        parts = [value("kid", samples=FAKE[i : i + 100], reference=REAL[i : i + 100]) for i in range(0, 400, 100)]
        assert (table.hi - table.lo).iloc[0] / (2 * 1.96) < np.std(parts, ddof=1)

    def test_p17_numbers_against_two_references_have_two_protocols(self) -> None:
        first, second = (bench.evaluate(FAKE, x, metrics=["fd"]).protocol.iloc[0] for x in (REAL, TRAIN[:500]))
        assert first["n_real"] == second["n_real"] and first != second

    def test_p17_and_so_have_numbers_against_two_training_sets(self) -> None:
        tables = [bench.evaluate(FAKE, REAL, train=x, metrics=["auth_pct"]) for x in (TRAIN, TRAIN + 3)]
        first, second = (table.protocol.iloc[0] for table in tables)
        assert first["n_train"] == second["n_train"] and first != second

    def test_p20_buffers_that_are_no_table_are_refused(self) -> None:
        with pytest.raises(GenbenchError, match=r"vectors must be \(n, D\)"):
            bench.evaluate(FAKE.ravel(), REAL.ravel(), metrics=["fd"], modality="vector")

    def test_p21_what_newer_libraries_removed_is_not_used(self) -> None:
        sources = [p.read_text() for folder in ("bench", "metrics") for p in (ROOT / folder).rglob("*.py")]
        assert not any(f"np.{gone}" in source for source in sources for gone in ("bool)", "int)", "float)", "object)"))

    def test_p22_one_level_more_or_less_is_one_level(self) -> None:
        """Samples are whole levels before any network sees them: a sub-level wobble is no difference."""
        x, spec = torch.zeros(1, 1, 2, 2), DataSpec("image", (1, 2, 2), "continuous")
        assert torch.equal(quantise(x, spec), quantise(x + 1e-4, spec))

    def test_p23_a_black_sample_counts(self) -> None:
        """Whoever drops what failed measures the survivors."""
        pixels = digits().test.pixels
        spoilt = torch.cat([pixels[:60], torch.zeros_like(pixels[:20])])
        table = bench.evaluate(spoilt, pixels[100:180], metrics=["fd"], extractor="lenet")
        whole = bench.evaluate(pixels[:80], pixels[100:180], metrics=["fd"], extractor="lenet")
        assert table.n[0] == 80 and table.value[0] > 2 * whole.value[0]
