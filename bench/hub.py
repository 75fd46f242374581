"""The Hugging Face Hub: what its cache on this machine holds, and what is fetched to it, once it is said how much."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from bench.errors import DataError, named
from bench.foreign import fault, sought

_log = logging.getLogger("genbench")


def hub_folder(
    name: str,
    *,
    kind: Literal["model", "dataset"] = "model",
    revision: str | None = None,
    fetch: bool = False,
    allow: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
) -> Path | None:
    """The folder in the Hub's cache that holds these files of a repository whole; None where it is not there.

    revision: a branch, tag or commit.   fetch: from the Hub what is missing; else the network is not asked.
    allow, ignore: patterns of the files that are wanted, or not.
    Raises DataError for a name that is none, and where the Hub does not give it, which says what to do.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import DryRunError, HFValidationError, LocalEntryNotFoundError

    asked: dict[str, Any] = {"repo_id": name, "repo_type": kind, "revision": revision or None}
    asked |= {"allow_patterns": allow, "ignore_patterns": ignore}
    try:
        if not fetch:
            return Path(snapshot_download(**asked, local_files_only=True))
        if missing := [file for file in snapshot_download(**asked, dry_run=True) if file.will_download]:
            size, to = sum(file.file_size or 0 for file in missing) / 1e6, constants.HF_HUB_CACHE
            _log.warning("%s: downloading %d files, %s MB, to %s", named(name), len(missing), f"{size:,.1f}", to)
        return Path(snapshot_download(**asked))
    except HFValidationError as error:
        raise DataError(
            f"{named(name)} is no path here{sought(name)} and no name on the Hub: {fault(error)}"
        ) from error
    except Exception as error:  # of the Hub, of the network, of a disk: no class is above them all
        if fetch or not isinstance(error, LocalEntryNotFoundError):
            why = (
                error.__cause__ if isinstance(error, DryRunError) and isinstance(error.__cause__, Exception) else error
            )
            raise DataError(f"cannot download {named(name)}: {fault(why)}; {elsewhere(name, kind)}") from error
        return None


def hub_tags(name: str) -> list[str] | None:
    """What the Hub files a set of data under, as ``modality:text``; None where it cannot be asked."""
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(name, timeout=10).tags or []
    except Exception:  # as above
        return None


def elsewhere(name: str, kind: str) -> str:
    """What to do about a repository where there is no network."""
    option = f" --repo-type {kind}" if kind != "model" else ""
    return (
        f"where there is a network, run `hf download {named(name)}{option} --local-dir FOLDER`, bring the folder, and "
        "name its path"
    )
