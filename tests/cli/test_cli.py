"""The command line: what it prints, and what it exits with."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench.cli._main import run_command
from bench.engine.runner import plan
from bench.engine.worker import record_of
from bench.record import Failure
from bench.registry import KINDS, registry
from bench.results.store import write_planned, write_record
from tests.report_records import planned, record


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    for kind in KINDS:
        assert [row["name"] for row in listed[kind]] == list(registry.all(kind, with_rest=True))
    can = {row["name"]: row["can"].split() for row in listed["generators"]}
    assert {"control", "labels"} <= set(can["real"]) and "labels" not in can["vae"], "who makes what it is told to"


def test_list_is_also_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "generators"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("dcgan", "vae", "lstm", "gpt", "real", "copycat", "noise", "reconstruct"))


def names_in(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert run_command(["list", *words, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    return [row["name"] for kind in KINDS for row in listed.get(kind, ())]


def test_a_list_is_searched_by_any_word(capsys: pytest.CaptureFixture[str]) -> None:
    every = registry.all("metrics")
    novel = names_in(capsys, "metrics", "novelty")
    assert set(novel) >= {name for name, entry in every.items() if entry.aspect == "novelty"} and len(novel) < 20
    assert names_in(capsys, "metrics", "FID") == ["fd"]  # by the name that the field knows it by
    assert names_in(capsys, "metrics", "is")[0] == "is"
    assert names_in(capsys, "metrics", "arXiv:1904.06991") == ["precision", "recall"]
    both = {*names_in(capsys, "metrics", "text")} & {*novel}
    assert {*names_in(capsys, "metrics", "novelty", "text")} == both and "copied_ngram" in both
    assert names_in(capsys, "metrics", "copied_ngram.py") == ["copied_ngram", "longest_copy"]
    assert "gpt" in names_in(capsys, "generators", "transformer")
    assert names_in(capsys, "datasets", "folder:") == ["folder:"]
    assert run_command(["list", "metrics", "novelti"]) == 2
    assert "did you mean 'novelty'" in capsys.readouterr().err


def test_a_metric_says_what_it_is_on_where_it_stands_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "metrics", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["metrics"]}
    assert rows["fd"]["known as"] == "fid (on inception)" and rows["fd"]["file"] == "metrics/features/frechet.py"
    assert (rows["fd"]["on"], rows["fd"]["of"], rows["fd"]["aspect"]) == ("all", "features", "realism")
    assert rows["bits_per_byte"]["of"] == "a model (likelihood)"
    assert all(Path(row["file"]).is_file() for row in rows.values())


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["list", "metric"], "unknown kind 'metric'; did you mean 'metrics'?"),
        (["run", "demoo"], "unknown suite 'demoo'; did you mean 'demo'?"),
        (["run", "no.toml"], "there is no suite file no.toml"),
        (
            ["run", "demo", "--set", "generators.vae.latent=abc"],
            "generators.vae.latent = 'abc': input should be",
        ),
        (["run", "demo", "--set", "budget.samples=5000"], "holds out only 1000"),
        (["run", "demo", "--device", "cuda"], "no CUDA GPU is usable here"),
        (["run", ""], "suite: an empty path: is a variable not set?"),
        (["run", "demo", "--out", ""], "out: an empty path: is a variable not set?"),
        (["run", "demo", "--dry-run", "--out", " "], "out: an empty path: is a variable not set?"),
        (["run", "demo", "--set", "datasets.mnist5k.root="], "datasets.mnist5k.root: an empty path"),
        (
            ["run", "demo", "--set", "generators.vae.load="],
            "generators.vae.load: an empty path: is a variable not set?",
        ),
        (["report", ""], "folder: an empty path: is a variable not set?"),
        (["report", "nowhere", "--to", ""], "to: an empty path: is a variable not set?"),
        (["report", "nowhere"], "nowhere is no run folder: there is no such folder"),
        (["report", "."], ". is no run folder: it has no records/, and no run was ever begun in it"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(words) == 2
    printed = capsys.readouterr()
    assert answer in printed.err and printed.err.startswith("genbench: error: ") and not printed.out


@pytest.mark.parametrize("words", [[], ["rum"], ["run"], ["run", "demo", "--jobs", "0"], ["run", "demo", "--devise"]])
def test_a_wrong_command_exits_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(words)
    assert caught.value.code == 2
    assert "usage: genbench" in capsys.readouterr().err


def test_a_dry_run_tells_all_and_does_nothing(small: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(small), "--out", str(out), "--dry-run", "--set", "seeds=[3, 4]", "--json"]
    assert run_command(words) == 0
    printed = capsys.readouterr()
    trials = json.loads(printed.out)
    assert [(t["generator"], t["seed"]) for t in trials] == [
        (g, s) for s in (3, 4) for g in ("vae", "copycat", "noise", "real")
    ]
    assert trials[0]["params"] == {"latent": 4, "width": 16, "decoder": "bernoulli", "lr": 0.001}
    assert {t["record"] for t in trials} == {None} and not printed.err
    assert not out.exists()


def test_a_dry_run_is_a_row_a_trial_and_says_which_are_done(
    small: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    words = ["run", str(small), "--out", str(out), "--dry-run", "--set", "generators.vae.preset=tiny"]
    _, copycat, noise, _ = plan(small, overrides=["generators.vae.preset=tiny"])
    done, failure = record_of(copycat, "ok", None), Failure(kind="exception", message="no luck")
    for found in (done, record_of(noise, "failed", failure)):
        write_record(out, found)
    assert run_command(words) == 0
    heading, *rows, count = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert heading == ["generator", "dataset", "seed", "preset", "training", "metrics", "record"]
    assert rows == [
        ["vae", "digits", "0", "tiny", "20", "steps", "3", "to", "run"],
        ["copycat", "digits", "0", "3", "done"],
        ["noise", "digits", "0", "3", "failed,", "to", "run", "again"],
        ["real", "digits", "0", "3", "to", "run"],
    ]
    assert " ".join(count) == f"4 trials: 1 done in {out}, 3 to run"


def test_json_of_a_run_is_that_of_its_plan(small: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", str(small), "--out", str(out), "--json"]) == 2
    assert "--json prints what is planned: add --dry-run" in capsys.readouterr().err and not out.exists()


def test_the_exit_code_tells_that_some_failed(tmp_path: Path) -> None:
    suite = tmp_path / "bad.toml"
    suite.write_text(
        "metrics = ['fd_lenet']\ncontrols = false\nbudget = { train_steps = 3, samples = 20 }\n"
        "[datasets.digits]\n[generators.vae]\nlr = 1e30\n[generators.dcgan]\nwidth = 8\n"
    )
    words = [sys.executable, "-m", "bench", "run", str(suite), "--out", str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert "failed: vae on digits, seed 0: loss became" in done.stderr and "Traceback" not in done.stderr
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "loss became" in page and "dcgan" in page
    # No terminal: plain lines, no bars and no escape codes.
    assert "[2/2]" in done.stderr and "\x1b" not in done.stderr
    assert done.stdout.strip().endswith("index.html")


def test_every_format_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "records").mkdir()
    assert run_command(["report", str(tmp_path), "--format", "htm"]) == 2
    assert "unknown report 'htm'; did you mean 'html'?" in capsys.readouterr().err
    for name in registry.all("reports"):
        assert run_command(["report", str(tmp_path), "--format", name, "--to", str(tmp_path / name)]) == 0
        assert Path(capsys.readouterr().out.strip()).is_file()


def test_a_report_of_a_run_without_a_finished_trial_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_planned(tmp_path, planned([record("vae"), record("vae", 1)]))
    assert run_command(["report", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        f"genbench: warning: no trial in {tmp_path} has finished yet",
        "genbench: warning: 2 of 2 trials of digits have no record yet; "
        "to go on: genbench run digits.toml --out runs/digits",
    ]
    assert "No trial in this folder has finished yet" in Path(printed.out.strip()).read_text()


def test_so_does_one_of_a_folder_from_before_there_were_plans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".lock").touch()
    assert run_command(["report", str(tmp_path), "--format", "html"]) == 0
    assert capsys.readouterr().err == f"genbench: warning: no trial in {tmp_path} has finished yet\n"


def test_doctor_says_how_to_get_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert run_command(["doctor", "--json"]) == 0
    found = {(f["section"], f["name"]): f for f in json.loads(capsys.readouterr().out)}
    assert found["data", "mnist5k"]["here"] and found["weights", "lenet"]["here"]
    assert not found["data", "mnist"]["here"] and "download = true" in found["data", "mnist"]["detail"]
    assert not found["weights", "inception"]["here"] and "download http" in found["weights", "inception"]["detail"]
    assert "cores" in found["machine", "threads"]["detail"]
    assert run_command(["doctor"]) == 0


def test_the_version_is_one() -> None:
    import importlib.metadata

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert importlib.metadata.version("genbench") == project["version"]
