"""How models are made, trained and asked, for promises and for metrics of a model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from bench.engine.budget import Target
from bench.engine.state import State
from bench.engine.training import Progress, Schedule, advance, refit, train
from bench.errors import Omitted, Unsupported
from bench.modalities import modality_of
from bench.modalities._sequences import without_padding
from bench.parameters import resolve, schema
from bench.protocols import Batch, Dataset, DataSpec, ExampleLoss, Likelihood, Trainable
from bench.registry import GeneratorEntry
from bench.streams import seed_globals, stream, stream_seed
from bench.testing.families import TEST
from bench.testing.made_up import made_up

CPU = torch.device("cpu")
BATCH = 8
CLOSE: Mapping[str, float] = {"atol": 1e-5, "rtol": 1e-4}  # by which arithmetic may differ between batches


def make(entry: GeneratorEntry, data: Dataset, preset: str = TEST, **changed: Any) -> Any:
    """A new model for such data, the same one every time. Raises Unsupported where it makes other data."""
    params, problems = resolve(entry.make, {**entry.presets.get(preset, {}), **changed}, f"preset {preset!r}")
    assert not problems, "; ".join(problems)
    seed_globals(stream_seed(0, "init"))
    return entry.make(entry.made_of(data), **params)


def otherwise(entry: GeneratorEntry, preset: str = TEST) -> dict[str, dict[str, Any]]:
    """Of each hyperparameter that only sampling rests on, another value: the next number, or another choice."""
    fields, found = schema(entry.make).model_fields, {}
    params, _ = resolve(entry.make, entry.presets.get(preset, {}), f"preset {preset!r}")
    for name in sorted(entry.sampling):
        value, choices = params[name], get_args(fields[name].annotation)
        values = _others(value, choices)
        tried = ({name: v} for v in values)
        found[name] = next((t for t in tried if not resolve(entry.make, {**params, **t}, name)[1]), {})
        assert found[name], f"{entry.name}: sampling names {name!r}, of which no other value than {value!r} was found"
    return found


def _others(value: Any, choices: Sequence[Any]) -> list[Any]:
    """Values of the same type, one of which a hyperparameter may take in place of this one."""
    if isinstance(value, str):
        return [c for c in choices if c != value]
    return [[*value, 1]] if isinstance(value, list) else [type(value)(v) for v in (value + 1, value / 2)]


def takes(entry: GeneratorEntry, spec: DataSpec, preset: str = TEST) -> bool:
    """Whether a family makes such data."""
    try:
        make(entry, made_up(spec), preset)
    except Unsupported:
        return False
    except Exception:  # which every test of it will show
        return True
    return True


def trained(entry: GeneratorEntry, data: Dataset, preset: str = TEST) -> Any:
    """A model after two steps of training, where it trains, ready to be used."""
    model = make(entry, data, preset)
    if isinstance(model, Trainable):
        for step in range(2):
            advance(model, data.train, BATCH, step, 0, CPU)
        refit(model, data.train, 2, 0)
    return ready(model)


def ready(model: Any, *, to_train: bool = False) -> Any:
    """The model in evaluation mode, or in that of training."""
    return model.train(to_train) if isinstance(model, nn.Module) else model


def batch_of(made: Tensor | Batch) -> Batch:
    return made if isinstance(made, Batch) else Batch(made)


def rows(batch: Batch, part: slice) -> Batch:
    """These examples of a batch, as copies."""
    return Batch(*(None if x is None else x[part].clone() for x in batch))  # type: ignore[arg-type]


def sampled(model: Any, sizes: Sequence[int], seed: int = 0, labels: Tensor | None = None) -> Batch:
    """Samples drawn in batches of these sizes, from the start of a stream; padding is 0."""
    rng, asked = stream(seed, "sample"), None if labels is None else labels.split(list(sizes))
    with torch.no_grad():
        parts = [batch_of(model.sample(n, rng, asked and asked[i])) for i, n in enumerate(sizes)]
    data = torch.cat([part.data for part in parts])
    if parts[0].lengths is None:
        return Batch(data)
    lengths = torch.cat([part.lengths for part in parts if part.lengths is not None])
    return Batch(without_padding(data, lengths), lengths=lengths)


def same(a: Batch, b: Batch, **tolerance: float) -> bool:
    """Whether two sets of samples are the same, bit by bit or nearly."""
    if (a.lengths is None) != (b.lengths is None) or a.data.shape != b.data.shape:
        return False
    if a.lengths is not None and b.lengths is not None and not torch.equal(a.lengths, b.lengths):
        return False
    return close(a.data, b.data, **tolerance) if tolerance else torch.equal(a.data, b.data)


def close(a: Tensor, b: Tensor, *, atol: float = 1e-3, rtol: float = 1e-5) -> bool:
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), atol=atol, rtol=rtol)


def scored(score: Callable[..., Any], *given: Any) -> Any:
    """What a model answers, whatever the global generators are at."""
    seed_globals(sum(score.__name__.encode()))
    with torch.no_grad():
        return score(*given)


def fit(model: Any, batch: Batch) -> float | None:
    """How badly a batch fits, by what the model says of examples; None where it says nothing."""
    ready(model)
    try:
        if isinstance(model, ExampleLoss):
            return float(scored(model.example_loss, batch).double().mean())
        return float(-scored(model.log_prob, batch).double().mean()) if isinstance(model, Likelihood) else None
    except Omitted:
        return None


def ending_otherwise(data: Tensor, lengths: Tensor, spec: DataSpec, seed: int = 0) -> Tensor:
    """Examples with something else behind these lengths that data could be."""
    behind = torch.arange(spec.shape[0]) >= lengths[:, None]
    other = modality_of(spec).noise(torch.rand(data.shape, generator=stream(seed, "other")), spec).to(data)
    return torch.where(behind.view(*behind.shape, *[1] * (data.ndim - 2)), other, data)


def checkpoint(folder: Path) -> Path:
    return folder / "model.safetensors"


def run(
    model: Trainable,
    data: Dataset,
    folder: Path,
    steps: int,
    stop: Callable[[Progress], bool] = lambda progress: False,
    on_resume: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Train as a trial does, with a checkpoint at the end, which is gone on from; ``stop`` is asked after each step."""
    folder.mkdir(exist_ok=True)
    ends: list[bool] = [False]
    train(
        model,
        data.train,
        Schedule(Target("steps", steps), batch_size=BATCH, checkpoint_every=steps),
        seed=0,
        device=CPU,
        checkpoint=checkpoint(folder),
        about={},
        on_step=lambda progress, losses: ends.append(stop(progress)),
        on_resume=on_resume,
        stop=lambda: ends[-1],
    )


@contextlib.contextmanager
def standing_still() -> Iterator[None]:
    """Within, optimisers find no gradients and move nothing."""
    handle = register_optimizer_step_pre_hook(lambda optimiser, *_: optimiser.zero_grad(set_to_none=True))
    try:
        yield
    finally:
        handle.remove()


def differing(a: State, b: State) -> str:
    """Names of what two states differ in."""
    names = sorted(a.tensors.keys() | b.tensors.keys())
    found = [name for name in names if not _equal(a.tensors.get(name), b.tensors.get(name))]
    found += [part for part in ("weights", "objects") if a.about[part] != b.about[part]]
    return ", ".join(found)


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    return a is not None and b is not None and torch.equal(a, b)
