"""The invented bank, built once with the real encoder; each test gets a store of its own beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from metier.apps.support import assemble
from metier.apps.support.beginning import begin
from metier.apps.support.build import Built, build
from metier.apps.support.settings import SupportSettings
from metier.apps.support.support import Support
from metier.store import open_store


@pytest.fixture(scope="session")
def bank(tmp_path_factory) -> tuple[SupportSettings, Built]:
    """Settings and what was built; nobody writes into its store."""
    settings = SupportSettings.read(begin(tmp_path_factory.mktemp("bank"), sample=True))
    with open_store(settings.store) as store:
        return settings, build(settings, store, 1_000.0)


@pytest.fixture
def own(bank, tmp_path) -> SupportSettings:
    """Settings with a copy of the store."""
    settings, _ = bank
    shutil.copyfile(settings.store, tmp_path / "own.db")
    return settings.model_copy(update={"store": str(tmp_path / "own.db")})


@pytest.fixture
def desk(own) -> Iterator[Support]:
    """Customer service over it."""
    with open_store(own.store) as store:
        made = assemble.support(own, store)
        yield made
        made.close()


@pytest.fixture
def ask(desk):
    """Says something in one conversation; the last reply."""
    conversation, _ = desk.open("terminal")

    def told(text: str):
        return desk.receive(conversation.id, text).replies[-1]

    return told
