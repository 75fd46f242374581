"""Modules without what torch does around them, for nets that are asked for a step at a time.

To call an ``nn.Module`` and to look its weights up takes Python as long as a small layer's arithmetic over one step: of
gpt's four layers of 128 a quarter of the time of a token.
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
    nn.Dropout: lambda m: m if m.training else partial(_same),
}


def bare(module: nn.Module) -> Any:
    """What computes as the module does with the same weights, all that it asks for looked up once.

    Calls run ``forward`` and no hooks. Modules of torch's that are not among the above stay as they are, and so does
    what was compiled.
    """
    if module._compiled_call_impl is not None:
        return module
    weights = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
    if type(module) in FUNCTIONS:
        function = FUNCTIONS[type(module)](module)
        vars(function).update(weights)
        return function
    if isinstance(module, nn.ModuleList):
        return [bare(part) for part in module]
    if type(module).__module__.startswith("torch.") and not isinstance(module, nn.RNNBase):
        return module
    found: Any = object.__new__(_bare(type(module)))  # type: ignore[arg-type]
    # What lies in the object's own dictionary is found at once, and what a module registers only after all else failed.
    vars(found).update(vars(module), **weights, **{name: bare(part) for name, part in module.named_children()})
    return found


@functools.cache
def _bare(kind: type[nn.Module]) -> type:
    """The class, called without hooks; what it computes of its weights for whoever asks is kept."""
    members = {name: member for base in reversed(kind.__mro__) for name, member in vars(base).items()}
    kept = {name: cached_property(m.fget) for name, m in members.items() if isinstance(m, property) and m.fget}
    return type(kind.__name__, (kind,), {**kept, "__call__": kind.forward})


def _same(x: Tensor) -> Tensor:
    return x
