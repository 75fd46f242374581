"""The sweep over every generator, in two files: pytest's processes share out files, and a long one would end last."""

from __future__ import annotations

from bench.registry import GeneratorEntry, registry
from bench.testing import GeneratorPromises

SLOW = ("image_gpt", "made", "pixelcnn")  # which make an image value by value
FAMILIES = [name for name in registry.all("generators") if name not in SLOW]


class EveryGenerator(GeneratorPromises):
    def test_ours_can_be_had_small_and_as_published(self, entry: GeneratorEntry) -> None:
        assert entry.control or not entry.paper or {"tiny", "paper"} <= set(entry.presets)
