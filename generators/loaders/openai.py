"""Language models behind servers that speak OpenAI's protocol: ``openai:http://HOST:PORT/v1#MODEL``.

vLLM, llama.cpp, SGLang, TGI, Ollama and others serve ``/v1/completions``: a text goes in, what stands behind it comes
out bit by bit. Times are those of the client: the network, the queue and the server's own work together.

    log p(text) = sum of the log p of its tokens behind ``start``,    by the server's word (``echo``, ``logprobs``)
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, NamedTuple, TypeVar

import torch
from annotated_types import Ge, Gt, Le
from pydantic import PositiveFloat, PositiveInt, StringConstraints
from torch import Tensor

from bench import (
    Batch,
    DataError,
    Dataset,
    DataSpec,
    GenbenchError,
    Omitted,
    Split,
    SplitName,
    Verbatim,
    alive,
    generator,
    named,
)
from generators.loaders._server import Refused, Server
from generators.loaders._texts import encoder, spelled

KEY = "OPENAI_API_KEY"
SEEDS = 2**31  # those that every server takes
# What a model is; not when it was created, for which many servers tell the time of the answer.
TOLD = ("id", "owned_by", "root", "parent", "sha", "digest", "revision", "meta")
GIVE_START = 'give the token with which its texts begin as `start`, such as "<|endoftext|>" or "<s>"'
EMPTY = 16  # texts in a row that end at once
_AS_BYTES = re.compile(r"bytes:(?:\\x[0-9a-f]{2})+")  # a token that is a part of a character, as some servers write it

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]

A = TypeVar("A")
B = TypeVar("B")


def _content(target: str, *, key: str = KEY, timeout: float = 120.0, **params: Any) -> str:
    url, model = _split(target)
    return _described(Server(url, key, timeout), model)


@generator(
    "openai:",
    modalities={"text"},
    presets={"test": {}},
    sampling=("temperature", "top_p", "arguments", "at_once", "timeout", "key"),
    content=_content,
)
class Completions:
    """A model behind a server that speaks OpenAI's protocol: sampled, streamed and, where it tells, scored.

    start: what stands before every text and is no part of it: "", or a token that begins texts, "<|endoftext|>".
    temperature, top_p: as the server takes them.   arguments: what else it takes; what is left out, it decides itself:
    of llama.cpp, which cuts unlikely tokens, the model's own law is that of ``{"top_k": 0, "min_p": 0}``.
    at_once: requests side by side. A server that runs fewer lets the others wait, and they count as slow.
    key: the environment variable that holds the key of the server, if it wants one.   timeout: seconds without a byte.
    A sample is the same again where the server heeds ``seed``.
    Raises GenbenchError for a server that is not there or has no such model.
    """

    bound = False
    log_prob_of = "mass"

    def __init__(
        self,
        dataset: Dataset,
        target: str,
        *,
        start: str = "",
        temperature: Annotated[float, Ge(0)] = 1.0,
        top_p: Annotated[float, Gt(0), Le(1)] = 1.0,
        arguments: Mapping[str, Any] | None = None,
        at_once: PositiveInt = 8,
        key: Variable = KEY,
        timeout: PositiveFloat = 120.0,
    ) -> None:
        url, self.model = _split(target)
        self.server = Server(url, key, timeout)
        _described(self.server, self.model)
        self.dataset, self.start, self.at_once = dataset, start, at_once
        self.window = dataset.spec.shape[0]
        drawn = {"temperature": temperature, "top_p": top_p, **(arguments or {})}
        self.how = {"max_tokens": self.window, **drawn, "model": self.model}

    @functools.cached_property
    def reads(self) -> Heard:
        """The data's text in pieces as they are sent, and beginnings of its examples as prompts."""
        return Heard(self.dataset, self.model)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Batch:
        """Texts from their start to their end, in the data's tokens, cut at its window."""
        what = f"openai:{named(self.model)}"
        encode, seeds = encoder(self.dataset, what), torch.randint(2**63 - 1, (n,), generator=rng) % SEEDS
        texts = _side_by_side(functools.partial(self._text, encode), seeds.tolist(), self.at_once)
        return spelled(texts, self.dataset, what)

    def _text(self, encode: Callable[[str], Tensor], seed: int) -> str:
        """One that ends where the model ends it, or fills a window of the data, whatever tokens that has."""
        text, grew = "", True
        while grew:
            before = text
            for piece in self._sent(self.start + text, seed):
                text += piece.text
                if len(text.encode()) >= self.window and len(encode(text)) >= self.window:
                    return text  # and what else would come is not waited for
            grew = piece.end == "length" and len(text) > len(before)
        if piece.end == "length" and not text:
            raise GenbenchError(f"openai:{named(self.model)} does not go on from nothing: {GIVE_START}")
        return text

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """What the server sends behind ``prompt`` ``(tokens,)``, a piece at a time; behind an end it is asked again.

        Raises GenbenchError where text after text ends before it began.
        """
        (text,), empty = self.reads.decode(prompt[None]), 0
        while empty < EMPTY:
            empty += 1
            for piece in self._sent(self.start + text, int(torch.randint(2**63 - 1, (), generator=rng) % SEEDS)):
                if piece.text:
                    empty = 0
                    yield self.reads.encode(piece.text)[0]
        raise GenbenchError(f"openai:{named(self.model)} sends nothing behind {named(text[-40:])!r}, {EMPTY} times")

    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """The same of several side by side, ``(n, tokens)`` to ``(n,)`` at a time."""
        seeds = torch.randint(2**63 - 1, (len(prompts),), generator=rng).tolist()
        streams = [self.stream(p, torch.Generator().manual_seed(seed)) for p, seed in zip(prompts, seeds, strict=True)]
        with ThreadPoolExecutor(len(streams)) as pool:
            while True:
                yield torch.stack(list(pool.map(next, streams)))

    def log_prob(self, batch: Batch) -> Tensor:
        """log p of each example of ``reads``, by the text that it spells, in nats, ``(batch,)`` float64."""
        sizes = [len(row) for row in batch.data] if batch.lengths is None else batch.lengths.tolist()
        rows = zip(batch.data, sizes, strict=True)
        return -self.score_texts([self.reads.decode(row[None, :size])[0] for row, size in rows])[0]

    def score_texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """-log p of each text, ``(texts,)`` float64 nats, and how many tokens of the server's it is.

        Raises Omitted where the server tells no probability of a given text, or none of its first token.
        """
        found = _side_by_side(self._scored, texts, self.at_once)
        nats, tokens = zip(*found, strict=True)
        return torch.tensor(nats, dtype=torch.float64), torch.tensor(tokens)

    def _scored(self, text: str) -> tuple[float, int]:
        if not text:
            return 0.0, 0
        asked = {"model": self.model, "prompt": self.start + text, "max_tokens": 1, "temperature": 0.0}
        try:
            answer = self.server.post("/completions", {**asked, "echo": True, "logprobs": 1})
        except Refused as error:
            if error.status in (400, 404, 422, 501) or re.search("echo|logprob", str(error)):
                raise Omitted(f"the server tells no probability of a given text ({error})") from error
            raise
        return scored(answer, self.start, text)

    def _sent(self, prompt: str, seed: int) -> Iterator[Piece]:
        """What stands behind a prompt, as it comes."""
        end = None
        for event in self.server.events("/completions", {**self.how, "prompt": prompt, "seed": seed}):
            for choice in event.get("choices", ()):
                end = choice.get("finish_reason") or end
                yield Piece(_whole(choice.get("text") or ""), end)
        if end is None:
            raise GenbenchError(f"openai:{named(self.server.url)} broke off before its text ended")


