"""An alert comes out the same from what is stored; what was changed since is told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from monitor import sample_month
from sqlalchemy import update

from metier.apps.monitor.engine import Plan
from metier.apps.monitor.recheck import Recheck, recheck
from metier.errors import MetierError
from metier.store import alerts, documents, retention, tables
from metier.store.store import Store

DAYS = 17


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("recheck")
    with Store.open(folder / "monitor.db") as store:
        made = sample_month.monitor(store, sample_month.archive(folder, DAYS))
        made.run()
        made.end()
    return folder / "monitor.db"


@pytest.fixture
def store(kept: Path, tmp_path: Path) -> Iterator[Store]:
    with Store.open(shutil.copy(kept, tmp_path / "monitor.db")) as store:
        yield store


def checked(store: Store, plan: Plan | None = None) -> list[Recheck]:
    with store.read() as connection:
        found = [one.id for one in alerts.listing(connection)]
        return [recheck(connection, plan or sample_month.plan(), id) for id in found]


def test_every_alert_comes_out_as_it_is_kept(store: Store) -> None:
    found = checked(store)
    assert len(found) >= 2
    for one in found:
        assert one.same, one.parts
        assert one.run == "stand-in"
        assert not one.changed
        assert all(part.compared > 1 for part in one.parts)


def test_what_was_tampered_with_is_told(store: Store) -> None:
    with store.read() as connection:
        (alert,) = [one for one in alerts.listing(connection) if one.company == "vantis-telecom"]
        story = next(iter(alert.evidence["stories"]))
        document = documents.get(connection, story)
    assert document is not None
    calm = {"label": "positive", "score": 0.9, "probabilities": {"positive": 0.9, "negative": 0.05}}
    with store.write() as connection:
        connection.execute(update(tables.documents).where(tables.documents.c.id == story).values(sentiment=calm))
    with store.read() as connection:
        found = recheck(connection, sample_month.plan(), alert.id)
    different = {part.name: part.different for part in found.parts}
    assert not found.same
    assert any("vantis-telecom" in one for one in different["counts"])
    assert "stories" in " ".join(different["evidence"])
    assert not different["signals"], "the stored counts are what the detectors saw"


def test_other_thresholds_are_told_apart_from_other_documents(store: Store) -> None:
    plan = sample_month.plan()
    deafer = replace(plan, detectors=replace(plan.detectors, caution=3.0), shown={"caution": 3.0})
    for one in checked(store, deafer):
        different = {part.name: part.different for part in one.parts}
        assert not different["counts"]
        assert different["signals"]
        assert one.changed == ("caution: None then, 3.0 now",)


def test_documents_that_were_let_go_are_no_contradiction(store: Store) -> None:
    with store.read() as connection:
        (alert,) = [one for one in alerts.listing(connection) if one.company == "vantis-telecom"]
    gone = retention.forget(store, alert.since - 3_600.0, now=alert.since)
    with store.read() as connection:
        found = recheck(connection, sample_month.plan(), alert.id)
    assert gone.documents
    assert found.missing > 0
    assert found.same, found.parts


def test_an_alert_that_there_is_not(store: Store) -> None:
    with store.read() as connection, pytest.raises(MetierError, match="no alert 'nobody'"):
        recheck(connection, sample_month.plan(), "nobody")
