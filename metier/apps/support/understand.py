"""What the run says of a message: the calibrated probability of each intent, and how far outside of all it lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from metier.apps.support.answer.known import Intent
from metier.apps.support.scope import Scope
from metier.errors import RunError
from metier.model import Model
from metier.store.knowledge import StoredEntry
from metier.types import Document

QUESTIONS, INTENTS = 5, 2
"""Questions of an intent, and intents, from which on a run is fitted."""


def enough(intents: Sequence[str]) -> bool:
    """Whether these labels of questions suffice for a fit."""
    counts = Counter(intents)
    return len(counts) >= INTENTS and min(counts.values()) >= QUESTIONS


@dataclass(frozen=True)
class Understanding:
    """A run with a head that tells intents.

    Args:
        model: the run.
        head: which of its heads.
        held_out: questions that it was not fitted on; empty: not told.
        scope: how far outside of its intents a message lies; none: that was not learned.
    """

    model: Model
    head: str
    held_out: frozenset[str] = frozenset()
    scope: Scope | None = None

    @classmethod
    def of(cls, model: Model, entries: Sequence[StoredEntry]) -> Understanding:
        """With the head that knows the intents of the entries.

        Raises:
            RunError: where none does.
        """
        wanted = {one.intent for one in entries if one.intent}
        for name, task in model.heads.items():
            if task.kind == "classify" and (name == "intent" or wanted <= set(task.labels)):
                return cls(model, name)
        raise RunError(
            f"The run {model.run} tells no intents.", expected="a head 'intent', or one whose labels are the intents"
        )

    @property
    def version(self) -> str:
        """Of the run."""
        return str(self.model.describe()["version"])

    def __call__(self, text: str) -> Intent:
        """What the run says of a masked text."""
        said, vectors = self.model.runtime.understand([Document(text)])
        shares, vector = dict(said[0][self.head].probabilities), vectors[0]
        if self.scope is None or vector is None:
            return Intent(shares)
        return Intent(shares, self.scope(vector, list(shares.values())))
