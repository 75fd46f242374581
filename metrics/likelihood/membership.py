"""Membership inference: how well a model's loss, or log_prob, tells training examples from held-out ones.

The loss-threshold attack (Yeom et al. 2018, arXiv:1709.01604) read at every threshold at once: the area
under its ROC curve, which is P(score of a training example > that of a held-out one), ties counting half
(Mann & Whitney 1947). The score is minus the model's loss of the example, or else its log_prob. 0.5: nothing to tell
them by; 1: every training example is recognised. It is not ranked: the goal is 0.5, which a model that learned nothing
reaches too.

Where training and held-out text differ by themselves (other books), whoever learned of the one tells it from the other
without remembering an example (Das, Zhang & Tramer 2024, arXiv:2406.16201: blind baselines), and to divide the loss by
the compressed length (Carlini et al. 2021, arXiv:2012.07805) takes off but a part. So text has such a baseline of its
own: the same area by counts of pairs of tokens that follow each other, which no example can be read from. They are of
training examples that are not asked about. Where that area is not 0.5 but for chance, a remark tells it, and what a
model remembers is what exceeds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench import (
    Batch,
    Estimate,
    ExampleLoss,
    GenbenchError,
    Interval,
    Likelihood,
    Omitted,
    Rereading,
    Split,
    SplitName,
    Textual,
    TooFew,
    Trial,
    alive,
    bounded_interval,
    metric,
    modality_of,
    normal_interval,
)
from metrics._arrays import Array
from metrics._placements import placements
from metrics.likelihood._given import given

MOST = 1000  # examples of each side
CERTAIN = 1.5  # reaches of an interval
Score = Callable[[Batch], Tensor]  # (batch,), higher for what fits better


@metric(
    "membership_auc",
    aspect="novelty",
    unit="1",
    better="none",
    least=0,
    most=1,
    paper="arXiv:1709.01604",
)
def membership_auc(trial: Trial) -> Estimate:
    """How well loss tells training from held-out examples: 0.5 not at all, 1 always; above 0.5 too if splits differ."""
    n = min(len(_examples(trial, "train")), len(_examples(trial, "test")), MOST)
    if isinstance(trial.dataset, Textual):
        _say_if_splits_differ(trial, n)
    found = auc(_scores(trial, "train", n), _scores(trial, "test", n))
    protocol = {**found.protocol, "score": _score(trial)[0], **given(trial)}
    return found.model_copy(update={"protocol": protocol})


def auc(train_scores: Array, test_scores: Array) -> Estimate:
    """Area under the ROC curve of scores ``(m,)`` of training and ``(n,)`` of held-out examples; 0 to 1.

    Interval: DeLong, DeLong & Clarke-Pearson 1988 (Biometrics 44). Raises TooFew for fewer than two on a side,
    GenbenchError for NaN.
    """
    train, test = np.asarray(train_scores, np.float64), np.asarray(test_scores, np.float64)
    for name, scores in (("training", train), ("held-out", test)):
        if len(scores) < 2:
            raise TooFew(f"{len(scores)} {name} examples are too few: at least 2 are needed")
        if np.isnan(scores).any():
            raise GenbenchError("the model's score of an example is NaN")
    m, n = len(train), len(test)
    places = Placements(placements(train, test), 1 - placements(test, train))
    value = float(places.train.mean())
    protocol: dict[str, str | int] = {"n_train": m, "n_heldout": n}
    return Estimate(value=value, n=m + n, interval=_interval(value, places), protocol=protocol)


def pair_counts_auc(train: Array, test: Array, others: Array, vocab: int) -> Estimate:
    """The area by log p(pairs | counts) of tokens, which tells what differs between splits and remembers no example.

    train, test: ``(m, T)`` and ``(n, T)`` int64, to be told apart.   others: ``(k, T)`` training examples, counted.
    Unseen pairs count half (Krichevsky & Trofimov 1981). Raises as ``auc``.
    """
    pairs = [np.asarray(rows)[:, :-1] * vocab + np.asarray(rows)[:, 1:] for rows in (others, train, test)]
    values, counts = np.unique(pairs[0], return_counts=True)
    first = np.bincount(np.asarray(others)[:, :-1].ravel(), minlength=vocab)
    scores = []
    for asked in pairs[1:]:
        at = np.searchsorted(values, asked).clip(max=len(values) - 1)
        seen = np.where(values[at] == asked, counts[at], 0)
        scores.append(np.log((seen + 0.5) / (first[asked // vocab] + vocab / 2)).sum(1))
    return auc(*scores)


def _say_if_splits_differ(trial: Trial, n: int) -> None:
    train, test = _examples(trial, "train"), _examples(trial, "test")
    asked = min(n, len(train) // 2)
    order = torch.randperm(len(train), generator=trial.rng("membership/blind"))
    own, others = (train.batch(i).data for i in (order[:asked], order[asked:]))
    held_out = test.batch(torch.randperm(len(test), generator=trial.rng("membership/test"))[:n]).data
    blind = pair_counts_auc(own, held_out, others, int(trial.spec.vocab or 256))
    # Splits of one law are said to differ in about one of 300.
    if blind.interval and abs(blind.value - 0.5) > CERTAIN * (blind.interval.hi - blind.interval.lo) / 2:
        trial.remark(
            f"counts of pairs of tokens, which remember no example, tell training from held-out text with an area of "
            f"{blind.value:.2f} [{blind.interval.lo:.2f}, {blind.interval.hi:.2f}], since the splits differ by "
            "themselves: read membership_auc beside that and not beside 0.5"
        )


class Placements(NamedTuple):
    """For each example the share of the other side that it beats, ties half: training ones above, held-out below."""

    train: np.ndarray
    test: np.ndarray


def _interval(value: float, places: Placements) -> Interval:
    n = min(len(places.train), len(places.test))
    error = math.sqrt(sum(side.var(ddof=1) / len(side) for side in places))
    if error < 1e-12:  # nothing is left to tell it by: sides that do not overlap, or one score for all
        return bounded_interval(value, 0.0, n, "Wilson, on the smaller side, as no example differs from its side")
    if 3 * error > min(value, 1 - value):  # the normal law would reach beyond the range, and hold too seldom
        return bounded_interval(value, error, n, "DeLong, Wilson's as the end is near")
    return normal_interval(value, error, "DeLong")


def _examples(trial: Trial, split: SplitName) -> Split:
    return modality_of(trial.spec).disjoint(trial.dataset, split)


def _score(trial: Trial) -> tuple[str, Score]:
    """What tells how well an example fits, and its name. Raises Omitted where nothing does."""
    model, dataset = trial.model, trial.dataset
    if isinstance(model, Rereading) and isinstance(dataset, Textual):  # which does not read the data's tokens
        return "log_prob", lambda batch: -model.score_texts(dataset.decode(batch.data))[0]
    if isinstance(model, ExampleLoss):  # first, as some of those are likelihoods of other data alone
        return "loss", lambda batch: -model.example_loss(batch)
    if isinstance(model, Likelihood):
        return "log_prob", model.log_prob
    raise Omitted(
        "needs the capability 'likelihood' or 'score examples', and this generator has neither (`genbench list "
        "generators likelihood` shows who has it)"
    )


@torch.no_grad()
def _scores(trial: Trial, split: SplitName, n: int) -> np.ndarray:
    """Scores of n examples drawn from a split without replacement, ``(n,)``."""
    examples, (_, score) = _examples(trial, split), _score(trial)
    chosen = torch.randperm(len(examples), generator=trial.rng(f"membership/{split}"))[:n]
    batches = (examples.batch(index).to(trial.device) for index in alive(chosen.split(trial.batch_size)))
    return torch.cat([score(batch).double().cpu() for batch in batches]).numpy()
