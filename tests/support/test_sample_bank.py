"""The whole way of a message over an invented bank with the real encoder: tiers, follow-ups, slots, private data."""

from __future__ import annotations

import pytest
from supporting import contents

from metier.apps.support import assemble, evaluate
from metier.apps.support.beginning import QUESTIONS, begin
from metier.errors import RecipeError
from metier.sample import bank as folder
from metier.store import knowledge, open_store


def test_what_is_built_of_the_sample(bank):
    _, built = bank
    assert built.entries > 61, "answers that people gave twice are entries"
    assert built.past.wordings >= 3
    assert built.past.candidates >= 5
    assert not built.refused
    assert built.sure.rows > 300
    assert built.sure.curve[-1].answered > built.sure.curve[0].answered
    assert built.sure_papers.rows


def test_the_sample_is_answered_right_and_the_rest_is_not(own):
    with open_store(own.store) as store:
        figures = evaluate.evaluate(assemble.answerer(own, store), evaluate.questions(folder() / QUESTIONS))
    assert figures.questions == 101
    assert figures.outside == 22
    assert figures.precise >= 0.9
    assert figures.right >= 0.6
    assert figures.refused >= 0.8


@pytest.mark.parametrize(
    ("text", "tier", "within"),
    [
        ("hello!", "talk", "Hello"),
        ("I've lost my debit card", "template", "Block the card at once"),
        ("我的银行卡丢了", "template", "请立即在手机银行"),
        ("how much emergency cash can I get if my card is stolen on a journey", "search", "1,500 euros"),
        ("how do I bake bread without yeast", "unknown", "I do not know"),
        ("附近有什么好吃的餐厅", "unknown", "无法回答"),
    ],
)
def test_each_tier_answers_what_is_its_own(ask, text, tier, within):
    said = ask(text)
    assert said.tier == tier
    assert within in said.text


def test_a_sentence_of_a_document_is_cited(ask):
    said = ask("how much emergency cash can I get if my card is stolen on a journey")
    cited = said.reply["citations"][0]
    assert "[1]" in said.text
    assert cited["link"].endswith("fees-abroad.html")
    assert cited["quote"] in said.text


def test_after_two_messages_that_nobody_understands_a_person_is_called(ask, desk):
    ask("how do I bake bread without yeast")
    assert ask("which laptop should I buy for school").tier == "handover"


def test_a_person_comes_when_asked_for(ask):
    assert ask("I want to talk to a human").tier == "handover"


def test_a_short_message_goes_on_from_the_question_before(ask):
    first = ask("What does it cost to take out cash?")
    assert first.reply["entry"] == "fee-cash"
    assert ask("and when I pay with my card on holiday?").reply["entry"] == "fee-abroad"


@pytest.mark.parametrize(
    ("first", "then", "tier", "entry"),
    [
        ("how do I open an account", "and close it?", "template", "account-close"),
        ("在国外刷卡要手续费吗", "那取现金呢？", "template", "zh-fee-cash"),
        ("how long does a transfer take", "weather today", "unknown", ""),
        ("how long does a transfer take", "and if it is urgent?", "template", "transfer-time"),
    ],
)
def test_the_question_before_does_not_answer_the_next_one(ask, first, then, tier, entry):
    ask(first)
    said = ask(then)
    assert (said.tier, said.reply["entry"]) == (tier, entry)
    assert said.text.startswith("About that I can only tell you the same:") == (entry == "transfer-time")


def test_half_a_question_is_asked_back(ask):
    ask("how long does a transfer take")
    said = ask("and abroad?")
    assert said.tier == "clarify"
    assert "How do I send money to another country?" in [one["label"] for one in said.reply["buttons"]]


def test_a_slot_that_is_missing_is_asked_for_and_filled(ask):
    asked = ask("My transfer of 3 March 2026 has not arrived")
    assert asked.reply["waiting"] == "reference"
    assert "QT-123456" in asked.text
    again = ask("I think it was green")
    assert again.reply["waiting"] == "reference"
    filled = ask("ah, it is QT-734512")
    assert "QT-734512 of 2026-03-03" in filled.text
    assert filled.reply["question"] == "My transfer of 3 March 2026 has not arrived"


def test_a_slot_is_not_asked_for_without_end(ask):
    ask("My transfer has not arrived")
    assert [ask(text).tier for text in ("I think it was green", "no idea, really")] == ["template", "handover"]


def test_another_question_in_the_place_of_a_value_is_answered(ask):
    ask("My transfer has not arrived")
    assert ask("Where do I find my statements?").reply["entry"] == "account-statement"


def test_private_data_is_shown_to_its_customer_and_never_stored(ask, own):
    card, phone = "4539 1488 0343 6467", "+44 20 7946 0958"
    ask(f"I lost my card {card}, ring me on {phone}")
    ask(f"my mail is mia.holm@example.org and the number {phone}")
    kept = contents(own.store)
    assert b"[card]" in kept
    for private in (card, card.replace(" ", ""), phone, "mia.holm"):
        assert private.encode() not in kept
    assert b"13812345678" not in kept, "nor what the history had"


def test_everything_survives_a_restart(own):
    with open_store(own.store) as store:
        first = assemble.support(own, store)
        conversation, _ = first.open("terminal")
        first.receive(conversation.id, "My transfer of 3 March 2026 has not arrived")
        first.close()
    with open_store(own.store) as store:
        second = assemble.support(own, store)
        filled = second.receive(conversation.id, "QT-734512").replies[-1]
        second.close()
    assert "QT-734512 of 2026-03-03" in filled.text


def test_a_build_leaves_what_people_wrote_and_takes_out_what_left_the_table(own):
    from dataclasses import replace

    from metier.apps.support.build import _keep
    from metier.apps.support.reading import entries

    with open_store(own.store) as store:
        table = entries(own.faq)
        with store.read() as connection:
            there = knowledge.get(connection, ["card-lost"])["card-lost"]
        store.run(lambda link: knowledge.put(link, [replace(there, answer="By hand.", source="person")]))
        _keep(store, [one for one in table if one.id != "branch-hours"], 2_000.0)
        with store.read() as connection:
            found = knowledge.get(connection, ["card-lost", "branch-hours"])
    assert found["card-lost"].answer == "By hand."
    assert not found["branch-hours"].active


def test_a_folder_is_begun_once(tmp_path):
    written = begin(tmp_path / "new")
    assert 'faq = "faq.csv"' in written.read_text(encoding="utf-8")
    with pytest.raises(RecipeError, match="is there already"):
        begin(tmp_path / "new")
