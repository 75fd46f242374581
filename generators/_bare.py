"""Modules as plain objects, for nets that are asked a step at a time.

To call an ``nn.Module`` and to look its weights up takes Python as long as a small layer's arithmetic over one step:
of gpt's four layers of 128 a third of the time of a token.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

FUNCTIONS: dict[type[nn.Module], Callable[[Any], Callable[[Tensor], Tensor]]] = {
    nn.Linear: lambda m: partial(F.linear, weight=m.weight, bias=m.bias),
    nn.Embedding: lambda m: partial(F.embedding, weight=m.weight),
    nn.LayerNorm: lambda m: partial(
        F.layer_norm, normalized_shape=m.normalized_shape, weight=m.weight, bias=m.bias, eps=m.eps
    ),
    nn.RMSNorm: lambda m: partial(F.rms_norm, normalized_shape=m.normalized_shape, weight=m.weight, eps=m.eps),
    nn.Dropout: lambda m: m if m.training else _same,
}


def bare(module: nn.Module) -> Any:
    """What computes as the module does, with its methods, weights and parts looked up once.

    It shares the module's weights, and knows nothing of hooks. What torch's own modules do that are not named above,
    is left to them.
    """
    weights = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
    if type(module) in FUNCTIONS:
        function = FUNCTIONS[type(module)](module)
        vars(function).update(weights)
        return function
    if isinstance(module, nn.ModuleList):
        return [bare(part) for part in module]
    if type(module).__module__.startswith("torch.") and not isinstance(module, nn.RNNBase):
        return module
    plain = object.__new__(_plain(type(module)))
    parts = {name: bare(part) for name, part in module.named_children()}
    plain.__dict__.update(vars(module), **weights, **parts)
    return plain


@functools.cache
def _plain(kind: type[nn.Module]) -> type:
    """The class with all that it and its bases define, as no module."""
    own = [base for base in kind.__mro__ if issubclass(base, nn.Module) and base is not nn.Module]
    members = {name: member for base in reversed(own) for name, member in vars(base).items()}
    for name in ("__dict__", "__weakref__"):
        members.pop(name, None)
    for name, member in members.items():
        if isinstance(member, property) and member.fget is not None:
            members[name] = cached_property(member.fget)
    return type(kind.__name__, (), {**members, "__call__": kind.forward})


def _same(x: Tensor) -> Tensor:
    return x
