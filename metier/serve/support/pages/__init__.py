"""The pages of customer service, in NiceGUI: the desk of those who answer, the knowledge and what waits to join it,
figures, who may come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metier.serve.doors.screen import register
from metier.serve.mounting import mount
from metier.serve.support.pages import desk, figures, gaps, knowledge, people, review

if TYPE_CHECKING:
    from fastapi import FastAPI

    from metier.serve.support.office import Office

PAGES = {
    "/": desk.Desk,
    "/knowledge": knowledge.KnowledgePage,
    "/review": review.ReviewPage,
    "/gaps": gaps.GapsPage,
    "/figures": figures.FiguresPage,
    "/people": people.People,
}


def add_pages(app: FastAPI, office: Office) -> None:
    """Mounts the pages in `app`."""
    mount(app, PAGES.__contains__, office.settings.limits.connections)
    for path, kind in PAGES.items():
        register(path, kind, office)
