"""Notices leave while the monitor runs: stored by the engine, sent to a real server, marked; a replay sends none."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from monitor.listener import listening

from metier.apps.monitor.alerts.routes import AlertsPart, ReceiverPart
from metier.apps.monitor.posting import posting
from metier.errors import RecipeError
from metier.store import notices
from metier.store.notices import StoredNotice
from metier.store.store import Store


def receiver(url: str) -> ReceiverPart:
    part = AlertsPart.read({"receivers": [{"name": "desk", "url": url, "allow_private": True, "per_minute": 6000}]})
    return part.receivers[0]


def waiting(store: Store) -> list[StoredNotice]:
    with store.read() as connection:
        return notices.waiting(connection, "desk")


def test_what_is_stored_is_sent_once_and_what_a_replay_stored_never(tmp_path: Path) -> None:
    with listening() as there, Store.open(tmp_path / "monitor.db") as store:
        with store.write() as connection:
            notices.add(connection, [StoredNotice("left", "desk", {"of": "an earlier process"}, time.time())])
            notices.add(connection, [StoredNotice("old", "desk", {}, time.time(), state=notices.REPLAYED)])
        with posting([receiver(there.url)], store) as wake:
            with store.write() as connection:
                notices.add(connection, [StoredNotice("fresh", "desk", {"of": "the last step"}, time.time())])
            wake()
        assert {json.loads(body)["of"] for _, _, body in there.asked} == {"an earlier process", "the last step"}
        assert [headers["idempotency-key"] for _, headers, _ in there.asked] == ["left", "fresh"]
        assert waiting(store) == []
        with posting([receiver(there.url)], store):
            pass
        assert len(there.asked) == 2


def test_what_is_not_taken_is_kept_for_later(tmp_path: Path) -> None:
    with listening([503]) as there, Store.open(tmp_path / "monitor.db") as store:
        with store.write() as connection:
            notices.add(connection, [StoredNotice("n", "desk", {}, time.time())])
        with posting([receiver(there.url)], store):
            pass
        (kept,) = waiting(store)
        assert kept.tries == 1 and "503" in kept.fault and kept.again > kept.at


def test_a_secret_that_is_not_set_is_said_before_anything_runs(tmp_path: Path) -> None:
    part = AlertsPart.read({"receivers": [{"name": "pager", "apprise_env": "PAGER_URLS"}]}).receivers
    with (
        Store.open(tmp_path / "monitor.db") as store,
        pytest.raises(RecipeError, match="PAGER_URLS, which is not set"),
        posting(part, store, {}),
    ):
        pass
