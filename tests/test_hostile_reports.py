"""Reports of records and samples that nobody honest wrote: refused by name, or shown; never a traceback."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import RunRecord, read_records, render, write_atomic
from bench.probes.memory import peak_rss_bytes
from bench.record import SCHEMA_FILE, Estimate, Failure
from bench.store import LARGEST_FILE, read_frame, write_record
from reports.escaping import visible
from reports.figures import curve_table, tradeoff
from reports.leaderboard import leaderboards
from reports.markdown import text
from reports.numbers import plain, with_spread
from reports.samples import Sample, gallery
from reports.svg import inline_svg
from tests.hostile_stores import LONG, TEXTS, header, hostile_store, packed, sparse, write_records
from tests.report_records import failed, interval, measured, record, save_images

REPORTS = ("index.html", "report.md", "report.csv", "report.json")
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


def pages(folder: Path) -> dict[str, str]:
    """All reports of a run folder, by name."""
    render(folder)
    return {name: (folder / "report" / name).read_text(encoding="utf-8") for name in REPORTS}


# ---- what the schema refuses --------------------------------------------------------------------------------


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


INFINITE = float("inf")
REFUSED: dict[str, tuple[Edit, str]] = {
    "infinity": (number(INFINITE), "measurements.0.value: Input should be a finite number"),
    "NaN": (number(float("nan")), "measurements.0.value: Input should be a finite number"),
    "NaN in quotes": (number("NaN"), "measurements.0.value: Input should be a valid number"),
    "a number in quotes": (number("1.5"), "measurements.0.value: Input should be a valid number"),
    "the largest double": (number(1.7e308), "measurements.0.value: Input should be less than or equal to 1"),
    "400 digits": (number(10**400), "measurements.0.value: Input should be a finite number"),
    "infinite end": (around(hi=INFINITE), "measurements.0.interval.hi: Input should be a finite number"),
    "impossible level": (around(level=95.0), "measurements.0.interval.level: Input should be less than 1"),
    "huge n": (lambda d: d["measurements"][0].update(n=10**400), "measurements.0.n: Input should be less than"),
    "n below zero": (lambda d: d["measurements"][0].update(n=-1), "measurements.0.n: Input should be greater"),
    "infinite protocol": (protocol(INFINITE), "measurements.0.protocol: a number should be finite and at most 1e+300"),
    "long protocol": (protocol(10**400), "measurements.0.protocol: a number should be finite"),
    "nested protocol": (protocol([1, 2]), "measurements.0.protocol.odd"),
    "null protocol": (protocol(None), "measurements.0.protocol.odd"),
    "infinite loss": (point(losses={"loss": INFINITE}), "curve.1.losses.loss: Input should be a finite number"),
    "loss of 400 digits": (point(losses={"loss": 10**400}), "curve.1.losses.loss: Input should be a finite number"),
    "step of 400 digits": (point(step=10**400), "curve.1.step: Input should be less than"),
    "infinite seconds": (point(seconds=INFINITE), "curve.1.seconds: Input should be a finite number"),
    "infinite phase": (fields(phases={"train": INFINITE}), "phases.train: Input should be a finite number"),
    "a machine that is a list": (environment(cpu=[1, 2]), "environment: cpu should be text or null"),
    "a device that is a table": (environment(device={"a": 1}), "environment: device should be text or null"),
    "infinity in a table": (environment(versions={"torch": [INFINITE]}), "environment: a number should be finite"),
    "infinite parameter": (fields(params={"a": {"b": [-INFINITE]}}), "params: a number should be finite"),
    "infinite budget": (fields(budget={"time_limit": INFINITE}), "budget: a number should be finite"),
    "skipped but measured": (fields(status="skipped", error=SKIP), "that is skipped has no measurements"),
    "two numbers of a metric": (lambda d: d["measurements"].append(d["measurements"][0]), "at most one measurement"),
    "no name": (fields(generator=""), "generator: String should match pattern"),
    "a name of blanks": (fields(dataset=" \t"), "dataset: String should match pattern"),
    "a day that is none": (fields(created="yesterday"), "created: should be a time in UTC, such as 2030-"),
    "month 13": (fields(created="2030-13-01T00:00:00+00:00"), "created: should be a time in UTC"),
    "a negative seed": (fields(seed=-1), "seed: Input should be greater than or equal to 0"),
    "no number where one belongs": (fields(seed="0"), "seed: Input should be a valid integer"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_record_of_ours_can_hold_is_named_and_the_rest_is_shown(name: str, tmp_path: Path) -> None:
    edit, why = REFUSED[name]
    hostile = document()
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
    ],
    ids=["bare", "deep", "digits", "half a pair", "no utf-8", "zeros", "list", "empty", "long keys"],
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


def test_the_published_schema_refuses_the_same(tmp_path: Path) -> None:
    """All but what relates two fields, or looks into free tables."""
    import jsonschema

    check = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text())).is_valid
    assert check(document())
    free = {"skipped but measured", "two numbers of a metric"}
    free |= {"infinite protocol", "long protocol", "infinity in a table", "infinite parameter", "infinite budget"}
    for name, (edit, _) in REFUSED.items():
        hostile = document()
        edit(hostile)
        if name != "NaN":  # compares with nothing
            assert check(hostile) == (name in free), name


def test_a_copied_record_counts_once(tmp_path: Path) -> None:
    kept = good(tmp_path)
    older = kept.model_copy(update={"created": "2029-01-01T00:00:00+00:00"})
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
    for shown in pages(tmp_path).values():
        assert "\x00" not in shown


def test_an_estimate_is_as_strict_as_the_record_it_ends_in() -> None:
    """Or one metric's odd number would cost the others theirs."""
    for odd in ({"value": 1e301}, {"n": -1}, {"protocol": {"x": 1e301}}, {"protocol": {"x": 10**400}}):
        with pytest.raises(ValueError, match=r"finite|greater than or equal"):
            Estimate.model_validate({"value": 1.0, "n": 1, **odd})


