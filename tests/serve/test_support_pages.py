"""The pages of customer service in Chromium: a customer, a person at the desk, a reviewer, and what the bot learns."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from serving import served
from supported import PASSWORD, fill
from visits import visit

from metier.serve.support.phrases import say
from metier.store import audit, conversations, knowledge
from metier.store.knowledge import StoredEntry
from metier.store.store import Store

PROGRAM = Path(__file__).parent / "supported.py"
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
SCRIPT = "<img src=x onerror=alert(1)> <b>bold</b>"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with Store.open(folder / "support.db") as store:
        keys = fill(store)
        with served(folder, "--page", program=(PROGRAM,)) as one:
            one.store, one.keys = store, keys
            yield one


@contextmanager
def logged_in(browser, site, path="/", *, who="analyst-1", language="en", **context):
    """A page after the log-in."""
    place = {"locale": LOCALES[language], "timezone_id": "Europe/London"}
    with visit(browser, site, path, wait="input", **place, **context) as page:
        page.get_by_label(say("name", language)).fill(who)
        page.get_by_label(say("password", language), exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        page.locator(".c-foot span, metier-chat").first.wait_for()
        yield page


def button(page, name, language="en"):
    return page.get_by_role("button", name=say(name, language), exact=True)


def told(page, text):
    page.locator(".c-notice", has_text=text).wait_for()


def ask(page, text, answer):
    """Types into the widget and waits for an answer."""
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")
    page.locator("li.bot, li.agent, li.system", has_text=answer).last.wait_for()


@contextmanager
def customer(site, *texts):
    """A customer who asks for a person, over HTTP; the conversation's id and a client that speaks for it."""
    with httpx.Client(base_url=site.url, timeout=60, trust_env=False) as client:
        yield called(client, texts), client


def called(client, texts):
    """The id of a conversation in which a person is called."""
    made = client.post("/v1/chat/conversations", json={}).json()
    client.headers["Authorization"] = f"Bearer {made['token']}"
    for text in texts:
        client.post(f"/v1/chat/conversations/{made['id']}/messages", json={"text": text}).raise_for_status()
    client.post(f"/v1/chat/conversations/{made['id']}/acts", json={"act": "call"}).raise_for_status()
    return made["id"]


def stored(site, read):
    with site.store.read() as connection:
        return read(connection)


@pytest.mark.browser
def test_what_a_person_answered_is_reviewed_and_answered_by_the_bot(browser, site):
    unknown, answer = "Do you sell gift vouchers", "Yes, from ten euros, at every till."
    with logged_in(browser, site, "/try", who="viewer-1") as page:
        page.get_by_role("button", name="Open the chat").click()
        ask(page, "cash abroad costs two per cent", "Cash abroad costs two per cent.")
        page.locator("li.bot details summary").first.click()
        assert page.locator("blockquote").first.inner_text() == "Cash abroad costs two per cent."
        ask(page, unknown, "I do not know")
        page.get_by_role("button", name="Talk to a person").last.click()
        page.locator("li.system", has_text="number 1 in the queue").wait_for()
        with logged_in(browser, site) as desk:
            desk.locator(".d-row", has_text=unknown).click()
            button(desk, "take").click()
            desk.locator(".c-state.d-human").first.wait_for()
            page.locator("li.system", has_text="analyst-1 has joined.").wait_for()
            field = desk.get_by_label("Your answer")
            field.fill("Hello!")
            field.press("Enter")
            field.fill(answer)
            field.press("Enter")
            page.locator("li.agent", has_text=answer).wait_for()
            ask(page, "Thanks!", answer)
            desk.locator(".d-said li.visitor", has_text="Thanks!").wait_for()
            button(desk, "resolve").click()
            told(desk, "Resolved.")
            page.locator("li.system", has_text="This conversation is closed.").wait_for()
            page.get_by_role("button", name="5 of 5").click()
            page.locator("li.system", has_text="Thank you.").wait_for()
        with logged_in(browser, site, "/review", who="admin-1") as reviewer:
            reviewer.get_by_role("button", name=f"Look at: {unknown}").click()
            assert reviewer.get_by_label("The answer").input_value() == answer
            button(reviewer, "try_out").click()
            reviewer.locator(".d-report", has_text="It may be promoted.").wait_for()
            button(reviewer, "promote").click()
            told(reviewer, "It is knowledge now.")
        page.get_by_role("button", name="New conversation").click()
        ask(page, unknown, answer)
        page.locator("li.bot", has_text=answer).wait_for()
    (done,) = stored(site, knowledge.promoted)
    assert (done.verdict, done.by) == ("promoted", "admin-1")
    assert 5 in [one.rating for one in stored(site, conversations.listing)]


