"""What an operator decides about the service of the monitor."""

from __future__ import annotations

from dataclasses import dataclass

from metier.errors import RecipeError
from metier.serve.doors import settings


@dataclass(frozen=True)
class ServiceSettings(settings.ServiceSettings):
    """Where the service listens, who may come in and how.

    Args:
        documents: in one request, at most.

    The others, and what is raised: see `metier.serve.doors.settings.ServiceSettings`.
    """

    documents: int = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.documents <= 0:
            raise RecipeError(f"A request may hold {self.documents} documents.", expected="a number above 0")
