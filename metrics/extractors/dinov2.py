"""DINOv2 ViT-L/14 (Oquab et al. 2023, arXiv:2304.07193), the space of FD_DINOv2 (Stein et al. 2023, arXiv:2306.04675).

Preprocessing is that of Stein et al.: Pillow's antialiased bicubic to 224 x 224 on bytes, whatever the proportions,
then ImageNet's mean and deviation. torch-fidelity's extractor of this name resizes with TensorFlow 1's aliased
bilinear, so its numbers are others. The network is written out here, so that one file of weights is all it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import Features, extractor
from metrics.extractors._image import IMAGENET, ImageExtractor, frozen, grey_or_rgb, normalise
from metrics.extractors._resize import resize
from metrics.extractors._weights import Weights, tensors

SIDE = 224
HEAD = 64  # width of one attention head, in every published size
WEIGHTS = Weights(
    name="dinov2",
    file="dinov2_vitl14_pretrain.pth",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
)


class DINOv2Extractor(ImageExtractor):
    """The class token after the last normalisation: 1,024 features; grey images are repeated to RGB."""

    def __init__(self, path: Path, weights: Weights = WEIGHTS) -> None:
        super().__init__(
            {"weights": weights.verify(path), "resize": f"pil-bicubic-{SIDE}", "normalisation": "imagenet"}
        )
        self.net = frozen(VisionTransformer.of(tensors(path)))

    def see(self, x: Tensor) -> Features:
        return Features(self.net(normalise(resize(x, (SIDE, SIDE), "bicubic"), IMAGENET)), None)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each on a normalised copy, scaled (gamma) and added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": nn.Parameter(torch.ones(width))}) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, tokens, width)``."""
        n, tokens, width = x.shape
        q, k, v = self.attn["qkv"](self.norm1(x)).view(n, tokens, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)  # (n, heads, tokens, HEAD)
        x = x + self.ls1["gamma"] * self.attn["proj"](mixed.transpose(1, 2).reshape(n, tokens, width))
        inner = F.gelu(self.mlp["fc1"](self.norm2(x)))
        grown: Tensor = x + self.ls2["gamma"] * self.mlp["fc2"](inner)
        return grown


class VisionTransformer(nn.Module):
    """DINOv2's transformer; parameters carry the names of the published files."""

    def __init__(self, width: int, depth: int, patch: int, positions: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # of training; in the files
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, stride=patch)})
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> VisionTransformer:
        """The network that fits a state dict, with its weights."""
        depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
        _, positions, width = state["pos_embed"].shape
        with torch.device("meta"):  # shapes only: weights come next, so none are drawn
            net = cls(width, depth, state["patch_embed.proj.weight"].shape[-1], positions)
        net.load_state_dict(state, assign=True)
        return net

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB ``(n, 3, H, W)``, sides multiples of the patch, to ``(n, width)``."""
        patches = self.patch_embed["proj"](x)  # (n, width, rows, columns)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = self.blocks(tokens + self._positions(*patches.shape[-2:]))
        out: Tensor = self.norm(tokens)[:, 0]
        return out

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Learned on one grid (37 x 37), resized to this one.

        The published code scales by (rows + 0.1) / 37 against rounding down, which shifts the grid a little; its
        features contain that shift.
        """
        first, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        side = round(grid.shape[1] ** 0.5)
        if (rows, columns) == (side, side):
            return self.pos_embed
        square = grid.view(1, side, side, -1).permute(0, 3, 1, 2)
        scale = ((rows + 0.1) / side, (columns + 0.1) / side)
        resized = F.interpolate(square, scale_factor=scale, mode="bicubic")
        return torch.cat([first, resized.flatten(2).transpose(1, 2)], dim=1)


@extractor("dinov2", fits=grey_or_rgb, locate=WEIGHTS.locate)
def dinov2() -> DINOv2Extractor:
    """DINOv2 ViT-L/14: 1,024 features, preprocessed as for FD_DINOv2."""
    return DINOv2Extractor(WEIGHTS.found())
