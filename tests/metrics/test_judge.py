"""The language-model judge: exactness on a tiny random Llama, and the real one on real text."""

from __future__ import annotations

import importlib.util
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import bench
from bench import DataError, Estimate, GenbenchError, Omitted
from bench.datasets.kjv import kjv
from metrics.text import _judge as module
from metrics.text._judge import Judge, score
from metrics.text.judge_perplexity import gap, judge_gap, judge_perplexity, perplexity

ALPHABET = "abcdefghijklmnopqrstuvwxyz ."
VOCAB = len(ALPHABET) + 2
START = VOCAB - 1


def save(folder: Path, **changes: Any) -> Path:
    """A model and its tokeniser, a letter a token, as transformers saves them."""
    vocabulary = {letter: i for i, letter in enumerate(ALPHABET)} | {"<unk>": VOCAB - 2, "<s>": START}
    letters = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(tokenizer_object=letters, bos_token="<s>", unk_token="<unk>").save_pretrained(folder)
    config: dict[str, Any] = {
        "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": START,
        "eos_token_id": None, "pad_token_id": None,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = LlamaForCausalLM(LlamaConfig(**config | changes))
        for p in net.parameters():  # larger than at the start of training, so that it has opinions
            p.data.mul_(8) if p.ndim == 2 else None
    net.save_pretrained(folder)
    return folder


def texts(n: int, longest: int = 40, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(1, longest))) for _ in range(n)]


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That model as the judge."""
    folder = save(tmp_path / "judge")
    monkeypatch.setenv("GENBENCH_JUDGE", str(folder))
    module._load.cache_clear()
    yield folder
    module._load.cache_clear()


class TestScore:
    @pytest.fixture
    def by(self, chosen: Path) -> Judge:
        return module.judge()

    def test_it_is_a_generator_as_any(self, by: Judge, chosen: Path) -> None:
        again: Any = bench.build(f"hf:{chosen}", None)
        many = texts(5)
        np.testing.assert_allclose(score(by, many)[0], again.score_texts(many)[0].numpy(), rtol=0, atol=1e-9)

    def test_a_text_does_not_depend_on_its_neighbours(self, by: Judge) -> None:
        many = texts(8)
        together, _ = score(by, many)
        alone = np.concatenate([score(by, [text])[0] for text in many])
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4)
        np.testing.assert_allclose(score(by, many[::-1])[0][::-1], alone, rtol=0, atol=1e-4)

    def test_every_token_is_scored_once_in_windows_behind_the_start(self, by: Judge) -> None:
        (text,) = texts(1, seed=3)
        text = (text * 40)[:200]
        nats, tokens = score(by, [text])
        parts = [text[i : i + 64] for i in range(0, 200, 64)]  # all that the model has positions for
        assert tokens.tolist() == [200]
        assert nats[0] == pytest.approx(score(by, parts)[0].sum(), abs=1e-4)
        assert score(by, parts)[1].tolist() == [64] * 3 + [8]

    def test_no_batch_holds_more_than_it_may(self, by: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
        many = texts(60)
        expected, _ = score(by, many)
        shapes: list[tuple[int, ...]] = []
        by.model.net.register_forward_pre_hook(
            lambda _, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
        )
        monkeypatch.setattr("generators.loaders.hf.TOKENS_AT_ONCE", 100)
        np.testing.assert_allclose(score(by, many)[0], expected, rtol=0, atol=1e-4)
        assert max(math.prod(shape) for shape in shapes) <= 100 and len(shapes) > 5

    def test_a_judge_without_opinions_has_the_perplexity_of_its_vocabulary(self, by: Judge) -> None:
        by.model.net.lm_head.weight.data.zero_()
        assert perplexity(*score(by, texts(6))).value == pytest.approx(VOCAB, rel=1e-6)

    def test_an_empty_text_adds_nothing(self, by: Judge) -> None:
        nats, tokens = score(by, ["abc", ""])
        assert nats[1] == 0 and tokens[1] == 0
        assert perplexity(nats, tokens).value == pytest.approx(perplexity(*score(by, ["abc"])).value, rel=1e-6)


class TestPerplexity:
    def test_it_is_of_sums_and_not_a_mean_of_ratios(self) -> None:
        found = perplexity(np.array([10.0, 1.0]), np.array([5, 10]))
        assert found.value == pytest.approx(math.exp(11 / 15))
        assert found.n == 15

    def test_its_interval_covers(self) -> None:
        rng, found = np.random.default_rng(0), []
        for _ in range(400):
            tokens = rng.integers(5, 40, 50)
            found.append(perplexity(rng.gamma(tokens, 1.5), tokens))
        covered = [e.interval is not None and e.interval.lo <= math.exp(1.5) <= e.interval.hi for e in found]
        assert 0.90 <= np.mean(covered) <= 0.98

    def test_one_text_has_no_interval(self) -> None:
        assert perplexity(np.array([3.0]), np.array([2])).interval is None

    def test_nothing_to_score_is_said(self) -> None:
        for tokens in (np.array([0, 0]), np.array([])):
            with pytest.raises(GenbenchError, match="no token"):
                perplexity(np.zeros(len(tokens)), tokens)

    def test_nan_is_said(self) -> None:
        with pytest.raises(GenbenchError, match="NaN"):
            perplexity(np.array([np.nan]), np.array([2]))


class TestGap:
    def test_either_direction_counts(self) -> None:
        one, other = (np.array([2.0, 3.0]), np.array([2, 2])), (np.array([1.0, 1.5]), np.array([2, 2]))
        assert gap(*one, *other).value == gap(*other, *one).value == pytest.approx(5 / 4 - 2.5 / 4)

    def test_the_interval_of_a_small_gap_begins_at_zero(self) -> None:
        rng = np.random.default_rng(0)
        tokens = np.full(30, 20)
        near = gap(rng.gamma(20, 1, 30), tokens, rng.gamma(20, 1, 30), tokens)
        far = gap(rng.gamma(40, 1, 30), tokens, rng.gamma(20, 1, 30), tokens)
        assert near.interval is not None and near.interval.lo == 0 < near.value < near.interval.hi
        assert far.interval is not None and 0 < far.interval.lo < 1 < far.interval.hi

    def test_its_interval_covers(self) -> None:
        rng, tokens = np.random.default_rng(1), np.full(30, 20)
        found: list[Estimate] = []
        for _ in range(400):
            found.append(gap(rng.gamma(20, 1.5, 30), tokens, rng.gamma(20, 1, 30), tokens))
        covered = [e.interval is not None and e.interval.lo <= 0.5 <= e.interval.hi for e in found]
        assert 0.90 <= np.mean(covered) <= 0.98


class TestChoice:
    def test_its_name_is_its_content(self, chosen: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        first = module.judge().protocol
        assert first["start"] == "<s>" and first["judge"] == "LlamaForCausalLM" and first["context"] == 64
        moved = chosen.rename(tmp_path / "place")
        monkeypatch.setenv("GENBENCH_JUDGE", str(moved))
        assert module.judge().protocol == first
        save(moved, hidden_size=16)
        module._load.cache_clear()
        assert module.judge().protocol["judge_weights"] != first["judge_weights"]

    def test_nothing_is_printed(self, chosen: Path, capfd: pytest.CaptureFixture[str]) -> None:
        capfd.readouterr()  # what saving it printed
        module.judge()
        assert capfd.readouterr() == ("", "")

    def test_a_folder_without_a_model_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GENBENCH_JUDGE", str(tmp_path))
        module._load.cache_clear()
        with pytest.raises(DataError, match=r"GENBENCH_JUDGE: .* holds no language model"):
            judge_perplexity(texts(3))
        monkeypatch.setenv("GENBENCH_JUDGE", str(tmp_path / "nowhere"))
        with pytest.raises(DataError, match="where nothing is"):
            module.locate()

    def test_the_environment_chooses_the_judge(self, chosen: Path) -> None:
        by = module.judge()
        found = judge_perplexity(texts(10))
        assert found.value == pytest.approx(perplexity(*score(by, texts(10))).value, rel=1e-4)
        assert found.protocol == {**by.protocol, "texts": "at most 128, chosen by content"}

    def test_both_measures_reach_people_with_files(self, chosen: Path) -> None:
        ours, theirs = texts(200), texts(30, seed=1)
        table = bench.evaluate(ours, theirs, metrics=["judge_perplexity", "judge_gap"]).set_index("metric")
        assert table.value["judge_perplexity"] == pytest.approx(judge_perplexity(ours).value, rel=1e-6)
        assert table.value["judge_gap"] == pytest.approx(judge_gap(ours, theirs).value, rel=1e-6)
        assert table.protocol["judge_gap"]["texts"] == "at most 128, chosen by content"

    def test_it_reads_the_same_texts_in_whatever_order_they_come(self, chosen: Path) -> None:
        many = texts(300)
        assert judge_gap(many, texts(40, seed=1)) == judge_gap(many[::-1], texts(40, seed=1))

    def test_empty_texts_are_said(self, chosen: Path) -> None:
        with pytest.raises(GenbenchError, match="are empty"):
            judge_perplexity(["", " "])

    def test_without_a_judge_the_way_to_get_one_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = importlib.util.find_spec
        monkeypatch.delenv("GENBENCH_JUDGE", raising=False)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gguf" else found(name))
        module._load.cache_clear()
        with pytest.raises(
            Omitted, match=r'package gguf is not here; pip install "genbench\[text\]" && .*, or set GENBENCH'
        ):
            module.judge()


@pytest.mark.slow
class TestSmolLM2:
    def test_scripture_is_foreseen_and_its_shuffled_words_are_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GENBENCH_JUDGE", raising=False)
        module._load.cache_clear()
        data = kjv()
        passages = data.decode(data.tokens("test")[: 8 * 1024].view(8, 1024))
        rng = random.Random(0)
        shuffled = [" ".join(rng.sample(text.split(), len(text.split()))) for text in passages]
        real, mixed = judge_perplexity(passages), judge_perplexity(shuffled)
        assert 5 < real.value < 30 and mixed.value > 8 * real.value
        assert judge_gap(shuffled, passages).value == pytest.approx(math.log(mixed.value / real.value), rel=1e-6)
        assert str(real.protocol["judge_weights"]).startswith("sha256:")

    def test_it_is_the_model_that_transformers_unpacks(self) -> None:
        """Tokens and nats of this sentence under transformers 5.23's own reading of the file."""
        by = module.judge()
        text = "In the beginning God created the heaven and the earth. In 1984, 20,000 leagues under the sea."
        nats, tokens = score(by, [text])
        assert tokens.tolist() == [30]
        assert nats[0] == pytest.approx(104.83975, abs=1e-3)
