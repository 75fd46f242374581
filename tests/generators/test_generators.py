"""What every generator owes, swept over the registry, and what theory says of each family."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import (
    Batch,
    DataSpec,
    ExampleLoss,
    GenbenchError,
    Likelihood,
    Omitted,
    Reconstructor,
    Streaming,
    Trainable,
    Unsupported,
)
from bench.engine.checkpoint import restore, save_checkpoint
from bench.engine.state import capture
from bench.modalities import quantise
from bench.parameters import resolve
from bench.protocols import capabilities
from bench.registry import GeneratorEntry, registry
from bench.streams import stream
from generators.dcgan import DCGAN, make_discriminator, make_generator
from generators.gpt import GPT
from generators.lstm import LSTM
from generators.vae import VAE, gaussian_kl

SPECS = {
    "image": DataSpec("image", (1, 8, 8), "continuous", classes=10),
    "rgb": DataSpec("image", (3, 32, 32), "continuous", classes=10),
    "text": DataSpec("text", (12,), "tokens", vocab=11),
}
# Sizes at which any family is fast; a family takes those of these it has.
SMALL = {"width": 16, "latent": 3, "layers": 2, "heads": 2, "embedding": 8, "noise": 5, "warmup": 2, "lr": 5e-3}


def families() -> list[Any]:
    """Every trainable family with every spec of its modalities."""
    return [
        pytest.param(entry, spec, id=f"{name}-{label}")
        for name, entry in registry.all("generators").items()
        for label, spec in SPECS.items()
        if not entry.control and spec.modality in entry.modalities
    ]


def make(entry: GeneratorEntry, spec: DataSpec) -> Any:
    has, _ = resolve(entry.make, {}, "")
    torch.manual_seed(0)
    return entry.make(spec, **{k: v for k, v in SMALL.items() if k in has})


def data(spec: DataSpec, n: int = 8) -> Tensor:
    rng = torch.Generator().manual_seed(7)
    if spec.kind == "tokens":
        return torch.randint(spec.vocab or 0, (n, *spec.shape), generator=rng)
    return torch.rand(n, *spec.shape, generator=rng) * 2 - 1


@pytest.mark.parametrize(("entry", "spec"), families())
class TestEveryFamily:
    def test_samples_have_the_promised_form(self, entry: GeneratorEntry, spec: DataSpec) -> None:
        model = make(entry, spec).eval()
        drawn = model.sample(5, stream(0, "sample"))
        assert drawn.shape == (5, *spec.shape) and not drawn.requires_grad
        quantise(drawn, spec)  # raises for values out of range

    def test_a_seed_decides_the_samples(self, entry: GeneratorEntry, spec: DataSpec) -> None:
        model = make(entry, spec).eval()
        first, again, other = (model.sample(4, stream(seed, "sample")) for seed in (0, 0, 1))
        assert torch.equal(first, again) and not torch.equal(first, other)

    def test_a_sample_does_not_depend_on_the_batch_size(self, entry: GeneratorEntry, spec: DataSpec) -> None:
        model = make(entry, spec).eval()
        whole, rng = model.sample(7, stream(0, "sample")), stream(0, "sample")
        parts = torch.cat([model.sample(n, rng) for n in (1, 4, 2)])
        torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-4)

    def test_a_step_reaches_every_parameter(self, entry: GeneratorEntry, spec: DataSpec) -> None:
        model = make(entry, spec)
        before = {name: p.clone() for name, p in model.named_parameters()}
        for step in range(2):
            losses = model.train_step(Batch(data(spec)), stream(0, "train", step))
            assert all(isinstance(v, float) and math.isfinite(v) for v in losses.values())
        still = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
        assert still == set(getattr(model, "idle_parameters", ()))

    def test_state_goes_through_a_file(self, entry: GeneratorEntry, spec: DataSpec, tmp_path: Path) -> None:
        model = make(entry, spec)
        model.train_step(Batch(data(spec)), stream(0, "train"))
        save_checkpoint(tmp_path / "x.safetensors", capture(model), {})
        torch.manual_seed(1)
        other = make(entry, spec)
        restore(tmp_path / "x.safetensors", other)
        for either in (model, other):
            torch.manual_seed(2)  # dropout draws from torch's own generator
            either.train_step(Batch(data(spec)), stream(0, "train", 1))
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))

    def test_presets_are_valid_and_complete(self, entry: GeneratorEntry, spec: DataSpec) -> None:
        assert {"tiny", "paper"} <= set(entry.presets)
        for name, preset in entry.presets.items():
            assert resolve(entry.make, preset, name)[1] == []

    def test_learning_lowers_the_loss(self, entry: GeneratorEntry, spec: DataSpec) -> None:
        """Of one repeated batch of black and white, where the loss is a likelihood: no other must fall."""
        if "likelihood" not in capabilities(entry.make):  # type: ignore[arg-type]
            return
        model = make(entry, spec)
        x = data(spec)
        batch = Batch(x if spec.kind == "tokens" else x.sign())
        losses = [model.train_step(batch, stream(0, "train", i))["loss"] for i in range(60)]
        assert sum(losses[-5:]) < 0.9 * sum(losses[:5])

    def test_capabilities_keep_their_promises(self, entry: GeneratorEntry, spec: DataSpec) -> None:
        model, x = make(entry, spec).eval(), data(spec)
        batch = Batch(x, torch.arange(len(x)) % spec.classes if spec.classes else None)
        assert isinstance(model, Trainable)
        if isinstance(model, Likelihood):
            assert model.log_prob_of in ("mass", "density") and isinstance(model.bound, bool)
            with contextlib.suppress(Omitted):
                check_scores(model.log_prob, batch)
        if isinstance(model, ExampleLoss):
            check_scores(model.example_loss, batch)
        if isinstance(model, Reconstructor):
            assert model.reconstruct(batch).shape == x.shape
        if isinstance(model, Streaming):
            made = list(itertools.islice(model.stream(x[0][:3], stream(0, "s")), 3 * spec.shape[0]))
            assert all(token.shape == () and 0 <= token < (spec.vocab or 0) for token in made)


def check_scores(score: Callable[[Batch], Tensor], batch: Batch) -> None:
    """One number an example, which its neighbours do not change."""
    found = score(batch)
    assert found.shape == (len(batch.data),) and torch.isfinite(found).all()
    first = Batch(batch.data[:3], None if batch.condition is None else batch.condition[:3])
    torch.testing.assert_close(found[:3], score(first), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("family", [LSTM, GPT])
class TestAutoregressive:
    """Exact likelihood has consequences that can be counted."""

    spec = DataSpec("text", (4,), "tokens", vocab=3)

    def make(self, family: type, spec: DataSpec | None = None) -> Any:
        torch.manual_seed(3)
        model = family(spec or self.spec, width=8, layers=2)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        return model.eval()

    def test_probabilities_of_all_sequences_sum_to_one(self, family: type) -> None:
        everything = torch.tensor(list(itertools.product(range(3), repeat=4)))
        assert self.make(family).log_prob(Batch(everything)).exp().sum().item() == pytest.approx(1, abs=1e-5)

    def test_the_future_is_not_seen(self, family: type) -> None:
        model = self.make(family)
        x = torch.tensor([[0, 1, 2, 0], [0, 1, 0, 2]])
        logits, _ = model(model.tokens.shifted(x))
        torch.testing.assert_close(logits[0, :3], logits[1, :3])
        assert not torch.allclose(logits[0, 3], logits[1, 3])

    def test_samples_follow_the_likelihood(self, family: type) -> None:
        model = self.make(family)
        drawn = model.sample(20000, stream(0, "sample"))
        codes = (drawn * torch.tensor([27, 9, 3, 1])).sum(1)
        seen = torch.bincount(codes, minlength=81) / len(drawn)
        everything = torch.tensor(list(itertools.product(range(3), repeat=4)))
        expected = model.log_prob(Batch(everything)).exp()
        # Total variation of 20,000 draws over 81 outcomes stays below 0.05 by a wide margin.
        assert 0.5 * (seen - expected).abs().sum() < 0.05

    def test_the_cache_changes_nothing(self, family: type) -> None:
        spec = DataSpec("text", (16,), "tokens", vocab=5)
        model = self.make(family, spec)
        x = model.tokens.shifted(torch.randint(5, (3, 16)))
        whole, _ = model(x)
        state, steps = None, []
        for t in range(16):
            logits, state = model(x[:, t : t + 1], state)
            steps.append(logits)
        torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-5, rtol=1e-4)

    def test_streaming_is_sampling_from_the_same_model(self, family: type) -> None:
        """At a temperature near 0 both follow the most likely path."""
        model = self.make(family, DataSpec("text", (10,), "tokens", vocab=7))
        model.temperature = 1e-4
        whole = model.sample(1, stream(0, "sample"))[0]
        stream_of = model.stream(torch.empty(0, dtype=torch.int64), stream(0, "s"))
        assert torch.stack(list(itertools.islice(stream_of, 10))).tolist() == whole.tolist()

    def test_pictures_are_refused(self, family: type) -> None:
        with pytest.raises(Unsupported, match="makes tokens"):
            family(SPECS["image"])


def test_gpt_width_must_be_a_multiple_of_heads() -> None:
    with pytest.raises(GenbenchError, match=r"width = 10 must be a multiple of heads = 4"):
        GPT(SPECS["text"], width=10, heads=4)


def test_gpt_small_has_the_published_size() -> None:
    """GPT-2 small: 124,439,808 parameters with 50,257 tokens and 1,024 positions; ours has one start token more."""
    with torch.device("meta"):
        spec = DataSpec("text", (1024,), "tokens", vocab=50257)
        model = GPT(spec, **registry.get("generators", "gpt").presets["paper"])
    assert sum(p.numel() for p in model.parameters()) == 124_439_808 + 768


class TestDCGAN:
    def test_maps_have_the_documented_sizes(self) -> None:
        shapes: list[tuple[int, ...]] = []
        net = make_generator(100, 256, 1, (7, 7))
        for layer in net:
            if isinstance(layer, nn.Unflatten | nn.ConvTranspose2d):
                layer.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
        net(torch.randn(2, 100))
        assert shapes == [(256, 7, 7), (128, 7, 7), (64, 14, 14), (1, 28, 28)]
        net = make_discriminator(64, 1, (7, 7), 0.3)
        shapes.clear()
        for layer in net:
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
        assert net(torch.randn(2, 1, 28, 28)).shape == (2, 1)
        assert shapes == [(64, 14, 14), (128, 7, 7)]

    def test_it_has_the_parameters_of_the_reference(self) -> None:
        """102*12544 + 256*128*25 + 2*128 + 128*64*25 + 2*64 + 64*25 + 1, and 64*26 + 128*64*25 + 128 + 6273."""
        model = DCGAN(DataSpec("image", (1, 28, 28), "continuous"))
        counts = [sum(p.numel() for p in m.parameters()) for m in (model.generator, model.discriminator)]
        assert counts == [2_305_473, 212_865]

    def test_the_generator_learns_through_the_discriminator_alone(self) -> None:
        """The generator's step leaves the discriminator's weights where its own step put them."""
        model = DCGAN(SPECS["image"], width=8, noise=4)
        stepped: list[list[Tensor]] = []
        model.opt_d.register_step_post_hook(
            lambda *_: stepped.append([p.clone() for p in model.discriminator.parameters()])
        )
        model.train_step(Batch(data(SPECS["image"])), stream(0, "train"))
        assert all(torch.equal(a, b) for a, b in zip(stepped[0], model.discriminator.parameters(), strict=True))

    def test_sides_that_are_no_multiple_of_four_are_refused(self) -> None:
        with pytest.raises(Unsupported, match="not 9x8"):
            DCGAN(DataSpec("image", (1, 9, 8), "continuous"))


class TestVAE:
    def test_kl_is_torchs(self) -> None:
        mu, log_var = torch.randn(6, 4), torch.randn(6, 4)
        normal = torch.distributions.Normal
        expected = torch.distributions.kl_divergence(normal(mu, (0.5 * log_var).exp()), normal(0.0, 1.0)).sum(1)
        torch.testing.assert_close(gaussian_kl(mu, log_var), expected)

    @pytest.mark.parametrize("decoder", ["bernoulli", "gaussian"])
    def test_likelihood_is_torchs(self, decoder: Any) -> None:
        model, x, out = VAE(SPECS["image"], decoder=decoder), torch.rand(5, 64) * 2 - 1, torch.randn(5, 64)
        model.log_sigma.data.fill_(-0.3)
        if decoder == "gaussian":
            expected = torch.distributions.Normal(out.tanh(), math.exp(-0.3)).log_prob(x).sum(1)
        else:
            levels = torch.distributions.Bernoulli(logits=out, validate_args=False)
            expected = levels.log_prob((x + 1) / 2).sum(1)
        torch.testing.assert_close(model.log_likelihood(x, out), expected)

    @pytest.mark.parametrize("decoder", ["bernoulli", "gaussian"])
    def test_the_bound_is_one(self, decoder: Any) -> None:
        """E over eps of the bound stays below log p(x) by importance sampling (Burda et al. 2016, Eq. 8)."""
        spec = DataSpec("image", (1, 2, 2), "continuous")
        torch.manual_seed(0)
        model, x = VAE(spec, latent=2, width=8, decoder=decoder).eval(), data(spec, 4)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
        with torch.no_grad():
            eps = torch.randn(4000, 2)
            mu, log_var = (t.expand(4000, 4, 2) for t in model.encoder(x).chunk(2, dim=1))
            z = mu + (0.5 * log_var).exp() * eps[:, None]
            log_p = model.log_likelihood(x.flatten(1).repeat(4000, 1), model.decoder(z.flatten(0, 1))).view(4000, 4)
            prior = -0.5 * z.square().sum(2)
            posterior = -0.5 * eps[:, None].square().sum(2) - 0.5 * log_var.sum(2)
            evidence = (log_p + prior - posterior).logsumexp(0) - math.log(4000)
            bound = torch.stack([torch.sub(*model.terms(x, e.expand(4, 2))) for e in eps]).mean(0)
        assert VAE.bound and (bound < evidence).all()

    def test_log_prob_can_be_repeated(self) -> None:
        model = VAE(SPECS["image"], latent=3, width=8)
        x = data(SPECS["image"])
        assert torch.equal(model.example_loss(Batch(x)), model.example_loss(Batch(x)))

    def test_grey_levels_have_no_probability_under_a_bernoulli_decoder(self) -> None:
        """Black and white have, and grey levels have a density under a Gaussian one; the loss is minus that bound."""
        black = DataSpec("image", (1, 8, 8), "binary")
        x = Batch((data(black) > 0).float())
        with pytest.raises(Omitted, match="gives grey levels no probability"):
            VAE(SPECS["image"], latent=3, width=8).log_prob(x)
        for spec, decoder in ((black, "bernoulli"), (SPECS["image"], "gaussian")):
            model = VAE(spec, latent=3, width=8, decoder=decoder)  # type: ignore[arg-type]
            assert torch.equal(model.log_prob(x), -model.example_loss(x))
            assert (model.sample(3, stream(0, "s")) % 1 == 0).all() == (spec is black)

    def test_all_binary_images_have_a_probability_of_one_together(self) -> None:
        """Of four pixels, by importance sampling over z: the Bernoulli decoder's mass sums to 1 at every z."""
        black = DataSpec("image", (1, 2, 2), "binary")
        model, every = VAE(black, latent=2, width=8), torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))
        out = model.decoder(torch.randn(2)).expand(16, 4)
        assert model.log_likelihood(every, out).exp().sum().item() == pytest.approx(1, rel=1e-5)


