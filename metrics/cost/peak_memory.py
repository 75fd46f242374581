"""Peak memory of training and sampling, in the worker's own process; metrics not included."""

from __future__ import annotations

import torch

from bench import Estimate, Omitted, Trial, metric
from metrics.cost._cost import costs


@metric("peak_rss_bytes", aspect="efficiency", unit="B", better="lower", least=0, lead=2)
def peak_rss_bytes(trial: Trial) -> Estimate:
    """Largest resident set of the process, interpreter, libraries and data included."""
    return Estimate(value=costs(trial).peak_rss_bytes, n=1, protocol=trial.conditions)


@metric("peak_gpu_bytes", aspect="efficiency", unit="B", better="lower", least=0, exact=True)
def peak_gpu_bytes(trial: Trial) -> Estimate:
    """Most bytes that tensors held on the GPU at once, by its allocator: the same in every run on one kind."""
    spent = costs(trial)
    if spent.peak_gpu_bytes is None:
        raise Omitted(spent.why_no_gpu or "not measured")
    gpu = torch.cuda.get_device_name(trial.device) if trial.device.type == "cuda" else str(trial.device)
    return Estimate(value=spent.peak_gpu_bytes, n=1, protocol={**trial.conditions, "gpu": gpu})
