"""All that training changes in a model: what a file can carry, and the names of what it cannot.

``state_dict`` holds the weights and no more. Beside them a checkpoint carries

- optimisers, schedulers and whatever else has a ``state_dict`` of its own, kept as an attribute of the model or of its
  submodules, or in a list, tuple or dict that is one; an optimiser that only its scheduler holds;
- attributes that are numbers, strings, booleans or None, and lists, tuples, dicts and deques of them;
- which parameters are trained, and gradients that no optimiser has used yet.

Everything else that is not as it was before the first step is named in ``State.lost``: tensors that are neither
parameters nor buffers of the ``state_dict``, attributes of parameters and of classes, random generators, iterators,
hooks, functions and what they close over, objects of other kinds, and what an object has beside its ``state_dict``.
They are compared by their fingerprints.
"""

from __future__ import annotations

import contextlib
import functools
import json
import types
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import register_optimizer_step_post_hook

from bench.engine.fingerprint import Known, qualified
from bench.errors import TrialError
from bench.protocols import Trainable

# Of nn.Module's own attributes only `training` is a matter of the family; the rest are tables and hooks.
_INTERNAL = frozenset(vars(nn.Module())) - {"training"}
_SCALARS = (type(None), bool, int, float, str)
_LISTS: Mapping[str, Callable[..., Any]] = {"list": list, "tuple": tuple, "deque": deque}
_DICTS: Mapping[str, Callable[..., Any]] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)
_TENSOR_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
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
        self.trained = {path: p.requires_grad for path, p in _parameters(model).items()}
        self.lost: set[str] = set()
        self.moved: set[int] = set()
        known = _known(model)
        leaves = list(_leaves(model, known))
        self.objects = {leaf.path for leaf in leaves if _carry(leaf, known) is not None}
        self.values = _values(leaves, known)
        self.prints = _prints([leaf for leaf in leaves if leaf.path not in self.values], known, self.objects)

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Around each training step: a gradient whose optimiser took no step is still waiting to be used."""
        self.moved = set()

        def note(optimiser: Optimizer, *_: Any) -> None:
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
    known = _known(model)
    leaves = list(_leaves(model, known))
    for leaf in leaves:
        # What was made during training has no place to return to: the next process will not have it.
        if (baseline is None or leaf.path in baseline.objects) and (carried := _carry(leaf, known)) is not None:
            about["objects"][leaf.path] = carried[0]
            tensors |= carried[1]
    if baseline is not None:
        # What has changed stands under ``values``, or under ``lost`` where a file cannot hold it.
        values = _values(leaves, known)
        about["values"] = {path: json.loads(v) for path, v in values.items() if v != baseline.values.get(path)}
        left = [leaf for leaf in leaves if leaf.path not in values and leaf.path not in baseline.lost]
        prints = _prints(left, known, about["objects"])
        baseline.lost |= {path for path, found in prints.items() if found != baseline.prints.get(path)}
        baseline.lost |= {*baseline.values, *baseline.prints} - {leaf.path for leaf in leaves}
        _note_parameters(model, baseline, about["trained"], tensors)
        about["lost"] = sorted(baseline.lost)
    return State(tensors, about)


def to_sample(model: Trainable, state: State) -> State:
    """A state of this model without what ``apply`` leaves out where nothing is trained."""
    objects = {leaf.path: leaf.value for leaf in _leaves(model, _known(model)) if _has_state(leaf.value)}
    left = {path for path, value in objects.items() if isinstance(value, Optimizer | LRScheduler)}
    dropped = ("grad.", *(f"object.{path}." for path in left))
    kept = {path: packed for path, packed in state.about["objects"].items() if path not in left}
    tensors = {name: tensor for name, tensor in state.tensors.items() if not name.startswith(dropped)}
    return State(tensors, {**state.about, "objects": kept, "trained": {}})


def _carry(leaf: _Leaf, known: Known) -> tuple[Any, dict[str, Tensor]] | None:
    """The state of an object, as JSON and tensors; None for one that has none, or none that a file can hold."""
    if not _has_state(leaf.value):
        return None
    found: dict[str, Tensor] = {}
    try:
        packed = _pack(leaf.value.state_dict(), f"object.{leaf.path}", found)
    except (_Opaque, RecursionError):
        return None
    known.parts[id(leaf.value)] = leaf.path
    return packed, found


def _values(leaves: Iterable[_Leaf], known: Known) -> dict[str, str]:
    """What a file holds as JSON. A container stays the same one, whatever it holds: others may refer to it."""
    found = {}
    for leaf in leaves:
        if leaf.owner is None:
            continue
        with contextlib.suppress(_Opaque, RecursionError):
            found[leaf.path] = json.dumps(_pack(leaf.value))
            if isinstance(leaf.value, list | dict | deque):
                known.parts[id(leaf.value)] = leaf.path
    return found


def _prints(leaves: Iterable[_Leaf], known: Known, objects: Container[str]) -> dict[str, str]:
    """Fingerprints by path: of an object whose state is carried, of what it has beside it."""
    return {leaf.path: known.print(_rest(leaf.value) if leaf.path in objects else leaf.value) for leaf in leaves}


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
    objects = {leaf.path: leaf.value for leaf in _leaves(model, _known(model)) if _has_state(leaf.value)}
    weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
    model.load_state_dict({**weights, **{name: _unpack(value, tensors) for name, value in about["weights"].items()}})
    for path, packed in about["objects"].items():
        if training or not isinstance(objects.get(path), Optimizer | LRScheduler):
            objects[path].load_state_dict(_unpack(packed, tensors))
        if isinstance(optimiser := objects.get(path), Optimizer):
            for p, kept in optimiser.state.items():
                kept.update({name: _laid_as(p, t) for name, t in kept.items() if isinstance(t, Tensor)})
    if training:
        for path, trained in about["trained"].items():
            parameters[path].requires_grad_(trained)
        for path, p in parameters.items():
            grad = tensors.get(f"grad.{path}")
            p.grad = None if grad is None else _laid_as(p, grad.to(p.device, copy=True))
    for path, value in values.items():
        place, _, name = path.rpartition(".")
        old: Any = getattr(owners[place], name, None)
        if type(old) is not type(value) or not isinstance(value, list | dict | deque):
            setattr(owners[place], name, value)
            continue
        old.clear()  # a container is refilled, because others may hold it too
        if isinstance(value, dict):
            old.update(value)
        else:
            old.extend(value)


def _laid_as(p: Tensor, value: Tensor) -> Tensor:
    """In memory like its parameter (channels last, say), as fused updates on a GPU ask for; a file keeps no strides."""
    if value.shape != p.shape or value.stride() == p.stride():
        return value
    return torch.empty_like(p, dtype=value.dtype, device=value.device).copy_(value)


def _owners(model: Trainable, *, aliases: bool = False) -> dict[str, Any]:
    """The model and its modules by path, each once; one that is no module itself may keep some as attributes."""
    roots = {"": model} if isinstance(model, nn.Module) else vars(model)
    modules = {name: value for name, value in roots.items() if isinstance(value, nn.Module)}
    below = (root.named_modules(prefix=name, remove_duplicate=not aliases) for name, root in modules.items())
    return {"": model, **{path: module for each in below for path, module in each}}


def _known(model: Trainable) -> Known:
    parts: dict[int, str] = {}
    for place, owner in _owners(model).items():
        parts.setdefault(id(owner), place or "the model")
    return Known(parts, _weights(model), type(model).__module__.partition(".")[0])


def _weights(model: Trainable) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}


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


def _rest(value: object) -> dict[str, Any]:
    """What an object has beside its ``state_dict``: of torch's own, functions; of others, all that it does not name."""
    state = value.state_dict()  # type: ignore[attr-defined]
    carried = state if isinstance(state, dict) else {}
    own = not type(value).__module__.startswith("torch.")
    found: dict[str, Any] = {}
    for name, item in getattr(value, "__dict__", {}).items():
        named = name in carried or name.lstrip("_") in carried
        if name == "_schedulers":  # of schedulers in a row
            found[name] = [_rest(one) for one in item]
        elif name in ("lr_lambdas", "_scale_fn_custom"):  # torch keeps of them what is in objects
            found[name] = [f for f in (item if isinstance(item, list) else [item]) if isinstance(f, _FUNCTIONS)]
        elif "hook" in name or (own and not named and not (isinstance(value, Optimizer) and name in _of_optimisers())):
            found[name] = item
    return found


