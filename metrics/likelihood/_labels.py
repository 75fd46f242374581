"""What a likelihood is given besides the data."""

from __future__ import annotations

from bench import Trial


def given(trial: Trial) -> dict[str, str]:
    """The entry of a protocol by which log p(x | label) of a family that heeds labels is told from log p(x)."""
    conditional = getattr(trial.model, "conditional", False) and trial.spec.classes
    return {"given": "labels"} if conditional else {}
