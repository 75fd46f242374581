"""Self-BLEU: how much each text resembles the others (Zhu et al. 2018, "Texygen", arXiv:1802.01886, section 3.2).

The mean over texts of BLEU-4 (Papineni et al. 2002) with all other texts as references, in [0, 1]: a hundredth of
what sacrebleu's sentence score gives with its defaults for sentences (tokeniser 13a, exponential smoothing, effective
order). It grows with the number of texts, so only numbers over equally many compare.

BLEU clips an n-gram's count at the largest count in any reference. That of *all other* texts is the largest over all
texts, or the second largest for the one text that holds the largest: one table of the three largest counts serves
every text, and every text with one other left out, in time linear in the text instead of quadratic.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench import Comparison, Estimate, bounded_interval, metric
from metrics.text._texts import Counts, Protocol, Tokens, checked_texts, counted, encode, jackknife

ORDER = 4
METHOD = "Wilson, effective trials by a jackknife over texts, of the expectation at this n"
LEAST = 3  # the jackknife leaves one out, and BLEU needs another to compare with

# The rules of mteval-v13a: marks other than . , - ' stand alone; . and , stay inside numbers; - splits after a digit.
_ENTITIES = {"<skipped>": "", "-\n": "", "\n": " ", "&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}
_MARKS = re.compile("([" + re.escape("".join(sorted(set(string.punctuation) - set(".,-'")))) + "])")
_AFTER_OTHER, _BEFORE_OTHER = re.compile(r"([^0-9])([.,])"), re.compile(r"([.,])([^0-9])")
_DASH = re.compile(r"([0-9])(-)")


@dataclass(frozen=True)
class Matches:
    """What BLEU is made of, a row a text. correct, total: ``(texts, 4)``; length, closest: ``(texts,)`` tokens.

    near: ``(texts, 4)`` neighbours in length.
    """

    correct: np.ndarray
    total: np.ndarray
    length: np.ndarray
    near: np.ndarray
    closest: np.ndarray


@dataclass(frozen=True)
class Losses:
    """What text ``scored`` no longer matches once text ``left_out`` is gone: ``(pairs,)``; lost: ``(pairs, 4)``."""

    scored: np.ndarray
    left_out: np.ndarray
    lost: np.ndarray


def self_bleu(texts: Sequence[str]) -> Estimate:
    """In [0, 1]: 1 where every text has a copy among the others, a blank one too.

    Raises TooFew for fewer than three texts.
    """
    (tokens,) = encode(checked_texts(texts, LEAST), split=words_13a)
    matches, losses = compare(tokens)
    scores = bleu(matches)
    value = float(scores.mean())
    error = jackknife(without_each(matches, losses, scores))
    protocol: Protocol = {"order": ORDER, "tokeniser": "13a", "smoothing": "exp", "effective_order": True}
    interval = bounded_interval(value, error, tokens.texts, METHOD)
    return Estimate(value=value, n=tokens.texts, interval=interval, protocol=protocol)


def words_13a(text: str) -> list[str]:
    """Words as mteval-v13a (and so sacrebleu's default) splits a line of Western text."""
    line = text.rstrip()
    for entity, character in _ENTITIES.items():
        line = line.replace(entity, character)
    line = _MARKS.sub(r" \1 ", f" {line} ")
    line = _AFTER_OTHER.sub(r"\1 \2 ", line)
    line = _BEFORE_OTHER.sub(r" \1 \2", line)
    return _DASH.sub(r"\1 \2 ", line).split()


def compare(tokens: Tokens) -> tuple[Matches, Losses]:
    """Every text against all others, and what changes without each of them."""
    tables = [counted(tokens, n) for n in range(1, ORDER + 1)]
    clipped = [_clip(table) for table in tables]
    correct = np.stack([np.bincount(t.text, m, tokens.texts) for t, (m, _) in zip(tables, clipped, strict=True)], 1)
    total = np.stack([np.bincount(t.text, t.count, tokens.texts) for t in tables], 1)
    # The two texts before and the two after each in the order of lengths; -1 where there is none.
    order, near = np.argsort(tokens.lengths, kind="stable"), np.empty((tokens.texts, 4), np.int64)
    padded = np.pad(order, 2, constant_values=-1)
    near[order] = np.stack([padded[shift : shift + tokens.texts] for shift in (0, 1, 3, 4)], 1)
    everyone = np.arange(tokens.texts)
    closest = _closest(tokens.lengths, near, everyone, everyone)
    return Matches(correct, total, tokens.lengths, near, closest), _losses([found for _, found in clipped], near)


def _clip(table: Counts) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Counts clipped at the others' largest, ``(pairs,)``; (scored, left out, lost) where one text alone sets it."""
    count, holder = _three_largest(table)
    own = holder[table.gram] == table.text[:, None]  # (pairs, 3); a text stands at most once among the three
    among = np.where(own, -1, np.arange(3))
    among.sort(axis=1)  # a text among the three is skipped; otherwise the two largest are the first two
    order = np.where(own.any(1)[:, None], among[:, 1:], among[:, :2])
    largest, second = (count[table.gram, order[:, i]] for i in (0, 1))
    matched = np.minimum(table.count, largest)
    lost = matched - np.minimum(table.count, second)
    changes = lost > 0
    by = holder[table.gram, order[:, 0]]
    return matched, (table.text[changes], by[changes], lost[changes])


def _three_largest(table: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Of each n-gram the three largest counts, descending, 0 where there are fewer; and the texts that hold them."""
    order = np.lexsort((-table.count, table.gram))
    gram = table.gram[order]
    starts = np.searchsorted(gram, np.arange(int(gram.max(initial=-1)) + 1))
    rank = np.arange(len(gram)) - starts[gram]
    top = rank < 3
    count, holder = np.zeros((len(starts), 3), np.int64), np.full((len(starts), 3), -1)
    count[gram[top], rank[top]] = table.count[order][top]
    holder[gram[top], rank[top]] = table.text[order][top]
    return count, holder


def _losses(found: list[tuple[np.ndarray, np.ndarray, np.ndarray]], near: np.ndarray) -> Losses:
    """Losses of the four orders, one row a pair of texts; pairs of neighbours in length join, whatever they share."""
    texts = len(near)
    neighbours = (np.arange(texts)[:, None] * texts + near)[near >= 0]
    pairs = np.concatenate([*(scored * texts + left_out for scored, left_out, _ in found), neighbours])
    kinds, row = np.unique(pairs, return_inverse=True)
    order = np.repeat(np.arange(ORDER), [len(amount) for _, _, amount in found])
    lost = np.zeros((len(kinds), ORDER))
    np.add.at(lost, (row[: len(order)], order), np.concatenate([amount for _, _, amount in found]))
    return Losses(kinds // texts, kinds % texts, lost)


def _closest(length: np.ndarray, near: np.ndarray, rows: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """The length nearest to that of each of ``rows`` among the others but one; the shorter of two equally near."""
    others = near[rows]
    gone = (others < 0) | (others == left_out[:, None])
    distance = np.where(gone, np.inf, np.abs(length[others] - length[rows][:, None]))
    found: np.ndarray = length[others[np.arange(len(rows)), distance.argmin(1)]]  # the first of equals is the shorter
    return found


def bleu(matches: Matches) -> np.ndarray:
    """BLEU-4 of each row in [0, 1], ``(texts,)``; the formula's logarithms taken for all rows at once."""
    correct, total = matches.correct.astype(float), matches.total
    there = total > 0  # a text of two words has no 4-grams: the mean goes over the orders it has
    missed = there & (correct == 0)
    smoothed = np.where(missed, 0.5 ** missed.cumsum(1), correct)
    logs = np.where(there, np.log(np.where(there, smoothed, 1) / np.where(there, total, 1)), 0)
    precision = np.exp(logs.sum(1) / np.maximum(there.sum(1), 1))
    length = np.maximum(matches.length, 1)
    brevity = np.exp(np.minimum(0, 1 - matches.closest / length))
    blank_twins = (matches.length == 0) & (matches.closest == 0)  # to say nothing twice is no variety
    return np.where(blank_twins, 1.0, np.where(correct.any(1), brevity * precision, 0.0))


def without_each(matches: Matches, losses: Losses, scores: np.ndarray) -> np.ndarray:
    """Self-BLEU with each text left out in turn, ``(texts,)``: only pairs that matched anew are scored again."""
    n = len(scores)
    rows = losses.scored
    changed = Matches(
        matches.correct[rows] - losses.lost,
        matches.total[rows],
        matches.length[rows],
        matches.near,
        _closest(matches.length, matches.near, rows, losses.left_out),
    )
    gained = np.bincount(losses.left_out, bleu(changed) - scores[rows], n)
    left: np.ndarray = scores.sum() - scores + gained
    return left / (n - 1)


@metric("self_bleu", on={"text"}, aspect="diversity", unit="1", better="lower", least=0, most=1, lead=2,
        paper="arXiv:1802.01886, section 3.2")  # fmt: skip
def self_bleu_of_samples(c: Comparison) -> Estimate:
    """Mean BLEU-4 of each sample against all others; 1 where every sample has a twin. Grows with their number."""
    return self_bleu(c.texts("samples"))
