"""The Hub's cache, and what is fetched to it: a library that is made up stands for the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save

from bench import DataError, hub_folder
from generators.loaders import _hub


class File:
    will_download, file_size = True, 3_000_000


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_what_is_not_in_the_cache_is_not_asked_for(cache: Path) -> None:
    assert hub_folder("a/b") is None


def test_a_download_is_announced_with_its_size(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def hub(*, dry_run: bool = False, **options: Any) -> Any:
        assert (options["repo_type"], options["allow_patterns"]) == ("dataset", ["*.parquet"])
        return [File(), File()] if dry_run else str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    assert hub_folder("a/b", kind="dataset", fetch=True, allow=["*.parquet"]) == cache
    assert f"a/b: downloading 2 files, 6.0 MB, to {cache}" in caplog.text


def test_without_a_network_it_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match=r"cannot download a/b: .*; where there is a network, run `hf download a/b --lo"
    ):
        hub_folder("a/b", fetch=True)


@pytest.mark.parametrize("name", ["a/b/c", "a b/c", "a/b\n"])
def test_a_name_that_is_none_is_said(name: str, cache: Path) -> None:
    with pytest.raises(DataError, match=r"is no path here \(.*\) and no name on the Hub"):
        hub_folder(name)


@pytest.mark.parametrize(("held", "pickles"), [(["model.safetensors"], False), (["pytorch_model.bin"], True)])
def test_pickles_are_fetched_only_where_there_is_nothing_else(
    held: list[str], pickles: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is in the cache is taken without a look at the network."""
    asked: list[bool] = []

    def hub(*, dry_run: bool = False, local_files_only: bool = False, **options: Any) -> Any:
        from huggingface_hub.errors import LocalEntryNotFoundError

        safe = "*.bin" in options["ignore_patterns"]
        folder = cache / ("safe" if safe else "whole")
        if local_files_only and not folder.exists():
            raise LocalEntryNotFoundError("not here")
        if dry_run:
            return [File()]
        if not local_files_only:
            asked.append(safe)
            folder.mkdir()
            for name in held:
                if not (safe and name.endswith(".bin")):
                    (folder / name).write_bytes(save({}))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    folder = _hub.found("a/b")
    assert [path.name for path in folder.iterdir()] == held and asked == ([True, False] if pickles else [True])
    assert _hub.found("a/b") == folder and len(asked) == (2 if pickles else 1)
