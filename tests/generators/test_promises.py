"""What every generator owes, families and yardsticks alike: a new one is tested on the day it is registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench import DataSpec
from bench.registry import GeneratorEntry, registry
from bench.testing import GeneratorPromises

SLOW = ("made", "pixelcnn")  # which make an image value by value


class TestEveryGenerator(GeneratorPromises):
    family = tuple(name for name in registry.all("generators") if name not in SLOW)

    def test_ours_can_be_had_small_and_as_published(self, entry: GeneratorEntry) -> None:
        assert not entry.paper or {"tiny", "paper"} <= set(entry.presets)


class TestValueByValue(TestEveryGenerator):
    family = SLOW
    specs: ClassVar[Mapping[str, DataSpec]] = {
        "image": DataSpec("image", (1, 7, 6), "continuous", classes=3),
        "colour image": DataSpec("image", (3, 6, 7), "continuous", classes=3),
        "binary image": DataSpec("image", (1, 7, 6), "binary", classes=3),
    }
