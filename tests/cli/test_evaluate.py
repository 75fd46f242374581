"""``genbench evaluate``: the table of ``bench.evaluate``, for people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bench
from bench.cli._main import run_command
from bench.measure.evaluation import COLUMNS

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(400, 8)), RNG.normal(size=(300, 8)) + 0.5


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    np.save(tmp_path / "fake.npy", FAKE)
    np.savez(tmp_path / "real.npz", REAL)
    return [str(tmp_path / "fake.npy"), str(tmp_path / "real.npz")]


def test_json_is_the_table(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["evaluate", *files, "--metrics", "fd,kid", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    table = bench.evaluate(FAKE, REAL, metrics=["fd", "kid"])
    assert [row["value"] for row in printed] == pytest.approx(list(table.value), rel=1e-12)
    assert [list(row) for row in printed] == [list(COLUMNS)] * 2


def test_people_get_a_table_and_reasons(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["evaluate", *files, "--metrics", "fd,nn_ratio"]) == 0
    shown = capsys.readouterr().out
    assert "0.95" in shown or "95 %" in shown
    assert "nn_ratio: left out: " in shown and "n_fake 300" in shown


def test_what_differs_shows_in_the_row_and_a_narrow_terminal_holds_it(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    np.save(tmp_path / "train.npy", REAL + 1)
    words = ["evaluate", *files, "--train", str(tmp_path / "train.npy"), "--metrics", "fd,vendi,precision,c2st,ct"]
    assert run_command(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    starts = [i for i, line in enumerate(lines) if line.split(" ")[0] in ("fd", "vendi", "precision", "c2st", "ct")]
    own = [" ".join(" ".join(lines[i:j]).split()) for i, j in zip(starts, [*starts[1:], len(lines)], strict=True)]
    shared = own[-1].partition("under ")[2]
    assert "extractor none; n_fake 300" in shared and "reference sha256:" in shared and "train sha256:" in shared
    table = bench.evaluate(FAKE, REAL, train=REAL + 1, metrics=words[-1].split(","))
    for row, told in zip(table.to_dict("records"), own, strict=True):
        assert f" {row['n']} " in told
        assert ("n_real 400" in told, "n_train 400" in told, "k 5" in told) == tuple(
            key in row["protocol"] for key in ("n_real", "n_train", "k")
        )


def test_remarks_are_lines_beside_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index, image in enumerate(RNG.integers(0, 200, (50, 28, 28), dtype=np.uint8)):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    (tmp_path / ".hidden").write_text("")
    command = ["evaluate", str(tmp_path), str(tmp_path), "--metrics", "fd", "--extractor", "lenet", "--json"]
    assert run_command(command) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)[0]["value"] == pytest.approx(0, abs=1e-6)
    *skipped, few = told.err.splitlines()
    assert skipped == [f"genbench: warning: {tmp_path}: skipped: 1 hidden (.hidden)"]
    assert few.startswith("genbench: warning: on lenet: 50 samples and 50 held-out examples are too few")


def test_a_variable_that_is_not_set_is_no_folder(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    commands = {"samples": ["", files[1]], "train": [*files, "--train", ""], "prompts": [*files, "--prompts", ""]}
    for side, command in commands.items():
        assert run_command(["evaluate", *command]) == 2
        assert capsys.readouterr().err.startswith(f"genbench: error: {side}: an empty path")


def test_weights_are_fetched_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted: list[str] = []

    def publisher(url: str, path: str, hash_prefix: str, progress: bool) -> None:
        wanted.append(url)
        raise OSError("no network in tests")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("GENBENCH_DOWNLOAD", "")
    monkeypatch.setattr("torch.hub.download_url_to_file", publisher)
    monkeypatch.setattr("metrics.extractors._weights._failed", {})
    np.save(tmp_path / "x.npy", RNG.integers(256, size=(20, 3, 32, 32)).astype(np.uint8))
    words = ["evaluate", f"{tmp_path}/x.npy", f"{tmp_path}/x.npy", "--extractor", "mobilenet"]
    assert run_command(words) == 2 and not wanted
    assert "let `genbench evaluate --download` do it" in capsys.readouterr().err
    assert run_command([*words, "--download"]) == 2 and len(wanted) == 1
    said = capsys.readouterr().err
    assert "could not be downloaded (no network in tests): where no network is, " in said
    assert "GENBENCH_WEIGHTS_MOBILENET" in said


def test_names_are_taken_in_any_case_and_apart_by_commas_or_spaces(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for names in ("FD,Kid", "fd kid", " fd , KID "):
        assert run_command(["evaluate", *files, f"--metrics={names}", "--json"]) == 0
        assert [row["metric"] for row in json.loads(capsys.readouterr().out)] == ["fd", "kid"]


def test_errors_are_one_line_and_exit_two(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["evaluate", files[0], "nowhere.npz"]) == 2
    where = Path.cwd() / "nowhere.npz"
    assert capsys.readouterr().err == f"genbench: error: there is no 'nowhere.npz' (looked for at {where})\n"
