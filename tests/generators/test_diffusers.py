"""Image pipelines that diffusers reads, drawn as they draw by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import bench
from bench import DataError, DataSpec, TrialError, Unsupported
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.engine.worker import run_trial
from bench.registry import registry
from bench.streams import stream
from bench.testing._models import make, same, sampled
from bench.testing.made_up import made_up

GREY = made_up(DataSpec("image", (1, 8, 8), "continuous", classes=10))
COLOUR = made_up(DataSpec("image", (3, 8, 8), "continuous", classes=10))
OF_A_THOUSAND = made_up(DataSpec("image", (3, 8, 8), "continuous", classes=1000))
SMALL: dict[str, Any] = {
    "block_out_channels": (8, 8), "layers_per_block": 1, "norm_num_groups": 4,
}  # fmt: skip


def unconditional(folder: Path, channels: int = 1, size: int = 8) -> Path:
    from diffusers import DDIMScheduler, DDPMPipeline, UNet2DModel

    torch.manual_seed(0)
    blocks: dict[str, Any] = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    net = UNet2DModel(sample_size=size, in_channels=channels, out_channels=channels, **SMALL, **blocks)
    made: Any = DDPMPipeline(net, DDIMScheduler(num_train_timesteps=20))
    made.save_pretrained(folder)
    return folder


def autoencoder() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        latent_channels=4, down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        sample_size=8, **SMALL,
    )  # fmt: skip


def of_classes(folder: Path) -> Path:
    from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    torch.manual_seed(0)
    net: Any = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=4,
        patch_size=2, num_embeds_ada_norm=1000,
    )  # fmt: skip
    for p in net.parameters():  # untrained it is told the class, and does not heed it yet
        torch.nn.init.normal_(p, std=0.2)
    made: Any = DiTPipeline(net, autoencoder(), DDIMScheduler(num_train_timesteps=20))
    made.save_pretrained(folder)
    return folder


def of_texts(folder: Path) -> Path:
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz ", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = {token: i for i, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokeniser = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    ends: dict[str, Any] = {"bos_token_id": vocabulary["<|startoftext|>"], "eos_token_id": vocabulary["<|endoftext|>"]}
    reader = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=16, pad_token_id=0, **ends,
    ))  # fmt: skip
    net = UNet2DConditionModel(
        sample_size=4, cross_attention_dim=16, attention_head_dim=2, **SMALL,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    made: Any = StableDiffusionPipeline(
        vae=autoencoder(), text_encoder=reader, tokenizer=tokeniser, unet=net, safety_checker=None,
        scheduler=DDIMScheduler(num_train_timesteps=20, steps_offset=1, clip_sample=False), feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    made.save_pretrained(folder)
    return folder


def loaded(folder: Path, data: Any = GREY, **params: Any) -> Any:
    return make(registry.get("generators", f"diffusers:{folder}"), data, **params)


def test_it_draws_what_the_pipeline_draws(tmp_path: Path) -> None:
    model = loaded(unconditional(tmp_path), steps=3)
    rows = bench.Rows(stream(0, "sample"), 1)
    rows.uniform()  # of what the global generator is seeded by
    (row,) = rows.streams
    model.rows = 1
    made = model.pipeline(generator=row, num_inference_steps=3, output_type="np").images
    torch.testing.assert_close(sampled(model, [1]).data[0, 0], torch.as_tensor(made)[0, :, :, 0] * 2 - 1)
    assert model.nfe == 3


@pytest.mark.parametrize("kind", ["unconditional", "of classes", "of texts"])
def test_a_sample_does_not_depend_on_its_batch(kind: str, tmp_path: Path) -> None:
    if kind == "unconditional":
        model = loaded(unconditional(tmp_path), steps=3)
    elif kind == "of classes":
        model = loaded(of_classes(tmp_path), OF_A_THOUSAND, steps=3)
    else:
        model = loaded(of_texts(tmp_path), COLOUR, steps=3, prompts=["a cat"])
    assert same(sampled(model, [5]), sampled(model, [1, 2, 2]), atol=1e-4, rtol=1e-3)
    assert not same(sampled(model, [3], 0), sampled(model, [3], 1))
    assert model.nfe == (3 if kind == "unconditional" else 6)  # guidance reads each image twice


@pytest.mark.parametrize("kind", ["of classes", "of texts"])
def test_it_makes_what_it_is_told_to(kind: str, tmp_path: Path) -> None:
    prompts = [f"{letter} cat" for letter in "abcdefghij"]
    model = (
        loaded(of_classes(tmp_path), OF_A_THOUSAND, steps=3)
        if kind == "of classes"
        else loaded(of_texts(tmp_path), COLOUR, steps=3, prompts=prompts)
    )
    assert model.conditional
    one, same_one, other = (
        sampled(model, [2], labels=torch.tensor(labels)).data for labels in ([3, 4], [3, 7], [3, 7])
    )
    torch.testing.assert_close(one[0], same_one[0], atol=1e-4, rtol=1e-3)
    assert not torch.allclose(one[1], other[1], atol=1e-4)


def test_it_stands_on_a_board(tmp_path: Path) -> None:
    metrics = ["kid_lenet", "nfe", "parameters", "sample_throughput"]
    digits = registry.get("datasets", "digits").make()
    table = {
        "metrics": metrics, "controls": False, "budget": {"samples": 60}, "datasets": {"digits": {}},
        "generators": {"theirs": {"family": f"diffusers:{unconditional(tmp_path / 'p')}", "steps": 2}},
    }  # fmt: skip
    assert digits.spec.shape == (1, 8, 8)
    (plan,) = plan_trials(check_suite(table, "test"), "cpu")
    found = run_trial(plan, tmp_path)
    assert {m.metric for m in found.measurements} == set(metrics), found.omitted
    assert {m.metric: m.value for m in found.measurements}["nfe"] == 2
    assert found.plan.read and "unet/diffusion_pytorch_model.safetensors sha256:" in found.plan.read


class TestWrong:
    def test_images_of_another_size(self, tmp_path: Path) -> None:
        with pytest.raises(TrialError, match=r"makes \(1, 16, 16\), and the data is \(1, 8, 8\)"):
            sampled(loaded(unconditional(tmp_path, size=16), steps=1), [1])

    def test_what_its_files_tell_is_told_before_anything_is_trained(self, tmp_path: Path) -> None:
        unconditional(tmp_path / "large", size=16)
        (tmp_path / "gpt2").mkdir()
        (tmp_path / "gpt2" / "config.json").write_text('{"model_type": "gpt2"}')
        fits = {name: registry.get("generators", f"diffusers:{tmp_path / name}").fits for name in ("large", "gpt2")}
        with pytest.raises(DataError, match=r"large makes \(1, 16, 16\), and the data is \(1, 8, 8\)"):
            fits["large"](GREY.spec)
        fits["large"](DataSpec("image", (1, 16, 16), "continuous"))
        with pytest.raises(DataError, match=r"gpt2 holds no pipeline .* \(it has no model_index\.json\)"):
            fits["gpt2"](GREY.spec)
        weights = tmp_path / "large" / "unet" / "diffusion_pytorch_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-10])
        with pytest.raises(DataError, match=r"unet/diffusion_pytorch_model\.safetensors: it is damaged, cut off, or"):
            fits["large"](GREY.spec)

    def test_other_classes(self, tmp_path: Path) -> None:
        with pytest.raises(Unsupported, match="the data has no classes, and this makes 1000"):
            loaded(of_classes(tmp_path / "c"), made_up(DataSpec("image", (3, 8, 8), "continuous")))
        with pytest.raises(Unsupported, match="the data has 10 classes, and this makes 2"):
            loaded(of_texts(tmp_path / "t"), COLOUR, prompts=["a cat", "a dog"])

    def test_what_a_safety_checker_made_black(self, tmp_path: Path) -> None:
        model = loaded(unconditional(tmp_path), steps=1)
        black = SimpleNamespace(images=np.zeros((1, 8, 8, 1)), nsfw_content_detected=[True])
        model.pipeline = lambda **given: black
        with pytest.raises(TrialError, match="its safety checker made images black"):
            sampled(model, [1])

    def test_no_text(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"say with prompts = \[\.\.\.\]"):
            loaded(of_texts(tmp_path), COLOUR)

    def test_what_it_does_not_take(self, tmp_path: Path) -> None:
        with pytest.raises(bench.GenbenchError, match=r"\(DDPMPipeline\) takes no guidance_scale"):
            loaded(unconditional(tmp_path), guidance=2.0)

    def test_a_folder_without_one(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no pipeline that diffusers reads"):
            loaded(tmp_path)
