"""Records that nobody honest wrote: each is named in a line and left alone, and the rest is shown."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import OutputError, RunRecord, read_records, render, write_atomic
from bench.cli._main import run_command
from bench.record import SCHEMA_FILE, Estimate, Failure
from bench.results.store import LARGEST_FILE, read_frame, write_planned, write_record
from tests.report_records import as_schema_1, failed, interval, measured, planned, record
from tests.results.hostile_stores import LONG, pages, sparse, write_records

SKIP = {"kind": "unsupported", "message": "makes tokens only"}
Edit = Callable[[dict[str, Any]], Any]


def good(folder: Path) -> RunRecord:
    """A record beside which the hostile one lies."""
    found = record("honest", scores={"fd_lenet": 3.0, "sample_throughput": 50.0})
    write_record(folder, found)
    return found


def document(name: str = "vae", seed: int = 0) -> dict[str, Any]:
    numbers = (measured("fd_lenet", 2.0, interval=interval(1.9, 2.1)), measured("sample_throughput", 9.0))
    curve = [{"step": s, "seconds": 1.0, "losses": {"loss": 1.0 / s}} for s in (1, 2, 3)]
    shown: dict[str, Any] = record(name, seed, measurements=numbers, curve=curve).model_dump(mode="json")
    return shown


def number(value: Any) -> Edit:
    return lambda d: d["measurements"][0].update(value=value)


def protocol(value: Any) -> Edit:
    return lambda d: d["measurements"][0]["protocol"].update(odd=value)


def around(**changes: Any) -> Edit:
    return lambda d: d["measurements"][0]["interval"].update(changes)


def point(**changes: Any) -> Edit:
    return lambda d: d["curve"][1].update(changes)


def environment(**changes: Any) -> Edit:
    return lambda d: d["environment"].update(changes)


def fields(**changes: Any) -> Edit:
    return lambda d: d.update(changes)


def planned_as(**changes: Any) -> Edit:
    return lambda d: d.get("plan", d).update(changes)  # in schema 1 it stood in the record itself


INFINITE = float("inf")
REFUSED: dict[str, tuple[Edit, str]] = {
    "infinity": (number(INFINITE), "measurements.0.value: a number should be finite"),
    "NaN": (number(float("nan")), "measurements.0.value: a number should be finite"),
    "NaN in quotes": (number("NaN"), "measurements.0.value: Input should be a valid number"),
    "a number in quotes": (number("1.5"), "measurements.0.value: Input should be a valid number"),
    "the largest double": (number(1.7e308), "value: a number should be finite and at most 1e+300"),
    "400 digits": (number(10**400), "measurements.0.value: a number should be finite"),
    "infinite end": (around(hi=INFINITE), "measurements.0.interval.hi: a number should be finite"),
    "turned round": (around(lo=2.2), "measurements.0.interval: an interval should not end at 2.1 before"),
    "around another": (around(hi=1.95), "measurements.0: the interval [1.9, 1.95] should hold the value 2"),
    "impossible level": (around(level=95.0), "measurements.0.interval.level: Input should be less than 1"),
    "huge n": (lambda d: d["measurements"][0].update(n=10**400), "measurements.0.n: Input should be less than"),
    "n below zero": (lambda d: d["measurements"][0].update(n=-1), "measurements.0.n: Input should be greater"),
    "infinite protocol": (protocol(INFINITE), "measurements.0.protocol: a number should be finite"),
    "long protocol": (protocol(10**400), "measurements.0.protocol: a number should be finite"),
    "nested protocol": (protocol([1, 2]), "measurements.0.protocol.odd"),
    "null protocol": (protocol(None), "measurements.0.protocol.odd"),
    "infinite loss": (point(losses={"loss": INFINITE}), "curve.1.losses.loss: a number should be finite"),
    "loss of 400 digits": (point(losses={"loss": 10**400}), "curve.1.losses.loss: a number should be finite"),
    "step of 400 digits": (point(step=10**400), "curve.1.step: Input should be less than"),
    "infinite seconds": (point(seconds=INFINITE), "curve.1.seconds: a number should be finite"),
    "infinite phase": (fields(phases={"train": INFINITE}), "phases.train: a number should be finite"),
    "a machine that is a list": (environment(cpu=[1, 2]), "environment: cpu should be text or null"),
    "a device that is a table": (environment(device={"a": 1}), "environment: device should be text or null"),
    "infinity in a table": (environment(versions={"torch": [INFINITE]}), "environment: a number should be finite"),
    "infinite parameter": (planned_as(params={"a": {"b": [-INFINITE]}}), "params: a number should be finite"),
    "NaN in a parameter": (planned_as(params={"a": float("nan")}), "params: a number should be finite"),
    "infinite budget": (planned_as(budget={"time_limit": INFINITE}), "budget: a number should be finite"),
    "skipped but measured": (fields(status="skipped", error=SKIP), "that is skipped has no measurements"),
    "two numbers of a metric": (lambda d: d["measurements"].append(d["measurements"][0]), "at most one measurement"),
    "no name": (planned_as(generator=""), "generator: String should match pattern"),
    "a name of blanks": (planned_as(dataset=" \t"), "dataset: String should match pattern"),
    "a day that is none": (fields(created="yesterday"), "created: should be a time in UTC, such as 2030-"),
    "month 13": (fields(created="2030-13-01T00:00:00+00:00"), "created: should be a time in UTC"),
    "a negative seed": (planned_as(seed=-1), "seed: Input should be greater than or equal to 0"),
    "steps below zero": (fields(steps=-1), "steps: Input should be greater than or equal to 0"),
    "steps of 400 digits": (fields(steps=10**400), "steps: Input should be less than"),
    "no number where one belongs": (planned_as(seed="0"), "seed: Input should be a valid integer"),
}  # fmt: skip


@pytest.mark.parametrize("schema", [1, 2])
@pytest.mark.parametrize("name", REFUSED)
def test_what_no_record_of_ours_can_hold_is_named_and_the_rest_is_shown(name: str, schema: int, tmp_path: Path) -> None:
    edit, why = REFUSED[name]
    hostile = document() if schema == 2 else as_schema_1(document())
    edit(hostile)
    kept = good(tmp_path)
    write_records(tmp_path, [hostile])
    found, ignored = read_records(tmp_path)
    assert found == [kept]
    assert len(ignored) == 1 and ignored[0].startswith("ignored 00.json: ") and why in ignored[0]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"schema": 1, "seed": 1e999}', "run_id: Field required"),
        (b'{"params": ' + b"[" * 100_000, "recursion limit exceeded"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "number out of range"),
        (b'{"generator": "\\ud800"}', "Invalid JSON"),
        (b'{"generator": "\xff"}', "Invalid JSON"),
        (b"\x00" * 1000, "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"", "Invalid JSON"),
        (json.dumps({LONG: 1, "\x1b[1m\u202e": 2}).encode(), "Field required"),
        (b'{"schema": 3, "run_id": 7}', "x.json: is of schema 3, which a newer genbench wrote: update genbench"),
        (b'{"schema": 9' + b"9" * 400 + b"}", "which a newer genbench wrote"),
        (b'{"schema": 1, "plan": {}}', "schema: Input should be 2"),
        (b'{"schema": true}', "schema: Input should be 2"),
        (b'{"schema": 0}', "schema: Input should be 2"),
    ],
    ids=["bare", "deep", "digits", "half a pair", "no utf-8", "zeros", "list", "empty", "long keys", "newer", "newest",
         "a plan before its time", "truth", "nought"],
)  # fmt: skip
def test_files_that_are_no_record_are_a_line(content: bytes, why: str, tmp_path: Path) -> None:
    good(tmp_path)
    (tmp_path / "records" / "x.json").write_bytes(content)
    found, (line,) = read_records(tmp_path)
    assert len(found) == 1
    assert why in line and line.isprintable() and len(line) < 300


def test_the_page_says_which_file_was_ignored(tmp_path: Path) -> None:
    good(tmp_path)
    (tmp_path / "records" / "x\x1b\udcff\u202e.json").write_text("{")
    shown = pages(tmp_path)
    for name in ("index.html", "report.md", "report.json"):
        assert "honest" in shown[name]
        assert re.search(r"ignored x\\+x1b\\+udcff\\+u202e.json", shown[name])


def test_it_is_logged_and_the_command_line_says_it_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    good(tmp_path)
    (tmp_path / "records" / "100%s.json").write_text("{")
    render(tmp_path, formats=["csv"])
    (told,) = caplog.messages
    assert told.startswith("ignored 100%s.json: ") and not capsys.readouterr().err
    assert run_command(["report", str(tmp_path), "--format", "csv"]) == 0
    assert capsys.readouterr().err == f"genbench: warning: {told}\n"


@pytest.mark.parametrize("content", ["{", "[]", '{"suite": "x", "trials": [{"run_id": "../x"}]}', '{"suite": 1}'])
def test_a_plan_that_is_none_is_named_and_the_records_are_shown(content: str, tmp_path: Path) -> None:
    kept = good(tmp_path)
    write_atomic(tmp_path / "plans" / "x\x1b.json", content)
    found, (line,) = read_records(tmp_path)
    assert found == [kept] and found.unfinished == []
    assert line.startswith("ignored plans/x\\x1b.json: ") and line.isprintable()
    assert all("honest" in page for name, page in pages(tmp_path).items() if name != "report.csv")


def test_a_plan_can_hold_any_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = good(tmp_path)
    odd = kept.model_copy(update={"generator": "<b>\u202e|", "run_id": "0" * 16})
    plan = planned([kept, odd], command="genbench run a\udcff<i>\x00\n\u202e")
    write_planned(tmp_path, plan.model_copy(update={"suite": "d\x1b[2J"}))
    shown = pages(tmp_path)
    assert caplog.messages and all(line.isprintable() for line in caplog.messages)
    for name in ("index.html", "report.md"):
        assert "no record yet" in shown[name]
        assert not re.search(r"(?<!\\)<b>|<i>|\u202e|\x00|\x1b", re.sub(r"```.*?```", "", shown[name], flags=re.DOTALL))


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "device", "huge"])
def test_a_record_that_is_no_plain_file_is_not_opened(kind: str, tmp_path: Path) -> None:
    kept = good(tmp_path)
    path, elsewhere = tmp_path / "records" / "x.json", write_atomic(tmp_path / "y.json", record("foreign").to_json())
    make: dict[str, tuple[Callable[[], Any], str]] = {
        "pipe": (lambda: os.mkfifo(path), "is no plain file"),
        "folder": (path.mkdir, "is no plain file"),
        "link": (lambda: path.symlink_to(elsewhere), "is a link, which is not followed"),
        "device": (lambda: path.symlink_to("/dev/zero"), "is a link, which is not followed"),
        "huge": (lambda: sparse(path), "is larger than 16 MiB, which no record is"),
    }
    make[kind][0]()
    assert read_records(tmp_path) == ([kept], [f"ignored x.json: {make[kind][1]}"])
    assert LARGEST_FILE == 16 * 2**20


@pytest.mark.parametrize("name", ["records", "plans", "report", "report/figures"])
def test_no_folder_in_a_run_folder_is_followed_elsewhere(name: str, tmp_path: Path) -> None:
    """Neither for reading nor for writing; the run folder itself may be a link, and so may what --to names."""
    good(tmp_path / "run")
    good(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    render(tmp_path / "link")
    (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
    if (tmp_path / "run" / name).exists():
        (tmp_path / "run" / name).rename(tmp_path / "away")
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.glob("elsewhere/**/*"))
    with pytest.raises(OutputError, match=rf"link/{name} is a link, which is not followed: put a folder in its place"):
        render(tmp_path / "link")
    assert sorted(tmp_path.glob("elsewhere/**/*")) == before
    if name.startswith("report"):
        assert render(tmp_path / "link", tmp_path / "run" / "report").is_file()
    else:
        with pytest.raises(OutputError, match="is a link"):
            read_frame(tmp_path / "run")


def test_the_published_schema_refuses_the_same(tmp_path: Path) -> None:
    """All but what relates two fields, or looks into free tables."""
    import jsonschema

    check = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text())).is_valid
    assert check(document())
    free = {"skipped but measured", "two numbers of a metric", "turned round", "around another"}
    free |= {
        "infinite protocol",
        "long protocol",
        "infinity in a table",
        "infinite parameter",
        "NaN in a parameter",
        "infinite budget",
    }
    for name, (edit, _) in REFUSED.items():
        hostile = document()
        edit(hostile)
        if name != "NaN":  # compares with nothing
            assert check(hostile) == (name in free), name


def test_a_copied_record_counts_once(tmp_path: Path) -> None:
    kept = good(tmp_path)
    older = kept.model_copy(update={"created": "2019-01-01T00:00:00+00:00"})
    for name, found in (("a (copy)", kept), ("z (copy)", kept), ("older", older)):
        (tmp_path / "records" / f"{name}.json").write_text(found.to_json())
    records, ignored = read_records(tmp_path)
    assert records == [kept]
    own = f"the same run is in {kept.run_id}.json"
    assert sorted(ignored) == [f"ignored {name}.json: {own}" for name in ("a (copy)", "older", "z (copy)")]
    assert len(read_frame(tmp_path)) == len(kept.measurements)


def test_a_record_can_hold_any_text(tmp_path: Path) -> None:
    """Half a surrogate pair is what Python makes of bytes that are no text."""
    odd = "a\udcff\x00\u202e"
    error = Failure(kind="exception", message=odd, traceback=odd)
    write_record(tmp_path, failed("vae", error=error, omitted={"fid": odd}, command=f"genbench run {odd}"))
    (found,), ignored = read_records(tmp_path)
    assert not ignored and found.error is not None
    assert found.error.message == found.omitted["fid"] == "a\\udcff\\x00\u202e"
    shown = pages(tmp_path)
    assert not any("\x00" in page for page in shown.values())
    assert "\u202e" not in shown["index.html"] + shown["report.md"] + shown["report.csv"]


def test_an_estimate_is_as_strict_as_the_record_it_ends_in() -> None:
    """Or one metric's odd number would cost the others theirs."""
    for odd in ({"value": 1e301}, {"n": -1}, {"protocol": {"x": 1e301}}, {"protocol": {"x": 10**400}}):
        with pytest.raises(ValueError, match=r"finite|greater than or equal"):
            Estimate.model_validate({"value": 1.0, "n": 1, **odd})


def test_any_count_is_a_whole_number_of_the_table(tmp_path: Path) -> None:
    """The largest too, beside a row that has none, which would make floats of all."""
    found = record("huge", measurements=(measured("fd_lenet", 2.0).model_copy(update={"n": 2**63 - 1}),))
    write_record(tmp_path, found.model_copy(update={"omitted": {"kid_lenet": "no"}}))
    table = read_frame(tmp_path)
    assert table.n.dropna().tolist() == [2**63 - 1] and table.n.isna().sum() == 1
