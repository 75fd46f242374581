"""Trains the shipped motion net: ``python -m metrics.extractors._train_motion --root FOLDER_WITH_MNIST``.

Data: clips of eight frames of 32x32 as Moving MNIST has them, but of any speed, a tenth of the digits standing still;
of MNIST's training images less the 5,000 that `mnist5k` carries, so that no digit a suite shows by default was learned.
Each clip is made anew. Targets: which digits are there; in which of eight directions any of them goes, as shares of
the frames (after a bounce it is another one); which of four speeds there are. Binary cross-entropy of each, Adam,
3,000 steps of 32 clips, one-cycle learning rate to 3e-3, seed 0; four minutes of one core. Weights are kept as float16.
Prints what it tells of clips of MNIST's test digits, and the SHA-256 to put into motion.py.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from bench import sha256
from bench.datasets.mnist import mnist
from bench.datasets.moving_mnist import STEP, halved, overlay, paths
from metrics.extractors._train_lenet import training_set
from metrics.extractors.motion import DIGITS, DIRECTIONS, SIDE, SPEEDS, WEIGHTS, MotionNet

STEPS, BATCH, LR, SEED = 3000, 32, 3e-3, 0
FRAMES, EACH = 8, 2  # frames and digits of a clip
FASTEST, STILL = 2 * STEP, 0.1  # the highest speed; the share of digits that stand still
EDGES = STEP * np.array([0.01, 0.7, 1.3])  # between the speeds that are told apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="", help="folder that holds MNIST (GENBENCH_DATA if left out)")
    data = mnist(root=parser.parse_args().root)
    images, labels = training_set(data)
    net = fit(halved(images[:, 0].numpy()), labels.numpy())
    save_file({name: x.half() if x.is_floating_point() else x for name, x in net.state_dict().items()}, WEIGHTS)
    told = accuracy(net, halved(data.test.pixels[:, 0].numpy()), data.test.labels.numpy())
    print(f"{told}; SHA-256 {sha256(WEIGHTS)}")


def fit(images: np.ndarray, labels: np.ndarray) -> MotionNet:
    torch.manual_seed(SEED)
    rng, net = np.random.default_rng(SEED), MotionNet()
    optimiser = torch.optim.Adam(net.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=STEPS)
    for step in range(STEPS):
        x, target = drawn(rng, images, labels, BATCH)
        loss = F.binary_cross_entropy_with_logits(net(x).logits, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"{step} of {STEPS} steps: loss {loss.item():.4f}", flush=True)
    return net.eval()


def drawn(rng: np.random.Generator, images: np.ndarray, labels: np.ndarray, n: int) -> tuple[Tensor, Tensor]:
    """Clips ``(n, 1, FRAMES, SIDE, SIDE)`` in [0, 1], and what is to be told of them ``(n, 22)``."""
    which = rng.integers(len(images), size=(n, EACH))
    speed = FASTEST * rng.random((n * EACH, 1)) * (rng.random((n * EACH, 1)) >= STILL)
    places = paths(rng.random((n * EACH, 3)), FRAMES, speed)  # (n EACH, FRAMES, 2)
    corners = ((SIDE - images.shape[1]) * places).astype(int).reshape(n, EACH, FRAMES, 2)
    clips = np.zeros((n, FRAMES, SIDE, SIDE), np.uint8)
    for clip, digits, some in zip(clips, which, corners, strict=True):
        for digit, corner in zip(digits, some, strict=True):
            overlay(clip, images[digit], corner)
    kinds = np.digitize(speed[:, 0], EDGES).reshape(n, EACH)
    there = np.concatenate([among(labels[which], DIGITS), directions(places).reshape(n, EACH, -1).max(1)], 1)
    target = np.concatenate([there, among(kinds, SPEEDS)], 1)
    return torch.from_numpy(clips)[:, None].float() / 255, torch.from_numpy(target).float()


def among(found: np.ndarray, kinds: int) -> np.ndarray:
    """``(n, kinds)``, 1 for those that are among the numbers ``(n, each)``."""
    marks: np.ndarray = (found[:, :, None] == np.arange(kinds)).any(1)
    return marks


def directions(places: np.ndarray) -> np.ndarray:
    """Share of the frames in which each goes in each direction, ``(n, DIRECTIONS)``, of ``(n, FRAMES, 2)``."""
    moves = np.diff(places, axis=1)
    angle = np.arctan2(moves[..., 0], moves[..., 1]) % (2 * np.pi)
    kind = (angle / (2 * np.pi) * DIRECTIONS).astype(int) % DIRECTIONS
    goes = np.hypot(*np.moveaxis(moves, 2, 0)) > 0
    shares: np.ndarray = ((kind[:, :, None] == np.arange(DIRECTIONS)) & goes[:, :, None]).mean(1)
    return shares


@torch.no_grad()
def accuracy(net: MotionNet, images: np.ndarray, labels: np.ndarray, n: int = 2000) -> str:
    """What is told rightly of clips of digits that were not learned from."""
    x, target = drawn(np.random.default_rng(SEED + 1), images, labels, n)
    said = torch.cat([net(part).logits for part in x.split(BATCH)]).sigmoid()
    sizes = [DIGITS, DIRECTIONS, SPEEDS]
    (digits, way, speed), (is_digits, is_way, is_speed) = said.split(sizes, 1), target.split(sizes, 1)
    both = ((digits > 0.5) == (is_digits > 0.5)).all(1).float().mean()
    speeds = ((speed > 0.5) == (is_speed > 0.5)).float().mean()
    explained = 1 - (way - is_way).square().mean() / is_way.var(0).mean()
    return f"all digits right in {both:.1%}, speeds {speeds:.1%} right, {explained:.0%} of the directions explained"


if __name__ == "__main__":
    main()
