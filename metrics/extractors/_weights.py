"""Weight files: where they are looked for, and whether they are the ones that were meant.

No package carries the large networks. A file is taken from
1. the path in GENBENCH_WEIGHTS_<NAME> (the name in capitals, "-" as "_"),
2. torch.hub's folder: $TORCH_HOME/hub/checkpoints,
3. its publisher, into that folder, if GENBENCH_DOWNLOAD is 1 or names it: GENBENCH_DOWNLOAD=inception,dinov2; that is
   1 under `genbench evaluate --download`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from bench import DataError, Omitted, named, sha256, without_home

_failed: dict[str, str] = {}  # a download that failed is not tried again by this process, however often it is asked for


@dataclass(frozen=True)
class Weights:
    """One file of weights.

    name: what environment variables call it.  file: its name in torch.hub's folder.  sha256: all 64 digits.
    """

    name: str
    file: str
    url: str
    sha256: str

    @property
    def variable(self) -> str:
        """The environment variable that names another place."""
        return "GENBENCH_WEIGHTS_" + self.name.upper().replace("-", "_")

    def locate(self) -> str:
        """Its path. Raises DataError with the way to get it."""
        if given := os.environ.get(self.variable):
            if not os.path.isfile(given):  # noqa: PTH113 (False, too, for a path that no system can have)
                raise DataError(f"{self.variable} is {named(shown(Path(given)))}, where no file is")
            return given
        path = Path(torch.hub.get_dir()) / "checkpoints" / self.file
        if not os.path.isfile(path):  # noqa: PTH113 (False, too, in a folder that may not be entered)
            self._fetch(path)
        return str(path)

    def found(self) -> Path:
        """Its path, for a metric. Raises Omitted with the way to get it."""
        try:
            return Path(self.locate())
        except DataError as error:
            raise Omitted(str(error)) from error

    def verify(self, path: Path) -> str:
        """The file's SHA-256, as protocols name it. Raises Omitted for any other file.

        Comes before loading: weights are pickles and TorchScript, which may run anything, and only these weights may
        give their name to a number.
        """
        digest = sha256(path)
        if digest != self.sha256:
            raise Omitted(
                f"{shown(path)} has SHA-256 {digest[:8]}..., not {self.sha256[:8]}...: not the weights that "
                f"{self.name!r} means; delete it and get {self.url}"
            )
        return f"sha256:{digest}"

    def _fetch(self, path: Path) -> None:
        wanted = os.environ.get("GENBENCH_DOWNLOAD", "").split(",")
        if not {"1", self.name} & set(wanted):
            raise DataError(
                f"{self.name} weights are not at {shown(path)}; download {self.url} to there, "
                f"name a copy of it in {self.variable}, let `genbench evaluate --download` do it, or set "
                f"GENBENCH_DOWNLOAD={self.name}"
            )
        if self.url not in _failed:
            try:  # whole and checked, or not at all: torch writes beside the target, compares the hash and renames
                path.parent.mkdir(parents=True, exist_ok=True)
                shows = sys.stderr.isatty()
                torch.hub.download_url_to_file(self.url, str(path), hash_prefix=self.sha256, progress=shows)
            except (OSError, HTTPException, RuntimeError) as error:  # no network, cut off, another file
                _failed[self.url] = str(error)
        if self.url in _failed:
            raise DataError(
                f"{self.url} could not be downloaded ({_failed[self.url]}): where no network is, fetch it elsewhere "
                f"and put it at {shown(path)}, or name it in {self.variable}"
            )


def tensors(path: Path) -> dict[str, Tensor]:
    """A state dict, read without running what else a pickle may hold, on the CPU and in plain memory order."""
    found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.contiguous() for name, tensor in found.items()}


def shown(path: Path) -> str:
    """A path for messages, which stand on pages that people share."""
    return without_home(str(path))
