"""Several datasets together: the share of runs of each generator that are at most so far from the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.results.across import Across, profiles
from reports._colours import colour
from reports._figures import opened, powers, short, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LINES = 8
DASHES = ("-", "--", ":", "-.")


def overall(found: Sequence[Across], slots: Mapping[str, int]) -> Figure | None:
    """A line for each of the first eight; higher and further left is better."""
    from matplotlib.figure import Figure

    if not found:
        return None
    at, shares = profiles(found[:MOST_LINES])
    with styled():
        figure = Figure(figsize=(8.6, 2.8))
        axes = figure.subplots()
        for number, (name, share) in enumerate(shares.items()):
            axes.plot(at, share, drawstyle="steps-post", label=short(name), color=colour(slots[name]), linewidth=1.5,
                      linestyle=DASHES[number % len(DASHES)])  # fmt: skip
        axes.set_xscale("log")
        axes.set_ylim(-0.02, 1.04)
        powers(axes.xaxis, *axes.get_xlim())
        axes.set_xlabel("times the best mean of each dataset")
        axes.set_ylabel("share of runs at most so far")
        opened(axes)
        figure.legend(loc="outside right upper", frameon=False)
    return figure


def numbers(found: Sequence[Across]) -> list[tuple[str, str, str, str]]:
    """Of each its name, its interquartile mean, the interval of that, and how often the first is better."""
    return [
        (
            one.name,
            f"{one.iqm:.3g}",
            f"[{one.interval.lo:.3g}, {one.interval.hi:.3g}]" if one.interval else "",
            "" if one.ahead is None else f"{one.ahead:.0%}",
        )
        for one in found
    ]
