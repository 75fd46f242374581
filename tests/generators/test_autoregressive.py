"""Families that know the next step: exact likelihood has consequences that can be counted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import Batch, DataSpec, GenbenchError, Sequential, Streaming, Unsupported
from bench.parameters import schema
from bench.registry import GeneratorEntry
from bench.streams import stream
from bench.testing import families_for, made_up
from generators._autoregressive import Sequence, pieces

FAMILIES: Mapping[str, GeneratorEntry] = families_for("text", Sequential, Streaming)
CPU = torch.device("cpu")
CARRYING = {name: entry for name, entry in FAMILIES.items() if "truncate" in schema(entry.make).model_fields}


def make(entry: GeneratorEntry, spec: DataSpec, **params: Any) -> Any:
    """A model with opinions."""
    torch.manual_seed(3)
    model: Any = entry.make(spec, **{**entry.presets["test"], **params})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def one(model: Any, piece: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Of a piece of one step, by the way that is for one."""
    out, state = model.step(piece[:, 0], state)
    return out[:, None], state


@pytest.mark.parametrize("entry", FAMILIES.values(), ids=FAMILIES)
class TestAutoregressive:
    spec = DataSpec("text", (4,), "tokens", vocab=3)

    def test_the_future_is_not_seen(self, entry: GeneratorEntry) -> None:
        x = torch.tensor([[0, 1, 2, 0], [0, 1, 0, 2]])
        one, other = make(entry, self.spec).step_log_prob(Batch(x))[0]
        torch.testing.assert_close(one[:2], other[:2])
        assert not torch.allclose(one[2:], other[2:])

    def test_samples_follow_the_likelihood(self, entry: GeneratorEntry) -> None:
        model = make(entry, self.spec)
        drawn = model.sample(20000, stream(0, "sample"))
        codes = (drawn * torch.tensor([27, 9, 3, 1])).sum(1)
        seen = torch.bincount(codes, minlength=81) / len(drawn)
        everything = torch.tensor(list(itertools.product(range(3), repeat=4)))
        expected = model.log_prob(Batch(everything)).exp()
        # Total variation of 20,000 draws over 81 outcomes stays below 0.05 by a wide margin.
        assert 0.5 * (seen - expected).abs().sum() < 0.05

    @pytest.mark.parametrize("kind", ["tokens", "binary", "continuous"])
    def test_step_by_step_is_as_at_once(self, entry: GeneratorEntry, kind: Any) -> None:
        """Of tokens, of notes and of real numbers: from a state, in pieces of any length, the same is said."""
        shape = (16,) if kind == "tokens" else (16, 3)
        data = made_up(DataSpec("music", shape, kind, vocab=5 if kind == "tokens" else None))
        model = make(entry, data.spec)
        x = model.head.shifted(data.train.batch(torch.arange(3)).data)
        with torch.no_grad():
            whole, _ = model(x)
            state, steps = model.net.begin(), []
            for piece in x.split([1, 1, 5, 1, 7, 1], dim=1):
                out, state = model(piece, state) if piece.shape[1] > 1 else one(model, piece, state)
                steps.append(out)
        torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-4, rtol=1e-4)

    def test_one_text_is_scored_as_among_eight(self, entry: GeneratorEntry) -> None:
        model = make(entry, DataSpec("text", (16,), "tokens", vocab=5))
        x = torch.randint(5, (8, 16))
        one, eight = model.log_prob(Batch(x[:1])), model.log_prob(Batch(x))
        torch.testing.assert_close(one, eight[:1], atol=1e-4, rtol=0)

    def test_streaming_is_sampling_from_the_same_model(self, entry: GeneratorEntry) -> None:
        """At a temperature near 0 both follow the most likely path."""
        model = make(entry, DataSpec("text", (10,), "tokens", vocab=7), temperature=1e-4)
        whole = model.sample(1, stream(0, "sample"))[0]
        stream_of = model.stream(torch.empty(0, dtype=torch.int64), stream(0, "s"))
        assert torch.stack(list(itertools.islice(stream_of, 10))).tolist() == whole.tolist()

    def test_a_prompt_is_gone_on_from(self, entry: GeneratorEntry) -> None:
        """Begun with what it would have begun with, a text ends as it would have."""
        model = make(entry, DataSpec("text", (10,), "tokens", vocab=7), temperature=1e-4)
        whole = model.sample(1, stream(0, "sample"))[0]
        rest = torch.stack(list(itertools.islice(model.stream(whole[:6], stream(0, "s")), 4)))
        assert rest.tolist() == whole[6:].tolist()

    def test_a_stop_ends_a_text(self, entry: GeneratorEntry) -> None:
        spec = DataSpec("text", (10,), "tokens", vocab=4)
        whole = make(entry, spec).sample(50, stream(0, "sample"))
        found = make(entry, spec, stop=(2,)).sample(50, stream(0, "sample"))
        for row, end, text in zip(found.data, found.lengths.tolist(), whole, strict=True):
            places = (text == 2).nonzero()
            assert end == (int(places[0]) + 1 if len(places) else 10)
            assert torch.equal(row[:end], text[:end])
        told = list(make(entry, spec, stop=(2,)).stream(torch.tensor([1]), stream(0, "s")))
        assert [int(token) == 2 for token in told] == [False] * (len(told) - 1) + [True]

    def test_what_cannot_be_scored_is_named(self, entry: GeneratorEntry) -> None:
        model = make(entry, self.spec)
        with pytest.raises(GenbenchError, match=r"step 2 of example 0 is not one of the 3 tokens, 0..2"):
            model.log_prob(Batch(torch.tensor([[0, 1, 3, 2]])))
        with pytest.raises(GenbenchError, match="step 0 of example 0 is not"):
            next(model.stream(torch.tensor([3]), stream(0, "s")))
        longer = Batch(torch.zeros(2, 9, dtype=torch.int64))
        if model.net.endless:
            assert model.log_prob(longer).shape == (2,)
        else:
            with pytest.raises(GenbenchError, match="9 steps, and this family reads 4 at once"):
                model.log_prob(longer)

    @pytest.mark.parametrize("padding", [-100, 3, 99])
    def test_what_stands_in_padding_means_nothing(self, entry: GeneratorEntry, padding: int) -> None:
        model, lengths = make(entry, self.spec), torch.tensor([2, 4])
        x = torch.tensor([[0, 1, 0, 0], [2, 1, 0, 1]])
        plain = Batch(x, lengths=lengths)
        padded = Batch(F.pad(x, (0, 5), value=padding).masked_fill(~F.pad(plain.mask, (0, 5)), padding), None, lengths)
        torch.testing.assert_close(model.log_prob(padded), model.log_prob(plain))
        assert model.step_log_prob(padded)[0].shape == (2, 9)
        assert math.isfinite(model.train_step(padded, stream(0, "t"))["loss"])

    def test_a_batch_of_padding_is_nothing_to_learn_from(self, entry: GeneratorEntry) -> None:
        empty = Batch(torch.zeros(2, 4, dtype=torch.int64), lengths=torch.zeros(2, dtype=torch.int64))
        with pytest.raises(GenbenchError, match="of length 0"):
            make(entry, self.spec).train_step(empty, stream(0, "t"))

    def test_pictures_are_refused(self, entry: GeneratorEntry) -> None:
        with pytest.raises(Unsupported, match="no sequence of steps"):
            entry.make(made_up("image").spec)


