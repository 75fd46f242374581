"""What others hand in: refused where its own numbers deny it, and merged where they do not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import DataError, OutputError, RunRecord, ratio_interval, ratio_parts
from bench.cli._main import run_command
from bench.files import sha256
from bench.record import CurvePoint
from bench.results.claims import contradictions, problems
from bench.results.merge import Merged, merge
from bench.results.store import read_records, read_side, write_record
from tests.report_records import measured, record

CURVE = tuple(CurvePoint(step=s, seconds=s / 100, losses={"loss": 1.0}, examples=64 * s) for s in (100, 300, 600))


SIZE = measured("parameters", 1000.0, exact=True)


def good(seed: int = 0, **changes: Any) -> RunRecord:
    numbers = (measured("fd_lenet", 10.0), measured("train_throughput", 6400.0), measured("parameters", 1000.0))
    usual = {"measurements": numbers, "curve": CURVE, "steps": 600, "training_id": "00ff00ff00ff00ff"}
    return record("vae", seed, **{**usual, **changes})


def with_samples(folder: Path, r: RunRecord) -> RunRecord:
    name = f"{r.run_id}.npz"
    buffer = io.BytesIO()
    np.savez(buffer, samples=np.zeros((2, 1, 4, 4), np.uint8))
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    (folder / "samples" / name).write_bytes(buffer.getvalue())
    r = r.model_copy(update={"samples": name})
    write_record(folder, r)
    return r


def test_a_record_that_agrees_with_itself_is_believed(tmp_path: Path) -> None:
    r = with_samples(tmp_path, good())
    assert problems(tmp_path / "records" / f"{r.run_id}.json") == []


def only(**values: float) -> dict[str, Any]:
    return {"measurements": tuple(measured(name, value) for name, value in values.items())}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measurements": (measured("fd_lenet", 1.0, n=5000),)}, "rests on 5000 rows, of which its protocol has 2000"),
        ({"measurements": (measured("fd_lenet", 1.0, protocol={}),)}, "does not say how it was measured"),
        ({"steps": 500}, "is ok after 500 of 600 steps"),
        ({"kept_step": 700}, "kept the model of step 700 of 600"),
        ({"curve": CURVE[::-1]}, "goes back in time at step 300"),
        ({"curve": (*CURVE, CurvePoint(step=900, seconds=9.0, losses={}))}, "ends at step 900, its training at 600"),
        ({"budget": {"train_steps": 600, "batch_size": 640}}, "saw 38,400 examples in 600 steps of 640"),
        ({"measurements": (measured("peak_rss_bytes", 100.0), SIZE)}, "1,000 numbers in 100 bytes"),
        (
            {"measurements": (measured("parameters", 10.5, exact=True),)},
            "parameters counts 10.5, which is no whole number",
        ),
        (only(sample_throughput=-1.0), "a cost below 0: sample_throughput"),
        (only(fd_lenet=-5.0), "fd_lenet is -5, and can only lie in [0, inf]"),
        (only(recall_lenet=1.2), "recall_lenet is 1.2, and can only lie in [0, 1]"),
        ({"metrics": ("fd_lenet", "kid_lenet")}, "was to measure kid_lenet, and has neither a number nor a reason"),
        ({"omitted": {"fd_lenet": "no"}}, "has a number and a reason for none: fd_lenet"),
    ],
)
def test_what_its_own_numbers_deny_is_said(changes: dict[str, Any], said: str) -> None:
    assert list(contradictions(good())) == []
    assert any(said in problem for problem in contradictions(good(**changes)))


def test_a_batch_of_nothing_is_no_traceback() -> None:
    assert list(contradictions(good(budget={"train_steps": 600, "batch_size": 0}))) == []


def test_a_record_whose_suite_is_called_bundle_is_a_record(tmp_path: Path) -> None:
    path = write_record(tmp_path, good(suite="bundle"))
    assert len(read_side(path)[0]) == 1


def test_another_tools_number_of_that_name_may_be_anything() -> None:
    """It is of another definition, and says so by its suite."""
    ours = good(**only(fd_lenet=-1.0))
    theirs = ours.model_copy(update={"plan": ours.plan.model_copy(update={"suite": "tool", "fingerprint": "tool:ab"})})
    assert any("can only lie" in problem for problem in contradictions(ours))
    assert not any("can only lie" in problem for problem in contradictions(theirs))


class TestFiles:
    def test_an_interval_and_its_parts_are_of_one_error(self) -> None:
        rows, ones = np.random.default_rng(0).normal(3, 1, 80), np.ones(80)
        facts = {"interval": ratio_interval(rows, ones), "parts": ratio_parts(rows, ones)}
        number = measured("bits_per_byte", float(rows.mean()), **facts)
        assert list(contradictions(good(measurements=(number,)))) == []
        narrow = number.model_copy(update={"parts": tuple(1e-9 * part for part in number.parts)})
        assert any("deny one another" in problem for problem in contradictions(good(measurements=(narrow,))))

    def test_a_record_of_the_future_is_not_believed(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, good(created="2999-01-01T00:00:00+00:00"))
        assert "was made in the future" in problems(path)[0]

    def test_samples_must_be_there_and_be_what_they_are_called(self, tmp_path: Path) -> None:
        r = with_samples(tmp_path, good())
        path = tmp_path / "records" / f"{r.run_id}.json"
        (tmp_path / "samples" / str(r.samples)).write_bytes(b"no zip")
        assert "its samples are damaged" in problems(path)[0]
        r = with_samples(tmp_path, good())
        whole = tmp_path / "samples" / str(r.samples)
        path = write_record(tmp_path, r.model_copy(update={"hashes": {str(r.samples): sha256(whole)}}))
        assert problems(path) == []
        np.savez(whole, samples=np.zeros((3, 1, 8, 8), np.uint8))
        assert "has another hash" in problems(path)[0]
        (tmp_path / "samples" / str(r.samples)).unlink()
        assert "its samples are not there" in problems(path)[0]
        outside = write_record(tmp_path, good(samples="../../etc/passwd"))
        assert any("outside of its folder" in problem for problem in problems(outside))

    def test_what_was_asked_for_is_held_to_its_file_as_samples_are(self, tmp_path: Path) -> None:
        name = f"{with_samples(tmp_path, good()).run_id}.npz"
        asked = {"file": name, "labels": [0, 1], "captions": ["a zero", "a one"]}
        there: dict[str, Any] = {"asked": asked, "hashes": {name: sha256(tmp_path / "samples" / name)}}
        path = write_record(tmp_path, good(**there))
        assert problems(path) == []
        merge([tmp_path], tmp_path / "site")
        assert (tmp_path / "site" / "samples" / name).exists()
        assert read_records(tmp_path / "site")[0][0].asked == good(**there).asked
        write_record(tmp_path, good(asked=asked, hashes={name: "0" * 64}))
        assert "has another hash" in problems(path)[0]
        write_record(tmp_path, good(asked={**asked, "file": "../x.npz"}))
        assert "outside of its folder" in problems(path)[0]

    def test_captions_that_are_not_one_a_label_make_no_record(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, good(asked={"file": "a.npz", "labels": [0, 1], "captions": ["a zero", "a one"]}))
        path.write_text(path.read_text().replace('"a one"', '"a one", "a two"'))
        assert "there should be a caption a label, not 3 of 2" in problems(path)[0]

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        """What a pull request points to is not published."""
        r = with_samples(tmp_path / "a", good())
        sample = tmp_path / "a" / "samples" / str(r.samples)
        sample.rename(tmp_path / "secret")
        sample.symlink_to(tmp_path / "secret")
        with pytest.raises(DataError, match="its samples are not there"):
            merge([tmp_path / "a"], tmp_path / "site")
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "records").symlink_to(tmp_path / "a" / "records")
        with pytest.raises(OutputError):
            merge([tmp_path / "b"], tmp_path / "site")
        assert not (tmp_path / "site").exists()

    def test_a_name_that_is_anothers_and_a_file_that_is_none_are_named(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, good())
        assert "named after another run" in problems(path.rename(path.with_name("0" * 16 + ".json")))[0]
        (tmp_path / "records" / "half.json").write_text('{"schema": 2')
        assert problems(tmp_path / "records" / "half.json")[0].startswith("half.json: ")

    def test_the_command_counts_them(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_record(tmp_path, good())
        assert run_command(["validate", str(tmp_path)]) == 0
        assert "1 record: 1 can be believed, 0 cannot" in capsys.readouterr().out
        bad = write_record(tmp_path, good(1, steps=3))
        assert run_command(["validate", str(tmp_path)]) == 1 and run_command(["validate", str(bad)]) == 1
        assert "is ok after 3 of 600 steps" in capsys.readouterr().out
        assert run_command(["validate", str(tmp_path / "missing")]) == 2


class TestLeaderboard:
    def test_folders_become_one_site(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with_samples(tmp_path / "a", good())
        with_samples(tmp_path / "b", good(1))
        write_record(tmp_path / "b", good(2, steps=3))
        site = tmp_path / "site"
        assert run_command(["leaderboard", str(tmp_path / "a"), str(tmp_path / "b"), "--to", str(site)]) == 1
        said = capsys.readouterr()
        assert "2 records" in said.out and "left out" in said.err and "is ok after 3" in said.err
        assert (site / "index.html").exists() and len(read_records(site / "results")[0]) == 2
        assert len(list((site / "results" / "samples").iterdir())) == 2

    def test_of_one_run_the_newest_record_wins(self, tmp_path: Path) -> None:
        old = good()
        new = old.model_copy(update={"created": "2021-01-01T00:00:00+00:00", "remarks": ("newer",)})
        for name, r in (("a", new), ("b", old)):
            write_record(tmp_path / name, r)
        assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "site") == Merged(1, [], [])
        assert read_records(tmp_path / "site")[0][0].remarks == ("newer",)

    def test_two_records_of_one_run_that_differ_are_told(self, tmp_path: Path) -> None:
        """Somebody ran it again, or wrote over it: the newer is shown, and not in silence."""
        old = good()
        numbers = (measured("fd_lenet", 3.0), *old.measurements[1:])
        new = old.model_copy(update={"created": "2021-01-01T00:00:00+00:00", "measurements": numbers})
        for name, r in (("a", old), ("b", new)):
            write_record(tmp_path / name, r)
        (note,) = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "site").notes
        assert "are of one run and differ in their numbers" in note
        assert read_records(tmp_path / "site")[0][0].measurements == numbers

    def test_an_earlier_merge_is_a_record_too(self, tmp_path: Path) -> None:
        old = good()
        new = old.model_copy(update={"created": "2021-01-01T00:00:00+00:00", "measurements": ()})
        for name, r in (("old", old), ("new", new)):
            write_record(tmp_path / name, r)
        assert merge([tmp_path / "old"], tmp_path / "site").notes == []
        for name in ("new", "old"):  # whichever comes later, the newer stays
            (note,) = merge([tmp_path / name], tmp_path / "site").notes
            assert "differ in their numbers" in note
        assert read_records(tmp_path / "site")[0][0].measurements == ()

    def test_what_is_gone_from_the_folders_is_told_to_be_there_still(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        gan = record("gan", scores={"fd_lenet": 12.0})
        for name, r in (("a", good()), ("b", gan)):
            with_samples(tmp_path / name, r)
        site = tmp_path / "site"
        assert run_command(["leaderboard", str(tmp_path / "a"), str(tmp_path / "b"), "--to", str(site)]) == 0
        pages = {page.name for page in (site / "pages").iterdir()}
        (site / "pages" / "about-us.html").write_text("<p>ours")
        assert run_command(["leaderboard", str(tmp_path / "a"), "--to", str(site)]) == 0
        assert "holds 1 more of earlier merges" in capsys.readouterr().err
        (site / "results" / "records" / f"{gan.run_id}.json").unlink()
        assert run_command(["leaderboard", str(tmp_path / "a"), "--to", str(site)]) == 0
        left = {page.name for page in (site / "pages").iterdir()}
        assert "about-us.html" in left and left - {"about-us.html"} < pages and not any("gan" in n for n in left)

    def test_nothing_to_believe_is_no_site(self, tmp_path: Path) -> None:
        write_record(tmp_path / "a", good(steps=3))
        with pytest.raises(DataError, match=r"none of the folders.*\n.*is ok after 3"):
            merge([tmp_path / "a"], tmp_path / "site")
        with pytest.raises(OutputError, match="into itself"):
            merge([tmp_path / "a"], tmp_path / "a")
