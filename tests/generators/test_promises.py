"""What every generator owes, families and yardsticks alike: a new one is tested on the day it is registered."""

from __future__ import annotations

from bench.registry import GeneratorEntry, registry
from bench.testing import GeneratorPromises


class TestEveryGenerator(GeneratorPromises):
    family = tuple(registry.all("generators"))

    def test_ours_can_be_had_small_and_as_published(self, entry: GeneratorEntry) -> None:
        assert not entry.paper or {"tiny", "paper"} <= set(entry.presets)
