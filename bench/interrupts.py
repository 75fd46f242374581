"""Ctrl-C, answered in one line however often it comes.

Until the answer stands ready Python gives its own, a traceback: this module and ``bench`` import next to nothing.
"""

from __future__ import annotations

import os
import signal
import sys

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
    return MESSAGE + KEPT if " ".join(sys.argv[1:2]).lower() == "run" else MESSAGE


def answer_interrupt() -> int:
    """What is said at the end of a command that was interrupted; returns its exit status."""
    import threading  # by now it is there

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # said once is enough
    print(_message(), file=sys.stderr)
    return INTERRUPTED