@pytest.mark.browser
def test_the_desk_shows_who_waits_and_what_is_known(browser, site):
    """With METIER_SCREENSHOT=docs/desk.png the picture of the README."""
    asked = ("I have lost my card on the tram", "What does a transfer to Norway cost", "转账一直没有到账，怎么办？")
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(customer(site, text))[0] for text in asked)
        page = stack.enter_context(logged_in(browser, site, color_scheme="light"))
        rows = page.locator(".d-row", has_text=re.compile("tram|Norway|转账"))
        assert [words.split("\n")[0] for words in rows.all_inner_texts()] == list(asked), "who waits longest is first"
        rows.first.click()
        button(page, "take").click()
        page.locator(".d-suggested li", has_text="I have lost my card").wait_for()
        page.get_by_role("button", name=say("use_it", "en", title="I have lost my card")).click()
        page.wait_for_function("document.querySelector('.d-composer textarea').value !== ''")
        assert page.get_by_label(say("your_answer", "en")).input_value().startswith("Lock it in the app.")
        if place := os.environ.get("METIER_SCREENSHOT"):
            page.locator(".c-notice").evaluate("notice => notice.replaceChildren()")
            page.get_by_label(say("your_answer", "en")).hover()
            low = page.locator(".d-talk").bounding_box()
            page.screenshot(
                path=place,
                full_page=True,
                clip={"x": 0, "y": 0, "width": 1280, "height": low["y"] + low["height"] + 24},
            )
        for id in (first, second, third):
            site.store.run(lambda connection, id=id: _resolved(connection, id))


def _resolved(connection, id):
    conversations.change(connection, conversations.get(connection, id), state="resolved", queued=None, agent=None)


@pytest.mark.browser
@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("zh", 390)])
def test_a_customer_is_erased_after_a_second_question(browser, site, language, width):
    words = f"Nobody shall read this {width}"
    with (
        customer(site, words) as (id, _),
        logged_in(browser, site, f"/?c={id}", who="admin-1", language=language, width=width) as page,
    ):
        page.locator(".d-said li.visitor", has_text=words).wait_for()
        button(page, "erase", language).click()
        asks = page.get_by_role("dialog")
        asks.get_by_text(words).wait_for()
        page.keyboard.press("Escape")
        asks.wait_for(state="hidden")
        assert stored(site, lambda connection: conversations.get(connection, id)).erased is None
        button(page, "erase", language).click()
        button(page, "erase_now", language).click()
        told(page, say("erase_done", language))
        page.locator(".d-head", has_text=say("erased", language)).wait_for()
        asks.wait_for(state="hidden")
        assert words not in page.locator("body").inner_text()
        assert button(page, "erase", language).count() == 0
    assert stored(site, lambda connection: conversations.get(connection, id)).erased is not None
    said = stored(site, lambda connection: conversations.transcript(connection, id))
    assert {one.text for one in said} == {""}


@pytest.mark.browser
def test_an_admin_lets_somebody_in(browser, site):
    with logged_in(browser, site, "/people", who="admin-1", width=390) as page:
        page.get_by_label(say("name", "en"), exact=True).fill("cleo")
        page.get_by_label(say("initial_password", "en")).fill(PASSWORD)
        page.get_by_role("button", name=say("add_person", "en")).click()
        told(page, say("done", "en"))
        page.locator(".c-rows li", has_text="cleo").wait_for()
        page.locator("table tr", has_text="cleo").first.wait_for()
    with logged_in(browser, site, who="cleo") as page:
        assert page.get_by_role("link", name=say("people", "en")).count() == 0
        assert page.request.get(site.url + "/people").status == 403


