"""Denoising diffusion (Ho et al. 2020, arXiv:2006.11239), with what was made of it.

An image x_0 is drowned in noise by T steps, q(x_t|x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I) (Eq. 4), and a net learns
to take steps back, p(x_{t-1}|x_t) = N(mu(x_t, t), sigma_t^2 I), by telling the noise:

    loss = E |eps - eps_net(sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, t)|^2,   t uniform in 1 .. T              (Eq. 14)

schedule       "linear": beta_t from 1e-4 to 0.02 (section 4); "cosine": abar_t = f(t) / f(0) with f(t) =
               cos^2((t/T + s) / (1 + s) pi/2), s = 0.008 (Nichol & Dhariwal 2021, arXiv:2102.09672, Eq. 17)
predict        what the net tells: "eps"; or "v" = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0 (Salimans & Ho 2022,
               arXiv:2202.00512, Appendix D), of which x_0 can be told at every t
variance       sigma_t^2: "small", (1 - abar_{t-1}) / (1 - abar_t) beta_t; "large", beta_t; or "learned": between both
               by a share that the net tells, exp(v log beta_t + (1 - v) log small) (arXiv:2102.09672, Eq. 15), which
               learns by the bound, a thousandth of it beside the loss (Eq. 16), and moves nothing else

Samples take ``steps`` of the T steps back, x_0 told and clipped first where they are pixels:

    x_s = sqrt(abar_s) x_0 + sqrt(1 - abar_s - sigma^2) eps + sigma z,
    sigma = eta sqrt((1 - abar_s) / (1 - abar_t)) sqrt(1 - abar_t / abar_s)              (Song et al. 2021, Eqs. 12, 16)

which is DDPM for eta = 1 and s = t - 1, and DDIM, without any chance, for eta = 0 (arXiv:2010.02502).

``log_prob`` is the variational bound on the mass of the 256 levels (Eq. 5): L_T, of noise; a divergence of two
Gaussians for each t > 1; and for t = 1 the mass that p(x_0|x_1) gives to the level's cell (Eq. 13). Of the T - 1
divergences ``measured_steps`` are taken, evenly spread from a start that the image itself decides, each for its share.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Le
from pydantic import PositiveInt
from torch import Tensor

from bench import DataSpec, GenbenchError, Presets, Rows, generator, spacing
from generators._denoising import Denoising, spread_out
from generators._labels import known
from generators._latent import WithDensity

PRESETS: Presets = {
    "test": {
        "width": 8,
        "patch": 4,
        "lr": 5e-3,
        "steps": 2,
        "noise_steps": 12,
        "measured_steps": 9,
        "labels": True,
        "predict": "v",
        "variance": "learned",
    },
    "tiny": {
        "space": "latent",
        "width": 256,
        "depth": 4,
        "lr": 2e-3,
        "schedule": "cosine",
        "predict": "v",
        "steps": 20,
    },
    "paper": {"width": 128, "dropout": 0.1, "lr": 2e-4, "ema_decay": 0.9999, "steps": 1000, "eta": 1.0},
}
CUT = 0.999  # of betas, at most: so that some of the image is left at the last step


@generator(
    "ddpm",
    modalities={"image"},
    paper="arXiv:2006.11239",
    presets=PRESETS,
    sampling=("guidance", "steps", "eta", "measured_steps"),
)
class DDPM(WithDensity, Denoising):
    """Diffusion in ``noise_steps`` (T) and back in ``steps`` of them.

    schedule, predict, variance, eta: see above. measured_steps: of the bound's terms. The rest as of
    ``generators/_denoising.py``. Raises GenbenchError for more steps than there are, and for "cosine" with "eps"
    among latents: nothing is clipped there, and an error of eps at T = 1000 is 20,000 times as large in x_0.
    """

    presets = PRESETS
    dequantised = False

    def __init__(
        self,
        spec: DataSpec,
        *,
        noise_steps: Annotated[int, Ge(2)] = 1000,
        schedule: Literal["linear", "cosine"] = "linear",
        predict: Literal["eps", "v"] = "eps",
        variance: Literal["small", "large", "learned"] = "small",
        steps: PositiveInt = 50,
        eta: Annotated[float, Ge(0), Le(1)] = 0.0,
        measured_steps: PositiveInt = 20,
        **rest: Any,
    ) -> None:
        if max(steps, measured_steps + 1) > noise_steps:
            raise GenbenchError(
                f"ddpm: steps = {steps} and measured_steps + 1 = {measured_steps + 1} are steps of noise_steps = "
                f"{noise_steps}: at most so many"
            )
        if rest.get("space") == "latent" and schedule == "cosine" and predict == "eps":
            raise GenbenchError(
                'ddpm: among latents schedule = "cosine" makes far too much of an error in eps at the first step back: '
                'take predict = "v"'
            )
        super().__init__(spec, 2 if variance == "learned" else 1, **rest)
        self.predict, self.variance = predict, variance
        self.noise_steps, self.steps, self.eta, self.measured_steps = noise_steps, steps, eta, measured_steps
        self.alpha_bar: Tensor  # abar_0 .. abar_T, in float64: of their quotients the betas are made
        self.register_buffer("alpha_bar", alpha_bars(noise_steps, schedule), persistent=False)

    @property
    def nfe(self) -> int:
        """Evaluations of the net a sample."""
        return self.steps * self.calls

    def loss(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> Tensor:
        t = torch.randint(1, self.noise_steps + 1, (len(x),), generator=rng, device=rng.device)
        eps = torch.randn(x.shape, generator=rng, device=rng.device)
        signal, noise = self.scales(t, x)
        seen = signal * x + noise * eps
        out, share = self.parts_of(self.net(seen, t / self.noise_steps, label))
        loss = (out - (eps if self.predict == "eps" else signal * eps - noise * x)).square().mean()
        if share is None:
            return loss
        nats = self.nats(x, t, self.x0(out.detach(), seen, t), share)
        return loss + nats.mean() * self.noise_steps / 1000 / x[0].numel()

    def generate(self, rows: Rows, n: int, label: Tensor | None) -> Tensor:
        x = rows.normal(*self.shape).to(self.device)
        way = torch.linspace(self.noise_steps, 0, self.steps + 1).round().long().to(self.device)
        for t, s in pairwise(way.split(1)):
            at = t.expand(n)
            out, share = self.parts_of(self.guided(x, at / self.noise_steps, label))
            x0 = self.x0(out, x, at)
            if not s:
                return x0
            x = self.step_back(x, x0, t, s, *self.variances(t, s, share), rows)
        return x

    def step_back(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor, small: Tensor, wide: Tensor, rows: Rows) -> Tensor:
        """x_s of x_t and the image that the net tells of, by the variances of eta = 1."""
        signal, noise = self.scales(t.expand(len(x)), x)
        eps = (x - signal * x0) / noise  # anew: x0 may have been clipped
        rest = (1 - self.alpha_bar[s] - self.eta**2 * small).clamp(min=0)
        x = self.alpha_bar[s].sqrt().to(x) * x0 + rest.sqrt().to(x) * eps
        return x + self.eta * wide.sqrt().to(x) * rows.normal(*self.shape).to(x) if self.eta else x

    def parts_of(self, out: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the net says of the image and, where it learns that, of the variance: a share in [0, 1]."""
        if self.variance != "learned":
            return out, None
        first, share = out.chunk(2, dim=1)
        return first, (share + 1) / 2

    def x0(self, out: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """The image that the net tells of, clipped where it is one."""
        signal, noise = self.scales(t, x)
        x0 = (x - noise * out) / signal if self.predict == "eps" else signal * x - noise * out
        return x0 if self.vae else x0.clamp(-1, 1)

    def scales(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(abar_t) and sqrt(1 - abar_t), with as many axes as x."""
        kept = spread_out(self.alpha_bar[t], x)
        return kept.sqrt().float(), (1 - kept).sqrt().float()

    def variances(self, t: Tensor, s: Tensor, share: Tensor | None) -> tuple[Tensor, Tensor]:
        """sigma^2 of eta = 1 in a step from t to s, and what ``variance`` makes of it; with as many axes as share."""
        large = 1 - self.alpha_bar[t] / self.alpha_bar[s]
        # At s = 0 there is none, whose logarithm no net could weigh: there that of one step more is taken.
        first = s.clamp(min=1)
        before, after = self.alpha_bar[first], self.alpha_bar[first + (t - s)]
        small = (1 - before) / (1 - after) * (1 - after / before)
        if share is None:
            return small, small if self.variance == "small" else large
        small, large = spread_out(small, share), spread_out(large, share)
        return small, (share * large.log() + (1 - share) * small.log()).exp()

    @property
    def bound(self) -> bool:
        return True

    @property
    def log_prob_of(self) -> Literal["mass", "density"]:
        return "mass" if self.vae is None else super().log_prob_of

    @property
    def own_draws(self) -> int:
        return 1 + (self.measured_steps + 1) * torch.Size(self.shape).numel()

    def density(self, x: Tensor, label: Tensor | None, noise: Tensor) -> Tensor:
        """The bound: of pixels on their mass, of latents on their density."""
        label, terms = known(label, self.classes), self.measured_steps
        start = 0.5 * (1 + torch.erf(noise[:, 0] / math.sqrt(2)))  # uniform
        eps = noise[:, 1:].unflatten(1, (terms + 1, *x.shape[1:]))
        last = self.alpha_bar[-1]
        total = 0.5 * (last * x.double().square() - last - (1 - last).log()).flatten(1).sum(1)  # L_T
        stride = (self.noise_steps - 1) / terms  # the first term is that of t = 1, the others stand for all from 2 to T
        for i in range(terms + 1):
            t = 2 + ((i - 1 + start) * stride).floor().long().clamp(max=self.noise_steps - 2)
            t = t if i else torch.ones_like(t)
            signal, sigma = self.scales(t, x)
            seen = signal * x + sigma * eps[:, i]
            out, share = self.parts_of(self.average(seen, t / self.noise_steps, label))
            total += self.nats(x, t, self.x0(out, seen, t), share) * (stride if i else 1)
        return -total

    def nats(self, x: Tensor, t: Tensor, x0: Tensor, share: Tensor | None) -> Tensor:
        """The term of the bound for t, ``(batch,)`` float64: of the image x, where the net tells of x0."""
        variance, modelled = (spread_out(v, x) if v.ndim == 1 else v for v in self.variances(t, t - 1, share))
        at, before = spread_out(self.alpha_bar[t], x), spread_out(self.alpha_bar[t - 1], x)
        # mean of q(x_{t-1}|x_t, x_0) (Eq. 7): of its two parts the one that holds x_0 differs
        off = before.sqrt() * (1 - at / before) / (1 - at) * (x - x0)
        divergence = 0.5 * ((modelled / variance).log() + (variance + off.square()) / modelled - 1)
        first = self.log_cell(x, x - off, modelled)  # at t = 1 the mean is x0 itself
        return torch.where(spread_out(t == 1, x), -first, divergence).flatten(1).sum(1)

    def log_cell(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        """log mass of the cell of each level of x under N(mean, var) (Eq. 13), float64; of latents the log density."""
        if self.vae is not None:
            return -0.5 * ((x - mean).square() / var + (2 * math.pi * var).log())
        half, scale = spacing() / 2, var.sqrt()
        above, below = ((x + sign * half - mean) / scale for sign in (1, -1))
        upper = torch.where(x > 1 - half, torch.inf, above)
        lower = torch.where(x < -1 + half, -torch.inf, below)
        # of the two tails the one that is further from 1 is subtracted, which loses no digits
        flip = mean > x
        upper, lower = torch.where(flip, upper, -lower), torch.where(flip, lower, -upper)
        log_upper, log_lower = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
        log_p: Tensor = log_upper + torch.log1p(-(log_lower - log_upper).exp())
        return log_p


def alpha_bars(steps: int, schedule: Literal["linear", "cosine"]) -> Tensor:
    """abar_0 .. abar_T, ``(steps + 1,)`` float64; for T other than 1000 linear betas are scaled to end alike."""
    if schedule == "linear":
        betas = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * 1000 / steps
    else:
        f = torch.cos((torch.arange(steps + 1, dtype=torch.float64) / steps + 0.008) / 1.008 * math.pi / 2).square()
        betas = 1 - f[1:] / f[:-1]
    kept = (1 - betas.clamp(max=CUT)).cumprod(0)
    return torch.cat([kept.new_ones(1), kept])
