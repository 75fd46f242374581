"""What every generator owes, of those that tests/generators/test_promises.py leaves out."""

from __future__ import annotations

from tests.generators.every import FAMILIES, EveryGenerator


class TestTheRest(EveryGenerator):
    family = tuple(FAMILIES[1::2])
