"""Image pipelines that diffusers reads: ``diffusers:NAME`` of the Hub, or ``diffusers:FOLDER``.

Unconditional ones draw as they are; one that takes class labels is told which, and one that takes a text is given one
for each class, ``prompts``, or the same for all. Each image is drawn from a random stream of its own.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import DataError, DataSpec, GenbenchError, Rows, TrialError, Unsupported, decoding, fault, generator, named
from generators.loaders import _hub

# They begin at noise of what their net takes in, and take no size.
_OF_ITS_SHAPE = ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline", "ScoreSdeVePipeline", "KarrasVePipeline")


def _content(target: str, *, revision: str = "", **params: Any) -> str:
    return _hub.described(_hub.found(target, revision))


def _fits(spec: DataSpec, target: str, *, revision: str = "", **params: Any) -> None:
    """Raises DataError for no pipeline, and for one that makes images of its net's own shape where that is another."""
    folder = _hub.found(target, revision)
    index, net = folder / "model_index.json", folder / "unet" / "config.json"
    if not index.is_file():
        raise DataError(f"{named(target)} holds no pipeline that diffusers reads (it has no model_index.json)")
    with decoding(index):
        kind = json.loads(index.read_text(encoding="utf-8")).get("_class_name")
    if kind not in _OF_ITS_SHAPE or not net.is_file():
        return
    with decoding(net):
        about = json.loads(net.read_text(encoding="utf-8"))
        size = about.get("sample_size")
        shape = about.get("in_channels"), *([size, size] if isinstance(size, int) else size or ())
    if len(shape) == len(spec.shape) and shape != spec.shape:
        raise DataError(f"{named(target)} makes {shape}, and the data is {spec.shape}")


@generator(
    "diffusers:",
    modalities={"image"},
    presets={"test": {}},
    sampling={"steps", "guidance", "prompts", "arguments"},
    content=_content,
    fits=_fits,
)
class Pipeline(nn.Module):
    """A pipeline as diffusers saves it.

    steps, guidance: as the pipeline has them where they are left out.  prompts: of one that takes a text, one for each
    class of the data in the order of labels, or one for all.  arguments: what else its call is given.
    revision: a branch, tag or commit of the Hub.  dtype: of its weights.
    trust_remote_code: whether code that comes with the pipeline may run.
    Raises DataError for what diffusers does not read, Unsupported for classes that the data has not.
    """

    def __init__(
        self,
        spec: DataSpec,
        target: str,
        *,
        steps: PositiveInt | None = None,
        guidance: PositiveFloat | None = None,
        prompts: tuple[str, ...] = (),
        arguments: Mapping[str, Any] | None = None,
        revision: str = "",
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__()
        folder = _hub.found(target, revision)
        with _hub.library("diffusers", "diffusers"):
            import diffusers
            from diffusers.utils import logging

            kind: Any = diffusers.DiffusionPipeline
        with _hub.reading(target, "pipeline that diffusers reads", logging):
            self.pipeline: Any = kind.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code, dtype=getattr(torch, dtype)
            )
        self.pipeline.set_progress_bar_config(disable=True)
        parts = {name: part for name, part in self.pipeline.components.items() if isinstance(part, nn.Module)}
        self.parts = nn.ModuleDict(parts).eval().requires_grad_(False)
        self.takes = inspect.signature(self.pipeline.__call__).parameters
        labelled, told = "class_labels" in self.takes, "prompt" in self.takes
        self.target, self.spec, self.evaluated = target, spec, 0
        self.prompts = tuple(prompts) or (spec.captions or () if told else ())
        self.conditional = labelled or (told and len(self.prompts) > 1)
        net = parts.get("unet", parts.get("transformer"))
        known = getattr(net, "config", {}).get("num_embeds_ada_norm") if labelled else len(self.prompts)
        if self.conditional and known != spec.classes:
            raise Unsupported(f"the data has {spec.classes or 'no'} classes, and this makes {known}")
        if told and not self.prompts:
            raise DataError(f"{named(target)} makes images of a text: say with prompts = [...] of which")
        self.given = {**(arguments or {}), "output_type": "np"}
        self.given |= {} if steps is None else {"num_inference_steps": steps}
        self.given |= {} if guidance is None else {"guidance_scale": guidance}
        self.given |= {
            side: n for side, n in zip(("height", "width"), spec.shape[1:], strict=True) if side in self.takes
        }
        if unknown := {*self.given} - {*self.takes}:
            raise GenbenchError(f"{named(target)} ({type(self.pipeline).__name__}) takes no {min(unknown)}")
        if net is not None:
            net.register_forward_pre_hook(self._count, with_kwargs=True)

    @property
    def nfe(self) -> int:
        """Evaluations of its net for each image, counted when the last was made; 0 before the first."""
        return self.evaluated

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """``(n, *shape)`` in [-1, 1]. Raises TrialError for images of another shape than the data's."""
        rows = Rows(rng, n)
        told: dict[str, Any] = {}
        if self.conditional:
            labels = rows.labels(self.spec.classes or 1, condition).tolist()
            told = {"prompt": [self.prompts[i] for i in labels]} if self.prompts else {"class_labels": labels}
        elif "prompt" in self.takes:
            told = {"prompt": list(self.prompts) * n}
        else:
            told = {"batch_size": n}
        self.rows, self.evaluated = n, 0
        torch.manual_seed(int(rows.labels(2**31)[0]))  # schedulers that draw without the generators they are handed
        try:
            made = self.pipeline(**self.given, **told, generator=rows.streams)
        except (TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise TrialError(f"{named(self.target)} ({type(self.pipeline).__name__}): {fault(error)}") from error
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            raise TrialError(f"{named(self.target)}: its safety checker made images black, which are no samples of it")
        x = torch.as_tensor(made.images).permute(0, 3, 1, 2)
        if tuple(x.shape) != (n, *self.spec.shape):
            raise TrialError(f"{named(self.target)} makes {tuple(x.shape[1:])}, and the data is {self.spec.shape}")
        return 2 * x.float() - 1

    def _count(self, net: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Of guidance, which reads each image twice in one call, both are counted."""
        tensors = (part for part in (*given, *named.values()) if isinstance(part, Tensor) and part.ndim > 1)
        self.evaluated += len(next(tensors)) // self.rows
