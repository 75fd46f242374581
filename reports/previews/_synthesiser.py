"""Notes as sound: by FluidSynth where it and a soundfont are on the machine, else by a few harmonics that die away."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 11025  # samples a second
HARMONICS, FADE, ATTACK, RELEASE = (1.0, 0.5, 0.25, 0.12, 0.06), 0.8, 0.005, 0.06  # shares; seconds
PATIENCE = 20  # seconds that FluidSynth is given
_SHARE = "/usr/share"
SOUNDFONTS = (f"{_SHARE}/sounds/sf2", f"{_SHARE}/sounds/sf3", f"{_SHARE}/soundfonts", "/opt/homebrew/share/soundfonts")


def heard(notes: NDArray[np.int64], midi: bytes, rate: float, seconds: float) -> bytes:
    """The first ``seconds`` of notes (``_midi.notes_of``) as a WAV file of 16 bits; b"" where nothing sounds."""
    if not len(notes):
        return b""
    waves = _fluidsynth(midi, seconds)
    return wav(additive(notes, rate, seconds) if waves is None else waves)


def additive(notes: NDArray[np.int64], rate: float, seconds: float) -> NDArray[np.float64]:
    """Each note as harmonics that fade, the higher ones sooner, ``(samples,)`` within [-1, 1]."""
    begin, end = notes[:, 0] / rate, notes[:, 1] / rate
    whole = np.zeros(round(min(seconds, float(end.max()) + RELEASE) * RATE))
    for first, last, pitch in zip(begin, end, notes[:, 2].tolist(), strict=True):
        start = round(first * RATE)
        t = np.arange(min(round((last - first + RELEASE) * RATE), len(whole) - start)) / RATE
        if len(t):
            whole[start : start + len(t)] += _tone(440 * 2 ** ((pitch - 69) / 12), t, last - first)
    found: NDArray[np.float64] = whole / max(1e-9, np.abs(whole).max()) * 0.9
    return found


def _tone(pitch: float, t: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    shape = np.minimum(1, t / ATTACK) * np.clip((length + RELEASE - t) / RELEASE, 0, 1)
    parts = [
        share * np.sin(2 * np.pi * n * pitch * t) * np.exp(-t * n**0.5 / FADE)
        for n, share in enumerate(HARMONICS, 1)
        if n * pitch < RATE / 2
    ]
    found: NDArray[np.float64] = shape * np.sum(parts, axis=0)
    return found


def wav(x: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.rint(x * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def _fluidsynth(midi: bytes, seconds: float) -> NDArray[np.float64] | None:
    """The same by FluidSynth; None where it or a soundfont is missing, or it does not play."""
    program, font = shutil.which("fluidsynth"), next(_soundfonts(), None)
    if program is None or font is None:
        return None
    with tempfile.TemporaryDirectory(prefix="genbench-") as folder:
        score, sound = Path(folder, "score.mid"), Path(folder, "sound.wav")
        score.write_bytes(midi)
        how = ["-ni", "-q", "-g", "0.6", "-r", str(RATE), "-T", "wav", "-F"]
        try:
            order = [program, *how, str(sound), str(font), str(score)]
            subprocess.run(order, check=True, capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
            with wave.open(str(sound)) as file:
                channels, played = file.getnchannels(), file.readframes(round(seconds * RATE))
        except (OSError, subprocess.SubprocessError, wave.Error, EOFError):
            return None
    found: NDArray[np.float64] = np.frombuffer(played, "<i2").reshape(-1, channels).mean(1) / 32768
    return found if len(found) else None


def _soundfonts() -> Iterator[Path]:
    """That of GENBENCH_SOUNDFONT, else those where systems keep them."""
    if given := os.environ.get("GENBENCH_SOUNDFONT"):
        yield Path(given)
    for folder in map(Path, SOUNDFONTS):
        yield from sorted(file for file in folder.glob("*.sf[23]"))
