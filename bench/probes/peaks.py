"""The most that a GPU can compute, by its data sheet: without sparsity, at its own boost clock."""

from __future__ import annotations

import torch

from bench.errors import Omitted
from bench.record import Precision

# Name as the driver tells it -> FLOP/s of float32 without TF32, as trials are run, and of bfloat16 with float32 sums.
PEAKS: dict[str, dict[Precision, float]] = {
    "NVIDIA H200": {"fp32": 66.9e12, "bf16": 989.4e12},
    "NVIDIA H100 80GB HBM3": {"fp32": 66.9e12, "bf16": 989.4e12},
    "NVIDIA H100 PCIe": {"fp32": 51.2e12, "bf16": 756.0e12},
    "NVIDIA A100-SXM4-40GB": {"fp32": 19.5e12, "bf16": 312.0e12},
    "NVIDIA A100-SXM4-80GB": {"fp32": 19.5e12, "bf16": 312.0e12},
    "NVIDIA A100-PCIE-40GB": {"fp32": 19.5e12, "bf16": 312.0e12},
    "NVIDIA A100 80GB PCIe": {"fp32": 19.5e12, "bf16": 312.0e12},
    "NVIDIA A10": {"fp32": 31.2e12, "bf16": 125.0e12},
    "NVIDIA L4": {"fp32": 30.3e12, "bf16": 121.0e12},
    "NVIDIA L40S": {"fp32": 91.6e12, "bf16": 362.0e12},
    "Tesla T4": {"fp32": 8.1e12},
    "Tesla V100-SXM2-16GB": {"fp32": 15.7e12},
    "Tesla V100-SXM2-32GB": {"fp32": 15.7e12},
}


def peak_flops(device: torch.device, precision: Precision) -> float:
    """Floating point operations a second at most. Raises Omitted where nobody knows."""
    if device.type != "cuda":
        raise Omitted("the peak of this processor is not known: only those of some GPUs are")
    name = torch.cuda.get_device_name(device)
    if (known := PEAKS.get(name, {}).get(precision)) is None:
        raise Omitted(f"the peak of {name} in {precision} is not known")
    return known
