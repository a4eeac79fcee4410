"""`metier monitor`: watch a stream, replay an archive, say how good the alarms are."""

from __future__ import annotations

import signal
import time
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metier.cli.options import Json, app, print_json, progress
from metier.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from metier.apps.monitor.alerts.life import Alert
    from metier.apps.monitor.engine import Done, Monitor
    from metier.apps.monitor.recheck import Recheck
    from metier.progress import Progress

monitor = typer.Typer(help="Opinion monitoring: stories, counts and alarms from a stream of documents.")
app.add_typer(monitor, name="monitor")

Settings = Annotated[Path, typer.Option("--settings", help="The monitor.toml.")]
LINES = 5.0
"""Seconds between two lines about the stream."""
DIFFERENT = 10
"""Differences of a recheck that are shown, of each kind."""


@monitor.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder for monitor.toml.")],
    run: Annotated[Path, typer.Option(help="A run with the heads topic and sentiment.")],
    sample: Annotated[bool, typer.Option("--sample", help="With the sample month of headlines.")] = False,
) -> None:
    """Begin: write a monitor.toml to be edited."""
    from metier.apps.monitor.beginning import MONTH, begin

    written = begin(folder, run, sample=sample)
    typer.echo(f"{written}: edit it, then metier monitor run {written}")
    if sample:
        typer.echo(f"metier monitor replay {folder / MONTH} --settings {written}")


