"""Mean flow: the average velocity of a flow, learned from nothing but data (Geng et al. 2025, arXiv:2505.13447).

On the way z_t = (1 - t) x + t e from data x to noise e, with v = e - x, the average velocity from r to t

    u(z_t, r, t) = 1/(t - r) int_r^t v(z_s, s) ds                                                               (Eq. 3)

takes a point from t to r in one step, z_r = z_t - (t - r) u, and so noise to data: x = e - u(e, 0, 1) (Eq. 12). It is
learned without an integral, by what differentiating it gives:

    u(z_t, r, t) = v(z_t, t) - (t - r) d/dt u(z_t, r, t),    d/dt u = v d_z u + d_t u                       (Eqs. 6, 8)

The total derivative is a product of Jacobian and vector, forward through the net, along (v, 0, 1).

objective = "original"   u learns sg(v - (t - r) d/dt u) with the v of the pair, e - x                 (Eqs. 9, 10)
objective = "improved"   V = u + (t - r) sg(d/dt u) learns e - x, which no net moves; the derivative is along the net's
                         own v = u(z_t, t, t), as the one of a pair is no function of z_t (Geng et al. 2025,
                         arXiv:2512.02012, section 4.1)

Errors are weighed by 1 / (|error|^2 + c)^p (section 4.3); what is reported is their square. r and t are two draws of
sigmoid(N(mean, std^2)), in order, and r = t for a share 1 - ``unequal``. With guidance w the velocity is w v + (1 - w)
u(z_t, t, t) without the label, in training (section 4.2): one evaluation samples, and another w is another training.

With ``guidance_to`` = W the net is told w too, as 1 - 1/w, and sampling says which (arXiv:2512.02012, "improved"). In
training w is drawn from a density of 1/w in [1, W], for a label c, and learned is

    v + (1 - 1/w) (u(z_t, t, t | c, w) - u(z_t, t, t | none, 1)),    at rest w v(z_t, t | c) + (1 - w) v(z_t, t | none)

with law, number and target those of the authors' code (W = 8 there). Ours: without a label w is 1, guidance holds at
all t, where the paper tells an interval of them too, and u itself says v, which has a head of its own there.
"""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench import DataSpec, GenbenchError, Presets, Rows, Unsupported, generator
from generators._denoising import Denoising, spread_out
from generators._labels import twice

PRESETS: Presets = {
    "test": {"width": 8, "patch": 4, "lr": 5e-3, "labels": True, "guidance_to": 4.0},
    "tiny": {"space": "latent", "width": 256, "depth": 4, "lr": 2e-3, "t_std": 1.6},
    "paper": {
        "objective": "original",
        "width": 128,
        "dropout": 0.2,
        "lr": 6e-4,
        "ema_decay": 0.9999,
        "power": 0.75,
        "unequal": 0.75,
        "t_mean": -2.0,
        "t_std": 2.0,
    },
}
SAMPLED = ("steps", "sample_guidance")
ADDED = 1e-3  # c


