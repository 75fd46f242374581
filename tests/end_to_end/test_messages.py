"""A record can hold whatever families and metrics say, and no text of theirs stops a run."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench import Estimate, GenbenchError, OutputError, files, run
from bench.engine import runner
from bench.engine.progress import Display
from bench.engine.runner import plan
from bench.engine.worker import record_of
from bench.record import LONGEST_KEPT, SCHEMA_FILE, Failure, RunRecord, digest, legible
from bench.results import store
from reports._content import gather
from tests.report_records import record

# Half a character, a NUL, a terminal's escape sequence.
ODD = "caf\udce9 \x00 \x1b[2J"
SEEN = r"caf\udce9 \x00 \x1b[2J"

SCRIPT = r'''
import sys
import torch
from bench import Estimate, Omitted, Trial, generator, metric, run

ODD = "caf\udce9 \x00 \x1b[2J"


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def trouble(name, act):
    class Family(torch.nn.Module):
        """Trouble."""

        def __init__(self, spec):
            super().__init__()
            self.shape = spec.shape

        def train_step(self, batch, rng):
            return act() or {"loss": 0.0, ODD: 1.0}

        def sample(self, n, rng, condition=None):
            return 2 * torch.rand(n, *self.shape, generator=rng) - 1

    generator(name, modalities={"image"})(Family)


def throw(error):
    raise error


trouble("odd", lambda: throw(ValueError(ODD)))
trouble("long", lambda: throw(ValueError("x" * 10**7 + "\n" + ODD)))
trouble("mute", lambda: throw(Mute()))
trouble("fine", lambda: print("\\ud800", ODD))


@metric("odd/omitted", on={"image"}, aspect="realism", unit="1", better="none")
def omitted(trial: Trial):
    "Gives an odd reason."
    raise Omitted(ODD)


@metric("odd/protocol", on={"image"}, aspect="realism", unit="1", better="none")
def protocol(trial: Trial):
    "Has an odd protocol."
    return Estimate(value=1.0, n=1, protocol={"odd": ODD, "bandwidth": float("inf"), ODD: float("nan")})


if __name__ == "__main__":
    run(sys.argv[1], out=sys.argv[2], jobs=2)
'''
SUITE = """
metrics = ["odd/omitted", "odd/protocol"]
controls = false
budget = { train_steps = 2, samples = 10 }
[datasets.digits]
[generators.odd]
[generators.long]
[generators.mute]
[generators.fine]
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd") / ("odd" if sys.platform == "darwin" else "caf\udce9")
    folder.mkdir()  # macOS knows no name that is not UTF-8
    return folder


@pytest.fixture(scope="module")
def told(odd: Path) -> dict[str, RunRecord]:
    """Records, by generator, of a run whose families and metrics say odd things."""
    folder = odd
    (folder / "odd.py").write_text(SCRIPT)
    (folder / "odd.toml").write_text(SUITE)
    words = [folder / "odd.py", folder / "odd.toml", folder / "out"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    schema = json.loads(SCHEMA_FILE.read_text())
    for path in folder.glob("out/records/*.json"):
        jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), schema)
    found, ignored = store.read_records(folder / "out")
    assert not ignored
    return {record.plan.generator: record for record in found}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    {"odd": f"ValueError: {SEEN}", "mute": "Mute: its message cannot be printed"}.items(),
)
def test_an_exception_may_say_anything(told: dict[str, RunRecord], name: str, message: str) -> None:
    error = told[name].error
    assert error is not None and (error.kind, error.message) == ("exception", message)
    assert error.traceback is not None and "in throw" in error.traceback


@pytest.mark.slow
def test_a_huge_message_keeps_its_start_and_its_end(told: dict[str, RunRecord]) -> None:
    error = told["long"].error
    assert error is not None and error.traceback is not None
    assert error.message.startswith("ValueError: xxx")
    assert error.traceback.startswith("Traceback") and error.traceback.rstrip().endswith(SEEN)
    assert max(len(error.message), len(error.traceback)) < LONGEST_KEPT + 100


@pytest.mark.slow
def test_what_metrics_and_families_call_things_is_kept(told: dict[str, RunRecord]) -> None:
    fine = told["fine"]
    assert fine.status == "ok" and fine.omitted == {"odd/omitted": SEEN}
    (measured,) = fine.measurements
    assert dict(measured.protocol) == {"odd": SEEN, "bandwidth": "inf", SEEN: "nan"}
    assert fine.curve[-1].losses == {"loss": 0.0, SEEN: 1.0}


@pytest.mark.slow
def test_what_a_family_prints_stands_in_its_log(told: dict[str, RunRecord], odd: Path) -> None:
    log = odd / "out" / "logs" / f"{told['fine'].run_id}.log"
    assert r"\ud800 caf\udce9" in log.read_text(encoding="utf-8")


def test_an_estimate_takes_any_protocol() -> None:
    found = Estimate(value=0, n=1, protocol={"text": ODD, "rate": math.nan, "k": 3, "strict": True}).protocol
    assert found == {"text": SEEN, "rate": "nan", "k": 3, "strict": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"suite": {"datasets": {}}}, "suite = {'datasets': {}}: should be a built-in name or the path of a TOML file"),
        ({"suite": None}, "suite = None: should be"),
        ({"suite": ""}, "suite: an empty path: is a variable not set"),
        ({"out": ""}, "out: an empty path: is a variable not set"),
        ({"suite": b"demo"}, "suite = b'demo': should be"),
        ({"out": 3}, "out = 3: should be the path of a folder"),
        ({"jobs": "2"}, "jobs = '2': should be a whole number of at least 1"),
        ({"jobs": 1.5}, "jobs = 1.5: should be a whole number of at least 1"),
        ({"jobs": 0}, "jobs = 0: should be a whole number of at least 1"),
        ({"overrides": "seeds=[0]"}, "overrides = 'seeds=[0]': should be a list such as"),
        ({"overrides": {"seeds": [0]}}, "overrides = {'seeds': [0]}: should be a list such as"),
        ({"overrides": [3]}, "overrides = [3]: should be a list such as"),
        ({"device": 0}, "unknown device 0; there is auto, cpu, cuda"),
    ],
    ids=str,
)
def test_an_argument_of_another_type_is_named(tmp_path: Path, arguments: Any, message: str) -> None:
    with pytest.raises(GenbenchError) as caught:
        run(**{"suite": "demo", "out": tmp_path / "out", **arguments})
    assert str(caught.value).startswith(message) and not (tmp_path / "out").exists()


