"""A suite end to end, and everything that can go wrong on the way: nothing measured is lost, nothing is hidden."""

from __future__ import annotations

import errno
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import jsonschema
import pytest

import bench
from bench import DataSpec, DeviceError, GenbenchError, OutputError, SuiteError, Unsupported, files
from bench.doors import RUN_AS
from bench.engine.budget import Budget
from bench.engine.checkpoint import read_checkpoint
from bench.engine.executors._base import Limits
from bench.engine.executors.local import LocalExecutor
from bench.engine.plan import TrialPlan, checkpoint_path
from bench.engine.runner import plan, run
from bench.engine.worker import record_of
from bench.errors import RunStopped
from bench.parameters import resolve
from bench.record import SCHEMA_FILE, Failure, RunRecord, Setup, json_schema
from bench.registry import registry
from bench.results import store
from bench.testing import families_for
from bench.testing._models import takes
from tests.command import genbench
from tests.report_records import as_schema_1
from tests.suites import IMAGE_FAMILY, SMALL

# What goes wrong in a training step, and how the record must tell it.
TROUBLE = {
    "raises": ("raise ValueError('this family is broken')", "exception", "ValueError: this family is broken"),
    "dies": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed", "signal 11"),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed", "out of memory"),
    "hungry": ("torch.empty(2**50)", "memory", "allocate memory"),
    "stalls": (
        "self.n = getattr(self, 'n', 0) + 1; print('at step', self.n); time.sleep(1000 if self.n == 3 else 0)",
        "timeout",
        "no other sign of life for 15 s (budget.stall_limit); measured at step 2 of 3, its last checkpoint",
    ),
    "endless": ("time.sleep(0.1)", "timeout", "where its limit of 10 s (budget.time_limit) ended it"),
    "quits": ("import sys; sys.exit('enough')", "killed", "enough"),
    "chatty": ("print('{not json}')", None, None),
}
FAMILY = '''
@generator("{name}", modalities={{"image"}})
class Trouble(torch.nn.Module):
    """Trouble."""

    def __init__(self, spec):
        super().__init__()
        self.shape = spec.shape

    def train_step(self, batch, rng):
        {act}
        return {{"loss": 0.0}}

    def sample(self, n, rng, condition=None):
        return 2 * torch.rand(n, *self.shape, generator=rng) - 1
'''
BROKEN_METRICS = """
import os, signal
from bench import Estimate, Trial, metric

@metric("broken/raises", on={"image"}, aspect="realism", unit="1", better="none")
def raises(trial: Trial):
    "Raises."
    return 1 / 0

@metric("broken/infinite", on={"image"}, aspect="realism", unit="1", better="none")
def infinite(trial: Trial):
    "Returns infinity."
    return Estimate(value=float("inf"), n=1)

@metric("broken/kills", on={"image"}, aspect="realism", unit="1", better="none")
def kills(trial: Trial):
    "Ends the process."
    os.kill(os.getpid(), signal.SIGKILL)
"""
HEAD = "import sys\nimport time\nimport torch\nfrom bench import generator, run\n"
TAIL = """
if __name__ == "__main__":
    run(sys.argv[1], out=sys.argv[2], jobs=2).to_json(sys.argv[3], orient="records")
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with everything in it, shared by the tests that only look."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.toml").write_text(SMALL)
    assert genbench("run", folder / "small.toml", "--out", folder / "out").returncode == 0
    return folder / "out"


def records(out: Path) -> dict[str, RunRecord]:
    found, ignored = store.read_records(out)
    assert not ignored
    return {record.plan.generator: record for record in found}


class TestFinished:
    def test_the_folder_holds_what_it_promises(self, finished: Path) -> None:
        assert len(list(finished.glob("records/*.json"))) == 5
        assert len(list(finished.glob("samples/*.npz"))) == 10  # and the training images nearest to them
        assert len(list(finished.glob("checkpoints/*.safetensors"))) == 1
        assert (finished / "report" / "index.html").is_file()

    def test_a_record_says_everything(self, finished: Path) -> None:
        ours, entry = records(finished)["ours"], registry.get("generators", IMAGE_FAMILY)
        (planned, *_) = plan(finished.parent / "small.toml")
        told = set(Setup.model_fields) - {"command"}
        assert ours.plan.model_dump(include=told) == planned.model_dump(include=told)
        assert ours.plan.metrics == ("fd_lenet", "kid_lenet", "peak_gpu_bytes")
        assert (ours.plan.source, ours.plan.precision, ours.plan.compile) == ("digits", "fp32", False)
        assert ours.plan.budget["train_steps"] == 20 and ours.plan.weights is None
        assert ours.status == "ok" and ours.error is None
        assert ours.plan.params == resolve(entry.make, entry.presets["test"], "")[0]
        assert ours.curve[-1].step == 20 and "loss" in ours.curve[-1].losses
        assert set(ours.phases) == {"data", "build", "train", "sample", "metrics", "continue", "nearest"}
        assert ours.environment["threads"] == int(os.environ["OMP_NUM_THREADS"])
        assert "torch" in ours.environment["versions"]
        assert {m.metric: m.n for m in ours.measurements} == {"fd_lenet": 100, "kid_lenet": 100}
        assert ours.omitted == {"peak_gpu_bytes": "no GPU was used"}
        assert ours.environment["load"]["cpu_seconds"] > 0 and ours.environment["load"]["busy"] in (True, False)
        assert "genbench run" in ours.plan.command

    def test_records_keep_to_the_published_schema(self, finished: Path) -> None:
        schema = json.loads(SCHEMA_FILE.read_text())
        for path in finished.glob("records/*.json"):
            jsonschema.validate(json.loads(path.read_text()), schema)

    def test_real_data_scores_best(self, finished: Path) -> None:
        value = {g: r.measurements[0].value for g, r in records(finished).items()}
        assert value["real"] < min(value["ours"], value["noise"])

    def test_running_again_runs_nothing(self, finished: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in finished.glob("records/*.json")}
        again = genbench("run", finished.parent / "small.toml", "--out", finished)
        assert again.returncode == 0 and "5 ok; 5 of them from an earlier run" in again.stderr
        assert {path: path.stat().st_mtime_ns for path in finished.glob("records/*.json")} == before

    def test_a_folder_whose_records_are_of_schema_1_is_done_too(self, finished: Path, tmp_path: Path) -> None:
        shutil.copytree(finished, tmp_path / "out")
        of_suite = {p.run_id for p in plan(finished.parent / "small.toml")}
        paths = [store.record_path(tmp_path / "out", run_id) for run_id in sorted(of_suite)]
        old = {path: json.dumps(as_schema_1(json.loads(path.read_text()))) for path in paths}
        for path, text in old.items():
            path.write_text(text)
        outcome = run(finished.parent / "small.toml", out=tmp_path / "out")
        assert outcome.ran == 0 and outcome.complete and len(outcome.records) == 5
        assert {path: path.read_text() for path in paths} == old  # left as they are

    def test_what_a_newer_genbench_wrote_is_not_written_over(self, finished: Path, tmp_path: Path) -> None:
        shutil.copytree(finished, tmp_path / "out")
        path = store.record_path(tmp_path / "out", plan(finished.parent / "small.toml")[0].run_id)
        path.write_text('{"schema": 3}')
        for words in (("--dry-run",), ()):
            done = genbench("run", finished.parent / "small.toml", "--out", tmp_path / "out", *words)
            assert done.returncode == 2
            assert f"{path.name}: is of schema 3, which a newer genbench wrote: update genbench" in done.stderr
        assert path.read_text() == '{"schema": 3}'

    def test_one_more_metric_measures_again_but_does_not_train_again(self, finished: Path) -> None:
        suite, changes = finished.parent / "small.toml", ['metrics=["fd_lenet", "is_lenet"]', "controls=false"]
        plans = plan(suite, overrides=changes)
        checkpoint = next(finished.glob("checkpoints/*"))
        assert checkpoint.stem == plans[0].training_id
        before = checkpoint.stat().st_mtime_ns
        table = bench.run(suite, out=finished, overrides=changes)
        assert list(table.metric) == ["fd_lenet", "is_lenet"]
        assert checkpoint.stat().st_mtime_ns == before
        first = next(m for m in records_of(finished, plans[0].run_id).measurements if m.metric == "fd_lenet")
        assert table.value[0] == first.value  # and the new metric moved no old number

    def test_copied_folders_merge(self, finished: Path, tmp_path: Path) -> None:
        (tmp_path / "records").mkdir()
        for path in finished.glob("records/*.json"):
            (tmp_path / "records" / path.name).write_bytes(path.read_bytes())
        assert len(bench.read_frame(tmp_path)) == len(bench.read_frame(finished))

    def test_a_checkpoint_can_be_loaded_by_another_suite(self, finished: Path, tmp_path: Path) -> None:
        checkpoint = next(finished.glob("checkpoints/*"))
        (tmp_path / "load.toml").write_text(
            f"metrics = ['fd_lenet', 'train_throughput']\nbudget.samples = 100\n[datasets.digits]\n"
            f"[generators.ours]\nload = '{checkpoint}'\n"
        )
        outcome = run(tmp_path / "load.toml", out=tmp_path / "out", overrides=["controls=false"])
        (ours,) = outcome.records
        assert ours.plan.weights == f"{checkpoint.name} (sha256:{files.sha256(checkpoint)})"
        assert not {"train_steps", "checkpoint_every"} & set(ours.plan.budget)
        assert ours.plan.family == IMAGE_FAMILY and ours.plan.params == records(finished)["ours"].plan.params
        assert ours.omitted == {"train_throughput": "nothing was trained: the weights were loaded"}
        trained = {m.metric: m.value for m in records(finished)["ours"].measurements}
        assert ours.measurements[0].value == trained["fd_lenet"]

    def test_a_checkpoint_is_used_only_for_what_it_is(self, finished: Path, tmp_path: Path) -> None:
        checkpoint = next(finished.glob("checkpoints/*"))
        ours, other = f"[generators.ours]\nload = '{checkpoint}'\n", min(families_for("image").keys() - {IMAGE_FAMILY})
        for text, answer in (
            (f"[datasets.digits]\n{ours}family = '{other}'", f"holds a {IMAGE_FAMILY}"),
            (f"[datasets.mnist5k]\n{ours}", "was trained on"),
            ("[datasets.digits]\n[generators.ours]\nload = 'small.toml'", "no checkpoint"),
        ):
            (tmp_path / "load.toml").write_text(text)
            with pytest.raises(SuiteError, match=answer) as caught:
                plan(tmp_path / "load.toml")
            assert len(caught.value.problems) == 1

    def test_the_report_can_be_made_again_from_python(self, finished: Path, tmp_path: Path) -> None:
        page = bench.render(finished, tmp_path, formats=["html"])
        assert page == tmp_path / "index.html" and {*tmp_path.iterdir()} == {page, tmp_path / "pages"}
        with pytest.raises(OutputError, match="is no run folder: it has no records/"):
            bench.render(tmp_path)


def records_of(out: Path, run_id: str) -> RunRecord:
    return store.read_record(store.record_path(out, run_id))


def test_the_published_schema_is_the_code(finished: Path) -> None:
    assert SCHEMA_FILE.read_text() == json_schema(), "run: make schema"


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_run_killed_in_the_middle_goes_on_to_the_same_result(small: Path, tmp_path: Path) -> None:
    words = ["run", str(small), "--set", "controls=false", "--set", "budget.train_steps=500", "--device", "cpu"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert genbench(*words, "--out", whole).returncode == 0

    process = subprocess.Popen([sys.executable, "-m", "bench", *words, "--out", cut], stderr=subprocess.DEVNULL)
    wait_until(lambda: list(cut.glob("checkpoints/*.safetensors")))
    for worker in _workers(cut):
        os.kill(worker, signal.SIGSTOP)  # even one that can do nothing by itself must end
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(cut.glob("records/*.json"))  # it was killed in time
    wait_until(lambda: not _workers(cut))  # and left no worker behind
    told = genbench("report", cut)
    assert told.returncode == 0 and "1 of 1 trials of small has no record yet" in told.stderr

    resumed = genbench(*words, "--out", cut)
    assert resumed.returncode == 0
    assert re.search(r"ours on digits, seed 0: goes on from step \d+ of 500", resumed.stderr)
    assert "no record yet" not in (cut / "report" / "index.html").read_text()
    first, second = records(whole)["ours"], records(cut)["ours"]
    assert first.run_id == second.run_id
    assert [m.value for m in first.measurements] == [m.value for m in second.measurements]
    assert [p.losses for p in first.curve] == [p.losses for p in second.curve]
    assert not list(cut.glob("*/.tmp-*"))


def _workers(folder: Path) -> list[int]:
    """Process ids of the workers of this run folder that are still alive."""
    listed = subprocess.run(["ps", "ax", "-o", "pid,args"], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if f"bench.engine {folder}" in line]


def test_however_often_ctrl_c_is_pressed_the_answer_is_one_line(small: Path, out: Path) -> None:
    words = ["run", str(small), "--set", "budget.train_steps=1000000", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "bench", *words], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: list(out.glob("checkpoints/*.safetensors")))
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said and said.count("interrupted") == 1
    assert said.splitlines()[-1].startswith("genbench: interrupted; what is finished is kept")
    wait_until(lambda: not _workers(out))


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from a user's own script, which defines eight families: seven go wrong in ways of their own."""
    folder = tmp_path_factory.mktemp("troubled")
    families = "".join(FAMILY.format(name=name, act=act) for name, (act, *_) in TROUBLE.items())
    (folder / "mine.py").write_text(HEAD + families + TAIL)
    own = {"stalls": "budget.stall_limit = 15", "endless": "budget = { time_limit = 10, train_steps = 10_000_000 }"}
    tables = "".join(f"[generators.{name}]\n{own.get(name, '')}\n" for name in TROUBLE)
    budget = "{ train_steps = 3, samples = 20, checkpoint_every = 1, time_limit = 1e12 }"
    suite = f"metrics = ['fd_lenet']\ncontrols = false\nbudget = {budget}\n[datasets.digits]\n{tables}"
    (folder / "suite.toml").write_text(suite)
    words = [folder / "mine.py", folder / "suite.toml", folder / "out", folder / "table.json"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", [name for name in TROUBLE if name != "chatty"])
def test_a_trial_that_goes_wrong_leaves_a_record_that_says_how(troubled: Path, name: str) -> None:
    _, kind, message = TROUBLE[name]
    failed = records(troubled / "out")[name]
    assert failed.status == "failed" and failed.error is not None
    assert failed.error.kind == kind and str(message) in failed.error.message
    table = {row["generator"]: row for row in json.loads((troubled / "table.json").read_text())}
    assert table[name]["status"] == "failed"
    assert bool(failed.measurements) == (kind == "timeout") == (table[name]["value"] is not None)


def test_a_training_that_was_stopped_is_measured_where_it_is_and_says_so(troubled: Path) -> None:
    found = records(troubled / "out")
    stalls = found["stalls"]
    assert stalls.steps == 2 and found["chatty"].steps == 3
    log = (troubled / "out" / "logs" / f"{stalls.run_id}.log").read_text()
    assert [f"at step {n}" in log for n in (1, 2, 3)] == [True] * 3  # of the first worker: the second adds to it
    endless = found["endless"]
    assert endless.steps is not None and 0 < endless.steps < 10_000_000
    assert [m.metric for m in endless.measurements] == ["fd_lenet"]
    _, about = read_checkpoint(troubled / "out" / "checkpoints" / f"{endless.training_id}.safetensors")
    assert about["progress"]["step"] == endless.steps  # from where it goes on
    page = (troubled / "out" / "report" / "index.html").read_text()
    assert f"endless (stopped_at={endless.steps})" in page


def test_the_others_go_on_and_what_a_family_prints_disturbs_nobody(troubled: Path) -> None:
    chatty = records(troubled / "out")["chatty"]
    assert chatty.status == "ok"
    assert "{not json}" in (troubled / "out" / "logs" / f"{chatty.run_id}.log").read_text()


def test_a_failed_trial_is_tried_again_and_a_good_one_kept(finished: Path, small: Path, out: Path) -> None:
    shutil.copytree(finished, out)
    ours = records_of(out, plan(small)[0].run_id)
    broken = ours.model_dump(mode="json") | {"status": "failed", "error": {"kind": "killed", "message": "x"}}
    store.write_record(out, RunRecord.model_validate(broken))
    before = {path: path.stat().st_mtime_ns for path in out.glob("records/*.json")}
    run(small, out=out)
    changed = [path.stem for path, was in before.items() if path.stat().st_mtime_ns != was]
    assert changed == [ours.run_id] and records_of(out, ours.run_id).status == "ok"


@pytest.mark.usefixtures("own_names")
def test_a_family_that_cannot_make_the_data_is_skipped_with_the_reason(tmp_path: Path, out: Path) -> None:
    """Here a user's own data, of odd size."""
    odd = DataSpec("image", (1, 9, 9), "continuous", classes=1)
    unable = next(entry for entry in families_for("image").values() if not takes(entry, odd))
    script = tmp_path / "odd.py"
    script.write_text(
        "import numpy as np\nfrom bench import ImageDataset, dataset\n\n"
        "@dataset('odd', modality='image')\ndef odd():\n    '''Odd.'''\n"
        "    x = np.random.default_rng(0).integers(256, size=(99, 1, 9, 9)).astype(np.uint8)\n"
        "    return ImageDataset('odd', dict.fromkeys(('train', 'valid', 'test'), (x, np.zeros(99))), classes=1)\n"
    )
    suite = tmp_path / "odd.toml"
    suite.write_text(
        "metrics = ['fd_lenet']\ncontrols = false\nbudget.samples = 50\n[datasets.odd]\n"
        f"[generators.unable]\nfamily = '{unable.name}'\npreset = 'test'\n"
    )
    runpy.run_path(str(script), run_name=RUN_AS)
    run(suite, out=out)
    skipped = records(out)["unable"]
    assert skipped.status == "skipped" and skipped.error is not None
    with pytest.raises(Unsupported) as caught:
        unable.make(odd, **unable.presets["test"])
    assert str(caught.value) in skipped.error.message


def test_a_metric_that_breaks_costs_no_other_its_number(small: Path, tmp_path: Path, out: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text(HEAD + BROKEN_METRICS + TAIL)
    names = ["broken/raises", "broken/infinite", "fd_lenet", "parameters"]
    small.write_text(small.read_text().replace("metrics = ", f"controls = false\nmetrics = {names} # "))
    done = subprocess.run([sys.executable, script, small, out, tmp_path / "t.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = records(out)["ours"]
    assert ours.status == "failed" and ours.error is not None
    assert ours.error.message == "metric broken/raises: ZeroDivisionError: division by zero"
    assert {m.metric for m in ours.measurements} == {"fd_lenet", "parameters"}
    assert "finite number" in ours.omitted["broken/infinite"]
    assert ours.plan.command == shlex.join(["python", *map(str, (script, small, out, tmp_path / "t.json"))])


@pytest.mark.usefixtures("own_names")
def test_a_worker_that_is_killed_leaves_what_it_had_measured(small: Path, tmp_path: Path, out: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN_METRICS)
    small.write_text(
        small.read_text().replace("metrics = ", "controls = false\nmetrics = ['parameters', 'broken/kills'] #")
    )
    runpy.run_path(str(script), run_name=RUN_AS)
    run(small, out=out)
    ours = records(out)["ours"]
    assert ours.error is not None and "out of memory" in ours.error.message
    assert [m.metric for m in ours.measurements] == ["parameters"]

    # and another attempt that comes to nothing takes none of it away
    (out / "samples").rename(tmp_path / "samples")
    (out / "samples").write_text("in the way")
    run(small, out=out)
    ours = records(out)["ours"]
    assert ours.error is not None and "of an attempt before this" in ours.error.message
    assert [m.metric for m in ours.measurements] == ["parameters"]


class TestLimits:
    """Limits, by a clock that the test moves."""

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        time_now = [0.0]
        monkeypatch.setattr("bench.engine.executors._base.time.monotonic", lambda: time_now[0])
        return time_now

    def after(self, clock: list[float], limits: Limits, seconds: float, every: float = 1) -> None:
        for _ in range(int(seconds / every)):
            clock[0] += every
            limits.look()

    def test_silence_ends_a_trial_and_progress_never_does(self, clock: list[float]) -> None:
        limits = Limits(Budget(stall_limit=60))
        limits.hear({"phase": "data"})
        for _ in range(1000):
            self.after(clock, limits, 50)
            limits.hear({"step": 1})
        assert limits.failure is None
        self.after(clock, limits, 61)
        assert limits.failure is not None and "no step and no other sign of life for 60 s" in limits.failure.message

    def test_a_slow_disk_is_no_stall(self, clock: list[float]) -> None:
        limits = Limits(Budget(stall_limit=5))
        self.after(clock, limits, 290)
        assert limits.failure is None
        self.after(clock, limits, 20)
        assert limits.failure is not None
        assert limits.failure.message == "stopped: its process did not come up within 300 s"

    def test_a_parent_that_was_suspended_blames_nobody(self, clock: list[float]) -> None:
        limits = Limits(Budget(stall_limit=60, time_limit=100))
        limits.hear({"phase": "data"})
        self.after(clock, limits, 10_000, every=10_000)
        assert limits.failure is None

    def test_measuring_has_as_long_again_as_training(self, clock: list[float]) -> None:
        limits = Limits(Budget(time_limit=100))
        self.after(clock, limits, 99)  # importing what the trial needs is not yet the trial
        limits.hear({"phase": "data"})
        self.after(clock, limits, 105)
        assert limits.failure is None  # the worker ends its training itself, after a whole step
        limits.hear({"phase": "sample"})
        self.after(clock, limits, 99)
        assert limits.failure is None and limits.measuring
        self.after(clock, limits, 2)
        assert limits.failure is not None and "while measuring at its limit of 100 s" in limits.failure.message

    def test_no_limit_is_too_long(self, clock: list[float]) -> None:
        limits = Limits(Budget(time_limit=1e300, stall_limit=1e300))
        limits.hear({"phase": "data"})
        self.after(clock, limits, 100)
        assert limits.failure is None


class TestSecondWorker:
    """What comes of a trial whose first worker a limit ended, and whose second measures the last checkpoint."""

    def outcome(self, monkeypatch: pytest.MonkeyPatch, out: Path, second: RunRecord) -> RunRecord:
        trial = plan_of()
        checkpoint_path(out, trial).parent.mkdir()
        checkpoint_path(out, trial).touch()
        first = record_of(trial, "failed", Failure(kind="timeout", message="stopped: too long"))
        answers = [(first, True), (second, False)]
        executor = LocalExecutor(out, jobs=1, threads=1)
        monkeypatch.setattr(executor, "_work", lambda *_: answers.pop(0))
        return executor._run_one(trial, lambda *_: None)

    def test_a_training_that_was_done_is_a_result(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        second = record_of(plan_of(), "ok", None)
        assert self.outcome(monkeypatch, tmp_path, second) is second

    def test_what_kept_it_from_measuring_is_said_too(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        second = record_of(plan_of(), "failed", Failure(kind="exception", message="it is damaged"))
        error = self.outcome(monkeypatch, tmp_path, second).error
        assert error is not None and (error.kind, error.message) == ("timeout", "stopped: too long; it is damaged")


def test_a_line_that_is_no_event_disturbs_nobody() -> None:
    from bench.engine.executors.local import _own_record, _parse

    assert [_parse(line) for line in ('{"step": 1, ', "hello", "3", "")] == [{}, {}, {}, {}]
    assert _parse('{"step": 1}') == {"step": 1}
    assert _own_record({"schema": 1}, plan_of()) is None


def test_a_record_of_another_trial_is_not_taken(finished: Path) -> None:
    from bench.engine.executors.local import _own_record

    found = json.loads(next(finished.glob("records/*.json")).read_text())
    assert _own_record(found, plan_of()) is None


@cache
def plan_of() -> TrialPlan:
    """A plan that nothing here was run from."""
    return plan("demo")[0]


def test_calls_from_python_are_checked_too(small: Path, out: Path) -> None:
    with pytest.raises(GenbenchError, match="jobs = 0"):
        bench.run(small, out=out, jobs=0)
    with pytest.raises(DeviceError, match="unknown device 'gpu'; there is auto"):
        bench.run(small, out=out, device="gpu")
    assert not out.exists()


class TestFolder:
    @pytest.mark.slow
    def test_half_written_and_foreign_records_are_named_and_left_alone(self, small: Path, out: Path) -> None:
        folder = out / "records"
        folder.mkdir(parents=True)
        (folder / "half.json").write_text('{"schema": 1, "run_id": ')
        (folder / "foreign.json").write_text('{"hello": "world"}')
        (folder / "future.json").write_text('{"schema": 99}')
        assert genbench("run", small, "--out", out, "--set", "controls=false").returncode == 0
        found, ignored = store.read_records(out)
        assert len(found) == 1
        assert [line.split(":")[0] for line in ignored] == [f"ignored {n}.json" for n in ("foreign", "future", "half")]
        page = (out / "report" / "index.html").read_text()
        assert all(f"{name}.json" in page for name in ("half", "foreign", "future"))

    @pytest.mark.slow
    def test_a_record_damaged_after_the_fact_is_made_again(self, small: Path, out: Path) -> None:
        run(small, out=out, overrides=["controls=false"])
        (path,) = out.glob("records/*.json")
        path.write_text(path.read_text()[:100])
        run(small, out=out, overrides=["controls=false"])
        assert records(out)["ours"].status == "ok"

    def test_an_unwritable_folder_is_one_clear_message(self, small: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        done = genbench("run", small, "--out", tmp_path / "file" / "out")
        assert done.returncode == 2
        assert "cannot write" in done.stderr and "--out" in done.stderr and "Traceback" not in done.stderr

    @pytest.mark.parametrize("name", [*files.PARTS, ".lock"])
    def test_a_run_follows_no_link_in_its_folder(self, small: Path, out: Path, tmp_path: Path, name: str) -> None:
        """What it leads to is not the run's to read, to write or to clean up."""
        out.mkdir()
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / ".tmp-theirs").write_text("kept")
        (out / "theirs").symlink_to(tmp_path / "elsewhere")
        (out / name).symlink_to(tmp_path / "elsewhere" / ("new" if name == ".lock" else ""))
        with pytest.raises(OutputError, match=r"cannot write to .*: Too many levels|is a link, which is not followed"):
            run(small, out=out)
        assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == [".tmp-theirs"]

    def test_a_log_that_is_a_link_is_not_written_through(self, small: Path, out: Path, tmp_path: Path) -> None:
        (tmp_path / "theirs").write_text("kept")
        (out / "logs").mkdir(parents=True)
        (planned,) = plan(small, overrides=["controls=false"])
        (out / "logs" / f"{planned.run_id}.log").symlink_to(tmp_path / "theirs")
        with pytest.raises(RunStopped, match=r"cannot write .*\.log: Too many levels"):
            run(small, out=out, overrides=["controls=false"])
        assert (tmp_path / "theirs").read_text() == "kept"

    def test_one_run_at_a_time(self, small: Path, out: Path) -> None:
        with files.lock(out):
            done = genbench("run", small, "--out", out)
        assert done.returncode == 2 and "another run is writing" in done.stderr

    def test_a_folder_deleted_under_a_run_is_free_for_another_and_the_first_stops(
        self, small: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = store.write_record

        def deleted(folder: Path, record: RunRecord) -> Path:
            path = real(folder, record)
            if folder == out:
                shutil.rmtree(out)
                with files.lock(out):  # as another run would
                    pass
            return path

        monkeypatch.setattr("bench.results.store.write_record", deleted)
        with pytest.raises(RunStopped, match=r"deleted or replaced .* \(1 of 5 trials\) is kept in .*out-rescued"):
            run(small, out=out)
        assert [path.name for path in out.iterdir()] == [".lock"]  # what is another's now is left alone
        assert len(records(out.with_name("out-rescued"))) == 1

    @pytest.mark.slow
    def test_a_full_disk_stops_with_a_message_and_keeps_what_is_there(
        self, small: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.fsync
        kept: list[None] = []

        def full(handle: int) -> None:
            if len(kept) == 2:  # the plan and a record
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            kept.append(real(handle))

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(RunStopped, match=r"No space left on device; 4 trials to run, and the same command"):
            run(small, out=out)
        monkeypatch.undo()
        assert len(records(out)) == 1 and not list(out.glob("*/.tmp-*"))
        assert len(run(small, out=out).records) == 5

    def test_a_file_is_whole_or_absent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "x.json"
        files.write_atomic(path, "old")

        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OutputError, match=r"cannot write .*x\.json: No space left on device"):
            files.write_atomic(path, "new")
        assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
