"""What holds for several generators or metrics is said once, with the list of them."""

from __future__ import annotations

from pathlib import Path

from bench.results.board import leaderboards
from reports._content import gather
from reports._notes import gaps, told
from reports.html import render
from tests.report_records import failed, record

FEW = "on lenet: {} samples are too few for Fréchet distances: a covariance of 84 dimensions is singular"


def test_of_one_sentence_those_it_holds_for_are_listed_by_their_data() -> None:
    records = [
        record(name, seed, dataset=dataset, remarks=("trained by the clock",))
        for dataset in ("digits", "mnist")
        for name in ("vae", "dcgan")
        for seed in (0, 1)
    ] + [record("ebm", dataset=dataset) for dataset in ("digits", "mnist")]
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
        "all on mnist: no fd_lenet, kid_lenet in the learning curve: why",
        "all on mnist: timed cold: offline, single-stream",
    ]


def test_what_is_true_of_all_as_of_their_data_comes_once_and_first(tmp_path: Path) -> None:
    data, clock, copies = "folder:x: 3 pictures are turned", "trained by the clock", "on lenet: copies"
    records = [
        record("vae", remarks=(clock, copies, data)),
        record("dcgan", remarks=(clock, data)),
        failed("ebm", remarks=(data, clock)),
        record("real", remarks=(data,)),
        record("vae", dataset="digits", remarks=(clock,)),
        record("real", dataset="digits"),
    ]
    notes = [
        f"all on mnist: {data}",
        f"all generators on mnist; vae on digits: {clock}",
        f"vae on mnist: {copies}",
    ]
    assert told(records) == notes
    page = render(gather(records, tmp_path, []))
    assert [page.count(note) for note in notes] == [1, 1, 1]
    assert sorted(notes, key=page.index) == notes
    killed = failed("killed")  # it never came to its data
    assert told([*records, killed]) == notes and told([killed, *records[3:4]]) == [f"real on mnist: {data}"]


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
