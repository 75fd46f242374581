"""Intervals of effective numbers: exponentials of an entropy, from 1 to the number of what could be told apart."""

from __future__ import annotations

from bench import Interval, bounded_interval, normal_interval


def effective_interval(value: float, error: float, n: int, most: float, method: str) -> Interval:
    """Of a number in [1, ``most``] with this standard error, of ``n`` samples.

    Near 1 few samples differ from the others, and Wilson's interval knows that. Near ``most`` an entropy is flat: it
    never overshoots, and the error holds its second order; so the interval is the normal one, cut. Where there is no
    error at all each sample is a trial. ``most`` of 1 leaves nothing open.
    """
    if most == 1:
        return Interval(lo=1, hi=1, method="exact: there is but one direction")
    if error == 0 or value - 1 < most - value:
        return bounded_interval(value, error, n, method, lo=1, hi=most)
    return normal_interval(value, error, method, lo=1, hi=most)
