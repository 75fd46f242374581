"""All that training changes in a model: what a file can carry, and the names of what it cannot.

``state_dict`` holds the weights and no more. Beside them a checkpoint carries

- optimisers, schedulers and whatever else has a ``state_dict`` of its own, kept as an attribute of the model or of its
  submodules, or in a list, tuple or dict that is one;
- attributes that are numbers, strings, booleans or None, and lists, tuples, dicts and deques of them;
- which parameters are trained, and gradients that no optimiser has used yet.

Everything else that is not as it was before the first step is named in ``State.lost``: tensors that are neither
parameters nor buffers of the ``state_dict``, random generators, iterators, objects of other kinds. They are compared by
a hash of their pickle; no pickle is written to a file, and none is ever loaded.
"""

from __future__ import annotations

import contextlib
import copyreg
import hashlib
import itertools
import json
import pickle
import types
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from bench.errors import TrialError
from bench.protocols import Trainable

# Of nn.Module's own attributes only `training` is a matter of the family; the rest are tables and hooks.
_INTERNAL = frozenset(vars(nn.Module())) - {"training"}
_SCALARS = (type(None), bool, int, float, str)
_LISTS: Mapping[str, Callable[..., Any]] = {"list": list, "tuple": tuple, "deque": deque}
_DICTS: Mapping[str, Callable[..., Any]] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
_FIXED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, weakref.ref)
_LARGEST_INT_BITS = 4096  # Python refuses to read an integer of more than 4,300 digits


class _Opaque(Exception):
    """A value that has no place in a file."""


def _nothing() -> dict[str, Any]:
    return {"weights": {}, "objects": {}, "values": {}, "trained": {}, "lost": []}


@dataclass(frozen=True)
class State:
    """A model at one moment.

    tensors: ``model.*`` the weights, ``object.*`` of optimisers and the like, ``grad.*``. about: all else, as JSON.
    """

    tensors: dict[str, Tensor]
    about: dict[str, Any] = field(default_factory=_nothing)

    @property
    def lost(self) -> str:
        """Names of what training has changed and no checkpoint holds."""
        return ", ".join(map(str, self.about["lost"]))

    def copy(self) -> State:
        return State({name: t.detach().clone() for name, t in self.tensors.items()}, self.about)


