"""The command ``genbench``, also ``python -m bench``: Ctrl-C is answered in one line, from the first import on.

Garbage is looked for seldom as long as a command runs: it makes little of it, and workers, which make much, look for it
as usual once they have loaded their model.
"""

from __future__ import annotations

from bench.interrupts import end_on_interrupt


def main() -> None:
    """Entry point of ``genbench``."""
    end_on_interrupt()
    from bench.collector import collect_seldom

    collect_seldom()
    from bench.cli._main import main as command  # takes long on a slow disk, and torch longer

    command()


if __name__ == "__main__":
    main()
