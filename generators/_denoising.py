"""What families that turn noise into images share: a net, labels, and how it is trained and asked.

At the pixels the net is a U-Net or a transformer over patches, in a latent space (``generators/_latent.py``) a residual
perceptron; its exponential moving average samples.

Labels are told, where ``labels`` asks for it and the data has some, withheld from ``label_dropout`` of the examples,
and followed with ``guidance`` (``generators/_labels.py``); with "captions" by their words, so that one which no example
had says something too (``generators/_captions.py``).

A family is its ``loss`` in this space and how it ``generate``s there.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Le, Lt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import DataSpec, Rows, Unsupported
from generators._dit import DiT
from generators._ema import averaged_copy
from generators._labels import LABEL_DROPOUT, classes_if, guided, twice, withheld
from generators._latent import InSpace
from generators._nets import ResidualMLP, UNet
from generators._schedule import descend
from generators._video_nets import VideoUNet

Net = Literal["unet", "dit"]


class Denoising(InSpace):
    """A net f(x, t, y) whose average samples.

    labels, label_dropout, guidance: see above. net: "unet" or "dit", at the pixels. width: channels of the U-Net at
    full size, or numbers that a layer of the others has; depth: layers of these. patch: squares of so many pixels a
    side are taken for one; left out: 1, of "dit" 4. lr: of the net. dropout: inside the U-Net. ema_decay: of the
    average. The rest as of ``generators/_latent.py``. times: how many numbers besides x the net is told, and time_scale
    of what order they are (see ``generators/_nets.py``). preconditioned: whether a share of x is added to what the net
    says. outputs: how many numbers it says for each of x. Raises GenbenchError for those of these settings that would
    have no effect, Unsupported for captions or guidance of data that has no such thing.
    """

    conditional = True
    times, time_scale, preconditioned = 1, 1000.0, False

    def __init__(
        self,
        spec: DataSpec,
        outputs: int = 1,
        *,
        net: Net = "unet",
        width: PositiveInt = 64,
        depth: PositiveInt = 4,
        patch: PositiveInt | None = None,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        labels: bool | Literal["captions"] = False,
        label_dropout: Annotated[float, Ge(0), Le(1)] = LABEL_DROPOUT,
        guidance: NonNegativeFloat = 1.0,
        lr: PositiveFloat = 1e-3,
        ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.995,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        self.classes = classes_if(labels, spec, label_dropout, guidance)
        self.conditional = bool(self.classes)
        if self.vae is not None:
            why = 'pixels alone have it, leave it out or take space = "pixels"'
            self.refuse_idle(Denoising, why, net=net, patch=patch, dropout=dropout)
        elif net == "unet":
            self.refuse_idle(Denoising, "a U-Net has none, leave it out", depth=depth)
        self.label_dropout, self.guidance = label_dropout, guidance
        self.net: nn.Module
        given: dict[str, Any] = {"times": self.times, "time_scale": self.time_scale, "classes": self.classes}
        given |= {"captions": _read(spec) if labels == "captions" else None}
        if self.vae is not None:
            given |= {"width": width, "depth": depth, "through": not self.preconditioned}
            self.net = ResidualMLP(self.shape[0], outputs * self.shape[0], **given)
        else:
            given |= {"width": width, "dropout": dropout}
            self.net = _net_of_pixels(spec, net, outputs, depth, patch or (4 if net == "dit" else 1), given)
        self.average = averaged_copy(self.net, ema_decay)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=lr, fused=True)

    @abstractmethod
    def loss(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> Tensor:
        """What the net lowers, a mean over a batch ``(batch, *shape)`` of the space; a label of ``classes`` is none."""

    @abstractmethod
    def generate(self, rows: Rows, n: int, label: Tensor | None) -> Tensor:
        """n examples of the space, ``(n, *shape)``, by the average."""

    def learn(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> float:
        loss = self.loss(x, withheld(label, self.classes, self.label_dropout, rng), rng)
        descend(self.optimiser, loss, max_norm=1.0)
        self.average.update_parameters(self.net)
        return loss.item()

    def draw(self, rows: Rows, n: int, condition: Tensor | None) -> Tensor:
        """Labels as asked for, or each as likely as any."""
        label = rows.labels(self.classes, condition).to(self.device) if self.classes else None
        return self.generate(rows, n, label)

    def guided(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        """What the average says; of as much of it as there is of x, with guidance. t: as the net takes it."""
        if label is None or self.guidance == 1:
            out: Tensor = self.average(x, t, label)
            return out
        both = self.average(torch.cat([x, x]), torch.cat([t, t]), twice(label, self.classes))
        first = guided(both[:, : x.shape[1]], self.guidance)
        return torch.cat([first, both[: len(x), x.shape[1] :]], dim=1)

    @property
    def calls(self) -> int:
        """Evaluations of the net by ``guided``."""
        return 1 if self.guidance == 1 else 2


def _read(spec: DataSpec) -> tuple[str, ...]:
    if spec.captions is None:
        raise Unsupported('labels = "captions": nobody named the classes of this data; take labels = true')
    return spec.captions


def _net_of_pixels(spec: DataSpec, net: Net, outputs: int, depth: int, patch: int, given: dict[str, Any]) -> nn.Module:
    *frames, channels, height, breadth = spec.shape
    if height % patch or breadth % patch:
        raise Unsupported(f"patch = {patch}: sides must be multiples of it, and here they are {[height, breadth]}")
    if frames:
        return VideoUNet(frames[0], channels, outputs * channels, patch=patch, **given)
    if net == "dit":
        return DiT(spec.shape, outputs * channels, depth=depth, patch=patch, **given)
    return UNet(channels, outputs * channels, patch=patch, **given)


def spread_out(t: Tensor, x: Tensor) -> Tensor:
    """A number of each example, ``(batch,)``, with as many axes as x."""
    return t.view(-1, *[1] * (x.ndim - 1))