class Baseline:
    """What a model was before its first step, and which parameters its optimisers moved in the last one."""

    def __init__(self, model: Trainable) -> None:
        self.values: dict[str, str] = {}
        self.prints: dict[str, str] = {}
        self.objects: set[str] = set()
        self.trained = {path: p.requires_grad for path, p in _parameters(model).items()}
        self.lost: set[str] = set()
        self.moved: set[int] = set()
        known = _Known(model)
        for leaf in _leaves(model, known):
            if _has_state(leaf.value):
                self.objects.add(leaf.path)
                self.prints[leaf.path] = known.print(leaf.value)
                known.parts.add(id(leaf.value))
            elif (value := leaf.as_json()) is not None:
                self.values[leaf.path] = value
            else:
                self.prints[leaf.path] = known.print(leaf.value)

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Around each training step: a gradient whose optimiser took no step is still waiting to be used."""
        self.moved = set()

        def note(optimiser: torch.optim.Optimizer, *_: Any) -> None:
            self.moved |= {id(p) for group in optimiser.param_groups for p in group["params"]}

        handle = register_optimizer_step_post_hook(note)
        try:
            yield
        finally:
            handle.remove()


@dataclass(frozen=True)
class _Leaf:
    """An attribute; ``owner`` is None where it cannot be set again, being an item of a container, or a tensor."""

    path: str
    value: Any
    owner: object | None

    def as_json(self) -> str | None:
        """The value as JSON; None where it has no such form."""
        if self.owner is None:
            return None
        try:
            return json.dumps(_pack(self.value))
        except (_Opaque, RecursionError):
            return None


def capture(model: Trainable, baseline: Baseline | None = None) -> State:
    """The model as it is. Tensors are its own, not copies.

    baseline: from before its first step; without it, only weights and objects with a ``state_dict`` are in the state.
    Raises TrialError where ``state_dict`` holds what is neither a tensor nor plain data.
    """
    tensors: dict[str, Tensor] = {}
    try:
        packed = {name: _pack(value, f"model.{name}", tensors) for name, value in model.state_dict().items()}
    except _Opaque as error:
        raise TrialError(f"state_dict holds {error}, which no checkpoint can keep") from error
    # A tensor is found again by its name.
    weights = {name: value for name, value in packed.items() if f"model.{name}" not in tensors}
    about = {**_nothing(), "weights": weights}
    known = _Known(model)
    leaves = list(_leaves(model, known))
    left = [leaf for leaf in leaves if not _carry(leaf, about["objects"], tensors, known, baseline)]
    if baseline is not None:
        for leaf in left:
            _compare(leaf, known, baseline, about["values"])
        _note_parameters(model, baseline, about["trained"], tensors)
        baseline.lost |= {*baseline.values, *baseline.prints} - {leaf.path for leaf in leaves}
        about["lost"] = sorted(baseline.lost)
    return State(tensors, about)


def _carry(
    leaf: _Leaf, objects: dict[str, Any], tensors: dict[str, Tensor], known: _Known, baseline: Baseline | None
) -> bool:
    """Take the state of an object; False for what has none, has no form, or will have no place to return to."""
    if not _has_state(leaf.value) or (baseline is not None and leaf.path not in baseline.objects):
        return False  # made during training: the next process will not have it
    found: dict[str, Tensor] = {}
    try:
        objects[leaf.path] = _pack(leaf.value.state_dict(), f"object.{leaf.path}", found)
    except (_Opaque, RecursionError):
        return False
    tensors |= found
    known.parts.add(id(leaf.value))
    return True


def _compare(leaf: _Leaf, known: _Known, baseline: Baseline, values: dict[str, Any]) -> None:
    """Note a changed attribute under ``values``, or under ``baseline.lost`` where a file cannot hold it."""
    value = leaf.as_json()
    if value is not None:
        if value != baseline.values.get(leaf.path):
            values[leaf.path] = json.loads(value)
    elif leaf.path not in baseline.lost and known.print(leaf.value) != baseline.prints.get(leaf.path):
        baseline.lost.add(leaf.path)


def _note_parameters(
    model: Trainable, baseline: Baseline, trained: dict[str, bool], tensors: dict[str, Tensor]
) -> None:
    """What a parameter has besides its value."""
    for path, p in _parameters(model).items():
        if p.requires_grad != baseline.trained.get(path):
            trained[path] = p.requires_grad
        if p.grad is not None and id(p) not in baseline.moved:
            if p.grad.layout == torch.strided:
                tensors[f"grad.{path}"] = p.grad
            else:
                baseline.lost.add(f"{path}.grad")


def apply(model: Trainable, state: State, *, training: bool = True) -> None:
    """Make the model what the state says. Where it stops with an exception, the model is neither old nor new.

    training: False leaves out what only a further step would need: optimisers, schedulers, gradients.
    """
    about, tensors = state.about, state.tensors
    values = {path: _unpack(value, tensors) for path, value in about["values"].items()}
    owners, parameters = _owners(model), _parameters(model)
    objects = {leaf.path: leaf.value for leaf in _leaves(model, _Known(model)) if _has_state(leaf.value)}
    weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
    model.load_state_dict({**weights, **{name: _unpack(value, tensors) for name, value in about["weights"].items()}})
    for path, packed in about["objects"].items():
        if training or not isinstance(objects.get(path), torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler):
            objects[path].load_state_dict(_unpack(packed, tensors))
    if training:
        for path, trained in about["trained"].items():
            parameters[path].requires_grad_(trained)
        for path, p in parameters.items():
            grad = tensors.get(f"grad.{path}")
            p.grad = None if grad is None else grad.to(p.device, copy=True)
    for path, value in values.items():
        place, _, name = path.rpartition(".")
        _put(owners[place], name, value)


def _put(owner: object, name: str, value: Any) -> None:
    """Set an attribute; a container is refilled, because others may hold it too."""
    old: Any = getattr(owner, name, None)
    if type(old) is not type(value) or not isinstance(value, list | dict | deque):
        setattr(owner, name, value)
    elif isinstance(value, dict):
        old.clear()
        old.update(value)
    else:
        old.clear()
        old.extend(value)


def _owners(model: Trainable) -> dict[str, Any]:
    """The model and its modules by path; one that is no module itself may keep some as attributes."""
    if isinstance(model, nn.Module):
        return dict(model.named_modules())
    modules = {name: value for name, value in vars(model).items() if isinstance(value, nn.Module)}
    return {"": model} | {path: m for name, root in modules.items() for path, m in root.named_modules(prefix=name)}


def _parameters(model: Trainable) -> dict[str, nn.Parameter]:
    modules = {place: m for place, m in _owners(model).items() if isinstance(m, nn.Module)}
    return {_join(place, name): p for place, m in modules.items() for name, p in m._parameters.items() if p is not None}


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _has_state(value: object) -> bool:
    """Whether it is an object such as an optimiser, a scheduler or a gradient scaler.

    Not a module: the model's own are in its ``state_dict``, and another may be a large network that never changes,
    kept out of it on purpose.
    """
    methods = (getattr(value, name, None) for name in ("state_dict", "load_state_dict"))
    return not isinstance(value, type | nn.Module) and all(map(callable, methods))


def _leaves(model: Trainable, known: _Known) -> Iterator[_Leaf]:
    """Every attribute of the model and its modules, and every tensor of theirs that the ``state_dict`` leaves out."""
    for place, owner in _owners(model).items():
        module = isinstance(owner, nn.Module)
        for name, value in getattr(owner, "__dict__", {}).items():
            path = _join(place, name)
            if (module and name in _INTERNAL) or id(value) in known.parts:
                continue
            items = _items(value)
            if any(_has_state(item) for item in items.values()):
                yield from (_Leaf(f"{path}.{key}", item, None) for key, item in items.items())
            else:
                yield _Leaf(path, value, owner)
        for name, tensor in {**owner._parameters, **owner._buffers}.items() if module else ():
            if tensor is not None and not known.holds(tensor):
                yield _Leaf(_join(place, name), tensor, None)


def _items(value: object) -> dict[Any, Any]:
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    return value if isinstance(value, dict) else {}


class _Known:
    """What of a model is looked at in its own right, and so is no part of the attribute that refers to it."""

    def __init__(self, model: Trainable) -> None:
        self.parts = {id(owner) for owner in _owners(model).values()}
        self.storages = {_storage(t) for t in model.state_dict().values() if isinstance(t, Tensor)} - {0}

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor shares its memory with one of the ``state_dict``."""
        return _storage(tensor) in self.storages

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


