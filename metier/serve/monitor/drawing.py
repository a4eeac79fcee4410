"""Templates of the pages. Every value is escaped; what may be a link is looked at before it is one."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from markupsafe import Markup

from metier.apps.monitor import zones
from metier.apps.monitor.explain.brief import link
from metier.apps.monitor.item import EVERYTHING
from metier.errors import RecipeError
from metier.evaluate import pages
from metier.serve.doors.drawing import style
from metier.serve.monitor.phrases import say

if TYPE_CHECKING:
    from jinja2 import Environment

HOUR = 3600.0


def draw(template: str, language: str, **values: Any) -> Markup:
    """A template in a language, as markup."""

    def spoken(name: str, /, **more: Any) -> str:
        return say(name, language, **more)

    found = _environment().get_template(template).render(t=spoken, language=language, css=style(), **values)
    return Markup(found)  # made by a template that escapes


def clock(seconds: float | None, zone: str, form: str = "%Y-%m-%d %H:%M") -> str:
    """A time as the viewer's clock shows it."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds, tz=zone_of(zone)).strftime(form)


def zone_of(name: str) -> tzinfo:
    """A time zone; UTC for a name that is none."""
    try:
        return zones.zone_of(name)
    except RecipeError:
        return UTC


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
    environment = pages.environment("metier.serve.monitor")
    environment.globals |= {
        "link": link, "clock": clock, "series_link": series_link, "EVERYTHING": EVERYTHING, "quote": _quoted,
        "span_text": span_text, "percent": _percent,
    }  # fmt: skip
    return environment


def _quoted(value: str) -> str:
    return quote(value, safe="")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
