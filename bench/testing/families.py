"""Families picked by what they are, for tests that need some family and no particular one."""

from __future__ import annotations

from bench.errors import GenbenchError
from bench.protocols import CAPABILITIES, capabilities
from bench.registry import GeneratorEntry, registry

TEST = "test"  # the preset that is small enough for tests


def families_for(modality: str, *protocols: type) -> dict[str, GeneratorEntry]:
    """The registered families that make this modality and have these capabilities; yardsticks are none.

    protocols: such as ``bench.Likelihood``.
    """
    needed = {name for name, protocol in CAPABILITIES.items() if protocol in protocols}
    every: dict[str, GeneratorEntry] = registry.all("generators")
    return {
        name: entry
        for name, entry in every.items()
        if not entry.control and modality in entry.modalities and needed <= {*capabilities(entry.make)}
    }


def family_for(modality: str, *protocols: type) -> GeneratorEntry:
    """The first of these families with a preset for tests. Raises GenbenchError where none is registered."""
    found = families_for(modality, *protocols)
    for entry in found.values():
        if TEST in entry.presets:
            return entry
    asked = " and ".join(protocol.__name__ for protocol in protocols)
    raise GenbenchError(f"no registered family of {modality} with the preset {TEST!r}{asked and f' is {asked}'}")