_moved_on = itertools.count()  # nobody can tell where an iterator stands: it counts as moved


class _Fingerprint(pickle.Pickler):
    """Walks through any object as pickling does; what cannot be pickled counts by its type alone."""

    def __init__(self, file: _Hash, known: _Known) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.known = known

    def persistent_id(self, value: Any) -> object:
        if id(value) in self.known.parts or isinstance(value, _FIXED):
            return "fixed"
        if isinstance(value, Tensor) and value.layout == torch.strided and value.device.type != "meta":
            return "known" if self.known.holds(value) else hash_tensor(value)
        if isinstance(value, torch.Generator):
            return hash_tensor(value.get_state())
        if isinstance(value, Iterator) and not hasattr(value, "__dict__"):  # a generator, itertools and their like
            return next(_moved_on)
        return None

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if kind.__module__.startswith("torch._"):  # compiled graphs and the like
            return _unseen, (kind.__qualname__,)
        try:
            return copyreg.dispatch_table[kind](value) if kind in copyreg.dispatch_table else value.__reduce_ex__(4)
        # Other people's objects may refuse in any way: locks, sockets, open files.
        except Exception:
            return _unseen, (kind.__qualname__, next(_moved_on) if isinstance(value, Iterator) else 0)


def _unseen(kind: str, moment: int = 0) -> None:
    """Stands for an object that cannot be looked into."""


def hash_tensor(tensor: Tensor) -> bytes:
    """SHA-256 of type, shape and content."""
    total = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.digest()


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0


def _pack(value: Any, name: str = "", tensors: dict[str, Tensor] | None = None) -> Any:
    """A value as JSON, its tensors put under names that begin with ``name``. Raises _Opaque for what has no form.

    Only exact types are taken: a subclass may be more than its content.
    """
    kind = type(value)
    if kind in _SCALARS and not (kind is int and value.bit_length() > _LARGEST_INT_BITS):
        return value
    if isinstance(value, Tensor) and tensors is not None and value.layout == torch.strided:
        while name in tensors:  # of keys that look alike, such as 0 and "0"
            name += "_"
        tensors[name] = value
        return {"tensor": name}
    if kind in _LISTS.values():
        items = [_pack(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]
        return {kind.__name__: items, "maxlen": value.maxlen} if kind is deque else {kind.__name__: items}
    if kind in _DICTS.values():
        return {kind.__name__: [[_pack(k), _pack(v, f"{name}.{k}", tensors)] for k, v in value.items()]}
    raise _Opaque(f"a {kind.__qualname__}")


def _unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(packed, dict):
        return packed
    kind, found = next(iter(packed.items()))
    if kind == "tensor":
        return tensors[found]
    if kind in _DICTS:
        return _DICTS[kind]({_unpack(k, tensors): _unpack(v, tensors) for k, v in found})
    items = [_unpack(item, tensors) for item in found]
    return deque(items, packed["maxlen"]) if kind == "deque" else _LISTS[kind](items)
