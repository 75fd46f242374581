"""The sanity checks of Räisä, van Breugel & van der Schaar 2025 (arXiv:2505.22450) on our metrics."""
