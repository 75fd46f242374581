"""EDM: a denoiser of images at any noise level, and its sampler (Karras et al. 2022, arXiv:2206.00364).

Images y, brought to mean 0 and standard deviation 1, are seen with noise n ~ N(0, sigma^2 I). A denoiser

    D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)                                                           (Eq. 7)
    c_skip = 1 / (sigma^2 + 1),  c_out = sigma / sqrt(sigma^2 + 1),  c_in = 1 / sqrt(sigma^2 + 1),
    c_noise = ln(sigma) / 4

(Table 1, with sigma_data = 1) learns to undo it, all levels by a loss of the same size:

    loss = E lambda(sigma) |D(y + n; sigma) - y|^2,  lambda = 1 / c_out^2,  ln sigma ~ N(P_mean, P_std^2)       (Eq. 8)

Its minimum knows the score, grad log p(x; sigma) = (D(x; sigma) - x) / sigma^2 (Eq. 3), and with it the flow

    dx/dsigma = (x - D(x; sigma)) / sigma                                                                       (Eq. 1)

which is followed from noise at sigma_max to 0 by Heun's method over

    sigma_i = (sigma_max^(1/rho) + i/(N - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho,  sigma_N = 0         (Eq. 5)

(Algorithm 1), and from an image to noise for ``log_prob``. The paper's levels are for a sigma_data of 1/2: here they
are twice as large, in units of the data's own standard deviation, which is measured while it trains. So it fits images
that are dark or latents that are wide as they are.

sampler = "langevin"  annealed Langevin dynamics of the same net, with no training of its own (Song & Ermon 2019,
                      arXiv:1907.05600, Algorithm 1): at each of ``steps`` levels, which fall by a constant factor,
                      ``langevin_steps`` moves x + a/2 score + sqrt(a) z with a = ``snr`` sigma^2; a denoised end
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, Lt
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import DataSpec, GenbenchError, Presets, Rows, generator
from generators._denoising import Denoising, spread_out
from generators._labels import known
from generators._latent import WithDensity
from generators._ode import Field, Solver, evaluations, solve, solve_with_density

PRESETS: Presets = {
    "test": {
        "width": 8, "patch": 4, "lr": 5e-3, "labels": True,
        "steps": 2, "sigma_min": 1.0, "sigma_max": 4.0, "measured_steps": 2,
    },
    "tiny": {
        "space": "latent", "width": 256, "depth": 4, "lr": 2e-3, "steps": 10, "sigma_min": 0.02, "sigma_max": 20.0,
    },
    # a half-life of half a million images in batches of 512
    "paper": {"width": 128, "dropout": 0.13, "lr": 1e-3, "ema_decay": 0.9993},
}  # fmt: skip
SAMPLED = (
    "guidance", "sampler", "solver", "steps", "langevin_steps", "snr", "sigma_min", "sigma_max", "rho",
    "measured_steps",
)  # fmt: skip


class Preconditioned(Denoising):
    """A denoiser of data of any scale. p_mean, p_std: of the noise that it is trained on."""

    preconditioned = True
    time_scale = 1.0  # as in the authors' code: it is told ln(sigma) / 4

    def __init__(self, spec: DataSpec, *, p_mean: float = -0.5, p_std: PositiveFloat = 1.2, **rest: Any) -> None:
        super().__init__(spec, **rest)
        self.p_mean, self.p_std = p_mean, p_std
        kind = nn.BatchNorm1d if self.vae else nn.BatchNorm2d
        self.unit: nn.modules.batchnorm._BatchNorm = kind(self.shape[0], affine=False, momentum=None)

    def loss(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> Tensor:
        y, sigma = self.to_unit(x), self.noise_levels(len(x), rng)
        at = spread_out(sigma, y)
        noised = y + at * torch.randn(y.shape, generator=rng, device=rng.device)
        error = (denoised(self.net, noised, sigma, label) - y) / (at / (at.square() + 1).sqrt())  # over c_out
        return error.square().mean()

    def to_unit(self, x: Tensor) -> Tensor:
        """Of the space's own, what has mean 0 and standard deviation 1; both are those of all that was seen."""
        self.unit(x)  # which notes them
        mean, scale = self.scale(x)
        return (x - mean) / scale

    def noise_levels(self, n: int, rng: torch.Generator) -> Tensor:
        """sigma of a training step, ``(n,)``."""
        return (self.p_mean + self.p_std * torch.randn(n, generator=rng, device=rng.device)).exp()

    def from_unit(self, y: Tensor) -> Tensor:
        """Of what has mean 0 and standard deviation 1, the space's own."""
        mean, scale = self.scale(y)
        return y * scale + mean

    def scale(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the data, a channel or a latent, with as many axes as y."""
        mean, var = self.unit.running_mean, self.unit.running_var
        assert mean is not None and var is not None
        shape = (1, -1, *[1] * (y.ndim - 2))
        return mean.view(shape), (var + self.unit.eps).sqrt().view(shape)

    def denoiser(self, label: Tensor | None) -> Field:
        """D of the average, with guidance."""
        return lambda x, sigma: denoised(self.guided, x, sigma, label)


@generator("edm", modalities={"image"}, paper="arXiv:2206.00364", presets=PRESETS, sampling=SAMPLED)
class EDM(WithDensity, Preconditioned):
    """A preconditioned denoiser and the flow that follows from it.

    steps: N; solver: see ``generators/_ode.py``; sampler, langevin_steps, snr: see above. p_mean, p_std: of the noise
    that is trained on; sigma_min, sigma_max, rho: of a sample. measured_steps: of a likelihood. The rest as of
    ``generators/_denoising.py``. Levels are in units of the data's standard deviation. Raises GenbenchError for a
    sigma_min that is not below sigma_max, and for Langevin dynamics that cannot follow their levels.
    """

    presets = PRESETS

    def __init__(
        self,
        spec: DataSpec,
        *,
        sampler: Literal["flow", "langevin"] = "flow",
        solver: Solver = "heun",
        steps: PositiveInt = 18,
        langevin_steps: PositiveInt = 10,
        snr: Annotated[float, Gt(0), Lt(2)] = 0.3,
        sigma_min: PositiveFloat = 0.004,
        sigma_max: PositiveFloat = 160.0,
        rho: PositiveFloat = 7.0,
        measured_steps: PositiveInt = 20,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        if sigma_min >= sigma_max:
            raise GenbenchError(
                f"edm: noise falls from sigma_max = {sigma_max:g} to sigma_min = {sigma_min:g}: "
                "take a sigma_min below it"
            )
        fall = (sigma_max / sigma_min) ** (2 / max(1, steps - 1)) * (1 - snr / 2) ** (2 * langevin_steps)
        if sampler == "langevin" and fall >= 1:
            raise GenbenchError(
                f"edm: from level to level sigma falls faster than {langevin_steps} steps of Langevin dynamics follow: "
                "take more steps, more langevin_steps or a greater snr"
            )
        self.sampler, self.steps, self.measured_steps = sampler, steps, measured_steps
        self.solver: Solver = solver
        self.langevin_steps, self.snr = langevin_steps, snr
        self.sigma_min, self.sigma_max, self.rho = sigma_min, sigma_max, rho

    @property
    def nfe(self) -> int:
        """Evaluations of the net a sample."""
        if self.sampler == "langevin":
            return (self.steps * self.langevin_steps + 1) * self.calls
        return evaluations(self.steps, self.solver, open_end=True) * self.calls

    def generate(self, rows: Rows, n: int, label: Tensor | None) -> Tensor:
        noise = rows.normal(*self.shape).to(self.device)
        if self.sampler == "langevin":
            return self.from_unit(self.annealed(noise, rows, label))
        levels = self.levels(self.steps)
        return self.from_unit(solve(self.field(label), levels[0] * noise, levels, self.solver, open_end=True))

    def annealed(self, noise: Tensor, rows: Rows, label: Tensor | None) -> Tensor:
        """Annealed Langevin dynamics from the highest level, ``(n, *shape)``, and the denoiser's answer at its end."""
        low, high = self.sigma_min, self.sigma_max
        levels = torch.logspace(math.log10(high), math.log10(low), self.steps, device=self.device)
        x, denoise = levels[0] * noise, self.denoiser(label)
        for sigma in levels:
            for _ in range(self.langevin_steps):
                z = rows.normal(*self.shape).to(self.device)
                drift = denoise(x, sigma.expand(len(x))) - x  # sigma^2 times the score
                x = x + self.snr / 2 * drift + math.sqrt(self.snr) * sigma * z
        return denoise(x, levels[-1].expand(len(x)))

    def field(self, label: Tensor | None) -> Field:
        """Eq. 1."""
        return lambda x, sigma: (x - denoised(self.guided, x, sigma, label)) / spread_out(sigma, x)

    def levels(self, steps: int) -> Tensor:
        """Eq. 5, ``(steps + 1,)``, the last of them 0."""
        low, high = (end ** (1 / self.rho) for end in (self.sigma_min, self.sigma_max))
        found = torch.linspace(high, low, steps, device=self.device) ** self.rho
        return torch.cat([found, found.new_zeros(1)])

    @property
    def own_draws(self) -> int:
        return torch.Size(self.shape).numel()

    def density(self, x: Tensor, label: Tensor | None, noise: Tensor) -> Tensor:
        """Without guidance, of what has noise of sigma_min: where all images agree, a smaller one is narrower.

        By the angle of which sigma is the tangent: with w = x cos(angle) Eq. 1 becomes dw/d angle = -F(w; c_noise), in
        which nothing is divided by a small number. At sigma_max w is taken for N(0, I).
        """
        label, (mean, scale) = known(label, self.classes), self.scale(x)
        low, high = (math.atan(end) for end in (self.sigma_min, self.sigma_max))
        angles = torch.linspace(low**0.5, high**0.5, self.measured_steps + 1, device=x.device).square()
        start, probe = (x - mean) / scale * math.cos(low), noise.sign().view_as(x)
        end, change = solve_with_density(
            lambda w, angle: -self.average(w, angle.tan().log() / 4, label), start, angles, probe, "midpoint"
        )
        log_n = -0.5 * (end.double().square() + math.log(2 * math.pi)).flatten(1).sum(1)
        return log_n + change + x[0].numel() * math.log(math.cos(low)) - scale.log().expand_as(x[:1]).double().sum()


def denoised(net: Any, x: Tensor, sigma: Tensor, label: Tensor | None) -> Tensor:
    """D(x; sigma), of ``(batch, ...)`` and ``(batch,)`` (Eq. 7)."""
    at = spread_out(sigma, x)
    c_in = 1 / (at.square() + 1).sqrt()
    out: Tensor = c_in.square() * x + at * c_in * net(c_in * x, sigma.log() / 4, label)
    return out
