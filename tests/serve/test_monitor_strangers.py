"""Pages that nobody known asks for: none of them is kept."""

from __future__ import annotations

import asyncio
import time

import pytest
from monitored import PASSWORD, client_of

from metier.serve.doors.door import COOKIE
from metier.serve.doors.hand import Hand, enrol
from metier.serve.monitor import ServiceSettings, create_app
from metier.serve.settings import Limits
from metier.store import people
from metier.store.store import Store

MOST = 6


def test_strangers_take_no_page_from_those_who_may_come_in(tmp_path):
    pytest.importorskip("nicegui")
    with Store.open(tmp_path / "monitor.db") as store:
        enrol(Hand(store, "tests", time.time()), "ada", "viewer", PASSWORD)
        token = people.log_in(store, "ada", PASSWORD, address="127.0.0.1", now=time.time())
        app = create_app(store, settings=ServiceSettings(limits=Limits(connections=MOST)))

        async def visits():
            async with app.router.lifespan_context(app):
                async with client_of(app) as stranger:
                    found = [(await stranger.get("/")).status_code for _ in range(MOST + 2)]
                async with client_of(app, cookies={COOKIE: token}) as known:
                    found += [(await known.get("/people")).status_code for _ in range(2)]
                    found += [(await known.get("/alerts/none")).status_code for _ in range(2)]
                    return [*found, (await known.get("/")).status_code]

        assert asyncio.run(visits()) == [303] * (MOST + 2) + [403, 403, 404, 404, 200]
