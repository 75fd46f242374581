"""A folder or .zip of pictures as a dataset."""

from __future__ import annotations

from bench import dataset
from bench.datasets._folders import folder_source
from bench.datasets._image import ImageDataset
from bench.datasets._prepared import prepare
from bench.datasets._stages import Stages, staged
from bench.reading.encoded import decode
from bench.reading.folders import PICTURES


@dataset("folder:", modality="image", locate=lambda: "folder:PATH")
@staged
def folder(path: str, stages: Stages) -> ImageDataset:
    """Pictures in a folder or .zip: folder:PATH; sub-folders are labels, or train, valid and test with labels in them.

    size: what every picture is brought to, so many pixels a side; needed where sizes differ.
    group: a regular expression that is searched for in the path below the folder; its first group, or all that it
    finds, is the key.   valid, test: shares that are held out where the folder sets none apart.
    """
    return prepare(folder_source(f"folder:{path}", PICTURES, stages.group, decode), stages)
