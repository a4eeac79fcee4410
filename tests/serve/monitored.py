"""A monitor's store with two surges in it, its service without a network, and as a program of its own.

`python monitored.py STORE` prints the address, then serves until a signal.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a program of its own it has no pytest that does so

from monitor import sample_month

from metier.apps.monitor import assemble
from metier.apps.monitor.settings import MonitorSettings
from metier.apps.monitor.sources.inbox import Inbox
from metier.serve.doors.hand import Hand, add_key, enrol
from metier.serve.monitor import ServiceSettings, create_app
from metier.store import alerts, quarantine
from metier.store.quarantine import Quarantined
from metier.store.store import Store

SCRIPT = "<script>document.title='stolen'</script> Vantis Telecom apologises for outage"
FORMULA = '=HYPERLINK("http://evil.example")'
LAST = "2025-03-16T13:00:00"
"""A surge is on then."""
PASSWORD = "correct horse battery"
ROLES = ("viewer", "analyst", "admin")
NOW = 1_742_300_000.0
"""Two days after that, on the wall."""


def month(folder):
    """The path of a store that followed the sample month into the middle of its first surge."""
    import orjson

    from metier.sample import month as sample

    rows = [row for row in sample.headlines() if row["time"] < LAST]
    told = rows[-1] | {"text": SCRIPT, "url": "javascript:alert(1)", "time": LAST + "+00:00"}
    rows += [told | {"id": name} for name in ("scripted", "scripted-2", "scripted-3")]  # hot, so that it is shown
    rows.append(rows[-1] | {"id": "after", "text": "Nothing of note", "time": LAST[:11] + "14:30:00+00:00"})
    file = folder / "month.jsonl"
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    with Store.open(folder / "monitor.db") as store:
        sample_month.monitor(store, file).run()
        with store.write() as connection:
            quarantine.add(connection, [Quarantined("wire", '{"text": "half', "no JSON", NOW)])
            _more_alerts(connection)
        hand = Hand(store, "nobody", NOW)
        for role in ROLES:
            enrol(hand, f"{role}-1", role, PASSWORD)
    return folder / "monitor.db"


def _more_alerts(connection):
    """Two that are there whatever the detectors say: one of everything that fires, one that is over."""
    wanted = alerts.Wanted(states=("firing",), company="vantis-telecom")
    one = alerts.listing(connection, wanted)[0]
    alerts.put(connection, replace(one, id="whole", topic="*", company="*", details=one.details | {"id": "whole"}))
    over = one.details | {"id": "over", "status": "resolved", "ends_at": one.last}
    alerts.put(connection, replace(one, id="over", topic="deals", company="*", state="resolved", resolved=one.last,
                                   since=one.since - 86_400, details=over))  # fmt: skip


@contextmanager
def console(path, folder, *, pushed=True, clock=lambda: NOW, generator=None, **settings):
    """An application over a copy of a store: `(app, keys by role)`."""
    own = folder / "own.db"
    shutil.copy(path, own)
    inbox = Inbox(folder / "spool") if pushed else None
    with Store.open(own) as store:
        keys = {role: add_key(Hand(store, "tests", NOW), f"{role}-key", role) for role in ROLES}
        app = create_app(
            store, settings=ServiceSettings(page=False, **settings), inbox=inbox, companies=sample_month.companies(),
            engine_status=lambda: {"steps": 7, "topics": ["fraud", "products"]}, clock=clock,
            summaries=assemble.summaries(MonitorSettings(run="none", generator=generator), store),
        )  # fmt: skip
        app.state.keys = keys
        try:
            yield app
        finally:
            if inbox is not None:
                inbox.close()


def client_of(app, key=None, address="127.0.0.1", **more):
    """A client of an application in this process."""
    headers = {"Authorization": f"Bearer {app.state.keys[key]}"} if key in ROLES else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers, timeout=30, **more)


def main() -> None:
    from metier.serve.doors.server import serve

    folder = Path(sys.argv[1]).parent
    with Store.open(sys.argv[1]) as store:
        settings = ServiceSettings(port=0, look_seconds=0.3)
        inbox = Inbox(folder / "pushed")
        app = create_app(
            store, settings=settings, inbox=inbox, companies=sample_month.companies(),
            engine_status=lambda: {"topics": ["fraud", "outage", "products"], "sentiments": ["negative", "positive"]},
        )  # fmt: skip

        def announce(address: str) -> None:
            sys.stdout.write(address + "\n")
            sys.stdout.flush()

        serve(app, announce)
        inbox.close()


if __name__ == "__main__":
    main()
