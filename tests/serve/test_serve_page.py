"""The page, in Chromium: what a person sees, types and hears."""

from __future__ import annotations

import time

import httpx
import pytest
from serving import served
from visits import visit

from metier.serve.words import WORDS, preferred, word


@pytest.fixture(scope="module")
def site():
    with served("--page", "--limit", "characters=300") as one:
        yield one


def predict(page, text):
    page.get_by_label("Text", exact=True).fill(text)
    page.keyboard.press("Control+Enter")
    page.locator(".m-verdict").first.wait_for()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_a_text_is_predicted_with_the_keyboard_alone(browser, site, width):
    with visit(browser, site, width=width, locale="en-GB") as page:
        assert page.evaluate("document.activeElement.tagName") == "TEXTAREA", "typing can start at once"
        page.keyboard.type("Nokia profit rose")
        page.keyboard.press("Control+Enter")
        card = page.get_by_role("article", name="sentiment")
        card.wait_for()
        assert "positive" in card.inner_text()
        assert "81.2" in card.inner_text()
        assert "Accuracy 0.931" in card.inner_text()
        assert "0.918 to 0.944" in card.inner_text()
        meters = card.get_by_role("meter")
        assert [meters.nth(i).get_attribute("aria-valuenow") for i in range(3)] == ["81", "12", "6"]
        assert page.locator("mark").inner_text().startswith("Nokia")
        assert "0.17" in page.get_by_role("article", name="urgency").inner_text()
        assert "standin-20260101" in page.locator("header").first.inner_text()


@pytest.mark.browser
def test_the_tab_key_walks_in_reading_order(browser, site):
    with visit(browser, site, locale="en-GB") as page:
        names = []
        for _ in range(3):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel"))
    assert names == ["Predict", "Add a second text", "API documentation"]


@pytest.mark.browser
def test_chinese_is_spoken_to_who_asks_for_it(browser, site):
    with visit(browser, site, width=390, locale="zh-CN") as page:
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        page.get_by_label("文本", exact=True).fill("腾讯利润增长")
        page.get_by_role("button", name="预测").click()
        page.get_by_role("article", name="sentiment").wait_for()
        assert "准确率" in page.get_by_role("article", name="sentiment").inner_text()
        assert page.locator("mark").inner_text().startswith("腾讯")


@pytest.mark.browser
def test_the_language_changes_without_losing_anything(browser, site):
    with visit(browser, site, locale="en-GB") as page:
        predict(page, "Nokia profit rose")
        page.get_by_role("button", name="切换到中文").click()
        page.get_by_text("试用模型").wait_for()
        assert page.get_by_label("文本", exact=True).input_value() == "Nokia profit rose"
        assert "准确率" in page.get_by_role("article", name="sentiment").inner_text()
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        page.reload()
        page.get_by_text("试用模型").wait_for()


@pytest.mark.browser
def test_light_and_dark(browser, site):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    with visit(browser, site, color_scheme="dark", locale="en-GB") as page:
        page.locator("body.body--dark").wait_for()
        dark = paper(page)
        page.get_by_role("button", name="Colours follow the system").click()
        page.locator("body.body--light").wait_for()
        assert paper(page) != dark
        page.reload()
        page.locator("body.body--light").wait_for()


@pytest.mark.browser
def test_a_pair_and_an_abstention(browser, site):
    with visit(browser, site, locale="en-GB") as page:
        page.get_by_role("button", name="Add a second text").click()
        page.get_by_label("Second text").fill("nothing in particular")
        predict(page, "nothing much")
        assert "Not sure enough" in page.get_by_role("article", name="sentiment").inner_text()
        assert "No label applies" in page.get_by_role("article", name="topic").inner_text()
        assert "0.33" in page.get_by_role("article", name="urgency").inner_text(), "both texts were read"


@pytest.fixture(scope="module")
def site_of_runs():
    with served(
        "--page", "--run", "further <b>", "--run", "a-name-that-is-as-long-as-nobody-would-make-it-20260101"
    ) as one:
        yield one


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "locale", "model"), [(1280, "en-GB", "Model"), (390, "en-GB", "Model"), (390, "zh-CN", "模型")]
)
def test_another_run_is_chosen_with_the_keyboard(browser, site_of_runs, width, locale, model):
    with visit(browser, site_of_runs, width=width, locale=locale) as page:
        choice = page.get_by_role("combobox", name=model)
        assert choice.evaluate("e => e.selectedOptions[0].text") == "standin-20260101-000000"
        page.keyboard.type("Nokia profit rose")
        page.keyboard.press("Control+Enter")
        page.get_by_role("article", name="sentiment").wait_for()
        page.keyboard.press("Shift+Tab")  # the two buttons come between
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("document.activeElement.tagName") == "SELECT"
        page.keyboard.press("ArrowDown")
        page.get_by_role("article", name="sentiment").wait_for(state="detached")
        page.locator("textarea").nth(1).wait_for()  # this one reads pairs
        assert page.locator("textarea").first.input_value() == "Nokia profit rose", "what was typed stays"
        page.locator("textarea").first.press("Control+Enter")
        page.locator(".m-number").wait_for()
        assert page.title() == "Metier · further <b>"
        assert "further &lt;b" not in page.locator("footer.m-about").inner_text()
        page.wait_for_url("**/?run=further*")
        page.reload()
        page.locator("textarea").first.wait_for()
        assert choice.evaluate("e => e.selectedOptions[0].text") == "further <b>", "the address names the run"
        choice.select_option("standin-20260101-000000")
        page.locator("textarea").nth(1).wait_for(state="hidden")
        box = choice.bounding_box()
        assert box["height"] >= 44, "large enough for a thumb"


