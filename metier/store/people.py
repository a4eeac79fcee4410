"""Who may come in: people with passwords and sessions, programs with keys. Secrets are kept as hashes alone.

Passwords are hashed with argon2id (RFC 9106); tokens and keys, which are random and long, with SHA-256.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError

from metier.errors import DataError, MetierError, MissingExtra, nearest
from metier.store import bulk
from metier.store.tables import attempts, audit, keys, people, sessions

if TYPE_CHECKING:
    from argon2 import PasswordHasher

    from metier.store.store import Store

ROLES = ("viewer", "analyst", "admin")
"""Each may what those before it may."""
SHORTEST, LONGEST = 10, 1000
"""Characters of a password."""
HOURS = 12.0
"""How long a session lasts."""
WINDOW = 900.0
"""Seconds that a failed log-in counts."""
LIMITS = {"name and address": 5, "name": 50, "address": 50}
"""Failures within `WINDOW`: of a name from one address, of a name, from an address. The first keeps guessers off one
name without keeping its owner, who comes from elsewhere, out."""


LOCK = 0x4D65746965720003
_turns = threading.BoundedSemaphore(2)
"""Passwords that are hashed at once: each takes 64 MiB, and strangers decide how many are tried."""


class TooManyAttempts(MetierError):
    """Log-ins failed too often; `seconds` is when the next may be tried."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many log-ins failed.", hint=f"again in {max(1, round(seconds / 60))} min")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may come in. `password`: whether one is set, or single sign-on is the only way."""

    name: str
    role: str
    active: bool = True
    password: bool = True
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Key:
    """A program that may come in."""

    name: str
    role: str
    at: float = 0.0
    expires: float | None = None


def allows(role: str, needed: str) -> bool:
    """Whether a role may what another one may."""
    return ROLES.index(role) >= ROLES.index(needed)


# -- people ------------------------------------------------------------------------------------------------------
def add(connection: Connection, name: str, role: str, password: str | None, at: float) -> None:
    """A new person; without a password they come in by single sign-on alone.

    Raises:
        DataError: for a name that is taken or empty, an unknown role, a password that is too short.
    """
    _require_role(role)
    if not name.strip() or len(name) > 200:
        raise DataError("A person needs a name.", expected="1 to 200 characters")
    row = {"name": name, "password": hashed(password) if password is not None else "", "role": role, "at": at}
    try:
        with connection.begin_nested():
            connection.execute(insert(people), row)
    except IntegrityError:
        raise DataError(f"There is a person {name!r} already.", hint="another name") from None


def change(
    connection: Connection, name: str, *, role: str | None = None, active: bool | None = None,
    password: str | None = None,
) -> None:  # fmt: skip
    """Changes what is not `None`. A new password, and leaving, end the person's sessions.

    Raises:
        DataError: where there is no such person; an unknown role; a short password; where no active admin were left.
    """
    values: dict[str, Any] = {}
    if role is not None:
        values["role"] = _require_role(role)
    if active is not None:
        values["active"] = active
    if password is not None:
        values["password"] = hashed(password)
    if not connection.execute(update(people).where(people.c.name == name).values(**values or {"name": name})).rowcount:
        known = connection.execute(select(people.c.name)).scalars()
        raise DataError(f"There is no person {name!r}.{nearest(name, known)}", hint="the list of people")
    if password is not None or active is False:
        close_all(connection, name)
    admins = select(func.count()).where(people.c.role == "admin", people.c.active)
    if (role is not None or active is False) and not connection.execute(admins).scalar_one():
        raise DataError(
            "Nobody would be left who may change people.", expected="one active admin", hint="another first"
        )


def get(connection: Connection, name: str) -> Person | None:
    """One person."""
    row = connection.execute(select(people).where(people.c.name == name)).first()
    return None if row is None else _person(row)


def listing(connection: Connection) -> list[Person]:
    """All people, by name."""
    return [_person(row) for row in connection.execute(select(people).order_by(people.c.name))]


def _person(row: Any) -> Person:
    return Person(row.name, row.role, row.active, bool(row.password), row.at)


def _require_role(role: str) -> str:
    if role not in ROLES:
        raise DataError(f"There is no role {role!r}.{nearest(role, ROLES)}", expected=", ".join(ROLES))
    return role


# -- passwords ---------------------------------------------------------------------------------------------------
@cache
def _argon() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ModuleNotFoundError:
        raise MissingExtra("argon2", "apps") from None
    return PasswordHasher()  # RFC 9106, low memory: 64 MiB, three passes


def hashed(password: str) -> str:
    """The argon2id hash of a password. Raises `DataError` for one that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise DataError(f"The password has {len(password)} characters.", expected=f"{SHORTEST} to {LONGEST} characters")
    with _turns:
        return _argon().hash(password.encode("utf-8", "surrogatepass"))


@cache
def _nobody() -> str:
    """What the password of somebody who is not there is compared with: it takes as long."""
    return _argon().hash(secrets.token_bytes(16))


