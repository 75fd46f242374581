"""Datasets as Hugging Face keeps them: a folder of tables, one that ``save_to_disk`` wrote, or a name on the Hub.

The tables are read as they are: nothing of a repository is run, and nothing is copied to be read.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import DataError, dataset
from bench.datasets._image import ImageDataset
from bench.datasets._items import split_word
from bench.datasets._stages import AnyStages, staged
from bench.datasets._tables import Table, modality_in, prepare_tables, tables_below
from bench.datasets._text import TextDataset
from bench.errors import hint, named, shown
from bench.foreign import decoding, locate, sought
from bench.hub import elsewhere, hub_folder, hub_tags

PATTERNS = ["*.parquet", "*.arrow", "*.csv", "*.jsonl", "README.md"]
CONVERTED = "refs/convert/parquet"  # where the Hub keeps of every set that it can read a copy in Parquet

_UNKNOWN = "the Hub's cache does not say whether these are all: `download = true` asks the Hub"


def modality_of(name: str) -> str:
    """Whether it holds pictures or texts, of its columns; of what is not here yet, of what the Hub says of it."""
    try:
        place = _place(name, None)
    except DataError as missing:
        if (other := _any_snapshot(name)) is None:
            return _said_by_hub(name, missing)
        place = other
    return modality_in(tables_below(place, split_word))


@dataset("hf:", modality=modality_of, locate=lambda: "hf:NAME or hf:PATH")
@staged
def hf(
    name: str,
    stages: AnyStages,
    *,
    config: str = "",
    revision: str | None = None,
    download: bool = False,
    column: str = "",
    label: str = "",
) -> ImageDataset | TextDataset:
    """Pictures or texts of Hugging Face's: hf:PATH, a folder of tables or of ``save_to_disk``, or hf:NAME on the Hub.

    config: which of several, by its name there.   revision: a branch, a tag or a commit.   download: from the Hub, to
    its usual cache.   column, label: left out, the first that is named as such are.   group: the column of a key.
    """
    place = _place(name, revision, download)
    tables = _tables(place, config)
    is_path = Path(name).expanduser().exists()
    remarks = [] if is_path or _listed(name, revision) else [f"tables here: {len(tables)}; {_UNKNOWN}"]
    return prepare_tables(f"hf:{name}", tables, stages, column, label, remarks)


def _place(name: str, revision: str | None, download: bool = False) -> Path:
    """The folder of it on this machine. Raises DataError that says what to do where there is none."""
    if Path(name).expanduser().exists():
        return locate(name)
    found = hub_folder(name, kind="dataset", revision=revision, fetch=download, allow=PATTERNS)
    if found is None:
        raise DataError(
            f"{named(name)} is no folder here{sought(name)}, and not in the Hub's cache: set `download = true`, or "
            f"{elsewhere(name, 'dataset')} as hf:FOLDER"
        )
    return found


def _any_snapshot(name: str) -> Path | None:
    """The folder of any revision with tables in the Hub's cache: all of a name are of one modality."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    kept = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="dataset") / "snapshots"
    return next((folder for folder in sorted(kept.glob("*")) if any(map(any, map(folder.rglob, PATTERNS[:-1])))), None)


def _listed(name: str, revision: str | None) -> bool:
    """Whether the Hub's cache knows what files there are, so that none can be missing unnoticed."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        get_cached_repo_tree(name, repo_type="dataset", revision=revision or None)
    except CachedRepoTreeNotFoundError:
        return False
    return True


def _said_by_hub(name: str, missing: DataError) -> str:
    """The modality by which the Hub files it. Raises ``missing`` where it cannot be asked."""
    if (tags := hub_tags(name)) is None:
        raise missing from None
    found = [modality for modality in ("image", "text") if f"modality:{modality}" in tags]
    if not found:
        raise DataError(f"{named(name)} is filed on the Hub neither under images nor under text")
    return found[0]


def _tables(place: Path, config: str) -> list[Table]:
    """The tables of a configuration: as the card lists them, else those below its folder, else all."""
    listed = {name: files for name, files in _configs(place) if files}
    if listed and (config or len(listed) > 1 or "default" in listed):
        if (name := config or "default") not in listed:
            raise DataError(f"{named(place)}: say with config which of them{hint(config, listed)}")
        every = tables_below(place, split_word)
        found = [
            Table(table.path, word)
            for word, pattern in listed[name]
            for table in every
            if fnmatch.fnmatch(table.path.relative_to(place).as_posix(), pattern)
        ]
        if not found:
            raise DataError(f"{named(place)} holds none of the files that its card lists for {shown(name)}")
        return found
    below = place / config if config else place
    if not below.exists():
        raise DataError(f"{named(place)} has no configuration {shown(config)}: no folder of that name")
    try:
        return tables_below(below, split_word)
    except DataError as error:
        raise DataError(f'{error}; of a set on the Hub in another form, try revision = "{CONVERTED}"') from error


def _configs(place: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Name, and splits with patterns of files, of each configuration that the head of README.md lists."""
    import yaml

    card = place / "README.md"
    if not place.is_dir() or not card.is_file():
        return
    with decoding(card):
        _, _, head = card.read_text(encoding="utf-8").partition("---\n")
        about = yaml.safe_load(head.partition("\n---")[0]) or {}
    for each in about.get("configs") or [] if isinstance(about, Mapping) else []:
        yield str(each.get("config_name", "default")), list(_patterns(each.get("data_files")))


def _patterns(files: Any) -> Iterator[tuple[str, str]]:
    """Split and pattern, of the forms that a card may take: one pattern, a list, or a list of both."""
    for one in files if isinstance(files, list) else [files]:
        if isinstance(one, str):
            yield "train", one
        elif isinstance(one, Mapping):
            paths = one.get("path", [])
            for path in [paths] if isinstance(paths, str) else paths:
                yield str(one.get("split", "train")), str(path)
