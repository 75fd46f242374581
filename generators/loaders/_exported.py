"""A network that was exported: noise goes in, and a label if it takes one, and samples come out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench import DataError, DataSpec, Rows, TrialError, Unsupported, fault, locate, modality_of, named, sha256

LARGE = 2**29  # bytes of a net that is not tried ahead
Draw = Literal["normal", "uniform"]
Values = Literal["-1..1", "0..1", "0..255"]


def content(path: str, **params: object) -> str:
    """Of the file and of those beside it that begin with its name, in which ONNX keeps weights."""
    place = locate(path)
    files = sorted(file for file in place.parent.iterdir() if file.is_file() and file.name.startswith(place.name))
    return "".join(f"{file.name} {sha256(file)}\n" for file in files)


def tried(make: Callable[..., Exported], spec: DataSpec, path: str, **params: Any) -> None:
    """Draw two samples on the CPU: what a file does not say of itself is known before anything is trained.

    Raises DataError for what a trial would fail of. What it would be skipped for is left to it, and so are large nets,
    and where there is a GPU those that fail on a CPU alone.
    """
    if locate(path).stat().st_size > LARGE:
        return
    with contextlib.suppress(Unsupported):
        try:
            model = make(spec, path, **params)
            made = model.sample(2, torch.Generator().manual_seed(0))
        except TrialError as error:
            if error.__cause__ is None or not torch.cuda.is_available():
                raise DataError(str(error)) from error
            return
        try:
            modality_of(spec).quantise(made, spec)
        except TrialError as error:
            raise DataError(f"{named(path)}, taken as values = {model.values!r}: {error}") from error


class Exported(nn.Module):
    """Samples of ``net(noise)``, or of ``net(noise, label)``. noise: the shape of one sample's.

    draw: standard normal noise, or uniform in [0, 1).  values: between what ends the net's output lies.
    """

    where: Tensor

    def __init__(
        self,
        net: Callable[..., Tensor],
        spec: DataSpec,
        noise: Sequence[int],
        labelled: bool,
        draw: Draw,
        values: Values,
    ) -> None:
        super().__init__()
        if labelled and not spec.classes:
            raise Unsupported("it takes a label, and the data has none")
        self.net, self.spec, self.noise = net, spec, tuple(noise)
        self.conditional, self.draw, self.values = labelled, draw, values
        self.register_buffer("where", torch.empty(0), persistent=False)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """``(n, *shape)``. Raises TrialError where the net fails, or makes another shape than the data's."""
        rows = Rows(rng, n)
        label = [rows.labels(self.spec.classes or 1, condition)] if self.conditional else []
        given = getattr(rows, self.draw)(*self.noise), *label
        try:
            x = self.net(*(part.to(self.where.device) for part in given))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # each of the three libraries has its own, and no common one
            shapes = " and labels ".join(str(tuple(part.shape)) for part in given)
            raise TrialError(
                f"given noise {shapes}, the net fails: {_last(error)} (the first axis must be free)"
            ) from error
        if tuple(x.shape) != (n, *self.spec.shape):
            raise TrialError(f"of {n} draws the net makes {tuple(x.shape)}, and the data is {self.spec.shape}")
        if self.values == "-1..1":
            return x
        return x.float() * 2 - 1 if self.values == "0..1" else x.float() / 127.5 - 1


def _last(error: Exception) -> str:
    """The line of a message that says why: TorchScript's last, behind the code that it quotes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return named(lines[-1]) if lines else fault(error)
