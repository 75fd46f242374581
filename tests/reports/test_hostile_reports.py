"""Reports of whatever the schema of records admits: shown in every format, never a traceback or a warning."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

import reports.html
from bench import RunRecord, read_records
from bench.probes.memory import peak_rss_bytes
from bench.registry import registry
from bench.results.board import leaderboards
from bench.results.store import read_frame, write_record
from reports._escaping import WHOLE, ending, visible
from reports._figures import tradeoff
from reports._losses import curve_table
from reports._numbers import plain, with_spread
from reports._page import name_tag, pieces
from reports._svg import inline_svg
from reports.markdown import text
from tests.processes import alone
from tests.report_records import failed, interval, measured, record
from tests.results.hostile_stores import TEXTS, hostile_store, pages

SKIP = {"kind": "unsupported", "message": "makes tokens only"}


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


@pytest.mark.parametrize("fifth", range(5))
def test_a_name_may_be_any_text(fifth: int, tmp_path: Path) -> None:
    """On the pages nothing of it acts, and what is long is cut."""
    odd = [text for text in TEXTS[fifth::5] if text.strip()]
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


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("stream_throughput_64", "stream_<wbr>throughput_<wbr>64"),
        ("seconds_to:fd<=20", "seconds_<wbr>to:<wbr>fd&lt;=<wbr>20"),
        ("fd_inception-clean", "fd_<wbr>inception-<wbr>clean"),
        ("evaluate:my/brevity", "evaluate:<wbr>my/<wbr>brevity"),
        ("odd_", "odd_"),
    ],
)
def test_long_headings_wrap_and_their_whole_name_is_where_the_pointer_rests(
    name: str, shown: str, tmp_path: Path
) -> None:
    assert name_tag(name, breaks=True) == shown
    number = measured("fd_lenet", 1.0).model_copy(update={"metric": name})
    write_record(tmp_path, record("vae", measurements=(number,)))
    page = pages(tmp_path)["index.html"]
    assert f">{shown}&nbsp;" in page and f'title="{html.escape(name)}: ' in page


def test_no_heading_of_a_metric_is_wider_than_its_column_may_be() -> None:
    css = Path(reports.html.__file__).with_name("page.css").read_text(encoding="utf-8")
    (size,) = re.findall(r"^html \{ font: (\d+)px", css, flags=re.MULTILINE)
    (rems,) = re.findall(
        r"\.board thead th\[data-better\] \{ max-width: (\d+)rem; white-space: normal; overflow-wrap", css
    )
    assert int(rems) * int(size) == reports.html._TITLE
    for name in registry.all("metrics", with_rest=True):
        assert max(map(len, pieces(name))) * reports.html._BOLD < reports.html._TITLE, name


def test_marks_in_piles_are_written_out() -> None:
    assert visible("e" + "\u0301" * 10) == "e" + "\u0301" * 4 + "\\u0301" * 6
    assert visible("\u202e" * 10, 9) == "\\u202e" + "\\u2…"
    assert visible("क्षि e\u0301\u00a0") == "क्षि e\u0301\u00a0"


def test_of_a_long_traceback_both_pages_show_the_end(tmp_path: Path) -> None:
    """Also where what is written out takes many times its room."""
    traceback = "Traceback:" + "\x1b" * 2 * WHOLE + "ValueError: the reason\n"
    shown = ending(traceback)
    assert len(shown) == WHOLE and shown.startswith("…") and shown.endswith("\\x1bValueError: the reason")
    failure = {"kind": "exception", "message": "no", "traceback": traceback}
    write_record(tmp_path, record("vae", status="failed", error=failure))
    assert all("ValueError: the reason" in pages(tmp_path)[page] for page in ("index.html", "report.md"))
    assert ending("a\n\tb\n") == "a\n\tb"


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
        (1e300, 1.0, ("1.00e+300", "0")),
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
        ("x\u202ey\x1b", "x\\\\u202ey\\\\x1b"),
    ],
)
def test_markdown_takes_no_text_for_markup(value: str, expected: str) -> None:
    assert text(value) == expected


def test_a_kind_of_data_may_be_called_anything(tmp_path: Path) -> None:
    write_record(tmp_path, record("vae", modality=f"a\x00b|{'x' * 999}", scores={"fd_lenet": 1.0}))
    shown = pages(tmp_path)
    for page in ("index.html", "report.md"):
        assert "\x00" not in shown[page] and "x" * 500 not in shown["report.md"]


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
    assert first["generator"].startswith(("'", "\\r")) and first["generator"].endswith("HYPERLINK(1)")
    assert (float(first["value"]), float(first["lo"]), float(first["hi"])) == (-1.5, -2.0, -1.0)
    assert not second["metric"].startswith("-")


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


def peaks(folder: Path, start: int) -> tuple[int, int]:
    """The largest memory of this process after the first of ten stores and after the last."""
    found = []
    for seed in range(start, start + 10):
        survives(folder / str(seed), seed)
        found.append(peak_rss_bytes())
    return found[0], found[-1]


@pytest.mark.parametrize("seed", range(4))
def test_a_few_hostile_stores_have_their_reports(seed: int, tmp_path: Path) -> None:
    survives(tmp_path / "run", seed)


@pytest.mark.slow
@pytest.mark.parametrize("tens", range(50))
def test_hostile_stores_have_their_reports(tens: int, tmp_path: Path) -> None:
    """500 stores, in memory that does not grow beyond what the first of ten needs."""
    first, last = alone(peaks, tmp_path, 10 * tens)
    assert last - first < 500 * 2**20
