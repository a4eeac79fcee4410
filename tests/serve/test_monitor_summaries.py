"""Summaries on briefs: a real endpoint on this machine writes them, well, badly, slowly or never."""

from __future__ import annotations

import asyncio
import html
import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import endpoints
import pytest
from monitored import client_of, console

from metier.models import generator
from metier.serve.monitor import summaries
from metier.store import alerts, ticks
from metier.store.store import Store

UNANSWERED, UNFOUNDED = "the generator has not answered", "is borne out by the stories"
KEY = "METIER_TEST_KEY"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(generator, "PAUSE", 0.0)


@contextmanager
def desk(filled, folder, answer, timeout=20.0):
    """An application whose generator says what `answer` makes of a question: `(app, what the generator heard)`."""

    def said(path, content):
        text = answer(content["messages"][0]["content"])
        return (text, {}) if isinstance(text, int) else (200, {"choices": [{"message": {"content": text}}]})

    with endpoints.served(said) as (address, heard):
        part = {"endpoint": address, "model": "tiny", "api_key_env": KEY, "timeout": timeout}
        with console(filled, folder, generator=part) as app:
            yield app, heard


def opened(app, *paths):
    """Answers at paths, which are asked for at the same time, and the seconds that each took."""

    async def all_of_them():
        async with client_of(app, "viewer") as client:

            async def one(path):
                found = await client.get(path)
                return found, time.monotonic() - began

            began = time.monotonic()
            return await asyncio.gather(*(one(path) for path in paths))

    return asyncio.run(all_of_them())


def firing(app):
    with app.state.console.store.read() as connection:
        found = alerts.listing(connection, alerts.Wanted(states=("firing",), company="vantis-telecom"))
    return found[0]


def opened_brief(app, query=""):
    (found,) = opened(app, f"/v1/alerts/{firing(app).id}/brief{query}")
    assert found[0].status_code == 200
    return found[0].text


def told(question):
    """The stories of a question: their texts by their ids."""
    rows = [json.loads(line) for line in question.split("\n") if line.startswith("{")]
    return {row["id"]: row["text"] for row in rows}


def plain(question):
    name, text = next((name, text) for name, text in told(question).items() if "<" not in text)
    return f"{text} [{name}]. Nothing else matters to anybody today."


