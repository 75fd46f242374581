"""How far RollNet sees pieces from the test chorales, and the same with something done to them.

    python docs/measured/rollnet.py

Distances are `fd_rollnet`, and random changes of seed 0.
"""

from __future__ import annotations

import numpy as np
import torch

from bench import evaluate
from bench.datasets.chorales import chorales


def semitones(rolls: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A third of the frames moved up or down by one."""
    moved = np.where(rng.random((*rolls.shape[:2], 1)) < 0.5, np.roll(rolls, 1, 2), np.roll(rolls, -1, 2))
    return np.where(rng.random((*rolls.shape[:2], 1)) < 1 / 3, moved, rolls)


def main() -> None:
    data, rng = chorales(), np.random.default_rng(0)
    train, valid, test = (s.batch(torch.arange(len(s))).data.numpy() for s in (data.train, data.valid, data.test))
    ways = {
        "valid": valid,
        "train": train,
        "valid, played backwards": valid[:, ::-1],
        "valid, a third of the frames moved by a semitone": semitones(valid, rng),
        "valid, frames shuffled": np.stack([roll[rng.permutation(len(roll))] for roll in valid]),
        "noise as dense": (rng.random(valid.shape) < valid.mean()).astype(np.float32),
    }
    print(f"{len(test)} test pieces of {test.shape[1]} frames")
    for name, rolls in ways.items():
        sides = torch.from_numpy(rolls.copy()), torch.from_numpy(test)
        table = evaluate(*sides, metrics=["fd_rollnet"], modality="music")
        print(f"{name}: {table.value[0]:.3g}")


if __name__ == "__main__":
    main()
