"""Run broken.py as an outsider runs his tests, and print as JSON what failed and what ought to have."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest


class Told:
    """What every promise that was not kept said, by the class it was asked in."""

    def __init__(self) -> None:
        self.asked: dict[str, set[str]] = defaultdict(set)
        self.failed: dict[str, dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, where, promise = report.nodeid.split("::")
        name = promise.partition("[")[0]
        self.asked[where].add(name)
        if report.failed:
            self.failed[where][name] = self.failed[where].get(name, "") + report.longreprtext


def main() -> None:
    told = Told()
    with contextlib.redirect_stdout(sys.stderr):
        pytest.main([str(Path(__file__).with_name("broken.py")), "-q", "-p", "no:cacheprovider"], plugins=[told])
    from tests.testing.broken import BREAKS

    asked = {where: sorted(names) for where, names in told.asked.items()}
    print(json.dumps({"asked": asked, "failed": told.failed, "breaks": BREAKS}))


if __name__ == "__main__":
    main()
