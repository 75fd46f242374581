"""What every generator owes, families and yardsticks alike: a new one is tested on the day it is registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench import DataSpec
from tests.generators.every import FAMILIES, SLOW, EveryGenerator


class TestEveryOther(EveryGenerator):
    family = tuple(FAMILIES[::2])


class TestValueByValue(EveryGenerator):
    family = SLOW
    specs: ClassVar[Mapping[str, DataSpec]] = {
        "image": DataSpec("image", (1, 7, 6), "continuous", classes=3),
        "colour image": DataSpec("image", (3, 6, 7), "continuous", classes=3),
        "binary image": DataSpec("image", (1, 7, 6), "binary", classes=3),
    }
