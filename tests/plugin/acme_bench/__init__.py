"""A generator, a metric and a dataset from outside, ten lines each; a command in a file of its own."""

import torch

from bench import Batch, Dataset, DataSpec, Estimate, ImageDataset, Trial, dataset, discover, generator, metric, normal


@generator("acme/mean", modalities={"image"}, presets={"test": {}})
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
        return (self.mean + self.noise * normal(rng, n, *self.mean.shape).to(self.mean.device)).clamp(-1, 1)


@metric("acme/brightness", on={"image"}, aspect="realism", unit="1", better="none")
def brightness(trial: Trial) -> Estimate:
    """Mean level of the samples, 0 to 255."""
    return Estimate(value=trial.samples.double().mean().item(), n=len(trial.samples))


@dataset("acme/stripes", modality="image")
def stripes(*, size: int = 8) -> Dataset:
    """Stripes of every width and place, without labels."""
    places = torch.arange(600 * size).view(600, 1, 1, size)
    waves = ((places * torch.linspace(0.1, 3, 600).view(-1, 1, 1, 1)).sin() * 127 + 128).byte()
    pixels = waves.expand(600, 1, size, size).numpy()
    return ImageDataset(
        "stripes", {"train": (pixels[::2], None), "valid": (pixels[1::4], None), "test": (pixels[3::4], None)}, None
    )


discover(__name__)