def test_a_path_that_leads_nowhere_is_no_empty_table(tmp_path: Path) -> None:
    with pytest.raises(GenbenchError, match="folder = 3: should be the path of a run folder"):
        store.read_frame(3)  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="nowhere is no run folder: there is no such folder"):
        store.read_frame(tmp_path / "nowhere")
    (tmp_path / "records").mkdir()
    assert len(store.read_frame(tmp_path)) == 0


@pytest.mark.parametrize("text", ["", "naïve", "two\nlines\tand a tab", "日本", "\U0001f600", "back\\slash"])
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert legible({text: [text]}) == {text: [text]}
    assert Failure(kind="exception", message=text).message == text


@pytest.mark.parametrize(
    ("home", "text", "shared"),
    [
        ("/home/al", "no /home/al/w.pt, nor /home/al", "no ~/w.pt, nor ~"),
        ("/home/al", "in /home/al: '/home/al/x'.", "in ~: '~/x'."),
        ("/home/al/", "file:///home/al/x", "file://~/x"),
        ("/home/al", "/home/alice/w /home/al.old/w /mnt/home/al/w", "/home/alice/w /home/al.old/w /mnt/home/al/w"),
        ("/", "/opt/w and a/b", "/opt/w and a/b"),
        ("", "/opt/w", "/opt/w"),
    ],
)
def test_what_people_share_does_not_name_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, home: str, text: str, shared: str
) -> None:
    monkeypatch.setenv("HOME", home)
    assert files.without_home(text) == shared


def test_no_text_is_too_odd_for_a_file_or_a_hash(tmp_path: Path) -> None:
    assert files.write_atomic(tmp_path / "x", f"a{ODD}").read_text() == f"a{ODD}".replace("\udce9", "?")
    assert digest(ODD) != digest(SEEN)


def test_a_line_of_a_trial_is_short_and_safe_for_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    (trial, *_) = trials = plan("demo")
    error = Failure(kind="exception", message=f"begin \x9b2J {'long ' * 200_000} end")
    with Display(trials) as display:
        display.event(trial, {"remark": f"begin \u202e {'x' * 10**6} end"})
        display.record(trial, record_of(trial, "failed", error))
    said = capsys.readouterr().err
    assert len(said) < 10_000 and said.count("begin") == said.count(" end\n") == 2
    assert said.replace("\n", "").isprintable()


def test_each_trial_says_from_where_its_training_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = trials = plan("demo")[:2]
    with Display(trials) as display:
        for trial in trials:
            display.event(trial, {"resumed": 200, "complete": False})
        display.event(first, {"resumed": 700, "complete": True})
    assert capsys.readouterr().err.splitlines() == [
        f"[0/2] {first.title}: goes on from step 200 of {first.budget.train_steps}",
        f"[0/2] {second.title}: goes on from step 200 of {second.budget.train_steps}",
        f"[0/2] {first.title}: was trained before, all {first.budget.train_steps} steps",
    ]


def test_what_takes_long_says_for_how_long(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    trial, now = plan("demo")[0], 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with Display([trial]) as display:
        display.event(trial, {"phase": "metrics", "metric": "fd_lenet"})
        for now in (4.0, 12.0, 15.0, 31.0):  # noqa: B007 (the clock)
            display.event(trial, {"beat": 1})
    said = [line.split(": ")[1].rpartition(", ")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == ["metrics fd_lenet", "metrics fd_lenet, for 12 s", "metrics fd_lenet, for 31 s"]


def test_what_takes_long_and_knows_its_end_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, now = plan("demo")[0], 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with Display([trial]) as display:
        display.event(trial, {"phase": "metrics", "metric": "bits_per_byte"})
        now = 12.0
        display.event(trial, {"beat": 1, "done": 0.254})
    assert "metrics bits_per_byte, for 12 s, 25% done" in capsys.readouterr().err


def test_a_remark_of_many_trials_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    trials = plan("demo")[:3]
    with Display(trials) as display:
        for trial in trials:
            display.event(trial, {"remark": f"the moon is full {ODD}"})
    assert capsys.readouterr().err.count("the moon is full") == 1


def test_what_was_said_while_planning_is_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    trial = plan("demo")[0]
    with runner._heard() as said:
        logging.getLogger("genbench").warning("the moon is full")
    with Display([trial], said=said) as display:
        for remark in ("the moon is full", "the sun is out"):
            display.event(trial, {"remark": remark})
    err = capsys.readouterr().err
    assert f"{trial.title}: the moon is full" not in err and f"{trial.title}: the sun is out" in err


def test_remarks_stand_on_the_page_each_once(tmp_path: Path) -> None:
    told = [record(name, seed, remarks=("the moon is full",)) for name in ("vae", "gan") for seed in (0, 1)]
    (note,) = gather(told, tmp_path, []).notes
    assert note == "all on mnist: the moon is full"
