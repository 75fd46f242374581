"""Samples on disk: images as a compressed .npz of uint8 arrays, text as a JSON list of strings."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from torch import Tensor

from bench.files import write_atomic
from bench.protocols import Dataset, Textual


def save_samples(folder: Path, run_id: str, samples: Tensor, dataset: Dataset) -> str:
    """Write all samples of a run; returns the file's name. Images: array ``samples``, ``(n, C, H, W)`` uint8."""
    if isinstance(dataset, Textual):
        name, content = f"{run_id}.json", json.dumps(dataset.decode(samples), ensure_ascii=False).encode()
    else:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, samples=samples.numpy())
        name, content = f"{run_id}.npz", buffer.getvalue()
    write_atomic(folder / name, content)
    return name