@pytest.mark.browser
@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("zh", 390)])
def test_the_desk_shows_texts_as_text_and_private_data_to_admins(browser, site, language, width):
    with (
        customer(site, f"I lost it {width}, mail ann@example.com {SCRIPT}") as (id, client),
        logged_in(browser, site, who="admin-1", language=language, width=width) as page,
    ):
        page.locator(".d-row", has_text=f"I lost it {width}").click()
        said = page.locator(".d-said li.visitor .d-text")
        said.wait_for()
        assert SCRIPT in said.inner_text()
        assert "ann@example.com" not in said.inner_text()
        button(page, "unmask", language).click()
        page.locator(".d-said", has_text="ann@example.com").wait_for()
        button(page, "take", language).click()
        told(page, say("take_done", language))
        page.locator(".d-suggested").get_by_role("button").first.click()
        field = page.get_by_label(say("your_answer", language))
        page.wait_for_function("document.querySelector('.d-composer textarea').value !== ''")
        shown = field.input_value()
        button(page, "send", language).click()
        page.locator(".d-said li.agent", has_text=shown.split(".")[0]).wait_for()
        client.post(f"/v1/chat/conversations/{id}/messages", json={"text": "one more thing"}).raise_for_status()
        page.locator(".d-said li.visitor", has_text="one more thing").wait_for()
        button(page, "return", language).click()
        told(page, say("return_done", language))
    log = stored(site, lambda connection: audit.listing(connection, kind="conversation", subject=id))
    assert [one.what for one in log] == ["return", "take", "unmask", "call"]
    assert stored(site, lambda connection: conversations.get(connection, id)).state == "pending"


@pytest.mark.browser
def test_entries_are_searched_written_and_taken_out_of_use(browser, site):
    with logged_in(browser, site, "/knowledge", width=390) as page:
        page.get_by_label(say("search_entries", "en")).fill("transfer costs")
        page.get_by_text("1 entries").wait_for()
        button(page, "new_entry").click()
        page.get_by_label("Question", exact=True).fill("Is there parking")
        button(page, "save").click()
        told(page, "An entry has a question and an answer.")
        page.get_by_label("Answer", exact=True).fill("Yes, behind the house.")
        button(page, "save").click()
        told(page, "Done.")
        page.get_by_label(say("search_entries", "en")).fill("parking")
        page.locator(".d-cards", has_text="behind the house").wait_for()
        page.get_by_role("button", name="Take out of use: Is there parking").click()
        page.get_by_text("0 entries").wait_for()
    entry = stored(site, knowledge.changed)[-1]
    assert (entry.question, entry.active, entry.by) == ("Is there parking", False, "analyst-1")


@pytest.mark.browser
def test_a_viewer_looks_and_changes_nothing(browser, site):
    with (
        customer(site, "What is the meaning of opera") as (id, _),
        logged_in(browser, site, f"/?c={id}", who="viewer-1") as page,
    ):
        page.locator(".d-said li.visitor", has_text="opera").wait_for()
        for name in ("take", "resolve", "unmask"):
            assert button(page, name).count() == 0
        assert page.get_by_role("link", name="Review").count() == 0
        assert page.request.get(site.url + "/review").status == 403
        page.goto(site.url + "/gaps")
        page.locator(".d-cards", has_text="opera").wait_for()
        assert page.get_by_role("link", name="Write an answer").count() == 0
        page.goto(site.url + "/figures?days=7")
        page.locator("svg.chart:visible").wait_for()
        assert page.locator("svg.chart:visible .bar").count() == 1
        assert page.locator(".m-bars", has_text="not known").count() == 1


@pytest.mark.browser
def test_the_widget_shows_what_is_said_as_text(browser, site):
    entry = StoredEntry("markup", "How do I send you markup", f"Write to us. {SCRIPT}")
    site.store.run(lambda connection: knowledge.put(connection, [entry]))
    with logged_in(browser, site, "/try", who="viewer-1") as page:
        page.get_by_role("button", name="Open the chat").click()
        ask(page, f"I have lost my card {SCRIPT}", "")
        assert page.locator("li.visitor").last.inner_text().count(SCRIPT) == 1
        ask(page, entry.question, "Write to us.")
        assert SCRIPT in page.locator("li.bot").last.inner_text()
        assert page.locator("metier-chat img, metier-chat b").count() == 0


def test_nobody_sees_a_page_without_a_session(site):
    with httpx.Client(base_url=site.url, trust_env=False) as client:
        for path in ("/", "/knowledge", "/review", "/gaps", "/figures", "/people", "/try"):
            found = client.get(path)
            assert (found.status_code, found.headers["location"].split("?")[0]) == (303, "/login")
