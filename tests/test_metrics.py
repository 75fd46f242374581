"""Measures against closed forms, published values and independent implementations on the same input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import linalg
from torch import Tensor

from bench import DataSpec, Estimate, GenbenchError, Omitted, Trial, TrialError
from bench.datasets.digits import digits
from bench.datasets.mnist import mnist5k
from bench.datasets.text import ByteDataset
from bench.registry import registry
from bench.streams import normal
from bench.trial import Costs, quantise
from generators.controls import Noise, Real
from metrics.extractors.inception import FILE, InceptionExtractor
from metrics.extractors.lenet import SHA256, WEIGHTS, LeNetExtractor
from metrics.extractors.weights import sha256
from metrics.frechet import frechet_distance
from metrics.inception_score import inception_score
from metrics.kid import kernel_distance
from metrics.scoring import negative_log_likelihood

CPU = torch.device("cpu")
Metric = Any


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    return normal(torch.Generator().manual_seed(seed), n, d)


def compute(name: str, trial: Trial) -> Estimate:
    found: Estimate = registry.get("metrics", name).compute(trial)
    return found


def trial_of(model: Any, dataset: Any, n: int = 64, **changes: Any) -> Trial:
    return Trial(model, dataset, seed=0, n_samples=n, batch_size=32, device=CPU, **changes)


class TestFrechet:
    def test_of_a_set_with_itself_is_zero(self) -> None:
        x = rows(500, 8)
        assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)

    def test_a_shift_costs_its_square(self) -> None:
        x = rows(500, 8)
        assert frechet_distance(x, x + 3) == pytest.approx(8 * 9, rel=1e-9)

    def test_a_scale_costs_as_the_closed_form_says(self) -> None:
        """For S_2 = a^2 S_1 the trace term is (1 - a)^2 tr S_1, and the mean moves by (a - 1) mu."""
        x = rows(500, 8).double()
        mean, trace = x.mean(0), np.trace(np.cov(x.numpy(), rowvar=False))
        expected = mean.square().sum().item() + trace
        assert frechet_distance(x, 2 * x) == pytest.approx(expected, rel=1e-9)

    def test_it_is_what_scipy_says(self) -> None:
        x, y = rows(400, 6, 0).double(), rows(300, 6, 1).double() @ rows(6, 6, 2).double()
        a, b = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
        root = linalg.sqrtm(a @ b).real
        expected = (x.mean(0) - y.mean(0)).square().sum().item() + np.trace(a + b - 2 * root)
        assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)

    def test_it_is_symmetric_and_blind_to_rotation(self) -> None:
        x, y = rows(400, 6, 0), 2 * rows(300, 6, 1) + 1
        turn, _ = torch.linalg.qr(rows(6, 6, 3))
        assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)
        assert frechet_distance(x @ turn, y @ turn) == pytest.approx(frechet_distance(x, y), rel=1e-5)


class TestKID:
    def test_it_is_the_unbiased_estimator(self) -> None:
        """With one subset that holds everything, against the double sum written out."""
        x, y = rows(30, 4, 0).double(), rows(30, 4, 1).double() + 0.5
        k = lambda a, b: ((a @ b.T) / 4 + 1) ** 3  # noqa: E731
        off = ~torch.eye(30, dtype=torch.bool)
        expected = k(x, x)[off].mean() + k(y, y)[off].mean() - 2 * k(x, y).mean()
        assert kernel_distance(x, y, 30) == pytest.approx(expected.item(), rel=1e-9)

    def test_it_is_unbiased_when_both_sides_are_alike(self) -> None:
        found = [kernel_distance(rows(50, 4, 2 * s), rows(50, 4, 2 * s + 1), 50) for s in range(100)]
        assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))

    def test_too_few_is_an_error_that_names_the_number(self) -> None:
        with pytest.raises(GenbenchError, match="at least 50 are needed"):
            kernel_distance(rows(49, 4), rows(60, 4), 50)


class TestInceptionScore:
    def test_certain_and_even_is_the_number_of_classes(self) -> None:
        logits = 100 * torch.eye(10).repeat(100, 1)
        assert inception_score(logits, splits=1) == pytest.approx(10, rel=1e-9)

    def test_unsure_is_one(self) -> None:
        assert inception_score(torch.zeros(100, 10)) == pytest.approx(1)

    def test_one_class_is_one(self) -> None:
        assert inception_score(100 * torch.eye(10)[:1].repeat(100, 1)) == pytest.approx(1)


@pytest.mark.parametrize("bad", [torch.full((40, 3), torch.nan), torch.full((40, 3), torch.inf)])
def test_features_that_are_no_numbers_are_refused(bad: Tensor) -> None:
    good = rows(40, 3)
    for measure in (frechet_distance, lambda a, b: kernel_distance(a, b, 10)):
        with pytest.raises(GenbenchError, match="NaN or infinity"):
            measure(bad, good)
        with pytest.raises(GenbenchError, match="NaN or infinity"):
            measure(good, bad)
    with pytest.raises(GenbenchError, match="NaN or infinity"):
        inception_score(bad)


def test_shapes_that_are_no_features_are_refused() -> None:
    with pytest.raises(GenbenchError, match=r"must be \(n, D\)"):
        frechet_distance(torch.zeros(4), torch.zeros(4))
    with pytest.raises(GenbenchError, match="1 examples are too few"):
        frechet_distance(torch.zeros(1, 4), torch.zeros(4, 4))


class TestLeNet:
    def test_the_shipped_weights_are_the_ones_meant(self) -> None:
        assert sha256(WEIGHTS) == SHA256
        assert sum(t.numel() for t in load_file(WEIGHTS).values()) == 61_706

    def test_it_knows_digits_it_has_not_seen(self) -> None:
        dataset = mnist5k()
        split = dataset.test
        found = LeNetExtractor()(split.pixels).logits
        assert found is not None
        assert (found.argmax(1) == split.labels).float().mean() > 0.985

    def test_colour_is_refused(self) -> None:
        with pytest.raises(Omitted, match="3 channels"):
            LeNetExtractor()(torch.zeros(2, 3, 28, 28, dtype=torch.uint8))

    def test_features_do_not_depend_on_the_batch(self) -> None:
        x = mnist5k().test.pixels[:50]
        extract = LeNetExtractor()
        parts = torch.cat([extract(chunk).features for chunk in (x[:1], x[1:20], x[20:])])
        torch.testing.assert_close(extract(x).features, parts, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights of the right shapes."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Blank(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, state_dict: Any, **_: Any) -> None:
            """Keep the random weights."""

    path = tmp_path_factory.mktemp("weights") / FILE
    torch.save({}, path)
    torch.manual_seed(0)
    net = Blank("blank", ["2048"], feature_extractor_weights_path=str(path))
    torch.save(torch.nn.Module.state_dict(net), path)
    return path


class TestInception:
    def test_features_are_torch_fidelitys(self, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        monkeypatch.setattr("metrics.extractors.inception.SHA256_STARTS", sha256(weights)[:8])
        x = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        theirs = FeatureExtractorInceptionV3(
            "t", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
        )(x)
        ours = InceptionExtractor(weights)(x)
        assert torch.equal(ours.features, theirs[0])
        assert ours.logits is not None and torch.equal(ours.logits, theirs[1])
        grey = InceptionExtractor(weights)(x[:, :1])
        assert torch.equal(grey.features, InceptionExtractor(weights)(x[:, :1].repeat(1, 3, 1, 1)).features)

    def test_other_weights_may_not_call_themselves_fid(self, weights: Path) -> None:
        with pytest.raises(Omitted, match="not the weights FID is defined by"):
            InceptionExtractor(weights)

    def test_absent_weights_are_a_reason_not_a_number(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with pytest.raises(Omitted, match=f"{FILE}; download http"):
            compute("fid", trial_of(Noise(digits()), digits()))


class TestImageMetrics:
    def test_real_is_the_floor_and_noise_the_ceiling(self) -> None:
        dataset = mnist5k()
        real, noise = (trial_of(control(dataset), dataset, 500) for control in (Real, Noise))
        blurred = trial_of(_Blurred(dataset), dataset, 500)
        for name, sign in (("fd_lenet", 1), ("kid_lenet", 1), ("is_lenet", -1)):
            low, middle, high = (sign * compute(name, t).value for t in (real, blurred, noise))
            assert low < middle < high, name

    def test_the_protocol_tells_what_was_compared(self) -> None:
        dataset = mnist5k()
        protocol = compute("fd_lenet", trial_of(Noise(dataset), dataset, 100)).protocol
        assert (protocol["n_fake"], protocol["n_real"], protocol["extractor"]) == (100, 1000, "lenet")
        assert protocol["weights"] == f"sha256:{SHA256}"


class _Blurred(Real):
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.nn.functional.avg_pool2d(super().sample(n, rng), 5, 1, 2)


class TestQuantise:
    spec = DataSpec("image", (1, 1, 3), "continuous")

    def test_it_rounds_and_does_not_cut(self) -> None:
        x = (torch.tensor([0.6, 100.4, 254.6]) / 127.5 - 1).view(1, 1, 1, 3)
        assert quantise(x, self.spec).flatten().tolist() == [1, 100, 255]

    def test_every_level_comes_back(self) -> None:
        levels = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1)
        assert torch.equal(quantise(levels.float() / 127.5 - 1, self.spec), levels)

    @pytest.mark.parametrize("value", [torch.nan, torch.inf, 1.1, -3.0, 255.0])
    def test_what_is_no_pixel_is_refused(self, value: float) -> None:
        with pytest.raises(TrialError):
            quantise(torch.full((1, 1, 1, 3), value), self.spec)

    @pytest.mark.parametrize("bad", [torch.tensor([[5]]), torch.tensor([[-1]]), torch.tensor([[0.5]])])
    def test_what_is_no_token_is_refused(self, bad: Tensor) -> None:
        with pytest.raises(TrialError, match=r"tokens must be int64 in \[0, 5\)"):
            quantise(bad, DataSpec("text", (1,), "tokens", vocab=5))

    def test_a_wrong_shape_is_named(self) -> None:
        class Wrong:
            def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
                return torch.zeros(n, 3)

        with pytest.raises(TrialError, match=r"sample\(32\) has shape \(32, 3\), not \(32, 1, 8, 8\)"):
            _ = trial_of(Wrong(), digits()).samples


class Markov:
    """A first-order chain over bytes with a known entropy, as data and as its own perfect model."""

    bound = False

    def __init__(self, table: Mapping[str, Mapping[str, float]]) -> None:
        self.letters = sorted(table)
        self.p = torch.tensor([[table[a].get(b, 0.0) for b in self.letters] for a in self.letters], dtype=torch.float64)

    def text(self, n: int, seed: int) -> str:
        rng, state, drawn = np.random.default_rng(seed), 0, []
        for _ in range(n):
            state = int(rng.choice(len(self.letters), p=self.p[state].numpy()))
            drawn.append(self.letters[state])
        return "".join(drawn)

    def log_prob(self, x: Tensor) -> Tensor:
        index = torch.tensor([[self.letters.index(chr(t)) for t in row] for row in x.tolist()])
        inner = self.p[index[:, :-1], index[:, 1:]].log().sum(1)
        return inner + math.log(1 / len(self.letters))  # the first letter of a window, as if drawn evenly

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, 10, dtype=torch.int64)


CHAIN = Markov({"a": {"a": 0.9, "b": 0.1}, "b": {"a": 0.4, "b": 0.6}})


@pytest.fixture(scope="module")
def dataset() -> ByteDataset:
    texts = {"train": CHAIN.text(300, 0), "valid": CHAIN.text(300, 1), "test": CHAIN.text(20003, 2)}
    return ByteDataset("chain", texts, window=100)  # type: ignore[arg-type]


class TestText:
    def test_a_perfect_model_reaches_the_entropy(self, dataset: ByteDataset) -> None:
        """H = sum_a pi(a) H(a), pi = (0.8, 0.2); one letter in a hundred opens a window and costs one bit."""
        h = lambda p: -p * math.log2(p) - (1 - p) * math.log2(1 - p)  # noqa: E731
        entropy = 0.99 * (0.8 * h(0.9) + 0.2 * h(0.6)) + 0.01
        found = compute("bits_per_byte", trial_of(CHAIN, dataset))
        assert found.interval is not None
        assert found.interval.lo < entropy < found.interval.hi
        assert found.value == pytest.approx(entropy, rel=0.03)

    def test_perplexity_is_two_to_the_bits(self, dataset: ByteDataset) -> None:
        trial = trial_of(CHAIN, dataset)
        bits, perplexity = compute("bits_per_byte", trial), compute("perplexity", trial)
        assert perplexity.value == pytest.approx(2**bits.value, rel=1e-12)
        assert bits.interval and perplexity.interval
        assert perplexity.interval.hi == pytest.approx(2**bits.interval.hi, rel=1e-12)

    def test_every_token_is_scored_once(self, dataset: ByteDataset) -> None:
        """Also the tail that fills no window: sum over sum, not a mean of windows."""
        found = compute("bits_per_byte", trial_of(CHAIN, dataset))
        assert found.n == 20003
        windows = dataset.tokens("test").split(100)
        nats = -sum(CHAIN.log_prob(w[None]).item() for w in windows)
        assert found.value == pytest.approx(nats / math.log(2) / 20003, rel=1e-12)

    @pytest.mark.parametrize("batch_size", [1, 7, 1000])
    def test_batch_size_changes_nothing(self, dataset: ByteDataset, batch_size: int) -> None:
        windows = dataset.tokens("test")[:950].split(100)
        found = negative_log_likelihood(CHAIN, windows, batch_size, CPU)
        assert found.tolist() == pytest.approx([-CHAIN.log_prob(w[None]).item() for w in windows])

    def test_a_uniform_model_needs_eight_bits(self) -> None:
        class Uniform(Markov):
            def log_prob(self, x: Tensor) -> Tensor:
                return torch.full((len(x),), -x.shape[1] * math.log(256))

        dataset = ByteDataset("x", dict.fromkeys(("train", "valid", "test"), "añb" * 50), window=7)
        found = compute("bits_per_byte", trial_of(Uniform({"a": {}}), dataset))
        assert found.value == pytest.approx(8, rel=1e-6)
        assert found.n == 200  # bytes, not characters

    def test_a_bound_is_called_one(self, dataset: ByteDataset) -> None:
        class Bound(Markov):
            bound = True

        model = Bound({"a": {"a": 0.9, "b": 0.1}, "b": {"a": 0.4, "b": 0.6}})
        assert compute("perplexity", trial_of(model, dataset)).kind == "bound"

    def test_nan_is_refused(self, dataset: ByteDataset) -> None:
        class Broken(Markov):
            def log_prob(self, x: Tensor) -> Tensor:
                return torch.full((len(x),), torch.nan)

        with pytest.raises(GenbenchError, match="log_prob returned NaN"):
            compute("perplexity", trial_of(Broken({"a": {}}), dataset))


class TestCost:
    costs = Costs(2.0, 640, 123, None, "no GPU was used")

    def test_throughput_is_work_over_time(self) -> None:
        trial = trial_of(Noise(digits()), digits(), costs=self.costs)
        assert compute("train_throughput", trial).value == 320

    def test_memory_without_a_gpu_is_a_reason(self) -> None:
        trial = trial_of(Noise(digits()), digits(), costs=self.costs)
        assert compute("peak_rss_bytes", trial).value == 123
        with pytest.raises(Omitted, match="no GPU was used"):
            compute("peak_gpu_bytes", trial)

    def test_sampling_is_timed_by_the_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A clock that moves by a second a look makes every call last one."""
        clock = iter(range(10**6))
        monkeypatch.setattr("time.perf_counter", lambda: next(clock))
        trial = trial_of(Noise(digits()), digits(), costs=self.costs)
        assert compute("latency_p50", trial).value == 1
        found = compute("sample_throughput", trial)
        assert (found.value, found.n, found.protocol["batch_size"]) == (32, 9, 32)

    def test_timing_does_not_move_the_samples(self) -> None:
        plain, timed = (trial_of(Noise(digits()), digits(), 8, costs=self.costs) for _ in range(2))
        compute("latency_p50", timed)
        assert torch.equal(plain.samples, timed.samples)

    def test_shared_parameters_count_once(self) -> None:
        net = torch.nn.Module()
        net.a, net.b = torch.nn.Linear(3, 4), torch.nn.Linear(3, 4)
        net.b.weight = net.a.weight
        assert compute("parameters", trial_of(net, digits())).value == 12 + 4 + 4


def test_samples_are_the_same_at_any_batch_size() -> None:
    dataset = digits()
    small, large = (Trial(Noise(dataset), dataset, seed=0, n_samples=50, batch_size=b, device=CPU) for b in (7, 50))
    assert torch.equal(small.samples, large.samples)


def test_a_new_stream_moves_no_other() -> None:
    one, two = (trial_of(Noise(digits()), digits()) for _ in range(2))
    torch.rand(100, generator=two.rng("something new"))
    assert torch.equal(one.samples, two.samples)
