"""A model and its optimisers as one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bench.errors import DataError
from bench.files import write_atomic
from bench.protocols import Trainable


def save_checkpoint(path: Path, model: Trainable, meta: Mapping[str, Any]) -> None:
    """Write weights, optimiser states and ``meta`` (JSON) to ``path`` in one atomic step."""
    tensors = {f"model.{name}": _own(value) for name, value in model.state_dict().items()}
    for name, optimiser in _optimisers(model).items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.{index}.{key}": _own(torch.as_tensor(value)) for key, value in state.items()}
    write_atomic(path, save(tensors, metadata={"genbench": json.dumps(meta)}))


def read_meta(path: Path) -> dict[str, Any]:
    """What was said of the model when it was saved. Raises DataError for a file that is no checkpoint of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            found: dict[str, Any] = json.loads((file.metadata() or {})["genbench"])
            return found
    except FileNotFoundError as error:
        raise DataError(f"there is no checkpoint {path}") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is no checkpoint that genbench saved ({type(error).__name__}: {error})") from error


def restore(path: Path, model: Trainable) -> dict[str, Any]:
    """Load weights and optimiser states into ``model``; returns the metadata."""
    meta = read_meta(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{path} does not fit this model: {error}") from error
    for name, optimiser in _optimisers(model).items():
        _restore_optimiser(optimiser, {k: t for k, t in tensors.items() if k.startswith(f"{name}.")})
    return meta


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        _, index, key = name.rsplit(".", 2)
        state.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _optimisers(model: object) -> dict[str, torch.optim.Optimizer]:
    """The optimisers kept as attributes of the model, by attribute name."""
    return {f"optimizer.{k}": v for k, v in vars(model).items() if isinstance(v, torch.optim.Optimizer)}


def _own(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU: safetensors refuses tensors that share memory (tied weights)."""
    return tensor.detach().to("cpu", copy=True).contiguous()
