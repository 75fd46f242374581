"""Causal language models that transformers reads: ``hf:NAME`` of the Hub, ``hf:FOLDER`` or ``hf:FILE.gguf``.

    log p(text) = sum_t log p(x_t | start, x_<t),    x = the model's own tokens of the text

It reads texts in tokens of its own, so that bits per byte compare it with models of any tokens; perplexity per token
names its tokens. Behind the start token, which is given and not scored, each token is scored once. Beyond as many
positions as it has, it goes on from the last half of them, read anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import (
    Batch,
    DataError,
    Dataset,
    DataSpec,
    GenbenchError,
    Retokenised,
    Rows,
    alive,
    generator,
    letters_of_bytes,
    named,
)
from generators._drawing import SAMPLING, Drawing
from generators._heads import Tokens
from generators.loaders import _hub
from generators.loaders._texts import encoder, spelled

TOKENS_AT_ONCE = 1024  # bounds the logits held at a time, 0.2 GB for 49,152 tokens
UNLIMITED = 2048  # positions that are read of a model which knows no most
TOKENISERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")
LOOKED_AT = 16  # tokens that are drawn before it is seen whether the texts are long enough


def _content(target: str, *, file: str = "", revision: str = "", **params: Any) -> str:
    return _hub.described(_hub.found(target, revision, file), file)


def _fits(spec: DataSpec, target: str, *, file: str = "", revision: str = "", **params: Any) -> None:
    """Raises DataError for a folder that holds no language model, or a model without its tokeniser."""
    place = _hub.found(target, revision, file)
    if file or not place.is_dir():
        return
    if not (place / "config.json").is_file():
        raise DataError(f"{named(target)} holds no language model that transformers reads (it has no config.json)")
    if not any((place / name).is_file() for name in TOKENISERS):
        how = "tokenizer.save_pretrained writes it beside the model"
        raise DataError(f"{named(target)} has no tokeniser ({', '.join(TOKENISERS)}): {how}")


@generator("hf:", modalities={"text"}, presets={"test": {}}, sampling=SAMPLING - {"stop"}, content=_content, fits=_fits)
class CausalLM(nn.Module):
    """A model and its tokeniser as transformers saves them, or as a GGUF file holds both.

    file: of a GGUF file in a folder or on the Hub.  revision: a branch, tag or commit of the Hub.
    trust_remote_code: whether code that comes with the model may run.  dtype: of its weights.
    window: tokens that it reads at once where it is scored; fewer where it has fewer positions. The rest are of
    sampling; see ``Drawing``.
    Raises DataError for what transformers does not read, a tokeniser that has no token to begin a text with, or data
    that does not say how its tokens spell a text. dataset: None for one that only scores texts.
    """

    bound = False
    log_prob_of = "mass"
    ends: Tensor  # tokens that end a text

    def __init__(
        self,
        dataset: Dataset | None,
        target: str,
        *,
        file: str = "",
        revision: str = "",
        trust_remote_code: bool = False,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        window: PositiveInt = 512,
        temperature: PositiveFloat = 1.0,
        top_k: NonNegativeInt = 0,
        top_p: Annotated[float, Gt(0), Le(1)] = 1.0,
        min_p: Annotated[float, Ge(0), Lt(1)] = 0.0,
        repetition: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.target, self.file, self.place = target, file, _hub.found(target, revision, file)
        net, tokeniser = _loaded(target, self.place, file, trust_remote_code, getattr(torch, dtype))
        self.net: Any = net.eval().requires_grad_(False)
        self.tokeniser = OwnTokens(tokeniser, target)
        self.start = tokeniser.eos_token_id if tokeniser.bos_token_id is None else tokeniser.bos_token_id
        if self.start is None:
            raise DataError(f"{named(target)}: its tokeniser has neither a first nor a last token")
        told = getattr(net.generation_config, "eos_token_id", None)
        ends = {tokeniser.eos_token_id, *(told if isinstance(told, list) else [told])} - {None}
        self.register_buffer("ends", torch.tensor(sorted(ends), dtype=torch.int64), persistent=False)
        self.positions = getattr(net.config, "max_position_embeddings", None) or UNLIMITED
        self.window, self.dataset = min(window, self.positions), dataset
        head = Tokens(len(self.tokeniser.pieces))
        self.drawing = Drawing(head, temperature, top_k, top_p, min_p, repetition)
        takes = inspect.signature(net.forward).parameters
        self._cache = "cache" if "cache" in takes else "past_key_values"  # of transformers before 5.24
        self._last = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}

    @functools.cached_property
    def reads(self) -> Retokenised:
        """The data's text in the model's tokens."""
        if self.dataset is None:
            raise GenbenchError("this model was made without data")
        return Retokenised(self.dataset, self.tokeniser, self.window)

    @functools.cached_property
    def content(self) -> str:
        """Its files and what they hold."""
        return _hub.described(self.place, self.file)

    @torch.no_grad()
    def score_texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """-log p of each text, ``(texts,)`` float64 nats, and its tokens; a longer one is read window by window."""
        rows = [self.tokeniser.encode(text) for text in alive(texts)]
        parts = [
            (i, row[at : at + self.window]) for i, row in enumerate(rows) for at in range(0, len(row), self.window)
        ]
        nats = torch.zeros(len(rows), dtype=torch.float64)
        for batch in alive([*_batches(parts)]):
            owners, pieces = zip(*batch, strict=True)
            lengths = torch.tensor([len(piece) for piece in pieces])
            data = nn.utils.rnn.pad_sequence([torch.from_numpy(piece) for piece in pieces], batch_first=True)
            nats.index_add_(0, torch.tensor(owners), -self.log_prob(Batch(data, lengths=lengths)).cpu())
        return nats, torch.tensor([len(row) for row in rows])

    def log_prob(self, batch: Batch) -> Tensor:
        """log p of each example of ``reads`` in nats, ``(batch,)`` float64. Raises as ``step_log_prob``."""
        return self.step_log_prob(batch)[0].sum(1)

    @torch.no_grad()
    def step_log_prob(self, batch: Batch, state: None = None) -> tuple[Tensor, None]:
        """log p of each of the model's tokens in nats, ``(batch, steps)`` float64, 0 of padding; it carries no state.

        Raises GenbenchError for more steps than it has positions.
        """
        y = batch.data.to(self.ends.device)
        if y.shape[1] > self.positions:
            raise GenbenchError(f"{y.shape[1]} tokens, and this model reads {self.positions} at once")
        inside = batch.mask.to(y.device)
        x = F.pad(y[:, :-1], (1, 0), value=self.start)
        found = []
        for rows in torch.arange(len(y)).split(max(1, TOKENS_AT_ONCE // y.shape[1])):
            told = self.net(input_ids=x[rows], attention_mask=inside[rows].long(), use_cache=False).logits
            nats = F.cross_entropy(told.float().flatten(0, 1), y[rows].flatten(), reduction="none")
            found.append(-nats.view_as(y[rows]).double())
        return torch.cat(found) * inside, None

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Batch:
        """Texts from their start to their end, in the data's tokens, cut at its window.

        Raises DataError for data that cannot spell what it makes.
        """
        if self.dataset is None:
            raise GenbenchError("this model was made without data")
        window, encode = self.dataset.spec.shape[0], encoder(self.dataset, f"hf:{named(self.target)}")
        rows, most = Rows(rng, n), self.positions - 1
        begin = torch.empty(n, 0, dtype=torch.int64)
        drawn, ended, texts = list[Tensor](), torch.zeros(n, dtype=torch.bool), list[str]()
        for step, token in enumerate(alive(self._drawn(begin, (rows.uniform() for _ in range(most)))), 1):
            drawn.append(token.cpu())
            ended |= torch.isin(drawn[-1], self.ends.cpu())
            if step % LOOKED_AT == 0 or ended.all() or step == most:
                texts = self._texts(torch.stack(drawn, 1))
                if all(end or len(encode(text)) >= window for end, text in zip(ended.tolist(), texts, strict=True)):
                    break
        return spelled(texts, self.dataset, f"hf:{named(self.target)}")

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Continue ``prompt`` ``(tokens,)`` token by token, without end: behind one that ends a text comes another."""
        return (token[0] for token in self.stream_batch(prompt[None], rng))

    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """The same of several side by side, ``(n, tokens)`` to ``(n,)`` at a time."""
        return self._drawn(prompts, (torch.rand(len(prompts), generator=rng) for _ in itertools.count()))

    def _drawn(self, prompts: Tensor, u: Iterable[Tensor]) -> Iterator[Tensor]:
        device, n = self.ends.device, len(prompts)
        begin = torch.full((n, 1), self.start, device=device)
        text = read = torch.cat([begin, prompts.to(device)], dim=1)[:, -self.positions :]
        seen = self.drawing.nothing_seen(n, device)
        if seen is not None:
            seen.scatter_(1, text, value=True)
        cache, held = None, 0
        for each in u:
            if held + read.shape[1] > self.positions:
                read, cache, held = text[:, -(self.positions // 2) :], None, 0
            with torch.inference_mode():
                told = self.net(input_ids=read, **{self._cache: cache}, use_cache=True, **self._last)
                logits = told.logits[:, -1, : len(self.tokeniser.pieces)].float()
                drawn = self.drawing.draw(logits, each.to(device), seen)
            yield drawn.clone()
            cache, held = getattr(told, self._cache), held + read.shape[1]
            text = torch.cat([text, drawn[:, None]], dim=1)[:, -self.positions :]
            read = drawn[:, None]

    def _texts(self, tokens: Tensor) -> list[str]:
        """Each row of the model's tokens as a text, up to the first that ends it."""
        after = torch.isin(tokens, self.ends.cpu()).cumsum(1) > 0
        return [self.reads.decode(row[~end][None])[0] for row, end in zip(tokens, after, strict=True)]


def _loaded(target: str, place: Path, file: str, trusted: bool, dtype: torch.dtype) -> tuple[Any, Any]:
    """The model and its tokeniser. Raises DataError for what transformers does not read."""
    with _hub.library("transformers"):
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    folder, gguf = (place.parent, place.name) if place.is_file() else (place, file)
    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trusted}
    how |= {"gguf_file": gguf} if gguf else {}
    with _hub.reading(target, "language model that transformers reads", logging), _opened_once():
        tokeniser = AutoTokenizer.from_pretrained(folder, **how)
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **how), tokeniser


