"""A net from clips to clips that families which turn noise into data share."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from generators._nets import Residual, UNet


class VideoUNet(nn.Module):
    """A U-Net over space and time: convolutions of each frame and, behind each pair of them, one over the frames.

    A convolution of 3x3x3 in two parts (Tran et al. 2018, arXiv:1711.11248), as diffusion models of video take them
    (Ho et al. 2022, arXiv:2204.03458, section 3). Time is never made coarser: after eight of them a frame has seen
    eight frames on either side. channels, outside, and the rest: as of ``UNet``.
    """

    def __init__(self, frames: int, channels: int, outside: int | None = None, **rest: Any) -> None:
        super().__init__()
        self.net = net = UNet(channels, outside, **rest)
        net.down = nn.ModuleList(InTime(layer, frames) for layer in net.down)
        net.up = nn.ModuleList(InTime(layer, frames) for layer in net.up)
        for name in ("before", "after"):
            setattr(net, name, InTime(getattr(net, name), frames))

    def forward(self, x: Tensor, t: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """x: ``(batch, frames, channels, height, breadth)``; the output is of its shape."""
        frames = x.shape[1]
        of_frames = (None if part is None else part.repeat_interleave(frames, 0) for part in (t, label))
        out: Tensor = self.net(x.flatten(0, 1), *of_frames).view(x.shape[0], frames, -1, *x.shape[3:])
        return out


class InTime(nn.Module):
    """A layer of single frames, then what each place says to itself in the frame before and the frame after.

    That starts at zero, as a net of frames.
    """

    def __init__(self, layer: nn.Module, frames: int) -> None:
        super().__init__()
        assert isinstance(layer, Residual)
        self.layer, self.frames = layer, frames
        width = layer.told.out_features
        self.over_time = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))
        nn.init.zeros_(self.over_time.weight)
        nn.init.zeros_(self.over_time.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """x: ``(batch frames, width, height, breadth)``, the frames of a clip behind each other."""
        h = self.layer(x, told)
        clips = F.silu(h).unflatten(0, (-1, self.frames)).transpose(1, 2)  # (batch, width, frames, height, breadth)
        out: Tensor = h + self.over_time(clips).transpose(1, 2).flatten(0, 1)
        return out
