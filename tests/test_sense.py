"""Metrics agree with common sense, on real digits: what is plainly worse scores worse, copies are seen, rubbish is refused.

Swept over every registered feature metric. Where one cannot follow by what it is, the exception stands here with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

import bench
from bench import GenbenchError
from bench.datasets.image import ImageDataset
from bench.datasets.mnist import mnist5k
from bench.registry import MetricEntry, registry

ENTRIES: Mapping[str, MetricEntry] = {n: e for n, e in registry.all("metrics").items() if e.of == "features"}
PLAIN = [n for n, e in ENTRIES.items() if set(e.sides) <= {"samples", "reference"}]
REALISM = [n for n in PLAIN if ENTRIES[n].aspect == "realism"]
DIVERSITY = [n for n in PLAIN if ENTRIES[n].aspect == "diversity"]
print(PLAIN, REALISM, DIVERSITY)
