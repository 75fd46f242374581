"""Intervals, comparisons, ranks and plans that reports, gates, choices and metrics share. numpy and scipy, no torch.

``intervals``: how sure a single number is. ``comparing``: whether two differ, and by enough. ``resampling``: the same
where no formula is known. ``ranking``: many at once. ``planning``: how many seeds would tell.
``changes``: where a series changes its level.

What draws takes its generator of numbers, so that the same call gives the same answer.
"""

from bench.statistics.changes import Change, Split, best_split, change_points, fewest_points, merged
from bench.statistics.comparing import (
    Difference,
    Verdict,
    adjusted,
    non_inferiority,
    paired_difference,
    permutation_p,
    verdict_of,
    welch_difference,
)
from bench.statistics.intervals import (
    ALIKE,
    STRETCHES,
    Summary,
    bounded_interval,
    difference_interval,
    effective_trials,
    median_interval,
    normal_interval,
    proportion_interval,
    rate_interval,
    ratio_error,
    ratio_interval,
    ratio_parts,
    reach_interval,
    reach_toward,
    score_interval,
    stretches,
    summarise,
    wilson_interval,
)
from bench.statistics.planning import MOST, power_of, seeds_to_tell, simulated_power
from bench.statistics.ranking import (
    Ranks,
    compact_letters,
    iqm,
    leads,
    mean_draws,
    non_dominated,
    performance_profile,
    probability_non_dominated,
    probability_of_improvement,
    rank_intervals,
    told_apart,
)
from bench.statistics.resampling import bootstrap_interval, resampled

__all__ = [
    "ALIKE",
    "MOST",
    "STRETCHES",
    "Change",
    "Difference",
    "Ranks",
    "Split",
    "Summary",
    "Verdict",
    "adjusted",
    "best_split",
    "bootstrap_interval",
    "bounded_interval",
    "change_points",
    "compact_letters",
    "difference_interval",
    "effective_trials",
    "fewest_points",
    "iqm",
    "leads",
    "mean_draws",
    "median_interval",
    "merged",
    "non_dominated",
    "non_inferiority",
    "normal_interval",
    "paired_difference",
    "performance_profile",
    "permutation_p",
    "power_of",
    "probability_non_dominated",
    "probability_of_improvement",
    "proportion_interval",
    "rank_intervals",
    "rate_interval",
    "ratio_error",
    "ratio_interval",
    "ratio_parts",
    "reach_interval",
    "reach_toward",
    "resampled",
    "score_interval",
    "seeds_to_tell",
    "simulated_power",
    "stretches",
    "summarise",
    "told_apart",
    "verdict_of",
    "welch_difference",
    "wilson_interval",
]