# ---- what every page shows ----------------------------------------------------------------------------------


def extreme(speeds: tuple[float, float], qualities: tuple[float, float], **changes: Any) -> list[RunRecord]:
    return [
        record(name, seed, scores={"fd_lenet": quality, "sample_throughput": speed, "latency_p50": speed}, **changes)
        for name in ("vae", "dcgan", "real", "noise")
        for seed, (speed, quality) in enumerate(zip(speeds, qualities, strict=True))
    ]


def curved(*losses: dict[str, float]) -> list[RunRecord]:
    points = [{"step": 10**step, "seconds": 1.0, "losses": found} for step, found in enumerate(losses)]
    return [record("vae", seed, curve=points) for seed in (0, 1)]


MANY = {f"m{i}": "not here" for i in range(3000)}
DEEP: Any = 0
for _ in range(80):
    DEEP = {"a": [DEEP]}
EMPTY = {"kind": "killed", "message": "", "traceback": ""}
SHOWN: dict[str, list[RunRecord]] = {
    "throughputs far apart": [*extreme((1e300, 1e300), (1, 2)), *extreme((1e-300, 1e-300), (3, 4), suite="b")],
    "the largest on both seeds": extreme((1, 2), (1e300, 1e300)),
    "the largest of either sign": extreme((1, 2), (1e300, -1e300)),
    "squares that overflow": extreme((1e200, 3e200), (1e200, 2e200)),
    "squares that vanish": extreme((1e-200, 3e-200), (1e-200, 2e-200)),
    "the smallest": extreme((5e-324, 5e-324), (5e-324, 1e-323)),
    "zeros": extreme((5e-324, 1), (0.0, -0.0)),
    "losses of any size": curved({"loss": 1e300}, {"loss": -1e300}, {"loss": 1.0}, {"loss": 5e-324}, {"loss": 1e99}),
    "losses that fit no axis": curved({"loss": 1e300}, {"loss": -1e300}),
    "a thousand losses": curved({f"_{i}": 1.0 for i in range(1000)}, {f"_{i}": 2.0 for i in range(1000)}),
    "losses with odd names": curved(dict.fromkeys(TEXTS, 1.0), dict.fromkeys(TEXTS, 2.0)),
    "thousands of metrics": [record("vae", omitted=MANY), record("gpt", omitted=MANY, scores={"fd_lenet": 1.0})],
    "a deep parameter": [record("vae", params={"a": DEEP, "": {}, "b": None}), record("vae", params={"a": [DEEP]})],
    "an odd environment": [record("vae", environment={"versions": "none", "x": DEEP, "cpu": None, "": [1], "t": True})],
    "no environment": [record("vae", environment={}, scores={"latency_p50": 1.0})],
    "a settled budget of nothing": [record("vae", budget={}, params={})],
    "nothing but skipped": [record("vae", status="skipped", error=SKIP)],
    "empty texts": [failed("vae", error=EMPTY, fingerprint="", command="")],
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_what_the_schema_admits_every_page_shows(name: str, tmp_path: Path) -> None:
    for found in SHOWN[name]:
        write_record(tmp_path, found)
    assert read_records(tmp_path)[1] == []
    shown = pages(tmp_path)
    assert all("vae" in page for page in shown.values())
    assert not re.search(r"\b(inf|nan)\b", re.sub("<svg.*?</svg>", "", shown["index.html"], flags=re.DOTALL))
    json.loads(shown["report.json"], parse_constant=pytest.fail)


def odd_record(name: str, **changes: Any) -> RunRecord:
    """A trial that says ``name`` wherever a record has room for text."""
    scores = {"fd_lenet": 1.0, "sample_throughput": 2.0}
    return record(
        name,
        measurements=[measured(m, v, about=name, protocol={"extractor": name, name: name}) for m, v in scores.items()],
        curve=[{"step": step, "seconds": 1.0, "losses": {name: 1.0, "kl": step}} for step in (1, 2)],
        **{
            "family": name,
            "fingerprint": "",
            "params": {name: name},
            "command": name,
            "omitted": {name: name},
            **changes,
        },
    )


@pytest.mark.parametrize("tenth", range(10))
def test_a_name_may_be_any_text(tenth: int, tmp_path: Path) -> None:
    """On the pages nothing of it acts, and what is long is cut."""
    odd = [text for text in TEXTS[tenth::10] if text.strip()]
    for name in odd:
        write_record(tmp_path, odd_record(name, dataset=odd[0], suite=odd[-1], load=name, environment={name: name}))
    shown = pages(tmp_path)
    for page in ("index.html", "report.md"):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200d\u202e\u2066\ufeff\ufffe]", shown[page])
        assert len(shown[page]) < 400_000
    assert not re.search("<script>alert|<img src=x", shown["index.html"])
    assert max(map(len, re.findall("n+", re.sub("<[^>]*>", "", shown["index.html"])))) <= 4000


