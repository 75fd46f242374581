"""Any callable of yours: ``python:package.module:factory`` returns something that has ``sample``."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import (
    DataError,
    DataSpec,
    GenbenchError,
    Generator,
    calling,
    decoding,
    generator,
    hint,
    named,
    said,
    source_digest,
)


def _content(target: str, **params: Any) -> str:
    """Of its source, which is found and not run. Raises GenbenchError where there is none."""
    found = _module(target)
    return source_digest(found.origin if found.origin and found.origin.endswith(".py") else found.name)


def _fits(spec: DataSpec, target: str, **params: Any) -> None:
    """Raises DataError where the module's text, which is read and not run, has no such name, and makes none."""
    found, (module, name) = _module(target), _split(target)
    if found.submodule_search_locations is not None or not (found.origin or "").endswith(".py"):
        return  # what a package has, its modules may have put there
    with decoding(found.origin):
        text = ast.parse(Path(str(found.origin)).read_bytes())
    names: set[str] = set()
    for node in ast.walk(text):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            case ast.Name(id=name_, ctx=ast.Store()):
                names.add(name_)
            case ast.Name(id="globals" | "vars" | "setattr" | "exec" as maker):
                names.add(maker)
    first = name.partition(".")[0]
    if first not in names and not names & {"*", "__getattr__", "globals", "vars", "setattr", "exec"}:
        raise DataError(f"python:{named(target)}: {module} has no {named(first)}{hint(first, names)}")


@generator("python:", modalities=None, presets={"test": {}}, content=_content, fits=_fits)
def python(spec: DataSpec, target: str, *, arguments: Mapping[str, Any] | None = None) -> Generator:
    """What a factory returns that is called with the DataSpec, or with nothing, and these arguments.

    It has ``sample(n, rng, condition=None)`` as a family has, ``sample(n, rng)``, or ``sample(n)``, which draws from
    the global generators; these are seeded from ``rng`` then, and its samples depend on how many are drawn at a time.
    Whatever else of a family it has is measured, too. Raises GenbenchError for no such factory, for one that raises,
    and for one of what cannot sample.
    """
    factory, given = _found(target), dict(arguments or {})
    takes_spec = _takes(factory, spec, **given)
    if not takes_spec and (wrong := _unbound(factory, **given)) and (wrong := _unbound(factory, spec, **given)):
        raise GenbenchError(f"python:{named(target)}: {wrong}: arguments = {{ ... }} holds what it is called with")
    with calling(f"python:{named(target)}"):
        made = factory(spec, **given) if takes_spec else factory(**given)
    if isinstance(made, torch.nn.Module):
        made.eval()
    sample = getattr(made, "sample", None)
    if not callable(sample):
        raise GenbenchError(f"python:{named(target)} returned {type(made).__name__}, which has no sample()")
    found: Generator = made if _takes(sample, 1, torch.Generator(), None) else _Plain(made)
    return found


class _Plain(torch.nn.Module):
    """What has no labels, or draws from the global generators. A module goes to the device as any."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.made = made

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        seed = int(torch.randint(2**31, (), generator=rng))
        torch.manual_seed(seed)
        np.random.seed(seed)
        found = self.made.sample(n, rng) if _takes(self.made.sample, n, rng) else self.made.sample(n)
        return found if isinstance(found, Tensor) else torch.as_tensor(np.asarray(found))


def _module(target: str) -> ModuleSpec:
    """Where the module lies; the packages around it are imported. Raises GenbenchError where there is none."""
    module, _ = _split(target)
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:  # of the package around it
        raise GenbenchError(f"python:{named(target)}: {said(error)}") from error
    if found is None:
        raise GenbenchError(f"python:{named(target)}: there is no module '{named(module)}' in this folder or installed")
    return found


def _split(target: str) -> tuple[str, str]:
    """Module and factory. What lies in the current folder is found from now on, behind all that is installed."""
    module, _, name = target.partition(":")
    if module.endswith(".py"):
        raise GenbenchError(f"python:{named(target)}: write python:{named(module.removesuffix('.py'))}:{named(name)}")
    if not module or not name:
        raise GenbenchError(f"python:{named(target)}: write python:package.module:factory")
    if not {"", str(Path.cwd())} & {*sys.path}:  # a command does not look there by itself
        sys.path.append(str(Path.cwd()))
    return module, name


def _found(target: str) -> Callable[..., Any]:
    module, name = _split(target)
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise GenbenchError(f"python:{named(target)}: {said(error)}") from error
    if not callable(found):
        raise GenbenchError(f"python:{named(target)} is {type(found).__name__}, which cannot be called")
    factory: Callable[..., Any] = found
    return factory


def _takes(call: Callable[..., Any], *given: Any, **options: Any) -> bool:
    return not _unbound(call, *given, **options)


def _unbound(call: Callable[..., Any], *given: Any, **options: Any) -> str:
    """Why it cannot be called so; "" where it can."""
    try:
        inspect.signature(call).bind(*given, **options)
    except TypeError as error:
        return str(error)
    return ""
