"""Flow matching with straight paths (Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2023, arXiv:2209.03003).

Noise x_0 ~ N(0, I) and data x_1 are joined by a line, along which a point has one velocity:

    x_t = (1 - t) x_0 + t x_1,    v = x_1 - x_0                  (optimal-transport paths, Eqs. 20 to 23, sigma_min = 0)
    loss = E |v_net(x_t, t) - v|^2                                     t uniform in [0, 1]

Its minimum is the mean velocity of all lines through a point, and the flow dx/dt = v_net(x, t) carries N(0, I) to the
data. Samples follow it from t = 0 to 1 in ``steps`` steps; ``log_prob`` goes back along it:

    log p(x_1) = log N(x_0; 0, I) - int_0^1 div v_net(x_t, t) dt                                        (Appendix C)

by steps that become smaller towards the data, where a flow to narrow peaks is steepest.

predict = "x"        the net says x_1, and v = (x_1 - x_t) / (1 - t), of which the loss stays (Li & He 2025,
                     arXiv:2511.13720): for small nets on large patches; in the loss 1 - t is not let below 0.05
coupling = "optimal_transport"   noise and data of a batch are paired so that lines are short: the assignment of least
                     squared distance (Pooladian et al. 2023, arXiv:2304.14772; Tong et al. 2024, arXiv:2302.00482),
                     within each label where labels are told
time_law = "logit_normal"   t by sigmoid(N(0, 1)), more often in the middle, where it is hard (Esser et al. 2024,
                     arXiv:2403.03206, section 3.1)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, Lt
from pydantic import PositiveInt
from torch import Tensor

from bench import DataSpec, Omitted, Presets, Rows, generator
from generators._denoising import Denoising, spread_out
from generators._labels import known
from generators._latent import WithDensity
from generators._ode import Field, Solver, evaluations, solve, solve_with_density

PRESETS: Presets = {
    "test": {"width": 8, "patch": 4, "lr": 5e-3, "steps": 2, "measured_steps": 2, "labels": True},
    "tiny": {"space": "latent", "width": 256, "depth": 4, "lr": 2e-3, "solver": "midpoint", "steps": 10},
    "paper": {"width": 128, "dropout": 0.1, "lr": 5e-4, "ema_decay": 0.9999, "steps": 50, "solver": "midpoint"},
}
Net = Callable[[Tensor, Tensor, Tensor | None], Tensor]
AT_ONCE = 256  # pairs that are made together
NEAREST = 0.05  # in a loss the end of the way is not let nearer than this where the net says x


@generator(
    "flow_matching",
    modalities={"image"},
    paper="arXiv:2210.02747",
    presets=PRESETS,
    sampling=("guidance", "solver", "steps", "measured_steps"),
)
class FlowMatching(WithDensity, Denoising):
    """Straight paths from noise to data.

    predict, coupling, time_law: see above. solver, steps: of a sample (see ``generators/_ode.py``); measured_steps: of
    a likelihood, by midpoints: as many as it takes for it to stand still. The rest as of ``generators/_denoising.py``.
    """

    presets = PRESETS

    def __init__(
        self,
        spec: DataSpec,
        *,
        predict: Literal["v", "x"] = "v",
        coupling: Literal["independent", "optimal_transport"] = "independent",
        time_law: Literal["uniform", "logit_normal"] = "uniform",
        solver: Solver = "euler",
        steps: PositiveInt = 20,
        measured_steps: PositiveInt = 20,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        self.predict, self.coupling, self.time_law = predict, coupling, time_law
        self.solver: Solver = solver
        self.steps, self.measured_steps = steps, measured_steps

    @property
    def nfe(self) -> int:
        """Evaluations of the net a sample."""
        return evaluations(self.steps, self.solver, open_end=self.predict == "x") * self.calls

    def loss(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> Tensor:
        noise = torch.randn(x.shape, generator=rng, device=rng.device)
        if self.coupling == "optimal_transport":
            noise = noise[nearest(noise, x, label)]
        return self.error(noise, x, self.times_of(len(x), rng), label)

    def times_of(self, n: int, rng: torch.Generator) -> Tensor:
        """t of a training step, ``(n,)``, by ``time_law``."""
        if self.time_law == "logit_normal":
            return torch.randn(n, generator=rng, device=rng.device).sigmoid()
        return torch.rand(n, generator=rng, device=rng.device)

    def error(self, noise: Tensor, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        """Mean squared error of the velocity on lines from noise to x."""
        at = spread_out(t, x)
        seen = (1 - at) * noise + at * x
        v = self.velocity(self.net(seen, t, label), seen, t, nearest=NEAREST)
        return (v - (x - noise)).square().mean()

    def generate(self, rows: Rows, n: int, label: Tensor | None) -> Tensor:
        noise, times = rows.normal(*self.shape).to(self.device), torch.linspace(0, 1, self.steps + 1)
        open_end = self.predict == "x"  # where a net says x, no velocity follows at x itself
        return solve(self.field(self.guided, label), noise, times.to(self.device), self.solver, open_end=open_end)

    def field(self, net: Net, label: Tensor | None) -> Field:
        """The velocity by what ``net`` says of x, t and a label."""
        return lambda x, t: self.velocity(net(x, t, label), x, t)

    def velocity(self, out: Tensor, x: Tensor, t: Tensor, *, nearest: float = 0.0) -> Tensor:
        """Of what the net says at x ``(batch, *shape)``, t ``(batch,)``."""
        return out if self.predict == "v" else (out - x) / spread_out((1 - t).clamp(min=nearest), x)

    @property
    def own_draws(self) -> int:
        return torch.Size(self.shape).numel()

    def density(self, x: Tensor, label: Tensor | None, noise: Tensor) -> Tensor:
        """Without guidance. Raises Omitted where the net says x: at t = 1 it says no velocity."""
        if self.predict == "x":
            raise Omitted(
                'with predict = "x" its net says no velocity at the image itself, where a likelihood begins: '
                'set predict = "v"'
            )
        times = 1 - torch.linspace(0, 1, self.measured_steps + 1, device=x.device).square()
        field = self.field(self.average, known(label, self.classes))
        start, change = solve_with_density(field, x, times, noise.sign().view_as(x), "midpoint")
        return change - 0.5 * (start.double().square() + math.log(2 * math.pi)).flatten(1).sum(1)


def nearest(noise: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
    """Which row of noise goes with each of x, ``(batch,)``: those pairs whose squared distances sum to the least.

    Of a label, pairs are among its own rows: else noise would tell of the label, which it does not when sampling.
    """
    from scipy.optimize import linear_sum_assignment  # a fifth of a second to import

    order = torch.arange(len(x))
    labels = torch.zeros_like(order) if label is None else label.cpu()
    for y in labels.unique():
        mine = (labels == y).nonzero().squeeze(1)
        cost = torch.cdist(x[mine].flatten(1), noise[mine].flatten(1)).square()
        order[mine] = mine[torch.from_numpy(linear_sum_assignment(cost.cpu().numpy())[1])]
    return order.to(x.device)


REFLOW: Presets = {
    "test": {**PRESETS["test"], "pool": 16, "fresh": 4, "teacher_steps": 2},
    "tiny": {**PRESETS["tiny"], "steps": 1, "solver": "euler"},
    "paper": {**PRESETS["paper"], "steps": 1, "solver": "euler", "pool": 8192},
}


@generator(
    "rectified_flow",
    modalities={"image"},
    paper="arXiv:2209.03003",
    presets=REFLOW,
    sampling=("guidance", "solver", "steps", "measured_steps"),
)
class RectifiedFlow(FlowMatching):
    """A flow that is made straight by learning its own pairs of noise and end (reflow), so that few steps follow it.

    The first ``first_share`` of the training is flow matching. Then the flow as it is makes pairs (x_0, x_1), in
    ``teacher_steps`` midpoint steps, and the net goes on with lines between those (section 2.2): as no two of them
    cross, each point has one velocity. Either part has a rate that falls to nothing. pool: of pairs that it learns
    from, full at first, of which ``fresh`` are made anew in each step.
    """

    presets = REFLOW

    def __init__(
        self,
        spec: DataSpec,
        *,
        first_share: Annotated[float, Gt(0), Lt(1)] = 0.5,
        teacher_steps: PositiveInt = 8,
        pool: PositiveInt = 2048,
        fresh: PositiveInt = 16,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        self.first_share, self.teacher_steps, self.fresh = first_share, teacher_steps, fresh
        self.teacher = copy.deepcopy(self.average)
        self.pairs: Tensor
        self.pair_labels: Tensor
        self.register_buffer("pairs", torch.zeros(2, pool, *self.shape))
        self.register_buffer("pair_labels", torch.full((pool,), self.classes or 0))
        self.made, self.straightening = 0, False

    def slow(self, share: float) -> None:
        self.straightening = share >= self.first_share
        done = (share - self.first_share) / (1 - self.first_share)
        super().slow(done if self.straightening else share / self.first_share)

    def loss(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> Tensor:
        if not self.straightening:
            return super().loss(x, label, rng)
        self.make_pairs(label, rng)
        which = torch.randint(self.pairs.shape[1], (len(x),), generator=rng, device=rng.device)
        noise, end = self.pairs[:, which]
        return self.error(noise, end, self.times_of(len(x), rng), self.pair_labels[which] if self.classes else None)

    @torch.no_grad()
    def make_pairs(self, label: Tensor | None, rng: torch.Generator) -> None:
        """Put new pairs in the place of the oldest, by the average as it was when the first were made."""
        pool, device = self.pairs.shape[1], self.pairs.device
        if not self.made:
            self.teacher.load_state_dict(self.average.state_dict())
        many = self.fresh if self.made else pool
        times = torch.linspace(0, 1, self.teacher_steps + 1, device=device)
        for places in ((self.made + torch.arange(min(many, pool), device=device)) % pool).split(AT_ONCE):
            noise = torch.randn(len(places), *self.shape, generator=rng, device=rng.device)
            told = None if label is None else label[torch.arange(len(places), device=device) % len(label)]
            end = solve(self.field(self.teacher.eval(), told), noise, times, "midpoint")
            self.pairs[0, places], self.pairs[1, places] = noise, end
            if told is not None:
                self.pair_labels[places] = told
        self.made += min(many, pool)
