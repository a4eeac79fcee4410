"""People, sessions, keys: who comes in, who does not, who has tried too often."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from metier.errors import DataError
from metier.store import contents, people
from metier.store.people import LIMITS, WINDOW, TooManyAttempts, log_in
from metier.store.tables import metadata

WORD = "correct horse 石"


@pytest.fixture
def ann(store):
    with store.write() as connection:
        people.add(connection, "ann", "admin", WORD, 1.0)
    return store


def test_a_person_logs_in_and_out(ann):
    token = log_in(ann, "ann", WORD, address="::1", now=100.0, hours=1)
    assert token is not None
    with ann.write() as connection:
        assert people.who(connection, token, 3699.0).name == "ann"
        assert people.who(connection, token, 3700.0) is None and people.who(connection, "no", 100.0) is None
        people.close_session(connection, token)
        assert people.who(connection, token, 101.0) is None


def test_secrets_are_not_in_the_store(ann):
    token = log_in(ann, "ann", WORD, address="10.0.0.7", now=1.0)
    with ann.write() as connection:
        key = people.add_key(connection, "feed", "viewer", 1.0)
        held = "".join(str(row) for table in metadata.tables.values() for row in contents.rows(connection, table))
        assert "argon2id" in held
        assert not [secret for secret in (WORD, token, key, "10.0.0.7") if secret in held]


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "wrong horse 石"), ("bob", WORD), ("", ""), ("ann", "x" * 5000)]
)
def test_who_does_not_belong_stays_out(ann, name, password):
    assert log_in(ann, name, password, address="::1", now=1.0) is None


def test_who_comes_by_single_sign_on_has_no_password(store):
    with store.write() as connection:
        people.add(connection, "eve", "viewer", None, 1.0)
        assert people.get(connection, "eve").password is False
    assert log_in(store, "eve", "", address="::1", now=1.0) is None


def test_too_many_attempts(ann, monkeypatch):
    monkeypatch.setattr(people, "_right", lambda stored, password: password == WORD)  # a hash takes its time
    limit = LIMITS["name and address"]
    for at in range(limit):
        assert log_in(ann, "ann", "guess", address="6.6.6.6", now=float(at)) is None
    with pytest.raises(TooManyAttempts, match="again in 15 min") as caught:
        log_in(ann, "ann", WORD, address="6.6.6.6", now=float(limit))
    assert caught.value.seconds == WINDOW - limit
    assert log_in(ann, "ann", WORD, address="::1", now=float(limit))  # its owner is elsewhere
    assert log_in(ann, "ann", WORD, address="6.6.6.6", now=WINDOW + limit)


def test_one_address_cannot_try_all_names_nor_many_addresses_one_name(ann, monkeypatch):
    monkeypatch.setattr(people, "_right", lambda stored, password: False)
    for at in range(LIMITS["address"]):
        log_in(ann, f"name{at}", "guess", address="6.6.6.6", now=1.0)
    with pytest.raises(TooManyAttempts):
        log_in(ann, "another", "guess", address="6.6.6.6", now=2.0)
    for at in range(LIMITS["name"]):
        log_in(ann, "ann", "guess", address=f"7.7.7.{at}", now=3.0)
    with pytest.raises(TooManyAttempts):
        log_in(ann, "ann", "guess", address="8.8.8.8", now=4.0)


def test_who_logs_in_often_is_not_locked_out(ann, monkeypatch):
    monkeypatch.setattr(people, "_right", lambda stored, password: True)
    for at in range(LIMITS["name"] + 5):
        assert log_in(ann, "ann", WORD, address="::1", now=float(at) / 100)


def test_attempts_at_once_are_all_counted(ann, monkeypatch):
    monkeypatch.setattr(people, "_right", lambda stored, password: False)

    def attempt(_):
        try:
            return log_in(ann, "ann", "guess", address="6.6.6.6", now=1.0)
        except TooManyAttempts:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        refused = list(pool.map(attempt, range(30))).count("refused")
    assert refused == 30 - LIMITS["name and address"]


def test_two_passwords_are_hashed_at_once_however_many_are_tried(monkeypatch):
    """Each takes 64 MiB: forty log-ins at once took a gigabyte and a half."""
    at_once, seen, lock = 0, [], threading.Lock()

    class Slow:
        def verify(self, stored, password):
            nonlocal at_once
            with lock:
                at_once += 1
                seen.append(at_once)
            time.sleep(0.02)
            with lock:
                at_once -= 1
            return True

    monkeypatch.setattr(people, "_argon", Slow)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: people._right("a hash", "a password"), range(12)))
    assert len(seen) == 12 and max(seen) == 2


def test_changes_end_sessions(ann):
    with ann.write() as connection:
        people.add(connection, "bob", "viewer", WORD, 1.0)
        token = people.open_session(connection, "bob", 1.0)
        people.change(connection, "bob", role="analyst")
        assert people.who(connection, token, 2.0).role == "analyst"
        people.change(connection, "bob", password="another word")
        assert people.who(connection, token, 2.0) is None
        token = people.open_session(connection, "bob", 1.0)
        people.change(connection, "bob", active=False)
        people.change(connection, "bob", active=True)
        assert people.who(connection, token, 2.0) is None
        assert [one.name for one in people.listing(connection)] == ["ann", "bob"]
        stored = connection.execute(select(metadata.tables["people"].c.password)).scalars().all()
        assert len({*stored}) == 2


def test_mistakes_with_people(ann):
    for words, act in (
        ("Did you mean 'analyst'", lambda c: people.add(c, "bob", "anlyst", WORD, 1.0)),
        ("'ann' already", lambda c: people.add(c, "ann", "admin", WORD, 1.0)),
        ("9 characters", lambda c: people.add(c, "bob", "admin", "too short", 1.0)),
        ("needs a name", lambda c: people.add(c, " ", "admin", WORD, 1.0)),
        ("no person 'anne'.*Did you mean 'ann'", lambda c: people.change(c, "anne", active=False)),
        ("Nobody would be left", lambda c: people.change(c, "ann", active=False)),
        ("Nobody would be left", lambda c: people.change(c, "ann", role="viewer")),
        ("no key 'feed'", lambda c: people.revoke(c, "feed")),
    ):
        with pytest.raises(DataError, match=words), ann.write() as connection:
            act(connection)
    with ann.read() as connection:
        assert people.get(connection, "ann").role == "admin"


def test_keys(store):
    with store.write() as connection:
        feed = people.add_key(connection, "feed", "viewer", 1.0, expires=10.0)
        other = people.add_key(connection, "other", "admin", 1.0)
        assert people.key(connection, feed, 9.0).role == "viewer" and people.key(connection, feed, 10.0) is None
        assert people.key(connection, other, 1e12).name == "other" and people.key(connection, "metier_x", 1.0) is None
        with pytest.raises(DataError, match="'feed' already"):
            people.add_key(connection, "feed", "viewer", 1.0)
        people.revoke(connection, "other")
        assert people.key(connection, other, 1.0) is None
        assert [one.name for one in people.all_keys(connection)] == ["feed"]


def test_roles_are_ordered():
    assert people.allows("admin", "viewer") and people.allows("analyst", "analyst")
    assert not people.allows("viewer", "analyst")
