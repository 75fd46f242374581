"""What autoregressive families share: scoring a sequence and drawing from next-token logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def each_log_prob(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x_t | x_<t) in nats, ``(batch, tokens)`` float64; logits ``(batch, tokens, vocab)`` predict ``x``."""
    log_p = F.log_softmax(logits.float(), dim=-1)
    return log_p.gather(-1, x[..., None]).squeeze(-1).double()


def draw(logits: Tensor, u: Tensor, temperature: float) -> Tensor:
    """Next tokens by inversion of the cumulative distribution at ``u`` in [0, 1), ``(batch,)``.

    Inversion rather than torch.multinomial, so that a sequence depends on its own draws and not on its neighbours'.
    """
    p = F.softmax(logits.double() / temperature, dim=-1)
    cumulative = p.cumsum(-1)
    u = u.to(cumulative.device, torch.float64)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, u, right=True).squeeze(1).clamp(max=logits.shape[-1] - 1)


def draw_sequences(
    model: Callable[[Tensor, Any], tuple[Tensor, Any]], start: int, u: Tensor, temperature: float
) -> Tensor:
    """Sequences token by token, ``(n, tokens)``, from uniform draws ``u`` of that shape on the model's device.

    model: maps ``(n, 1)`` tokens and its state (None at first) to logits ``(n, 1, vocab)`` and the next state.
    """
    token, state = torch.full((len(u),), start, device=u.device), None
    tokens = []
    for column in u.unbind(1):
        logits, state = model(token[:, None], state)
        token = draw(logits[:, -1], column, temperature)
        tokens.append(token)
    return torch.stack(tokens, dim=1)


def shifted(x: Tensor, start: int) -> Tensor:
    """``x`` ``(batch, tokens)`` one place to the right behind the start token: what each prediction may see."""
    return F.pad(x[:, :-1], (1, 0), value=start)


def clip_and_step(optimiser: torch.optim.Optimizer, loss: Tensor, max_norm: float = 1.0) -> None:
    """One update with the gradient's norm limited, as is usual for recurrent nets and transformers."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    optimiser.step()
