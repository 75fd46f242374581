"""What is wrong with data: counted and named, always; then dropped, refused or kept, as ``clean`` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel

from bench.datasets._stages import Clean
from bench.errors import DataError, named
from bench.protocols import SplitName
from bench.reading.folders import EXAMPLES

NAMED = 12  # examples of a finding that are kept by name, and as pictures
UNDECODABLE, WRONG_MODE = "cannot be decoded", "are of a mode that eight bits of grey or RGB cannot hold"
SILENT, CLIPPED = "are silent", "are clipped"
TWICE, NEARLY = "stand there twice", "stand there nearly twice"
LEAK, NEAR_LEAK = "are in two splits", "are nearly in two splits"
GROUPS = "are of a group that is in two splits"
LABELS = "are the same as another one whose label differs"


class Finding(BaseModel, frozen=True):
    """What is wrong with how many, with the first of them by name.

    what: as a sentence goes on after "3 of 200 pictures".   of: how many were looked at.
    examples: a name, and what is wrong with it or the one that it is the same as.   dropped: what became of them.
    leaks: whether what is held out can be learned from.
    """

    what: str
    count: int
    of: int
    examples: tuple[tuple[str, str], ...]
    dropped: bool
    leaks: bool = False

    @property
    def pairs(self) -> bool:
        """Whether each is the same as another one, which is named beside it."""
        return self.what in (TWICE, NEARLY, LEAK, NEAR_LEAK, GROUPS)

    @property
    def told(self) -> str:
        """All of it in a line, and what became of them."""
        return f"{self}: {'dropped' if self.dropped else 'kept'}"

    def __str__(self) -> str:
        some = [named(f"{name} ({other})" if other else name) for name, other in self.examples[:EXAMPLES]]
        more = [*some, *(["..."] if self.count > len(some) else [])]
        return f"{self.count:,} of {self.of:,} {self.what}: {', '.join(more)}"


class Preparation(BaseModel, frozen=True):
    """What a source held and what became of it; of a dataset that went through the stages its ``prepared``.

    held: examples in the source.   splits: how many are left in each.   classes: their names, if there are labels.
    sizes: how many came in each size, ``64x48``, the most frequent first.   steps: what was done to how many.
    """

    fingerprint: str
    held: int
    splits: dict[SplitName, int]
    classes: tuple[str, ...] | None
    sizes: dict[str, int]
    steps: dict[str, int]
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]


class Twin(NamedTuple):
    """A row that is the same as another one, which stays."""

    row: int
    stays: int
    what: str


def findings_of(
    bad: Mapping[str, Sequence[tuple[str, str]]],
    same: Sequence[Twin],
    names: Sequence[str],
    of: int,
    clean: Clean,
    labels: Sequence[str | None] = (),
) -> tuple[Finding, ...]:
    """All that is wrong. bad: what cannot be used, by name, with the reason.   names, labels: of the rows of twins."""
    those = {what: list(named_so) for what, named_so in bad.items() if named_so}
    for twin in same:
        those.setdefault(twin.what, []).append((names[twin.row], names[twin.stays]))
    if labels and (others := [twin[:2] for twin in same if _disagree(twin, labels)]):
        those[LABELS] = [(f"{names[a]}: {labels[a]}", f"{names[b]}: {labels[b]}") for a, b in others]
    return tuple(
        Finding(
            what=what,
            count=len(each),
            of=of,
            examples=tuple(each[:NAMED]),
            dropped=clean == "drop",
            leaks=what in (LEAK, NEAR_LEAK, GROUPS),
        )
        for what, each in those.items()
    )


def _disagree(twin: Twin, labels: Sequence[str | None]) -> bool:
    """Whether both have a label, and not the same; of a group, all may have others."""
    one, other = labels[twin.row], labels[twin.stays]
    return twin.what != GROUPS and None not in (one, other) and one != other


def shown(same: Sequence[Twin]) -> list[int]:
    """Rows of which pictures are kept: of each finding the first, each beside the one that stays."""
    kinds: dict[str, list[Twin]] = {}
    for twin in same:
        kinds.setdefault(twin.what, []).append(twin)
    return [row for those in kinds.values() for twin in those[:NAMED] for row in twin[:2]]


def decide(what: str, findings: Sequence[Finding], clean: Clean) -> None:
    """Raises DataError with all that was found where it is to be refused."""
    if findings and clean == "refuse":
        told = "; ".join(map(str, findings))
        raise DataError(f'{named(what)}: {told}. Mend or remove them, or say clean = "drop"')
