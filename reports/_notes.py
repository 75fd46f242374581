"""What is said of several generators or metrics, said once: one sentence, and for whom it holds."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from bench import RunRecord
from bench.results.board import Board

# Numbers that stand by themselves: those within a name or a hash are a part of it.
_NUMBER = r"(?<![\w.])[0-9][0-9,]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?(?!\w|\.[0-9])"
_LIST = r"(?<=: )[\w-]+(?:, [\w-]+)*$"  # of names, at the end
ALL = "all"


class Gap(NamedTuple):
    """Numbers that are not there for one reason: ``vae, dcgan: fd_lenet``, and why."""

    where: list[str]
    why: str


def gaps(board: Board) -> list[Gap]:
    """Cells that are empty, or rest on fewer seeds than their row; each reason once."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in board.rows:
        for column in board.columns:
            if why := row.cells[column.key].why:
                found[why][row.name].append(column.label)
    return [Gap(_alike(columns), why) for why, columns in found.items()]


def _alike(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Rows that lack the same columns, together."""
    rows: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, its in columns.items():
        rows[tuple(its)].append(name)
    return [f"{', '.join(names)}: {', '.join(its)}" for its, names in rows.items()]


def told(records: Iterable[RunRecord]) -> list[str]:
    """Remarks of trials, ``vae, dcgan on digits; vae on mnist: ...``; first those of all, as what is said of data is.

    Those that differ in numbers or in the names of metrics alone are one, with the range or the names.
    """
    records = list(records)
    ran: dict[str, dict[str, bool]] = defaultdict(dict)
    for record in records:
        if record.status == "ok":
            ran[record.plan.dataset][record.plan.generator] = record.plan.control
    names = {m.metric for r in records for m in r.measurements} | {name for r in records for name in r.omitted}
    varying = _varying(names)
    found: dict[Hashable, dict[str, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for remark in record.remarks:
            kinds = tuple(bool(re.fullmatch(_NUMBER, part[0])) for part in varying.finditer(remark))
            found[(*varying.split(remark), kinds)][remark].append(record)
    notes = [
        (_whose((record for its in alike.values() for record in its), ran), _merged(list(alike), varying))
        for alike in found.values()
    ]
    notes.sort(key=lambda note: not all(who == ALL for who in note[0].values()))
    return [f"{'; '.join(f'{who} on {data}' for data, who in whose.items())}: {said}" for whose, said in notes]


def in_short(names: Collection[str], ran: Mapping[str, bool]) -> str:
    """The names; for several that are all, just that. ran: those with a result, and whether each is a yardstick."""
    its, generators = ran.keys() & set(names), {name for name, control in ran.items() if not control}
    if len(its) > 1 and its in (ran.keys(), generators):
        return ALL if its == ran.keys() else "all generators"
    return ", ".join(names)


def _varying(names: Collection[str]) -> re.Pattern[str]:
    """Of what in a sentence another sentence may have another and still say the same."""
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile("|".join([_LIST, *([rf"(?<![\w.:-])(?:{known})(?![\w:-])"] if known else []), _NUMBER]))


def _merged(alike: Sequence[str], varying: re.Pattern[str]) -> str:
    """One sentence of several that differ in their varying parts."""
    parts = iter(zip(*([part[0] for part in varying.finditer(text)] for text in alike), strict=True))
    return varying.sub(lambda _: _joined(next(parts)), alike[0])


def _joined(parts: Sequence[str]) -> str:
    if all(re.fullmatch(_NUMBER, part) for part in parts):
        ordered = sorted(parts, key=lambda part: float(part.replace(",", "")))
        return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"
    return ", ".join(dict.fromkeys(name for part in parts for name in part.split(", ")))


def _whose(records: Iterable[RunRecord], ran: Mapping[str, Mapping[str, bool]]) -> dict[str, str]:
    """The generators of each dataset, in short."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        found[record.plan.dataset][record.plan.generator] = None
    return {dataset: in_short(names, ran.get(dataset, {})) for dataset, names in found.items()}
