"""The pages of the monitor, in NiceGUI: each shows what the store has, and acts through `acts` and `lists`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metier.serve.monitor.pages import alert, alerts, missed, overview, people, review, search, series, story
from metier.serve.monitor.pages.frame import register
from metier.serve.mounting import mount

if TYPE_CHECKING:
    from fastapi import FastAPI

    from metier.serve.monitor.console import Console

PAGES = {
    "/": overview.Overview,
    "/series": series.Series,
    "/alerts": alerts.Inbox,
    "/alerts/{id}": alert.AlertPage,
    "/stories/{id:path}": story.Story,
    "/companies": search.Search,
    "/review": review.Review,
    "/missed": missed.MissedEvents,
    "/people": people.People,
}


def add_pages(app: FastAPI, console: Console) -> None:
    """Mounts the pages in `app`."""
    from metier.serve.monitor.app import is_page

    mount(app, is_page, console.settings.limits.connections)
    for path, kind in PAGES.items():
        register(path, kind, console)
