"""A GPU that is not there: tensors that say `cuda` and compute on the CPU, and refuse what a GPU refuses.

That is to meet a tensor of the CPU in one operation, to be read as an array of numpy, and to draw from a generator of
another device. So code can be held to its promise to compute where its data lies, on a machine without a GPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

GPU = torch.device("cuda")
# A GPU's tensor takes indices from the CPU, and copies.
INDEXED = (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_)
JOINED = (torch.ops.aten.cat, torch.ops.aten.stack)  # of which numbers must lie on the GPU, too


class Elsewhere(Tensor):
    """A tensor that says it is on the GPU; ``held`` is on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Elsewhere:
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=GPU
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # as the documents have it, and not the stubs
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


@contextlib.contextmanager
def pretended_gpu(patch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Within it, what is made on or moved to `cuda` is there."""
    patch.setattr(torch.cuda, "_lazy_init", lambda: None)
    torch._C._ensureCUDADeviceGuardSet()
    with _Mode():
        yield GPU


def _run(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    kind = getattr(func, "overloadpacket", None)
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    there = [x for x in tensors if isinstance(x, Elsewhere)]
    bound = tensors
    if kind in INDEXED and isinstance(args[0], Elsewhere):
        bound = [x for x in (args[0], *args[2:]) if isinstance(x, Tensor)]
    here = [x for x in bound if not isinstance(x, Elsewhere) and (x.ndim or kind in JOINED)]
    if there and here and kind is not torch.ops.aten.copy_:
        raise RuntimeError(f"Expected all tensors to be on the same device, and {func} was given some of the CPU")
    asked = kwargs.get("device")
    result_there = torch.device(asked).type == "cuda" if asked is not None else bool(there)
    rng = kwargs.get("generator")
    if rng is not None and (rng.device.type == "cuda") != result_there:
        raise RuntimeError(f"{func}: expected a generator of the device of its result")
    if asked is not None:
        kwargs["device"] = torch.device("cpu")
    known = {id(x.held): x for x in there}
    out = func(*tree_map_only(Elsewhere, lambda x: x.held, args), **tree_map_only(Elsewhere, lambda x: x.held, kwargs))
    return (
        tree_map_only(Tensor, lambda x: known[id(x)] if id(x) in known else Elsewhere(x), out) if result_there else out
    )
