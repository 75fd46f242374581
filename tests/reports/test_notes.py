"""What holds for several generators or metrics is said once, with the list of them."""

from __future__ import annotations

from pathlib import Path

from bench.results.board import leaderboards
from reports._content import gather
from reports._notes import gaps, told
from reports.html import render
from tests.report_records import record

FEW = "on lenet: {} samples are too few for Fréchet distances: a covariance of 84 dimensions is singular"


def test_of_one_sentence_those_it_holds_for_are_listed_by_their_data() -> None:
    records = [
        record(name, seed, dataset=dataset, remarks=("trained by the clock",))
        for dataset in ("digits", "mnist")
        for name in ("vae", "dcgan")
        for seed in (0, 1)
    ]
    assert told(records) == ["vae, dcgan on digits; vae, dcgan on mnist: trained by the clock"]


def test_sentences_that_differ_in_numbers_are_one_with_their_range() -> None:
    records = [record("vae", seed, remarks=(FEW.format(n),)) for seed, n in enumerate(("1,040", "9", "40.5"))]
    assert told(records) == [f"vae on mnist: {FEW.format('9 to 1,040')}"]


def test_sentences_that_differ_in_metrics_or_in_a_list_are_one_with_all_names() -> None:
    records = [
        record(
            "vae", scores={"fd_lenet": 1.0}, remarks=("no fd_lenet in the learning curve: why", "timed cold: offline")
        ),
        record(
            "dcgan",
            omitted={"kid_lenet": "why"},
            remarks=("no kid_lenet in the learning curve: why", "timed cold: single-stream, offline"),
        ),
    ]
    assert told(records) == [
        "vae, dcgan on mnist: no fd_lenet, kid_lenet in the learning curve: why",
        "vae, dcgan on mnist: timed cold: offline, single-stream",
    ]


def test_other_sentences_and_names_that_hold_numbers_stay_apart() -> None:
    remarks = ("a.png is grey", "b.png is grey", "img_1.png is grey", "img_2.png is grey", "of vgg16", "of vgg19")
    assert len(told([record("vae", remarks=remarks)])) == len(remarks)
    odd = ("\0number 3", "4 3", "\0name", "9" * 500, "1e999 of 2", "")  # texts of anybody
    assert told([record("vae", remarks=odd)])


def test_a_reason_for_missing_numbers_is_given_once() -> None:
    why = "needs the capability 'likelihood'"
    lacking = {"bits_per_byte": why, "perplexity": why}
    records = [
        record("gpt", scores={"fd_lenet": 1.0, "bits_per_byte": 2.0, "perplexity": 3.0}),
        record("vae", scores={"fd_lenet": 2.0}, omitted=lacking),
        record("dcgan", scores={"fd_lenet": 3.0}, omitted=lacking),
        record("ebm", scores={"fd_lenet": 3.0, "perplexity": 3.0}, omitted={"bits_per_byte": why}),
    ]
    (board,) = leaderboards(records)
    (gap,) = gaps(board)
    assert gap.why == why
    assert sorted(gap.where) == ["dcgan, vae: bits_per_byte, perplexity", "ebm: bits_per_byte"]
    page = render(gather(records, Path("runs/x"), []))
    folded = page[page.index("<summary>Missing numbers") :]
    assert folded[: folded.index("</details>")].count("needs the capability") == 1
