"""The brief: one page, everything escaped, no script, two languages."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from metier.apps.monitor.alerts.life import Alert, Book, Rules, Seen, acknowledge, judge
from metier.apps.monitor.explain.brief import brief, link
from metier.apps.monitor.explain.phrases import CHINESE
from metier.apps.monitor.explain.plot import picture
from metier.apps.monitor.explain.summary import Sentence
from metier.apps.monitor.explain.why import Case, Told, baseline, evidence
from metier.apps.monitor.item import SeriesKey, Signal, Tick
from metier.apps.zones import zone_of
from metier.errors import RecipeError

T, STEP = 1_582_500_000.0, 3_600.0
TEXTS = [
    "Regulator opens fraud inquiry into Hartwell Bank after whistleblower report",
    "Hartwell Bank shares plunge as auditors resign over accounting fraud",
    "Hartwell Bank delays annual accounts, auditors resign",
    "Depositors queue at Hartwell Bank branches as fraud inquiry widens",
    "宏远银行因会计造假遭监管调查，股价大跌",
    "Rating agency cuts Hartwell Bank to junk on accounting fraud fears",
    "Hartwell Bank chief executive steps down amid fraud inquiry",
    "Short seller repeats accounting fraud claims against Hartwell Bank",
]
USUAL = ["Hartwell Bank opens branch", "Retail sales rise in January", "Shares little changed ahead of data"]


def surge(
    texts: list[str] = TEXTS, topic: str = "accounting fraud", company: str = "Hartwell Bank"
) -> tuple[Alert, dict[str, Any]]:
    ticks, signals, book, alert = [], [], Book(Rules()), None
    for at in range(60):
        expected = 2 + 1.5 * math.sin(at / 24 * 2 * math.pi)
        seen = round(expected + (at * 7 % 3) - 1) if at < 50 else 8 + at % 4
        seen, level = max(seen, 0), max(0.0, (at - 47) * 1.6)
        ticks.append(Tick(T + at * STEP, seen + 4, seen, heat=2 * seen, total=80, open=not 20 <= at < 23))
        signals.append(
            Signal(
                T + at * STEP, expected, max(0.0, expected - 3), expected + 3, seen,
                {"cusum": level, "burst": level / 3, "shift": 0.4}, {"cusum": 6.0, "burst": 4.0, "shift": 3.0},
                ("cusum",) if level > 6 else (), T + 50 * STEP if level > 6 else None,
            )
        )  # fmt: skip
        changed = book.observe(
            Seen(SeriesKey(topic, company), signals[-1], T + (at + 1) * STEP, sources=4, watched=True)
        )
        alert = changed or alert
    assert alert
    stories = [
        Told(f"st{at:04x}", text, T + (50 + at) * STEP, f"https://news.example/{at}", ("wire", "daily"), 30 - 3 * at,
             0.97 - at / 50, (company, "FSA") if at % 2 else (company,))
        for at, text in enumerate(texts)
    ]  # fmt: skip
    before = baseline(Told(str(at), text, T, entities=("Hartwell Bank",)) for at, text in enumerate(USUAL * 40))
    case = Case(
        alert, ticks, signals, stories, before, "finance-7f3a", {"budget": "1 per topic per 30 days", "tick": "1h"}
    )
    return alert, evidence(case)


def page(**rest: Any) -> str:
    alert, found = surge()
    alert = judge(
        acknowledge(alert, "wang", T + 61 * STEP, "calling the desk"), "true", "li", T + 62 * STEP, "confirmed"
    )
    told = [
        Sentence("Auditors of Hartwell Bank resigned over accounting fraud.", ("st0001", "st0002")),
        Sentence("A regulator opened an inquiry.", ("st0000",)),
    ]
    return brief(alert, found, told, **{"address": "https://metier.example/alerts/1", **rest})


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_everything_of_the_evidence_is_on_it() -> None:
    text = page()
    for piece in (
        "accounting fraud / Hartwell Bank", "critical", "finance-7f3a", "1 per topic per 30 days", "st0000", "cusum",
        "宏远银行因会计造假遭监管调查", "calling the desk", "confirmed", "Auditors of Hartwell Bank resigned",
        "Severity critical", "级别“严重”", 'href="#story-', "2020-02-26 01:20", "fraud inquiry", "FSA",
    ):  # fmt: skip
        assert piece in text, piece


def test_what_a_summary_cites_is_on_the_page_and_linked() -> None:
    alert, found = surge()
    texts = [f"Hartwell Bank {word}" for word in ("delays", "denies", "falls", "sells", "closes", "waits", "sues")]
    coldest = found["stories_by_heat"][-1]
    cited = [Sentence(text, (name,)) for text, name in zip(texts, [coldest, *found["stories_by_heat"]], strict=False)]
    text = brief(alert, found, [*cited, Sentence("Hartwell Bank", ("unknown",))])
    tags = Tags(text).found
    there = {values["id"] for tag, values in tags if tag == "li" and values.get("id")}
    links = [values["href"] for tag, values in tags if tag == "a" and (values.get("href") or "").startswith("#")]
    assert len(there) == 7 and len(links) == 7 and {str(one)[1:] for one in links} == there
    assert f'<span class="id">{coldest}</span>' in text and "<span>[unknown]</span>" in text


def test_without_a_summary_it_says_why() -> None:
    alert, found = surge()
    assert "No summary" not in brief(alert, found)
    for note, words in {"unanswered": ("has not answered", "尚未答复"), "unfounded": ("borne out", "印证")}.items():
        text = brief(alert, found, note=note)
        assert all(word in text for word in words) and 'class="summary"' not in text


def test_there_is_no_script_and_no_style_but_that_of_the_digest() -> None:
    text = page()
    for tag, attributes in Tags(text).found:
        assert tag not in ("script", "iframe", "img", "object", "link", "form"), tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy and "default-src 'none'" in policy[1] and "unsafe" not in policy[1]


def test_texts_of_stories_are_texts() -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} \"'><a href='javascript:alert(3)'>"
    alert, found = surge([bad] * 3, topic=bad, company=bad)
    for story in found["stories"].values():
        story["url"] = "javascript:alert(4)"
    text = brief(alert, found, [Sentence(bad, ("st0000", bad))], address="javascript:alert(5)")
    tags = Tags(text).found
    assert not [tag for tag, _ in tags if tag in ("script", "img")] and "{{ 7*7 }}" in text
    assert all((one.get("href") or "").startswith(("#", "https://")) for tag, one in tags if tag == "a")
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//x",
        "ftp://x",
        "http://",
        "https://a b",
        "http://[",
        "https://x/\u202e",
        'https://x/"',
    ],
)
def test_what_is_no_link(url: str) -> None:
    assert link(url) == ""


def test_it_speaks_two_languages_in_the_zone_of_the_reader() -> None:
    text = page(lang="zh", zone="Asia/Shanghai")
    assert 'id="lang-zh" aria-label="中文" checked' in text and "2020-02-26 09:20" in text and "(Asia/Shanghai)" in text
    with pytest.raises(ValueError, match="en and zh"):
        page(lang="fr")
    with pytest.raises(RecipeError, match="no time zone"):
        page(zone="Mars")


def test_every_phrase_is_spoken_and_used() -> None:
    folder = Path(__import__("metier").__file__).parent / "apps" / "monitor" / "explain" / "templates"
    used = set(re.findall(r"\bt\(\"([^\"]+)\"", (folder / "brief.html.j2").read_text(encoding="utf-8")))
    inner = {"critical", "warning", "info", "pending", "firing", "resolved", "inactive", "acknowledge", "snooze",
             "comment", "true", "false", "unclear", "Words", "Names", "yes", "no"}  # fmt: skip
    assert used <= set(CHINESE) and set(CHINESE) <= used | inner


def test_an_alert_about_everything_without_stories_has_a_brief() -> None:
    alert, found = surge([], topic="*", company="*")
    text = brief(replace(alert, since=None), {**found, "detectors": [], "counts": []})
    assert "All stories" in text and "No story is kept." in text and "svg" not in text.split("</style>")[1]


def test_the_picture_shows_gaps_surges_and_a_single_tick() -> None:
    drawn = picture(surge()[1]["counts"], zone_of("UTC"), 'a "title" <b>')
    assert drawn.count('class="gap"') == 3 and drawn.count("bar surge") == 9 and "&lt;b&gt;" in drawn
    assert drawn.count("<polygon") == 1 and drawn.count('class="line head') == 3
    assert "nan" not in picture([{"start": T, "negatives": 0, "open": True}], zone_of("UTC"), "")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium")
    with sync.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=found, args=flags)
        yield chromium
        chromium.close()


@pytest.mark.browser
def test_it_is_one_page_on_paper_and_fits_a_phone(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "brief.html"
    file.write_text(page(), encoding="utf-8")
    faults: list[str] = []
    sheet = browser.new_page(viewport={"width": 390, "height": 844})
    sheet.on("console", lambda message: faults.append(message.text))
    sheet.goto(file.as_uri())
    assert sheet.evaluate("document.documentElement.scrollWidth") <= 390
    assert sheet.locator("h1 ~ .level .en").is_visible() and not sheet.locator("h1 ~ .level .zh").is_visible()
    sheet.locator('label[for="lang-zh"]').click()
    assert sheet.locator("h1 ~ .level .zh").is_visible() and not sheet.locator("h1 ~ .level .en").is_visible()
    paper = sheet.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", paper)) == 1 and not faults
    sheet.close()
