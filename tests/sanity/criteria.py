"""What a curve must look like. A curve maps positions of a sweep to values, each the mean over seeds.

Thresholds of scores from 0 to 1 are those of the authors' released program (2505.22450): 0.05 around a value that is
due and for a line that must not move, 0.2 between a top and a bottom, 0.1 for how far the ends may lie off the
extremes. Distances have no scale, so theirs are shares of their own range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Curve = Mapping[float, float]
Camp = Literal["", "high", "low"]
NEAR, APART, SLACK = 0.05, 0.2, 0.1


@dataclass(frozen=True)
class Verdict:
    """reason: why it fails, empty for a pass.

    camp: of a diversity metric where samples spread too widely. A "high" one says that all real data is still covered,
    a "low" one that few of the samples cover it. Both are sound, but a metric must stay with one of them.
    """

    reason: str = ""
    camp: Camp = ""


Criterion = Callable[[Curve], Verdict]


def near(due: float, at: float) -> Criterion:
    """The value at a position."""
    return lambda curve: _due(curve[at], due, at)


def near_first(due: float) -> Criterion:
    return lambda curve: near(due, min(curve))(curve)


def near_last(due: float) -> Criterion:
    return lambda curve: near(due, max(curve))(curve)


def one_or_nothing(last: bool) -> Criterion:
    """1 or 0 at an end: which of them shows the camp."""

    def judge(curve: Curve) -> Verdict:
        at = max(curve) if last else min(curve)
        if abs(curve[at] - 1) <= NEAR:
            return Verdict(camp="high")
        if abs(curve[at]) <= NEAR:
            return Verdict(camp="low")
        return Verdict(f"{curve[at]:.2f} at {text(at)}, neither 0 nor 1")

    return judge


def bell(middle: float) -> Criterion:
    """High in the middle, low at both ends."""

    def judge(curve: Curve) -> Verdict:
        top, ends = curve[middle], (curve[min(curve)], curve[max(curve)])
        if top - max(ends) < APART:
            return Verdict(f"{top:.2f} in the middle, {max(ends):.2f} at an end")
        if max(curve.values()) - top > SLACK:
            return Verdict(f"highest at {text(_highest(curve))}, not in the middle")
        return Verdict() if min(ends) - min(curve.values()) <= SLACK else Verdict("lowest between middle and end")

    return judge


def falls(by: float | None = None) -> Criterion:
    """From its highest at the first position to its lowest at the last; ``by``: where it must have begun to."""

    def judge(curve: Curve) -> Verdict:
        first, last = curve[min(curve)], curve[max(curve)]
        if first - last < APART:
            return Verdict(f"{first:.2f} at first, {last:.2f} at last, should fall")
        if max(curve.values()) - first > SLACK or last - min(curve.values()) > SLACK:
            return Verdict("does not fall throughout")
        if by is not None and first - curve[by] < SLACK:
            return Verdict(f"still {curve[by]:.2f} at {text(by)}")
        return Verdict()

    return judge


def rises() -> Criterion:
    def judge(curve: Curve) -> Verdict:
        first, last = curve[min(curve)], curve[max(curve)]
        if last - first < APART:
            return Verdict(f"{first:.2f} at first, {last:.2f} at last, should rise")
        inside = first - min(curve.values()) <= SLACK and max(curve.values()) - last <= SLACK
        return Verdict() if inside else Verdict("does not rise throughout")

    return judge


def flat() -> Criterion:
    """No change over the sweep."""
    return lambda curve: _still(curve, NEAR)


def settles() -> Criterion:
    """No change over the second half of the sweep."""
    return lambda curve: _still(_second_half(curve), NEAR)


def either(low: Criterion, high: Criterion) -> Criterion:
    """The shape of the one camp or of the other."""

    def judge(curve: Curve) -> Verdict:
        if not (neither := low(curve).reason):
            return Verdict(camp="low")
        reason = high(curve).reason
        return Verdict(f"not low ({neither}), not high ({reason})") if reason else Verdict(camp="high")

    return judge


# Of distances, and of scores without bounds:


def climbs(sign: int = 1) -> Criterion:
    """Never back by more than a tenth of its range from one position to the next, and at the end on top.

    The way from first to last must be a tenth of the largest value. sign: 1 upwards, -1 downwards.
    """

    def judge(curve: Curve) -> Verdict:
        values = [sign * curve[at] for at in sorted(curve)]
        span = max(values) - min(values)
        word = "rise" if sign > 0 else "fall"
        if span == 0 or values[-1] - values[0] < SLACK * max(map(abs, values)):
            return Verdict(f"{text(sign * values[0])} at first, {text(sign * values[-1])} at last, should {word}")
        back = any(a - b > SLACK * span for a, b in pairwise(values)) or max(values) - values[-1] > SLACK * span
        return Verdict(f"does not {word} throughout") if back else Verdict()

    return judge


def valley(middle: float) -> Criterion:
    """Lowest in the middle, climbing to both sides."""

    def judge(curve: Curve) -> Verdict:
        left = climbs()({-at: v for at, v in curve.items() if at <= middle})
        if left.reason:
            return Verdict(f"to the left {left.reason}")
        right = climbs()({at: v for at, v in curve.items() if at >= middle})
        return Verdict(f"to the right {right.reason}") if right.reason else Verdict()

    return judge


def steady() -> Criterion:
    """Within a tenth of its largest value over the sweep."""
    return lambda curve: _still(curve, SLACK * max(map(abs, curve.values())))


def steady_late() -> Criterion:
    return lambda curve: steady()(_second_half(curve))


def _due(value: float, due: float, at: float) -> Verdict:
    return Verdict() if abs(value - due) <= NEAR else Verdict(f"{value:.2f} at {text(at)}, {due:g} is due")


def _still(curve: Curve, most: float) -> Verdict:
    low, high = min(curve.values()), max(curve.values())
    return Verdict() if high - low <= most else Verdict(f"{text(low)} to {text(high)}, should not move")


def _second_half(curve: Curve) -> Curve:
    order = sorted(curve)
    return {at: curve[at] for at in order[len(order) // 2 :]}


def _highest(curve: Curve) -> float:
    return max(curve, key=lambda at: curve[at])


def text(number: float) -> str:
    """Three digits, or whole thousands."""
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e6 else f"{number:.3g}"
