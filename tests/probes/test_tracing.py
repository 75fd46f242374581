"""How long a device rests, by spans whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bench.probes.tracing import resting, trace


@pytest.mark.parametrize(
    ("spans", "share"),
    [
        ([(0.0, 1.0), (3.0, 4.0)], 0.5),
        ([(3.0, 4.0), (0.0, 1.0)], 0.5),  # whatever their order
        ([(0.0, 2.0), (1.0, 4.0)], 0.0),  # beside one another they count once
        ([(0.0, 4.0), (1.0, 2.0)], 0.0),
        ([(0.0, 1.0)], 0.0),
    ],
)
def test_a_device_rests_where_no_kernel_runs(spans: list[tuple[float, float]], share: float) -> None:
    assert resting(spans) == pytest.approx(share)


def test_a_trace_names_what_ran(tmp_path: Path) -> None:
    x = torch.ones(8, 8)
    trace(lambda: x @ x, torch.device("cpu"), tmp_path / "folder" / "trace.json")
    events = json.loads((tmp_path / "folder" / "trace.json").read_text())["traceEvents"]
    assert "aten::mm" in {event.get("name") for event in events}
