"""What ``torch.export.save`` wrote as a generator: ``export:PATH``. It says itself what goes in."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor

from bench import DataError, DataSpec, generator, locate, named
from generators.loaders._exported import Draw, Exported, Values, content, only_in, tried

_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


@contextlib.contextmanager
def _tensors_alone() -> Iterator[None]:
    """What the file holds besides its graph is read as tensors: left to itself torch unpickles what is none."""
    before, log = os.environ.get(_FORCE), logging.getLogger("torch.export")
    os.environ[_FORCE], log.disabled = "1", True  # it writes whole tracebacks of a file that is none
    try:
        yield
    finally:
        log.disabled = False
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before


@generator(
    "export:",
    modalities=None,
    presets={"test": {}},
    content=content,
    fits=lambda spec, path, **params: tried(Export, spec, path, **params),
)
class Export(Exported):
    """A net of one input, noise ``(n, ...)``, or of two, noise and labels ``(n,)``; n must be free (a ``Dim``).

    draw, values: of what law the noise is, and between what ends the net's output lies.
    Raises DataError for a file that holds no such net.
    """

    how = 'torch.export.export(..., dynamic_shapes=({0: torch.export.Dim("n")},))'

    def __init__(self, spec: DataSpec, path: str, *, draw: Draw = "normal", values: Values = "-1..1") -> None:
        try:
            with _tensors_alone():
                program = torch.export.load(str(locate(path)))
        except Exception as error:  # a zip file that is none, of another version, of operators that are not here
            how = "torch.export.save(torch.export.export(net, ...), path) writes one of this torch"
            raise DataError(f"{named(path)} holds no exported program: {how}") from error
        asked = {*program.graph_signature.user_inputs}
        inputs = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in asked]
        if len(inputs) not in (1, 2) or not all(isinstance(x, Tensor) and x.ndim for x in inputs):
            raise DataError(f"{named(path)} takes {len(inputs)} inputs: one of noise and one of labels are the most")
        if fixed := next((tuple(x.shape) for x in inputs if isinstance(x.shape[0], int)), None):
            raise DataError(f"{named(path)} takes {fixed}: {only_in(fixed[0], self.how)}")
        noise = [int(size) for size in inputs[0].shape[1:]]
        super().__init__(program.module(), spec, noise, len(inputs) == 2, draw, values)

    def train(self, mode: bool = True) -> Self:
        """A program is as it was exported: torch refuses to switch it."""
        self.training = mode
        return self
