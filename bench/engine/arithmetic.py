"""How a model is to compute: its precision, whether its modules are compiled, whether it is in evaluation mode."""

from __future__ import annotations

import contextlib
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import nn

from bench.record import Precision

M = TypeVar("M")


@contextlib.contextmanager
def evaluating(model: object) -> Iterator[None]:
    """A module in evaluation mode for a while, and then as it was; any other model as it is."""
    modules = [m for m in model.modules() if m.training] if isinstance(model, nn.Module) else []
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True


def prepared(model: M, precision: Precision, compiled: bool, device: torch.device) -> M:
    """The model, made to train and sample as its trial asks.

    bf16: ``train_step`` and ``sample`` run under autocast, weights stay float32, and so does ``log_prob``: a likelihood
    is a sum of thousands of terms.  compiled: each module that is called by the family itself goes through
    ``torch.compile`` when it is first called.
    """
    if precision == "bf16":
        for name in ("train_step", "sample"):
            if hasattr(model, name):
                setattr(model, name, types.MethodType(_in_bf16(name, device.type), model))
    if compiled and isinstance(model, nn.Module):
        # The compiler itself looks at .grad of what it is given, which a sampler may want the gradient of.
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf", UserWarning)
        for module in _called(model):
            module.compile()
    return model


def _in_bf16(name: str, device: str) -> Callable[..., Any]:
    """The method of this name, under autocast. It closes over names: what else it held would be part of the model."""

    def call(model: object, *given: Any, **options: Any) -> Any:
        with torch.autocast(device, torch.bfloat16):
            return getattr(type(model), name)(model, *given, **options)

    return call


def _called(module: nn.Module) -> Iterator[nn.Module]:
    """Its children; of lists and tables of modules, which nobody calls, those in them."""
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _called(child)
        else:
            yield child
