"""A suite small enough to run in seconds, of a family that is picked by what it is."""

from __future__ import annotations

from bench import Reconstructor, Sequential
from bench.testing import family_for

IMAGE_FAMILY = family_for("image", Reconstructor).name  # any would do; an autoencoder is among the fastest
TEXT_FAMILY = family_for("text", Sequential).name
TEXT_MAKES = " or ".join(sorted(family_for("text", Sequential).modalities))
OURS = f"""[generators.ours]
family = "{IMAGE_FAMILY}"
preset = "test"
"""
SMALL = f"""
seeds = [0]
metrics = ["fd_lenet", "kid_lenet", "peak_gpu_bytes"]
[budget]
train_steps = 20
batch_size = 32
samples = 100
checkpoint_every = 5
[datasets.digits]
{OURS}"""
