"""What genbench asks of every dataset, asked of this one; and what is known of it alone."""

import numpy as np
from bench.testing import DatasetPromises

from acme_dataset.shapes import DISC, drawn


class TestPromises(DatasetPromises):
    dataset = "acme_dataset"


def test_a_square_fills_its_box_and_a_disc_a_part_of_it() -> None:
    """A disc fills pi / 4 of the square around it."""
    labels = np.arange(200) % 2
    bright = drawn(labels, 32, np.random.default_rng(0))[:, 0] / 255
    for label, picture in zip(labels, bright, strict=True):
        inside = picture > picture.max() / 2
        box = inside.any(0).sum() * inside.any(1).sum()
        assert (inside.sum() / box < 0.9) == (label == DISC)
