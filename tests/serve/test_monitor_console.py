"""The console of the monitor, in Chromium: what an analyst sees, does, and finds in the store."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from monitored import PASSWORD, SCRIPT
from serving import served
from visits import visit

from metier.serve.monitor.phrases import PHRASES, say
from metier.store import alerts, audit, interactions, people, ticks
from metier.store.store import Store
from metier.store.ticks import State

PROGRAM = Path(__file__).parent / "monitored.py"
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
ZONES = {"en": "Europe/London", "zh": "Asia/Shanghai"}


@pytest.fixture(scope="module")
def site(filled, tmp_path_factory):
    own = tmp_path_factory.mktemp("site") / "monitor.db"
    shutil.copy(filled, own)
    with served(own, program=(PROGRAM,)) as one, Store.open(own) as store:
        one.store = store
        yield one


@contextmanager
def logged_in(browser, site, path="/", *, who="analyst-1", language="en", **context):
    """A page after the log-in."""
    place = {"locale": LOCALES[language], "timezone_id": ZONES[language]}
    with visit(browser, site, path, wait="input", **place, **context) as page:
        page.get_by_label(say("name", language)).fill(who)
        page.get_by_label(say("password", language), exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        drawn(page)
        yield page


def drawn(page):
    page.locator(".c-foot span").first.wait_for()


def button(page, name, language="en"):
    return page.get_by_role("button", name=say(name, language), exact=True)


def told(page, text):
    page.locator(".c-notice", has_text=text).wait_for()


def stored(site, read):
    with site.store.read() as connection:
        return read(connection)


def firing(site, topic, company):
    found = stored(site, lambda connection: alerts.listing(connection, alerts.Wanted(states=("firing",))))
    return next(one for one in found if (one.topic, one.company) == (topic, company))


@pytest.mark.browser
def test_an_alert_shows_what_it_rests_on(browser, site):
    """With METIER_SCREENSHOT=docs/console.png the picture of the README."""
    alert = firing(site, "products", "*")
    with logged_in(browser, site, f"/alerts/{alert.id}", color_scheme="light") as page:
        chart = page.locator("svg.chart:visible")
        chart.wait_for()
        assert chart.locator(".bar.surge").count() > 0
        told_of = {link.strip() for link in page.locator(".c-why a").all_inner_texts()}
        assert {story["text"] for story in alert.evidence["stories"].values()} & told_of
        if place := os.environ.get("METIER_SCREENSHOT"):
            low = page.locator(".c-why a", has_text="Shops in Haverle").bounding_box()["y"]
            page.screenshot(path=place, full_page=True, clip={"x": 0, "y": 0, "width": 1280, "height": low - 20})


@pytest.mark.browser
@pytest.mark.parametrize(
    ("language", "width", "topic", "company", "shown"),
    [("en", 1280, "*", "vantis-telecom", "Vantis Telecom"), ("zh", 390, "products", "*", "products")],
)
def test_the_surge_is_seen_acknowledged_and_called_false(browser, site, language, width, topic, company, shown):
    alert = firing(site, topic, company)
    with logged_in(browser, site, language=language, width=width) as page:
        card = page.locator(".c-alert", has_text=shown).first
        assert say("critical", language) in card.inner_text()
        card.get_by_role("link", name=shown).click()
        page.locator("svg.chart:visible").wait_for()
        assert page.locator("svg.chart:visible .bar.surge").count() > 0
        assert page.locator("svg.chart:visible .mark").count() == 1
        button(page, "acknowledge", language).click()
        told(page, say("done", language))
        page.get_by_label(say("comment", language)).fill("an old story, told again")
        button(page, "is_false", language).click()
        page.locator(".c-history", has_text="an old story, told again").wait_for()
        assert say("verdict_false", language) in page.locator(".c-facts").first.inner_text()
        assert button(page, "acknowledge", language).count() == 0
        hour = "07:00" if language == "en" else "02:00"
        assert hour in page.locator(".c-facts").first.inner_text(), "times are the viewer's"
    (said,) = stored(site, lambda connection: interactions.of(connection, "alert", alert.id))
    assert (said.verdict, said.who, said.comment) == ("wrong", "analyst-1", "an old story, told again")
    now = stored(site, lambda connection: alerts.get(connection, alert.id))
    assert (now.verdict, now.acknowledged_by, now.verdict_by) == ("false", "analyst-1", "analyst-1")
    log = stored(site, lambda connection: audit.listing(connection, kind="alert", subject=alert.id))
    assert [one.what for one in log] == ["judge", "acknowledge"]
    assert stored(site, audit.verify) is None


@pytest.mark.browser
def test_a_stored_script_is_text(browser, site):
    with logged_in(browser, site, "/stories/scripted", width=390) as page:
        assert page.get_by_role("heading", level=1).inner_text() == SCRIPT
        assert page.title() == "Story · Metier"
        assert page.locator("a[href^='javascript']").count() == 0
        page.goto(site.url + "/series?topic=*&company=vantis-telecom")
        drawn(page)
        assert page.get_by_role("link", name=SCRIPT).count() == 1
        outside = page.locator("a[target=_blank]")
        assert all("noopener" in (outside.nth(at).get_attribute("rel") or "") for at in range(outside.count()))
        page.goto(site.url + "/series?topic=%3Cscript%3Ealert(1)%3C/script%3E&n=99999999999&end=nan")
        drawn(page)
        assert page.get_by_role("heading", level=1).inner_text() == "<script>alert(1)</script>"


@pytest.mark.browser
def test_a_new_alert_appears_without_a_reload(browser, site):
    with logged_in(browser, site, "/alerts?state=firing") as page:
        before = page.locator(".c-alert").count()
        fresh = replace(firing(site, "*", "*"), id="fresh", topic="earnings", since=1_742_140_000.0)
        with site.store.write() as connection:
            step = ticks.stage(connection, "monitor.clock").state
            alerts.put(connection, fresh)
            ticks.set_stage(connection, "monitor.clock", State(step | {"step": step["step"] + 1}, at=1.0))
        told(page, "New alert: earnings")
        page.wait_for_function(f"document.querySelectorAll('.c-alert').length === {before + 1}")
        page.locator(".c-notice a").click()
        page.get_by_role("heading", name="earnings").wait_for()


@pytest.mark.browser
def test_a_viewer_looks_and_changes_nothing(browser, site):
    alert = firing(site, "*", "*")
    with logged_in(browser, site, f"/alerts/{alert.id}", who="viewer-1") as page:
        page.locator("svg.chart:visible").wait_for()
        for name in ("acknowledge", "is_false", "snooze", "assign"):
            assert button(page, name).count() == 0
        assert page.get_by_role("link", name="People").count() == 0
    with logged_in(browser, site, "/", who="viewer-1") as page:
        for path, status in (("/people", 403), ("/review", 403), ("/alerts/none", 404), ("/stories/none", 404)):
            assert page.request.get(site.url + path).status == status


@pytest.mark.browser
def test_who_is_shut_out_stands_before_the_door(browser, site):
    with site.store.write() as connection:
        people.add(connection, "leaver", "analyst", PASSWORD, 0.0)
    with logged_in(browser, site, "/alerts?state=firing", who="leaver") as page:
        with site.store.write() as connection:
            people.change(connection, "leaver", active=False)
        page.get_by_label("Password").wait_for()
        assert page.url.endswith("/login?next=%2Falerts%3Fstate%3Dfiring")


@pytest.mark.browser
def test_an_alert_is_assigned_kept_quiet_and_silenced(browser, site):
    alert = firing(site, "*", "*")
    with logged_in(browser, site, f"/alerts/{alert.id}") as page:
        button(page, "assign").click()
        page.get_by_text("owner analyst-1").wait_for()
        button(page, "snooze").click()
        button(page, "wake").wait_for()
        button(page, "wake").click()
        button(page, "silence").click()
        page.get_by_text("Silenced:").wait_for()
        page.get_by_role("button", name="End this silence").click()
        page.get_by_text("Silenced:").wait_for(state="detached")
    now = stored(site, lambda connection: alerts.get(connection, alert.id))
    assert (now.owner, now.snoozed_until) == ("analyst-1", None)


@pytest.mark.browser
def test_corrections_and_missed_events_are_kept_for_training(browser, site):
    with logged_in(browser, site, "/stories/after", language="zh", width=390) as page:
        page.get_by_label("正确内容").fill("positive")
        button(page, "send_correction", "zh").click()
        told(page, "已记录")
        page.goto(site.url + "/missed")
        drawn(page)
        page.get_by_label("主题").fill("fraud")
        page.get_by_label("开始").fill("2025-03-10T08:00")
        button(page, "report", "zh").click()
        told(page, "请填写时间")
        page.get_by_label("结束").fill("2025-03-10T20:00")
        button(page, "report", "zh").click()
        page.locator(".c-rows", has_text="fraud").wait_for()
    (said,) = stored(site, lambda connection: interactions.of(connection, "document", "after"))
    assert (said.head, said.verdict, said.correction) == ("sentiment", "corrected", "positive")
    (missed,) = stored(site, alerts.missed_events)
    assert (missed.topic, missed.company, missed.starts) == ("fraud", "*", 1_741_564_800.0), "of Shanghai's clock"


@pytest.mark.browser
def test_watchlists_and_the_search(browser, site):
    with logged_in(browser, site, "/companies") as page:
        page.get_by_label("Search for a company").fill("vantis")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Vantis Telecom").click()
        page.get_by_role("button", name="Watch").click()
        told(page, "It is on your watchlist.")
        page.goto(site.url)
        drawn(page)
        page.get_by_role("heading", name="★").wait_for()
        page.get_by_text("New watchlist").click()
        page.get_by_label("Name of the list").fill("Telecoms")
        page.get_by_label("Companies, with").fill("Westering Telecom, vantis-telecom")
        button(page, "save").click()
        page.get_by_role("heading", name="Telecoms").wait_for()
    kept = {one.name: one.companies for one in stored(site, lambda c: alerts.watched(c, "analyst-1"))}
    assert kept == {"★": ["vantis-telecom"], "Telecoms": ["westering-telecom", "vantis-telecom"]}


@pytest.mark.browser
def test_an_admin_lets_people_in_and_mends_what_was_set_aside(browser, site):
    with logged_in(browser, site, "/people", who="admin-1") as page:
        page.get_by_label("Name", exact=True).fill("Grace")
        page.get_by_label("First password").fill(PASSWORD)
        button(page, "add_person").click()
        page.get_by_role("button", name="Shut out Grace").wait_for()
        page.get_by_label("Name of the program").fill("wire")
        button(page, "add_key").click()
        told(page, "metier_")
        page.goto(site.url + "/review")
        drawn(page)
        page.get_by_label("Content of number 1").fill('{"id": "mended", "text": "whole"}')
        page.get_by_role("button", name="Replay number 1").click()
        told(page, "It was sent through again.")
    with logged_in(browser, site, who="Grace") as page:
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="Log in").wait_for()


@pytest.mark.browser
def test_the_keyboard_reaches_everything_and_the_eye_sees_where(browser, site):
    with logged_in(browser, site, "/alerts") as page:
        page.reload()
        drawn(page)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == "state"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        unnamed = page.evaluate(
            "[...document.querySelectorAll('button, a, input, select, textarea')].filter(one => one.offsetParent"
            " && !(one.innerText || one.ariaLabel || one.title || (one.labels || []).length)).length"
        )
        assert unnamed == 0


@pytest.mark.browser
def test_language_and_colours_change(browser, site):
    with logged_in(browser, site, color_scheme="dark") as page:
        page.locator("body.body--dark").wait_for()
        page.get_by_role("button", name="Colours follow the system").click()
        page.locator("body.body--light").wait_for()
        page.get_by_role("button", name="切换到中文").click()
        page.get_by_role("heading", name="总览").wait_for()
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        page.locator("body.body--light").wait_for()


def test_every_phrase_is_said_in_both_languages():
    import re

    for name, (english, chinese) in PHRASES.items():
        assert english.strip() and chinese.strip(), name
        assert set(re.findall(r"{(\w+)}", english)) == set(re.findall(r"{(\w+)}", chinese)), name