def test_a_long_name_is_cut_and_whole_in_the_title(tmp_path: Path) -> None:
    name = "w" * 200
    write_record(tmp_path, record(name, scores={"fd_lenet": 1.0}))
    shown = pages(tmp_path)
    assert f'<span title="{name}">{"w" * 60}…</span>' in shown["index.html"]
    assert f"| {'w' * 60}… | 1 |" in shown["report.md"]
    assert name in shown["report.csv"] and name in shown["report.json"]


def test_headings_break_where_words_do(tmp_path: Path) -> None:
    write_record(tmp_path, record("vae", scores={"sample_throughput": 1.0}))
    assert ">sample_<wbr>throughput&nbsp;" in pages(tmp_path)["index.html"]


def test_marks_in_piles_are_written_out() -> None:
    assert visible("e" + "\u0301" * 10) == "e" + "\u0301" * 4 + "\\u{301}" * 6
    assert visible("\u202e" * 10, 9) == "\\u{202e}" + "\\…"
    assert visible("क्षि e\u0301\u00a0") == "क्षि e\u0301\u00a0"


def test_a_name_that_looks_like_a_colour_or_an_id_stays_itself() -> None:
    name = '#0072b2 id="x" url(#y)'
    records = [record(n, scores={"fd_lenet": 1.0, "sample_throughput": 2.0}) for n in (name, "b")]
    (board,) = leaderboards(records)
    figure = tradeoff(board, {name: 0, "b": 1})
    assert figure is not None
    assert '>#0072b2 id="x" url(#y)<' in inline_svg(figure, "one", "label")


def test_losses_with_one_beginning_stay_apart() -> None:
    names = ["x" * 50 + "a", "x" * 50 + "b", "_y", "y"]
    (board,) = leaderboards(curved(*(dict.fromkeys(names, 1.0),) * 2))
    assert len(set(curve_table(board.rows[0])["loss"])) == 4


def test_generators_that_fit_no_axis_are_named_beside_it() -> None:
    speeds = {"a": 1.0, "b": 2.0, "far": 1e200}
    (board,) = leaderboards([record(n, scores={"fd_lenet": 1.0, "sample_throughput": s}) for n, s in speeds.items()])
    figure = tradeoff(board, {name: slot for slot, name in enumerate(speeds)})
    assert figure is not None
    assert "beyond the axes: far" in inline_svg(figure, "one", "label")


