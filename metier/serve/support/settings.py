"""What an operator decides about the service of customer service."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from metier.errors import RecipeError
from metier.serve.doors import settings
from metier.serve.settings import Limits


def _limits() -> Limits:
    return Limits(body_bytes=256 << 10, connections=4_096)


@dataclass(frozen=True)
class ServiceSettings(settings.ServiceSettings):
    """Where the service listens, who may come in, how many answers are made at a time.

    Args:
        threads: that answer; 0: two a processor, for half of the time one waits for the disk.
        waiting: messages that may wait for one of them; what comes then is refused with 503, before it is kept.
        look_seconds: between two looks at what other processes wrote.
        follow_seconds: between two looks whether the knowledge changed.
        folder_seconds: between two looks at the documents.
        sweep_seconds: between two looks for conversations whose person, or whose process, is gone.

    The others, and what is raised: see `metier.serve.doors.settings.ServiceSettings`.
    """

    threads: int = 0
    waiting: int = 256
    look_seconds: float = 1.0
    follow_seconds: float = 0.5
    folder_seconds: float = 2.0
    sweep_seconds: float = 10.0
    limits: Limits = field(default_factory=_limits)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threads < 0 or self.waiting < 0:
            raise RecipeError("Threads and messages that wait are not below 0.")
        if min(self.follow_seconds, self.folder_seconds, self.sweep_seconds) <= 0:
            raise RecipeError("Seconds between two looks are above 0.")

    @property
    def workers(self) -> int:
        """Threads that answer."""
        return self.threads or 2 * (os.cpu_count() or 1)
