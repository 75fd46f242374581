"""What the ear makes of real speech by the ways that models of sound take: the ceilings of `class_accuracy_ear`.

    GENBENCH_DATA=FOLDER python docs/measured/ear.py

Each number is the share of test takes whose digit it names.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.datasets.fsdd import fsdd
from generators._mel import LogMel
from generators.wavenet import cells_of, samples_of
from metrics.extractors.ear import ear


def main() -> None:
    data, hear = fsdd(), ear()
    batch = data.test.batch(torch.arange(len(data.test)))
    mel = LogMel(data.spec, bands=64, hop=128, window=512)
    order = torch.rand(batch.data.shape, generator=torch.Generator().manual_seed(0)).argsort(1)
    ways: dict[str, Tensor] = {
        "as they are": batch.data,
        "log-mel spectrograms and Griffin-Lim": mel.heard(mel(batch.data)),
        "256 mu-law cells": samples_of(cells_of(batch.data)),
        "samples in random order": batch.data.gather(1, order),
    }
    for name, waves in ways.items():
        logits = hear(waves).logits
        assert logits is not None and batch.condition is not None
        right = (logits.argmax(1) == batch.condition).double().mean()
        print(f"{name}: {right:.2%} of {len(waves)}")


if __name__ == "__main__":
    main()