@pytest.mark.parametrize(
    ("value", "spread", "expected"),
    [
        (1e300, 1e299, ("1.00e+300", "1.00e+299")),
        (1e300, 1.0, ("1.00e+300", "")),
        (5e-324, 5e-324, ("4.94e−324", "4.94e−324")),
        (0.0, 1e-20, ("0", "1.00e−20")),
        (1e15, None, ("1.00e+15", "")),
        (123456789.0, None, ("123,456,789", "")),
    ],
)
def test_numbers_of_any_size_are_written_in_few_characters(
    value: float, spread: float | None, expected: tuple[str, str]
) -> None:
    assert with_spread(value, spread) == expected
    assert len(plain(value)) <= 11


# ---- markdown and csv ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("# no heading", r"\# no heading"),
        ("- no item", r"\- no item"),
        ("1. no item", r"1\. no item"),
        ("12.3 ± 4", "12.3 ± 4"),
        ("&lt;b&gt;", r"\&lt;b\&gt;"),
        ("~~kept~~", r"\~\~kept\~\~"),
        ("https://example.org", r"https\://example.org"),
        ("a_b _c_", r"a_b \_c\_"),
        ("x\u202ey\x1b", "x\\\\u{202e}y\\\\x1b"),
    ],
)
def test_markdown_takes_no_text_for_markup(value: str, expected: str) -> None:
    assert text(value) == expected


def test_fingerprints_are_escaped_in_markdown(tmp_path: Path) -> None:
    write_record(tmp_path, record("vae", fingerprint="`<b>|*x*`", scores={"fd_lenet": 1.0}))
    assert r"\`\<b\>\|\*x\*\`" in pages(tmp_path)["report.md"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " ="])
def test_a_spreadsheet_finds_no_formula(start: str, tmp_path: Path) -> None:
    odd = f"{start}HYPERLINK(1)"
    numbers = (measured("fd_lenet", -1.5, interval=interval(-2.0, -1.0)),)
    write_record(tmp_path, record(odd, family=odd, dataset=odd, measurements=numbers, omitted={odd: odd}))
    first, second = csv.DictReader(io.StringIO(pages(tmp_path)["report.csv"]))
    assert all(not cell.lstrip().startswith(("=", "+", "@")) for cell in (*first.values(), *second.values()))
    assert first["generator"].startswith(("'", "\\x0d")) and first["generator"].endswith("HYPERLINK(1)")
    assert (float(first["value"]), float(first["lo"]), float(first["hi"])) == (-1.5, -2.0, -1.0)
    assert not second["metric"].startswith("-")


# ---- samples ------------------------------------------------------------------------------------------------


def shelf(folder: Path, name: str) -> Sample:
    (board,) = leaderboards([record("vae", samples=name, scores={"fd_lenet": 1.0})])
    (sample,) = gallery(board, folder)
    return sample


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    (tmp_path / "samples").mkdir()
    return tmp_path / "samples"


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_no_link_pipe_or_device_is_followed(suffix: str, samples: Path) -> None:
    secret = samples.parent / f"secret{suffix}"
    secret.write_text('["top secret"]')
    path = samples / f"x{suffix}"
    for target, why in (
        (secret, "is a link"),
        ("/dev/zero", "is a link"),
        (path, "is a link"),
        (None, "no plain file"),
    ):
        path.symlink_to(target) if target else os.mkfifo(path)
        found = shelf(samples.parent, path.name)
        assert why in found.problem and not found.texts and not found.png
        path.unlink()


def test_a_folder_of_samples_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.json").write_text('["top secret"]')
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "samples").symlink_to(tmp_path / "elsewhere")
    assert shelf(tmp_path / "run", "x.json").problem == "x.json lies behind a link, samples/, which is not followed"


@pytest.mark.parametrize("name", ["..", ".", "a/b.npz", "a\x00.npz", "a" * 5000 + ".npz", "/etc/passwd"])
def test_odd_names_of_sample_files(name: str, samples: Path) -> None:
    problem = shelf(samples.parent, name).problem
    assert problem and problem.isprintable() and len(problem) < 200


