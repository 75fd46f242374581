"""Families that are told labels: they make what is asked for, and say so where nothing is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from bench import Batch, DataSpec, GenbenchError, Unsupported
from bench.datasets.digits import digits
from bench.engine.training import advance, refit
from bench.parameters import schema
from bench.registry import registry
from bench.streams import stream
from bench.testing import families_for, made_up
from bench.testing._models import CPU, make, trained
from bench.testing.made_up import specs_of

CONDITIONAL = {n: e for n, e in families_for("image").items() if getattr(e.make, "conditional", False)}
OF_ALL_KINDS = {
    name: entry
    for name, entry in registry.all("generators").items()
    if getattr(entry.make, "conditional", False) and not entry.control
}
# Those that cannot do without; of the others labels are an option.
TOLD = sorted(name for name, entry in OF_ALL_KINDS.items() if "labels" not in schema(entry.make).model_fields)


def labelled(family: str) -> DataSpec:
    """Small data with labels that a family makes."""
    specs = [*specs_of(OF_ALL_KINDS[family].modalities).values()]
    return next((spec for spec in specs if spec.classes), replace(specs[0], classes=3))


DIGITS: dict[str, dict[str, Any]] = {
    "cvae": {"latent": 8, "width": 200, "lr": 3e-3, "prior": "gmm"},
    "cvq_vae": {"codes": 20, "width": 32, "blocks": 1, "layers": 2, "prior_width": 64, "lr": 4e-3},
    "projection_gan": {"width": 32, "latent": 32, "lr": 5e-3},
    **{
        name: {**CONDITIONAL[name].presets["tiny"], "latent": 8, "width": 128, "labels": True}
        for name in ("ddpm", "edm", "flow_matching", "rectified_flow", "mean_flow", "consistency", "drifting")
    },
    "pixelcnn": {"width": 16, "layers": 2, "lr": 3e-3, "labels": True, "guidance": 1.5},
    "maskgit": {
        "levels": [5, 4], "width": 32, "blocks": 1, "layers": 2, "prior_width": 64, "lr": 4e-3, "labels": True,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(CONDITIONAL))
def test_digits_are_those_asked_for(family: str) -> None:
    """Most samples are as labelled, by their nearest neighbours among training images.

    Of held-out images 0.98 are; by chance it would be 0.1.
    """
    torch.manual_seed(0)
    data, steps = digits(), 4000
    model = registry.get("generators", family).make(data.spec, **DIGITS[family]).train()
    for step in range(steps):
        model.pace(step / steps)
        advance(model, data.train, 64, step, 0, CPU)
    refit(model, data.train, steps, 0)
    label = torch.arange(500) % 10
    made = model.eval().sample(500, stream(0, "s"), label)
    seen = data.train.batch(torch.arange(len(data.train)))
    assert seen.condition is not None
    judge = KNeighborsClassifier().fit(seen.data.flatten(1).numpy(), seen.condition.numpy())
    assert judge.score(made.flatten(1).numpy(), label.numpy()) > 0.5


@pytest.mark.parametrize("family", TOLD)
def test_what_is_not_told_is_asked_for(family: str) -> None:
    data = made_up(labelled(family))
    model, batch = trained(registry.get("generators", family), data), Batch(data.train.batch(torch.arange(4)).data)
    with pytest.raises(GenbenchError, match="is None here"):
        model.train().train_step(batch, stream(0, "train"))


@pytest.mark.parametrize("family", sorted(OF_ALL_KINDS))
def test_a_label_that_there_is_not_is_not_learned(family: str) -> None:
    """Nor taken for the one that stands for none: the next after the last is, in tables of families with guidance."""
    entry, data = OF_ALL_KINDS[family], made_up(labelled(family))
    model, batch = make(entry, data).train(), data.train.batch(torch.arange(4))
    for label, found in ((data.spec.classes, rf"0\.\.{data.spec.classes}"), (-1, r"-1\.\.2")):
        wrong = batch._replace(condition=batch.condition.clone().index_fill_(0, torch.tensor([3]), label))
        with pytest.raises(GenbenchError, match=f"these are in {found}"):
            model.train_step(wrong, stream(0, "train"))


@pytest.mark.parametrize("family", TOLD)
def test_without_labels_a_family_names_its_twin_that_needs_none(family: str) -> None:
    entry, spec = OF_ALL_KINDS[family], replace(labelled(family), classes=None)
    with pytest.raises(Unsupported, match=f"^{family} makes what labels ask for, and the data has none: take ") as told:
        make(entry, made_up(spec))
    twin = registry.get("generators", str(told.value).rpartition(" ")[2])
    assert issubclass(entry.make, twin.make) and not make(twin, made_up(spec)).conditional


@pytest.mark.parametrize("family", sorted(set(CONDITIONAL) - set(TOLD)))
def test_guidance_without_labels_is_refused(family: str) -> None:
    """None asked for, or none in the data; without guidance a family that is told of labels makes do with none."""
    entry, none = CONDITIONAL[family], replace(labelled(family), classes=None)
    rest: dict[str, Any] = {"guidance_to": None} if family == "mean_flow" else {}  # whose net would be told it
    for setting in ("guidance", "label_dropout"):
        with pytest.raises(GenbenchError, match=r"take labels = true$|leave label_dropout out$"):
            make(entry, made_up(labelled(family)), **{**rest, "labels": False, setting: 0.5})
    with pytest.raises(Unsupported, match="the data has none: leave it out"):
        make(entry, made_up(none), **{**rest, "guidance": 2.0})
    assert make(entry, made_up(none)).conditional is False
