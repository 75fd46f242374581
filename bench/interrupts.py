"""Ctrl-C, answered in one line however often it comes; imports nothing that takes time."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

INTERRUPTED = 130
MESSAGE = "genbench: interrupted"
KEPT = "; what is finished is kept, the same command goes on from there"


def end_on_interrupt() -> None:
    """From now on Ctrl-C ends this process at once, without unwinding: an exception inside an import would surface as
    something else. Files are written whole or not at all, and workers end with this process.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as it is for jobs in the background
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    os.write(2, f"{show_cursor}{_message()}\n".encode())
    os._exit(INTERRUPTED)


def _message() -> str:
    """Of all commands ``run`` alone leaves something to go on from."""
    return MESSAGE + KEPT if sys.argv[1:2] == ["run"] else MESSAGE


def answer_interrupt() -> int:
    """What is said at the end of a command that was interrupted; returns its exit status."""
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # said once is enough
    print(_message(), file=sys.stderr)
    return INTERRUPTED


@contextlib.contextmanager
def noted_interrupts() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C is only noted, so that it cuts no record short however often it comes. Gives: whether it came."""
    came: list[int] = []
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual in (signal.SIG_IGN, None):
        yield lambda: False
        return
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGINT, usual)
