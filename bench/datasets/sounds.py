"""A folder or .zip of sounds as a dataset."""

from __future__ import annotations

from bench import dataset
from bench.datasets._audio import AudioDataset
from bench.datasets._folders import folder_source
from bench.datasets._sounds import prepare_sounds
from bench.datasets._stages import SoundStages, staged
from bench.reading.folders import RECORDINGS
from bench.reading.sounds import decode_sound


@dataset("sounds:", modality="audio", locate=lambda: "sounds:PATH")
@staged
def sounds(path: str, stages: SoundStages) -> AudioDataset:
    """WAV, FLAC and OGG in a folder or .zip: sounds:PATH; sub-folders are labels, or splits with labels in them.

    rate: samples a second that all are brought to; left out: that of the first, and those of another are dropped where
    most have it.   seconds: the length of all.
    trim: whether silence at both ends is cut off.   level: "peak", "rms" or "as_is".
    group: a regular expression that is searched for in the path below the folder; its first group, or all that it
    finds, is the key.   valid, test: shares that are held out where the folder sets none apart.
    """
    return prepare_sounds(folder_source(f"sounds:{path}", RECORDINGS, stages.group, decode_sound), stages)
