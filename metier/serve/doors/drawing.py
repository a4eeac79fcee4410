"""The form of the log-in, and the style sheet of all consoles. Every value is escaped."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

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


@cache
def _environment() -> Environment:
    return pages.environment("metier.serve.doors")
