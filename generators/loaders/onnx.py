"""An ONNX file as a generator: ``onnx:PATH``, run by onnxruntime on the CPU (`pip install "genbench[onnx]"`)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench import DataError, DataSpec, fault, generator, locate, named
from generators.loaders._exported import Draw, Exported, Values, content, only_in, tried


@generator(
    "onnx:",
    modalities=None,
    presets={"test": {}},
    content=content,
    fits=lambda spec, path, **params: tried(Onnx, spec, path, **params),
)
class Onnx(Exported):
    """A graph of one input, noise ``(n, ...)``, or of two, noise and labels ``(n,)`` int64, and of one output.

    draw, values: of what law the noise is, and between what ends the graph's output lies.
    Raises DataError for a file that holds no such graph, or without onnxruntime.
    """

    how = 'torch.onnx.export(..., dynamo=True, dynamic_shapes=({0: torch.export.Dim("n")},))'

    def __init__(self, spec: DataSpec, path: str, *, draw: Draw = "normal", values: Values = "-1..1") -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise DataError('onnx: reads files by onnxruntime: pip install "genbench[onnx]"') from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            session = onnxruntime.InferenceSession(str(locate(path)), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an exception for each of its codes, and no common one
            raise DataError(f"{named(path)} holds no ONNX graph that runs here: {fault(error)}") from error
        inputs = session.get_inputs()
        if len(inputs) not in (1, 2):
            raise DataError(f"{named(path)} takes {len(inputs)} inputs: one of noise and one of labels are the most")
        shapes = [entry.shape for entry in inputs]
        if fixed := next((shape for shape in shapes if shape and isinstance(shape[0], int)), None):
            raise DataError(f"{named(path)} takes {fixed}: {only_in(fixed[0], self.how)}")
        noise = shapes[0][1:]
        if not shapes[0] or not all(isinstance(size, int) for size in noise):
            raise DataError(f"{named(path)} takes {shapes[0]}: the first axis must be free, and no other")

        def net(*given: Tensor) -> Tensor:
            feeds = {entry.name: x.cpu().numpy() for entry, x in zip(inputs, given, strict=True)}
            return torch.from_numpy(session.run(None, feeds)[0])

        super().__init__(net, spec, noise, len(inputs) == 2, draw, values)
