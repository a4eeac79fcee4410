"""Documents go by their age once a day, and not before: a restart does not make a day shorter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metier.apps.monitor import assemble
from metier.apps.monitor.housekeeping import DAY, Retention
from metier.apps.monitor.settings import MonitorSettings
from metier.errors import RecipeError
from metier.store import documents, ticks
from metier.store.documents import StoredDocument
from metier.store.store import Store
from metier.store.ticks import StoredTick

NOW = 1_000 * DAY


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    """Five documents, a day apart, the oldest four days old and held; and their counts."""
    with Store.open(tmp_path / "monitor.db") as store:
        with store.write() as connection:
            rows = [StoredDocument(str(age), "A text.", NOW - age * DAY, NOW) for age in range(5)]
            documents.add(connection, rows)
            documents.pin(connection, "document", ["4"], "alert:1")
            ticks.put(connection, [StoredTick("*", "*", NOW - 4 * DAY, stories=5)])
        yield store


def there(store: Store) -> set[str]:
    with store.read() as connection:
        assert [row.stories for row in ticks.between(connection, 0.0, float("inf"))] == [5], "counts stay"
        return {row.id for row in documents.arrived(connection)}


def test_what_is_old_goes_once_a_day(kept: Store) -> None:
    now = [NOW]
    job = Retention(kept, 2.5 * DAY, clock=lambda: now[0])
    assert job.once() is not None
    assert there(kept) == {"0", "1", "2", "4"}
    now[0] += DAY - 1
    assert Retention(kept, 2.5 * DAY, clock=lambda: now[0]).once() is None, "another process knows of the first"
    assert there(kept) == {"0", "1", "2", "4"}
    now[0] += 1
    assert job.once() is not None
    assert there(kept) == {"0", "1", "4"}


def test_it_is_done_beside_the_monitor(kept: Store) -> None:
    with Retention(kept, 1.5 * DAY, clock=lambda: NOW):
        until = time.monotonic() + 20
        while there(kept) != {"0", "1", "4"} and time.monotonic() < until:
            time.sleep(0.05)
    assert there(kept) == {"0", "1", "4"}


def test_without_the_setting_nothing_goes(kept: Store) -> None:
    with assemble.retention(MonitorSettings.parse({"run": "r"}), kept):
        time.sleep(0.1)
    assert len(there(kept)) == 5
    asked = MonitorSettings.parse({"run": "r", "retention": {"documents": "90d"}})
    assert isinstance(assemble.retention(asked, kept), Retention)


def test_what_later_documents_need_cannot_go() -> None:
    with pytest.raises(RecipeError, match=r"retention.documents is 2d; it must be at least 14"):
        MonitorSettings.parse({"run": "r", "retention": {"documents": "2d"}})
