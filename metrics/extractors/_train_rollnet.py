"""Trains the shipped RollNet: ``python -m metrics.extractors._train_rollnet`` (a minute and a half of one core).

Data: the training chorales of `chorales`, in frames of quarter and of eighth notes, so that no tune that a suite tests
on by default was learned. A batch is of stretches of 24 to 64 frames, moved by -6 to 5 semitones. To each one of seven
things is done, and the network tells which, and which of twelve key signatures it is in; cross-entropies are added, the
second by a third. Adam, 3,000 steps, batch 64, one-cycle learning rate to 3e-3, seed 0.
Prints both accuracies on the test chorales and the SHA-256 to put into rollnet.py. The shipped weights reached 67.2 %
of the things done (chance is 14.3 %) and 87.3 % of the signatures, of which things done hide some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from bench import SplitName, sha256
from bench.datasets.chorales import chorales
from metrics.extractors.rollnet import KEYS, WEIGHTS, RollNet

STEPS, BATCH, LR, SEED = 3000, 64, 3e-3, 0
SHORTEST, LONGEST = 24, 64  # frames
Rng = np.random.Generator
Roll = np.ndarray


def nothing(x: Roll, other: Roll, rng: Rng) -> Roll:
    return x


def shuffled(x: Roll, other: Roll, rng: Rng) -> Roll:
    return x[rng.permutation(len(x))]


def backwards(x: Roll, other: Roll, rng: Rng) -> Roll:
    return x[::-1]


def moved(x: Roll, other: Roll, rng: Rng) -> Roll:
    """A share of the notes of the frames, by up to three semitones."""
    frame, key = np.nonzero(x)
    some = rng.random(len(key)) < rng.uniform(0.05, 0.4)
    key = np.clip(key + some * rng.integers(1, 4, len(key)) * rng.choice([-1, 1], len(key)), 0, KEYS - 1)
    return _roll(frame, key, len(x))


def shifted(x: Roll, other: Roll, rng: Rng) -> Roll:
    """The notes below the middle one, by two to six frames."""
    frame, key = np.nonzero(x)
    low = key < (np.median(key) if len(key) else 0)
    return _roll((frame + low * rng.integers(2, 7)) % len(x), key, len(x))


def spliced(x: Roll, other: Roll, rng: Rng) -> Roll:
    """Frames of both pieces in turn, a few at a time."""
    turn = np.arange(len(x)) // rng.integers(2, 9) % 2 == 0
    return np.where(turn[:, None], x, np.resize(other, x.shape))


def thinned(x: Roll, other: Roll, rng: Rng) -> Roll:
    """Notes of frames left out, and as many others added near them."""
    gone = rng.random(x.shape) < rng.uniform(0.1, 0.5)
    frame, key = np.nonzero(x * gone)
    kept = x * ~gone
    found: Roll = np.maximum(kept, _roll(frame, np.clip(key + rng.integers(-12, 13, len(key)), 0, KEYS - 1), len(x)))
    return found


KINDS: Sequence[Callable[[Roll, Roll, Rng], Roll]] = (nothing, shuffled, backwards, moved, shifted, spliced, thinned)


def _roll(frame: np.ndarray, key: np.ndarray, frames: int) -> Roll:
    x = np.zeros((frames, KEYS), np.uint8)
    x[frame, key] = 1
    return x


def main() -> None:
    train, test = (pieces(split) for split in ("train", "test"))
    net = fit(train)
    rng = np.random.default_rng(SEED + 1)
    found = np.mean([accuracy(net, batch(test, rng)) for _ in range(50)], axis=0)
    save_file(net.state_dict(), WEIGHTS)
    of = f"of 7 things done {found[0]:.3f}, of 12 signatures {found[1]:.3f}"
    print(f"trained on {len(train)} rolls; accuracy {of}; SHA-256 {sha256(WEIGHTS)}")


def pieces(split: SplitName) -> list[Roll]:
    """Whole chorales of a split in both grids, in the key without signature."""
    parts = [getattr(chorales(grid=grid, window=0, key="common"), split) for grid in (1, 2)]
    return [roll[:n] for part in parts for roll, n in zip(part.rolls.numpy(), part.lengths.tolist(), strict=True)]


def batch(every: Sequence[Roll], rng: Rng) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rolls, lengths, what was done, and signatures."""
    rolls, kinds, signatures = [], rng.integers(len(KINDS), size=BATCH), rng.integers(-6, 6, size=BATCH)
    for kind, up in zip(kinds.tolist(), signatures.tolist(), strict=True):
        one, other = (_stretch(every[int(rng.integers(len(every)))], rng) for _ in range(2))
        rolls.append(np.roll(KINDS[kind](one, other, rng), up, axis=1))
    lengths = torch.tensor([len(roll) for roll in rolls])
    x = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(roll.copy()) for roll in rolls], batch_first=True)
    return x.float(), lengths, torch.from_numpy(kinds), torch.from_numpy(signatures % 12)


def _stretch(roll: Roll, rng: Rng) -> Roll:
    size = int(rng.integers(SHORTEST, LONGEST + 1))
    start = int(rng.integers(max(1, len(roll) - size + 1)))
    return roll[start : start + size]


def fit(every: Sequence[Roll]) -> RollNet:
    torch.manual_seed(SEED)
    rng, net = np.random.default_rng(SEED), RollNet()
    optimiser = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=STEPS)
    for _ in range(STEPS):
        x, lengths, kinds, signatures = batch(every, rng)
        _, kind, signature = net(x, lengths)
        loss = F.cross_entropy(kind, kinds) + F.cross_entropy(signature, signatures) / 3
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def accuracy(net: RollNet, of: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[float, float]:
    """Share of rolls of which the network says what was done, and the key signature."""
    x, lengths, kinds, signatures = of
    _, kind, signature = net(x, lengths)
    right = (kind.argmax(1) == kinds, signature.argmax(1) == signatures)
    return float(right[0].float().mean()), float(right[1].float().mean())


if __name__ == "__main__":
    main()
