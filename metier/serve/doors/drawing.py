"""The form of the log-in, and the style sheet of all consoles. Every value is escaped."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup

from metier.apps import zones
from metier.errors import RecipeError
from metier.evaluate import pages
from metier.serve.doors.phrases import say
from metier.serve.words import LANGUAGES

if TYPE_CHECKING:
    from jinja2 import Environment


def draw_door(language: str, lead: tuple[str, str], **values: Any) -> Markup:
    """The form of the log-in, or of the first person, in a language; `lead` in English and Chinese."""

    def spoken(name: str, /, **more: Any) -> str:
        own = lead[LANGUAGES.index(language)]
        return own if name == "log_in_lead" else say(name, language, **more)

    found = _environment().get_template("door.html.j2").render(t=spoken, language=language, css=style(), **values)
    return Markup(found)  # made by a template that escapes


@cache
def style() -> Markup:
    """The style sheet of all pages."""
    own = files("metier.serve").joinpath("page.css").read_text(encoding="utf-8")
    more = files("metier.serve.doors").joinpath("console.css").read_text(encoding="utf-8")
    return Markup(own + more)  # files of this package


def environment(package: str) -> Environment:
    """The templates of an application, and behind them those that all consoles share."""
    from jinja2 import ChoiceLoader, PackageLoader

    found = pages.environment(package)
    found.loader = ChoiceLoader([PackageLoader(package), PackageLoader("metier.serve.doors")])
    found.globals |= {"clock": clock, "quote": _quoted, "percent": _percent}
    return found


def clock(seconds: float | None, zone: str, form: str = "%Y-%m-%d %H:%M") -> str:
    """A time as the viewer's clock shows it."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds, tz=zone_of(zone)).strftime(form)


def zone_of(name: str) -> tzinfo:
    """A time zone; UTC for a name that is none."""
    try:
        return zones.zone_of(name)
    except RecipeError:
        return UTC


def _quoted(value: str) -> str:
    return quote(value, safe="")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


@cache
def _environment() -> Environment:
    return pages.environment("metier.serve.doors")
