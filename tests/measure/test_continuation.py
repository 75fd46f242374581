"""How models go on from a beginning: the same one for all, within a window, with the surprise of whoever wrote it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench import Batch, DataSpec, Sequential, Streaming, TextDataset
from bench.datasets._image import SPLITS
from bench.measure.continuation import LONGEST, PROMPTS, SHARE, continuations, spelled
from bench.testing import families_for, family_for, made_up
from bench.testing._models import takes
from bench.testing.made_up import SENTENCE

CPU = torch.device("cpu")


def model(data: Any) -> Any:
    entry = family_for("text", Sequential, Streaming)
    torch.manual_seed(0)
    net: Any = entry.make(data.spec, **entry.presets["test"])
    return net.eval()


def test_surprise_is_that_of_the_model_itself() -> None:
    data = TextDataset("x", dict.fromkeys(SPLITS, SENTENCE * 20), 16, "characters")
    net, first = model(data), data.spec.shape[0] // SHARE
    found = continuations(net, data, 0, CPU)
    assert found is not None and len(found) == PROMPTS
    for one in found:
        assert len(one["prompt"]) == first and one["prompt"] in data.text("test")
        text = one["prompt"] + "".join(piece for piece, _ in one["pieces"])
        log_p, _ = net.step_log_prob(Batch(data.encode(text)[None]))
        assert [nats for _, nats in one["pieces"]] == pytest.approx((-log_p[0, first:]).tolist(), abs=1e-3)


def test_a_seed_decides_them_and_prompts_are_those_of_all() -> None:
    data = made_up("text")
    first, again, other = (continuations(model(data), data, seed, CPU) for seed in (0, 0, 1))
    assert first == again != other
    assert first is not None and other is not None
    assert [one["prompt"] for one in first] == [one["prompt"] for one in other]


def test_long_windows_are_cut() -> None:
    data = made_up(DataSpec("text", (400,), "tokens", vocab=256))
    found = continuations(model(data), data, 0, CPU)
    assert found is not None and len(found[0]["prompt"]) == LONGEST // SHARE


def test_what_does_not_go_on_as_text_has_none() -> None:
    music = made_up(DataSpec("music", (8, 3), "binary"))
    for name, entry in families_for("music", Streaming).items():
        if not takes(entry, music.spec):
            continue
        net = entry.make(music.spec, **entry.presets["test"])
        assert continuations(net, music, 0, CPU) is None, name
    assert continuations(object(), made_up("text"), 0, CPU) is None


def test_bytes_that_spell_one_character_are_one_piece() -> None:
    data = TextDataset("x", dict.fromkeys(SPLITS, "a 字 b"), 4)
    tokens = data.encode("a字b")
    assert spelled(data, tokens, [1.0, 0.5, 0.25, 0.125, 2.0]) == [["a", 1.0], ["字", 0.875], ["b", 2.0]]
    assert spelled(data, tokens[:3], [None] * 3) == [["a", None], ["\ufffd", None]]
