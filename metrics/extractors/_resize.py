"""Resizing by Pillow, plane by plane: what published distances rest on (Parmar et al. 2022, arXiv:2104.11222).

Rows are resized first, then columns, as two calls: one call on a picture that is not square chooses its order since
Pillow 13, and the order decides what is rounded (or overshoots) on the way. So every version gives the same pixels.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench import GenbenchError

Kernel = Literal["bicubic", "bilinear"]
_KERNELS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def resize(x: Tensor, size: tuple[int, int], kernel: Kernel) -> Tensor:
    """``(..., H, W)`` to ``(..., *size)``, antialiased, of the same type and on the same device.

    uint8 is rounded to whole levels after each axis, as Pillow does for bytes; float32 is not (its mode F), and may
    leave the range of its input. Raises GenbenchError for other types.
    """
    if x.dtype not in (torch.uint8, torch.float32):
        raise GenbenchError(f"images to resize must be uint8 or float32, got {x.dtype}")
    if x.shape[-2:] == size or not x.numel():
        return x.reshape(*x.shape[:-2], *size)
    planes = x.detach().cpu().flatten(0, -3).numpy()
    work = partial(_resize_plane, size=size, kernel=_KERNELS[kernel])
    if (threads := torch.get_num_threads()) == 1:
        done = list(map(work, planes))
    else:
        with ThreadPoolExecutor(threads) as pool:  # Pillow lets go of Python's lock while it resizes
            done = list(pool.map(work, planes))
    return torch.from_numpy(np.stack(done)).reshape(*x.shape[:-2], *size).to(x.device)


def shorter_side(x: Tensor, side: int, kernel: Kernel) -> Tensor:
    """Resize ``(..., H, W)`` so that its shorter side has this many pixels; the longer is cut to a whole number."""
    height, width = x.shape[-2:]
    longer = int(side * max(height, width) / min(height, width))
    return resize(x, (side, longer) if height <= width else (longer, side), kernel)


def centre_crop(x: Tensor, side: int) -> Tensor:
    """The middle ``side`` x ``side`` of ``(..., H, W)``; half a pixel is rounded to even, as torchvision does."""
    top, left = (round((length - side) / 2) for length in x.shape[-2:])
    return x[..., top : top + side, left : left + side]


def centre_square(x: Tensor) -> Tensor:
    """The largest square in the middle of ``(..., H, W)``; of an odd margin the smaller part is above and left."""
    height, width = x.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return x[..., top : top + side, left : left + side]


def _resize_plane(plane: np.ndarray, size: tuple[int, int], kernel: Image.Resampling) -> np.ndarray:
    """One ``(H, W)`` plane."""
    height, width = size
    across = Image.fromarray(np.ascontiguousarray(plane)).resize((width, plane.shape[0]), kernel)
    return np.asarray(across.resize((width, height), kernel))
