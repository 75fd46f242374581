"""Garbage is looked for seldom while a process begins, as usual while a worker works, and not at all as it ends."""

from __future__ import annotations

import subprocess
import sys

BEGINNING = """
import atexit, gc
from bench.collector import collect_as_usual, collect_seldom

class Tied:
    def __init__(self): self.own = self
    def __del__(self): print("collected")

usual = gc.get_threshold()
collect_seldom()
atexit.register(print, "what others do at the end")
print(gc.get_threshold()[0] > 100 * usual[0])
collect_as_usual()
print(gc.get_threshold() == usual)
Tied()
gc.collect()
Tied()
"""
CHOSEN = """
import gc
from bench.collector import collect_as_usual

gc.set_threshold(123, 4, 5)
collect_as_usual()
print(gc.get_threshold())
"""


def _printed(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()


def test_seldom_while_it_begins_and_not_as_it_ends() -> None:
    assert _printed(BEGINNING) == ["True", "True", "collected", "what others do at the end"]


def test_what_a_program_has_chosen_itself_stays() -> None:
    assert _printed(CHOSEN) == ["(123, 4, 5)"]
