"""What every generator owes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from bench.engine.arithmetic import prepared
from bench.engine.checkpoint import read_checkpoint, restore
from bench.engine.state import State, capture
from bench.engine.training import advance, refit
from bench.errors import GenbenchError, Omitted, Unsupported
from bench.measure.trial import Trial
from bench.modalities import modality_of
from bench.parameters import resolve
from bench.protocols import (
    CAPABILITIES,
    Batch,
    BatchStreaming,
    Dataset,
    DataSpec,
    Evaluated,
    ExampleLoss,
    Forecaster,
    Likelihood,
    Paced,
    Reconstructor,
    Refitting,
    Sequential,
    Streaming,
    Trainable,
    capabilities,
    unmet,
)
from bench.registry import GeneratorEntry, registry
from bench.streams import seed_globals, stream
from bench.testing._base import Promises, listed
from bench.testing._models import (
    BATCH,
    CLOSE,
    CPU,
    batch_of,
    checkpoint,
    close,
    differing,
    ending_otherwise,
    fit,
    make,
    otherwise,
    ready,
    rows,
    run,
    same,
    sampled,
    scored,
    standing_still,
    takes,
    trained,
)
from bench.testing.families import TEST
from bench.testing.made_up import made_up, specs_of

FEW: Sequence[DataSpec] = (  # so few outcomes that all of them can be listed
    DataSpec("text", (4,), "tokens", vocab=3),
    DataSpec("image", (1, 2, 2), "binary"),
    DataSpec("music", (3, 2), "binary"),
)


class GeneratorPromises(Promises):
    """What a family owes, on small data and on the CPU: samples, training, checkpoints, and what else it can do.

    family: its registered name, or several.
    preset: the hyperparameters that it is tested with; the smallest that train in a second or so and keep the promises.
    specs: the data that it is asked for, by any label; left out: small made-up data of each modality that it makes,
        but for what it refuses by Unsupported.
    moves_within: steps of training by which every parameter has moved.
    """

    kind = "generators"
    family: ClassVar[str | Sequence[str]]
    preset: ClassVar[str] = TEST
    specs: ClassVar[Mapping[str, DataSpec] | None] = None
    moves_within: ClassVar[int] = 10

    @classmethod
    def cases(cls) -> Iterable[Mapping[str, str]]:
        for name in listed(cls.family):
            entry: GeneratorEntry = registry.get("generators", name)
            known = specs_of(entry.modalities) if cls.specs is None else cls.specs
            forms = [form for form, spec in known.items() if cls.specs or takes(entry, spec, cls.preset)]
            if not forms:
                raise pytest.UsageError(
                    f"{name} makes none of the made-up data that there is of {', '.join(sorted(entry.modalities))}: "
                    f"say in {cls.__name__}.specs what it makes"
                )
            yield from ({"name": name, "form": form} for form in forms)

    @pytest.fixture
    def data(self, entry: GeneratorEntry, form: str) -> Any:
        """The data that a test trains on."""
        return made_up((specs_of(entry.modalities) if self.specs is None else self.specs)[form])

    # As it is registered

    def test_presets_are_valid(self, entry: GeneratorEntry) -> None:
        """One for tests among them, of models; ``{}`` where the defaults are small enough."""
        assert entry.control or self.preset in entry.presets, (
            f"{entry.name} has no preset {self.preset!r}: register one that trains in a second or so "
            f"(presets={{{self.preset!r}: {{...}}}})"
        )
        for name, preset in entry.presets.items():
            problems = resolve(entry.make, preset, f"preset {name!r}")[1]
            assert not problems, f"{entry.name}: {'; '.join(problems)}"

    def test_a_protocol_is_kept_whole_or_not_at_all(self, entry: GeneratorEntry, data: Dataset) -> None:
        """A likelihood that does not say what it is of would be no likelihood, without a word."""
        model = make(entry, data, self.preset)
        for protocol in CAPABILITIES.values():
            lacks = "" if isinstance(model, protocol) else unmet(model, protocol)
            assert ": the model has no" not in lacks, f"{entry.name} {lacks}"
        assert isinstance(model, Trainable) or not hasattr(model, "train_step"), (
            f"{entry.name} has train_step, and no state_dict and load_state_dict to keep what it learns"
        )

    # Samples

    def test_samples_have_the_promised_form(self, entry: GeneratorEntry, data: Dataset) -> None:
        """Number, shape, type and range, of a model that has seen data."""
        model = trained(entry, data, self.preset)
        made = batch_of(model.sample(5, stream(0, "sample")))
        assert not made.data.requires_grad, f"{entry.name}: samples carry gradients: put sample under torch.no_grad()"
        trial = Trial(model, data, seed=0, n_samples=5, batch_size=3, device=CPU)
        assert len(trial.drawn) == 5  # raises TrialError for all else

    def test_a_seed_decides_the_samples(self, entry: GeneratorEntry, data: Dataset) -> None:
        """And nothing else does: no global generator, and nothing that was drawn before."""
        model, found = trained(entry, data, self.preset), []
        for place, seed in enumerate((0, 1, 0)):
            seed_globals(place)
            found.append(sampled(trained(entry, data, self.preset) if entry.control else model, [4], seed))
        first, other, again = found
        assert same(first, again), (
            f"{entry.name}: one seed gave two sets of samples: draw from rng alone, and keep nothing from draw to draw"
        )
        assert not same(first, other), f"{entry.name}: two seeds gave the same samples: draw from rng"

    def test_a_sample_does_not_depend_on_its_batch(self, entry: GeneratorEntry, data: Dataset) -> None:
        """Seven at once are the same as one, four and two."""
        whole, parts = (sampled(trained(entry, data, self.preset), sizes) for sizes in ([7], [1, 4, 2]))
        assert same(whole, parts, **CLOSE), (
            f"{entry.name}: drawn in batches of 1, 4 and 2, samples differ from those of one batch of 7: draw by "
            "bench.normal, bench.uniform or bench.Rows, and let no row see another (batch normalisation in eval mode)"
        )

    def test_labels_are_taken(self, entry: GeneratorEntry, data: Dataset) -> None:
        """By a family that says it is conditional: form and batches as without labels."""
        if not (getattr(entry.make, "conditional", False) and data.spec.classes):
            return
        labels = torch.arange(7) % data.spec.classes
        trial = Trial(trained(entry, data, self.preset), data, seed=0, n_samples=7, batch_size=7, device=CPU)
        assert len(trial.stored("conditional")) == 7  # raises TrialError
        whole, parts = (sampled(trained(entry, data, self.preset), sizes, labels=labels) for sizes in ([7], [1, 4, 2]))
        assert same(whole, parts, **CLOSE), f"{entry.name}: samples made for labels depend on their batch"

    def test_labels_that_there_are_not_are_refused(self, entry: GeneratorEntry, data: Dataset) -> None:
        """By a family that says it is conditional, with a message: not drawn all the same, and no error of torch."""
        if not (getattr(entry.make, "conditional", False) and (classes := data.spec.classes)):
            return
        model = trained(entry, data, self.preset)
        if not model.conditional:
            return
        for wrong in ([0, -1], [classes, 0], [0, 0, 0], [[0], [0]], [0.0, 1.0]):
            found = "samples"
            try:
                model.sample(2, stream(0, "sample"), torch.tensor(wrong))
            except Exception as error:  # such as an IndexError of torch
                found = "" if isinstance(error, GenbenchError) else f"{type(error).__name__}: {error}"
            assert not found, (
                f"{entry.name}: asked for 2 samples of the labels {wrong}, where labels are 0..{classes - 1}, it gave "
                f"{found}: take them from bench.Rows.labels, or check them by bench.checked_labels"
            )

    def test_bf16_makes_nearly_the_same_samples(self, entry: GeneratorEntry, data: Dataset) -> None:
        """As a suite of ``precision = "bf16"`` draws them: few values move by a tenth of the range that there is."""
        whole = sampled(trained(entry, data, self.preset), [7]).data.double()
        half = sampled(prepared(trained(entry, data, self.preset), "bf16", False, CPU), [7]).data.double()
        moved = (~((whole - half).abs() <= 0.1 * (whole.max() - whole.min()))).double().mean()  # NaN too
        assert moved < 0.1, (
            f"{entry.name}: drawn in bf16, {moved:.0%} of the values are others: compute what decides between near "
            "numbers in float32 (torch.autocast(..., enabled=False))"
        )

    def test_evaluations_are_as_many_as_it_says(self, entry: GeneratorEntry, data: Dataset) -> None:
        """Of a family that counts them: some part of it is asked so often for each sample."""
        model, asked = trained(entry, data, self.preset), Counter[nn.Module]()
        if not (isinstance(model, Evaluated) and isinstance(model, nn.Module)):
            return

        def count(module: nn.Module, given: tuple[Any, ...], _: Any) -> None:
            asked[module] += len(given[0]) if given and isinstance(given[0], Tensor) and given[0].ndim else 0

        hooks = [module.register_forward_hook(count) for module in model.modules()]
        sampled(model, [3])
        for hook in hooks:
            hook.remove()
        assert 3 * model.nfe in asked.values(), (
            f"{entry.name}: nfe is {model.nfe}, and no part of it is asked so often: for 3 samples the most is "
            f"{max(asked.values(), default=0)}"
        )

    # Training

    def test_what_is_said_of_sampling_changes_no_weight(self, entry: GeneratorEntry, data: Dataset) -> None:
        """Trials that differ in hyperparameters of ``sampling`` alone share one training."""

        def weights(**changed: Any) -> State:
            model = make(entry, data, self.preset, **changed)
            for step in range(2):
                if isinstance(model, Paced):
                    model.pace(0.3 + 0.4 * step)
                advance(model, data.train, BATCH, step, 0, CPU)
            refit(model, data.train, 2, 0)
            return capture(model).copy()

        plain = weights() if entry.sampling else None
        for name, changed in otherwise(entry, self.preset).items():
            assert plain is not None
            try:
                differ = differing(plain, weights(**changed))
            except Unsupported:  # as a limit on tokens is of piano rolls
                continue
            assert not differ, f"{entry.name}: sampling names {name}, and another value trains another model: {differ}"

    def test_a_step_reaches_every_parameter(self, entry: GeneratorEntry, data: Dataset, tmp_path: Path) -> None:
        """But those that ``idle_parameters`` names, and returns finite losses."""
        model = make(entry, data, self.preset)
        if not isinstance(model, Trainable):
            return
        parameters = dict(model.named_parameters()) if isinstance(model, nn.Module) else {}
        before, idle = {name: p.clone() for name, p in parameters.items()}, set(getattr(model, "idle_parameters", ()))

        def still() -> set[str]:
            return {name for name, p in parameters.items() if torch.equal(p, before[name])}

        run(model, data, tmp_path, self.moves_within, stop=lambda p: p.step > 1 and still() <= idle)
        assert not (left := still() - idle), (
            f"{entry.name}: {self.moves_within} steps did not move {', '.join(sorted(left))}: give it to an optimiser, "
            "or name it in idle_parameters"
        )
        assert idle == still(), f"{entry.name}: idle_parameters names {', '.join(sorted(idle - still()))}, which moved"

    def test_training_lowers_what_it_says_it_lowers(self, entry: GeneratorEntry, data: Dataset) -> None:
        """On one batch, seen again and again: the loss of each example, or what is the same, minus its likelihood."""
        model, batch = make(entry, data, self.preset), data.train.batch(torch.arange(BATCH))
        if not isinstance(model, Trainable) or (before := fit(model, batch)) is None:
            return
        for step in range(60):
            seed_globals(step)
            ready(model, to_train=True).train_step(batch, stream(0, "train", step))
        after = fit(model, batch)
        assert after is not None and after < before, (
            f"{entry.name}: 60 steps on one batch raised its loss from {before:.4g} to {after:.4g}"
        )

    def test_bf16_trains_nearly_as_well(self, entry: GeneratorEntry, data: Dataset) -> None:
        """The losses of a few steps, as a suite of ``precision = "bf16"`` takes them, are nearly those of float32.

        Of steps that go nowhere: in games of two nets a small difference grows with every one.
        """
        models = [prepared(make(entry, data, self.preset), precision, False, CPU) for precision in ("fp32", "bf16")]
        if not isinstance(models[0], Trainable):
            return
        for step in range(3):
            with standing_still():
                whole, half = (advance(model, data.train, BATCH, step, 0, CPU) for model in models)
            for name, value in whole.items():
                assert abs(half[name] - value) <= 0.1 * max(1.0, abs(value)), (
                    f"{entry.name}: in bf16 {name} of step {step} is {half[name]:.4g}, and {value:.4g} in float32: "
                    "compute what cannot be rounded in float32 (torch.autocast(..., enabled=False))"
                )

    def test_what_is_fitted_last_rests_on_weights_alone(self, entry: GeneratorEntry, data: Dataset) -> None:
        """Fitted for a look on the way, or twice, it leaves the model that one fit at the end leaves."""
        once, often = (make(entry, data, self.preset) for _ in range(2))
        if not isinstance(once, Refitting):
            return
        for step in range(2):
            for model in (once, often):
                advance(model, data.train, BATCH, step, 0, CPU)
            refit(often, data.train, step, 0)
        for model in (once, often):
            refit(model, data.train, 2, 0)
        differ = differing(capture(once), capture(often))
        assert not differ, f"{entry.name}: fitted on the way too, it ends otherwise, in {differ}: see bench.Refitting"

    def test_its_rates_fall_to_nothing(self, entry: GeneratorEntry, data: Dataset) -> None:
        """Of a family that is told how far it is: at the end no step moves a parameter any more."""
        model = make(entry, data, self.preset)
        if not (isinstance(model, Paced) and isinstance(model, nn.Module)):
            return
        model.pace(1.0)
        before = {name: p.clone() for name, p in model.named_parameters()}
        for step in range(self.moves_within):  # of nets that learn in turns, all
            advance(model, data.train, BATCH, step, 0, CPU)
        moved = [name for name, p in model.named_parameters() if not close(p, before[name], atol=1e-7, rtol=1e-6)]
        assert not moved, f"{entry.name}: told that its training is over, a step still moves {', '.join(moved)}"

    def test_an_interrupted_training_ends_in_the_same_model(
        self, entry: GeneratorEntry, data: Dataset, tmp_path: Path
    ) -> None:
        """Stopped after two steps of four, and gone on with by another process: every tensor is the same."""
        whole, first, second = (make(entry, data, self.preset) for _ in range(3))
        if not isinstance(whole, Trainable):
            return
        went_on: list[int] = []
        run(whole, data, tmp_path / "whole", 4)
        run(first, data, tmp_path / "cut", 4, stop=lambda progress: progress.step == 2)
        lost = read_checkpoint(checkpoint(tmp_path / "cut"))[0].lost
        assert not lost, (
            f"{entry.name}: checkpoints do not hold {lost}, which training changes: keep tensors in buffers, and "
            "numbers and optimisers in attributes"
        )
        run(second, data, tmp_path / "cut", 4, on_resume=lambda progress: went_on.append(progress.step))
        assert went_on == [2], f"{entry.name}: it cannot be loaded from its checkpoint, and started over (see the log)"
        differ = differing(capture(whole), capture(second))
        assert not differ, (
            f"{entry.name}: trained on from a checkpoint it differs from one that was never interrupted, in {differ}: "
            "state_dict leaves out what training changes, or load_state_dict does not take it"
        )

    def test_a_loaded_model_makes_the_same_samples(self, entry: GeneratorEntry, data: Dataset, tmp_path: Path) -> None:
        """As a suite loads it, to sample and not to train."""
        model, other = make(entry, data, self.preset), make(entry, data, self.preset)
        if not isinstance(model, Trainable):
            return
        run(model, data, tmp_path, 2)
        restore(checkpoint(tmp_path), other, training=False)
        drawn = [sampled(ready(m), [4]) for m in (model, other)]
        assert same(*drawn), f"{entry.name}: loaded from its checkpoint it makes other samples than it made before"

    # What else it can do

    def test_a_likelihood_is_of_each_example_alone(self, entry: GeneratorEntry, data: Dataset) -> None:
        """It says whether it is a bound, and of what; it can be repeated; neither neighbours nor padding change it."""
        model = trained(entry, data, self.preset)
        if not isinstance(model, Likelihood):
            return
        assert model.log_prob_of in ("mass", "density"), f"{entry.name}: log_prob_of is {model.log_prob_of!r}"
        assert isinstance(model.bound, bool), f"{entry.name}: bound is {model.bound!r}, neither True nor False"
        check_scores(f"{entry.name}.log_prob", model.log_prob, data)

    def test_probabilities_sum_to_one(self, entry: GeneratorEntry) -> None:
        """Of all outcomes that there are: a mass that is exact; a bound stays below."""
        for spec in FEW:
            if "likelihood" in capabilities(entry.make) and spec.modality in entry.modalities:
                self._sums_to_one(entry, spec)

    def _sums_to_one(self, entry: GeneratorEntry, spec: DataSpec) -> None:
        try:
            model = trained(entry, made_up(spec), self.preset)
            every = torch.tensor(list(itertools.product(range(spec.vocab or 2), repeat=math.prod(spec.shape))))
            every = every if spec.kind == "tokens" else every.float()
            total = float(model.log_prob(Batch(every.view(-1, *spec.shape))).double().exp().sum())
        except (Unsupported, Omitted):
            return
        right = total < 1 + 1e-4 if model.bound else abs(total - 1) < 1e-4
        assert model.log_prob_of == "density" or right, (
            f"{entry.name}: the probabilities of all {len(every)} outcomes of {spec.kind} {spec.shape} sum to "
            f"{total:.6g}, not {'to 1 or less' if model.bound else 'to 1'}"
        )

    def test_steps_add_up_and_do_not_see_the_future(self, entry: GeneratorEntry, data: Dataset) -> None:
        """The likelihoods of steps: one number each, their sum the sequence's, also where a state goes on."""
        model = trained(entry, data, self.preset)
        if not isinstance(model, Sequential):
            return
        batch = rows(data.train.batch(torch.arange(BATCH)), slice(None))
        steps, half = data.spec.shape[0], data.spec.shape[0] // 2
        found, _ = scored(model.step_log_prob, batch)
        assert tuple(found.shape) == (BATCH, steps), (
            f"{entry.name}: step_log_prob gave {tuple(found.shape)} for {BATCH} sequences of {steps} steps"
        )
        later = ending_otherwise(batch.data, torch.full((BATCH,), half), data.spec)
        assert close(
            scored(model.step_log_prob, batch._replace(data=later))[0][:, :half], found[:, :half], atol=1e-5
        ), f"{entry.name}: step_log_prob of a step changes with what comes after it"
        start, state = scored(model.step_log_prob, batch._replace(data=batch.data[:, :half]))
        if state is not None:
            end, _ = scored(model.step_log_prob, batch._replace(data=batch.data[:, half:]), state)
            assert close(torch.cat([start, end], 1), found), (
                f"{entry.name}: step_log_prob in two parts, handed its state, is not that of the whole"
            )
        if isinstance(model, Likelihood) and not model.bound:
            assert close(found.sum(1), scored(model.log_prob, batch)), (
                f"{entry.name}: log_prob is not the sum of step_log_prob"
            )

    def test_a_loss_is_of_each_example_alone(self, entry: GeneratorEntry, data: Dataset) -> None:
        """It can be repeated, and neither neighbours nor padding change it."""
        model = trained(entry, data, self.preset)
        if isinstance(model, ExampleLoss):
            check_scores(f"{entry.name}.example_loss", model.example_loss, data)

    def test_a_copy_has_the_form_of_its_original(self, entry: GeneratorEntry, data: Dataset) -> None:
        """Shape and range; its neighbours do not change it."""
        model, batch = trained(entry, data, self.preset), data.train.batch(torch.arange(BATCH))
        if not isinstance(model, Reconstructor):
            return
        copies = scored(model.reconstruct, batch)
        assert copies.shape == batch.data.shape, (
            f"{entry.name}: reconstruct gave {tuple(copies.shape)} for {tuple(batch.data.shape)}"
        )
        modality_of(data.spec).quantise(copies, data.spec)  # raises TrialError
        assert close(scored(model.reconstruct, rows(batch, slice(3))), copies[:3]), (
            f"{entry.name}: a copy changes with the other examples of its batch"
        )

    def test_a_forecast_is_as_long_as_asked_for(self, entry: GeneratorEntry, data: Dataset) -> None:
        """In the form and the range of the data, decided by a seed, and the same whatever else is asked for with it."""
        model, batch = trained(entry, data, self.preset), data.train.batch(torch.arange(BATCH)).data
        if not isinstance(model, Forecaster):
            return
        known = data.spec.shape[0] // 2
        for steps in (1, data.spec.shape[0] - known):
            said = [model.forecast(batch[:n, :known], steps, stream(0, "forecast")).detach() for n in (BATCH, BATCH, 3)]
            assert said[0].shape == (BATCH, steps, *data.spec.shape[1:]), (
                f"{entry.name}: forecast said {tuple(said[0].shape)} of {steps} steps after "
                f"{tuple(batch[:, :known].shape)}"
            )
            modality_of(data.spec).quantise(said[0], data.spec)  # raises TrialError
            assert torch.equal(said[0], said[1]), f"{entry.name}: one seed gave two forecasts: draw from rng alone"
            assert close(said[2], said[0][:3]), f"{entry.name}: a forecast changes with the others of its batch"

    def test_a_stream_goes_on_without_end(self, entry: GeneratorEntry, data: Dataset) -> None:
        """Piece by piece, beyond the length of an example; from nothing too; a seed decides it."""
        model, prompt = trained(entry, data, self.preset), data.train.batch(torch.arange(1)).data[0]
        if not isinstance(model, Streaming):
            return
        many, spec = 3 * data.spec.shape[0], data.spec
        for given in (prompt[:3], prompt[:0]):
            first, again = (
                torch.stack(list(itertools.islice(model.stream(given, stream(0, "s")), many))) for _ in range(2)
            )
            assert len(first) == many, f"{entry.name}: stream ended after {len(first)} pieces of {many}"
            assert first.shape[1:] == spec.shape[1:], (
                f"{entry.name}: pieces of a stream have shape {tuple(first.shape[1:])}, not {spec.shape[1:]}"
            )
            modality_of(spec).quantise(first, spec)  # raises TrialError
            assert torch.equal(first, again), f"{entry.name}: one seed gave two streams: draw from rng alone"

    def test_streams_side_by_side_are_streams(self, entry: GeneratorEntry, data: Dataset) -> None:
        """One alone is what ``stream`` gives; of three with one prompt and other random numbers not all are one."""
        model, prompt = trained(entry, data, self.preset), data.train.batch(torch.arange(1)).data[:, :3]
        if not isinstance(model, BatchStreaming):
            return
        many = data.spec.shape[0]

        def drawn(n: int) -> Tensor:
            pieces = model.stream_batch(prompt.expand(n, *prompt.shape[1:]), stream(0, "s"))
            return torch.stack(list(itertools.islice(pieces, many)), dim=1)

        alone = torch.stack(list(itertools.islice(model.stream(prompt[0], stream(0, "s")), many)))
        assert torch.equal(drawn(1)[0], alone), f"{entry.name}: stream_batch of one is not what stream gives"
        three = drawn(3)
        assert three.shape == (3, many, *data.spec.shape[1:]), (
            f"{entry.name}: {many} pieces of three streams have shape {tuple(three.shape)} side by side"
        )
        assert not (three == three[:1]).all(), f"{entry.name}: three streams are one: each needs its own draws"


def check_scores(what: str, score: Callable[[Batch], Tensor], data: Dataset) -> None:
    """One finite number an example, which can be repeated, and which neither neighbours nor padding change."""
    batch = rows(data.train.batch(torch.arange(BATCH)), slice(None))
    try:
        found = scored(score, batch)
    except Omitted:  # such data has no probability under this model
        return
    assert tuple(found.shape) == (BATCH,), f"{what} gave {tuple(found.shape)} for {BATCH} examples"
    assert torch.isfinite(found).all(), f"{what} gave NaN or infinity"
    seed_globals(99)
    with torch.no_grad():
        assert torch.equal(score(batch), found), f"{what} gave two answers: draw by seeds found from the example"
    assert close(scored(score, rows(batch, slice(3))), found[:3]), (
        f"{what}: an example's number changes with the others of its batch"
    )
    if modality_of(data.spec).ordered:
        lengths = 1 + torch.arange(BATCH) % data.spec.shape[0]
        padded = (ending_otherwise(batch.data, lengths, data.spec, seed) for seed in (1, 2))
        assert close(*(scored(score, batch._replace(data=x, lengths=lengths)) for x in padded)), (
            f"{what} changes with the padding behind an example: look at batch.mask"
        )
