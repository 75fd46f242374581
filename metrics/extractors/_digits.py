"""Whether the classes of data are the ten digits, which two of the extractors tell apart."""

from __future__ import annotations

import re

from bench import DataSpec

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def are_digits(spec: DataSpec) -> bool:
    """By a word or figure in each of their names, in order; of ten without names it is taken for granted."""
    names = spec.captions or DIGITS
    told = [set(re.findall(r"[a-z]+|[0-9]+", name.lower())) for name in names]
    return len(told) == spec.classes == 10 and all({word, str(i)} & told[i] for i, word in enumerate(DIGITS))
