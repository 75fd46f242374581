"""Consistency models by easy consistency tuning (Song et al. 2023, arXiv:2303.01469; Geng et al. 2024,
arXiv:2406.14548).

A consistency function f(x_t, t) gives, at every point of a path of the flow from noise to data, the path's end. It is 1
at t = 0, as EDM's denoiser is by its c_skip and c_out, and two points of a path have one answer:

    f(x_t, t) = f(x_r, r),    r < t

A denoiser is the case r = 0, which is learned first: the first ``denoising_share`` of the training is EDM's own, with
its loss. Then r comes nearer to t from stage to stage k, by

    r/t = 1 - q^-(k + 1) n(t),    n(t) = 1 + 8 sigmoid(-t)                        (arXiv:2406.14548, Appendix A)

with t in units of a sigma_data of 1/2, and the net learns to say at t what it says, its gradient stopped, at r, both
noised by one draw, with one draw of dropout:

    loss = E w(t, r) |f(x_t, t) - sg f(x_r, r)|,    w = 1 / (t - r),    ln t ~ N(p_mean, p_std^2)

One evaluation then takes noise at sigma_max to an image. With ``steps`` = 2 that image is noised again to ``middle``,
and taken back anew (Algorithm 1 of arXiv:2303.01469).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, Lt
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from bench import DataSpec, GenbenchError, Presets, Rows, generator
from generators._denoising import spread_out
from generators.edm import Preconditioned, denoised

PRESETS: Presets = {
    "test": {"width": 8, "patch": 4, "lr": 5e-3, "labels": True},
    "tiny": {
        "space": "latent",
        "width": 256,
        "depth": 4,
        "lr": 1e-3,
        "sigma_max": 20.0,
        "stages": 4,
        "base": 4.0,
        "tuned_mean": -1.6,  # on MNIST, 90 s of one core, the best of -2.2, -1.6, -1 and -0.4
    },
    "paper": {"width": 128, "dropout": 0.2, "lr": 1e-4, "ema_decay": 0.9999, "tuned_mean": -0.4, "tuned_std": 2.0},
}


SOFT = 1e-4  # the distance |.| is smooth below this


@generator(
    "consistency",
    modalities={"image"},
    paper="arXiv:2406.14548",
    presets=PRESETS,
    sampling=("guidance", "steps", "sigma_max", "middle"),
)
class Consistency(Preconditioned):
    """A denoiser that is tuned until one evaluation goes all the way.

    denoising_share, middle: see above. stages: of k, spread over the tuning; base: q. tuned_mean, tuned_std: of ln t in
    tuning. The rest as of ``generators/edm.py``. Levels are in units of the data's standard deviation. Raises
    GenbenchError where the second of two steps would begin at no less noise than the first.
    """

    presets = PRESETS
    dequantised = False

    def __init__(
        self,
        spec: DataSpec,
        *,
        denoising_share: Annotated[float, Gt(0), Lt(1)] = 0.4,
        stages: PositiveInt = 8,
        base: Annotated[float, Gt(1)] = 2.0,
        tuned_mean: float = -0.4,
        tuned_std: PositiveFloat = 2.0,
        steps: Literal[1, 2] = 1,
        sigma_max: PositiveFloat = 160.0,
        middle: PositiveFloat = 1.6,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        if steps == 2 and middle >= sigma_max:
            raise GenbenchError(
                f"consistency: the second step begins at middle = {middle:g}, and the first at sigma_max = "
                f"{sigma_max:g}: take a middle below it"
            )
        self.denoising_share, self.stages, self.base = denoising_share, stages, base
        self.tuned_mean, self.tuned_std = tuned_mean, tuned_std
        self.steps, self.levels = steps, [sigma_max, middle][:steps]
        self.stage = 0  # of the tuning; -1 before it

    @property
    def nfe(self) -> int:
        """Evaluations of the net a sample."""
        return self.steps * self.calls

    def slow(self, share: float) -> None:
        """First the denoiser is trained and then tuned, each with a rate that falls to nothing."""
        done = (share - self.denoising_share) / (1 - self.denoising_share)
        self.stage = -1 if done < 0 else min(self.stages - 1, int(done * self.stages))
        super().slow(share / self.denoising_share if done < 0 else done)

    def loss(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> Tensor:
        if self.stage < 0:
            return super().loss(x, label, rng)
        y = self.to_unit(x)
        t = (self.tuned_mean + self.tuned_std * torch.randn(len(y), generator=rng, device=rng.device)).exp()
        r = earlier(t, self.stage, self.base)
        noise = torch.randn(y.shape, generator=rng, device=rng.device)
        seed = int(torch.randint(2**31, (), generator=rng, device=rng.device))
        torch.manual_seed(seed)
        said = self.said(y, noise, t, label)
        torch.manual_seed(seed)
        with torch.no_grad():
            target = torch.where(spread_out(r > 0, y), self.said(y, noise, r.clamp(min=1e-6), label), y)
        error = (said - target).flatten(1).square().sum(1)
        distance: Tensor = (error + SOFT**2).sqrt() - SOFT
        loss: Tensor = (distance / (t - r)).mean() / y[0].numel() ** 0.5
        return loss

    def said(self, y: Tensor, noise: Tensor, sigma: Tensor, label: Tensor | None) -> Tensor:
        """f at y + sigma noise, by the net that learns."""
        return denoised(self.net, y + spread_out(sigma, y) * noise, sigma, label)

    def generate(self, rows: Rows, n: int, label: Tensor | None) -> Tensor:
        y = torch.zeros(n, *self.shape, device=self.device)
        for level in self.levels:
            noised = y + level * rows.normal(*self.shape).to(self.device)
            y = self.denoiser(label)(noised, torch.full((n,), level, device=self.device))
        return self.from_unit(y)


def earlier(t: Tensor, stage: int, base: float) -> Tensor:
    """r of t, ``(batch,)``: nearer to it with each stage, 0 where it would be less."""
    return (t * (1 - base ** -(stage + 1) * (1 + 8 * (-t / 2).sigmoid()))).clamp(min=0)
