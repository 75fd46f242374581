"""The promises themselves: who keeps them passes; who breaks one is told of it, in words that say what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import GenbenchError, Reconstructor, Rereading, Sequential, Streaming
from bench.testing import families_for, family_for, made_up

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def told() -> Any:
    """What pytest said of broken.py, in a process of its own, so that nobody else meets what is registered there."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.testing.run_broken"], cwd=ROOT, env={**os.environ}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_who_keeps_every_promise_passes_and_who_breaks_one_is_told_of_that_one(told: Any) -> None:
    found = {where: sorted(told["failed"].get(where, {})) for where in told["asked"]}
    assert found == {where: sorted(broken) for where, broken in told["breaks"].items()}


def test_the_words_say_what_is_wrong(told: Any) -> None:
    unsaid = [
        (where, promise, words)
        for where, broken in told["breaks"].items()
        for promise, words in broken.items()
        if words not in told["failed"].get(where, {}).get(promise, "")
    ]
    assert unsaid == []


def test_every_promise_is_broken_by_somebody(told: Any) -> None:
    """One that nothing breaks promises nothing."""
    asked = {promise for names in told["asked"].values() for promise in names}
    broken = {promise for names in told["breaks"].values() for promise in names}
    assert asked - broken == set()


def test_importing_genbench_does_not_import_pytest() -> None:
    code = "import bench, sys, bench.cli._main, bench.engine.runner, bench.measure.evaluation as _"
    code += "; from bench.registry import registry, KINDS; [registry.all(kind) for kind in KINDS]"
    code += "; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class TestFamilies:
    def test_they_are_picked_by_what_they_are(self) -> None:
        assert isinstance(family_for("image", Reconstructor).make, type)
        both = families_for("text", Sequential, Streaming)
        assert both and both.keys() <= families_for("text").keys()
        assert not both.keys() & families_for("image").keys()
        assert not any(entry.control for entry in families_for("image").values())

    def test_what_there_is_not_is_said(self) -> None:
        with pytest.raises(GenbenchError, match="no registered family of video with the preset 'test' is Rereading"):
            family_for("video", Rereading)

    def test_a_modality_without_made_up_data_is_said(self) -> None:
        with pytest.raises(GenbenchError, match=r"no made-up data of the modality 'acme/graph'.*give a DataSpec"):
            made_up("acme/graph")
