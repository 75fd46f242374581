"""A latent space: latents of mean 0 and variance 1, and a bound on images by the density of their latents."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from bench import Batch, DataSpec, GenbenchError, Omitted, Unsupported
from bench.registry import registry
from bench.streams import stream
from bench.testing import families_for, made_up
from bench.testing._models import make as build
from generators._latent import DRAWS, WithDensity
from generators._nets import ResidualMLP
from generators.edm import EDM, denoised
from generators.flow_matching import FlowMatching
from generators.glow import Glow
from generators.realnvp import RealNVP
from generators.tarflow import TarFlow
from generators.vae import own_noise

SPEC = DataSpec("image", (1, 8, 8), "continuous", classes=3)
BLACK = DataSpec("image", (1, 8, 8), "binary")
LATENT: dict[str, Any] = {"space": "latent", "latent": 4, "coder_width": 8, "width": 8}


def family_of(make: type) -> str:
    return next(name for name, entry in registry.all("generators").items() if entry.make is make)


def has_density(family: str) -> bool:
    make = registry.get("generators", family).make
    return isinstance(make, type) and issubclass(make, WithDensity)


def trained(model: Any, spec: DataSpec, steps: int = 30) -> Any:
    data = made_up(spec, n=64).train
    for step in range(steps):
        model.train().pace(step / steps)
        model.train_step(data.batch(torch.arange(32)), stream(0, "t", step))
    return model.eval()


def test_latents_have_mean_0_and_variance_1_as_the_vae_left_them() -> None:
    torch.manual_seed(0)
    model = trained(FlowMatching(SPEC, **LATENT), SPEC)
    batch = made_up(SPEC, n=64).train.batch(torch.arange(32))
    before = {name: t.clone() for name, t in model.norm.named_buffers()}
    z, label = model.train().encode(batch, stream(0, "z"))
    assert z.shape == (DRAWS * 32, 4) and label is not None and torch.equal(label, batch.condition.repeat(DRAWS))
    assert z.mean(0).abs().max() < 0.5 and (z.std(0) - 1).abs().max() < 0.5
    assert all(torch.equal(before[name], t) for name, t in model.norm.named_buffers())  # the net's part is on
    decoded = model.decode(z)
    assert decoded.shape == (DRAWS * 32, 1, 8, 8) and decoded.abs().max() <= 1


def test_first_the_vae_is_trained_and_then_the_rest() -> None:
    model: Any = FlowMatching(SPEC, **LATENT, latent_share=0.5, lr=1.0)
    batch, rates = made_up(SPEC).train.batch(torch.arange(8)), []
    for share, losses in (
        (0.0, {"loss", "vae"}),
        (0.49, {"loss", "vae"}),
        (0.5, {"loss", "net"}),
        (1.0, {"loss", "net"}),
    ):
        model.train().pace(share)
        assert model.train_step(batch, stream(0, "t")).keys() == losses
        rates.append((model.vae.optimiser.param_groups[0]["lr"], model.optimiser.param_groups[0]["lr"]))
    assert [round(rate, 6) for rate, _ in rates[:2]] == [0.003, 0.0001] and [r for _, r in rates[2:]] == [1.0, 0.0]


@torch.no_grad()
@pytest.mark.parametrize("family", sorted(n for n in families_for("image") if has_density(n)))
def test_with_n_0_i_for_a_density_it_is_the_bound_of_the_vae(family: str) -> None:
    """By the draw that the image decides, once latents are taken as they are."""
    torch.manual_seed(0)
    entry = registry.get("generators", family)
    test = {name: value for name, value in entry.presets["test"].items() if name not in ("labels", "patch")}
    model: Any = entry.make(BLACK, **test, space="latent", latent=4, **({"patch": 2} if family == "tarflow" else {}))
    assert model.bound and model.log_prob_of == "mass"
    model.norm.eps, normal = 0.0, torch.distributions.Normal(0, 1)
    model.density = lambda x, label, noise: normal.log_prob(x).sum(1)
    model.log_p, model.noise = normal.log_prob, 0.0
    batch = made_up(BLACK).train.batch(torch.arange(6))
    mu, log_var = model.vae.encode(batch)
    z = mu + (0.5 * log_var).exp() * own_noise(batch.data, 4 + model.own_draws)[:, :4]
    log_q = torch.distributions.Normal(mu, (0.5 * log_var).exp()).log_prob(z).sum(1)
    expected = model.vae.pixels.log_prob(batch.data, model.vae.decoder(z)) + normal.log_prob(z).sum(1) - log_q
    torch.testing.assert_close(model.log_prob(batch).float(), expected, atol=1e-4, rtol=1e-5)


def test_a_bound_of_grey_levels_needs_a_decoder_that_gives_them_one() -> None:
    """Who only wrote the name of a preset is told of the VAE, and which option to set; setting it is enough."""
    colours = DataSpec("image", (3, 8, 8), "continuous")
    told = 'latents of a VAE (space = "latent", which presets may set), and the decoder of that VAE is Bernoulli'
    for make in (FlowMatching, EDM, RealNVP):
        preset: dict[str, Any] = {**registry.get("generators", family_of(make)).presets["tiny"], "width": 8}
        assert preset["space"] == "latent"
        for spec in (SPEC, colours):
            batch = made_up(spec).train.batch(torch.arange(4))
            with pytest.raises(Omitted, match=f'{re.escape(told)}.*: set decoder = "logistic"$'):
                make(spec, **preset).eval().log_prob(batch)
            model = make(spec, **preset, decoder="logistic").eval()
            assert model.log_prob_of == "mass" and torch.isfinite(model.log_prob(batch)).all()


def test_the_bound_is_below_what_many_draws_give() -> None:
    """log p(x) by importance weights of a thousand draws, on binary images; the bound's mean is below."""
    torch.manual_seed(0)
    model = trained(RealNVP(BLACK, **LATENT), BLACK)
    assert model.vae is not None
    batch, weights = made_up(BLACK).train.batch(torch.arange(5)), []
    with torch.no_grad():
        mu, log_var = model.vae.encode(batch)
        mean, scale = model.moments
        for _ in range(1000):
            eps = torch.randn_like(mu)
            z = mu + (0.5 * log_var).exp() * eps
            log_p = model.log_p((z - mean) / scale) - scale.log().sum()
            log_q = (torch.distributions.Normal(0, 1).log_prob(eps) - 0.5 * log_var).sum(1)
            weights.append(model.vae.pixels.log_prob(batch.data, model.vae.decoder(z)) + log_p - log_q)
    log_w = torch.stack(weights).double()
    exact, bound = log_w.logsumexp(0) - torch.tensor(1000.0).log(), log_w.mean(0)
    assert (bound < exact + 1e-6).all()
    assert ((model.log_prob(batch) - bound).abs() < 6 * log_w.std(0) + 1e-3).all()


