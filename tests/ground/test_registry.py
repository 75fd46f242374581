"""Names: every one once, the nearest one offered, a bad plugin named and harmless."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import Comparison, Dataset, DataSpec, Estimate, GenbenchError, UnknownName, extractor, metric
from bench.errors import DuplicateName
from bench.registry import GROUP, Entry, Registry, generator, registry


class FakePoint:
    """Stands for an entry point; ``act`` is what importing the plugin does."""

    def __init__(self, name: str, act: object, dist: str = "other") -> None:
        self.name, self.value, self.module, self._act = name, name, "bench", act
        self.dist = type("Dist", (), {"name": dist})

    def load(self) -> None:
        self._act()  # type: ignore[operator]


def one_of_samples(c: Comparison) -> Estimate:
    """Nothing, as a metric of samples."""
    return Estimate(value=0.0, n=1)


def test_importing_bench_does_not_import_torch() -> None:
    code = "import bench, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_looking_up_a_report_does_not_import_torch() -> None:
    code = "from bench.registry import registry; import sys; registry.get('reports', 'html')"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_second_registration_raises() -> None:
    name, first = next(iter(registry.all("generators").items()))
    with pytest.raises(DuplicateName, match=rf"'{name}'.*registered already by {re.escape(first.origin)}"):

        @generator(name, modalities={"image"})
        class Second:
            def __init__(self, spec: DataSpec) -> None: ...


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown generator 'vea'; did you mean 'vae'"):
        registry.get("generators", "vea")


def test_an_unlike_name_is_answered_with_all_or_with_how_to_see_them() -> None:
    with pytest.raises(UnknownName, match=f"there is {', '.join(registry.all('extractors'))}"):
        registry.get("extractors", "zzzzzz")
    many = len(registry.all("generators", with_rest=True))
    with pytest.raises(UnknownName, match=f"there are {many}, which `genbench list` shows"):
        registry.get("generators", "zzzzzz")


def test_a_parameter_named_like_a_suite_key_is_refused() -> None:
    with pytest.raises(GenbenchError, match="'budget'"):

        @generator("greedy", modalities={"image"})
        class Greedy:
            def __init__(self, spec: DataSpec, *, budget: int = 1) -> None: ...


@pytest.mark.usefixtures("own_names")
def test_roles_and_places_are_what_the_kernel_knows() -> None:
    @generator("acme/any", modalities=None, control=True)
    @generator("acme/best", modalities=None, control="ceiling")
    class Yardstick:
        """One."""

        def __init__(self, dataset: Dataset) -> None: ...

    found = registry.all("generators")
    assert [(found[name].control, found[name].role) for name in ("acme/any", "acme/best", "vae")] == [
        (True, None), (True, "ceiling"), (False, None),
    ]  # fmt: skip
    with pytest.raises(GenbenchError, match="'acme/x': control = 'roof': should be True or one of ceiling, floor"):
        generator("acme/x", modalities=None, control="roof")(Yardstick)  # type: ignore[arg-type]
    for places in ({"lead": -1}, {"curve": 1.5}, {"lead": True}):
        (place,) = places
        with pytest.raises(GenbenchError, match=f"metric 'acme/x': {place} = .*: should be a whole number, 0 or more"):
            metric("acme/x", aspect="realism", unit="1", better="none", **places)(one_of_samples)
    with pytest.raises(GenbenchError, match="extractor 'acme/x': lead = '1': should be"):
        extractor("acme/x", lead="1")(Yardstick)  # type: ignore[arg-type]


def test_an_unknown_modality_is_refused() -> None:
    with pytest.raises(GenbenchError, match="generator 'nose': unknown modality 'images'; did you mean 'image'"):

        @generator("nose", modalities={"images"})
        class Nose:
            def __init__(self, spec: DataSpec) -> None: ...


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("boom")


@pytest.mark.parametrize("error", [RuntimeError("boom"), ImportError("boom"), SystemExit("boom"), Mute()])
def test_a_plugin_that_fails_is_named_and_stops_nobody(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    fresh = Registry()

    def good() -> None:
        fresh.add("suites", Entry(name="fine", origin="good", about=""))

    def bad() -> None:
        fresh.add("suites", Entry(name="half", origin="bad", about=""))
        raise error

    monkeypatch.setattr("bench.registry._entry_points", lambda: (FakePoint("bad", bad), FakePoint("good", good)))
    assert list(fresh.all("suites")) == ["fine"]  # nothing half-registered stays
    what = "Mute: its message cannot be printed" if isinstance(error, Mute) else f"{type(error).__name__}: boom"
    assert fresh.failures["bad"] == what
    with pytest.raises(UnknownName, match=rf"plugin 'bad' could not be imported: {what}"):
        fresh.get("suites", "half")


def test_a_package_that_stands_before_ours_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder called metrics where somebody works: else there would be no metric, and nobody would know why."""
    point = importlib.metadata.EntryPoint("metrics", "metrics.features", GROUP)
    hidden = importlib.util.spec_from_loader("metrics", None, is_package=True)
    assert hidden is not None
    hidden.submodule_search_locations = [str(tmp_path / "metrics")]
    monkeypatch.setattr("bench.registry._is_ours", lambda point: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: hidden)
    fresh = Registry()
    monkeypatch.setattr("bench.registry._entry_points", lambda: (point,))
    with pytest.raises(UnknownName, match=r"metrics stands before genbench's own package 'metrics'"):
        fresh.get("metrics", "fd")


def test_a_plugin_cannot_take_the_place_of_a_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Registry()
    add = lambda origin: lambda: fresh.add("suites", Entry(name="demo", origin=origin, about=""))  # noqa: E731
    points = (FakePoint("aaa", add("thief")), FakePoint("ours", add("ours"), dist="genbench"))
    monkeypatch.setattr("bench.registry._entry_points", lambda: points)
    assert fresh.all("suites")["demo"].origin == "ours"
    assert "registered already" in fresh.failures["aaa"]


def test_every_entry_says_what_it_is() -> None:
    for kind in ("generators", "metrics", "datasets", "suites", "extractors", "reports"):
        for name, entry in registry.all(kind).items():
            assert entry.about, f"{kind} {name} has no docstring"


def test_our_own_door_is_the_entry_points() -> None:
    points = importlib.metadata.entry_points(group="genbench.plugins")
    assert {"generators", "metrics", "datasets", "reports", "suites", "extractors"} <= {p.name for p in points}
