"""Comparisons, spaces of features, and numbers: what a metric is given, and what becomes of its answer."""
