"""Numbers as people read them: as many digits as the spread allows, bytes in MiB, small times in ms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Shown value = value / factor, in ``unit``."""

    factor: float
    unit: str


# unit -> rows of (used from this typical value on, factor, name of the unit)
_LADDERS: dict[str, tuple[tuple[float, float, str], ...]] = {
    "B": ((10 * 2**30, 2**30, "GiB"), (2**20, 2**20, "MiB"), (2**10, 2**10, "KiB"), (0, 1, "B")),
    "s": ((1, 1, "s"), (1e-3, 1e-3, "ms"), (0, 1e-6, "µs")),
    "1": ((1e-3, 1, ""), (1e-6, 1e-3, "×10⁻³"), (0, 1e-6, "×10⁻⁶")),
}
_LONG = 10_000  # of a unit: then the next is taken, however few are so large
_PLAIN_FROM = 0.1  # a column without a unit that holds such a number, as shares do, is not scaled
_MOST_DIGITS = 6
_HUGE, _FINEST = 1e15, 9  # from this size on, and with more places than these, a number is written in powers of ten


def scale(unit: str, typical: float, largest: float = 0.0) -> Scale:
    """One scale for a whole column, by its typical magnitude, so that its numbers compare at a glance.

    largest: magnitude in it, for which a larger unit may be taken. What has no unit is scaled only where all is small:
    a share of 1 is not 1,000 thousandths.
    """
    if unit == "1" and largest >= _PLAIN_FROM:
        return Scale(1, "")
    ladder = _LADDERS.get(unit, ())
    for step, (start, factor, name) in enumerate(ladder):
        if typical and typical >= start:
            while step and largest >= _LONG * factor:  # 90 ms and 0.5 ms beside one another, not 90,000 µs
                step -= 1
                _, factor, name = ladder[step]
            return Scale(factor, name)
    return Scale(1, "" if unit == "1" else unit)


def with_spread(value: float, spread: float | None) -> tuple[str, str]:
    """("12.3", "0.4"): the spread in one digit (two if the first is 1), the value to the same place.

    The second is "" where no spread is known, and "0" where it is known and is nothing but the arithmetic's rounding.
    """
    places = places_of(value, spread)
    if spread is None:
        return plain(value), ""
    return (plain(value), "0") if places is None else (fixed(value, places), fixed(spread, places))


def places_of(value: float, spread: float | None, two: bool = False) -> int | None:
    """How many places after the point a value with this spread has; None where the spread is unknown or 0.

    two: whether the spread is written in two digits; else in one, or two if the first is 1.
    """
    most = _places(value, _MOST_DIGITS) if value else 999
    if not spread or spread < 10.0**-most / 2:
        return None
    return min(_place(spread) + (two or _written(spread).startswith("1")), most)


def plain(value: float) -> str:
    """Three significant digits; whole numbers in full."""
    if value.is_integer() and abs(value) < _HUGE:
        return fixed(value, 0)
    return fixed(value, _places(value, 3))


def fixed(value: float, places: int) -> str:
    """Rounded to ``places`` after the point (before it, if negative), thousands apart, a true minus sign."""
    if places > _FINEST or abs(value) >= _HUGE:
        return f"{value:.2e}".replace("-", "−") if value else "0"
    rounded = round(value, places) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:,.{max(0, places)}f}".replace("-", "−")


def _places(value: float, significant: int) -> int:
    return _place(value) + significant - 1


def _place(value: float) -> int:
    """The decimal place of the first digit: 0.4 -> 1, 5 -> 0, 40 -> -1."""
    return -int(_written(value).partition("e")[2])


def _written(value: float) -> str:
    """In powers of ten, which has an answer where logarithms and powers have none; .09999999999 is .1."""
    return f"{abs(value):.9e}"


def duration(seconds: float | None) -> str:
    """``35 s``, ``3.0 min``, ``4.2 h``; "" where nobody knows."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
