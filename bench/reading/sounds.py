"""Sound files: WAV, FLAC and OGG by libsndfile, and whether a file holds all that it claims."""

from __future__ import annotations

import io
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, named
from bench.foreign import decoding

UNKNOWN = 2**32 - 1  # stands in a WAV for a length that nobody knew, or that stands elsewhere
LONGEST = 600.0  # seconds of one file that are read: a clip is a second or a few
_NEEDS = 'sound files are read by soundfile: pip install "genbench[audio]"'


class Recording(NamedTuple):
    """``(T, channels)`` float32, and samples a second. What a lossy decoder puts beyond [-1, 1] is cut there."""

    samples: NDArray[np.float32]
    rate: int


def decode_sound(file: IO[bytes], name: str) -> Recording:
    """What a sound file holds. Raises DataError for one that is damaged, cut off, empty, or hours long."""
    content = file.read()
    _refuse_cut_off(content, name)
    with decoding(name), _opened(content, name) as sound:
        claimed, rate = sound.frames, sound.samplerate
        claimed = 0 if claimed >= 2**62 else claimed  # of a FLAC that was written to a pipe nobody knows
        samples: NDArray[np.float32] = sound.read(round(LONGEST * rate) + 1, dtype="float32", always_2d=True)
        if max(claimed, len(samples)) > LONGEST * rate:
            raise DataError(f"{named(name)}: it is longer than {LONGEST:,.0f} seconds: cut it")
        if sound.subtype in ("VORBIS", "OPUS"):
            samples = samples.clip(-1, 1)
    if not len(samples):
        raise DataError(f"{named(name)}: it holds no sample")
    if len(samples) < claimed:
        raise DataError(f"{named(name)}: it is cut off: it claims {claimed:,} samples and holds {len(samples):,}")
    if not np.isfinite(samples).all():
        raise DataError(f"{named(name)}: it holds NaN or infinity")
    return Recording(samples, rate)


def _opened(content: bytes, name: str) -> Any:
    """Raises DataError in libsndfile's words: soundfile puts an address in memory before them."""
    try:
        import soundfile
    except ImportError as error:
        raise DataError(_NEEDS) from error
    try:
        return soundfile.SoundFile(io.BytesIO(content))
    except soundfile.LibsndfileError as error:
        raise DataError(f"cannot read {named(name)}: {error.error_string.strip()}") from error


def _refuse_cut_off(content: bytes, name: str) -> None:
    """libsndfile takes a WAV or an OGG that is cut off for a shorter one, and says nothing."""
    if content[:4] == b"OggS" and not _ends_as_ogg(content):
        raise DataError(f"{named(name)}: it is cut off: its last page does not end the stream")
    if content[:4] in (b"RIFF", b"RF64") and content[8:12] == b"WAVE":
        _refuse_cut_off_wav(content, name)


def _refuse_cut_off_wav(content: bytes, name: str) -> None:
    place, long = 12, UNKNOWN
    while place + 8 <= len(content):
        kind, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        left = len(content) - place - 8
        if kind == b"ds64":  # the second of its numbers is the length of the sound, where 32 bits may not hold it
            long = int.from_bytes(content[place + 16 : place + 24], "little")
        size = long if kind == b"data" and size == UNKNOWN else size
        if kind == b"data" and left < size != UNKNOWN:
            raise DataError(f"{named(name)}: it is cut off: it claims {size:,} bytes of sound and holds {left:,}")
        place += 8 + size + size % 2


def _ends_as_ogg(content: bytes) -> bool:
    """Whether the last of its pages that is whole is marked as the end (RFC 3533, section 6)."""
    place, last = 0, False
    while content[place : place + 4] == b"OggS" and place + 27 <= len(content):
        body = place + 27 + content[place + 26]
        end = body + sum(content[place + 27 : body])
        if end > len(content):
            return False
        place, last = end, bool(content[place + 5] & 4)
    return last