@contextlib.contextmanager
def _opened_once() -> Iterator[None]:
    """Within, a GGUF file is opened once: transformers asks for its tokeniser, its configuration and its weights apart.

    A file that is another by its size or its time is opened anew.
    """
    if importlib.util.find_spec("gguf") is None:
        yield
        return
    gguf: Any = importlib.import_module("gguf")
    opened, opens = dict[tuple[str, int, int, int], Any](), gguf.GGUFReader

    def reader(path: str | Path) -> Any:
        about = Path(path).stat()
        key = (str(path), about.st_ino, about.st_size, about.st_mtime_ns)
        if key not in opened:
            opened[key] = opens(path)
        return opened[key]

    gguf.GGUFReader = reader
    try:
        yield
    finally:
        gguf.GGUFReader = opens


class OwnTokens:
    """A tokeniser of transformers. What looks like a control token is plain text here."""

    def __init__(self, tokeniser: Any, target: str) -> None:
        backend = getattr(tokeniser, "backend_tokenizer", None)
        if backend is None:
            raise DataError(f"{named(target)}: its tokeniser ({type(tokeniser).__name__}) is not one of `tokenizers`")
        self.target, self._tokeniser = target, tokeniser
        as_letters, letters = "ByteLevel" in str(backend.decoder), letters_of_bytes()
        added = {i: token.content for i, token in tokeniser.added_tokens_decoder.items()}

        def piece(i: int) -> bytes:
            token = tokeniser.convert_ids_to_tokens(i) or ""
            if i in added:
                return str(added[i]).encode()
            if as_letters and all(letter in letters for letter in token):
                return bytes(letters[letter] for letter in token)
            one = re.fullmatch("<0x([0-9A-F]{2})>", token)
            return bytes([int(one[1], 16)]) if one else token.replace("\u2581", " ").encode()

        self.pieces = [piece(i) for i in range(len(tokeniser))]
        self.name = f"{len(self.pieces)} tokens, sha256:{hashlib.sha256(backend.to_str().encode()).hexdigest()[:12]}"

    def encode(self, text: str) -> NDArray[np.int64]:
        """``(tokens,)``. Raises DataError for a text that its tokens do not spell."""
        row = self._encoded(text)
        if self._spell(row) != text.encode():  # some begin every text with a space
            behind = self._encoded("\n" + text)
            starts = [k for k in range(1, 4) if self._spell(behind[:k]).lstrip(b" ") == b"\n"]
            row = behind[starts[-1] :] if starts else row
        if self._spell(row) != text.encode():
            raise DataError(f"{named(self.target)}: its tokens do not spell this text exactly ({named(text[:40])})")
        return row

    def _encoded(self, text: str) -> NDArray[np.int64]:
        coded = self._tokeniser(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return np.array(coded["input_ids"], np.int64)

    def _spell(self, row: NDArray[np.int64]) -> bytes:
        return b"".join(self.pieces[i] for i in row)


def _batches(parts: list[tuple[int, NDArray[np.int64]]]) -> Iterator[list[tuple[int, NDArray[np.int64]]]]:
    """Parts of like length together, as many as make ``TOKENS_AT_ONCE`` tokens with their padding."""
    ordered = sorted(parts, key=lambda part: len(part[1]))
    while ordered:
        size = max(1, TOKENS_AT_ONCE // len(ordered[-1][1]))
        yield ordered[-size:]
        del ordered[-size:]
