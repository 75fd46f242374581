"""The process of one trial, ``python -m bench.engine OUT``: see ``bench.engine.worker``."""

from __future__ import annotations

import gc

from bench.collector import collect_seldom


def main() -> None:
    """Load what a trial needs, and run it."""
    collect_seldom()
    # Under its import name, so that classes are the same ones plugins and checkpoints see.
    from bench.engine.worker import main as work

    gc.freeze()  # what is loaded stays
    work()


if __name__ == "__main__":
    main()
