"""Good and bad requests together: three seconds here, a minute under `make soak`."""

from __future__ import annotations

import asyncio
import sys
import time

import httpx
import pytest
from serving import ROOT, served

sys.path.insert(0, str(ROOT))

from benchmarks.serve_load import KINDS, load


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(180)])])
def test_a_mixed_load(seconds):
    with served("--delay", "0.002", "--limit", "queue=128") as one:
        found = asyncio.run(load(one.url, pid=one.process.pid, seconds=seconds))
        assert found["wrong"] == {}
        assert len(found["statuses"]) >= len(KINDS) - 2
        assert found["memory_mib"]["end"] - found["memory_mib"]["after_a_third"] < 12
        settled = ("metier_queue_texts 0.0", "metier_requests_in_flight 1.0")  # the one that asks
        for _ in range(100):
            metrics = httpx.get(f"{one.url}/metrics").text
            if all(line in metrics for line in settled):
                break
            time.sleep(0.1)
        assert all(line in metrics for line in settled), "nobody is forgotten, nobody is counted twice"
        assert one.stop() == 0
        assert one.process.stderr.read() == ""