class Piece(NamedTuple):
    """A stretch of text that the server sent. end: why it is the last, "length" or "stop"; None where it is not."""

    text: str
    end: str | None


class Heard:
    """A text's beginnings and what a server sends behind them: every string that was met is a token of its own.

    So there are as many tokens as pieces came, and the time between two is that between what the server sent. An
    example is the first half of one of the data's, a prompt.
    """

    def __init__(self, dataset: Dataset, model: str) -> None:
        if not isinstance(dataset, Verbatim):
            raise DataError("the data does not say which text its tokens stand for (it has no `text`)")
        self.dataset, self.fingerprint, self.tokeniser = dataset, dataset.fingerprint, f"tokens of {model}"
        self._numbers, self._strings = dict[str, int](), list[str]()
        self.train, self.valid, self.test = (Beginnings(self, dataset, split) for split in _SPLITS)

    @property
    def spec(self) -> DataSpec:
        return DataSpec("text", (1,), "tokens", vocab=max(1, len(self._strings)))

    def encode(self, text: str) -> Tensor:
        """``(1,)`` int64: the number of this string."""
        if text not in self._numbers:
            self._numbers[text] = len(self._strings)
            self._strings.append(text)
        return torch.tensor([self._numbers[text]])

    def decode(self, tokens: Tensor) -> list[str]:
        return ["".join(self._strings[i] for i in row) for row in tokens.tolist()]

    def count_bytes(self, tokens: Tensor) -> int:
        return sum(len(self._strings[i].encode()) for i in tokens.flatten().tolist())

    def tokens(self, split: SplitName) -> Tensor:
        return self.encode(self.text(split))

    def text(self, split: SplitName) -> str:
        return self.dataset.text(split)


