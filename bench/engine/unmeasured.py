"""What was asked for and no generator has a number of: said when a run is planned, and when it ends.

A measure of features that has a number on one extractor is answered, however many others lack their weights; one that
the suite names with its extractor is answered by that alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from bench.engine.plan import TrialPlan
from bench.measure.names import check_name, find_metric, measure_of
from bench.record import RunRecord
from bench.registry import registry
from bench.results.groups import by_dataset


def foreseen(plans: Iterable[TrialPlan]) -> list[str]:
    """A line a dataset and reason: the metrics that will have no number, as far as the plan tells."""
    found = []
    for dataset, plan in {plan.dataset: plan for plan in plans}.items():
        absent = {name: extractor for name in plan.metrics if (extractor := _absent(name, plan.modality))}
        omitted = {
            **plan.omitted,
            **{name: f"no weights of {extractor} here: see `genbench doctor`" for name, extractor in absent.items()},
        }
        found += _lines(dataset, omitted, [name for name in plan.metrics if name not in absent], plan.asked)
    return found


def unmeasured(records: Iterable[RunRecord], plans: Iterable[TrialPlan] = ()) -> list[str]:
    """A line a dataset and reason: the metrics of quality that none of its generators has a number of.

    Of trials that ended well, yardsticks left aside. Costs are left out: most are missing for want of a device. Where
    the reasons differ from trial to trial the commonest stands for all.
    plans: theirs, which say what the suite names.
    """
    found, asked = [], {plan.dataset: plan.asked for plan in plans}
    for dataset, its in by_dataset(records).items():
        trials = [record for record in its if record.status == "ok" and not record.plan.control]
        reasons: dict[str, Counter[str]] = defaultdict(Counter)
        for record in trials:
            for name, reason in record.omitted.items():
                reasons[name][reason.partition("; ")[0]] += 1
        omitted = {name: counts.most_common(1)[0][0] for name, counts in reasons.items()}
        measured = [m.metric for record in trials for m in record.measurements]
        found += _lines(dataset, omitted, measured, asked.get(dataset))
    return found


def _absent(name: str, modality: str) -> str | None:
    """The extractor whose weights a metric waits for; None where it reads none, or they are here."""
    extractor = find_metric(name, modality).extractor
    return extractor if extractor and not registry.get("extractors", extractor).here else None


def _lines(
    dataset: str, omitted: Mapping[str, str], measured: Collection[str], asked: Collection[str] | None
) -> list[str]:
    """``photos: no fd, kid_lenet: no weights of inception here``: as they were named.

    Of one measure the reason of the extractor that leads.
    """
    answered = {*measured, *map(measure_of, measured)}
    entries = sorted(
        ((check_name(name), reason) for name, reason in omitted.items()),
        key=lambda found: (len(found[0].lead) < 2, found[0].lead),
    )
    leading: dict[str, str] = {}
    for entry, reason in entries:
        name = entry.name if entry.name in (asked or ()) else measure_of(entry.name)
        if entry.aspect != "efficiency" and name not in answered:
            leading.setdefault(name, reason)
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in leading.items():
        by_reason[reason].append(name)
    return [f"{dataset}: no {', '.join(names)}: {reason}" for reason, names in by_reason.items()]
