"""What all promises share: of which registered things they are asked, and which are known to be broken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pytest

from bench.registry import Entry, registry


class Promises:
    """Tests of registered things. A subclass says which; pytest calls every test once for each of its ``cases``.

    exceptions: promises that are not kept, by the name of their test, and why. Such a test must fail: one that passes
        is no exception any more.
    """

    kind: ClassVar[str]
    exceptions: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def cases(cls) -> Iterable[Mapping[str, str]]:
        """What the promises are asked of: ``name``, that of a registered thing, and what else a test may take."""
        raise NotImplementedError

    @pytest.fixture
    def entry(self, name: str) -> Any:
        """The registered thing. Raises UnknownName with the nearest right name."""
        return registry.get(self.kind, name)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        where, promise = type(self).__name__, metafunc.function.__name__
        if unknown := sorted(name for name in self.exceptions if not hasattr(self, name)):
            raise pytest.UsageError(f"{where}.exceptions: there is no promise {', '.join(unknown)}")
        if not (cases := list(self.cases())):
            raise pytest.UsageError(f"{where} names nothing that promises could be asked of")
        why = self.exceptions.get(promise)
        marks = [] if why is None else [pytest.mark.xfail(reason=why, strict=True)]
        if taken := [argument for argument in cases[0] if argument in metafunc.fixturenames]:
            rows = dict.fromkeys(tuple(case[argument] for argument in taken) for case in cases)
            metafunc.parametrize(taken, [pytest.param(*row, id="-".join(row), marks=marks) for row in rows])

    def test_it_says_what_it_is(self, entry: Entry) -> None:
        """In the first line of its docstring, which `genbench list` shows."""
        assert entry.about, f"{entry.name} has no docstring: `genbench list` has nothing to say of it"


def listed(names: str | Iterable[str]) -> list[str]:
    """One name or several."""
    return [names] if isinstance(names, str) else list(names)
