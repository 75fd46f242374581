"""What a likelihood rests on besides the data."""

from __future__ import annotations

from bench import Trial

NAMED = ("measured_steps", "measured_draws", "bound_steps", "bound_draws")  # attributes of families that estimate it


def given(trial: Trial) -> dict[str, str | int]:
    """Entries of a protocol: labels, by which log p(x | label) is told from log p(x), and by how many steps or draws a
    family finds its number, where it says so.
    """
    conditional = getattr(trial.model, "conditional", False) and trial.spec.classes
    found: dict[str, str | int] = {"given": "labels"} if conditional else {}
    return found | {name: getattr(trial.model, name) for name in NAMED if hasattr(trial.model, name)}
