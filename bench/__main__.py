"""``python -m bench`` is ``genbench``."""

from bench.cli import main

main()
