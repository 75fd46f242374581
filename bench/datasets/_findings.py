"""What is wrong with data: counted and named, always; then dropped, refused or kept, as ``clean`` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel

from bench.datasets._stages import Clean
from bench.errors import DataError, named
from bench.protocols import SplitName
from bench.reading.folders import EXAMPLES

NAMED, PICTURED = 1000, 12  # examples of a finding that are kept by name, and as pictures
UNDECODABLE, WRONG_MODE = "cannot be decoded", "are of a mode that eight bits of grey or RGB cannot hold"
SILENT, CLIPPED, OTHER_RATE = "are silent", "are clipped", "are of another rate than the first"
TWICE, NEARLY = "stand there twice", "stand there nearly twice"
LEAK, NEAR_LEAK = "are in two splits", "are nearly in two splits"
GROUPS = "are of a group that is in two splits"
LABELS = "are the same as another one whose label differs"
UNLIKE = "are held out under another label than the same one in training"
CONVERTED = "are of mode {}"
_OF_ONE = {"are": "is", "stand": "stands", "have": "has", "hold": "holds"}
_RULES = {
    TWICE: "the first stays",
    NEARLY: "the largest stays, then one saved without loss, then the first",
    LEAK: "what is held out stays",
    NEAR_LEAK: "what is held out stays",
    GROUPS: "what is held out stays",
    OTHER_RATE: "rate brings all to one",
    LABELS: "none of them stays, for whose label is right cannot be told",
}
_MODES = {
    "1": "1 (black and white)",
    "P": "P (a palette)",
    "LA": "LA (an alpha channel, opaque)",
    "RGBA": "RGBA (an alpha channel, opaque)",
    "CMYK": "CMYK (a colour profile is not applied)",
}


class Finding(BaseModel, frozen=True):
    """What is wrong with how many, with the first of them by name.

    what: as a sentence goes on after "3 of 200 pictures".   of: how many were looked at.
    examples: a name, and what is wrong with it or the one that it is the same as.   dropped: what became of them;
    done: what was done instead to those that no other finding drops.
    leaks: whether what is held out can be learned from.
    """

    what: str
    count: int
    of: int
    examples: tuple[tuple[str, str], ...]
    dropped: bool
    leaks: bool = False
    done: str = ""

    @property
    def pairs(self) -> bool:
        """Whether each is the same as another one, which is named beside it."""
        return self.what in (TWICE, NEARLY, LEAK, NEAR_LEAK, GROUPS, LABELS)

    @property
    def rule(self) -> str:
        """By which it was decided what stays; "" where nothing had to be, or all do."""
        return _RULES.get(self.what, "") if self.dropped else ""

    @property
    def became(self) -> str:
        """What became of them."""
        return "dropped" if self.dropped else self.done or "kept"

    @property
    def told(self) -> str:
        """All of it in a line, and what became of them."""
        return self.line()

    def line(self, page: bool = False) -> str:
        """As ``told``. page: whether a page beside it names more of them, which it then says."""
        return f"{self._counted(page)}: {self.became}{f' ({self.rule})' if self.rule else ''}"

    def __str__(self) -> str:
        return self._counted()

    def _counted(self, page: bool = False) -> str:
        some = [named(f"{name} ({other})" if other else name) for name, other in self.examples[:EXAMPLES]]
        if rest := self.count - len(some):
            listed = len(self.examples) - len(some)
            where = "" if not page else " on the page" if listed == rest else f", {listed:,} of them on the page"
            some = [*some[:-1], f"{some[-1]} and {rest:,} more{where}"]
        verb, space, words = self.what.partition(" ")
        what = f"{_OF_ONE.get(verb, verb)}{space}{words}" if self.count == 1 else self.what
        return f"{self.count:,} of {self.of:,} {what}: {', '.join(some)}"


class Preparation(BaseModel, frozen=True):
    """What a source held and what became of it; of a dataset that went through the stages its ``prepared``.

    held: examples in the source.   splits: how many are left in each.   classes: their names, if there are labels.
    sizes: how many came in each size, ``64x48``, the most frequent first.   steps: what was done to how many.
    rate: samples of a sound or frames of a film a second.
    """

    fingerprint: str
    held: int
    splits: dict[SplitName, int]
    classes: tuple[str, ...] | None
    sizes: dict[str, int]
    steps: dict[str, int]
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    rate: float | None = None

    @property
    def left_out(self) -> dict[str, int]:
        """How many were dropped, by the reason; each for one alone."""
        return {finding.what: finding.count for finding in self.findings if finding.dropped}


class Twin(NamedTuple):
    """A row that is the same as another one, which stays, or, where their labels differ, goes with it."""

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
    compared: int | None = None,
) -> tuple[Finding, ...]:
    """All that is wrong. bad: what cannot be used, by name, with the reason.   names, labels: of the rows of twins.

    of: how many were looked at.   compared: how many twins were looked for among, where these are not the same.

    What is left out is counted once; of what stays is told, besides, which of the held out has another label.
    """
    those = {what: list(named_so) for what, named_so in bad.items() if named_so}
    labelled = [f"{name}: {label}" for name, label in zip(names, labels, strict=False)]
    for twin in same:
        called = labelled if twin.what == LABELS else names
        those.setdefault(twin.what, []).append((called[twin.row], called[twin.stays]))
    if labels and (others := [twin for twin in same if _disagree(twin, labels)]):
        those[UNLIKE] = [(labelled[twin.stays], labelled[twin.row]) for twin in others]
    return tuple(
        Finding(
            what=what,
            count=len(each),
            of=of if compared is None or what in bad else compared,
            examples=tuple(each[:NAMED]),
            dropped=clean == "drop" and what != UNLIKE,
            leaks=what in (LEAK, NEAR_LEAK, GROUPS),
        )
        for what, each in those.items()
    )


def _disagree(twin: Twin, labels: Sequence[str | None]) -> bool:
    """Whether one is held out, and both have a label, and not the same."""
    one, other = labels[twin.row], labels[twin.stays]
    return twin.what in (LEAK, NEAR_LEAK) and None not in (one, other) and one != other


def converted(modes: Mapping[str, Sequence[int]], names: Sequence[str], of: int, channels: int) -> Iterator[Finding]:
    """Of each mode that neither grey nor RGB is, which pictures came in it; nothing of that is dropped or refused.

    modes: rows by the mode that they were saved in.
    """
    for mode, rows in modes.items():
        if mode not in ("", "L", "RGB"):
            what, done = CONVERTED.format(_MODES.get(mode, mode)), f"converted to {'grey' if channels == 1 else 'RGB'}"
            some = tuple((names[row], "") for row in rows[:NAMED])
            yield Finding(what=what, count=len(rows), of=of, examples=some, dropped=False, done=done)


def shown(same: Sequence[Twin]) -> list[int]:
    """Rows of which pictures are kept: of each finding the first, each beside the one that stays."""
    kinds: dict[str, list[Twin]] = {}
    for twin in same:
        kinds.setdefault(twin.what, []).append(twin)
    return [row for those in kinds.values() for twin in those[:PICTURED] for row in twin[:2]]


def decide(what: str, findings: Sequence[Finding], clean: Clean) -> None:
    """Raises DataError with all that was found where it is to be refused."""
    if findings and clean == "refuse":
        told = "; ".join(map(str, findings))
        raise DataError(f'{named(what)}: {told}. Mend or remove them, or say clean = "drop"')
