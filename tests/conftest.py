"""Fixtures: a private cache, and suites small enough to run in seconds."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest

# Two test processes with default threads on two cores are many times slower than with one each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What is promised of a machine without a GPU must also be tested on one that has it.
if not os.environ.get("GENBENCH_TEST_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Started in the background of a shell, this process and its children would not hear Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What tests leave behind is small, what they have loaded is large: look through the first seldom, the second never.
gc.set_threshold(50_000, 20, 20)

collect_ignore = ["plugin"]  # whose tests are its own: end_to_end/test_plugin.py runs them where it is installed


def pytest_collection_finish() -> None:
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["GENBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    from bench.registry import KINDS, registry

    tables = {kind: dict(registry.all(kind, with_rest=True)) for kind in KINDS}
    monkeypatch.setattr(registry, "tables", tables)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A suite of one family on 8x8 digits."""
    from tests.suites import SMALL  # not above: torch reads the variables that are set there

    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
