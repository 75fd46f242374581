"""GPT and Llama against transformers, attention in bands against a mask, and what is done past the window."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from bench import Batch, DataSpec, GenbenchError, Unsupported
from bench.registry import registry
from bench.streams import stream
from bench.testing import made_up
from generators._attention import Cache, attend
from generators._rotary import rotated, rotations
from generators.gpt import GPT, GPT3, ImageGPT
from generators.llama import Llama

CPU = torch.device("cpu")
VOCAB, WINDOW = 13, 12


def text(vocab: int = VOCAB, window: int = WINDOW) -> DataSpec:
    return DataSpec("text", (window,), "tokens", vocab=vocab)


@torch.no_grad()
def test_gpt_is_gpt2() -> None:
    """Weights of transformers' GPT-2, random and large enough that every part matters, give the same logits in ours."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=VOCAB + 1, n_positions=WINDOW, n_embd=16, n_layer=3, n_head=2)
    theirs = GPT2LMHeadModel(config).eval()
    for p in theirs.parameters():
        p.normal_(std=0.3)
    ours, weights = GPT(text(), layers=3, heads=2, width=16).eval(), theirs.transformer
    ours.read.weight.copy_(weights.wte.weight)
    net: Any = ours.net
    net.positions.weight.copy_(weights.wpe.weight)
    net.norm.load_state_dict(weights.ln_f.state_dict())
    for mine, block in zip(net.blocks, weights.h, strict=True):
        mine.norm1.load_state_dict(block.ln_1.state_dict())
        mine.norm2.load_state_dict(block.ln_2.state_dict())
        pairs = [
            (mine.qkv, block.attn.c_attn), (mine.out, block.attn.c_proj),
            (mine.up, block.mlp.c_fc), (mine.down, block.mlp.c_proj),
        ]  # fmt: skip
        for linear, conv in pairs:  # which holds its matrix the other way round
            linear.weight.copy_(conv.weight.T)
            linear.bias.copy_(conv.bias)
    x = torch.randint(VOCAB, (4, WINDOW))
    torch.testing.assert_close(ours(x)[0], theirs(x).logits[..., :VOCAB], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("groups", [1, 2, 4])
@torch.no_grad()
def test_llama_is_llama(groups: int) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=groups, max_position_embeddings=WINDOW, rms_norm_eps=1e-5,
    )  # fmt: skip
    theirs = LlamaForCausalLM(config).eval()
    for p in theirs.parameters():
        p.normal_(std=0.3)
    ours = Llama(text(), layers=2, heads=4, groups=groups, width=32, hidden=24).eval()
    net: Any = ours.net
    ours.read.weight[:VOCAB] = theirs.model.embed_tokens.weight
    assert ours.write is not None
    ours.write.weight.copy_(theirs.lm_head.weight)
    ours.write.bias.zero_()
    net.norm.weight.copy_(theirs.model.norm.weight)
    for mine, block in zip(net.blocks, theirs.model.layers, strict=True):
        heads = (block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj)
        mine.qkv.weight.copy_(torch.cat([part.weight for part in heads]))
        mine.out.weight.copy_(block.self_attn.o_proj.weight)
        mine.gate_up.weight.copy_(torch.cat([block.mlp.gate_proj.weight, block.mlp.up_proj.weight]))
        mine.down.weight.copy_(block.mlp.down_proj.weight)
        mine.norm1.weight.copy_(block.input_layernorm.weight)
        mine.norm2.weight.copy_(block.post_attention_layernorm.weight)
    x = torch.randint(VOCAB, (4, WINDOW))
    torch.testing.assert_close(ours(x)[0], theirs(x).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", [GPT, Llama])
@torch.no_grad()
def test_what_is_remembered_in_blocks_is_all(family: Any) -> None:
    """Step by step over several blocks of a cache, behind a prompt that ends within one, as at once."""
    torch.manual_seed(0)
    window = 3 * Cache.BLOCK + 5
    model = family(text(window=window), layers=2, heads=2, width=16).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.5)
    x = torch.randint(VOCAB, (2, window))
    whole, _ = model(x)
    out, cache = model(x[:, :7], model.net.begin())
    found = [out]
    for step in x[:, 7:].unbind(1):
        out, cache = model.step(step, cache)
        found.append(out[:, None])
    torch.testing.assert_close(torch.cat(found, dim=1), whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 3, 4, 7, 16])
@pytest.mark.parametrize("known", [0, 5])
@pytest.mark.parametrize("band", [0, 1, 4, 100])
def test_a_band_is_a_mask(steps: int, known: int, band: int) -> None:
    """In blocks, step by step or on a past: as attention through the mask that says it plainly."""
    q, k, v = (torch.randn(2, 4, n, 8) for n in (steps, steps + known, steps + known))
    back = torch.arange(known, known + steps)[:, None] - torch.arange(known + steps)
    mask = (back >= 0) & (back < (band or 1000))
    expected = F.scaled_dot_product_attention(q, k, v, mask)
    torch.testing.assert_close(attend(q, k, v, band=band), expected)


def test_grouped_queries_share_keys_and_values() -> None:
    q, k, v = torch.randn(2, 4, 6, 8), torch.randn(2, 2, 6, 8), torch.randn(2, 2, 6, 8)
    wide = [x.repeat_interleave(2, dim=1) for x in (k, v)]
    for band in (0, 2):
        torch.testing.assert_close(attend(q, k, v, band=band), attend(q, *wide, band=band))


def test_rotations_tell_how_far_apart_two_places_are() -> None:
    """Of two vectors turned by their places, the product rests on the distance alone."""

    q, k = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def product(m: int, n: int) -> float:
        return float((rotated(q, rotations(m, 1, 8, 1e4, CPU)) * rotated(k, rotations(n, 1, 8, 1e4, CPU))).sum())

    assert product(7, 3) == pytest.approx(product(100_004, 100_000), rel=1e-4)
    assert product(7, 3) != pytest.approx(product(7, 4), rel=1e-2)


