"""The kinds of data, one object a file, which holds all that is true of it. The kernel asks ``modality_of``."""

from bench.modalities._base import Modality, NotFinite, modality_of, quantise
from bench.modalities._examples import Stored
from bench.registry import discover

__all__ = ["Modality", "NotFinite", "Stored", "modality_of", "quantise"]

discover(__name__)
