"""Summaries beside the service: asked for in threads of their own, waited for without holding anybody else up."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from metier.apps.monitor.explain.summary import Sentence
from metier.errors import MetierError

if TYPE_CHECKING:
    from metier.apps.monitor.explain.written import Summaries

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Alerts whose summaries are written at one time; of others there is none for the moment."""
LEFT_ALONE = 60.0
"""Seconds that a generator which did not answer is not asked."""
Written = list[Sentence] | None


class Desk:
    """Hands out summaries.

    Args:
        summaries: those that are kept, and how others are written.
        clock: seconds since 1970.
    """

    def __init__(self, summaries: Summaries, clock: Callable[[], float] = time.time) -> None:
        self.summaries, self.clock = summaries, clock
        self._pending: dict[str, Future[Written]] = {}
        self._lock = threading.Lock()
        self._again = 0.0

    async def read(self, evidence: Mapping[str, Any] | None) -> tuple[Sequence[Sentence], str]:
        """The summary of an alert, or why there is none, as `brief` takes it; both empty where it has no stories.

        Never raises, and waits for `Summaries.timeout` at most. What comes later than that is kept for the next reader.
        """
        if not evidence or not evidence.get("stories"):
            return (), ""
        try:
            found = await asyncio.wait_for(self._found(evidence), self.summaries.timeout)
        except TimeoutError:
            found = None
        except Exception:
            # A summary is worth less than the page that it stands on.
            logger.exception("no summary of the alert %s", evidence.get("alert"))
            found = None
        return (found, "") if found else ((), "unanswered" if found is None else "unfounded")

    async def _found(self, evidence: Mapping[str, Any]) -> Written:
        known = await asyncio.to_thread(self.summaries.known, evidence)
        if known is not None:
            return known
        asked = self._asked(evidence)
        # Shielded, for others may be waiting for the same.
        return None if asked is None else await asyncio.shield(asyncio.wrap_future(asked))

    def _asked(self, evidence: Mapping[str, Any]) -> Future[Written] | None:
        """The summary that is being written; `None` where none can be now."""
        version = self.summaries.version(evidence)
        with self._lock:
            if version in self._pending:
                return self._pending[version]
            if len(self._pending) >= AT_ONCE or time.monotonic() < self._again:
                return None
            future = self._pending[version] = Future()
        # No pool: the end of the process shall wait for no generator.
        threading.Thread(
            target=self._write, args=(version, evidence, future), name="metier-summary", daemon=True
        ).start()
        return future

    def _write(self, version: str, evidence: Mapping[str, Any], future: Future[Written]) -> None:
        found: Written = None
        try:
            found = self.summaries.known(evidence)  # another reader may have been first
            if found is None:
                found = self.summaries.write(evidence, self.clock())
        except MetierError as error:
            logger.warning("no summary of the alert %s: %s", evidence.get("alert"), error)
            self._again = time.monotonic() + LEFT_ALONE
        except Exception:
            logger.exception("no summary of the alert %s", evidence.get("alert"))
        finally:
            with self._lock:
                del self._pending[version]
            future.set_result(found)
