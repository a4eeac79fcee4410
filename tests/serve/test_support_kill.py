"""kill -9 while many customers write: what was acknowledged is there, once, and is answered; no hand-over is lost."""

from __future__ import annotations

import random
import sys
import threading
import time
from pathlib import Path

import pytest
from crowd import Crowd, check
from serving import served
from supported import fill

from metier.store import audit, conversations
from metier.store.store import Store

PROGRAM = Path(__file__).parent / "supported.py"


@pytest.mark.parametrize(
    ("kills", "customers", "each"),
    [(3, 24, 50), pytest.param(30, 1_000, 300, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])],
)
def test_what_was_acknowledged_is_there_and_is_answered(tmp_path, kills, customers, each):
    with Store.open(tmp_path / "support.db") as store:
        crowd = Crowd(customers, fill(store)["ann"])
    rng, longest = random.Random(kills), 0.0
    for _ in range(kills):
        with served(tmp_path, program=(PROGRAM,)) as site:
            longest = max(longest, _killed(crowd, site, crowd.acknowledged + each, rng.uniform(0.0, 0.3)))
    assert crowd.acknowledged >= kills * each
    with served(tmp_path, program=(PROGRAM,)) as site, Store.open(tmp_path / "support.db") as store:
        crowd.settle(site.url)
        end = time.monotonic() + 120
        while (left := _open(store)) and time.monotonic() < end:
            time.sleep(0.1)
        assert not left, "whoever waits for an answer gets one from the next process"
        with store.read() as connection:
            for one in crowd.customers:
                if one.id:
                    check(connection, one)
            assert audit.verify(connection) is None
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert sum(bool(one.id) for one in crowd.customers) == customers
    sys.stdout.write(f"{crowd.acknowledged} acknowledgements, {sum(len(one.said) for one in crowd.customers)} messages")


def _killed(crowd, site, acknowledged, seconds):
    """Seconds that the crowd wrote until so much was acknowledged, and a little longer."""
    begun = time.monotonic()
    writes = threading.Thread(target=crowd.write, args=(site.url, lambda: False), daemon=True)
    writes.start()
    while crowd.acknowledged < acknowledged and writes.is_alive() and time.monotonic() < begun + 240:
        time.sleep(0.002)
    time.sleep(seconds)
    site.process.kill()
    writes.join(150)
    assert not writes.is_alive()
    return time.monotonic() - begun


def _open(store):
    with store.read() as connection:
        return conversations.unanswered(connection, time.time() + 60)