@generator("mean_flow", modalities={"image"}, paper="arXiv:2505.13447", presets=PRESETS, sampling=SAMPLED)
class MeanFlow(Denoising):
    """One step from noise to data, or ``steps``.

    objective, guidance, guidance_to: see above; guidance_to says nothing of data without labels. sample_guidance: the w
    that samples follow, from 1 to guidance_to. unequal: share of pairs with r < t. t_mean, t_std: of the draws before
    the sigmoid. power: p. The rest as of ``generators/_denoising.py``. Raises GenbenchError for a w of which the net is
    not told, Unsupported for one of data without labels.
    """

    presets = PRESETS
    times, time_scale = 2, 1.0
    dequantised = False

    def __init__(
        self,
        spec: DataSpec,
        *,
        objective: Literal["improved", "original"] = "improved",
        unequal: Annotated[float, Ge(0), Le(1)] = 0.5,
        t_mean: float = -0.4,
        t_std: PositiveFloat = 1.0,
        power: NonNegativeFloat = 1.0,
        guidance_to: Annotated[float, Gt(1)] | None = None,
        steps: PositiveInt = 1,
        sample_guidance: Annotated[float, Ge(1)] = 1.0,
        **rest: Any,
    ) -> None:
        if guidance_to and (objective == "original" or not rest.get("labels") or rest.get("guidance", 1) != 1):
            raise GenbenchError(
                "mean_flow: with guidance_to the net is told how much guidance: take labels = true and objective = "
                '"improved", and leave guidance out'
            )
        if sample_guidance > (guidance_to or 1):
            raise GenbenchError(
                f"mean_flow: sample_guidance = {sample_guidance:g}: the net is told of 1 to guidance_to, which is "
                f"{guidance_to or 'left out'}: set it to so much"
            )
        if sample_guidance != 1 and not spec.classes:
            raise Unsupported(f"sample_guidance = {sample_guidance:g} is that of labels, and the data has none")
        self.guidance_to = guidance_to if spec.classes else None
        self.times = 3 if self.guidance_to else 2
        super().__init__(spec, **rest)
        self.sample_guidance = sample_guidance
        self.objective, self.unequal, self.power, self.steps = objective, unequal, power, steps
        self.t_mean, self.t_std = t_mean, t_std

    @property
    def nfe(self) -> int:
        """Evaluations of the net a sample; guidance costs none."""
        return self.steps

    def loss(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> Tensor:
        noise = torch.randn(x.shape, generator=rng, device=rng.device)
        drawn = torch.randn(2, len(x), generator=rng, device=rng.device)
        r, t = (self.t_mean + self.t_std * drawn).sigmoid().sort(0).values
        r = torch.where(torch.rand(len(x), generator=rng, device=rng.device) < self.unequal, r, t)
        at, w = spread_out(t, x), self.weights(label, rng)
        z, v = (1 - at) * x + at * noise, noise - x
        error = velocity_error(
            lambda z, r, t: self.net(z, told(t, r, w), label),
            z, r, t, self.guided_velocity(z, t, v, label, w), improved=self.objective == "improved",
        )  # fmt: skip
        squared = error.square().flatten(1).sum(1)
        weighed = (squared / (squared.detach() + ADDED) ** self.power).mean()
        return weighed + (squared.mean() - weighed).detach()  # the gradient of one, the value of the other

    def weights(self, label: Tensor | None, rng: torch.Generator) -> Tensor | None:
        """w of a training step, ``(batch,)``, 1 without a label; None where the net is not told it."""
        if label is None or self.guidance_to is None:
            return None
        share = torch.rand(len(label), generator=rng, device=rng.device)
        return (share * math.log(self.guidance_to)).exp().masked_fill(label.eq(self.classes or 0), 1)

    @torch.no_grad()
    def guided_velocity(self, z: Tensor, t: Tensor, v: Tensor, label: Tensor | None, w: Tensor | None = None) -> Tensor:
        """What is learned at z: w v + (1 - w) of what the net says without the label, or, where it is told w, as above;
        v where no label is told.
        """
        if label is None or (w is None and self.guidance == 1):
            return v
        if w is not None:
            numbers = torch.cat([told(t, t, w), told(t, t, torch.ones_like(w))])
            said, untold = self.net(torch.cat([z, z]), numbers, twice(label, self.classes)).chunk(2)
            guided: Tensor = v + spread_out(1 - 1 / w, z) * (said - untold)
            return guided
        none = torch.full_like(label, self.classes or 0)
        untold = self.net(z, told(t, t), none)
        return torch.where(spread_out(label == none, z), v, self.guidance * v + (1 - self.guidance) * untold)

    def generate(self, rows: Rows, n: int, label: Tensor | None) -> Tensor:
        z = rows.normal(*self.shape).to(self.device)
        w = torch.full((n,), self.sample_guidance, device=self.device) if self.guidance_to else None
        for t, r in pairwise(torch.linspace(1, 0, self.steps + 1, device=self.device)):
            z = z - (t - r) * self.average(z, told(t.expand(n), r.expand(n), w), label)
        return z


def told(t: Tensor, r: Tensor, w: Tensor | None = None) -> Tensor:
    """The numbers that the net is told, ``(batch, 2)``, or ``(batch, 3)`` with a weight of guidance."""
    return torch.stack([t, t - r] if w is None else [t, t - r, 1 - 1 / w], 1)


def velocity_error(u: Any, z: Tensor, r: Tensor, t: Tensor, v: Tensor, *, improved: bool) -> Tensor:
    """What u(z, r, t) is wrong by beside the velocity v at z; ``(batch, ...)``, r and t ``(batch,)``."""
    # In float32, for what is subtracted is near; by the one attention that has forward derivatives.
    with torch.autocast(z.device.type, enabled=False), sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.script.*", FutureWarning)  # which PyTorch itself calls here
        with torch.no_grad():
            along = u(z, t, t) if improved else v
        average, slope = torch.func.jvp(  # type: ignore[misc]
            u, (z, r, t), (along, torch.zeros_like(r), torch.ones_like(t))
        )
    out: Tensor = average + spread_out(t - r, z) * slope.detach() - v
    return out
