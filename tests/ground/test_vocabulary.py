"""The kernel and the reports name no plugin: what one is to them is declared where it is registered."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import bench
from bench.measure.names import known_names
from bench.registry import registry

ROOT = Path(bench.__file__).parents[1]
# What is no name of a plugin although it reads like one, by file and text.
PLAIN = {
    ("bench/__init__.py", "evaluate"): "a function of bench",
    ("bench/cli/evaluate.py", "evaluate"): "a command",
    ("bench/measure/as_evaluate.py", "evaluate"): "the library",
    ("bench/engine/suite.py", "precision"): "of arithmetic, a key of suites",
    ("bench/registry.py", "precision"): "of arithmetic, a key of suites",
    ("bench/results/groups.py", "precision"): "of arithmetic, a setting",
    ("reports/_content.py", "precision"): "of arithmetic, a setting",
    ("bench/protocols.py", "density"): "what log_prob may be of",
    ("bench/testing/generators.py", "density"): "what log_prob may be of",
    ("bench/protocols.py", "nfe"): "the attribute that a model counts them by",
    ("bench/testing/metrics.py", "made"): "the verb",
    ("reports/_content.py", "is"): "the verb",
    ("bench/datasets/_findings.py", "is"): "the verb",
    ("bench/measure/evaluation.py", "inception"): "an example in a message",
    ("bench/measure/evaluation.py", "fd"): "an example in a message",
    ("bench/measure/evaluation.py", "kid"): "an example in a message",
    ("bench/measure/names.py", "fd"): "an example in a message",
    ("bench/engine/suite.py", "vae"): "an example in a message",
    **{("bench/record.py", name): "what records said before they said more" for name in (
        "fid", "fd_lenet", "fd", "coverage", "class_accuracy", "nn_ratio", "sample_throughput", "self_bleu",
        "copied_ngram", "recall", "peak_rss_bytes", "kid", "bits_per_byte", "perplexity", "real", "noise", "copycat",
        "parameters", "nfe", "sample_flops", "training_flops", "checkpoint_bytes", "peak_gpu_bytes",
    )},
}  # fmt: skip


def registered() -> set[str]:
    """Names of families, extractors and metrics, on their extractors too."""
    kinds = ("extractors", "metrics")
    names = {name.rstrip(":") for kind in kinds for name in registry.all(kind, with_rest=True)}
    names |= {*registry.all("generators")}  # what loads a model is named by a plain word, such as samples:
    return {name.casefold() for name in (*names, *known_names())}


def literals(source: str) -> Iterator[str]:
    """Every text in code but docstrings: the whole, what is quoted in it, and the parts of a pattern."""
    tree = ast.parse(source)
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in expressions:
            yield node.value
            yield from re.findall(r"""['"`]([\w./:-]+)['"`]""", node.value)
            if " " not in node.value:
                yield from re.split(r"[|()*.?\[\]]", node.value)


def named(source: str, names: set[str]) -> set[str]:
    """The texts that are such a name, or its beginning or end, as ``fd_``."""
    return {text for text in literals(source) if text.casefold().strip("_:") in names}


def test_the_kernel_and_the_reports_name_no_plugin() -> None:
    names = registered()
    files = [path for package in ("bench", "reports") for path in (ROOT / package).rglob("*.py")]
    files = [path for path in files if path.parent.name != "exchange"]  # which is about other tools' names
    found = {(str(path.relative_to(ROOT)), text) for path in files for text in named(path.read_text(), names)}
    assert found - {*PLAIN} == set(), "declare it where it is registered, or say in PLAIN why it is no name"
    assert {*PLAIN} - found == set(), "no longer there"


def test_a_name_is_found_in_every_form() -> None:
    names = registered()
    written = 'x == "fd_lenet" or x.startswith("fd_") or y in ("real",) or z == "fid|kid.*" or f"the \'noise\' of {x}"'
    assert named(written, names) == {"fd_lenet", "fd_", "real", "fid", "kid", "noise"}
    assert named('"""fd leads, as "fid" does."""\nx = 1  # "real"', names) == set()
