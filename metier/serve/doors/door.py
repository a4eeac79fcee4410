"""Who comes in: a person with a session, one whom a trusted proxy names, or a program with a key.

A browser sends cookies whoever made it ask. What changes something is therefore taken from a browser only where it says
that the question comes from a page of ours (`Origin`); a key is sent on purpose and needs no such proof.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import Connection
from starlette.requests import HTTPConnection

from metier.serve.doors.settings import ServiceSettings
from metier.serve.problems import Problem
from metier.serve.settings import is_loopback
from metier.store import audit, people
from metier.store.audit import Entry
from metier.store.store import Store

COOKIE = "metier-session"
"""Where an application says no other name; browsers send cookies to every port of a host."""
PORTED = re.compile(r"(\d+\.\d+\.\d+\.\d+):\d+|\[([0-9A-Fa-f:.]+)\](?::\d+)?")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
KEY = {"WWW-Authenticate": 'Bearer realm="metier"'}


NOTED = 10_000
"""What is remembered of what the audit log was told, so that it is not told again with every request."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `kind` is `session`, `proxy` or `key`; `token` that of the session or key."""

    name: str
    role: str
    kind: str
    token: str = ""

    def may(self, role: str) -> bool:
        """Whether the caller may what this role may."""
        return people.allows(self.role, role)


class Door:
    """Lets people and programs in.

    Args:
        store: an open store.
        settings: of the service.
        clock: seconds since 1970.
        cookie: the name of what a browser shows.
    """

    def __init__(
        self, store: Store, settings: ServiceSettings, clock: Callable[[], float] = time.time, cookie: str = COOKIE
    ) -> None:
        self.store, self.settings, self.clock, self.cookie = store, settings, clock, cookie
        self.setup_code = secrets.token_urlsafe(16)
        """What who opens the service for the first time has to show; it is told to who started it, and nobody else."""
        self._noted: dict[tuple[str, ...], float] = {}

    def caller(self, asked: HTTPConnection) -> Caller | None:
        """Who asks, where that is known. A key decides where one is shown."""
        key = _shown_key(asked)
        if key is not None:
            found = self._key(key)
            if found is None:
                self._note_spent(key, self.address(asked))
            return found
        if self.settings.proxy_header and self.settings.trusts(_peer(asked)):
            names = asked.headers.getlist(self.settings.proxy_header)
            if len(names) > 1:  # the proxy adds its own to one that the visitor sent: nobody knows which is which
                return None
            name = "".join(names).strip()
            if name:
                found = self._signed_on(name)
                what = "fail to sign on" if found is None else "sign on"
                self._note(Entry(name[:200], what, self.clock(), "person", name[:200]), self.address(asked))
                return found
        token = asked.cookies.get(self.cookie, "")
        return self._session(token) if token else None

    def again(self, caller: Caller) -> Caller | None:
        """The caller as of now: of a page that is open, the person may have left or changed the role since."""
        if caller.kind == "proxy":
            return self._signed_on(caller.name)
        return self._session(caller.token) if caller.kind == "session" else self._key(caller.token)

    def require(self, asked: HTTPConnection, role: str, method: str) -> Caller:
        """The caller, who may what `role` may.

        Raises:
            Problem: 401 where nobody is known, 403 where the role does not do, or another site asks.
        """
        caller = self.caller(asked)
        if caller is None:
            raise Problem(401, "Log in, or send a key: Authorization: Bearer KEY.", headers=KEY)
        if not caller.may(role):
            raise Problem(403, f"The role {caller.role} may not do this; it takes the role {role}.")
        if method not in SAFE and caller.kind != "key":
            require_same_origin(asked)
        return caller

    def address(self, asked: HTTPConnection) -> str:
        """Where a request comes from: what the last trusted proxy says, else who is connected."""
        found = _peer(asked)
        # Some proxies add a line of their own behind the one that came: all lines are one list (RFC 9110, 5.3).
        for hop in reversed(",".join(asked.headers.getlist("x-forwarded-for")).split(",")):
            if not self.settings.trusts(found) or not hop.strip():
                break
            found = _bare(hop.strip())
        return found

    # -- logging in ----------------------------------------------------------------------------------------------------
    def log_in(self, name: str, password: str, address: str) -> str | None:
        """The token of a new session, or `None`. Raises `TooManyAttempts`."""
        now = self.clock()
        # Who failed is not written down: some people type their password as their name.
        try:
            token = people.log_in(
                self.store, name, password, address=address, now=now, hours=self.settings.session_hours
            )
        except people.TooManyAttempts:
            self._note(Entry("?", "be shut out", now, "person"), address, people.WINDOW)
            raise
        entry = Entry(name, "log in", now, "person", name) if token else Entry("?", "fail to log in", now, "person")
        self.store.run(lambda connection: audit.append(connection, _from(entry, address)))
        return token

    def log_out(self, caller: Caller, address: str) -> None:
        """Ends a session."""
        entry = Entry(caller.name, "log out", self.clock(), "person", caller.name)

        def out(connection: Connection) -> None:
            people.close_session(connection, caller.token)
            audit.append(connection, _from(entry, address))

        self.store.run(out)

    def is_new(self) -> bool:
        """Whether nobody may come in yet, so that the first person may be made."""
        if self.settings.proxy_role:
            return False
        with self.store.read() as connection:
            return not people.listing(connection)

    def set_up(self, name: str, password: str, code: str, address: str) -> None:
        """The first person, an admin. Raises `Problem` 403 where that is not for the asking, `DataError`."""
        if not is_loopback(address) or not secrets.compare_digest(code.encode(), self.setup_code.encode()):
            raise Problem(403, "The first person is made on this machine, with the link that the start of it printed.")

        def first(connection: Connection) -> None:
            if people.listing(connection):
                raise Problem(403, "There are people already: one of them has to let you in.")
            add_person(connection, name, "admin", password, name, self.clock())

        self.store.run(first)

    def _session(self, token: str) -> Caller | None:
        with self.store.read() as connection:
            found = people.who(connection, token, self.clock())
        return None if found is None else Caller(found.name, found.role, "session", token)

    def _key(self, secret: str) -> Caller | None:
        with self.store.read() as connection:
            found = people.key(connection, secret, self.clock())
        return None if found is None else Caller(f"key {found.name}", found.role, "key", secret)

    def _note_spent(self, secret: str, address: str) -> None:
        """Writes down that a key was used that opens nothing any more. Keys that never were one are not: anybody can
        make up as many as they like."""
        now = self.clock()
        with self.store.read() as connection:
            found = people.ended(connection, secret, now)
        if found is not None:
            name, how = found
            self._note(Entry(f"key {name}", f"use {how} key", now, "key", name), address)

    def _note(self, entry: Entry, address: str, every: float | None = None) -> None:
        """Tells the audit log what every request would say again: once in `every` seconds, by default a session's."""
        key, every = (entry.who, entry.what, address), every or self.settings.session_hours * 3600
        if entry.at - self._noted.get(key, -math.inf) < every:
            return
        self._noted.pop(key, None)
        self._noted[key] = entry.at
        if len(self._noted) > NOTED:
            del self._noted[next(iter(self._noted))]
        self.store.run(lambda connection: audit.append(connection, _from(entry, address)))

    def _signed_on(self, name: str) -> Caller | None:
        with self.store.read() as connection:
            found = people.get(connection, name)
        if found is not None:
            return Caller(found.name, found.role, "proxy") if found.active else None
        role = self.settings.proxy_role
        return Caller(name, role, "proxy") if role and len(name) <= 200 else None