class TestControls:
    def test_real_is_held_out_and_each_once(self) -> None:
        from bench.datasets.digits import digits

        dataset = digits()
        control = registry.get("generators", "real").make(dataset)
        rng = stream(0, "sample")
        drawn = torch.cat([control.sample(100, rng).data for _ in range(3)])
        held_out = dataset.valid.batch(torch.arange(300)).data
        assert sorted(map(bytes, quantise(drawn, dataset.spec).numpy())) == sorted(
            map(bytes, quantise(held_out, dataset.spec).numpy())
        )
        with pytest.raises(GenbenchError, match="only 300 held-out"):
            control.sample(1, rng)

    def test_copycat_is_training_data_and_each_once(self) -> None:
        from bench.datasets.digits import digits

        dataset = digits()
        control = registry.get("generators", "copycat").make(dataset)
        drawn = set(map(bytes, quantise(control.sample(400, stream(0, "sample")).data, dataset.spec).numpy()))
        everything = dataset.train.batch(torch.arange(len(dataset.train))).data
        assert len(drawn) > 390 and drawn <= set(map(bytes, quantise(everything, dataset.spec).numpy()))

    def test_noise_is_uniform(self) -> None:
        from bench.datasets.digits import digits

        drawn = registry.get("generators", "noise").make(digits()).sample(500, stream(0, "sample"))
        assert abs(drawn.mean()) < 0.02 and abs(drawn.std() - 1 / math.sqrt(3)) < 0.01
