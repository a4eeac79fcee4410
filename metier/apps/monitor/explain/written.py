"""Summaries that are written once: kept in the store for as long as their alert rests on the same stories."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from metier.apps.monitor.explain.summary import Sentence, question, summary
from metier.store import alerts, ticks
from metier.store.store import Store
from metier.store.ticks import State


class Summaries:
    """The summaries of alerts, each asked for once.

    Args:
        store: an open store.
        generate: a question in, an answer out; raises a `MetierError` in bounded time where there is none.
        writer: who that is: what another one wrote is written anew.
        timeout: seconds that whoever wants to read a summary waits for it.
    """

    def __init__(self, store: Store, generate: Callable[[str], str], writer: str, timeout: float = 20.0) -> None:
        self.store, self.generate, self.writer, self.timeout = store, generate, writer, timeout

    def version(self, evidence: Mapping[str, Any]) -> str:
        """SHA-256 of all that a summary depends on: the question, with its stories, and who is asked."""
        return hashlib.sha256(f"{self.writer}\n{question(evidence)}".encode("utf-8", "replace")).hexdigest()

    def known(self, evidence: Mapping[str, Any]) -> list[Sentence] | None:
        """What was written of an alert as its evidence is; empty where nothing held, `None` where nobody wrote yet."""
        with self.store.read() as connection:
            kept = ticks.stage(connection, _name(evidence["alert"]))
        if kept is None or kept.state["version"] != self.version(evidence):
            return None
        return [Sentence(one["text"], tuple(one["stories"])) for one in kept.state["sentences"]]

    def write(self, evidence: Mapping[str, Any], now: float) -> list[Sentence] | None:
        """Asks for the summary of an alert and keeps it.

        Returns `None` where the alert rests on other stories by now, or on some that were erased: what is not kept is
        not shown either.

        Raises:
            MetierError: where the generator does not answer, or the store is away.
        """
        found = summary(evidence, self.generate)
        version = self.version(evidence)
        said = [{"text": one.text, "stories": list(one.stories)} for one in found]

        def keep(connection: Connection) -> bool:
            stored = alerts.get(connection, evidence["alert"])
            same = stored is not None and bool(stored.evidence) and self.version(stored.evidence) == version
            if same:
                state = State({"version": version, "sentences": said}, at=now)
                ticks.set_stage(connection, _name(evidence["alert"]), state)
            return same

        return found if self.store.run(keep) else None


def _name(alert: str) -> str:
    """Erasure takes what is called so with the texts that the alert rests on."""
    return f"alert:{alert}:summary"
