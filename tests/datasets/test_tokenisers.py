"""Tokens of text: exact whatever the text, learned of the training text alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import DataError, TextDataset
from bench.datasets._image import SPLITS
from bench.datasets._tokenisers import BytePairs, Bytes, Characters, Tokeniser
from bench.datasets.kjv import kjv

TEXT = "In the beginning was the word — für alle 字 der Welt.\r\n\n\tNaïve  spaces \x00 and e\u0301 😀.\n" * 30
OTHER = "Something else, ΑΒΓ, never seen: 😎!\n" * 30
TOKENISERS: tuple[Tokeniser, ...] = (Bytes(), Characters(TEXT, [OTHER]), BytePairs.trained(TEXT, 300))


@pytest.mark.parametrize("tokeniser", TOKENISERS, ids=lambda tokeniser: tokeniser.name)
@pytest.mark.parametrize("text", [TEXT, OTHER, "", "a", "😀"])
def test_what_is_decoded_was_encoded(tokeniser: Tokeniser, text: str) -> None:
    tokens = tokeniser.encode(text)
    assert b"".join(tokeniser.pieces[i] for i in tokens).decode() == text
    assert tokens.dtype == np.int64 and (not len(tokens) or 0 <= tokens.min() <= tokens.max() < len(tokeniser.pieces))


def test_characters_are_those_of_the_training_text() -> None:
    """Others are spelt as bytes, where a split has any; where none has, there are no tokens for them."""
    assert len(Characters("abba", ["ab"]).pieces) == 2
    with_bytes = Characters("abba", ["abc"])
    assert with_bytes.encode("abc").tolist() == [0, 1, 2 + ord("c")]
    with pytest.raises(DataError, match="the training text has no 'c'"):
        Characters("abba").encode("cab")


def test_pairs_that_stand_together_are_merged() -> None:
    tokeniser = BytePairs.trained("the cat sat on the mat in the hat " * 50, 270)
    assert {b" the", b"at"} <= set(tokeniser.pieces)
    assert len(tokeniser.encode("the cat")) < len("the cat")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of one test alone."""
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    return tmp_path / "datasets"


def test_byte_pairs_are_the_same_every_time(cache: Path) -> None:
    texts = dict.fromkeys(SPLITS, kjv().text("train")[:50_000])
    one = TextDataset("x", texts, 16, "bpe", 400)
    shutil.rmtree(cache)
    other = TextDataset("x", texts, 16, "bpe", 400)
    assert one.fingerprint == other.fingerprint and torch.equal(one.tokens("test"), other.tokens("test"))
    assert one.spec.vocab == 400 and one.tokeniser == "400 byte pairs"


@pytest.mark.parametrize("damaged", ["", "manifest.json", "valid.npy"])
def test_byte_pairs_are_learned_once(damaged: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next process, too; of another text, or of more tokens, anew; and where what was kept is damaged."""
    texts = dict.fromkeys(SPLITS, TEXT)
    before, learned, train = TextDataset("x", texts, 16, "bpe", 300), list[int](), BytePairs.trained

    def counted(text: str, vocab: int) -> BytePairs:
        learned.append(vocab)
        return train(text, vocab)

    monkeypatch.setattr(BytePairs, "trained", counted)
    if damaged:
        (kept,) = cache.glob(f"*/{damaged}")
        kept.write_bytes(b"no more")
    again = TextDataset("x", texts, 16, "bpe", 300)
    assert learned == [300] * bool(damaged) and again.fingerprint == before.fingerprint
    assert torch.equal(again.encode(OTHER), before.encode(OTHER)) and again.pieces == before.pieces
    TextDataset("x", texts, 16, "bpe", 301)
    TextDataset("x", {**texts, "test": OTHER}, 16, "bpe", 300)
    assert learned[-2:] == [301, 300]


def test_bytes_are_counted_whatever_the_tokens_are() -> None:
    texts = dict.fromkeys(SPLITS, TEXT)
    for kind in ("bytes", "characters", "bpe"):
        data = TextDataset("x", texts, 16, kind, 300)
        assert data.count_bytes(data.tokens("test")) == len(TEXT.encode())
        assert data.text("test") == TEXT and data.decode(data.tokens("test")[None]) == [TEXT]
        assert torch.equal(data.encode(TEXT), data.tokens("valid"))


def test_half_a_character_is_shown_as_such() -> None:
    data = TextDataset("x", dict.fromkeys(SPLITS, TEXT), 4)
    assert data.decode(torch.tensor([[0xE5, 0xAD]])) == ["\ufffd"]
