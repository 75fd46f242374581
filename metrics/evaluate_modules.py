"""Modules of Hugging Face ``evaluate`` on our samples; the other way round see ``bench.as_evaluate``.

``evaluate:NAME`` in a suite measures the samples with that module, where NAME is a local folder NAME/NAME.py (or a
module of the hub, which is fetched); ``evaluate:NAME#KEY`` picks one of several numbers. ``adapt`` registers an
instance from Python. Such numbers come without an interval and are not ranked unless ``adapt`` says which is better.

Importing ``evaluate`` takes seconds, so nothing here does before a number is asked for.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench import (
    Comparison,
    Estimate,
    GenbenchError,
    Omitted,
    cache_folder,
    metric,
    said,
    sha256,
    without_home,
)
from metrics.text._texts import checked_texts, spread

REFERENCES = 100  # beside each sample, where a module takes many: enough to cover, few enough to repeat n times
Better = Literal["lower", "higher", "none"]
Compute = Callable[[Comparison], Estimate]


def parts(name: str) -> tuple[str, str]:
    """Module and key of NAME#KEY. Raises GenbenchError for a name without NAME."""
    module, _, key = name.partition("#")
    if not module:
        raise GenbenchError(f"{name!r} names no module: write evaluate:NAME, and #KEY behind it to pick a number")
    return module, key


def code(name: str) -> str:
    """SHA-256 of the scripts that NAME#KEY stands for where it is a path here; "" for a name of the hub."""
    path = Path(parts(name)[0])
    files = sorted(path.rglob("*.py")) if path.name and path.is_dir() else [path] if path.is_file() else []
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest() if files else ""


@metric("evaluate:", aspect="realism", unit="1", better="none", check=parts, content=code)
def module_on_samples(c: Comparison, name: str) -> Estimate:
    """A module of Hugging Face evaluate on the samples; evaluate:NAME#KEY picks one of several numbers.

    It is loaded when a number is first asked for: one that is not there is a reason in the record, like weights that
    are not.
    """
    module, key = parts(name)
    return estimate(load(module), c, key)


def adapt(
    instance: Any,
    *,
    name: str = "",
    on: Iterable[str] | None = None,
    better: Better = "none",
    aspect: Literal["realism", "diversity", "relevance", "novelty"] = "realism",
    unit: str = "1",
    key: str = "",
) -> Compute:
    """Register an instance of ``evaluate.Metric`` as a metric of samples, and return the function that measures.

    name: left out, the instance's own.   key: which of its numbers, if it gives several.
    """

    def compute(c: Comparison) -> Estimate:
        return estimate(instance, c, key)

    compute.__doc__ = str(instance.description or "A module of Hugging Face evaluate, on the samples.").strip()
    compute.__module__ = sys._getframe(1).f_globals["__name__"]  # where a worker finds the registration again
    return metric(name or instance.name, on=on, aspect=aspect, unit=unit, better=better)(compute)


def load(module: str) -> Any:
    """The module by its folder or its name. Raises Omitted with the way to get it."""
    import evaluate

    try:
        return evaluate.load(module, cache_dir=cache(), keep_in_memory=True, seed=0)
    # A foreign script may raise anything on import, and the hub client much; the reason is kept in the record.
    except Exception as error:
        here = os.path.exists(module)  # noqa: PTH110 (Path.exists raises for a name that is too long)
        advice = "modules of the hub need the network: offline, name a local folder that holds a script of its own name"
        raise Omitted(
            f"evaluate could not load {module!r} ({_reason(error)}){'' if here else f'; {advice}'}"
        ) from error


def cache() -> str:
    """Where ``evaluate`` may keep what it fetches."""
    return str(cache_folder() / "evaluate")


