"""How the code is cut: functions that can be read at once, few that only one other calls, no circle of imports.

Read from the syntax trees of bench, generators, metrics and reports, tests left out.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median, quantiles

import bench

ROOT = Path(bench.__file__).parents[1]
PACKAGES = ("bench", "generators", "metrics", "reports")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def trees() -> dict[str, ast.Module]:
    """Every module by its dotted name."""
    files = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    return {name.removesuffix(".__init__"): ast.parse(path.read_text()) for path, name in names.items()}


def functions() -> Iterator[Function]:
    """Functions and methods, those within others included."""
    return (node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, Function))


def names() -> Counter[str]:
    """How often each name stands in the code: where it is defined, imported, called, passed on, or an attribute."""
    found = Counter[str]()
    for node in (node for tree in trees().values() for node in ast.walk(tree)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found[name] += 1
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found[name] += 1
            case ast.alias(name=name):
                found[name.rpartition(".")[2]] += 1
    return found


def test_most_functions_fit_a_glance_and_none_is_long() -> None:
    """Lines from ``def`` to the last one, docstring and blank lines included."""
    lengths = [function.end_lineno - function.lineno + 1 for function in functions() if function.end_lineno]
    assert 6 <= median(lengths) <= 10
    assert quantiles(lengths, n=10)[-1] < 45
    assert max(lengths) <= 65


def test_few_functions_are_called_from_one_place_alone() -> None:
    """Of functions and methods without a decorator at most 18 % have a name that stands twice in all of the code.

    That is the definition and one use in the same file; a name that is imported stands once more. Decorated ones are
    called by whom they are registered with, names such as ``__len__`` by Python, and ``test_...`` by pytest.
    """
    counts = names()
    asked = [f.name for f in functions() if not f.decorator_list and not f.name.startswith(("__", "test_"))]
    once = [name for name in asked if counts[name] == 2]
    assert len(once) <= 0.18 * len(asked), f"{len(once)} of {len(asked)}: {', '.join(sorted(once))}"


def imports(module: str, tree: ast.Module) -> Iterator[str]:
    """Modules that are imported when this one is: what functions import when they are called, or types, is not."""
    waiting = list[ast.AST](tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function | ast.Lambda) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports by dots"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting.extend(ast.iter_child_nodes(node))


def test_no_modules_import_one_another_in_a_circle() -> None:
    """What is left when modules that import none of those left are taken away, again and again, is in circles."""
    known = trees()
    left = {
        module: {name if name in known else name.rpartition(".")[0] for name in imports(module, tree)} & known.keys()
        for module, tree in known.items()
    }
    while done := {module for module, needs in left.items() if not needs & left.keys() - {module}}:
        left = {module: needs for module, needs in left.items() if module not in done}
    assert not left