def test_what_has_no_effect_is_refused() -> None:
    for changes, words in (
        ({"space": "latent", "net": "dit"}, "net = dit would have no effect: pixels alone"),
        ({"space": "latent", "patch": 2}, "patch = 2 would have no effect: pixels alone"),
        ({"guidance": 2.0}, "take labels = true"),
        ({"label_dropout": 0.2}, "take labels = true"),
        ({"depth": 6}, "depth = 6 would have no effect: a U-Net has none"),
        ({"latent": 8, "decoder": "logistic"}, "^latent = 8 and decoder = logistic would have no effect: latents"),
        ({"latent_share": 0.2}, 'take space = "latent"'),
    ):
        with pytest.raises(GenbenchError, match=words):
            FlowMatching(SPEC, **changes)
    assert FlowMatching(SPEC, width=8, net="dit", depth=1, latent=16).vae is None  # 16 is as if nothing was said
    with pytest.raises(Unsupported, match='take space = "latent"'):
        FlowMatching(BLACK)


def test_what_has_no_effect_on_a_flow_is_refused() -> None:
    latent: dict[str, Any] = {"space": "latent", "width": 8}
    for family, changes, words in (
        (RealNVP, {**latent, "scales": 3}, "scales = 3 would have no effect: pixels alone"),
        (RealNVP, {"couplings": 4}, "couplings = 4 would have no effect: latents alone"),
        (Glow, {**latent, "scales": 1}, "scales = 1 would have no effect: pixels alone"),
        (TarFlow, {**latent, "logit": True}, "logit = True would have no effect: latents have none"),
    ):
        with pytest.raises(GenbenchError, match=words):
            family(SPEC, **changes)


@pytest.mark.parametrize(
    ("family", "preset", "changes"),
    [
        ("realnvp", "paper", {"space": "latent"}),
        ("glow", "paper", {"space": "latent", "depth": 1}),
        ("neural_spline_flow", "paper", {"space": "latent", "depth": 1}),
        ("maf", "paper", {"space": "latent"}),
        ("drifting", "paper", {"net": "unet"}),
        ("drifting", "paper", {"space": "latent"}),
        ("ddpm", "paper", {"space": "latent"}),
        ("edm", "paper", {"space": "latent"}),
        ("rectified_flow", "test", {"space": "latent"}),
        ("consistency", "paper", {"space": "latent"}),
        ("mean_flow", "paper", {"space": "latent"}),
        ("mel_flow", "tiny", {"space": "pixels"}),
    ],
)
def test_a_preset_may_be_taken_to_another_space(family: str, preset: str, changes: dict[str, Any]) -> None:
    """What it says of the space or net that it is for is idle then, and was not written by who takes it there."""
    entry = registry.get("generators", family)
    spec = DataSpec("audio", (4096,), "continuous", rate=8000) if family == "mel_flow" else SPEC
    build(entry, made_up(spec), preset, width=8, **changes)


def test_binary_images_are_made_of_latents() -> None:
    model = trained(FlowMatching(BLACK, **LATENT, steps=3), BLACK, steps=6)
    made = model.sample(5, stream(0, "s"))
    assert set(made.unique().tolist()) <= {0.0, 1.0}
    assert isinstance(model.log_prob(Batch(made)), torch.Tensor)


def test_a_denoiser_that_has_learned_nothing_takes_all_for_normal() -> None:
    """E[y | y + sigma n] = x / (1 + sigma^2), which preconditioning says, and the net says nothing twice."""
    model, x, sigma = EDM(SPEC, **LATENT), torch.randn(5, 4), torch.tensor([0.1, 0.5, 1.0, 5.0, 20.0])
    torch.testing.assert_close(denoised(model.net, x, sigma, None), x / (1 + sigma.square())[:, None])
    assert isinstance(model.net, ResidualMLP) and model.net.through is None
    other = FlowMatching(SPEC, **LATENT).net
    assert isinstance(other, ResidualMLP) and other.through is not None
