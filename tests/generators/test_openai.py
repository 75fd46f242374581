"""A server of completions as a generator: what it makes, what it tells of texts, its times, and what can go wrong."""

from __future__ import annotations

import itertools
import math
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import bench
from bench import Batch, DataSpec, GenbenchError, Omitted, TextDataset, Trial
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.engine.worker import run_trial
from bench.measure.continuation import continuations
from bench.measure.names import find_metric
from bench.registry import registry
from bench.streams import stream
from bench.testing._models import make, same, sampled
from bench.testing.made_up import made_up
from tests.generators.completions import END, START, Bigram, Server

CPU = torch.device("cpu")
WORDS = ["In", " the", " beginning", " was", " light", "\n", ".", "\xe9"]
TOKENS = [*WORDS, *sorted({*"".join(WORDS)} - {*WORDS})]  # so that any stretch of the text has some
MODEL = Bigram(TOKENS)
WINDOW = 24


def text_of(seed: int, n: int = 60) -> str:
    return "".join(np.random.default_rng(seed).choice(WORDS, n))


DATA = TextDataset("made", {"train": text_of(0), "valid": text_of(1), "test": text_of(2)}, WINDOW, "characters")
TEXTS = ["In the beginning was light.\n", " light", "\xe9 was\xe9\n", "In"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(MODEL) as running:
        yield running


def loaded(server: Server, data: Any = DATA, **params: Any) -> Any:
    return make(registry.get("generators", f"openai:{server.target}"), data, **params)


def measured(name: str, model: Any, data: Any = DATA, n: int = 8) -> bench.Estimate:
    trial = Trial(model, data, seed=0, n_samples=n, batch_size=4, device=CPU)
    found: bench.Estimate = find_metric(name).compute(trial)
    return found


class TestLikelihood:
    @pytest.mark.parametrize("begins", [START, ""])
    def test_a_text_is_scored_by_the_law(self, begins: str) -> None:
        """Where the server shows a first token, and where it hides it."""
        with Server(MODEL, begins=begins) as server:
            nats, tokens = loaded(server).score_texts([*TEXTS, ""])
        assert nats.tolist() == pytest.approx([*map(MODEL.nats, TEXTS), 0.0])
        assert tokens.tolist() == [*(len(MODEL.encode(text)) for text in TEXTS), 0]

    def test_where_nothing_stands_before_the_first_token_a_start_is_given(self) -> None:
        with Server(MODEL, begins=None) as server:
            with pytest.raises(
                Omitted, match=r"of the first token.*give the token with which its texts begin as `start`"
            ):
                loaded(server).score_texts(TEXTS)
            assert loaded(server, start=START).score_texts(TEXTS)[0].tolist() == pytest.approx(
                [*map(MODEL.nats, TEXTS)]
            )

    def test_a_start_that_grows_into_the_text_is_told(self) -> None:
        """Of "In the", " th" is the end of no token."""
        with Server(MODEL) as server, pytest.raises(Omitted, match="a token reaches from `start` into the text"):
            loaded(server, start="In t").score_texts(["he light"])

    @pytest.mark.parametrize(("scores", "why"), [("refused", "Only no echo is supported"), ("ignored", "given text")])
    def test_a_server_that_tells_none_is_believed(self, scores: str, why: str) -> None:
        with Server(MODEL, scores=scores) as server, pytest.raises(Omitted, match=f"tells no probability.*{why}"):
            loaded(server).score_texts(TEXTS)

    def test_bits_per_byte_are_those_of_the_law(self, server: Server) -> None:
        """Window by window, each as a text by itself."""
        model, text = loaded(server), DATA.text("test")
        windows = [text[i : i + WINDOW] for i in range(0, len(text), WINDOW)]
        expected = sum(map(MODEL.nats, windows)) / math.log(2) / len(text.encode())
        assert measured("bits_per_byte", model).value == pytest.approx(expected)
        assert measured("perplexity", model).protocol["tokeniser"] == f"tokens of {model.model}"

    def test_a_batch_is_scored_by_the_text_that_it_spells(self, server: Server) -> None:
        model = loaded(server)
        found = model.log_prob(Batch(torch.stack([model.reads.encode(text) for text in TEXTS])))
        assert found.tolist() == pytest.approx([-MODEL.nats(text) for text in TEXTS])


class TestSamples:
    def test_they_follow_the_law(self) -> None:
        """The first tokens of 600 texts, by chi-square; none of these words begins another."""
        model = Bigram(WORDS)
        with Server(model) as server:
            made = sampled(loaded(server, at_once=16), [600])
        assert made.lengths is not None
        texts = [DATA.decode(row[None, :n])[0] for row, n in zip(made.data, made.lengths.tolist(), strict=True)]
        observed = [sum(text.startswith(token) if token else not text for text in texts) for token in model.law[START]]
        assert stats.chisquare(observed, [p * len(texts) for p in model.law[START].values()]).pvalue > 1e-3

    def test_a_seed_decides_them_and_not_their_batch(self, server: Server) -> None:
        model = loaded(server)
        assert same(sampled(model, [6]), sampled(model, [1, 3, 2]))
        assert not same(sampled(model, [6], 0), sampled(model, [6], 1))

    def test_they_end_where_the_model_ends_them_or_the_window_does(self, server: Server) -> None:
        made = sampled(loaded(server), [40])
        assert made.lengths is not None
        assert made.lengths.max() == WINDOW > made.lengths.min()
        ended = sum(n < WINDOW for n in made.lengths.tolist())
        assert 0 < ended < 40
        assert all(asked["max_tokens"] == WINDOW for asked in server.seen)

    def test_what_a_server_cuts_short_is_asked_to_go_on(self) -> None:
        """By its text so far, until the window is full or the text has ended."""
        with Server(MODEL, most=2) as server:
            made = sampled(loaded(server, start=START), [20])
            assert made.lengths is not None and made.lengths.max() == WINDOW
            assert {asked["prompt"][:3] for asked in server.seen} == {START}
            assert max(len(asked["prompt"]) for asked in server.seen) > len(START) + 4

    def test_what_it_is_drawn_by_reaches_the_server(self, server: Server) -> None:
        made = sampled(loaded(server, temperature=0.0, top_p=0.5, arguments={"min_p": 0, "model": "no"}), [3])
        assert (made.data == made.data[0]).all()
        told = [(asked["temperature"], asked["top_p"], asked["min_p"], asked["model"]) for asked in server.seen]
        assert {*told} == {(0.0, 0.5, 0, "bigram")}

    def test_so_many_are_asked_for_at_once_and_no_more(self) -> None:
        with Server(MODEL, waits=(0.1, 0.0)) as server:
            sampled(loaded(server, at_once=3), [9])
            assert server.busiest == 3

    def test_data_that_spells_no_text_is_refused(self, server: Server) -> None:
        data = made_up(DataSpec("text", (12,), "tokens", vocab=11))
        with pytest.raises(bench.DataError, match="how its tokens spell a text"):
            sampled(loaded(server, data), [2])


class TestStreams:
    def test_a_piece_is_what_the_server_sends_at_a_time(self, server: Server) -> None:
        model = loaded(server)
        prompt = model.reads.encode("In the")
        drawn = list(itertools.islice(model.stream(prompt, stream(0, "stream")), 20))
        texts = [model.reads.decode(piece[None, None])[0] for piece in drawn]
        assert {*texts} <= {*TOKENS} and len({*texts}) > 1
        assert server.seen[-1]["prompt"] == "In the"
        assert model.reads.count_bytes(torch.stack(drawn)) == len("".join(texts).encode())

    def test_prompts_are_the_beginnings_of_the_data_s_examples(self, server: Server) -> None:
        own = loaded(server).reads
        prompts = own.test.batch(torch.tensor([0, 5]))
        assert own.decode(prompts.data) == DATA.decode(DATA.test.batch(torch.tensor([0, 5])).data[:, : WINDOW // 2])
        assert own.text("test") == DATA.text("test") == own.decode(own.tokens("test")[None])[0]

    def test_times_are_those_of_the_server(self) -> None:
        with Server(MODEL, waits=(0.05, 0.005)) as server:
            model = loaded(server, temperature=0.3)
            first, between = (measured(name, model).value for name in ("first_token_p50", "inter_token_p50"))
        assert first > 0.05 and 0.005 < between < first

    def test_behind_an_end_another_text_begins(self, server: Server) -> None:
        """So that whoever times pieces finds one, whatever the model makes of the prompt."""
        model = loaded(server)
        drawn = list(itertools.islice(model.stream(model.reads.encode("In the"), stream(0, "stream")), 100))
        assert len(drawn) == 100 and len(server.seen) > 2 and len({asked["seed"] for asked in server.seen}) > 2
        assert {asked["prompt"] for asked in server.seen} == {"In the"}

    def test_a_model_that_ends_every_text_at_once_is_told(self) -> None:
        model = Bigram(WORDS)
        model.law[" the"] = {END: 1.0}
        with Server(model) as server, pytest.raises(GenbenchError, match=r"sends nothing behind 'In the', 16 times"):
            own = loaded(server)
            next(own.stream(own.reads.encode("In the"), stream(0, "stream")))

    def test_several_run_side_by_side(self) -> None:
        """As many pieces at a time, each of its own stream."""
        with Server(MODEL, waits=(0.2, 0.0)) as server:
            model = loaded(server)
            prompts = model.reads.test.batch(torch.arange(4)).data
            pieces = list(itertools.islice(model.stream_batch(prompts, stream(0, "x")), 3))
            assert all(piece.shape == (4,) for piece in pieces)
            assert server.busiest == 4

    def test_texts_go_on_on_the_page(self, server: Server) -> None:
        shown = continuations(loaded(server), DATA, 0, CPU)
        assert shown and all(text in TOKENS and nats is None for row in shown for text, nats in row["pieces"])


class TestFaults:
    @pytest.mark.parametrize(
        ("target", "answer"),
        [
            ("http://127.0.0.1:9/v1", "names no model: write openai:http://HOST:PORT/v1#MODEL"),
            ("#model", "write openai:http://HOST:PORT/v1#MODEL"),
            ("file:///etc/passwd#model", "write openai:http://HOST:PORT/v1#MODEL"),
            ("http://[1#model", "openai:http://"),
            ("http://127.0.0.1:x/v1#model", "Port could not be cast"),
            ("http://me:secret@127.0.0.1/v1#model", "no name or key in the address: set OPENAI_API_KEY"),
        ],
    )
    def test_an_address_that_is_none_is_refused(self, target: str, answer: str) -> None:
        with pytest.raises(GenbenchError) as told:
            make(registry.get("generators", f"openai:{target}"), DATA)
        assert answer in str(told.value) and "secret" not in str(told.value)

    def test_a_server_that_is_not_there_is_told(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            target = f"http://127.0.0.1:{free.getsockname()[1]}/v1#model"
            with pytest.raises(GenbenchError, match=r"cannot be reached \(.*refused\): is it running\?"):
                make(registry.get("generators", f"openai:{target}"), DATA)

    def test_a_model_that_it_has_not_is_told_with_those_that_it_has(self, server: Server) -> None:
        with pytest.raises(GenbenchError, match="has no model 'gpt-9'; it has bigram"):
            registry.get("generators", f"openai:{server.url}#gpt-9").content()

    @pytest.mark.parametrize(
        ("fault", "answer"),
        [
            ("full", "answers 503 to /completions: the queue is full"),
            ("error event", "broke off: out of memory"),
            ("cut off", "broke off before its text ended"),
            ("ends early", "broke off before its text ended"),
            ("nothing", "does not go on from nothing: give the token with which its texts begin as `start`"),
            ("silent", "sent nothing for 0.2 s: raise `timeout`"),
        ],
    )
    def test_an_answer_that_goes_wrong_is_told(self, fault: str, answer: str) -> None:
        data = TextDataset("long", {"train": text_of(0), "valid": text_of(1), "test": text_of(2)}, 100, "characters")
        with Server(MODEL, fault=fault) as server, pytest.raises(GenbenchError) as told:
            sampled(loaded(server, data, timeout=0.2), [8])
        assert answer in str(told.value)

    def test_a_page_is_no_api(self) -> None:
        with Server(MODEL, fault="page") as server, pytest.raises(GenbenchError, match="speaks another protocol"):
            loaded(server)


class TestKeys:
    def test_it_comes_from_the_environment_and_stands_in_no_record(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_KEY", "sk-very-secret\n")
        with Server(MODEL, key="sk-very-secret") as server:
            record = run_trial(planned(server, tmp_path, key="MY_KEY"), tmp_path / "out")
            assert {*server.keys} == {"Bearer sk-very-secret"}
        assert record.status == "ok", record.error
        assert "secret" not in record.model_dump_json()
        assert not any(b"very-secret" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    @pytest.mark.parametrize("key", ["sk-wrong", ""])
    def test_a_wrong_one_is_told_and_not_shown(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with Server(MODEL, key="right") as server, pytest.raises(GenbenchError) as told:
            loaded(server)
        assert "answers 401" in str(told.value) and "environment variable OPENAI_API_KEY?" in str(told.value)
        assert "sk-wrong" not in str(told.value)

    def test_what_is_none_is_not_sent(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-\u2026secret")
        with pytest.raises(GenbenchError, match="OPENAI_API_KEY holds what is no key") as told:
            loaded(server)
        assert "secret" not in str(told.value) and not server.keys

    def test_it_goes_nowhere_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """To where a server redirects, say."""
        monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
        with Server(MODEL, fault="redirects") as server, pytest.raises(GenbenchError, match="answers 307"):
            loaded(server)
        assert server.keys == ["Bearer sk-mine"]


class TestIdentity:
    def test_another_model_behind_a_name_is_another_generator(self) -> None:
        """And the same one is the same tomorrow, also of a server that tells the time as that of the model."""
        found = []
        for facts in ({}, {}, {"root": "/models/other"}, {"meta": {"n_params": 5}}):
            with Server(MODEL, facts=facts) as server:
                found.append(registry.get("generators", f"openai:{server.target}").content(temperature=1.0))
        assert found[0] == found[1] == '{"id": "bigram"}' and len({*found}) == 3

    def test_a_server_without_a_list_is_known_by_the_name_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Server(MODEL) as server:
            monkeypatch.setattr(
                "tests.generators.completions.Handler.do_GET", lambda self: self._answer(404, {"detail": "Not Found"})
            )
            assert registry.get("generators", f"openai:{server.target}").content() == '{"id": "bigram"}'


def planned(server: Server, folder: Path, **params: Any) -> Any:
    (folder / "data.txt").write_text(text_of(3, 3000))
    metrics = ["bits_per_byte", "perplexity_sliding", "first_token_p50", "sample_throughput"]
    table = {
        "metrics": [*metrics, "parameters", "sample_flops", "membership_auc"],
        "controls": False,
        "budget": {"samples": 6},
        "datasets": {"made": {"source": f"text:{folder / 'data.txt'}", "window": WINDOW, "tokeniser": "characters"}},
        "generators": {"theirs": {"family": f"openai:{server.target}", **params}},
    }
    (plan,) = plan_trials(check_suite(table, "test"), "cpu")
    return plan


def test_it_stands_in_a_suite_beside_others(server: Server, tmp_path: Path) -> None:
    """What it cannot tell is null with the reason."""
    record = run_trial(planned(server, tmp_path), tmp_path / "out")
    assert record.status == "ok", record.error
    found = {m.metric: m for m in record.measurements}
    assert {*found} == {"bits_per_byte", "first_token_p50", "sample_throughput", "membership_auc"}
    assert found["bits_per_byte"].value > 1 and found["sample_throughput"].value > 0
    assert record.omitted["parameters"] == "counts the tensors of a torch module, and this generator is none"
    assert "not done by torch" in record.omitted["sample_flops"]
    assert "score steps" in record.omitted["perplexity_sliding"]
    assert record.plan.read == '{"id": "bigram", "owned_by": "vllm", "root": "/models/bigram"}'


def test_without_a_likelihood_all_else_is_measured(tmp_path: Path) -> None:
    with Server(MODEL, scores="refused") as server:
        record = run_trial(planned(server, tmp_path), tmp_path / "out")
    assert record.status == "ok" and "sample_throughput" in {m.metric for m in record.measurements}
    assert "Only no echo is supported" in record.omitted["bits_per_byte"]
