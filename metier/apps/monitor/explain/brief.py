"""The brief of an alert: one page that says what happened and why it was raised, for the screen and for paper.

English and Chinese, light and dark, without a script; the browser prints it or saves it as PDF. Everything in it comes
from the evidence, and every text of a story is text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from metier.apps.monitor.alerts.life import Alert
from metier.apps.monitor.explain.phrases import CHINESE
from metier.apps.monitor.explain.plot import detectors, picture
from metier.apps.monitor.explain.summary import Sentence
from metier.apps.monitor.item import EVERYTHING
from metier.apps.zones import zone_of
from metier.evaluate import pages

if TYPE_CHECKING:
    from jinja2 import Environment

STORIES = 7
"""Stories on the page: with more of them it is no longer one."""


def brief(
    alert: Alert,
    evidence: Mapping[str, Any],
    summary: Sequence[Sentence] = (),
    *,
    lang: str = "en",
    zone: str = "UTC",
    address: str = "",
    note: str = "",
) -> str:
    """An alert as one HTML document.

    Args:
        alert: the alert as it is now.
        evidence: of `why.evidence`.
        summary: of `summary.summary`; empty: none.
        lang: the language that is shown first, `en` or `zh`; the page holds both.
        zone: whose times are shown, by its IANA name.
        address: where the alert is in the console; empty: nowhere.
        note: why there is no summary: `unanswered` by the generator, or `unfounded`, all that it wrote; empty: nobody
            was to write one.

    Raises:
        ValueError: for a language that no page speaks.
        RecipeError: for a time zone that there is none of.
    """
    if lang not in ("en", "zh"):
        raise ValueError(f"pages speak en and zh, not {lang!r}")
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    there = zone_of(zone)
    stories = _stories(evidence, [name for one in summary for name in one.stories])
    numbers = {story["id"]: place for place, story in enumerate(stories, 1)}
    return (
        _environment()
        .get_template("brief.html.j2")
        .render(
            lang=lang,
            style=Markup(style),  # files of this package; autoescaping would break their selectors
            digest=digest,
            alert=alert,
            found=evidence,
            title=name_of(alert),
            picture=picture(evidence["counts"], there, name_of(alert)),
            drawn=detectors(evidence["counts"]),
            stories=stories,
            summary=[(one.text, [_citation(evidence, numbers, name) for name in one.stories]) for one in summary],
            note=note,
            time=lambda value: (
                "–" if value is None else datetime.fromtimestamp(value, tz=there).strftime("%Y-%m-%d %H:%M")
            ),
            zone=zone,
            address=link(address),
            settings=sorted(evidence["settings"].items()),
        )
    )


def name_of(alert: Alert) -> str:
    """What an alert is about: its topic and its company; empty where it is about everything."""
    return " / ".join(part for part in (alert.series.topic, alert.series.company) if part != EVERYTHING)


def link(url: str) -> str:
    """An address that may be a link: one of the web; empty for all others, such as `javascript:`."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    plain = url.isprintable() and not any(sign in url for sign in '\\"<> ')
    return url.strip() if parts.scheme in ("http", "https") and parts.hostname and plain else ""


def words(phrase: str, **values: Any) -> Markup:
    """A phrase in both languages, one of which the style sheet hides. Values are escaped. Raises `KeyError`."""
    both = (("en", phrase), ("zh", CHINESE[phrase]))
    filled = {key: escape(value) for key, value in values.items()}
    return Markup("").join(
        Markup('<span class="{0}" lang="{0}">{1}</span>').format(lang, Markup(escape(text).format(**filled)))
        for lang, text in both
    )


def _citation(evidence: Mapping[str, Any], numbers: Mapping[str, int], name: str) -> tuple[int | str, str]:
    """How a story is cited, and where that leads: to its place on the page, else to where it was published."""
    place = numbers.get(name)
    known = evidence["stories"].get(name, {"url": ""})
    return (name, link(known["url"])) if place is None else (place, f"#story-{place}")


def _stories(evidence: Mapping[str, Any], cited: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The stories of the page: those that its summary cites, then the hottest and the most negative ones, in turns."""
    order: dict[str, None] = dict.fromkeys(name for name in cited if name in evidence["stories"])
    for pair in zip(evidence["stories_by_heat"], evidence["stories_by_negativity"], strict=True):
        order |= dict.fromkeys(pair)
    kept = [{"id": name, **evidence["stories"][name]} for name in list(order)[:STORIES]]
    return [{**story, "link": link(story["url"])} for story in sorted(kept, key=lambda one: -one["heat"])]


@cache
def _style() -> str:
    report = (files("metier.evaluate") / "templates" / "report.css").read_text(encoding="utf-8")
    return report + (files("metier.apps.monitor.explain") / "templates" / "brief.css").read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = pages.environment("metier.apps.monitor.explain")
    environment.globals["t"] = words
    return environment
