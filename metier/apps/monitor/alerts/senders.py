"""The ways in which a notice leaves: a webhook, or anything that apprise knows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from metier.apps.hooks import Answer
from metier.errors import MissingExtra, RecipeError

SHOWN = 10
"""Alerts that a text lists."""
TEXTS = {
    "en": {"firing": "firing", "resolved": "resolved", "more": "and {count} more"},
    "zh": {"firing": "触发", "resolved": "已恢复", "more": "另有 {count} 条"},
}


class Sender(Protocol):
    """One way to one receiver."""

    def send(self, name: str, body: Mapping[str, Any]) -> Answer:
        """Sends one notice. `name` is its id, the same at every try. Raises nothing that a network can cause."""


class Apprise:
    """Sends a text by any service that apprise has an address for. Raises `MissingExtra` where it is not installed."""

    def __init__(self, urls: Sequence[str], language: str = "en") -> None:
        try:
            import apprise
        except ImportError:
            raise MissingExtra("apprise", "apps") from None
        # What it logs may name the addresses; what went wrong is said by us.
        for name in ("apprise", "urllib3.connectionpool"):
            logging.getLogger(name).addFilter(_secret)
        self.language = language
        self._to = apprise.Apprise()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of modules that it has for old Pythons
            known = [self._to.add(url) for url in urls]
        if not all(known):
            raise RecipeError(
                f"Address {known.index(False) + 1} of {len(urls)} is none that apprise knows.",
                expected="such as mailto://… or slack://…",
            )

    def send(self, name: str, body: Mapping[str, Any]) -> Answer:
        """See `Sender.send`."""
        title, text = written(body, self.language)
        try:
            taken = self._to.notify(body=text, title=title, body_format="text")
        except TypeError:
            return Answer(False, again=False, fault="apprise refuses the text")
        return Answer(bool(taken), again=not taken, fault="" if taken else "apprise could not send it to all addresses")


def written(body: Mapping[str, Any], language: str = "en") -> tuple[str, str]:
    """A title and a text out of the body of a notice, for people."""
    words, alerts = TEXTS[language], body["alerts"]
    suffix = "_zh" if language == "zh" else ""
    lines = []
    for alert in alerts[:SHOWN]:
        notes = alert["annotations"]
        summary = notes.get(f"summary{suffix}") or ", ".join(f"{k}={v}" for k, v in alert["labels"].items())
        lines += [f"[{words[alert['status']]}] {summary}", notes.get(f"severity_reason{suffix}", "")]
        lines += [alert["generatorURL"], ""]
    more = len(alerts) - SHOWN + body["truncatedAlerts"] if len(alerts) > SHOWN else body["truncatedAlerts"]
    lines += [words["more"].format(count=more)] if more else []
    status, named = words[body["status"]], " / ".join(body["groupLabels"].values()) or "Metier"
    # A line feed in a title could begin a header of a message.
    title = " ".join(f"[{status}:{len(alerts) + body['truncatedAlerts']}] {named}".split())
    return title, "\n".join(line for place, line in enumerate(lines) if line or (place and lines[place - 1])).strip()


def _secret(record: logging.LogRecord) -> bool:
    """Whether a record is let through: none of apprise, none of the connections under it that names an address."""
    return record.name != "apprise" and record.levelno > logging.DEBUG
