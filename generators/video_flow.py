"""Flow matching of whole clips: the straight paths of ``generators/flow_matching.py``, and a U-Net over space and time.

    x_t = (1 - t) x_0 + t x_1,    loss = E |v_net(x_t, t) - (x_1 - x_0)|^2,    x_1 a clip (frames, channels, h, w)

All frames are made together, so that time is an axis like those of space (Ho et al. 2022, arXiv:2204.03458, for
diffusion): nothing is predicted from what was made before, and no error grows from frame to frame.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench import Batch, DataSpec, GenbenchError, Presets, generator
from generators._clips import filled
from generators.flow_matching import FlowMatching

PRESETS: Presets = {
    "test": {"width": 8, "patch": 4, "lr": 5e-3, "steps": 2, "measured_steps": 2, "labels": True},
    "tiny": {"width": 32, "patch": 4, "lr": 2e-3, "solver": "midpoint", "steps": 10},
    "paper": {"width": 64, "patch": 2, "lr": 3e-4, "ema_decay": 0.9999, "steps": 50, "solver": "midpoint"},
}


@generator(
    "video_flow",
    modalities={"video"},
    paper="arXiv:2210.02747",
    presets=PRESETS,
    sampling=("guidance", "solver", "steps", "measured_steps"),
)
class VideoFlow(FlowMatching):
    """Straight paths from noise to whole clips.

    The rest as of ``generators/flow_matching.py``, at the pixels and with a U-Net. Raises GenbenchError for others.
    """

    def __init__(self, spec: DataSpec, **rest: Any) -> None:
        if rest.get("space", "pixels") != "pixels" or rest.get("net", "unet") != "unet":
            raise GenbenchError("a flow of clips has a U-Net at the pixels: leave out space and net")
        super().__init__(spec, **rest)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        return super().train_step(filled(batch), rng)

    def log_prob(self, batch: Batch) -> Tensor:
        return super().log_prob(filled(batch))

    def example_loss(self, batch: Batch) -> Tensor:
        return super().example_loss(filled(batch))
