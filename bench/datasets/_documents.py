"""From documents to a dataset of text: cleaned, repaired, split whole, and joined to one stream a split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.datasets._clean import Looks, keys_of, straddling, twins
from bench.datasets._denoise import repair
from bench.datasets._findings import Finding, Preparation, decide, findings_of
from bench.datasets._image import SPLITS
from bench.datasets._split import LEAST, grouped, held_out, missing
from bench.datasets._stages import AnyStages, TextStages
from bench.datasets._text import TextDataset
from bench.errors import DataError, named
from bench.protocols import SplitName


class Document(NamedTuple):
    """One text of a source. name: what messages call it.   group, split: as of a picture."""

    name: str
    text: str
    group: str | None = None
    split: SplitName | None = None


def prepare_texts(
    name: str, documents: Iterable[Document], any_stages: AnyStages, remarks: Sequence[str] = ()
) -> TextDataset:
    """The dataset of documents, each in one split and followed by a line's end.

    remarks: what the source has noticed. Few documents, of which none was set apart, are one text, and its end is held
    out. Raises DataError for none, for a group that no document is of, and for what ``clean`` refuses.
    """
    stages = any_stages.of_texts(name)
    every = list(documents)
    texts = [repair(document.text) if stages.denoise else document.text for document in every]
    if not texts:
        raise DataError(f"{named(name)} holds no text")
    digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
    looks = Looks(np.array(digests, "S32"), np.empty(0, np.uint64), np.empty((0, 64), np.uint8))
    apart = [document.split for document in every if document.split]
    groups = [document.group for document in every]
    grouped(named(name), any_stages.group, groups)
    same = twins(looks, apart or None, None)
    same += straddling(groups, apart, {twin.row for twin in same})
    findings = findings_of({}, same, [document.name for document in every], len(every), stages.clean)
    decide(name, findings, stages.clean)
    gone = {twin.row for twin in same} if stages.clean == "drop" else set()
    left = np.array([row for row in range(len(texts)) if row not in gone])
    streams = _streams(
        named(name), texts, left, [document.split for document in every], keys_of(looks, groups, same), stages
    )
    data = TextDataset(named(name), streams, stages.window, stages.tokeniser, stages.vocab)
    data.prepared = _about(data, findings, len(every), sum(map(str.__ne__, texts, (d.text for d in every))), remarks)
    return data


def _streams(
    name: str,
    texts: Sequence[str],
    left: np.ndarray,
    apart: Sequence[SplitName | None],
    keys: np.ndarray,
    stages: TextStages,
) -> Mapping[SplitName, str]:
    """One text a split."""
    given = {split: left[[apart[row] == split for row in left]] for split in SPLITS if split in apart}
    pool = given.get("train", left)
    wanted = missing(name, given, stages.valid, stages.test)
    if not given and len(pool) < LEAST:
        return cut("".join(map(ended, texts)), stages.valid, stages.test)
    splits = {**given, **{s: pool[rows] for s, rows in held_out(name, keys[pool], keys[pool], wanted).items()}}
    return {split: "".join(ended(texts[row]) for row in splits[split]) for split in SPLITS}


def ended(text: str) -> str:
    """A text that ends its last line."""
    return text if text.endswith("\n") else f"{text}\n"


def cut(text: str, valid: float, test: float) -> Mapping[SplitName, str]:
    """A text whose end is held out, first a share to validate and then one to test."""
    first, second = round(len(text) * (1 - valid - test)), round(len(text) * (1 - test))
    return {"train": text[:first], "valid": text[first:second], "test": text[second:]}


def _about(
    data: TextDataset, findings: tuple[Finding, ...], held: int, repaired: int, noticed: Sequence[str]
) -> Preparation:
    remarks = [*noticed, *(finding.told for finding in findings)]
    if repaired:
        remarks.append(f"{repaired:,} of {held:,} texts are repaired")
    return Preparation(
        fingerprint=data.fingerprint,
        held=held,
        splits={split: len(data.text(split)) for split in SPLITS},
        classes=None,
        sizes={},
        steps={"repaired": repaired},
        findings=findings,
        remarks=tuple(remarks),
    )
