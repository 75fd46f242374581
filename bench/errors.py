"""What can go wrong, as one tree. Every message is one sentence to the user that says what to do.

GenbenchError
├── UnknownName      a name that nobody registered; carries the nearest right ones
├── DuplicateName    a second registration of a name
├── SuiteError       a suite, an override or a parameter that cannot be run; lists every problem
├── DataError        data that is missing, unreadable or corrupt
├── OutputError      a folder that cannot be written, or that another run is writing
├── RunStopped       a run that had to stop with trials undone; what is measured is kept
├── DeviceError      a device that is not here
├── TrialError       a generator that broke its promise (loss not finite, samples out of range)
├── Unsupported      a family that cannot make this data: its trial is skipped, with the reason
└── Omitted          a metric that cannot be computed here: null, with the reason
    └── TooFew       too few examples for a metric; names the number it needs
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class GenbenchError(Exception):
    """Base of all errors meant for the user; the command line prints the message without a traceback."""


class DuplicateName(GenbenchError):
    """Raised when a name is registered a second time."""


class DataError(GenbenchError):
    """Raised when data or weights are missing, unreadable or corrupt."""


class DataWarning(UserWarning):
    """Warned where data is read otherwise than it was given: what is skipped, turned, resized or left unused."""


class OutputError(GenbenchError):
    """Raised when a run folder cannot be written, or is being written by another run."""


class RunStopped(GenbenchError):
    """Raised when a run cannot go on, such as on a full disk; finished trials are kept."""


class DeviceError(GenbenchError):
    """Raised when a suite asks for a device that is not here."""


class TrialError(GenbenchError):
    """Raised when a generator breaks its promise: loss not finite, wrong shape, values out of range."""


class Unsupported(GenbenchError):
    """Raise it from a family's constructor when it cannot make this data: the trial is skipped."""


class Omitted(GenbenchError):
    """Raise it from a metric that cannot be computed here: the record keeps the reason instead of a number."""


class TooFew(Omitted):
    """Raised when a metric is given too few examples. The message names the number that it needs."""


class UnknownName(GenbenchError):
    """Raised when a name is not registered."""

    def __init__(self, kind: str, name: str, known: Iterable[str], note: str = "") -> None:
        super().__init__(f"unknown {kind} {name!r}{hint(name, known)}{note}")


class SuiteError(GenbenchError):
    """Raised when a suite cannot be run. ``problems`` holds every reason, not only the first."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def hint(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'vae'?`` when a known name is near, else the list of what there is."""
    names = sorted(known)
    if near := get_close_matches(name, names, n=1, cutoff=0.6):
        return f"; did you mean {near[0]!r}?"
    return f"; there is {', '.join(names)}" if names else "; there is none"
