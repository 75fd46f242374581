"""A gate, and what a generator costs, as tests in any project that has genbench installed.

    def test_quality(genbench_check):
        genbench_check("suite.toml", baseline="baseline.json")

    def test_cost(genbench_profile):
        costs = genbench_profile("acme/net", dataset="mnist5k")
        assert costs["latency_p90"].value < 0.02

pytest finds it by its entry point, in every session of an environment that has genbench: nothing else is imported until
the fixture is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from bench.record import Measurement, RunRecord
    from bench.results.gate import Gate

UPDATE = "--genbench-update"


class Check(Protocol):
    """Run a suite and judge it by a baseline: a bundle, a record or a run folder.

    margins: ``["fd_lenet=5%"]``; policy: a file of them. The rest is of ``bench.run``; the run is kept in the test's
    own folder unless ``out`` names one, which goes on from what it holds. What the data do not tell fails too, with
    what would tell, unless ``inconclusive`` is "skip". A failure shows the table of ``genbench check``.
    """

    def __call__(
        self,
        suite: str | Path,
        baseline: str | Path,
        *,
        margins: Sequence[str] = (),
        policy: str | Path | None = None,
        out: str | Path | None = None,
        jobs: int = 1,
        overrides: Sequence[str] = (),
        inconclusive: str = "fail",
    ) -> Gate: ...


class Profile(Protocol):
    """Measure all that a generator costs, as ``genbench profile`` does: by metric, what was measured.

    A metric that could not be measured fails the test that asks for it, with the reason; so does a trial that failed.
    how: preset, load, seconds, batch_size, device, settings, also (further metrics) and looks (those on the way) of
    ``bench.engine.profiling``.
    """

    def __call__(self, generator: str, dataset: str, **how: Any) -> Mapping[str, Measurement]: ...


class _Measured(dict[str, "Measurement"]):
    def __init__(self, record: RunRecord) -> None:
        super().__init__((m.metric, m) for m in record.measurements)
        self.omitted = record.omitted

    def __missing__(self, metric: str) -> Measurement:
        pytest.fail(f"no {metric}: {self.omitted.get(metric, 'it is no measure of cost that was asked for')}", False)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("genbench")
    group.addoption(UPDATE, action="store_true", help="write the baselines of genbench_check anew")


@pytest.fixture
def genbench_check(request: pytest.FixtureRequest, tmp_path: Path) -> Check:
    """See ``Check``. With ``--genbench-update`` the run becomes the baseline, a bundle."""

    def check(
        suite: str | Path,
        baseline: str | Path,
        *,
        margins: Sequence[str] = (),
        policy: str | Path | None = None,
        out: str | Path | None = None,
        inconclusive: str = "fail",
        **how: Any,
    ) -> Gate:
        from bench.engine.runner import run
        from bench.foreign import sought
        from bench.results import gate, store

        # All that may be wrong is read before hours are spent on a run.
        asked, update = gate.read_policy(policy, margins), request.config.getoption(UPDATE)
        if not update:
            if not Path(baseline).exists():
                missing = f"there is no baseline {baseline} yet{sought(baseline)}"
                pytest.fail(f"{missing}: run pytest {UPDATE}, and commit it", pytrace=False)
            before = store.read_side(baseline)[0]
            gate.check(before, before, asked)
        found = store.Records(run(suite, out=out or tmp_path / "genbench", **how).records)
        if update:
            store.write_bundle(Path(baseline), store.Records(map(_of_anywhere, found)))
            before = store.read_side(baseline)[0]
        judged = gate.check(before, found, asked)
        if judged.verdict == "inconclusive" and inconclusive == "skip":
            pytest.skip(gate.to_markdown(judged))
        if judged.verdict != "pass":
            pytest.fail(gate.to_markdown(judged), pytrace=False)
        return judged

    return check


@pytest.fixture
def genbench_profile(tmp_path: Path) -> Profile:
    """See ``Profile``."""

    def measure(generator: str, dataset: str, **how: Any) -> Mapping[str, Measurement]:
        from bench.engine.profiling import profile

        record = profile(generator, dataset, tmp_path / "genbench", **how)
        if record.error:
            pytest.fail(f"{generator} on {dataset}: {record.error.message}", pytrace=False)
        return _Measured(record)

    return measure


def _of_anywhere(record: RunRecord) -> RunRecord:
    """A record that is to be committed: the command that made it names folders of this machine."""
    return record.model_copy(update={"plan": record.plan.model_copy(update={"command": ""})})