def estimate(instance: Any, c: Comparison, key: str = "") -> Estimate:
    """The number an instance gives for the samples. Raises Omitted where it gives none, with its own reason."""
    import evaluate

    columns, protocol = inputs(instance, c)
    try:
        result = instance.compute(**columns)
    except GenbenchError:
        raise
    # Foreign code may raise anything; what it said becomes the reason.
    except Exception as error:
        raise Omitted(f"{instance.name} of evaluate failed: {_reason(error)}") from error
    found, value = number(result, instance.name, key)
    n = len(next(iter(columns.values())))
    file = inspect.getsourcefile(type(instance))  # two modules of one name may differ
    source = f"sha256:{sha256(Path(file))[:16]}" if file and Path(file).is_file() else "not a file"
    settings = {
        "module": instance.name,
        "module_source": source,
        "key": found,
        "evaluate": evaluate.__version__,
        "uncertainty": "not given",
    }
    return Estimate(value=value, n=n, protocol={**settings, **protocol})


def number(result: Any, name: str, key: str = "") -> tuple[str, float]:
    """The key and the one number of a result. Raises Omitted for none, several without a key, NaN or infinity."""
    numbers = {k: float(v) for k, v in dict(result or {}).items() if isinstance(v, Real) and not isinstance(v, bool)}
    if key:
        numbers = {k: v for k, v in numbers.items() if k == key}
    if len(numbers) != 1:
        given = ", ".join(map(str, result or {})) or "nothing"
        raise Omitted(f"{name} of evaluate gives {given}: pick one number with evaluate:NAME#KEY")
    ((found, value),) = numbers.items()
    if not np.isfinite(value):
        raise Omitted(f"{name} of evaluate gives {value} for {found}")
    return found, value


def inputs(instance: Any, c: Comparison) -> tuple[dict[str, list[Any]], dict[str, str | int]]:
    """Columns of the length of the samples, as the module's features ask for them, and how they were made.

    Where a module takes many references for each prediction, each sample gets the same ones, spread over all;
    where it takes one, samples and references are paired in order, as many as both have.
    """
    wanted = _features(instance)
    samples = _side(c, "samples", wanted.get("predictions", wanted.get("data")), instance.name)
    if unknown := set(wanted) - {"predictions", "data", "references"}:
        raise Omitted(f"{instance.name} of evaluate asks for {', '.join(sorted(unknown))}, which samples do not have")
    columns: dict[str, list[Any]] = {"data" if "data" in wanted else "predictions": samples}
    if "references" not in wanted:
        return columns, {}
    references = _side(c, "reference", wanted["references"], instance.name)
    how: dict[str, str | int]
    if _is_nested_text(wanted["references"]):
        many = spread(references, REFERENCES)
        columns |= {"references": [many] * len(samples)}
        how = {"references": len(many), "reference": c.reference_name, "n_real": len(references)}
        return columns, how if len(many) == len(references) else how | {"order": c.reference_order}
    n = min(len(samples), len(references))
    how = {"references": "paired in order", "pairs": n, "reference": c.reference_name, "n_real": len(references)}
    return {"predictions": samples[:n], "references": references[:n]}, how | {"order": c.reference_order}


def _features(instance: Any) -> dict[str, Any]:
    """Columns and their types; of several ways to call a module, the one with many references."""
    options = instance.features if isinstance(instance.features, list) else [instance.features]
    return max(map(dict, options), key=lambda option: _is_nested_text(option.get("references")))


def _is_nested_text(feature: Any) -> bool:
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    return inner is not None and _is_text(inner)


def _is_text(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string") or _is_nested_text(feature)


def _side(c: Comparison, side: Literal["samples", "reference"], feature: Any, name: str) -> list[Any]:
    if feature is None:
        raise Omitted(f"{name} of evaluate takes neither predictions nor data")
    if _is_text(feature):
        return checked_texts(c.texts(side), what=side)
    if c.modality == "text":
        raise Omitted(f"{name} of evaluate asks for numbers, but these are texts")
    return list(c.tensor(side).numpy())


def _reason(error: Exception) -> str:
    """One line, without the name of the home folder: reasons stand on pages that people share."""
    return without_home(said(error))