@pytest.mark.browser
def test_the_answer_of_a_run_is_seen_again(browser, site_of_runs):
    with visit(browser, site_of_runs, locale="en-GB") as page:
        predict(page, "Nokia profit rose")
        choice = page.get_by_role("combobox", name="Model")
        choice.select_option("further <b>")
        page.get_by_text("What this model answers").wait_for()
        page.get_by_role("button", name="切换到中文").click()
        page.get_by_text("此模型的预测内容").wait_for()
        page.get_by_role("combobox", name="模型").select_option("standin-20260101-000000")
        assert "准确率" in page.get_by_role("article", name="sentiment").inner_text()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("text", "said"), [("   ", "Type a text first"), ("REFUSE", "<e1> and <e2>"), ("EXPLODE", "Something went wrong")]
)
def test_what_cannot_be_predicted_is_said(browser, site, text, said):
    with visit(browser, site, locale="en-GB") as page:
        page.get_by_label("Text", exact=True).fill(text)
        page.get_by_role("button", name="Predict").click()
        page.get_by_role("alert").filter(has_text=said).wait_for()
        assert "secret" not in page.content()


@pytest.mark.browser
def test_what_is_typed_is_never_markup(browser, site):
    with visit(browser, site, locale="en-GB") as page:
        predict(page, "<img src=x onerror=\"document.title='owned'\"> <b>Nokia</b>")
        assert page.locator(".m-text img, .m-text b").count() == 0
        assert page.title() != "owned"


@pytest.mark.browser
def test_the_page_asks_for_a_key(browser, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("open-sesame")
    with served("--page", "--keys", keys, "--run", "further") as own:
        for address in (own.url, f"{own.url}/?run=further"):
            told = httpx.get(address).text
            assert "standin" not in told, "nothing of the run is told before a key is"
            assert "further" not in told
        with visit(browser, own, locale="en-GB", wait="input") as page:
            page.get_by_label("API key").fill("wrong")
            page.keyboard.press("Enter")
            page.get_by_role("alert").filter(has_text="does not open").wait_for()
            assert page.locator("textarea").count() == 0
            page.get_by_label("API key").fill("open-sesame")
            page.keyboard.press("Enter")
            predict(page, "profit rose")
            assert "standin-20260101" in page.locator("header").first.inner_text()
            page.get_by_role("button", name="切换到中文").click()
            page.get_by_role("button", name="Switch to English").wait_for()
            page.get_by_role("combobox", name="模型").wait_for()


@pytest.mark.browser
def test_the_documentation_opens_offline(browser, site):
    with visit(browser, site, locale="en-GB") as page:
        page.goto(f"{site.url}/docs")
        page.locator("#operations-default-predict_v1_predict_post").wait_for()


@pytest.mark.browser
def test_an_open_page_does_not_hold_the_server_up(browser):
    with served("--page") as own:
        context = browser.new_context()
        page = context.new_page()
        page.goto(own.url)
        page.locator("textarea").first.wait_for()
        started = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - started < 8
        assert own.process.stderr.read() == ""
        context.close()


# -- without a browser ---------------------------------------------------------------------------------------------
def test_other_paths_keep_their_problem_documents(site):
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("POST", "/healthz", 405),
        ("GET", "/_nicegui/nothing", 404),
    ):
        found = httpx.request(method, f"{site.url}{path}")
        assert (found.status_code, found.headers["content-type"]) == (status, "application/problem+json")
    assert httpx.post(site.url).status_code == 405


def test_the_page_may_load_nothing_from_elsewhere(site):
    policy = httpx.get(site.url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_only_so_many_pages_are_kept():
    with served("--page", "--limit", "connections=5") as own:
        found = [httpx.get(own.url) for _ in range(9)]
    assert [one.status_code for one in found[:4]] == [200] * 4
    assert found[-1].status_code == 503
    assert found[-1].headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:1"])
def test_another_site_cannot_open_the_page_s_socket(site, origin):
    headers = {
        "Origin": origin, "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    found = httpx.get(f"{site.url}/_nicegui_ws/socket.io/?EIO=4&transport=websocket", headers=headers)
    assert found.status_code == 403


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"), ("zh", "zh"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-GB,zh;q=0.9", "en"), ("fr,zh;q=0.5", "zh"),
        ("en;q=0.1,zh-TW;q=0.2", "zh"), ("*", "en"), ("zh;q=nonsense", "en"), ("zh;q=0", "en"),
    ],
)  # fmt: skip
def test_the_preferred_language(header, language):
    assert preferred(header) == language


def test_every_word_is_there_twice():
    for name, both in WORDS.items():
        assert len(both) == 2
        assert all(both), name
    assert word("too_long", "zh", n=7) == "文本过长：最多 7 个字符。"
    assert word("task_unheard_of", "en") == ""
