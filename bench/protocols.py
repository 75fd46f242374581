"""What a generator, a dataset and a feature extractor are. Nothing here imports torch at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.modalities._sequences import Sequences

Modality = str  # the name of one that is registered
Aspect = Literal[
    "realism", "likelihood", "diversity", "relevance", "novelty", "reconstruction", "prediction", "efficiency"
]
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)
ORDERING: tuple[Aspect, ...] = ("realism", "likelihood")  # a metric of one of these orders a board
# Of a yardstick: held-out data, which no generator need beat; what each should beat; training data.
Role = Literal["ceiling", "floor", "plagiarist"]
SplitName = Literal["train", "valid", "test"]
# Those that come with genbench, by their files, so that their names are known before anything is imported.
MODALITIES = tuple(sorted(file.stem for file in Path(__file__).with_name("modalities").glob("[!_]*.py")))


@dataclass(frozen=True)
class DataSpec:
    """All a model may know before it sees data.

    modality: the name of a registered one.
    shape: one example: ``(3, 32, 32)`` pixels, ``(256,)`` tokens, ``(T, 88)`` piano roll, ``(16000,)`` samples,
        ``(T, C, H, W)`` frames; of sequences of unequal length the longest.
    kind: chooses the output head of a sequence model; binary data is 0 or 1.
    vocab: number of distinct tokens; tokens only.
    classes: number of condition labels; None = unconditional.
    rate: entries of the first axis a second (16000 samples, 25 frames); None where it does not run in time.
    captions: the condition labels in words, one each, for models that read them; None where nobody named them.
    """

    modality: Modality
    shape: tuple[int, ...]
    kind: Literal["continuous", "binary", "tokens"]
    vocab: int | None = None
    classes: int | None = None
    rate: float | None = None
    captions: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Batch(NamedTuple):
    """Examples at a time, as models see them.

    data: ``(batch, *shape)``: float32 in [-1, 1], vectors any float32; tokens int64; binary data float32, 0 or 1.
    condition: ``(batch,)`` int64, or None.
    lengths: of sequences of unequal length, how many entries of the first axis each has, ``(batch,)`` int64 in
        0..shape[0]; what stands in ``data`` behind them is padding, and means nothing. None: all are full.
    """

    data: Tensor
    condition: Tensor | None = None
    lengths: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """``(batch, shape[0])`` bool: where there is data, and no padding. For sequences."""
        places = self.data.new_ones(self.data.shape[1]).cumsum(0)
        full = places.new_full((len(self.data), 1), self.data.shape[1])
        return places <= (full if self.lengths is None else self.lengths[:, None])

    def to(self, device: torch.device) -> Batch:
        return Batch(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


@runtime_checkable
class Split(Protocol):
    """One part of a dataset, addressed by example number."""

    def __len__(self) -> int: ...

    def batch(self, index: Tensor) -> Batch:
        """The examples with these numbers, ``(batch,)`` int64, in this order."""
        ...


@runtime_checkable
class Kept(Split, Protocol):
    """A split whose examples lie in stored form already, as in a file that is mapped: nobody need hold them anew."""

    @property
    def stored(self) -> Tensor:
        """All of them, ``(n, *shape)``; not to be written to."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Three disjoint splits, the same for every reader. ``fingerprint`` is the SHA-256 of content and preprocessing."""

    @property
    def spec(self) -> DataSpec: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def train(self) -> Split: ...
    @property
    def valid(self) -> Split: ...
    @property
    def test(self) -> Split: ...


@runtime_checkable
class Textual(Protocol):
    """A dataset of tokens that can be written out again.

    An attribute ``tokeniser`` says in a word what the tokens are, "bytes" say: perplexity per token is compared only
    under one. Without it that is the dataset's class.
    """

    def decode(self, tokens: Tensor) -> list[str]:
        """``(n, tokens)`` int64 to n strings."""
        ...

    def tokens(self, split: SplitName) -> Tensor:
        """The whole split as one stream, ``(tokens,)`` int64."""
        ...

    def count_bytes(self, tokens: Tensor) -> int:
        """UTF-8 bytes of the exact string these tokens spell."""
        ...


@runtime_checkable
class Verbatim(Textual, Protocol):
    """A dataset of tokens that keeps the string they came from, so that bytes, characters and words can be counted."""

    def text(self, split: SplitName) -> str:
        """The exact string of a split, as it was before it became tokens."""
        ...