def add_person(connection: Connection, name: str, role: str, password: str | None, who: str, now: float) -> None:
    """A new person, and that they were made; see `people.add`. `who` makes them."""
    people.add(connection, name, role, password, now)
    audit.append(connection, Entry(who, "add", now, "person", name, {"role": role}))


def require_same_origin(asked: HTTPConnection) -> None:
    """Raises `Problem` 403 where a browser does not say that a page of this service asks."""
    origin = asked.headers.get("origin")
    if origin is None:
        same = asked.headers.get("sec-fetch-site") == "same-origin"
    else:
        same = urlsplit(origin).netloc == asked.headers.get("host", "") != ""
    if not same:
        raise Problem(403, "A page of another site asks for this; programs send a key instead of a cookie.")


def _shown_key(asked: HTTPConnection) -> str | None:
    scheme, _, token = asked.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else asked.headers.get("x-api-key")


def _bare(hop: str) -> str:
    """An address without the port that some proxies write: a guesser has a new one with every connection."""
    found = PORTED.fullmatch(hop)
    return next(filter(None, found.groups()), hop) if found else hop


def _peer(asked: HTTPConnection) -> str:
    return asked.client.host if asked.client else ""


def _from(entry: Entry, address: str) -> Entry:
    return Entry(entry.who, entry.what, entry.at, entry.kind, entry.subject, {"address": address})
