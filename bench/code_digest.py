"""The identity of code: a hash of a module and of all that its import statements reach in its own folder.

Hashed are syntax trees: comments, docstrings, and what stands under ``if __name__ == "__main__"`` decide no number.
Of an installed package its own top-level package counts, of anything else whatever lies beside it; never this kernel.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KERNEL = __name__.partition(".")[0]
_ARGUMENTS = frozenset({"argv", "parse_args", "parse_known_args"})


def source_digest(origin: str) -> str:
    """SHA-256 of a module, by its name, or of a script, by its path, and of all it rests on.

    A script that reads its arguments while it is loaded rests on them too.
    """
    start = script(Path(origin)) if origin.endswith(".py") else _imported(origin)
    if start is None:
        return hashlib.sha256(origin.encode()).hexdigest()
    found = reached(start)
    total = hashlib.sha256()
    for name in sorted(found):
        total.update(f"{name} {_read(found[name].path).digest}\n".encode())
    if origin.endswith(".py") and _read(start.path).reads_arguments:
        total.update(repr(sys.argv[1:]).encode())
    return total.hexdigest()


@dataclass(frozen=True)
class Source:
    """A module's file, its dotted name, and the folders in which it finds others."""

    name: str
    path: Path
    roots: tuple[Path, ...]

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def finds(self, name: str) -> Source | None:
        """The module of this name, if it is one of those that count."""
        top, installed = name.partition(".")[0], any(map(_is_installed, self.roots))
        if top == KERNEL != self.name.partition(".")[0] or (installed and top != self.name.partition(".")[0]):
            return None
        for root in self.roots:
            base = root.joinpath(*name.split("."))
            for path in (base.with_suffix(".py"), base / "__init__.py"):
                if path.is_file():
                    return Source(name, path, self.roots)
        return None


def reached(start: Source) -> dict[str, Source]:
    """The module and those it imports, directly or not, by their names."""
    found, left = {start.name: start}, [start]
    while left:
        source = left.pop()
        for base, names in _read(source.path).imports(source.package):
            modules = [source.finds(f"{base}.{name}" if base else name) for name in names]
            # Of a package, its own file counts where something is taken from it that is no module.
            if base and None in (modules or [None]):
                modules.append(source.finds(base))
            for module in filter(None, modules):
                if module.name not in found:
                    found[module.name] = module
                    left.append(module)
    return found


def script(path: Path) -> Source:
    """A script: it finds what lies beside it, and beside the package that it is part of."""
    top = path.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    name = ".".join(path.relative_to(top).with_suffix("").parts)
    return Source(name, path, (path.parent,) if top == path.parent else (path.parent, top))


def _imported(name: str) -> Source | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file or not Path(file).is_file():
        return None
    root = root_of(name, Path(file))
    return Source(name, Path(file), (root,)) if root else script(Path(file))


def root_of(name: str, path: Path) -> Path | None:
    """The folder in which a module of this name and file is found; None where the two do not belong together."""
    parts = name.split(".")
    tail = Path(*parts, "__init__.py") if path.name == "__init__.py" else Path(*parts).with_suffix(".py")
    count = len(tail.parts)
    return path.parents[count - 1] if path.parts[-count:] == tail.parts else None


@functools.cache
def _is_installed(root: Path) -> bool:
    """Whether packages were installed there: what lies side by side in it has nothing to do with one another."""
    return root.name in ("site-packages", "dist-packages") or any(root.glob("*.dist-info"))


@dataclass(frozen=True)
class _File:
    """What is taken from a file: the hash of its code, what it imports, and whether loading it reads arguments."""

    digest: str
    wanted: tuple[tuple[int, str, tuple[str, ...]], ...] = ()  # dots in front, module, names taken from it
    reads_arguments: bool = False

    def imports(self, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(module, names taken from it), as its import statements say; relative ones made absolute."""
        for level, module, names in self.wanted:
            above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            yield ".".join(filter(None, (*above, module))), names


def _read(path: Path) -> _File:
    """Parsed once, and again where the file was changed since: a notebook lives longer than a version of a module."""
    found = path.stat()
    return _parsed(path, found.st_mtime_ns, found.st_size)


@functools.cache
def _parsed(path: Path, time: int, size: int) -> _File:
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
        strip(tree)
        words: list[str] = []
        _spell(tree, words)
        digest = hashlib.sha256(" ".join(words).encode("utf-8", "surrogatepass")).hexdigest()
        return _File(digest, tuple(_wanted(tree)), _reads_arguments(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # no Python of this version, or too deep
        return _File(hashlib.sha256(content).hexdigest())


def strip(tree: ast.Module) -> None:
    """Take out docstrings, and what only runs when the file is the program."""
    tree.body = [node for node in tree.body if not is_guard(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = getattr(node.body[0], "value", None)
            if isinstance(node.body[0], ast.Expr) and isinstance(getattr(first, "value", None), str):
                del node.body[0]


def is_guard(node: ast.stmt) -> bool:
    """Whether this is ``if __name__ == "__main__":``, with nothing for the other case."""
    if not isinstance(node, ast.If) or node.orelse or not isinstance(node.test, ast.Compare):
        return False
    sides = [node.test.left, *node.test.comparators]
    names = {side.id for side in sides if isinstance(side, ast.Name)}
    values = {side.value for side in sides if isinstance(side, ast.Constant)}
    return isinstance(node.test.ops[0], ast.Eq) and names == {"__name__"} and values == {"__main__"}


def _spell(node: object, words: list[str]) -> None:
    """The tree in words that are the same in every version of Python: fields that are empty are left out."""
    if isinstance(node, ast.AST):
        words.append(f"({type(node).__name__}")
        for name, value in ast.iter_fields(node):
            if value is not None and value != [] and name not in ("ctx", "kind", "type_comment"):
                words.append(name)
                _spell(value, words)
        words.append(")")
    elif isinstance(node, list):
        words.append("[")
        for item in node:
            _spell(item, words)
        words.append("]")
    else:
        words.append(f"{type(node).__name__} {node!r}")


def _wanted(tree: ast.Module) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:  # `import a.b` makes a known too, and what is in it
                parts = alias.name.split(".")
                first = len(parts) if alias.asname else 1
                yield from ((0, ".".join(parts[:count]), ()) for count in range(first, len(parts) + 1))
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield 0, node.args[0].value, ()


def _reads_arguments(tree: ast.Module) -> bool:
    """Whether loading the module looks at ``sys.argv``, itself or through a function of its own."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    telling = set(_ARGUMENTS)
    for _ in functions:
        telling |= {function.name for function in functions if _names(function) & telling}
    return any(_names(node) & telling for node in tree.body if node not in functions)


def _names(node: ast.AST) -> set[str]:
    every = list(ast.walk(node))
    return {n.id for n in every if isinstance(n, ast.Name)} | {n.attr for n in every if isinstance(n, ast.Attribute)}
