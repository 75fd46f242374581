"""How often the intervals of all metrics hold what they are of."""
