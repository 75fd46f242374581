"""What is known of the families of video."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, GenbenchError, Unsupported
from bench.datasets.moving_mnist import moving_mnist
from bench.registry import registry
from bench.streams import stream
from generators._clips import filled
from generators._video_nets import VideoUNet
from generators.controls import Frozen
from generators.convlstm import ConvLSTM, Layer
from generators.latent_rnn import LatentRNN
from generators.video_flow import VideoFlow

SPEC = DataSpec("video", (6, 1, 8, 8), "continuous")


def of(family: Any, **changed: Any) -> Any:
    torch.manual_seed(0)
    entry = next(e for e in registry.all("generators").values() if e.make is family)
    return family(SPEC, **{**entry.presets["test"], **changed}).eval()


def blocks(n: int, spec: DataSpec = SPEC) -> Tensor:
    """A bright column that moves to the right by a pixel a frame, and comes in again at the left."""
    frames, _, height, breadth = spec.shape
    places = (torch.arange(n)[:, None] + torch.arange(frames)) % breadth
    x = torch.full((n, *spec.shape), -1.0)
    x.scatter_(4, places.view(n, frames, 1, 1, 1).expand(-1, -1, 1, height, 1), 1.0)
    return x


# Convolutional LSTM


def test_a_layer_is_the_equations_of_the_paper() -> None:
    """Written out place by place, with a kernel of one pixel."""
    torch.manual_seed(0)
    layer, x, h, c = (
        Layer(2, 3, 1, [4, 5]),
        torch.randn(2, 1, 2, 4, 5),
        torch.randn(2, 3, 4, 5),
        torch.randn(2, 3, 4, 5),
    )
    torch.nn.init.normal_(layer.peepholes)
    found, (h_t, c_t) = layer(x, (h, c), 1)
    assert layer.of_x is not None and layer.of_h.bias is not None
    by_x, by_h = layer.of_x.weight[:, :, 0, 0], layer.of_h.weight[:, :, 0, 0]
    sums = torch.einsum("oi,nihw->nohw", by_x, x[:, 0]) + torch.einsum("oi,nihw->nohw", by_h, h)
    i, f, g, o = (sums + layer.of_h.bias[:, None, None]).chunk(4, 1)
    w_ci, w_cf, w_co = layer.peepholes
    i, f = torch.sigmoid(i + w_ci * c), torch.sigmoid(f + w_cf * c)
    cell = f * c + i * torch.tanh(g)
    out = torch.sigmoid(o + w_co * cell) * torch.tanh(cell)
    assert torch.allclose(c_t, cell, atol=1e-6) and torch.allclose(h_t, out, atol=1e-6)
    assert torch.equal(found[:, 0], h_t)


def test_a_layer_goes_on_from_its_state() -> None:
    torch.manual_seed(0)
    layer, x = Layer(2, 3, 3, [4, 5]), torch.randn(2, 6, 2, 4, 5)
    whole, _ = layer(x, None, 6)
    first, state = layer(x[:, :4], None, 4)
    second, _ = layer(x[:, 4:], state, 2)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-6)


def test_a_forecast_does_not_look_at_what_it_forecasts_and_rests_on_every_frame_before() -> None:
    model, x = of(ConvLSTM), blocks(2)
    said = model.forecast(x[:, :3], 3, stream(0, "f"))
    assert torch.equal(model.forecast(x[:, :3], 2, stream(1, "f")), said[:, :2])  # one step after the other
    for frame in range(3):
        other = x[:, :3].clone()
        other[:, frame] = -1
        assert not torch.allclose(model.forecast(other, 3, stream(0, "f")), said)


def test_a_predictor_learns_where_a_column_moves() -> None:
    """Better than standing still, and than the mean of all clips."""
    model, x = of(ConvLSTM, width=12, lr=2e-2), blocks(8)
    model.train()
    for step in range(120):
        model.pace(step / 120)
        model.train_step(Batch(x), stream(0, "train", step))
    start, rest = x[:, :3], x[:, 3:]
    error = (model.eval().forecast(start, 3, stream(0, "f")) - rest).square().mean()
    still = (Frozen.forecast(of(ConvLSTM), start, 3, stream(0, "f")) - rest).square().mean()
    assert error < 0.3 * min(still, (rest.mean((0, 1)) - rest).square().mean())


@pytest.mark.parametrize(
    ("changed", "error", "why"),
    [({"patch": 3}, Unsupported, "multiples"), ({"context": 6}, GenbenchError, "at least one")],
)
def test_what_a_predictor_cannot_read_is_refused(changed: dict[str, int], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        of(ConvLSTM, **changed)


# Latent recurrent


def test_latents_of_a_clip_stay_in_their_clip_and_order() -> None:
    """What the GRU learns from are the draws of each clip's frames, one behind the other."""
    model, seen = of(LatentRNN), list[Tensor]()

    def learn(batch: Batch, rng: torch.Generator) -> dict[str, float]:
        seen.append(batch.data)
        return {"loss": 0.0}

    model.rnn.train_step = learn
    x = blocks(3)
    model.parts = ["net"]
    model.train_step(Batch(x), stream(0, "train"))
    with torch.no_grad():
        mu, log_var = model.coder.encode(Batch(x.flatten(0, 1)))
    mean, scale = model.moments
    z = ((mu - mean) / scale).view(3, 6, -1)
    draws = seen[0].view(-1, 3, 6, z.shape[2])
    assert ((draws - z).abs() < 6 * ((0.5 * log_var).exp() / scale).view(3, 6, -1)).all()


