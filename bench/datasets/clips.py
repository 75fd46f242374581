"""A folder or .zip of films as a dataset of clips, decoded by PyAV."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

from bench import dataset
from bench.datasets._folders import folder_source
from bench.datasets._items import Item
from bench.datasets._stages import FilmStages, staged
from bench.datasets._video import VideoDataset, prepare_films
from bench.reading.films import Frames, decode_film, pyav
from bench.reading.folders import FILMS


@dataset("clips:", modality="video", locate=lambda: "clips:PATH")
@staged
def clips(path: str, stages: FilmStages) -> VideoDataset:
    """Films (MP4, GIF ...) in a folder or .zip: clips:PATH; sub-folders are labels, or splits with labels in them.

    frames: of a clip; a longer film gives several, one behind the other, ``most`` of them, which stay in one split.
    size, fit, mode: of a frame, as of folder:. fps: frames a second that are taken, each the one that is shown then;
    left out: all, and the rate of clips is the films' own where they have one. clean: films that are damaged, cut
    short, empty or shorter than a clip, and clips that stand twice, are dropped, and told with counts and names, or
    refuse the whole; "keep": what gives a clip stays.
    group: a regular expression that is searched for in the path below the folder; its first group, or all that it
    finds, is the key.   valid, test: shares that are held out where the folder sets none apart.
    """
    pyav()
    decode = partial(decode_film, enough=stages.frames * stages.most, fps=stages.fps)
    source = folder_source(f"clips:{path}", FILMS, stages.group, decode)

    def in_order() -> list[Item[Frames]]:
        """By the letters of their paths, as films that were set apart have ever been kept."""
        return sorted(source.items(), key=lambda item: PurePosixPath(item.name))

    return prepare_films(replace(source, items=in_order), stages)
