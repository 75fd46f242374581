"""A hash of any value: two of one content are equal, and one that training changed is not.

Objects are walked through as pickling does. Functions and classes count by their names and by what they hold that may
change: closures, defaults, plain attributes; those of libraries by their names alone.
"""

from __future__ import annotations

import contextlib
import copyreg
import hashlib
import itertools
import pickle
import sys
import types
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_LIBRARIES = sys.stdlib_module_names | {"torch", __name__.partition(".")[0]}
_moved_on = itertools.count()  # nobody can tell where an iterator stands: it counts as moved


class Known:
    """What is looked at in its own right, and so counts by its name wherever else it is met.

    parts: objects by their identity.  weights: tensors by name; what shares memory with one counts as it.
    package: whose functions and classes are no library's.
    """

    def __init__(self, parts: Mapping[int, str], weights: Mapping[str, Tensor], package: str) -> None:
        self.parts, self.package = dict(parts), package
        self.storages = {_storage(t) for t in weights.values()} - {0}
        self.names: dict[tuple[Any, ...], str] = {}
        for name, tensor in weights.items():
            self.names.setdefault(_place(tensor), name)

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor shares its memory with one of the ``state_dict``."""
        return _storage(tensor) in self.storages

    def name(self, tensor: Tensor) -> str:
        """The first name in the ``state_dict`` of a tensor that it holds; of a part of one, that it is a part."""
        return self.names.get(_place(tensor), "a part")

    def attributes(self, kind: type) -> dict[str, Any]:
        """What a class that is not a library's holds beside its functions."""
        if self.is_library(kind):
            return {}
        found = {name: value for name, value in vars(kind).items() if not name.startswith("__") and name != "_abc_impl"}
        return {name: value for name, value in found.items() if not hasattr(type(value), "__get__")}

    def is_library(self, value: Any) -> bool:
        """Whether a class or function is of Python, torch, genbench, or a package that the family only uses."""
        top = str(value.__module__).partition(".")[0]
        file = getattr(sys.modules.get(top), "__file__", None) or ""
        installed = bool({"site-packages", "dist-packages"} & set(Path(file).parts))
        return top in _LIBRARIES or (installed and top != self.package)

    def print(self, value: object) -> str:
        """A fingerprint: two of one value are equal, unless it cannot be looked into while it moves on."""
        total = _Hash()
        with contextlib.suppress(RecursionError):  # nested without end: what was seen until then must do
            _Fingerprint(total, self).dump(value)
        return total.hash.hexdigest()


class _Hash:
    """A file that keeps nothing of what is written to it but its hash."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return memoryview(data).nbytes


class _Fingerprint(pickle.Pickler):
    """Walks through any object as pickling does; what cannot be pickled counts by its type alone."""

    def __init__(self, file: _Hash, known: Known) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.known = known

    def persistent_id(self, value: Any) -> object:
        if id(value) in self.known.parts:
            return f"part {self.known.parts[id(value)]}"
        if isinstance(value, types.ModuleType | weakref.ref):
            return str(getattr(value, "__name__", "a reference"))
        if isinstance(value, Tensor) and value.layout == torch.strided and value.device.type != "meta":
            return self.known.name(value) if self.known.holds(value) else hash_tensor(value)
        if isinstance(value, torch.Generator):
            return hash_tensor(value.get_state())
        if isinstance(value, Iterator) and not hasattr(value, "__dict__"):  # a generator, itertools and their like
            return next(_moved_on)
        return None

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if value is _unseen:
            return NotImplemented
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
            return _unseen, (qualified(value),), self.inside(value)
        if kind.__module__.startswith("torch._"):  # compiled graphs and the like
            return _unseen, (kind.__qualname__,)
        try:
            reduce = copyreg.dispatch_table.get(kind)
            found = reduce(value) if reduce else value.__reduce_ex__(4)
        # Other people's objects may refuse in any way: locks, sockets, open files.
        except Exception:
            return _unseen, (kind.__qualname__, next(_moved_on) if isinstance(value, Iterator) else 0)
        return (_unseen, (found,)) if isinstance(found, str) else found

    def inside(self, value: Any) -> Any:
        """What a function or a class holds that may change: as the state of its pickle, so that it may hold itself."""
        if isinstance(value, types.BuiltinFunctionType):
            return None if isinstance(value.__self__, types.ModuleType | type) else value.__self__
        if isinstance(value, type):
            return self.known.attributes(value) or None
        if self.known.is_library(value):
            return None
        cells = [_content(cell) for cell in value.__closure__ or ()]
        return cells, value.__defaults__, value.__kwdefaults__, vars(value)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty still
        return None


def qualified(value: Any) -> str:
    """The qualified name of a function or a class; of two on one line, where they stand in it."""
    code = getattr(value, "__code__", None)
    place = f" {code.co_firstlineno} {code.co_linetable!r}" if code else ""
    return f"{value.__module__}.{value.__qualname__}{place}"


def _unseen(kind: str, moment: int = 0) -> None:
    """Stands for an object that cannot be looked into."""


def hash_tensor(tensor: Tensor) -> bytes:
    """SHA-256 of type, shape and content."""
    total = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.digest()


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Where a tensor lies; an empty one, or one of another layout, lies nowhere."""
    lies = tensor.layout == torch.strided and tensor.numel()
    return (tensor.data_ptr(), tensor.shape, tensor.stride()) if lies else (0, tensor.shape)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0
