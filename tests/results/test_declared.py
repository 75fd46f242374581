"""What boards, verdicts and galleries make of what plugins declare, whatever these are called; and of older records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import Measurement, RunRecord, extractor
from bench.measure.names import find_metric
from bench.record import upgraded
from bench.registry import registry
from bench.results.board import Board, leaderboards
from reports._content import gather
from reports._samples import gallery
from tests.report_records import ABOUT, LEAD, ROLES, interval, measured, record, save_images


def board_of(*records: RunRecord) -> Board:
    (board,) = leaderboards(records)
    return board


def renamed(metric: str, **changes: Any) -> Measurement:
    return measured("fd_lenet", 1.0).model_copy(update={"metric": metric, **changes})


def of_before(found: RunRecord) -> RunRecord:
    """The record as it was written before it said what leads and what role a yardstick has."""
    document = json.loads(found.to_json())
    del document["plan"]["role"]
    for m in document["measurements"]:
        del m["lead"]
    return RunRecord.model_validate_json(json.dumps(upgraded(document)), strict=True)


@pytest.mark.usefixtures("own_names")
def test_a_distance_leads_under_the_name_that_its_extractor_gives_it() -> None:
    extractor("acme/ear", on={"audio"}, classic={"fd": "fad"})(object)
    found = [find_metric(name) for name in ("kid_acme/ear", "recall_acme/ear", "fad")]
    ours = (renamed(e.name, aspect=e.aspect, better=e.better, lead=e.lead) for e in found)
    board = board_of(record("a", modality="audio", measurements=tuple(ours)))
    assert board.main and board.main.metric == "fad"


def test_records_of_the_tests_say_what_is_declared() -> None:
    assert {name: LEAD.get(name, ()) for name in ABOUT} == {name: find_metric(name).lead for name in ABOUT}
    assert {name: ROLES[name] for name in ROLES} == {name: registry.get("generators", name).role for name in ROLES}


@pytest.mark.parametrize("metrics", [list(ABOUT), list(ABOUT)[1:], ["perplexity", "bits_per_byte"], ["is_lenet"]])
def test_older_records_lead_as_they_did(metrics: list[str]) -> None:
    scores = {name: 1.0 + place for place, name in enumerate(metrics)}
    records = [record(name, scores=scores) for name in ("a", "b", "real", "noise")]
    now, before = board_of(*records), board_of(*map(of_before, records))
    assert (before.main, before.headline, before.speed) != (None, (), ())
    assert [c.metric for c in before.columns] == [c.metric for c in now.columns]
    assert [c.metric for c in before.headline] == [c.metric for c in now.headline]
    assert [row.group.role for row in before.rows] == [row.group.role for row in now.rows]


def test_a_column_of_older_and_newer_records_does_not_depend_on_their_order() -> None:
    a, b = record("a", scores={"kid_lenet": 1.0}), of_before(record("b", scores={"kid_lenet": 2.0}))
    assert board_of(a, b).columns == board_of(b, a).columns


def test_what_a_record_says_is_not_taken_for_its_name() -> None:
    """A metric that is called as one of ours once was, and declares no place, has none."""
    document = json.loads(record("a", measurements=(measured("fd_lenet", 1.0, lead=()),)).to_json())
    assert upgraded(document) is document


def test_what_a_record_of_before_could_not_say_is_known_of_ours() -> None:
    """Which counts are the same in every run, and that memory leads."""
    names = ("parameters", "peak_rss_bytes", "fd_lenet")
    document = json.loads(record("a", measurements=tuple(measured(name, 1.0, lead=()) for name in names)).to_json())
    for m in document["measurements"]:
        del m["exact"]
    found = {m["metric"]: (tuple(m["lead"]), m["exact"]) for m in upgraded(document)["measurements"]}
    assert found == {"parameters": ((), True), "peak_rss_bytes": ((2,), False), "fd_lenet": ((), False)}


def test_yardsticks_are_known_by_their_role(tmp_path: Path) -> None:
    def trial(name: str, value: float, **changes: Any) -> RunRecord:
        its = (measured("fd_lenet", value, interval=interval(value - 0.01, value + 0.01)),)
        samples = save_images(tmp_path, f"{len(name)}.npz")
        return record(name, measurements=its, samples=samples, **changes)

    records = [
        trial("a", 1.0),
        trial("hiss", 0.5, control=True, role="floor"),
        trial("oracle", 2.0, control=True, role="ceiling"),
        trial("other one", 3.0, control=True),
    ]
    (section,) = gather(records, tmp_path, []).sections
    assert "(real data: 2" in section.verdict and "But the yardstick hiss (0.5" in section.verdict
    assert "better than real data itself" in section.verdict
    assert next(sample.name for sample in gallery(section.board, tmp_path)) == "oracle"


def test_how_fast_samples_are_made_is_the_rate_that_leads() -> None:
    timed = board_of(record("a", scores={"train_throughput": 1.0, "latency_p50": 2.0, "sample_throughput": 3.0}))
    assert [c.metric for c in timed.speed] == ["sample_throughput"]
    other = renamed("acme/pace", aspect="efficiency", unit="frames/s", better="higher", lead=(0,))
    assert [c.metric for c in board_of(record("a", measurements=(other,))).speed] == ["acme/pace"]
    assert board_of(record("a", scores={"latency_p50": 2.0})).speed == ()
