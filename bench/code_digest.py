"""The identity of code: a hash of a module and of all that its import statements reach in its own folder.

Hashed are syntax trees: comments, docstrings, and what stands under ``if __name__ == "__main__"`` decide no number.
Of an installed package its own top-level package counts, of anything else whatever lies beside it; never this kernel.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

KERNEL = __name__.partition(".")[0]
# Names by which arguments are read: of ``sys`` and argparse, and of the libraries in common use above them.
_ARGUMENTS = frozenset({"argv", "orig_argv", "docopt", "from_cli", "tyro", "Fire"}).union(
    f"parse_{which}"
    for which in ("args", "known_args", "intermixed_args", "known_intermixed_args", "args_into_dataclasses")
)


def source_digest(origin: str) -> str:
    """SHA-256 of a module, by its name, or of a script, by its path, and of all it rests on.

    What reads the program's arguments while it is loaded, in any of these files, rests on them too.
    """
    start = script(Path(origin)) if origin.endswith(".py") else _imported(origin)
    if start is None:
        return hashlib.sha256(origin.encode()).hexdigest()
    files = {name: _read(source.path) for name, source in reached(start).items()}
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name} {files[name].digest}\n".encode())
    if _reads_arguments(files.values()):
        total.update(repr(sys.argv[1:]).encode())
    return total.hexdigest()


def _reads_arguments(files: Iterable[_File]) -> bool:
    """Whether loading them looks at ``sys.argv``, at once or through functions of one another, known by name."""
    mentions = [mention for file in files for mention in file.mentions]
    telling = set(_ARGUMENTS)
    while more := {name for name, names in mentions if name and names & telling} - telling:
        telling |= more
    return any(names & telling for name, names in mentions if not name)


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
        for module in filter(None, (*_packages(source), *_imports(source))):
            if module.name not in found:
                found[module.name] = module
                left.append(module)
    return found


def _packages(source: Source) -> Iterator[Source]:
    """The packages around a module, which run before it, where they do more than collect and define."""
    for name in itertools.accumulate(source.package.split("."), "{}.{}".format):
        package = source.finds(name) if name not in ("", KERNEL) else None
        if package and _read(package.path).acts:
            yield package


def _imports(source: Source) -> Iterator[Source | None]:
    for level, module, names in _read(source.path).wanted:
        # Relative ones made absolute.
        above = source.package.split(".")[: len(source.package.split(".")) - level + 1] if level else []
        base = ".".join(filter(None, (*above, module)))
        modules = [source.finds(f"{base}.{name}" if base else name) for name in names]
        yield from modules
        # Of a package, its own file counts where something is taken from it that is no module.
        if base and None in (modules or [None]):
            yield source.finds(base)


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
    """What is taken from a file.

    digest: of its code.  wanted: what it imports, as (dots in front, module, names taken from it).
    mentions: the names in each of its functions, by the function's, and in all else that loading it runs, by "".
    acts: whether loading it may change something outside of it.
    """

    digest: str
    wanted: tuple[tuple[int, str, tuple[str, ...]], ...] = ()
    mentions: tuple[tuple[str, frozenset[str]], ...] = ()
    acts: bool = True


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
        return _File(digest, tuple(_wanted(tree)), tuple(_mentions(tree)), any(map(_acts, tree.body)))
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
        elif isinstance(node, ast.Call):
            yield from _called(node)


def _called(call: ast.Call) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """What ``import_module("a.b")``, ``import_module(".b", __package__)`` and ``__import__("a")`` import."""
    if getattr(call.func, "attr", getattr(call.func, "id", "")) not in ("import_module", "__import__"):
        return
    given = dict(zip(("name", "package"), call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}
    name, package = (getattr(given.get(key), "value", None) for key in ("name", "package"))
    if not isinstance(name, str):
        return
    module = name.lstrip(".")
    level = len(name) - len(module)
    if level and isinstance(package, str):  # spelt out, and not the caller's own
        above = package.split(".")
        yield 0, ".".join(filter(None, (*above[: len(above) - level + 1], module))), ()
    else:
        yield level, module, ()


def _acts(node: ast.stmt) -> bool:
    """Whether a statement does more than import, define, and give names to values that nothing was called for."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _names(node.value.func) == {"discover"}:
        return False  # imports what lies beside it
    if isinstance(node, ast.If):  # `if TYPE_CHECKING:` is never run
        return "TYPE_CHECKING" not in _names(node.test)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        fresh = all(isinstance(target, ast.Name) for target in targets)
        private = all(getattr(target, "id", "").startswith("__") for target in targets)  # such as __version__
        return not (fresh and (private or not any(isinstance(n, ast.Call) for n in ast.walk(node))))
    return not isinstance(
        node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Pass
    )


def _mentions(tree: ast.Module) -> Iterator[tuple[str, frozenset[str]]]:
    """A class counts as loaded, since whoever registers it makes one; so does a function that is decorated."""
    for node in tree.body:
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list
        yield getattr(node, "name", "") if later else "", _names(node)


def _names(node: ast.AST) -> frozenset[str]:
    """Names and attributes, and what is imported under another name."""
    every = list(ast.walk(node))
    renamed = {n.name for n in every if isinstance(n, ast.alias) and n.asname}
    return frozenset(
        renamed
        | {n.id for n in every if isinstance(n, ast.Name)}
        | {n.attr for n in every if isinstance(n, ast.Attribute)}
    )
