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

import contextlib
import platform
import traceback
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from bench.escapes import escape

LONGEST_MESSAGE = 4000  # characters of an error as the user sees it
MOST_PROBLEMS = 20  # lines of one error
MOST_NAMED = 40  # names in place of the one that is unknown
LONGEST_SHOWN = 200  # of a name or a value within it
EMPTY_PATH = "an empty path: is a variable not set?"


def printable(text: str, most: int = LONGEST_MESSAGE) -> str:
    """A text that a terminal shows as it is: what cannot be printed becomes its escape, too long loses its middle."""
    text = "".join(c if c.isprintable() or c == "\n" else escape(c) for c in _cut(text, most))
    return _cut(text, most)  # escapes are longer than what they stand for


def named(what: object) -> str:
    """A name that somebody brought, fit for one line."""
    return printable(str(what).replace("\n", "\\n"), LONGEST_SHOWN)


def shown(value: object) -> str:
    """A value that somebody wrote, fit for one line."""
    try:
        return named(repr(value))
    except (ValueError, RecursionError):  # Python writes no integer of thousands of digits, and no table without end
        return f"a {type(value).__name__} too large to show"


def _cut(text: str, most: int) -> str:
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


class GenbenchError(Exception):
    """Base of all errors meant for the user; the command line prints the message without a traceback."""

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))


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

    def __init__(self, kind: str, name: str, known: Iterable[str], note: str = "", akin: Sequence[str] = ()) -> None:
        super().__init__(f"unknown {kind} {shown(name)}{hint(name, known, akin)}{note}")


class SuiteError(GenbenchError):
    """Raised when a suite cannot be run. ``problems`` holds every reason, not only the first."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(printable(problem, LONGEST_MESSAGE // 4) for problem in problems)
        told = list(self.problems[:MOST_PROBLEMS])
        while sum(map(len, told)) + len(told) > LONGEST_MESSAGE - 50:
            told.pop()
        left = len(self.problems) - len(told)
        super().__init__("\n".join([*told, f"and {left} problems more"] if left else told))


def words(error: BaseException) -> str:
    """What an exception says. An author's mistake in saying it must not hide where it was raised."""
    try:
        return str(error)
    except Exception:
        return "its message cannot be printed"


def said(error: BaseException) -> str:
    """An exception, whoever raised it: its class and the first line that it says; of one of ours the whole message."""
    text = words(error)
    if isinstance(error, GenbenchError):
        return printable(text)
    return printable(": ".join(filter(None, (type(error).__name__, text.strip().partition("\n")[0]))))


def said_where(error: BaseException) -> str:
    """An exception of somebody else's code: what it says, and the line that raised it."""
    *_, last = traceback.extract_tb(error.__traceback__) or [traceback.FrameSummary("?", 0, "?")]
    return f"{said(error)} ({named(last.filename.rpartition('/')[2])}, line {last.lineno})"


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Around a call of somebody else's code, where whatever it raises becomes a GenbenchError that names it."""
    try:
        yield
    except GenbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise GenbenchError(f"{what} failed: {said_where(error)}") from error


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """The known name that is most like this one, written as it is or in small letters; empty where none is."""
    written = name[:LONGEST_SHOWN]
    return get_close_matches(written, known, n=1) or get_close_matches(written.lower(), known, n=1)


def hint(name: str, known: Iterable[str], akin: Sequence[str] = ()) -> str:
    """``; did you mean 'vae'?`` when a known name goes on from it or is near, else those akin, else what there is."""
    names = sorted(map(str, known))
    longer = [known for known in names if known.startswith(f"{name}_")][:1]  # fd_lenet, of fd
    if near := longer or nearest(name, names) or akin:
        return f"; did you mean {' or '.join(map(shown, near))}?"
    if len(names) > MOST_NAMED:
        return f"; there are {len(names)}, which `genbench list` shows"
    return f"; there is {', '.join(names)}" if names else "; there is none"


def counted(n: int, noun: str) -> str:
    """``1 trial``, ``2,000 trials``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def expect(name: str, value: object, right: bool, wanted: str) -> None:
    """Raises GenbenchError for an argument that is not what a function takes."""
    if not right:
        raise GenbenchError(f"{name} = {shown(value)}: should be {wanted}")


def check_path(name: str, path: object) -> None:
    """Raises GenbenchError for an empty path, which would mean the current folder."""
    if isinstance(path, str) and not path.strip():
        raise GenbenchError(f"{name}: {EMPTY_PATH}")


def check_system() -> None:
    """Raises GenbenchError on Windows, which knows no process groups, no file locks and no clocks of ours."""
    if platform.system() == "Windows":
        raise GenbenchError("genbench runs on Linux and macOS; on Windows, use it in WSL")
