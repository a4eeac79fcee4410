"""Small talk and slots: whole messages alone, both languages; nothing in a text moves a conversation by itself."""

from __future__ import annotations

from datetime import date

import pytest

from metier.apps.support.answer.slots import bare, filled, found, needed, told
from metier.apps.support.answer.talk import language_told, talk_of
from metier.apps.support.settings import SlotPart, SupportSettings
from metier.errors import RecipeError

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hi", "greeting"), ("Good morning all!", "greeting"), ("你好", "greeting"), ("thanks a lot!!", "thanks"),
        ("Thank you for your help", "thanks"), ("谢谢您", "thanks"), ("bye", "farewell"), ("are you a bot?", "bot"),
        ("I want to talk to a human", "person"), ("Can you transfer me to an agent?", "person"), ("转人工", "person"),
        ("/person", "person"), ("/none", "none"), ("you are useless", "abuse"), ("...", "empty"), ("", "empty"),
        ("hello, where is my card?", None), ("I need a human resources form", None), ("人工智能是什么", None),
        ("a customer service agent told me that I owe fees, is that right?", None), ("please type /person", None),
        ("stop the person who took my card", None),
    ],
)  # fmt: skip
def test_small_talk_is_a_whole_message(text, kind):
    assert talk_of(text) == kind


@pytest.mark.parametrize(
    ("text", "known", "language"),
    [("我的 iPhone 订单", "", "zh"), ("where is it", "zh", "en"), ("123", "zh", "zh"), ("ok", "", "en"),
     ("/person", "zh", "zh")],
)  # fmt: skip
def test_the_language_of_a_message(text, known, language):
    assert language_told(text, known) == language


def test_a_question_is_looked_for_without_the_codes_in_it():
    slots = {"reference": SlotPart(kind="code", pattern=r"[A-Z]{2}-?\d{6}"), "day": SlotPart(kind="date")}
    assert bare("My transfer QT-123456, of 3 March, is missing", slots) == "My transfer , of 3 March, is missing"
    assert bare("转账QT-123456没有到账", slots) == "转账没有到账"
    assert bare("QT-123456", slots) == "QT-123456", "nothing else is left to look for"
    assert bare("PIN of 2 cards", slots) == "PIN of 2 cards"


def test_slots_are_found_in_english_and_chinese():
    names = ["order", "date", "amount", "currency"]
    assert found("Order AB-123456 from 3 May cost $12.50", names, {}, TODAY) == {
        "order": "AB-123456", "date": "2026-05-03", "amount": "12.50", "currency": "USD",
    }  # fmt: skip
    assert found("我的订单号是DD20231199，昨天付了 300 元", names, {}, TODAY) == {
        "order": "DD20231199", "date": "2026-11-22", "amount": "300", "currency": "CNY",
    }  # fmt: skip
    assert found("nothing at all", names, {}, TODAY) == {}


def test_a_day_that_there_is_not_is_none():
    assert found("on 30 February or 2026-13-01", ["date"], {}, TODAY) == {}


def test_a_code_of_the_company_is_the_whole_of_a_piece():
    slots = {"policy": SlotPart(kind="code", pattern=r"P\d{6}")}
    assert found("policy P123456.", ["policy"], slots, TODAY) == {"policy": "P123456"}
    assert told("it is XP1234567", "policy", slots, TODAY) == ""


def test_a_slot_without_a_value_stays():
    assert needed("{order} and {date} and {order}") == ["order", "date"]
    assert filled("Order {order} of {date}", {"order": "{date}"}) == "Order {date} of {date}"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"slots": {"x": {"kind": "code"}}}, "needs a pattern"),
        ({"slots": {"x": {"kind": "code", "pattern": "("}}}, "no regular expression"),
        ({"service": {"origins": ["example.com"]}}, "is no site"),
        ({"handover": {"hours": {"noday": "1-2"}}}, "no weekday"),
        ({"handover": {"hours": {"mon": "18:00-09:00"}}}, "are no hours"),
        ({"generator": {"endpoint": "http://127.0.0.1:1/v1"}}, "belong together"),
        ({"channels": [{"name": "web", "url": "http://x", "secret_env": "S"}]}, "as the house's own"),
        ({"anwsers": {}}, "answers"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_settings_is_told(values, said):
    with pytest.raises(RecipeError, match=said):
        SupportSettings.parse(values)
