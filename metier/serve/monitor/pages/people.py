"""Who may come in."""

from __future__ import annotations

from metier.serve.doors.people import PeoplePage
from metier.serve.monitor.pages.frame import Screen


class People(PeoplePage, Screen):
    """`/people`"""
