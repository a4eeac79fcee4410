"""Templates of the pages. Every value is escaped; what may be a link is looked at before it is one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from markupsafe import Markup

from metier.apps.monitor.explain.brief import link
from metier.apps.monitor.item import EVERYTHING
from metier.serve.doors.drawing import clock, environment, style, zone_of
from metier.serve.monitor.phrases import say

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["clock", "draw", "series_link", "span_text", "zone_of"]
HOUR = 3600.0


def draw(template: str, language: str, **values: Any) -> Markup:
    """A template in a language, as markup."""

    def spoken(name: str, /, **more: Any) -> str:
        return say(name, language, **more)

    found = _environment().get_template(template).render(t=spoken, language=language, css=style(), **values)
    return Markup(found)  # made by a template that escapes


def series_link(topic: str, company: str, **more: Any) -> str:
    """The address of the page of a series."""
    return "/series?" + urlencode({"topic": topic, "company": company, **more})


def span_text(seconds: float, language: str) -> str:
    """How long something is: `4 days`, `90 min`."""
    for unit, length in (("days", 86_400.0), ("hours", HOUR), ("minutes", 60.0)):
        if seconds >= 2 * length or (seconds >= length and seconds % length == 0):
            return say(f"n_{unit}", language, n=f"{seconds / length:.3g}")
    return say("n_seconds", language, n=f"{seconds:.0f}")


@cache
def _environment() -> Environment:
    found = environment("metier.serve.monitor")
    found.globals |= {
        "link": link, "series_link": series_link, "EVERYTHING": EVERYTHING, "span_text": span_text,
    }  # fmt: skip
    return found
