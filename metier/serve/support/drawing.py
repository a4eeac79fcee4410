"""Templates of the pages of customer service. Every value is escaped; links of documents are text."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from metier.serve.doors.drawing import environment
from metier.serve.support.phrases import say

if TYPE_CHECKING:
    from jinja2 import Environment


def draw(template: str, language: str, **values: Any) -> Markup:
    """A template in a language, as markup."""

    def spoken(name: str, /, **more: Any) -> str:
        return say(name, language, **more)

    return Markup(_environment().get_template(template).render(t=spoken, language=language, **values))  # it escapes


def waited(seconds: float, language: str) -> str:
    """How long somebody waits, in whole minutes."""
    if seconds < 60:
        return say("below_minute", language)
    if seconds < 7_200:
        return say("n_minutes", language, n=int(seconds // 60))
    return say("n_hours", language, n=int(seconds // 3600))


@cache
def sheet() -> str:
    """What these pages add to the style sheet of all consoles."""
    return files("metier.serve.support").joinpath("pages.css").read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return environment("metier.serve.support")
