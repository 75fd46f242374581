"""How long training takes to a given quality, by the looks that are taken on the way."""

from __future__ import annotations

import math
import operator
import re

from bench import Estimate, GenbenchError, Omitted, Trainable, Trial, metric
from metrics.cost._cost import costs

_GOAL = re.compile(r"(?P<metric>.+?)(?P<op><=|>=)(?P<value>[^<>=]+)")


def goal(text: str) -> tuple[str, str, float]:
    """``fd_lenet<=50`` as its three parts. Raises GenbenchError for what is no goal."""
    found = _GOAL.fullmatch(text.replace(" ", ""))
    try:
        value = float(found["value"]) if found else math.nan
    except ValueError:
        value = math.nan
    if found is None or not math.isfinite(value):
        raise GenbenchError(
            f"seconds_to:{text}: write METRIC<=NUMBER or METRIC>=NUMBER, such as seconds_to:fd_lenet<=50"
        )
    return found["metric"], found["op"], value


@metric("seconds_to:", aspect="efficiency", unit="s", better="lower", least=0, check=goal)
def seconds_to(trial: Trial[Trainable], text: str) -> Estimate:
    """Seconds of training until the model was this good at a look on the way: ``seconds_to:fd_lenet<=50``.

    A bound, since it was as good some time between that look and the one before. The metric is one of the learning
    curve's (``curve_metrics``), on the validation split.
    """
    name, op, value = goal(text)
    reached = operator.le if op == "<=" else operator.ge
    looks = [(point.seconds, point.metrics[name]) for point in costs(trial).curve if name in point.metrics]
    if not looks:
        raise Omitted(
            f"{name} was not looked at on the way: name it in curve_metrics, and set budget.evaluate_every "
            f"(of `genbench profile`: --look {name})"
        )
    first = next((seconds for seconds, found in looks if reached(found, value)), None)
    if first is not None:
        protocol = {**trial.conditions, "batch_size": trial.batch_size}
        return Estimate(value=first, n=len(looks), kind="bound", protocol=protocol)
    best = (min if op == "<=" else max)(found for _, found in looks)
    raise Omitted(f"never: the best of {len(looks)} looks was {best:.4g}")
