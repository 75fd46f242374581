"""Memory of a process that does nothing but sample: fresh, and so without what training or metrics left behind."""

from __future__ import annotations

from bench import Estimate, Omitted, Trial, metric
from metrics.cost._cost import told_alone


@metric("sample_rss_bytes", aspect="efficiency", unit="B", better="lower", least=0, asked=True)
def sample_rss_bytes(trial: Trial) -> Estimate:
    """Most memory resident while batches are drawn: interpreter, libraries and model; the data is not there."""
    found = trial.alone()
    return told_alone(trial, found.rss_bytes, batch_size=found.batch_size)


@metric("sample_gpu_bytes", aspect="efficiency", unit="B", better="lower", least=0, asked=True)
def sample_gpu_bytes(trial: Trial) -> Estimate:
    """Most bytes of the GPU that torch's allocator had given to tensors at once while batches were drawn."""
    return _peak(trial, "allocated")


@metric("sample_gpu_requested_bytes", aspect="efficiency", unit="B", better="lower", least=0, asked=True)
def sample_gpu_requested_bytes(trial: Trial) -> Estimate:
    """Of ``sample_gpu_bytes`` what tensors had asked for, before it was rounded up."""
    return _peak(trial, "requested")


@metric("sample_gpu_reserved_bytes", aspect="efficiency", unit="B", better="lower", least=0, asked=True)
def sample_gpu_reserved_bytes(trial: Trial) -> Estimate:
    """Most bytes that torch's allocator had taken from the GPU: what a card must have left."""
    return _peak(trial, "reserved")


@metric("sample_gpu_process_bytes", aspect="efficiency", unit="B", better="lower", least=0, asked=True)
def sample_gpu_process_bytes(trial: Trial) -> Estimate:
    """Bytes of the GPU that the process held after it, by NVML: the context and the libraries' workspaces included."""
    return _peak(trial, "process", "NVML")


def _peak(trial: Trial, name: str, source: str = "torch's allocator") -> Estimate:
    found = trial.alone()
    if name not in found.gpu:
        raise Omitted(found.why[name])
    return told_alone(trial, found.gpu[name], batch_size=found.batch_size, source=source)
