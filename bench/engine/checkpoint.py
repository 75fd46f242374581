"""A model's state as one safetensors file, written whole or not at all, with a checksum of all that it holds."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.engine.fingerprint import hash_tensor
from bench.engine.state import State, apply
from bench.errors import DataError, OutputError, named, shown, words
from bench.files import replacing
from bench.foreign import fault, sought
from bench.protocols import Trainable

log = logging.getLogger("genbench")
# 2: with a checksum, and all of the state; 1 (nothing is said): weights, and optimisers without their settings.
FORMAT = 2


class About(BaseModel):
    """What a checkpoint says of its model: family, parameters, and the spec of the data it was trained on."""

    model_config = ConfigDict(frozen=True, strict=True)

    family: str
    params: dict[str, Any]
    spec: dict[str, Any]


def save_checkpoint(path: Path, state: State, meta: Mapping[str, Any]) -> None:
    """Write a state and ``meta`` (JSON) to ``path`` in one atomic step."""
    tensors = _own(state.tensors)
    text = json.dumps({**meta, "format": FORMAT, "state": state.about})
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"genbench": text, "sha256": _checksum(tensors, text)})
        except SafetensorError as error:  # such as a full disk
            raise OutputError(f"cannot write {path}: {error}") from error


def read_checkpoint(path: Path) -> tuple[State, dict[str, Any]]:
    """The state and the metadata. Raises DataError for a file that is damaged, or no checkpoint of ours."""
    if not os.path.isfile(path):  # noqa: PTH113 (Path's own raises for a name that is too long)
        raise DataError(f"there is no checkpoint {named(path)}{sought(path)}")  # a FIFO would be waited for
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # Copied: in the file they lie unaligned, and some kernels then round otherwise.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        meta = json.loads(header["genbench"])
    except KeyError as error:
        raise _foreign(path, "it holds weights, and does not say of what model") from error
    except (SafetensorError, ValueError, OSError, RecursionError) as error:
        raise _foreign(path, fault(error)) from error
    if not isinstance(meta, dict):
        raise _foreign(path, f"it describes itself by a {type(meta).__name__}")
    if meta.get("format", 1) not in range(1, FORMAT + 1):
        raise DataError(f"{named(path)} has format {shown(meta['format'])}, and this genbench reads up to {FORMAT}")
    if ("sha256" in header or "format" in meta) and header.get("sha256") != _checksum(tensors, header["genbench"]):
        raise DataError(f"{named(path)} is damaged: its content is not what its checksum says")
    if not is_whole(meta):
        return State(tensors), meta
    about = meta.pop("state", None)
    if not isinstance(about, dict) or _kinds(about) != _kinds(State({}).about):
        raise _foreign(path, "its state is missing or wrong")
    return State(tensors, about), meta


def _foreign(path: Path, why: str) -> DataError:
    return DataError(f"{named(path)} is no checkpoint that genbench saved ({why})")


def _kinds(table: Mapping[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in table.items()}


def read_about(path: Path) -> About:
    """What a checkpoint says of its model. Raises DataError as ``read_checkpoint``, and where it says too little."""
    _, meta = read_checkpoint(path)
    try:
        return About.model_validate({name: meta.get(name) for name in About.model_fields})
    except ValidationError as error:
        raise _foreign(path, f"its {error.errors()[0]['loc'][0]} is missing or wrong") from error


def is_whole(meta: Mapping[str, Any]) -> bool:
    """Whether the state is all that a training needs to go on. Older files hold the weights and not all of the rest."""
    return meta.get("format") == FORMAT


def restore(path: Path, model: Trainable, *, training: bool = True) -> State:
    """Make ``model`` what it was when it was saved, and return the state.

    training: False where it shall only sample. Raises DataError for a file that is damaged or of another model.
    """
    state, _ = read_checkpoint(path)
    apply_checkpoint(path, state, model, training=training)
    if state.lost:
        log.warning(f"{named(path)} does not hold {state.lost}, which training changed: the model may sample otherwise")
    return state


def apply_checkpoint(path: Path, state: State, model: Trainable, *, training: bool = True) -> None:
    """Apply a state read from ``path``. Raises DataError where it is of another model, which is then half changed."""
    try:
        apply(model, state, training=training)
    # Whatever a family's own load_state_dict may raise.
    except Exception as error:
        raise DataError(f"{named(path)} does not fit this model: {named(' '.join(words(error).split()))}") from error


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        total.update(name.encode() + hash_tensor(tensors[name]))
    return total.hexdigest()


def _own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous, on the CPU, and copied where two share memory (tied weights), which safetensors refuses."""
    taken: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        storage = own.untyped_storage()
        if storage.data_ptr() in taken or storage.nbytes() != own.nbytes:
            own = own.clone(memory_format=torch.contiguous_format)
        taken.add(own.untyped_storage().data_ptr())
        found[name] = own
    return found
