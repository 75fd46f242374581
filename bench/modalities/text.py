"""Text: tokens to models, strings to metrics and on disk."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from bench.errors import DataError
from bench.modalities._base import Modality
from bench.modalities._examples import Examples, Stored, kind_of
from bench.modalities._pictures import Pictures
from bench.modalities._sequences import Sequences
from bench.protocols import Batch, Dataset, Split, SplitName, Textual
from bench.registry import modality

SOUGHT = 4  # samples whose source is looked for: of a hundred characters it takes half a second in four megabytes


class Windows:
    """Windows of a stream end to end: examples that share nothing, unlike a split's own, which may overlap."""

    def __init__(self, stream: Tensor, size: int) -> None:
        self.rows = stream[: len(stream) // size * size].view(-1, size)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor) -> Batch:
        return Batch(self.rows[index])


@modality("text")
class Text(Modality):
    """Strings; of datasets that can be written out (``bench.Textual``), tokens to models."""

    ordered = True
    examples, one, values = "texts", "text", "tokens"
    form = "strings"

    def disjoint(self, dataset: Dataset, split: SplitName) -> Split:
        """Windows of a dataset's stream, none overlapping."""
        if not isinstance(dataset, Textual):
            return super().disjoint(dataset, split)
        return Windows(dataset.tokens(split), dataset.spec.shape[0])

    def nearest(self, stored: Stored, dataset: Dataset) -> Stored:
        """Of the training text the windows around the longest stretches that the first few share with it word for word.

        The stretch stands where it stands in the sample, but at the ends of the training text.
        """
        if not isinstance(dataset, Textual):
            return super().nearest(stored, dataset)
        stream, found = dataset.tokens("train"), list[Tensor]()
        text = _spelled(stream)
        for row in stored[:SOUGHT]:
            start, at = _longest_shared(_spelled(row), text)
            first = max(0, min(at - start, len(stream) - len(row)))
            found.append(stream[first : first + len(row)])
        return Sequences.of(found) if isinstance(stored, Sequences) else torch.stack(found)

    def written(self, stored: Stored, dataset: Dataset) -> Examples:
        """As strings, where the dataset can write them out."""
        if not isinstance(dataset, Textual):
            return stored
        if isinstance(stored, Sequences):
            return [dataset.decode(row[None])[0] for row in stored]
        return dataset.decode(stored)

    def packed(self, stored: Stored, dataset: Dataset) -> tuple[str, bytes]:
        """A JSON list of strings."""
        if not isinstance(dataset, Textual):
            return super().packed(stored, dataset)
        return ".json", json.dumps(self.written(stored, dataset), ensure_ascii=False).encode()

    def looks_like(self, examples: Examples) -> bool:
        return not isinstance(examples, Tensor | Pictures | Sequences)

    def check(self, examples: Examples, what: str) -> Examples:
        if isinstance(examples, Tensor | Pictures | Sequences):
            raise DataError(f"{what}: texts must be strings, got {kind_of(examples)}")
        if not any(text.strip() for text in examples):
            raise DataError(f"{what}: every one of the {len(examples)} texts is empty")
        for place, text in enumerate(examples):
            try:
                text.encode()
            except UnicodeEncodeError:
                problem = f"text {place} holds half a character (a lone surrogate), which no text can"
                raise DataError(f"{what}: {problem}") from None
        return list(examples)


def _spelled(tokens: Tensor) -> str:
    """A character a token, so that finding a text in another is finding its tokens."""
    return tokens.numpy().astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _longest_shared(text: str, within: str) -> tuple[int, int]:
    """Where the longest stretch of a text that another holds begins in both; the first of several."""
    length, found = 0, (0, 0)
    for start in range(len(text)):
        while start + length < len(text) and (at := within.find(text[start : start + length + 1])) >= 0:
            length, found = length + 1, (start, at)
    return found
