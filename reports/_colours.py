"""One colour a generator, the same in every figure and table; told apart by colour-blind readers too.

The hues follow Okabe and Ito's palette, darker for paper, lighter for dark screens. A figure is drawn in
the light ones; on the page each stands for a CSS variable that knows both.
"""

from __future__ import annotations

from collections.abc import Iterable

LIGHT = ("#0072b2", "#d55e00", "#00906a", "#b8609a", "#c58a00", "#3f9fd8", "#7a5195", "#7d6608")
DARK = ("#4da6e0", "#f2894a", "#2fc39b", "#df96c3", "#e8b53c", "#8accf5", "#b79ae0", "#c9b458")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
CONTROL = "#80868e"  # yardsticks; readable on both grounds


def slots(names: Iterable[str]) -> dict[str, int]:
    """Every generator's number, in the order of names; it chooses its colour and marker."""
    return {name: number for number, name in enumerate(sorted(set(names)))}


def colour(slot: int) -> str:
    return LIGHT[slot % len(LIGHT)]


def marker(slot: int) -> str:
    """The marker changes when the colours start again, so the pair stays unique for 64 generators."""
    return MARKERS[slot // len(LIGHT) % len(MARKERS)]
