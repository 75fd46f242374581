"""Names for things that share a label and differ inside: budgets of a family, protocols of a metric."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_encode = json.JSONEncoder(sort_keys=True, default=str).encode  # made once: json.dumps makes one each time
_LONGEST = 14  # of a value in a label; hashes and paths are cut


def canonical(value: Any) -> str:
    """Equal text for equal content, whatever the order of keys."""
    return _encode(value)


def variant_labels(variants: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each variant the first differing ``key=value`` (as many as it takes to tell all apart).

    Variants are distinct. One alone needs no label and gets "".
    """
    if len(variants) < 2:
        return [""] * len(variants)
    every = dict.fromkeys(key for variant in variants for key in variant)
    keys = [key for key in every if len({canonical(v[key]) if key in v else "" for v in variants}) > 1]
    labels, apart = [""] * len(variants), 1
    for key in keys:
        pairs = zip(labels, _parts(variants, key), strict=True)
        longer = [f"{label}, {part}".removeprefix(", ") for label, part in pairs]
        if len(set(longer)) > apart:
            labels, apart = longer, len(set(longer))
        if apart == len(variants):
            return labels
    # Values that look alike once cut short are numbered, so that no two names are the same.
    return [f"{part} #{i}" for i, part in enumerate(_parts(variants, keys[0]), 1)]


def _parts(variants: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    return [f"{key}={short(variant[key])}" if key in variant else f"no {key}" for variant in variants]


def short(value: Any) -> str:
    """A value as text, cut where it grows long."""
    text = str(value).removeprefix("sha256:")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
