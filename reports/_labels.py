"""Names beside the points of a figure, where they cover the fewest others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE, _WIDTH, _LINE = 8.5, 4.9, 10.5  # of a letter, in typographic points
_MARKER = 4.0  # half of a point's side
_FARTHER = 4  # lines that a name may go up or down from its point


class Box(NamedTuple):
    """left, bottom, right, top in typographic points."""

    left: float
    bottom: float
    right: float
    top: float

    def shared(self, other: Box) -> float:
        """The area that both cover."""
        across = min(self.right, other.right) - max(self.left, other.left)
        up = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, across) * max(0.0, up)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.top - self.bottom)


class _Spot(NamedTuple):
    """Where a name begins or ends, from its point."""

    dx: float
    dy: float
    side: Literal["left", "right"]

    def box(self, x: float, y: float, width: float) -> Box:
        left = x + self.dx - (width if self.side == "right" else 0)
        return Box(left, y + self.dy, left + width, y + self.dy + _LINE)


def label_points(
    axes: Axes, places: Sequence[tuple[float, float]], names: Sequence[str], colour: str, dpi: float
) -> None:
    """A name beside each place (in data units), the uppermost first, each where it covers the least of what is there.

    Lines are not minded, and where all is full names still overprint.
    """
    at = [(float(x) * 72 / dpi, float(y) * 72 / dpi) for x, y in axes.transData.transform(list(places))]
    frame = axes.get_window_extent()
    inside = Box(*(float(end) * 72 / dpi for end in (frame.x0, frame.y0, frame.x1, frame.y1)))
    taken = [Box(x - _MARKER, y - _MARKER, x + _MARKER, y + _MARKER) for x, y in at]
    for i in sorted(range(len(at)), key=lambda i: (-at[i][1], at[i][0])):
        width = _WIDTH * len(names[i])
        boxes = [(spot, spot.box(*at[i], width)) for spot in _spots()]
        # Beyond the frame there may be room, but there lie the numbers of the axes: worse than one another's names.
        costs = [sum(box.shared(other) for other in taken) + 2 * (box.area - box.shared(inside)) for _, box in boxes]
        spot, box = boxes[min(range(len(boxes)), key=lambda k: (round(costs[k]), k))]
        taken.append(box)
        axes.annotate(
            names[i], places[i], xytext=(spot.dx, spot.dy), textcoords="offset points",
            ha=spot.side, va="bottom", fontsize=_SIZE, color=colour, zorder=4,
        )  # fmt: skip


def _spots() -> Iterator[_Spot]:
    """From the best on: right above, right below, left above, left below, and then line by line farther away."""
    for line in range(_FARTHER):
        for side, dx in (("right of it", 5.0), ("left of it", -5.0)):
            for dy in (3 + line * _LINE, -3 - (line + 1) * _LINE):
                yield _Spot(dx, dy, "left" if side == "right of it" else "right")
