"""Whether what was asked for by name came: of a run on `emoji`, where among all emoji the one of that name stands.

    python docs/measured/emoji.py runs/emoji

Each sample that the run kept of what it was asked for is compared with every emoji by squared distance of pixels. Of
chance the emoji asked for stands in the middle; a sample that is nearest to it is the first. Names that were told in
training stand apart from those held out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from bench import Split, read_records
from bench.datasets.emoji import emoji


def of_split(split: Split) -> tuple[Tensor, Tensor]:
    """Pixels ``(n, numbers)`` in [-1, 1] and labels ``(n,)``."""
    batch = split.batch(torch.arange(len(split)))
    assert batch.condition is not None
    return batch.data.flatten(1), batch.condition


def main(out: Path) -> None:
    data = emoji()
    pixels, labels = map(torch.cat, zip(*map(of_split, (data.train, data.valid, data.test)), strict=True))
    for record in read_records(out)[0]:
        if record.asked is None:
            continue
        made = torch.from_numpy(np.load(out / "samples" / record.asked.file)["samples"]).flatten(1) / 127.5 - 1
        apart = torch.cdist(made, pixels)  # (samples, emoji)
        places = {
            label: int((row < row[labels == label]).sum()) + 1
            for label, row in zip(record.asked.labels, apart, strict=True)
        }
        for what, held_out in (("told in training", False), ("held out", True)):
            found = [place for label, place in places.items() if (label in record.asked.unseen) == held_out]
            first = f"{sum(place == 1 for place in found)} of {len(found)} first"
            middle = f"median place {median(found):g} of {len(labels)}"
            print(f"{record.plan.generator}, {what}: {first}, {middle}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
