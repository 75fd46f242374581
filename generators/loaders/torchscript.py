"""A TorchScript file as a generator: ``torchscript:PATH``. It runs the code in the file and needs none of yours."""

from __future__ import annotations

import warnings

import torch

from bench import DataError, DataSpec, fault, generator, locate, named
from generators.loaders._exported import Draw, Exported, Values, content, tried


@generator(
    "torchscript:",
    modalities=None,
    presets={"test": {}},
    content=content,
    fits=lambda spec, path, **params: tried(TorchScript, spec, path, **params),
)
class TorchScript(Exported):
    """A net whose file holds its code, too.

    noise: the shape of one sample's, which no file says.
    labelled: whether the net takes a label behind it, ``(n,)`` int64.
    draw, values: of what law the noise is, and between what ends the net's output lies.
    Raises DataError for a file that holds no such net, or without noise.
    """

    how = "torch.jit.script, or a trace of a forward that reads x.shape[0] and writes no number for it"

    def __init__(
        self,
        spec: DataSpec,
        path: str,
        *,
        noise: tuple[int, ...] | None = None,
        labelled: bool = False,
        draw: Draw = "normal",
        values: Values = "-1..1",
    ) -> None:
        try:
            with warnings.catch_warnings():  # that others should write no more of them is no news to who has one
                warnings.simplefilter("ignore", FutureWarning)
                net = torch.jit.load(str(locate(path)), map_location="cpu").eval()
        except RuntimeError as error:
            if "constants.pkl" in str(error):
                raise DataError(
                    f"{named(path)} holds weights alone: torch.jit.script(model).save(...) saves both"
                ) from error
            raise DataError(f"{named(path)} holds no TorchScript: {fault(error)}") from error
        if noise is None:
            raise DataError(f"{named(path)} does not say what noise it takes: set noise = [8], or what one sample's is")
        super().__init__(net, spec, noise, labelled, draw, values)
