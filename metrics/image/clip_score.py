"""CLIPScore: how well a picture fits its prompt (Hessel et al. 2021, arXiv:2104.08718, section 3).

    100 mean max(cos(image, text), 0)

The paper scales by w = 2.5, so its values are these divided by 40; the factor 100 is what torchmetrics and papers on
text-to-image models print. Each pair is cut at 0, as in the paper; torchmetrics cuts the mean, which is the same
unless a pair points away from each other. Values depend on the CLIP and do not compare across CLIPs.

Its text side comes from ``transformers`` and a local folder, GENBENCH_CLIP; nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import (
    Comparison,
    DataError,
    Estimate,
    GenbenchError,
    Omitted,
    Pictures,
    alive,
    bounded_interval,
    content_hash,
    decoding,
    locate,
    metric,
    sha256,
)
from metrics._arrays import Array
from metrics.extractors._image import CHUNK, CLIP, exact_arithmetic, frozen, normalise
from metrics.extractors._resize import centre_crop, shorter_side
from metrics.extractors._weights import shown

SCALE = 100
FOLDER = "GENBENCH_CLIP"
PARTS = (".json", ".safetensors", ".txt")  # of the folder: settings, weights, vocabulary


def clip_score(images: Array, texts: Array) -> Estimate:
    """In [0, 100], with an interval over pairs; row i of one belongs to row i of the other, both ``(n, D)``.

    No interval from one pair. Raises GenbenchError for unequal shapes, NaN or infinity, or a row of zeros.
    """
    x, y = _directions(images, "image"), _directions(texts, "text")
    if x.shape != y.shape:
        raise GenbenchError(f"each image needs its text: {tuple(x.shape)} and {tuple(y.shape)} are no pairs")
    scores = SCALE * (x * y.to(x.device)).sum(1).clamp(0, 1)
    value, n = float(scores.mean()), len(scores)
    error = float(scores.std()) / n**0.5 if n > 1 else None
    method = "Wilson, effective trials over pairs"
    interval = None if error is None else bounded_interval(value, error, n, method, hi=SCALE)
    return Estimate(value=value, n=n, interval=interval, protocol={"scale": SCALE, "cut_at_0": "each pair"})


def _directions(embeddings: Array, what: str) -> Tensor:
    """Rows of length 1, float64."""
    x = torch.as_tensor(embeddings).double()
    if x.ndim != 2 or not x.numel():
        raise GenbenchError(f"{what} embeddings must be (n, D) with n and D of at least 1, got {tuple(x.shape)}")
    lengths = x.norm(dim=1, keepdim=True)
    if not torch.isfinite(lengths).all() or not lengths.all():
        raise GenbenchError(f"{what} embeddings hold NaN, infinity or a row of zeros")
    directions: Tensor = x / lengths
    return directions


@metric(
    "clip_score",
    on={"image"},
    aspect="relevance",
    unit="1",
    better="higher",
    least=0,
    most=100,
    locate=lambda: str(folder()),
    paper="arXiv:2104.08718",
)
def clip_score_of(c: Comparison) -> Estimate:
    """How well pictures fit the prompts they were made for, by CLIP, 0 to 100."""
    prompts, images = c.prompts, c.images(c.prompted)
    if len(prompts) != len(images):
        raise GenbenchError(f"each image needs its prompt: {len(images)} images, {len(prompts)} prompts")
    if isinstance(images, Tensor) and images.shape[1] not in (1, 3):
        raise Omitted(f"CLIP reads grey or RGB; these images have {images.shape[1]} channels")
    clip = PairEncoder(folder(), c.device)
    estimate = clip_score(*clip.encode(images, prompts))
    asked = {"prompts": f"sha256:{content_hash(prompts)[:16]}"}
    return estimate.model_copy(update={"protocol": {**estimate.protocol, **clip.protocol, **asked}})


def folder() -> Path:
    """Where CLIP is. Raises Omitted with the way to get it."""
    try:
        return locate(locate(os.environ.get(FOLDER, "")) / "config.json").parent
    except DataError as error:
        raise Omitted(
            f"needs a CLIP: set {FOLDER} to a folder with one as transformers saves it "
            "(config.json, model.safetensors, tokenizer); openai/clip-vit-large-patch14 is the usual one"
        ) from error


class PairEncoder:
    """Both towers of a CLIP that transformers saved in a folder.

    Pictures: shorter side by Pillow's antialiased bicubic on bytes, square in the middle, CLIP's mean and deviation
    (or those in preprocessor_config.json). Prompts: cut to what the text tower can read, 77 tokens for OpenAI's.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        model, self.tokenizer = _load(path)
        self.device, self.model = device, frozen(model).to(device)
        self.side: int = model.config.vision_config.image_size
        self.length: int = model.config.text_config.max_position_embeddings
        self.statistics = _statistics(path)
        self.protocol = {
            "clip": f"sha256:{_digest(path)}",
            "resize": f"pil-bicubic-{self.side} centre-crop-{self.side}",
            "tokens": self.length,
        }

    @torch.no_grad()
    def encode(self, images: Tensor | Pictures, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """uint8 ``(n, 1 or 3, H, W)``, or pictures of any size, and n prompts to two ``(n, D)``, float32 on the CPU."""
        left, right = list[Tensor](), list[Tensor]()
        with exact_arithmetic(self.device):
            for at in alive(range(0, len(prompts), CHUNK)):
                some, texts = images[at : at + CHUNK], list(prompts[at : at + CHUNK])
                one_size = [some] if isinstance(some, Tensor) else [image[None] for image in some]
                words = self.tokenizer(
                    texts, padding=True, truncation=True, max_length=self.length, return_tensors="pt"
                )
                found = self.model(
                    input_ids=words["input_ids"].to(self.device),
                    attention_mask=words["attention_mask"].to(self.device),
                    pixel_values=torch.cat([self.pixels(part.to(self.device)) for part in one_size]),
                )
                left.append(found.image_embeds.cpu())
                right.append(found.text_embeds.cpu())
        return torch.cat(left), torch.cat(right)

    def pixels(self, images: Tensor) -> Tensor:
        """What the image tower reads, float32 ``(n, 3, side, side)``."""
        return normalise(centre_crop(shorter_side(images, self.side, "bicubic"), self.side), self.statistics)


def _load(path: Path) -> tuple[Any, Any]:
    """Model and tokenizer. Raises Omitted where transformers is missing, DataError for a folder that holds no CLIP."""
    try:
        from transformers import AutoTokenizer, CLIPModel  # seconds to import, so only when it is used
    except ImportError as error:
        raise Omitted('needs transformers; pip install "genbench[text]"') from error
    with decoding(f"CLIP in {shown(path)}"):
        model = CLIPModel.from_pretrained(path, local_files_only=True, use_safetensors=True)
        return model, AutoTokenizer.from_pretrained(path, local_files_only=True)


def _statistics(path: Path) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and deviation of the channels. Raises DataError for a file that says neither."""
    file = path / "preprocessor_config.json"
    if not file.is_file():
        return CLIP
    with decoding(shown(file)):
        said = json.loads(file.read_text())
        mean = [float(x) for x in said.get("image_mean", CLIP[0])]
        deviation = [float(x) for x in said.get("image_std", CLIP[1])]
    if len(mean) != 3 or len(deviation) != 3:
        raise DataError(f"{shown(file)} must give three means and three deviations")
    return mean, deviation


def _digest(path: Path) -> str:
    """SHA-256 over names and contents of all that decides the embeddings."""
    files = sorted(file for file in path.iterdir() if file.suffix in PARTS)
    return hashlib.sha256("".join(f"{file.name} {sha256(file)}\n" for file in files).encode()).hexdigest()
