"""From the settings and what was built to a service that is ready."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from metier.apps.support import build as built
from metier.apps.support.answer.answerer import Answerer, Parts, Write
from metier.apps.support.answer.known import Encode, Known
from metier.apps.support.answer.papers import Papers
from metier.apps.support.answer.sure import Sure
from metier.apps.support.answer.written import TOKENS, Written
from metier.apps.support.scope import Scope
from metier.apps.support.settings import SupportSettings
from metier.apps.support.support import Hear, House, Support
from metier.apps.support.understand import Understanding
from metier.model import Model
from metier.pipeline.encoder import Encoder
from metier.search.index import Index
from metier.store import knowledge
from metier.store.store import Store


def answerer(settings: SupportSettings, store: Store, write: Write | None = None) -> Answerer:
    """The bot over what was built, brought up to what the store has.

    Raises:
        RunError: where nothing was built, or what was is damaged.
    """
    folder = Path(settings.built)
    facts = built.facts_of(folder)
    encode = Encoder(folder / built.ENCODER, threads=settings.threads or 1)
    known = _known(folder, store, encode, Sure.of(facts["sure"]))
    understanding = _understanding(settings, store, facts["scope"]) if facts["fitted"] else None
    papers = None
    if facts["passages"]:
        index = Index(folder / built.PAPERS, encode)
        papers = Papers(index, built.passages_of(folder), Sure.of(facts["sure_papers"]))
    digest = hashlib.sha256((folder / built.FACTS).read_bytes()).hexdigest()[:12]
    return Answerer(
        Parts(known, encode, papers, understanding, write, settings.slots, settings.answers, version=digest)
    )


def support(
    settings: SupportSettings, store: Store, *, hear: Hear = lambda message: None, write: Write | None = None,
    clock: Callable[[], float] | None = None,
) -> Support:  # fmt: skip
    """Customer service, ready; where the settings name a generator and nobody else is to write, it does.

    Raises as `answerer` does, and `RecipeError` for an endpoint that is none.
    """
    house = House(settings.handover.office(), settings.handover.lost, settings.service.longest, settings.regions)
    more = {} if clock is None else {"clock": clock}
    bot = answerer(settings, store, write)
    if write is None and settings.generator.endpoint:
        bot.parts = replace(bot.parts, write=written(settings, bot.parts.encode))
    return Support(store, bot, house, hear=hear, **more)


def written(settings: SupportSettings, encode: Encode) -> Written:
    """Who writes answers: the generator that the settings name. Raises `RecipeError` for an endpoint that is none."""
    from metier.models.generator import Endpoint

    part = settings.generator
    endpoint = Endpoint(part.endpoint, part.model, part.api_key_env, "generator")
    return Written(
        lambda text, seconds: endpoint.say(text, tokens=TOKENS, seconds=seconds),
        encode, seconds=part.timeout, most=2 * settings.answers.sentences,
    )  # fmt: skip


def _known(folder: Path, store: Store, encode: Encode, sure: Sure) -> Known:
    index = Index(folder / built.ENTRIES, encode)
    known = Known(store, index, sure, index.mark)
    known.follow()
    return known


def _understanding(settings: SupportSettings, store: Store, scope: Mapping[str, Any] | None) -> Understanding:
    with store.read() as connection:
        entries = [one for one in knowledge.changed(connection) if one.active]
    folder = Path(settings.built)
    run = settings.run or str(folder / built.RUN)
    found = Understanding.of(Model(run, threads=settings.threads or 1), entries)
    return found if scope is None else replace(found, scope=Scope.load(folder / built.SCOPE, scope))