@runtime_checkable
class Scored(Protocol):
    """A dataset of music in tokens that can be written out as piano rolls, which are what is measured, kept and heard.

    frame_rate: frames of a roll a second; None where they do not run in time.
    """

    frame_rate: float | None

    def rolls(self, stored: Tensor | Sequences) -> Sequences:
        """Each row of tokens, whatever a model made, as a roll ``(frames, keys)`` uint8 of 0 and 1."""
        ...


@runtime_checkable
class Generator(Protocol):
    """What every entry can do. One that heeds ``condition`` says so by the class attribute ``conditional = True``.

    One whose speed and size say nothing, since its samples were made elsewhere, says why by the attribute ``costless``.
    """

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor | Batch:
        """n examples in the form of ``Batch.data``, ``(n, *shape)``. ``rng`` lives on the CPU.

        A family that makes sequences of unequal length returns a Batch, whose ``lengths`` say where each ends.
        """
        ...


@runtime_checkable
class Trainable(Generator, Protocol):
    """A generator that learns. Optimisers and schedulers are its own; kept as attributes, they are checkpointed.

    A few steps move every parameter, but for those that the attribute ``idle_parameters`` names, if there is one.
    """

    def train_step(self, batch: Batch, rng: torch.Generator) -> Mapping[str, float]:
        """One update. Returns the losses by name, ``loss`` among them. ``rng`` lives on the model's device."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...


@runtime_checkable
class Paced(Trainable, Protocol):
    """A generator that is told how far its training has come, so that its rates fall to 0 within any budget."""

    def pace(self, share: float) -> None:
        """Before each step: the share of the training that is done, 0 to 1, be it counted in steps or in seconds."""
        ...


@runtime_checkable
class Refitting(Trainable, Protocol):
    """A generator of which something is fitted once its weights are learned, such as a prior to its latents."""

    def refit(self, data: Split, rng: torch.Generator) -> None:
        """Called after the last training step, as a part of the training, and before every look on the way.

        data: the training split. ``rng`` lives on the CPU. The model is in evaluation mode. What is fitted is kept in
        buffers; it must not rest on what was fitted before, and no later training step may rest on it.
        """
        ...


@runtime_checkable
class Likelihood(Generator, Protocol):
    """A generator that knows how likely data is: of each example the logarithm of its probability, or a bound on it.

    Both attributes are required, as no number can be told from its value alone to be one or the other. A score that is
    not normalised is no likelihood; ``ExampleLoss`` is for those. Attributes ``measured_steps``, ``measured_draws``,
    ``bound_steps`` or ``bound_draws``, by which one finds its number, stand in the protocol of what is measured.
    """

    @property
    def bound(self) -> bool:
        """True: ``log_prob`` is a lower bound (a VAE's evidence bound); False: it is exact."""
        ...

    @property
    def log_prob_of(self) -> Literal["mass", "density"]:
        """ "mass": of values as they are stored (tokens, levels, 0 or 1); "density": of points in the range of data."""
        ...

    def log_prob(self, batch: Batch) -> Tensor:
        """Natural-log probability (density) of each example, ``(batch,)``, in nats, summed over its dimensions.

        Of a family that heeds labels it is that given ``batch.condition``.
        Raises Omitted where the data it was made for has no probability under this model.
        """
        ...


@runtime_checkable
class Sequential(Likelihood, Protocol):
    """A generator of sequences that knows how likely each step, a token or a frame, is after those before it."""

    def step_log_prob(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """Natural-log probability of each step given those before it, ``(batch, steps)`` in nats.

        state: what the last call returned, so that the batch goes on where that one ended; None at the start.
        The returned state is None where the model cannot go on, because its context is one window long.
        """
        ...


@runtime_checkable
class ExampleLoss(Generator, Protocol):
    """A generator that says how badly each example fits: enough to compare examples under one model, and no more."""

    def example_loss(self, batch: Batch) -> Tensor:
        """What training lowers, example by example, ``(batch,)``. No other example of the batch changes it."""
        ...


@runtime_checkable
class Reconstructor(Generator, Protocol):
    """A generator with an encoder."""

    def reconstruct(self, batch: Batch) -> Tensor:
        """The model's copy of each example, same shape and range as ``batch.data``."""
        ...


@runtime_checkable
class Forecaster(Generator, Protocol):
    """A generator that says how what has an order, such as a video, goes on."""

    def forecast(self, start: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        """What follows each of ``start`` ``(n, entries, ...)``, entries of the first axis as in ``Batch.data``.

        The next ``steps`` entries, ``(n, steps, ...)``, in the range of the data. ``rng`` lives on the CPU.
        """
        ...


@runtime_checkable
class Streaming(Generator, Protocol):
    """A generator that can hand out its work piece by piece."""

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Continue ``prompt`` ``(tokens,)`` one token (or frame) at a time, without end."""
        ...


@runtime_checkable
class BatchStreaming(Streaming, Protocol):
    """One that hands out several works side by side, a piece of each at a time, in one pass through its net."""

    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """As ``stream`` of each of ``prompts`` ``(batch, tokens)``: ``(batch,)`` tokens (or frames) at a time."""
        ...


@runtime_checkable
class Evaluated(Generator, Protocol):
    """A generator whose sample is a number of evaluations of one net, which decides its cost."""

    @property
    def nfe(self) -> int:
        """Evaluations of that net for each sample; guidance by a second one counts twice."""
        ...


class Features(NamedTuple):
    """What an extractor sees. features: ``(n, D)`` float32; logits: ``(n, classes)`` or None without a classifier."""

    features: Tensor
    logits: Tensor | None


@runtime_checkable
class Rereading(Generator, Protocol):
    """A generator of text with tokens of its own. What it samples is in the data's tokens all the same.

    Trained elsewhere, it is compared with others by what it makes of the same stretches of text.
    """

    @property
    def reads(self) -> Dataset:
        """The data's text in its own tokens (``bench.Retokenised``): in them it streams, and scores token by token."""
        ...

    def score_texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """-log p of each text in nats, ``(texts,)`` float64, and how many tokens of its own each is, int64.

        Each is a text by itself, that no other stands before. Raises Omitted where it cannot tell.
        """
        ...


def as_read_by(model: Generator, dataset: Dataset) -> Dataset:
    """The data in the tokens that a model streams and scores one by one: its own, where it has some."""
    return model.reads if isinstance(model, Rereading) else dataset


@runtime_checkable
class Extractor(Protocol):
    """A fixed network that turns examples into features."""

    @property
    def protocol(self) -> Mapping[str, str]:
        """What identifies it: the hash of its weights, its resizer."""
        ...

    def __call__(self, x: Any) -> Features:
        """Features of stored examples: images uint8 ``(n, channels, height, width)``, or a list of strings.

        Sequences of unequal length come as a list of tensors ``(length, ...)``.
        """
        ...


CAPABILITIES: dict[str, type] = {
    "sample": Generator,
    "train": Trainable,
    "likelihood": Likelihood,
    "score steps": Sequential,
    "score examples": ExampleLoss,
    "reconstruct": Reconstructor,
    "forecast": Forecaster,
    "stream": Streaming,
    "stream batches": BatchStreaming,
    "count evaluations": Evaluated,
    "read its own tokens": Rereading,
}
_MEMBERS = {
    "sample": ("sample",),
    "train": ("train_step",),
    "likelihood": ("log_prob", "bound", "log_prob_of"),
    "score steps": ("step_log_prob",),
    "score examples": ("example_loss",),
    "reconstruct": ("reconstruct",),
    "forecast": ("forecast",),
    "stream": ("stream",),
    "stream batches": ("stream_batch",),
    "count evaluations": ("nfe",),
    "read its own tokens": ("reads", "score_texts"),
}


def capabilities(family: object) -> list[str]:
    """Names of what a family can do, read from its class; "labels": it makes what it is told to."""
    found = [name for name, members in _MEMBERS.items() if all(hasattr(family, m) for m in members)]
    return [*found, *(["labels"] if getattr(family, "conditional", False) else [])]


def unmet(model: Generator, needs: type) -> str:
    """Why a model has not the capability that is needed: what of it is missing, if it has the rest."""
    name = next((name for name, protocol in CAPABILITIES.items() if protocol is needs), needs.__name__)
    members = _MEMBERS.get(name, ())
    missing = [member for member in members if not hasattr(model, member)]
    if 0 < len(missing) < len(members):
        return f"needs the capability {name!r}: the model has no {' and no '.join(missing)}"
    having = f", which this generator has not (`genbench list generators {name}` shows who has it)" if members else ""
    return f"needs the capability {name!r}{having}"