def _right(stored: str, password: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    compared = stored or _nobody()
    try:
        with _turns:
            return _argon().verify(compared, password[:LONGEST].encode("utf-8", "surrogatepass")) and bool(stored)
    except (Argon2Error, InvalidHashError):
        return False


def log_in(store: Store, name: str, password: str, *, address: str, now: float, hours: float = HOURS) -> str | None:
    """The token of a new session; `None` where name and password do not belong together.

    The attempt is counted before the password is looked at, so that many at once are counted as well.

    Args:
        store: an open store.
        name: of the person.
        password: what was typed.
        address: where it comes from.
        now: seconds since 1970, UTC.
        hours: how long the session lasts.

    Raises:
        TooManyAttempts: where too many failed in the last quarter of an hour.
    """
    marks = _marks(name, address)
    stored = store.run(lambda connection: _attempt(connection, name, marks, now))
    right = _right(stored, password)  # takes a tenth of a second, in no transaction
    if not right:
        return None
    fresh = hashed(password) if _argon().check_needs_rehash(stored) else stored

    def let_in(connection: Connection) -> str | None:
        row = connection.execute(select(people).where(people.c.name == name)).first()
        if row is None or not row.active or row.password != stored:  # changed meanwhile
            return None
        connection.execute(delete(attempts).where(attempts.c.key == marks["name and address"]))
        for mark in (marks["name"], marks["address"]):  # this attempt alone
            last = select(func.max(attempts.c.number)).where(attempts.c.key == mark).scalar_subquery()
            connection.execute(delete(attempts).where(attempts.c.number == last))
        if fresh != stored:
            connection.execute(update(people).where(people.c.name == name).values(password=fresh))
        return open_session(connection, name, now, hours)

    return store.run(let_in)


def _marks(name: str, address: str) -> dict[str, str]:
    """What attempts are counted by; hashed, for some people type their password as their name."""
    of = {"name and address": f"{name}\n{address}", "name": name, "address": address}
    return {kind: _digest(f"{kind}\n{value}") for kind, value in of.items()}


def _attempt(connection: Connection, name: str, marks: dict[str, str], now: float) -> str:
    """Counts an attempt; the hash of the person's password, empty where nobody of that name may come in."""
    if connection.dialect.name == "postgresql":  # of many at once each sees those before it
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    connection.execute(delete(attempts).where(attempts.c.at < now - WINDOW))
    for kind, limit in LIMITS.items():
        counted = select(func.count(), func.min(attempts.c.at)).where(attempts.c.key == marks[kind])
        number, first = connection.execute(counted).one()
        if number >= limit:
            raise TooManyAttempts(first + WINDOW - now)
    connection.execute(insert(attempts), [{"key": key, "at": now} for key in marks.values()])
    row = connection.execute(select(people.c.password).where(people.c.name == name, people.c.active)).first()
    return "" if row is None else str(row.password)


# -- sessions ----------------------------------------------------------------------------------------------------
def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def open_session(connection: Connection, name: str, now: float, hours: float = HOURS) -> str:
    """A token for somebody who has shown who they are; the store keeps its hash alone."""
    token = secrets.token_urlsafe(32)
    connection.execute(delete(sessions).where(sessions.c.expires <= now))
    row = {"digest": _digest(token), "person": name, "at": now, "expires": now + hours * 3600}
    connection.execute(insert(sessions), row)
    return token


def who(connection: Connection, token: str, now: float) -> Person | None:
    """Whose session a token belongs to, where it goes on and the person is active."""
    joined = select(people).join(sessions, sessions.c.person == people.c.name)
    statement = joined.where(sessions.c.digest == _digest(token), sessions.c.expires > now, people.c.active)
    row = connection.execute(statement).first()
    return None if row is None else _person(row)


def close_session(connection: Connection, token: str) -> None:
    """Ends a session."""
    connection.execute(delete(sessions).where(sessions.c.digest == _digest(token)))


def close_all(connection: Connection, name: str) -> None:
    """Ends all sessions of a person."""
    connection.execute(delete(sessions).where(sessions.c.person == name))


# -- keys --------------------------------------------------------------------------------------------------------
def add_key(connection: Connection, name: str, role: str, now: float, expires: float | None = None) -> str:
    """A new key; it is shown once, and kept as a hash.

    Raises:
        DataError: for a name that is taken or empty, or an unknown role.
    """
    _require_role(role)
    if not name.strip():
        raise DataError("A key needs a name.")
    key = f"metier_{secrets.token_urlsafe(32)}"
    row = {"digest": _digest(key), "name": name, "role": role, "at": now, "expires": expires}
    try:
        with connection.begin_nested():
            connection.execute(insert(keys), row)
    except IntegrityError:
        raise DataError(f"There is a key {name!r} already.", hint="another name, or revoke that one") from None
    return key


def key(connection: Connection, secret: str, now: float) -> Key | None:
    """What a key opens, where it has not expired."""
    alive = or_(keys.c.expires.is_(None), keys.c.expires > now)
    row = connection.execute(select(keys).where(keys.c.digest == _digest(secret), alive)).first()
    return None if row is None else bulk.read_as(Key, row)


def all_keys(connection: Connection) -> list[Key]:
    """All keys, by name, without what they are."""
    return list(bulk.read_each(Key, connection, select(keys).order_by(keys.c.name)))


def ended(connection: Connection, secret: str, now: float) -> tuple[str, str] | None:
    """`(name, how)` of a key that opens nothing any more, `how` being `revoked` or `expired`; `None` for others."""
    digest = _digest(secret)
    late = select(keys.c.name).where(keys.c.digest == digest, keys.c.expires <= now)
    if (name := connection.execute(late).scalar()) is not None:
        return str(name), "expired"
    said = and_(audit.c.kind == "key", audit.c.what == "revoke", audit.c.details.contains(digest))
    name = connection.execute(select(audit.c.subject).where(said).limit(1)).scalar()
    return None if name is None else (str(name), "revoked")


def revoke(connection: Connection, name: str) -> str:
    """Ends a key; its SHA-256, by which `ended` knows it in the audit log. Raises `DataError` for an unknown name."""
    digest = connection.execute(select(keys.c.digest).where(keys.c.name == name)).scalar()
    if digest is None:
        known = connection.execute(select(keys.c.name)).scalars()
        raise DataError(f"There is no key {name!r}.{nearest(name, known)}", hint="the list of keys")
    connection.execute(delete(keys).where(keys.c.name == name))
    return str(digest)
