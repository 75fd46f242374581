"""GPT: a decoder-only transformer (Radford et al. 2019, "Language models are unsupervised multitask learners"; Brown
et al. 2020, arXiv:2005.14165).

    h_0 = E x + P,    h_l' = h_{l-1} + attention(norm(h_{l-1})),    h_l = h_l' + mlp(norm(h_l')),
    p(x_t | x_<t) = softmax(E norm(h_L))

Normalisation stands before each block (pre-norm), positions are learned, of tokens the output's embeddings are the
input's, and projections into the residual stream start smaller by 1/sqrt(2 layers). GPT-3 is the same net, but for
every second layer, which may look back on a band alone.
"""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import nn

from bench import DataSpec, GenbenchError, Presets, generator
from generators._autoregressive import SEQUENCES, Autoregressive, Raster, Sequence
from generators._drawing import SAMPLING
from generators._transformer import Blocks

# GPT-3's table 2.1. Its 1.3B has 24 heads of 128 there and its 13B a width of 5,140, neither of which can be: 16 heads
# and 5,120 are meant. The band's width is not published; 256 is that of GPT-Neo.
GPT3: Presets = {
    "125M": {"layers": 12, "width": 768, "heads": 12, "lr": 6e-4},
    "350M": {"layers": 24, "width": 1024, "heads": 16, "lr": 3e-4},
    "760M": {"layers": 24, "width": 1536, "heads": 16, "lr": 2.5e-4},
    "1.3B": {"layers": 24, "width": 2048, "heads": 16, "lr": 2e-4},
    "2.7B": {"layers": 32, "width": 2560, "heads": 32, "lr": 1.6e-4},
    "6.7B": {"layers": 32, "width": 4096, "heads": 32, "lr": 1.2e-4},
    "13B": {"layers": 40, "width": 5120, "heads": 40, "lr": 1e-4},
    "175B": {"layers": 96, "width": 12288, "heads": 96, "lr": 0.6e-4},
}
PRESETS: Presets = {
    "test": {"layers": 2, "heads": 2, "width": 16, "lr": 5e-3},
    "tiny": {"layers": 2, "heads": 4, "width": 96, "lr": 5e-3, "weight_decay": 0.0},
    "paper": {"layers": 12, "heads": 12, "width": 768, "dropout": 0.1, "lr": 6e-4, "weight_decay": 0.1},  # GPT-2 small
    **{name: {**size, "band": 256, "weight_decay": 0.1, "warmup": 0.001} for name, size in GPT3.items()},
}

PIXELS: Presets = {
    "test": {"layers": 2, "heads": 2, "width": 16, "lr": 5e-3},
    "tiny": {"layers": 2, "heads": 4, "width": 64, "lr": 5e-3},
    "paper": {"layers": 24, "heads": 8, "width": 512, "lr": 3e-3, "weight_decay": 0.01},  # iGPT-S, 32x32
}


class Decoder(Autoregressive):
    """The net of both, over the steps of a sequence or the values of an image.

    layers, heads: of attention; width: of the residual stream, a multiple of heads. dropout: of embeddings, of
    attention and of what goes back into the stream. band: every second layer sees so many steps and no more, itself the
    last (arXiv:1904.10509); 0 = all see all.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        layers: PositiveInt = 4,
        heads: PositiveInt = 4,
        width: PositiveInt = 128,
        band: NonNegativeInt = 0,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        **rest: Any,
    ) -> None:
        if width % heads:
            raise GenbenchError(f"width = {width} must be a multiple of heads = {heads}")
        (window, *_) = self.sequence(spec).shape
        super().__init__(spec, Blocks(window, layers, heads, width, band, dropout), **rest)
        nn.init.normal_(self.read.weight, std=0.02)


@generator("gpt", modalities=SEQUENCES, paper="arXiv:2005.14165", presets=PRESETS, sampling=SAMPLING)
class GPT(Decoder, Sequence):
    """Decoder-only transformer with learned positions.

    What is streamed past the window is handled by re-reading half of it.
    """


@generator(
    "image_gpt", modalities={"image"}, paper="PMLR 119:1691-1703", presets=PIXELS, sampling=SAMPLING - {"stop"},
)  # fmt: skip
class ImageGPT(Decoder, Raster):
    """The same net over the values of an image, one after the other.

    Each is a token of as many as there are levels, where the paper has a palette (Chen et al. 2020, "Generative
    pretraining from pixels"), so that bits per dimension are those of the image itself.
    """
