"""A generator and a metric from outside, ten lines each."""

import torch

from bench import Batch, DataSpec, Estimate, Trial, generator, metric


@generator("acme/mean", modalities={"image"})
class MeanImage(torch.nn.Module):
    """Learns the mean image and draws it with a little noise."""

    def __init__(self, spec: DataSpec, *, noise: float = 0.1) -> None:
        super().__init__()
        self.noise = noise
        self.mean: torch.Tensor
        self.register_buffer("mean", torch.zeros(spec.shape))

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        self.mean.lerp_(batch.data.mean(0), 0.1)
        return {"loss": (batch.data - self.mean).square().mean().item()}

    def sample(self, n: int, rng: torch.Generator, condition: torch.Tensor | None = None) -> torch.Tensor:
        return (self.mean + self.noise * torch.randn(n, *self.mean.shape, generator=rng)).clamp(-1, 1)


@metric("acme/brightness", on={"image"}, aspect="realism", unit="1", better="none")
def brightness(trial: Trial) -> Estimate:
    """Mean level of the samples, 0 to 255."""
    return Estimate(value=trial.samples.double().mean().item(), n=len(trial.samples))