_SPLITS: tuple[SplitName, ...] = ("train", "valid", "test")


class Beginnings:
    """The first halves of a split's examples, as prompts."""

    def __init__(self, heard: Heard, dataset: Any, split: SplitName) -> None:
        self.heard, self.dataset = heard, dataset
        self.split: Split = getattr(dataset, split)
        self.half = max(1, dataset.spec.shape[0] // 2)

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, index: Tensor) -> Batch:
        texts = self.dataset.decode(self.split.batch(index).data[:, : self.half])
        return Batch(torch.stack([self.heard.encode(text.strip("\ufffd")) for text in texts]))  # whole characters


def scored(answer: dict[str, Any], start: str, text: str) -> tuple[float, int]:
    """-log p of a text and its tokens, of an answer that echoes ``start + text`` and tells of each token.

    Raises Omitted where it does not, or where the first token of the text has no number: nothing stands before it.
    """
    told = (answer.get("choices") or [{}])[0].get("logprobs") or {}
    tokens, numbers = told.get("tokens") or [], told.get("token_logprobs") or []
    made = (answer.get("usage") or {}).get("completion_tokens", 1)
    last = len(tokens) - made
    first = next((k for k in range(last) if _spell(tokens[k:last], text)), None)
    if first is None or len(numbers) != len(tokens):
        if start and any(_spell(tokens[k:last], start + text) for k in range(last)):
            raise Omitted("a token reaches from `start` into the text: give a token of the model's own as `start`")
        raise Omitted(
            "the server tells no probability of a given text: /completions must answer `echo` with `logprobs`, which "
            "not every server does; what is sampled is measured all the same"
        )
    if tokens[first] == "" and numbers[first] is None:  # a first token, which some servers write so
        first += 1
    nats = numbers[first:last]
    if None in nats:
        raise Omitted(f"the server tells no probability of the first token, before which nothing stands: {GIVE_START}")
    return -math.fsum(nats), len(nats)


def _spell(tokens: Sequence[str], text: str) -> bool:
    """Whether they spell a text, but for its parts that are not ASCII, of which a token may hold half a character.

    Some tokenisers put a space before every text.
    """
    found, wanted = ("".join(c for c in whole if c < "\x80") for whole in (_AS_BYTES.sub("", "".join(tokens)), text))
    return found in (wanted, " " + wanted)


def _whole(text: str) -> str:
    """Without halves of characters that JSON may hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _split(target: str) -> tuple[str, str]:
    url, _, model = target.partition("#")
    if not model:
        raise GenbenchError(f"openai:{named(target)} names no model: write openai:http://HOST:PORT/v1#MODEL")
    return url, model


def _described(server: Server, model: str) -> str:
    """What the server says of the model, as JSON. Raises GenbenchError where it has none of this name."""
    try:
        listed = server.get("/models").get("data")
    except Refused as error:
        if error.status not in (404, 405, 501):
            raise
        listed = None  # it does not say what it has
    if not isinstance(listed, list):
        return json.dumps({"id": model})
    known = {str(entry.get("id")): entry for entry in listed if isinstance(entry, dict)}
    if model not in known:
        there = ", ".join(sorted(known)) or "none"
        raise GenbenchError(f"openai:{named(server.url)} has no model '{named(model)}'; it has {named(there)}")
    told = {name: known[model][name] for name in TOLD if known[model].get(name) is not None}
    return json.dumps(told, sort_keys=True)


def _side_by_side(call: Callable[[A], B], given: Sequence[A], at_once: int) -> list[B]:
    """The answer of each, in order; the first error ends it."""
    with ThreadPoolExecutor(at_once) as pool:
        waiting = [pool.submit(call, each) for each in given]
        try:
            return [future.result() for future in alive(waiting)]
        finally:
            for future in waiting:
                future.cancel()
