"""``genbench ab``: two revisions of a repository on one machine, in turn."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.check import STATUS, print_gate
from bench.errors import GenbenchError, printable
from bench.registry import command

if TYPE_CHECKING:
    from bench.results.store import Records


@command("ab")
def run(
    base: Annotated[str, typer.Argument(metavar="BASE_REF", help="A commit, branch or tag.")],
    head: Annotated[str, typer.Argument(metavar="HEAD_REF", help="The one that is judged by it.")],
    suite: Annotated[str, typer.Option(metavar="SUITE", help="A built-in name, or a file in both revisions.")],
    rounds: Annotated[int, typer.Option(min=3, metavar="N", help="Runs of each: a process, a seed.")] = 10,
    margins: Annotated[
        list[str] | None, typer.Option("--margin", metavar="METRIC=5%", help="As of `genbench check`.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="As of `genbench run`.")] = None,
    markdown: Annotated[str | None, typer.Option(metavar="FILE", help="Write a summary for people.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Print what does not block, too.")] = False,
) -> int:
    """Compare two revisions of a repository, run in turn.

    Both are built, and run in fresh processes in the order ABBA; the mean log-ratio of every number is judged as
    `genbench check` judges, and exits so.
    """
    from bench.files import write_atomic
    from bench.results.gate import Policy, check, to_markdown
    from bench.results.store import Records

    with tempfile.TemporaryDirectory(prefix="genbench-ab-") as folder, _built(base, head, Path(folder)) as sides:
        records: dict[str, Records] = {"base": Records(), "head": Records()}
        for number in range(rounds):
            for side in ("base", "head") if number % 2 == 0 else ("head", "base"):
                print(f"round {number + 1} of {rounds}: {side}", file=sys.stderr)
                records[side] += _round(sides[side], suite, Path(folder) / f"{side}-{number}", number, overrides or [])
    rules = Policy(paired=True, ratios=True, times=True).with_margins(margins or [])
    gate = check(records["base"], records["head"], rules)
    if markdown:
        write_atomic(Path(markdown), to_markdown(gate))
    print_gate(gate, every=every)
    return STATUS[gate.verdict]


@contextlib.contextmanager
def _built(base: str, head: str, folder: Path) -> Iterator[dict[str, tuple[Path, Path]]]:
    """Of either side a checkout, and the folder that its packages are imported from."""
    made: dict[str, tuple[Path, Path]] = {}
    try:
        for side, ref in (("base", base), ("head", head)):
            tree, packages = folder / f"tree-{side}", folder / f"packages-{side}"
            _call(["git", "worktree", "add", "--detach", str(tree), ref], f"{ref} cannot be checked out")
            made[side] = tree, packages
            if (tree / "pyproject.toml").exists() or (tree / "setup.py").exists():
                install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
                _call([*install, str(tree)], f"{ref} cannot be built")
            else:
                made[side] = tree, tree
        yield made
    finally:
        for tree, _ in made.values():
            _call(["git", "worktree", "remove", "--force", str(tree)], f"{tree} cannot be removed")


def _round(side: tuple[Path, Path], suite: str, out: Path, seed: int, overrides: list[str]) -> Records:
    """One run in a fresh process, whose cache is its own too, so that the second is not helped by the first."""
    from bench.results.store import read_records

    tree, packages = side
    words = [sys.executable, "-m", "bench", "run", suite, "--out", str(out), "--set", f"seeds=[{seed}]"]
    for override in overrides:
        words += ["--set", override]
    paths = os.pathsep.join(filter(None, (str(packages), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths, "GENBENCH_CACHE": str(out / "cache")}
    found = subprocess.run(words, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if found.returncode not in (0, 1):  # 1: some trials failed, which the records say
        raise GenbenchError(f"{' '.join(words[2:])} failed in {tree.name}:\n{printable(found.stderr[-2000:])}")
    return read_records(out)[0]


def _call(words: list[str], wrong: str) -> None:
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise GenbenchError(f"{wrong}: {error}") from error
    if found.returncode:
        raise GenbenchError(f"{wrong}: {printable(found.stderr.strip()[-1000:])}")