@pytest.mark.parametrize("entry", CARRYING.values(), ids=CARRYING)
def test_truncated_training_carries_the_state(entry: GeneratorEntry) -> None:
    """The losses of pieces are those of the whole, as long as no update comes between."""
    spec = DataSpec("text", (16,), "tokens", vocab=5)
    model: Any = entry.make(spec, **entry.presets["test"], truncate=5)
    model.eval()
    model.pace(1.0)
    batch = Batch(torch.randint(5, (3, 16)))
    with torch.no_grad():
        found = [
            float(model.head.loss(model(model.head.shifted(piece.data, last), state)[0], piece))
            for piece, last, state in carried(model, batch)
        ]
    whole = math.fsum(loss * steps for loss, steps in zip(found, (5, 5, 5, 1), strict=True)) / 16
    assert whole == pytest.approx(-float(model.log_prob(batch).mean()) / 16, rel=1e-4)
    assert model.train_step(batch, torch.Generator())["loss"] == pytest.approx(whole, rel=1e-4)


def carried(model: Sequence, batch: Batch) -> Any:
    last, state = None, None
    for piece in pieces(batch, model.truncate):
        yield piece, last, state
        state, last = model(model.head.shifted(piece.data, last), state)[1], piece.data[:, -1]


def test_pieces_leave_padding_out() -> None:
    batch = Batch(torch.arange(14).view(2, 7), lengths=torch.tensor([4, 2]))
    found = list(pieces(batch, 3))
    assert [piece.data.tolist() for piece in found] == [[[0, 1, 2], [7, 8, 9]], [[3], [10]]]
    assert [piece.lengths.tolist() for piece in found if piece.lengths is not None] == [[3, 2], [1, 0]]
    assert len(list(pieces(batch, 0))) == 1