@functools.cache
def _of_optimisers() -> frozenset[str]:
    """What torch's optimisers keep beside their state_dict, found again in a step or made by the constructor.

    Not asked for on import: the first optimiser of a process takes torch a second.
    """
    return frozenset(vars(torch.optim.LBFGS([torch.zeros(1)]))) | {"step", "_opt_called"}


def _leaves(model: Trainable, known: Known) -> Iterator[_Leaf]:
    """All that is looked at, each by its path."""
    found = [leaf for place, owner in _owners(model).items() for leaf in _attributes(place, owner, known)]
    yield from {leaf.path: leaf for leaf in (*found, *_structure(model, known))}.values()
    seen = {id(leaf.value) for leaf in found}
    for leaf in found:
        if isinstance(leaf.value, LRScheduler) and id(leaf.value.optimizer) not in seen:
            seen.add(id(leaf.value.optimizer))
            yield _Leaf(f"{leaf.path}.optimizer", leaf.value.optimizer, None)


def _attributes(place: str, owner: Any, known: Known) -> Iterator[_Leaf]:
    """Attributes of one module, its hooks, and tensors of its that the ``state_dict`` leaves out."""
    module = isinstance(owner, nn.Module)
    for name, value in getattr(owner, "__dict__", {}).items():
        path = _join(place, name)
        if module and name in _INTERNAL:
            if "hook" in name and value:
                yield _Leaf(path, value, None)
        elif id(value) not in known.parts:
            items = dict(enumerate(value)) if isinstance(value, list | tuple) else value
            if isinstance(items, dict) and any(_has_state(item) for item in items.values()):
                yield from (_Leaf(f"{path}.{key}", item, None) for key, item in items.items())
            else:
                yield _Leaf(path, value, owner)
    for name, tensor in {**owner._parameters, **owner._buffers}.items() if module else ():
        if tensor is not None:
            path = _join(place, name)
            if not known.holds(tensor):
                yield _Leaf(path, tensor, None)
            hooks = [table for kind in _TENSOR_HOOKS if (table := getattr(tensor, kind, None))]
            beside = {k: v for k, v in vars(tensor).items() if not k.startswith("_dynamo")}  # of torch.compile
            beside |= {"hooks": hooks} if hooks else {}
            yield from (_Leaf(f"{path}.{key}", value, None) for key, value in beside.items())


def _structure(model: Trainable, known: Known) -> Iterator[_Leaf]:
    """Which modules and tensors are one, of which classes they are, and the attributes of these."""
    for place, owner in _owners(model, aliases=True).items():
        yield _Leaf(place or "the model", f"{qualified(type(owner))} {known.parts.get(id(owner))}", None)
        for kind in type(owner).__mro__:
            for name, value in known.attributes(kind).items():
                yield _Leaf(f"{kind.__name__}.{name}", value, None)
    yield from (_Leaf(name, known.name(t), None) for name, t in _weights(model).items() if known.name(t) != name)


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
