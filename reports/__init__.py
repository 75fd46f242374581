"""Reports: pages and files made from run records alone. Importing this package registers the formats.

    records -> groups -> leaderboard, figures, samples -> content -> html | markdown;  data: csv and json

Nothing here imports torch, generators or metrics: what a report knows, it knows from the records.
"""

from bench import discover

discover(__name__)