def test_gpt_small_has_the_published_size() -> None:
    """GPT-2 small: 124,439,808 parameters with 50,257 tokens and 1,024 positions; ours has one start token more."""
    with torch.device("meta"):
        model = GPT(text(50257, 1024), **registry.get("generators", "gpt").presets["paper"])
    assert sum(p.numel() for p in model.parameters()) == 124_439_808 + 768


@pytest.mark.parametrize("name", GPT3)
def test_gpt3_has_the_published_sizes(name: str) -> None:
    """As table 2.1 names them, in millions and billions."""
    with torch.device("meta"):
        model = GPT(text(50257, 2048), **registry.get("generators", "gpt").presets[name])
    count = sum(p.numel() for p in model.parameters())
    assert count == pytest.approx(float(name[:-1]) * {"M": 1e6, "B": 1e9}[name[-1]], rel=0.05)


def test_llama_7b_has_the_published_size() -> None:
    """6,738,415,616 with 32,000 tokens; ours has a start token and a bias of the output more."""
    with torch.device("meta"):
        model = Llama(text(32000, 2048), **registry.get("generators", "llama").presets["paper"])
    assert sum(p.numel() for p in model.parameters()) == 6_738_415_616 + 4096 + 32000


@torch.no_grad()
def test_past_the_window_half_of_it_is_read_again() -> None:
    """The token after a full window is what the newer half of it makes likely, and so is each after that."""
    model = opinionated(GPT)
    found = torch.stack(list(itertools.islice(model.stream(torch.tensor([1]), stream(0, "s")), 30)))
    everything = torch.cat([model.head.start(1, CPU), torch.tensor([1]), found])
    for n in range(2, len(everything)):  # steps known
        newer = n - 1 if n <= WINDOW else WINDOW // 2 + (n - WINDOW - 1) % (WINDOW - WINDOW // 2)
        out, _ = model(torch.cat([everything[:1], everything[n - newer : n]])[None])
        assert int(out[0, -1].argmax()) == int(everything[n]), n


@torch.no_grad()
def test_past_the_window_the_oldest_is_written_over() -> None:
    """As attention in a band of the window's width over the whole text."""
    model = opinionated(Llama, beyond="slide")
    found = torch.stack(list(itertools.islice(model.stream(torch.arange(20) % VOCAB, stream(0, "s")), 30)))
    everything = torch.cat([model.head.start(1, CPU), torch.arange(20) % VOCAB, found])
    net: Any = model.net
    h, turns = model.read(everything[None]), rotations(0, len(everything), net.size, net.base, CPU)
    for block in net.blocks:
        block.causal = False
    back = torch.arange(len(everything))[:, None] - torch.arange(len(everything))
    sees = (back >= 0) & (back < WINDOW)
    for block in net.blocks:
        h = block(h, turns, sees=sees)
    assert model.write is not None
    expected = model.write(net.norm(h))[0].argmax(-1)
    assert expected[20:-1].tolist() == found.tolist()


@torch.no_grad()
def test_llama_reads_half_of_the_window_again_too() -> None:
    model = opinionated(Llama)
    found = torch.stack(list(itertools.islice(model.stream(torch.arange(30) % VOCAB, stream(0, "s")), 3)))
    seen = torch.cat([model.head.start(1, CPU), torch.arange(30)[-WINDOW // 2 :] % VOCAB])
    for token in found:
        assert int(model(seen[None])[0][0, -1].argmax()) == int(token)
        seen = torch.cat([seen, token[None]])


def opinionated(family: Any, **params: Any) -> Any:
    """A model of a window of 12 tokens that follows the likeliest path."""
    torch.manual_seed(1)
    model = family(text(), layers=2, heads=2, width=16, temperature=1e-4, **params).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return model


def test_an_image_has_no_stop() -> None:
    with pytest.raises(Unsupported, match="an image ends at its last pixel"):
        ImageGPT(DataSpec("image", (1, 4, 4), "binary"), stop=(1,), layers=1, heads=1, width=8)


def test_widths_that_cannot_be_are_refused() -> None:
    spec = made_up("text").spec
    with pytest.raises(GenbenchError, match=r"width = 10 must be a multiple of heads = 4"):
        GPT(spec, width=10, heads=4)
    with pytest.raises(GenbenchError, match=r"width = 12 must be a multiple of twice heads = 4"):
        Llama(spec, width=12, heads=4)
    with pytest.raises(GenbenchError, match=r"heads = 4 must be a multiple of groups = 3"):
        Llama(spec, width=16, heads=4, groups=3)


def test_a_long_text_costs_a_band_no_more_than_its_length() -> None:
    """Numbers multiplied in attention, counted: in a band they grow with the text, else with its square."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    def flops(steps: int, band: int) -> int:
        q = torch.randn(1, 1, steps, 8)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            attend(q, q, q, band=band)
        return int(counter.get_total_flops())

    assert flops(512, 16) == 2 * flops(256, 16) and flops(512, 0) == 4 * flops(256, 0)
    assert math.isclose(flops(512, 16) / flops(512, 0), 32 / 512)


def test_padding_of_a_batch_is_not_read() -> None:
    """A short text among long ones is scored as alone."""
    for family in (GPT, Llama):
        model = opinionated(family)
        x = torch.randint(VOCAB, (2, WINDOW))
        short = model.log_prob(Batch(x[:1, :5]))
        padded = model.log_prob(Batch(x, lengths=torch.tensor([5, WINDOW])))
        torch.testing.assert_close(padded[:1], short, atol=1e-5, rtol=1e-5)