@monitor.command()
def run(
    settings: Annotated[Path, typer.Argument(help="The monitor.toml.")] = Path("monitor.toml"),
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="With the console and the API.")] = True,
    host: Annotated[str, typer.Option(help="The address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8080,
    insecure: Annotated[bool, typer.Option("--insecure", help="Serve other machines without HTTPS.")] = False,
    as_json: Json = False,
) -> None:
    """Watch the sources and serve the console, until Ctrl+C; what was read and counted is kept, and gone on with."""
    from metier.apps.monitor import assemble
    from metier.apps.monitor.engine import Monitor
    from metier.apps.monitor.posting import posting
    from metier.apps.monitor.settings import MonitorSettings
    from metier.store.store import Store

    asked = MonitorSettings.read(settings)
    if not asked.sources and not serve:
        raise RecipeError(f"{settings} names no source.", expected="at least one table [[sources]]")
    plan = assemble.plan(asked)
    with (
        progress() as watch,
        Store.open(asked.store) as store,
        assemble.retention(asked, store),
        posting(asked.alerts.receivers, store) as wake,
    ):
        made = Monitor(plan, store, assemble.intakes(asked), patience=asked.patience)
        shown = _Shown(watch, as_json, wake)
        try:
            if serve:
                from metier.serve.monitor.settings import ServiceSettings
                from metier.serve.monitor.together import serve_beside

                service = ServiceSettings(host=host, port=port, insecure=insecure)
                serve_beside(made, asked, service, shown, watch.say)
            else:
                signal.signal(signal.SIGTERM, lambda *_: made.stop())
                made.run(hear=shown)
        except KeyboardInterrupt:
            made.stop()
        finally:
            for intake in made.intakes:
                intake.source.close()
        shown.end(made)


@monitor.command()
def understand(
    settings: Annotated[Path, typer.Argument(help="The monitor.toml.")] = Path("monitor.toml"),
    name: Annotated[str, typer.Option("--name", help="Of this worker; by default machine and process.")] = "",
) -> None:
    """Be one of many workers: understand what a Redis stream brings; metier monitor run counts it. Until Ctrl+C."""
    import threading

    from metier.apps.monitor import assemble
    from metier.apps.monitor.settings import MonitorSettings
    from metier.apps.monitor.worker import work

    asked, stopped = MonitorSettings.read(settings), threading.Event()
    workers = assemble.workers(asked, name)

    def stop(*_: object) -> None:
        stopped.set()
        for worker in workers:
            worker.stop()

    signal.signal(signal.SIGTERM, stop)
    with progress() as watch:
        shown = _Worked(watch)
        watch.say(f"{len(workers)} streams, run {workers[0].version}")
        try:
            work(workers, stopped, shown)
        except KeyboardInterrupt:
            stop()
        finally:
            for worker in workers:
                worker.close()
        shown.end()


people = typer.Typer(help="Who may use the console and the API.")
monitor.add_typer(people, name="people")


@people.command()
def add(
    name: Annotated[str, typer.Argument(help="Of the person.")],
    role: Annotated[str, typer.Option(help="viewer, analyst or admin.")] = "analyst",
    settings: Settings = Path("monitor.toml"),
) -> None:
    """Add a person; the password is asked for."""
    from metier.apps.monitor.settings import MonitorSettings
    from metier.serve.doors.door import add_person
    from metier.store.store import Store

    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    with Store.open(MonitorSettings.read(settings).store) as store, store.write() as connection:
        add_person(connection, name, role, password, "command line", time.time())
    typer.echo(f"{name} may come in as {role}.")


@people.command()
def key(
    name: Annotated[str, typer.Argument(help="Of the program that shall use it.")],
    role: Annotated[str, typer.Option(help="viewer, analyst or admin.")] = "viewer",
    settings: Settings = Path("monitor.toml"),
) -> None:
    """Make an API key; it is shown once, on stdout."""
    from metier.apps.monitor.settings import MonitorSettings
    from metier.store import people as admitted
    from metier.store.store import Store

    with Store.open(MonitorSettings.read(settings).store) as store, store.write() as connection:
        typer.echo(admitted.add_key(connection, name, role, time.time()))


@monitor.command()
def replay(
    archive: Annotated[Path, typer.Argument(help="JSON lines or CSV, plain or gzip, in the order of time.")],
    settings: Settings = Path("monitor.toml"),
    start: Annotated[str | None, typer.Option("--from", help="A day or a time, ISO 8601.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Before this day or time.")] = None,
    as_json: Json = False,
) -> None:
    """Watch an archive as if it came now, as fast as it goes, and print the alerts as they fire."""
    from metier.apps.monitor import assemble
    from metier.apps.monitor.engine import Monitor
    from metier.apps.monitor.settings import MonitorSettings
    from metier.store.store import Store

    asked = MonitorSettings.read(settings)
    span = (_moment(start, asked.calendar.zone, "-inf"), _moment(end, asked.calendar.zone, "inf"))
    intake, plan = assemble.archive(archive, asked, *span), assemble.plan(asked)
    with progress() as watch, Store.open(asked.store) as store:
        made = Monitor(plan, store, [intake], live=False)
        shown = _Shown(watch, as_json)
        watch.stage("replay", 0)
        made.run(hear=shown)
        shown(made.end())
        shown.end(made)


@monitor.command()
def evaluate(
    settings: Settings = Path("monitor.toml"),
    days: Annotated[float, typer.Option(min=1, help="The last days of the history.")] = 365.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the surges that are put in.")] = 0,
    as_json: Json = False,
) -> None:
    """False alarms, and how soon surges put into the stored history of your own stream would be found."""
    from metier.apps.monitor.detection import rehearsal
    from metier.apps.monitor.history import stored
    from metier.apps.monitor.settings import MonitorSettings
    from metier.store.store import Store

    asked = MonitorSettings.read(settings)
    with Store.open(asked.store, create=False) as store, store.read() as connection:
        history = stored(connection, days)
    found = rehearsal.evaluate(asked.detecting(), history, seed=seed)
    factor, _ = rehearsal.caution(asked.detecting(), history)
    lines = [
        f"{found.series_months:.1f} series-months of 30 days were watched.",
        f"{len(found.episodes)} alarms, {found.a_month:.2f} a series-month; the budget is {found.budget:.2f}.",
        *(
            f"surges of {one.ratio:g} x: {one.surges}, {100 * one.caught:.0f} % found, "
            f"{100 * one.in_time:.0f} % within half their time"
            + (f", after {one.median_delay:.0f} minutes (median)" if isfinite(one.median_delay) else "")
            for one in found.caught
        ),
        f"caution = {factor:g} keeps the budget on this history."
        if factor > asked.caution
        else "The budget is kept on this history.",
    ]
    for line in lines:
        typer.echo(line, err=as_json)
    if as_json:
        surges = [
            {
                "ratio": one.ratio,
                "count": one.surges,
                "found": one.caught,
                "in_time": one.in_time,
                "median_minutes": one.median_delay if isfinite(one.median_delay) else None,
            }
            for one in found.caught
        ]
        print_json({
            "series_months": found.series_months, "alarms": len(found.episodes), "a_month": found.a_month,
            "budget": found.budget, "caution": factor, "surges": surges,
        })  # fmt: skip


class _Worked:
    """Says now and then how many documents a worker understood."""

    def __init__(self, watch: Progress) -> None:
        self.watch, self.documents = watch, 0
        self.since, self.spoken = 0, time.monotonic()

    def __call__(self, count: int) -> None:
        self.documents += count
        seconds = time.monotonic() - self.spoken
        if self.documents > self.since and seconds > LINES:
            rate = (self.documents - self.since) / seconds
            self.watch.say(f"{self.documents:,} documents, {rate:.0f} a second")
            self.since, self.spoken = self.documents, time.monotonic()

    def end(self) -> None:
        """The last line."""
        self.watch.say(f"{self.documents:,} documents were understood.")


@monitor.command()
def recheck(
    alert: Annotated[str, typer.Argument(help="The id of an alert.")],
    settings: Settings = Path("monitor.toml"),
    as_json: Json = False,
) -> None:
    """Raise an alert once more from what is stored, and say whether everything comes out as it is kept."""
    from metier.apps.monitor import assemble
    from metier.apps.monitor.recheck import recheck as again
    from metier.apps.monitor.settings import MonitorSettings
    from metier.store.store import Store

    asked = MonitorSettings.read(settings)
    plan = assemble.plan(asked)
    with progress() as watch, Store.open(asked.store, create=False) as store, store.read() as connection:
        watch.stage("ticks", 0)
        found = again(connection, plan, alert, watch.tick)
    if as_json:
        print_json({**asdict(found), "same": found.same})
    else:
        _print_recheck(found)
    raise typer.Exit(0 if found.same else 1)


def _print_recheck(found: Recheck) -> None:
    typer.echo(f"alert {found.alert}, documents read by run {found.run}")
    for part in found.parts:
        told = f"{len(part.different)} are different" if part.different else "all as kept"
        typer.echo(f"{part.name:<9} {part.compared:>7,} compared: {told}")
        for one in part.different[:DIFFERENT]:
            typer.echo(f"          {one}")
    if found.missing:
        typer.echo(f"{found.missing:,} documents of that time are no longer kept: what rests on them was not compared")
    for one in found.changed:
        typer.echo(f"another setting since: {one}")
    typer.echo("The same alert." if found.same else "Not the same alert.")


class _Shown:
    """Says what the monitor does: a line an alert that begins or ends to fire, a line about the stream now and then."""

    def __init__(self, watch: Progress, as_json: bool, wake: Callable[[], None] = lambda: None) -> None:
        self.watch, self.as_json, self.wake = watch, as_json, wake
        self.documents = self.new = self.aside = 0
        self.began = self.spoken = time.monotonic()
        self.alerts: dict[str, Alert] = {}

    def __call__(self, done: Done) -> None:
        self.documents += done.received
        self.new += done.new
        self.aside += done.aside
        for raised in done.raised:
            for alert in raised.alerts:
                self._alert(alert)
        if any(raised.notices for raised in done.raised):
            self.wake()
        if self.new and time.monotonic() - self.spoken > LINES:
            self.spoken = time.monotonic()
            self.watch.say(f"{self.new:,} documents, {self.rate():.0f} a second, {len(self.alerts)} alerts")

    def rate(self) -> float:
        return self.new / max(time.monotonic() - self.began, 1e-9)

    def _alert(self, alert: Alert) -> None:
        before = self.alerts.get(alert.id)
        if alert.starts_at is None or (before is not None and before.status == alert.status):
            return
        self.alerts[alert.id] = alert
        about = " / ".join(part for part in (alert.series.topic, alert.series.company) if part != "*") or "everything"
        when = f"{datetime.fromtimestamp(alert.updated_at, UTC):%Y-%m-%d %H:%M}"
        told = f"{alert.observed} negative, {alert.expected:.1f} expected"
        self.watch.say(f"{when}  {alert.status:<8}  {alert.severity.level:<8}  {about}: {told}")

    def end(self, made: Monitor) -> None:
        """The last line."""
        figures: dict[str, Any] = {
            "received": self.documents, "new": self.new, "quarantined": self.aside, "alerts": len(self.alerts),
            "a_second": round(self.rate(), 1), "store": made.store.shown,
        }  # fmt: skip
        self.watch.say(
            f"{self.new:,} new documents of {self.documents:,}, {self.aside} set aside, {len(self.alerts)} alerts, "
            f"{self.rate():.0f} documents a second; all of it is in {made.store.shown}."
        )
        if self.as_json:
            print_json(figures)


def _moment(text: str | None, zone: str, standard: str) -> float:
    from metier.apps.monitor.published import written
    from metier.apps.zones import zone_of

    if text is None:
        return float(standard)
    found = written(text, zone_of(zone), ())
    if found is None:
        raise RecipeError(f"{text!r} is no time.", expected="such as 2024-02-24 or 2024-02-24T09:30")
    return found.seconds
