"""Whether it is the GPU that takes the time, or the program that asks it."""

from __future__ import annotations

from bench import Estimate, Omitted, Trial, idle_share, metric
from metrics.cost._cost import draw_anew
from metrics.cost.throughput import offline


@metric("host_bound", aspect="efficiency", unit="1", better="lower", least=0, most=1, asked=True)
def host_bound(trial: Trial) -> Estimate:
    """Share of the time of batch after batch in which no kernel runs on the GPU (torch.profiler)."""
    if trial.device.type != "cuda":
        raise Omitted("no GPU was used: the host does all of it")
    size, _ = offline(trial)  # warmed up by it
    share, calls = idle_share(lambda: draw_anew(trial, size), trial.device)
    return Estimate(value=share, n=calls, protocol={**trial.conditions, "batch_size": size})
