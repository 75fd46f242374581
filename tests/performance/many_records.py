"""Records in number, as reports meet them: 37 measurements each, one dataset, five seeds a generator.

python -m tests.performance.many_records 1000 runs/thousand && time genbench report runs/thousand
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bench import Measurement, RunRecord
from bench.results.store import write_record
from tests.report_records import interval, measured, record

SEEDS, FEATURE_METRICS = 5, 36


def many(count: int) -> Iterator[RunRecord]:
    for number in range(count):
        name, value = f"g{number // SEEDS:05}", 5 + number // SEEDS + number % SEEDS / 10
        speed = measured("sample_throughput", value, interval=interval(value - 1, value + 1))
        yield record(name, number % SEEDS, measurements=(*_measurements(value), speed))


def _measurements(value: float) -> Iterator[Measurement]:
    protocol = {"n_fake": 1000, "n_real": 1000, "extractor": "lenet", "weights": "sha256:" + "ab" * 32}
    for number in range(FEATURE_METRICS):
        changes = {"metric": f"fd_{number}_lenet", "protocol": {**protocol, "k": number}}
        yield measured("fd_lenet", value, interval=interval(value - 1, value + 1)).model_copy(update=changes)


if __name__ == "__main__":
    for each in many(int(sys.argv[1])):
        write_record(Path(sys.argv[2]), each)
