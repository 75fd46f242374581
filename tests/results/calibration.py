"""How often the rules of decision are right, by simulation: the table of docs/decisions.md.

    python -m tests.results.calibration

The scatter is that of retraining, 1.3 % of the mean, but where another is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from bench.results.gate import Policy, check
from bench.results.gate.policy import Margin
from bench.results.history import history
from bench.statistics import rank_intervals, seeds_to_tell, summarise, welch_difference
from tests.report_records import measured, record

REPEATS, TURNS = 1000, 3000  # of a row, and of one of `genbench ab`
SD = 0.013
BETWEEN, WITHIN = 0.07, 0.003  # scatter of a time from job to job, and inside one
SERIES = 20
ANY = Policy(margin=Margin(amount=0.0, relative=True))


def verdicts(
    change: float, seeds: int, margin: str, rng: np.random.Generator, paired: bool = False
) -> dict[str, float]:
    """Shares of the gate's verdicts on a candidate whose mean is ``1 + change`` times the baseline's."""
    found = []
    for _ in range(REPEATS):
        sides = (rng.normal(10 * (1 + c), 10 * SD, seeds) for c in (0.0, change))
        old, new = (
            [
                record("vae", s, measurements=(measured("fd_lenet", float(v)),), training_id="00ff00ff00ff00ff")
                for s, v in enumerate(values)
            ]
            for values in sides
        )
        found.append(check(old, new, Policy.model_validate({"margin": margin, "paired": paired})).verdict)
    return {verdict: found.count(verdict) / REPEATS for verdict in ("fail", "pass", "inconclusive")}


def in_turn(change: float, margin: str, rng: np.random.Generator) -> dict[str, float]:
    """The same of `genbench ab`: five turns in each of which whatever else runs slows both revisions alike."""
    found = []
    for _ in range(TURNS):
        job = np.exp(rng.normal(0, BETWEEN, 5))
        old, new = (
            [
                record("vae", s, measurements=(measured("latency_p50", float(v)),), training_id="00ff00ff00ff00ff")
                for s, v in enumerate(job * (1 + c) * np.exp(rng.normal(0, WITHIN, 5)))
            ]
            for c in (0.0, change)
        )
        policy = {"margin": margin, "paired": True, "ratios": True, "times": True, "blocking": ["latency_p50"]}
        found.append(check(old, new, Policy.model_validate(policy)).verdict)
    return {verdict: found.count(verdict) / TURNS for verdict in ("fail", "pass", "inconclusive")}


def any_of_five(seeds: int, rng: np.random.Generator) -> float:
    """How often a gate of five numbers of a candidate that is as good fails by any."""
    failed = 0
    for _ in range(REPEATS):
        old, new = (
            [
                record(
                    "vae", s, training_id="00ff00ff00ff00ff",
                    measurements=tuple(
                        measured("fd_lenet", float(v)).model_copy(update={"metric": f"m{k}"}) for k, v in enumerate(row)
                    ),
                )
                for s, row in enumerate(rng.normal(10, 10 * SD, (seeds, 5)))
            ]
            for _ in range(2)
        )  # fmt: skip
        policy = Policy.model_validate({"margin": "0%", "paired": False, "blocking": ["m*"]})
        failed += check(old, new, policy).verdict == "fail"
    return failed / REPEATS


def covered(means: tuple[float, ...], seeds: int, rng: np.random.Generator) -> float:
    """How often all rank intervals together hold every place that their generators share."""
    held = []
    for _ in range(REPEATS):
        x = rng.normal(np.array(means)[:, None], 1, (len(means), seeds))
        groups = [summarise(row.tolist()) for row in x]
        p = np.array([[welch_difference(a, b).p if a is not b else 1.0 for b in groups] for a in groups])
        places = [(1 + sum(m < true for m in means), sum(m <= true for m in means)) for true in means]
        found = rank_intervals(x.mean(1).tolist(), p)
        held.append(all(r.lo <= low and high <= r.hi for r, (low, high) in zip(found, places, strict=True)))
    return float(np.mean(held))


def rows() -> Iterator[tuple[str, str]]:
    rng = np.random.default_rng(0)
    for seeds in (2, 3, 5):
        for change, margin in ((0.0, "0%"), (0.02, "2%"), (0.02, "0%"), (0.05, "0%"), (0.1, "0%"), (0.05, "2%")):
            found = verdicts(change, seeds, margin, rng)
            what = f"gate, {seeds} seeds a side, {change:.0%} worse, margin {margin}"
            yield what, f"fails {found['fail']:.1%}, passes {found['pass']:.1%}, open {found['inconclusive']:.1%}"
    for seeds in (3, 5):
        for means in ((0, 0, 0, 0, 0), (0, 0.5, 1, 1.5, 2), (0, 0, 3, 3, 9)):
            yield (
                f"all rank intervals at 95 %, {seeds} seeds, means {means} in spreads",
                f"hold {covered(means, seeds, rng):.1%}",
            )
        x = rng.normal(0, 1, (REPEATS * 5, 2, seeds))
        inside = [
            abs(d.value) <= d.reach() for a, b in x.tolist() for d in [welch_difference(summarise(a), summarise(b))]
        ]
        yield f"intervals of a difference at 95 %, {seeds} seeds a side", f"hold {np.mean(inside):.1%}"
    for effect in (1.0, 2.0, 3.0):
        n = seeds_to_tell(effect, (1.0, 1.0))
        x = rng.normal(0, 1, (REPEATS * 2, 2, n)) + np.array([effect, 0.0])[:, None]
        told = [welch_difference(summarise(a), summarise(b)).p <= 0.05 for a, b in x.tolist()]
        yield f"the {n} seeds a side planned for a difference of {effect:g} spreads", f"tell it in {np.mean(told):.1%}"
    yield from rows_of_times_and_pairs(np.random.default_rng(1))
    for size in (0.0, 0.05, 0.03):
        first, others = told_to_change(size, 100, rng)
        truth = f"one steps by {size:.0%} half way" if size else "none changes"
        what = "finds it" if size else "tells the first"
        yield (
            f"history, {SERIES} series of 100 points, noise of 3 %, {truth}",
            f"{what} {first:.0%}, any other {others:.0%}",
        )


def rows_of_times_and_pairs(rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    def told(found: dict[str, float]) -> str:
        return f"fails {found['fail']:.1%}, passes {found['pass']:.1%}, open {found['inconclusive']:.1%}"

    for change, margin in ((0.0, "0%"), (0.05, "5%"), (0.05, "0%")):
        what = f"gate, 5 seeds in pairs, {change:.0%} worse, margin {margin}"
        yield what, told(verdicts(change, 5, margin, rng, paired=True))
    for seeds in (3, 5):
        yield f"gate, {seeds} seeds a side, five numbers, none worse, margin 0%", f"fails {any_of_five(seeds, rng):.1%}"
    for change, margin in ((0.0, "0%"), (0.0, "5%"), (0.05, "5%"), (0.02, "0%"), (0.05, "2%"), (0.1, "5%")):
        what = (
            f"ab, 5 turns, a time that scatters by 7 % between and 0.3 % within, {change:.0%} slower, margin {margin}"
        )
        yield what, told(in_turn(change, margin, rng))


def told_to_change(size: float, repeats: int, rng: np.random.Generator) -> tuple[float, float]:
    """How often history tells that the first of many series changes, and that any other does."""
    days = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(100)]
    first = others = 0
    for _ in range(repeats):
        values = rng.normal(1, 0.03, (100, SERIES))
        values[50:, 0] *= 1 + size
        records = [
            record(
                "vae", created=day.isoformat(), environment={"commit": str(day)},
                measurements=tuple(
                    measured("fd_lenet", float(v)).model_copy(update={"metric": f"m{k:02}"}) for k, v in enumerate(row)
                ),
            )
            for day, row in zip(days, values, strict=True)
        ]  # fmt: skip
        changed = {s.metric for s in history(records, rng, policy=ANY) if s.changes}
        first += "m00" in changed
        others += bool(changed - {"m00"})
    return first / repeats, others / repeats


def main() -> None:
    print("| rule, and what is true | found |\n|---|---|")
    for what, found in rows():
        print(f"| {what} | {found} |", flush=True)


if __name__ == "__main__":
    main()
