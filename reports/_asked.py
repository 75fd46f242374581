"""What a model was asked for by label, beside what came. Read from the run folder: other people's data, checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from bench import DataError, RunRecord, preview_of
from reports._escaping import visible
from reports._samples import open_sample
from reports.previews import Shown
from reports.previews._parts import parts

MOST = 64  # samples that a page shows
HEAVIEST = 2**21  # bytes of all their sounds and moving pictures; what is beyond is shown in stillness


class Answer(NamedTuple):
    """What one label is called, whether no training example has it, and what came of it."""

    name: str
    unseen: bool
    shown: Shown


@dataclass(frozen=True)
class Asked:
    """Of one seed, label by label; or why it cannot be shown."""

    seed: int
    answers: tuple[Answer, ...] = ()
    problem: str = ""

    @property
    def unseen(self) -> bool:
        """Whether any of it was held out from training."""
        return any(answer.unseen for answer in self.answers)


def asked(records: Iterable[RunRecord], modality: str, run_folder: Path) -> Asked | None:
    """Of the first of these that was asked for anything; None where none was, or nobody says how to show it."""
    record, show = next((record for record in records if record.asked), None), preview_of(modality)
    if record is None or record.asked is None or show is None:
        return None
    found, told = Asked(record.plan.seed), list(zip(record.asked.labels, record.asked.names, strict=True))[:MOST]
    groups = [(*label, len(list(same))) for label, same in itertools.groupby(told)]
    try:
        with open_sample(run_folder, record.asked.file) as file:
            each = [show(part) for part in parts(file, [many for *_, many in groups])]
    except DataError as error:
        return replace(found, problem=f"{visible(record.asked.file, 80)} {error}")
    names = ((name, label in record.asked.unseen) for label, name, _ in groups)
    answers = tuple(Answer(*name, shown) for name, shown in zip(names, _light(each), strict=True))
    return replace(found, answers=answers)


def _light(each: Iterable[Shown]) -> Iterator[Shown]:
    """With a sound each, and moving pictures, as long as a page carries them."""
    left = HEAVIEST
    for whole in each:
        shown = replace(whole, sounds=whole.sounds[:1], midi=whole.midi[:1])
        left -= sum(map(len, (*shown.sounds, *shown.midi, shown.moving or b"")))
        yield shown if left >= 0 else replace(shown, sounds=(), midi=(), moving=None)
