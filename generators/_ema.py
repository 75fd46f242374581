"""An averaged copy of a net, from which families sample (Polyak & Juditsky 1992; Song & Ermon 2020, arXiv:2006.09011).

    average = averaged_copy(self.net)            in the constructor, before the model is moved anywhere
    average.update_parameters(self.net)          at the end of each training step
    average(x, ...)                              when sampling

As a submodule of the family it is in every checkpoint. It learns nothing itself, and counts as no parameter.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = list[Tensor] | tuple[Tensor, ...]


def averaged_copy(net: nn.Module, decay: float = 0.999) -> AveragedModel:
    """The exponential moving average of a net's weights; buffers, such as those of BatchNorm, are copied.

    decay: of the average at last. After n updates it is at most (1 + n) / (10 + n), or a short training would end with
    the weights that it began with.
    """

    def average(old: Tensors, new: Tensors, n: Tensor | int) -> None:
        done = int(n)
        get_ema_multi_avg_fn(min(decay, (1 + done) / (10 + done)))(old, new, n)

    copy = AveragedModel(net, multi_avg_fn=average)
    copy.requires_grad_(False)
    return copy
