"""What a generator, a dataset and a feature extractor are. Nothing here imports torch at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Modality = Literal["image", "text", "music", "audio", "video", "vector"]
Aspect = Literal["realism", "likelihood", "diversity", "relevance", "novelty", "efficiency"]
SplitName = Literal["train", "valid", "test"]
MODALITIES: tuple[str, ...] = get_args(Modality)


@dataclass(frozen=True)
class DataSpec:
    """All a model may know before it sees data.

    shape: one example: ``(3, 32, 32)`` pixels, ``(256,)`` tokens, ``(T, 88)`` piano roll, ``(16000,)`` samples.
    kind: chooses the output head of a sequence model.
    vocab: number of distinct tokens; tokens only.
    classes: number of condition labels; None = unconditional.
    """

    modality: Modality
    shape: tuple[int, ...]
    kind: Literal["continuous", "binary", "tokens"]
    vocab: int | None = None
    classes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Batch(NamedTuple):
    """data: ``(batch, *shape)``, images float32 in [-1, 1], tokens int64; condition: ``(batch,)`` int64 or None."""

    data: Tensor
    condition: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        return Batch(self.data.to(device), None if self.condition is None else self.condition.to(device))


@runtime_checkable
class Split(Protocol):
    """One part of a dataset, addressed by example number."""

    def __len__(self) -> int: ...

    def batch(self, index: Tensor) -> Batch:
        """The examples with these numbers, ``(batch,)`` int64, in this order."""
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
class Generator(Protocol):
    """What every entry can do. One that heeds ``condition`` says so by the class attribute ``conditional = True``."""

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """n examples, ``(n, *shape)``: images float in [-1, 1], tokens int64. ``rng`` lives on the CPU."""
        ...


@runtime_checkable
class Trainable(Generator, Protocol):
    """A generator that learns. Optimisers and schedulers are its own; kept as attributes, they are checkpointed."""

    def train_step(self, batch: Batch, rng: torch.Generator) -> Mapping[str, float]:
        """One update. Returns the losses by name, ``loss`` among them. ``rng`` lives on the model's device."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...


@runtime_checkable
class Likelihood(Generator, Protocol):
    """A generator that knows how likely data is.

    Tokens and binary data have a probability mass, continuous data a density. A family of which this is not so says
    what it gives in an attribute ``log_prob_of``: "mass", "density", or "none" for a score that is not normalised.
    """

    @property
    def bound(self) -> bool:
        """True: ``log_prob`` is a lower bound (a VAE's evidence bound); False: it is exact."""
        ...

    def log_prob(self, x: Tensor) -> Tensor:
        """Natural-log probability (density) of each example, ``(batch,)``, in nats, summed over its dimensions."""
        ...


@runtime_checkable
class Sequential(Likelihood, Protocol):
    """A generator of sequences that knows how likely each token is after those before it."""

    def token_log_prob(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Natural-log probability of each token of ``x`` given those before it, ``(batch, tokens)`` in nats.

        state: what the last call returned, so that ``x`` goes on where that text ended; None at the start of a text.
        The returned state is None where the model cannot go on, because its context is one window long.
        """
        ...


@runtime_checkable
class Reconstructor(Generator, Protocol):
    """A generator with an encoder."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """The model's copy of each example, same shape and range as ``x``."""
        ...


@runtime_checkable
class Streaming(Generator, Protocol):
    """A generator that can hand out its work piece by piece."""

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Continue ``prompt`` ``(tokens,)`` one token (or frame) at a time, without end."""
        ...


class Features(NamedTuple):
    """What an extractor sees. features: ``(n, D)`` float32; logits: ``(n, classes)`` or None without a classifier."""

    features: Tensor
    logits: Tensor | None


@runtime_checkable
class Extractor(Protocol):
    """A fixed network that turns examples into features."""

    @property
    def protocol(self) -> Mapping[str, str]:
        """What identifies it: the hash of its weights, its resizer."""
        ...

    def __call__(self, x: Any) -> Features:
        """Features of stored examples: images uint8 ``(n, channels, height, width)``, or a list of strings."""
        ...


CAPABILITIES: dict[str, type] = {
    "sample": Generator,
    "train": Trainable,
    "likelihood": Likelihood,
    "score tokens": Sequential,
    "reconstruct": Reconstructor,
    "stream": Streaming,
}
_MEMBERS = {
    "sample": ("sample",),
    "train": ("train_step",),
    "likelihood": ("log_prob", "bound"),
    "score tokens": ("token_log_prob",),
    "reconstruct": ("reconstruct",),
    "stream": ("stream",),
}


def capabilities(family: type) -> list[str]:
    """Names of what a family can do, read from its class."""
    return [name for name, members in _MEMBERS.items() if all(hasattr(family, m) for m in members)]