ZEROS = bytes(2**20)
ARCHIVES: dict[str, tuple[bytes, str]] = {
    "a claim of a billion": (packed(("samples.npy", header((10**9, 1, 8, 8)))), "is damaged: shape (1000000000"),
    "more than is claimed": (packed(("samples.npy", header((1, 1, 8, 8)) + ZEROS)), "is damaged"),
    "a picture too large": (packed(("samples.npy", header((1, 1, 2**13, 2**13)) + ZEROS * 64)), "too large to be"),
    "objects": (packed(("samples.npy", header((5, 1, 8, 8), "|O"))), "holds no pictures"),
    "floats": (packed(("samples.npy", header((5, 1, 8, 8), "<f4") + bytes(1280))), "holds no pictures"),
    "no pictures": (packed(("samples.npy", header((0, 1, 8, 8)))), "holds no pictures"),
    "five channels": (packed(("samples.npy", header((1, 5, 8, 8)) + bytes(320))), "holds no pictures"),
    "no array": (packed(("samples.npy", ZEROS)), "cannot be read"),
    "nothing": (packed(("samples.npy", b"")), "cannot be read"),
    "other names": (packed(("images.npy", header((1, 1, 8, 8)) + bytes(64))), "cannot be read"),
    "another packing": (packed(("samples.npy", ZEROS), method=zipfile.ZIP_LZMA), "no run packs"),
    "a header of 4 GB": (packed(("samples.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + ZEROS)), "cannot be read"),
    "no archive": (b"PK\x05\x06" + b"\xff" * 18, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_checked_before_they_are_unpacked(name: str, samples: Path) -> None:
    content, why = ARCHIVES[name]
    (samples / "x.npz").write_bytes(content)
    found = shelf(samples.parent, "x.npz")
    assert found.png is None and why in found.problem


def bomb(path: Path, shape: tuple[int, ...]) -> None:
    """Two gigabytes of zeros in two megabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("samples.npy", "w") as file:
        file.write(header(shape))
        for _ in range(2**31 // len(ZEROS)):
            file.write(ZEROS)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "shown"), [((1, 1, 2**15, 2**16), False), ((2**21, 1, 32, 32), True)])
def test_a_zip_bomb_is_not_unpacked(shape: tuple[int, ...], shown: bool, samples: Path) -> None:
    """Refused by the size of its pictures, or shown by the first of them; never taken into memory."""
    bomb(samples / "x.npz", shape)
    before = peak_rss_bytes()
    found = shelf(samples.parent, "x.npz")
    assert bool(found.png) is shown and ("too large" in found.problem) is not shown
    assert peak_rss_bytes() - before < 100 * 2**20


@pytest.mark.parametrize("shape", [(1, 1, 1, 100_000), (30, 3, 100_000, 1), (1, 1, 1, 2**24), (30, 1, 3, 5000)])
def test_long_pictures_take_little_memory(shape: tuple[int, ...], tmp_path: Path) -> None:
    save_images(tmp_path, "x.npz", np.zeros(shape, np.uint8))
    before = peak_rss_bytes()
    assert shelf(tmp_path, "x.npz").png
    assert peak_rss_bytes() - before < 200 * 2**20


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ('["a\\nb", "c", "d", "e"]', ("a\nb", "c", "d")),
        (' [ "a" ]', ("a",)),
        ('["\\ud800", "\\u202e"]', ("\\u{d800}", "\\u{202e}")),
        ('["é", "' + "x" * 2**23 + '"]', ("é",)),
        ('["' + "é" * 2**23, ()),
        ("[" * 2**20, ()),
        ("[1, 2]", ()),
        ("[]", ()),
        ('["cut', ()),
        ("9" * 2**20, ()),
        ("", ()),
    ],
)
def test_texts_are_read_from_the_beginning(content: str, shown: tuple[str, ...], samples: Path) -> None:
    (samples / "x.json").write_text(content, encoding="utf-8")
    found = shelf(samples.parent, "x.json")
    assert found.texts == shown
    assert bool(found.problem) is not bool(shown)


# ---- everything at once -------------------------------------------------------------------------------------


def survives(folder: Path, seed: int) -> None:
    """All reports of a hostile store, and what must hold of them whatever is in it."""
    hostile_store(folder, seed)
    found, ignored = read_records(folder)
    assert all(line.isprintable() and len(line) < 400 for line in ignored)
    shown = pages(folder)
    assert len(set(read_frame(folder)["run_id"])) == len(found)
    for name in ("index.html", "report.md"):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\u2066]", shown[name])
    assert "<script>alert" not in shown["index.html"] and "root:x:0" not in "".join(shown.values())
    json.loads(shown["report.json"], parse_constant=pytest.fail)


@pytest.mark.parametrize("seed", range(4))
def test_a_few_hostile_stores_have_their_reports(seed: int, tmp_path: Path) -> None:
    survives(tmp_path / "run", seed)


@pytest.mark.slow
@pytest.mark.parametrize("tens", range(50))
def test_hostile_stores_have_their_reports(tens: int, tmp_path: Path) -> None:
    """500 stores, in memory that does not grow."""
    before = peak_rss_bytes()
    for seed in range(10 * tens, 10 * tens + 10):
        survives(tmp_path / str(seed), seed)
    assert peak_rss_bytes() - before < 500 * 2**20
