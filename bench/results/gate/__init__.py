"""Whether a candidate is worse than a baseline: pass, fail, or what would tell.

``policy``: which numbers may block, and by how much they may be worse. ``judge``: the verdicts. ``writing``: how they
are told to people and to machines.
"""

from bench.results.gate.judge import Finding, Gate, check
from bench.results.gate.policy import Margin, Policy, read_policy
from bench.results.gate.writing import to_json, to_junit, to_markdown, to_sarif

__all__ = [
    "Finding",
    "Gate",
    "Margin",
    "Policy",
    "check",
    "read_policy",
    "to_json",
    "to_junit",
    "to_markdown",
    "to_sarif",
]
