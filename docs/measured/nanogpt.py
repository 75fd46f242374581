"""A run on Tiny Shakespeare scored as nanoGPT scores: what of a difference is protocol, and what is training.

    genbench run shakespeare --set datasets.tinyshakespeare.window=65 --set datasets.tinyshakespeare.valid=0.0001 \\
        --out runs/nanogpt
    python docs/measured/nanogpt.py runs/nanogpt

nanoGPT trains on the first 90 % of the text and takes its loss on windows of as many characters as its context has,
from random places of the rest, each of whose predictions sees one character or more; it prints a mean over some of
them. Here it is the mean over windows of the suite's length, which is one more, one from every eighth place, whose
first character is given. Beside it stands what genbench reports, which also predicts the first of each window, from
nothing; and first of all what ``ngram`` gets in the same windows. The suite shakespeare_gpu is scored in the same way,
on a GPU where there is one.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import Batch, Sequential, read_records
from bench.engine.checkpoint import restore
from bench.registry import registry
from generators.ngram import NGram

AT_ONCE = 512
EVERY = 8


@torch.no_grad()
def nanogpt_nats(model: Sequential, tokens: Tensor, window: int) -> float:
    """Mean nats a character over windows of a stream ``(tokens,)``, the first character of each given."""
    windows = tokens.unfold(0, window, EVERY)
    parts = [model.step_log_prob(Batch(rows))[0][:, 1:].sum() for rows in windows.split(AT_ONCE)]
    return -float(torch.stack(parts).sum()) / (windows.shape[0] * (window - 1))


def data_of(plan: Any) -> Any:
    return registry.get("datasets", plan.source or plan.dataset).make(**plan.options or {})


def counts(data: Any) -> None:
    """The yardstick, which is counted anew."""
    model, tokens, window = NGram(data), data.tokens("test"), data.spec.shape[0]
    windows = Batch(tokens[: len(tokens) // window * window].view(-1, window))
    ours, whole = (-float(model.step_log_prob(batch)[0].mean()) for batch in (windows, Batch(tokens[None])))
    theirs = nanogpt_nats(model, tokens, window)
    print(f"ngram: {theirs:.3f} nats a character as nanoGPT scores, {ours:.3f} as genbench, {whole:.4f} stateful")


def main(out: Path) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    records = [record for record in read_records(out)[0] if not record.plan.control]
    if not records:
        sys.exit(f"{out} holds no record of a model: run the suite first")
    counts(data_of(records[0].plan))
    for record in records:
        plan, checkpoint = record.plan, out / "checkpoints" / f"{record.training_id}.safetensors"
        bits = [m.value for m in record.measurements if m.metric == "bits_per_char" and m.value is not None]
        if not checkpoint.exists() or not bits:
            print(f"{plan.generator}: left out, it has no {'bits_per_char' if checkpoint.exists() else checkpoint}")
            continue
        data = data_of(plan)
        model = registry.get("generators", plan.family).make(data.spec, **plan.params)
        restore(checkpoint, model, training=False)
        if not isinstance(model.eval().to(device), Sequential):
            continue
        theirs = nanogpt_nats(model, data.tokens("test").to(device), data.spec.shape[0])
        ours = bits[0] * math.log(2)
        print(f"{plan.generator}: {theirs:.3f} nats a character as nanoGPT scores, {ours:.3f} as genbench", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