def kept(page):
    found = re.search(r'<ul class="summary">(.*?)</ul>', page, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def test_what_is_cited_is_kept_and_asked_for_once(filled, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, "s3cret")
    with desk(filled, tmp_path, plain) as (app, heard):
        page = opened_brief(app)
        text = next(text for text in told(heard[0]["messages"][0]["content"]).values() if "<" not in text)
        assert text in kept(page) and "Nothing else matters" not in page
        (place,) = re.findall(r'href="(#story-\d)"', kept(page))
        assert f'id="{place[1:]}"' in page
        assert page.index('class="summary"') < page.index('class="stories"')
        assert kept(opened_brief(app)) == kept(opened_brief(app, "?lang=zh")) == kept(page)
        assert len(heard) == 1 and heard[0]["key"] == "Bearer s3cret"
        store = app.state.console.store
        with Store.open(store.path) as again, again.read() as connection:
            state = ticks.stage(connection, f"alert:{firing(app).id}:summary").state
        assert state["sentences"][0]["stories"] and "s3cret" not in json.dumps(state) + page


def test_where_nothing_holds_there_is_no_summary_and_nobody_asks_again(filled, tmp_path):
    with desk(filled, tmp_path, lambda question: "The weather stays fine [s1]. Nobody resigned.") as (app, heard):
        pages = [opened_brief(app) for _ in range(2)]
    assert all(not kept(page) and UNFOUNDED in page for page in pages) and len(heard) == 1


def test_a_story_that_gives_orders_changes_nothing(filled, tmp_path):
    """The generator obeys: it repeats the markup of the story, links, cites what is not there, and adds JSON."""

    def obedient(question):
        name, text = next((name, text) for name, text in told(question).items() if "<script>" in text)
        return (
            f'{text} [{name}]\n[Vantis Telecom](https://evil.example) [{name}]\nVantis Telecom outage [x9].\n{{"a": 1}}'
        )

    with desk(filled, tmp_path, obedient) as (app, heard):
        page = opened_brief(app)
    assert not kept(page) and UNFOUNDED in page and "<script" not in page and "evil.example" not in page
    question = heard[0]["messages"][0]["content"]
    assert question.count("<script>") == sum("<script>" in text for text in told(question).values()) > 0


def test_a_slow_generator_holds_nobody_up(filled, tmp_path):
    done = threading.Event()

    def slow(question):
        done.wait(120.0)
        return plain(question)

    with desk(filled, tmp_path, slow, timeout=4.0) as (app, heard):
        address = f"/v1/alerts/{firing(app).id}/brief"
        try:
            (first, waited), (_, other), (health, at_once) = opened(app, address, address, "/healthz")
            assert first.status_code == health.status_code == 200
            assert UNANSWERED in first.text and "尚未答复" in first.text
            # The generator takes two minutes; the upper bounds are for a machine that does much else.
            assert 4.0 <= waited < 60.0 and 4.0 <= other < 60.0 and at_once < waited
            assert len(heard) == 1, "two readers of one brief ask once"
            assert UNANSWERED in opened_brief(app) and len(heard) == 1, "it is left alone for a while"
        finally:
            done.set()


@pytest.mark.parametrize("status", [500, 401])
def test_a_generator_that_fails_is_asked_again_later(filled, tmp_path, monkeypatch, status):
    monkeypatch.setattr(summaries, "LEFT_ALONE", 0.0)
    failing = [True]
    with desk(filled, tmp_path, lambda question: status if failing else plain(question)) as (app, _):
        page = opened_brief(app)
        assert UNANSWERED in page and not kept(page)
        failing.clear()
        assert kept(opened_brief(app))


def test_no_more_are_written_at_one_time_than_may_be(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(summaries, "AT_ONCE", 0)
    with desk(filled, tmp_path, plain) as (app, heard):
        assert UNANSWERED in opened_brief(app) and not heard


def test_other_stories_are_asked_about_anew(filled, tmp_path):
    with desk(filled, tmp_path, plain) as (app, heard):
        opened_brief(app)
        one = firing(app)
        rest = {**one.evidence, "observed": 99}
        change(app, replace(one, evidence=rest))
        opened_brief(app)
        assert len(heard) == 1, "the counts are no part of the question"
        hottest = one.evidence["stories_by_heat"][0]
        grown = {**one.evidence["stories"], hottest: {**one.evidence["stories"][hottest], "text": "Vantis sells all"}}
        change(app, replace(one, evidence={**rest, "stories": grown}))
        opened_brief(app)
        assert len(heard) == 2


def test_what_was_said_of_erased_texts_is_not_kept(filled, tmp_path):
    """While the generator writes, the texts go."""

    def answer(question):
        one = firing(app)
        gone = {name: {**story, "text": "[erased]"} for name, story in one.evidence["stories"].items()}
        change(app, replace(one, evidence={**one.evidence, "stories": gone}))
        return plain(question)

    with desk(filled, tmp_path, answer) as (app, _):
        page = opened_brief(app)
        assert not kept(page) and UNANSWERED in page
        with app.state.console.store.read() as connection:
            assert ticks.stage(connection, f"alert:{firing(app).id}:summary") is None


def test_without_a_generator_nothing_is_said_of_it(filled, tmp_path):
    with console(filled, tmp_path) as app:
        page = opened_brief(app)
    assert not kept(page) and "No summary" not in page


def change(app, alert):
    with app.state.console.store.write() as connection:
        alerts.put(connection, alert)