def test_a_path_that_begins_somewhere_goes_on_in_the_same_distribution() -> None:
    """A sample of n steps, and what follows its first steps drawn with the same numbers, are one path."""
    model = of(LatentRNN)
    empty = torch.empty(4, 0, 3)

    class Numbers:
        """The same numbers, from a step on."""

        def __init__(self, first: int) -> None:
            self.first = first

        def uniform(self, steps: int, *draws: int) -> Tensor:
            return torch.rand(4, 6, *draws, generator=stream(0, "u"))[:, self.first : self.first + steps]

    with torch.no_grad():
        whole = model.go_on(Numbers(0), empty, 6)
        rest = model.go_on(Numbers(2), whole[:, :2], 4)
    assert torch.allclose(rest, whole[:, 2:], atol=1e-5)


def test_the_bound_is_that_of_each_part() -> None:
    """Of a decoder that is a density, it can be taken; of grey levels as probabilities it is a loss."""
    x = Batch(blocks(3))
    model = of(LatentRNN, decoder="gaussian")
    assert torch.isfinite(model.log_prob(x)).all() and model.bound
    with pytest.raises(GenbenchError, match="probab"):
        of(LatentRNN).log_prob(x)


# Flow


def test_a_net_of_clips_begins_as_a_net_of_frames_and_then_mixes_them() -> None:
    torch.manual_seed(0)
    net = VideoUNet(6, 1, width=8, patch=2).eval()
    last: Any = net.net.outward[-1]
    torch.nn.init.normal_(last.weight)
    x, t = blocks(2), torch.tensor([0.2, 0.7])
    with torch.no_grad():
        before = net(x, t)
        order = torch.tensor([3, 1, 5, 0, 2, 4])
        assert torch.allclose(net(x[:, order], t), before[:, order], atol=1e-4)
        parts: list[Any] = [*net.net.down, *net.net.up]
        for part in parts:
            torch.nn.init.normal_(part.over_time.weight, std=0.3)
        assert not torch.allclose(net(x[:, order], t), net(x, t)[:, order], atol=1e-2)


@pytest.mark.parametrize("changed", [{"space": "latent"}, {"net": "dit"}])
def test_a_flow_of_clips_is_at_the_pixels_with_a_unet(changed: dict[str, str]) -> None:
    with pytest.raises(GenbenchError, match="leave out space and net"):
        of(VideoFlow, **changed)


# All


def test_a_clip_that_is_shorter_stands_still_at_its_end() -> None:
    x = torch.arange(12.0).view(2, 3, 2)
    found = filled(Batch(x, lengths=torch.tensor([1, 3])))
    assert found.data.tolist() == [[[0, 1]] * 3, [[6, 7], [8, 9], [10, 11]]]


def test_frozen_clips_stand_still_at_a_real_frame() -> None:
    data = moving_mnist(size=32, frames=4, clips=10, held_out=10)
    made = Frozen(data).sample(5, stream(0, "s")).data
    real = data.valid.batch(torch.arange(10)).data
    assert (made == made[:, :1]).all()
    assert all(any(torch.equal(one[0], clip[0]) for clip in real) for one in made)
