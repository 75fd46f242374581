"""genbench: train or load every family of generative model, measure what it makes and costs, and compare.

    bench.run("demo", out="runs/demo")      # -> pandas.DataFrame, one row a measurement
    bench.evaluate(samples, reference)      # the same numbers for samples from anywhere
    bench.read_frame("runs/demo")           # the same table from the records of an earlier run
    bench.render("runs/demo")               # its report, again
    bench.check("runs/base", "runs/new")    # did a change make something worse?
    bench.select("runs/demo", "fd_lenet")   # which model to take

Everything a plugin needs is here: the decorators ``generator``, ``metric``, ``dataset``, ``extractor``, ``modality``,
``preview``, ``report``, ``command`` and ``executor``, the types they speak of, and the errors they raise. Importing
this package imports nothing else: each name is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; ``typing`` takes longer to import than all else here
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    import pandas as pd

    from bench.code_digest import source_digest
    from bench.datasets._image import ImageDataset
    from bench.datasets._inspection import Inspection, inspect
    from bench.datasets._text import Retokenised, TextDataset
    from bench.datasets._tokenisers import Tokeniser, letters_of_bytes
    from bench.engine.executors._base import Executor
    from bench.engine.plan import TrialPlan
    from bench.engine.saving import save_model
    from bench.engine.worker import record_of, run_trial
    from bench.errors import (
        DataError,
        DataWarning,
        DeviceError,
        GenbenchError,
        Omitted,
        OutputError,
        SuiteError,
        TooFew,
        TrialError,
        UnknownName,
        Unsupported,
        calling,
        hint,
        named,
        said,
    )
    from bench.escapes import acts, escape
    from bench.files import cache_folder, open_plain, sha256, without_home, write_atomic
    from bench.foreign import decoding, fault, locate, sought
    from bench.hub import hub_folder
    from bench.measure.alone import Alone
    from bench.measure.comparison import Comparison, Space
    from bench.measure.continuation import continued, reread
    from bench.measure.feature_store import FeatureSet
    from bench.measure.moments import Moments
    from bench.measure.trial import Costs, Trial
    from bench.modalities._base import Modality, modality_of
    from bench.modalities._dequantise import dequantise, spacing
    from bench.modalities._examples import content_hash
    from bench.modalities._pictures import Pictures
    from bench.modalities._sequences import Sequences
    from bench.probes.energy import Meter
    from bench.probes.flops import count_flops
    from bench.probes.peaks import peak_flops
    from bench.probes.pulse import alive
    from bench.probes.stopwatch import Timing, time_calls
    from bench.probes.tracing import idle_share
    from bench.protocols import (
        Batch,
        BatchStreaming,
        Dataset,
        DataSpec,
        Evaluated,
        ExampleLoss,
        Extractor,
        Features,
        Forecaster,
        Generator,
        Likelihood,
        Paced,
        Reconstructor,
        Refitting,
        Rereading,
        Scored,
        Sequential,
        Split,
        SplitName,
        Streaming,
        Textual,
        Trainable,
        Verbatim,
        as_read_by,
        unmet,
    )
    from bench.reading import Source, examples_in
    from bench.reading.ahead import count_ahead, modality_ahead, other_shape, rate_ahead
    from bench.record import CurvePoint, Estimate, Failure, Interval, Measurement, Plan, RunRecord
    from bench.registry import (
        Presets,
        command,
        dataset,
        discover,
        executor,
        extractor,
        generator,
        importer,
        metric,
        modality,
        preview,
        preview_of,
        report,
    )
    from bench.results.gate import Gate
    from bench.results.render import render
    from bench.results.selection import Choice
    from bench.results.store import Records, Unfinished, frame, read_frame, read_records
    from bench.statistics import (
        Summary,
        bounded_interval,
        difference_interval,
        effective_trials,
        fewest_for_quantile,
        median_interval,
        normal_interval,
        proportion_interval,
        quantile,
        quantile_interval,
        rate_interval,
        ratio_error,
        ratio_interval,
        ratio_parts,
        reach_toward,
        score_interval,
        stretches,
        summarise,
        wilson_interval,
    )
    from bench.streams import Rows, checked_labels, normal, uniform

# Every name is loaded when it is first used, so that importing this package costs milliseconds.
_HOMES = {
    "bench.measure.comparison": "Comparison Space",
    "bench.measure.continuation": "continued reread",
    "bench.datasets._image": "ImageDataset",
    "bench.datasets._inspection": "Inspection inspect",
    "bench.datasets._text": "Retokenised TextDataset",
    "bench.datasets._tokenisers": "Tokeniser letters_of_bytes",
    "bench.engine.executors._base": "Executor",
    "bench.engine.plan": "TrialPlan",
    "bench.engine.saving": "save_model",
    "bench.engine.worker": "record_of run_trial",
    "bench.errors": (
        "DataError DataWarning DeviceError GenbenchError Omitted OutputError SuiteError TooFew TrialError "
        "UnknownName Unsupported calling hint named said"
    ),
    "bench.measure.feature_store": "FeatureSet",
    "bench.modalities._base": "Modality modality_of",
    "bench.modalities._dequantise": "dequantise spacing",
    "bench.modalities._examples": "content_hash",
    "bench.modalities._pictures": "Pictures",
    "bench.modalities._sequences": "Sequences",
    "bench.escapes": "acts escape",
    "bench.foreign": "decoding fault locate sought",
    "bench.hub": "hub_folder",
    "bench.files": "cache_folder open_plain sha256 without_home write_atomic",
    "bench.measure.moments": "Moments",
    "bench.probes.pulse": "alive",
    "bench.measure.alone": "Alone",
    "bench.probes.energy": "Meter",
    "bench.probes.flops": "count_flops",
    "bench.probes.peaks": "peak_flops",
    "bench.probes.tracing": "idle_share",
    "bench.probes.stopwatch": "Timing time_calls",
    "bench.protocols": (
        "Batch BatchStreaming Dataset DataSpec Evaluated ExampleLoss Extractor Features Forecaster Generator "
        "Likelihood Paced Reconstructor Refitting Rereading Scored Sequential Split SplitName Streaming Textual "
        "Trainable Verbatim as_read_by unmet"
    ),
    "bench.record": "CurvePoint Estimate Failure Interval Measurement Plan RunRecord",
    "bench.reading": "examples_in",
    "bench.reading.ahead": "count_ahead modality_ahead other_shape rate_ahead",
    "bench.code_digest": "source_digest",
    "bench.registry": (
        "Presets command dataset discover executor extractor generator importer metric modality preview preview_of "
        "report"
    ),
    "bench.results.gate": "Gate",
    "bench.results.render": "render",
    "bench.results.selection": "Choice",
    "bench.statistics": (
        "Summary bounded_interval difference_interval effective_trials fewest_for_quantile median_interval "
        "normal_interval proportion_interval quantile quantile_interval rate_interval ratio_error ratio_interval "
        "ratio_parts reach_toward score_interval stretches summarise wilson_interval"
    ),
    "bench.results.store": "Records Unfinished frame read_frame read_records",
    "bench.streams": "Rows checked_labels normal uniform",
    "bench.measure.trial": "Costs Trial",
}
_LAZY = {name: home for home, names in _HOMES.items() for name in names.split()}


def run(
    suite: str | Path,
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    device: str = "auto",
    overrides: Sequence[str] = (),
    executor: str = "local",
) -> pd.DataFrame:
    """Train or load, sample and measure every trial of a suite, and return its measurements.

    suite: a built-in name or the path of a TOML file.     out: run folder; runs/<suite> if left out.
    jobs: trials at a time.                                device: "auto", "cpu" or "cuda".
    overrides: ``"generators.vae.latent=64"`` and the like.
    executor: what runs the trials, one of ``genbench list executors``.

    One row a measurement (value, lo, hi, unit, better, n, protocol, ...), one for each metric left out with the
    reason, one for each trial without a result. A failed trial raises nothing: look at ``status`` (ok, failed, ...).
    Trials that have a record in ``out`` are not run again. The report is written to ``out/report``.
    Raises SuiteError, UnknownName, DataError, DeviceError or OutputError before anything is trained.
    """
    from bench.errors import check_system

    check_system()
    from bench.engine.runner import run as run_suite

    found = run_suite(suite, out=out, jobs=jobs, device=device, overrides=overrides, executor=executor)
    return found.frame()


def evaluate(
    samples: Source,
    reference: Source,
    *,
    metrics: str | Sequence[str] | None = None,
    modality: str | None = None,
    extractor: str | None = None,
    train: Source | None = None,
    prompts: Source | None = None,
    seed: int = 0,
    device: str = "auto",
) -> pd.DataFrame:
    """Measure samples against held-out real data, one row a metric: no suite, no training, nothing kept but features.

    samples, reference, train: arrays, tensors, lists of strings, of arrays or of Pillow's pictures, or paths (``.npy``,
        ``.npz``, a folder or ``.zip`` of pictures, ``.txt`` with a text a line, ``.json``, ``.jsonl``). Vectors are
        ``(n, D)``, images uint8 ``(n, C, H, W)``. Files of a folder are taken in natural order: 0, 1, 2, 10.
        A reference may also be a ``.npz`` of ``mu`` and ``sigma``, as other tools keep it: it serves ``fd``, ``fid``.
    metrics: names such as "fd", "kid", "precision", "fid", "fd_lenet", in a list or in one string; left out: all that
        apply, but for those that take minutes ("judge_gap"), which want to be asked for.
    modality: "vector" (features taken as they are), "image", "text", ...; left out: what the samples look like.
    extractor: whose features to use; left out: "inception" for images, "minilm" for text, "none" (as they are) for
        vectors.
    train: what the model was trained on, for the measures of novelty.
    prompts: one text a sample in the samples' order, for ``clip_score``; a list of strings or a path.
    seed: of splits, folds and the like.   device: where features are extracted: "auto", "cpu" or "cuda".

    Columns: metric, value, lo, hi, level, unit, better, n, protocol, reason (why a value is null).
    What was skipped, turned or resized is warned of (DataWarning), and stands in ``table.attrs["notes"]``.
    A metric that cannot be measured of these samples is a row without a value, and costs the others nothing.
    Raises GenbenchError (DataError, UnknownName, TooFew, ...) for bad input, and where nothing could be measured.
    """
    from bench.errors import check_system

    check_system()
    from bench.measure.evaluation import evaluate as evaluate_sources

    return evaluate_sources(
        samples,
        reference,
        metrics=metrics,
        modality=modality,
        extractor=extractor,
        train=train,
        prompts=prompts,
        seed=seed,
        device=device,
    )


def build(name: str, data: Dataset | None, *, preset: str | None = None, **params: Any) -> Generator:
    """A generator by its name, untrained, or as the files it is loaded from hold it.

    ``bench.build("vae", data, latent=8)``, ``bench.build("hf:openai-community/gpt2", data)``. First weights are drawn
    from torch's global generator. data: None where it makes do without, as a language model that only scores texts.
    preset: a row of hyperparameters, on top of which ``params`` come.
    Raises UnknownName, GenbenchError for a parameter it has not, Unsupported for data that it cannot make.
    """
    from bench.errors import GenbenchError, UnknownName
    from bench.parameters import resolve
    from bench.registry import registry

    entry = registry.get("generators", name)
    if preset is not None and preset not in entry.presets:
        raise UnknownName(f"preset of {name}", preset, entry.presets)
    given = {**(entry.presets[preset] if preset else {}), **params}
    resolved, problems = resolve(entry.make, given, name)
    if problems:
        raise GenbenchError("; ".join(problems))
    model: Generator = entry.make(entry.made_of(data), **resolved)
    return model


def check(
    baseline: str | Path, candidate: str | Path, *, margins: Sequence[str] = (), policy: str | Path | None = None
) -> Gate:
    """Judge a candidate by a baseline, each a run folder, a record or a bundle; see docs/decisions.md.

    margins: ``"fd_lenet=5%"`` and the like, which then block. policy: a TOML file of margins and more.
    ``.verdict`` is "pass", "fail", "inconclusive", or None where nothing could be compared; ``.findings`` say why.
    """
    from bench.results import gate
    from bench.results.store import read_side

    return gate.check(read_side(baseline)[0], read_side(candidate)[0], gate.read_policy(policy, margins))


def select(
    folder: str | Path,
    objective: str | None = None,
    *,
    where: Sequence[str] = (),
    price: str | None = None,
    front: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Choice]:
    """Which model to take of a run folder or bundle, by dataset; see ``bench.results.selection.select``.

    where: conditions, ``"peak_rss_bytes <= 5e8"``. seed: of the draws that probabilities are taken from.
    """
    import numpy as np

    from bench.results.board import leaderboards
    from bench.results.groups import newest
    from bench.results.selection import Condition
    from bench.results.selection import select as choose
    from bench.results.store import read_side

    how: dict[str, Any] = {
        "conditions": [Condition.read(text) for text in ([where] if isinstance(where, str) else where)],
        "price": price,
        "front": front,
    }
    boards = [board for board in leaderboards(newest(read_side(folder)[0])[0]) if board.ranked]
    return {b.dataset: choose(b, np.random.default_rng(seed), objective=objective, **how) for b in boards}


def as_evaluate(name: str, **settings: Any) -> Any:
    """A metric of texts as an ``evaluate.Metric`` of Hugging Face, for ``evaluate.combine`` and the like.

    name: such as "self_bleu" or "mauve_minilm", or a measure alone, which takes the default extractor.
    settings: ``reference``, ``train``, ``extractor``, ``seed`` or ``device`` of ``bench.evaluate``; those given to
        ``compute`` come on top.

    ``compute(predictions=texts)`` returns ``{name: value, f"{name}_interval": [lo, hi]}``, the second where there is an
    interval. A metric that compares with real data takes it as the setting ``reference``, any number of texts, or as
    ``references`` of ``compute``, of which ``evaluate`` wants as many as predictions.
    Raises GenbenchError (UnknownName) for a name that is no metric of texts.
    """
    from bench.measure.as_evaluate import hf_metric

    return hf_metric(name, **settings)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
        return found
    raise AttributeError(f"module 'bench' has no attribute {name!r}")


__all__ = [
    "Alone",
    "Batch",
    "BatchStreaming",
    "Choice",
    "Comparison",
    "Costs",
    "CurvePoint",
    "DataError",
    "DataSpec",
    "DataWarning",
    "Dataset",
    "DeviceError",
    "Estimate",
    "Evaluated",
    "ExampleLoss",
    "Executor",
    "Extractor",
    "Failure",
    "FeatureSet",
    "Features",
    "Forecaster",
    "Gate",
    "GenbenchError",
    "Generator",
    "ImageDataset",
    "Inspection",
    "Interval",
    "Likelihood",
    "Measurement",
    "Meter",
    "Modality",
    "Moments",
    "Omitted",
    "OutputError",
    "Paced",
    "Pictures",
    "Plan",
    "Presets",
    "Reconstructor",
    "Records",
    "Refitting",
    "Rereading",
    "Retokenised",
    "Rows",
    "RunRecord",
    "Scored",
    "Sequences",
    "Sequential",
    "Space",
    "Split",
    "SplitName",
    "Streaming",
    "SuiteError",
    "Summary",
    "TextDataset",
    "Textual",
    "Timing",
    "Tokeniser",
    "TooFew",
    "Trainable",
    "Trial",
    "TrialError",
    "TrialPlan",
    "Unfinished",
    "UnknownName",
    "Unsupported",
    "Verbatim",
    "acts",
    "alive",
    "as_evaluate",
    "as_read_by",
    "bounded_interval",
    "build",
    "cache_folder",
    "calling",
    "check",
    "checked_labels",
    "command",
    "content_hash",
    "continued",
    "count_ahead",
    "count_flops",
    "dataset",
    "decoding",
    "dequantise",
    "difference_interval",
    "discover",
    "effective_trials",
    "escape",
    "evaluate",
    "examples_in",
    "executor",
    "extractor",
    "fault",
    "fewest_for_quantile",
    "frame",
    "generator",
    "hint",
    "hub_folder",
    "idle_share",
    "importer",
    "inspect",
    "letters_of_bytes",
    "locate",
    "median_interval",
    "metric",
    "modality",
    "modality_ahead",
    "modality_of",
    "named",
    "normal",
    "normal_interval",
    "open_plain",
    "other_shape",
    "peak_flops",
    "preview",
    "preview_of",
    "proportion_interval",
    "quantile",
    "quantile_interval",
    "rate_ahead",
    "rate_interval",
    "ratio_error",
    "ratio_interval",
    "ratio_parts",
    "reach_toward",
    "read_frame",
    "read_records",
    "record_of",
    "render",
    "report",
    "reread",
    "run",
    "run_trial",
    "said",
    "save_model",
    "score_interval",
    "select",
    "sha256",
    "sought",
    "source_digest",
    "spacing",
    "stretches",
    "summarise",
    "time_calls",
    "uniform",
    "unmet",
    "wilson_interval",
    "without_home",
    "write_atomic",
]
