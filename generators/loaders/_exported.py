"""A network that was exported: noise goes in, and a label if it takes one, and samples come out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench import DataError, DataSpec, Rows, TrialError, Unsupported, fault, locate, modality_of, named, sha256

LARGE = 2**29  # bytes of a net that is not tried ahead
BATCHES = (*range(1, 17), 20, 24, 25, 32, 48, 50, 64, 100, 128, 256)  # that nets are exported with
TRIED = 3  # samples, as many as few nets are exported for
Draw = Literal["normal", "uniform"]
Values = Literal["-1..1", "0..1", "0..255"]


def content(path: str, **params: object) -> str:
    """Of the file and of those beside it that begin with its name, in which ONNX keeps weights."""
    place = locate(path)
    files = sorted(file for file in place.parent.iterdir() if file.is_file() and file.name.startswith(place.name))
    return "".join(f"{file.name} {sha256(file)}\n" for file in files)


def tried(make: Callable[..., Exported], spec: DataSpec, path: str, **params: Any) -> None:
    """Draw three samples on the CPU: what a file does not say of itself is known before anything is trained.

    Raises DataError for what a trial would fail of. What it would be skipped for is left to it, and so are large nets,
    and where there is a GPU those that fail on a CPU alone.
    """
    if locate(path).stat().st_size > LARGE:
        return
    with contextlib.suppress(Unsupported):
        try:
            model = make(spec, path, **params)
            made = model.sample(TRIED, torch.Generator().manual_seed(0))
        except TrialError as error:
            if error.__cause__ is None or not torch.cuda.is_available():
                raise DataError(f"{named(path)}: {error}") from error
            return
        try:
            modality_of(spec).quantise(made, spec)
        except TrialError as error:
            raise DataError(f"{named(path)}, taken as values = {model.values!r}: {error}") from error


class Exported(nn.Module):
    """Samples of ``net(noise)``, or of ``net(noise, label)``. noise: the shape of one sample's.

    draw: standard normal noise, or uniform in [0, 1).  values: between what ends the net's output lies.
    how: a net of its kind is exported so that its first axis, the batch, is free.
    """

    how: ClassVar[str]
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
            why = only_in(alone, self.how) if (alone := self._batch(given)) else _last(error)
            raise TrialError(f"given noise {shapes}, the net fails: {why}") from error
        if tuple(x.shape) != (n, *self.spec.shape):
            made = f"of {n} draws the net makes {tuple(x.shape)}, and the data is {self.spec.shape}"
            fixed = x.ndim and len(x) != n and x.shape[1:] == self.spec.shape
            raise TrialError(f"{made}: {only_in(len(x), self.how)}" if fixed else made)
        if self.values == "-1..1":
            return x
        return x.float() * 2 - 1 if self.values == "0..1" else x.float() / 127.5 - 1

    def _batch(self, given: Sequence[Tensor]) -> int | None:
        """How many samples the net makes at once, where it was exported for so many; None where that is not the fault.

        Told by trying: neither TorchScript nor a graph with a free axis says that a number was kept in it.
        """
        alone = []
        for size in BATCHES:
            rows = [part[:1].expand(size, *part.shape[1:]).contiguous().to(self.where.device) for part in given]
            with contextlib.suppress(Exception):  # as above
                alone += [size] if len(self.net(*rows)) == size else []
        return alone[0] if len(alone) == 1 else None


def only_in(batch: int, how: str) -> str:
    """What to say of a net that takes one size of batch, and how its like is exported."""
    return f"it takes batches of {batch} alone, and must take any: export it with a dynamic batch axis ({how})"


def _last(error: Exception) -> str:
    """The line of a message that says why: TorchScript's last, behind the code that it quotes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return named(lines[-1]) if lines else fault(error)
