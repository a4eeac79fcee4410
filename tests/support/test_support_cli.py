"""`metier support` in the terminal: begin, review, promote, refuse, roll back, erase, gaps."""

from __future__ import annotations

import json
import tomllib

import pytest
from typer.testing import CliRunner

from metier.apps.support import assemble
from metier.apps.support.learn.review import Opinion, Review
from metier.apps.support.settings import SupportSettings
from metier.cli import app
from metier.store import open_store


@pytest.fixture
def file(own, tmp_path):
    """A support.toml whose store is the test's own and whose build is shared."""
    path = tmp_path / "support.toml"
    path.write_text(f"store = {json.dumps(own.store)}\nbuilt = {json.dumps(own.built)}\n", encoding="utf-8")
    return str(path)


def said(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["support", *words])
    assert done.exit_code == code, done.output
    return done.stdout


def test_a_folder_to_begin_with_is_read_as_it_is(tmp_path):
    told = said("init", str(tmp_path / "bank"), "--sample")
    assert "metier support evaluate" in told
    settings = SupportSettings.read(tmp_path / "bank" / "support.toml")
    assert settings.name == "Quillhaven Bank"
    assert settings.slots["reference"].kind == "code"
    assert (tmp_path / "bank" / "documents" / "loans.md").is_file()
    said("init", str(tmp_path / "plain"))
    assert tomllib.loads((tmp_path / "plain" / "support.toml").read_text(encoding="utf-8"))["history"] == ""


def test_a_talk_in_the_terminal_tells_tiers_and_sources(own, file):
    asked = ("where can I see my account number", "for how long are recordings of telephone calls kept")
    done = CliRunner().invoke(app, ["support", "chat", file, *asked])
    assert done.exit_code == 0, done.output
    for text in asked:
        assert f"> {text}\n" in done.stdout
    assert "  template, " in done.stderr
    assert "  search, " in done.stderr
    assert "90 days" in done.stdout
    assert "(privacy.md)" in done.stdout
    piped = CliRunner().invoke(app, ["support", "chat", file], input="hello\n")
    assert piped.exit_code == 0, "the end of what is piped ends the talk"
    assert "> hello\n" in piped.stdout
    assert "  talk, 1.00" in piped.stderr


def told(verdict: str, correction: str = "") -> Opinion:
    return Opinion(verdict, "visitor", correction)


def test_review_to_roll_back_and_erase(own, file):
    with open_store(own.store) as store:
        bot = assemble.support(own, store)
        conversation, _ = bot.open("terminal")
        reply = bot.receive(conversation.id, "can I rent a safe deposit box").replies[-1]
        parts = bot.answerer.parts
        desk = Review(store, parts.known, parts.encode, parts.understand)
        right = desk.judge(conversation.id, reply.number, told("corrected", "In the branch, from 40 euros.")).candidate
        other = bot.receive(conversation.id, "I have lost my card").replies[-1]
        wrong = desk.judge(conversation.id, other.number, told("wrong")).candidate
        bot.close()
    listed = said("review", file)
    assert right.id in listed
    assert "In the branch, from 40 euros." in listed
    assert "refused" in said("refuse", wrong.id, "--settings", file)
    done = json.loads(said("promote", right.id, "--settings", file, "--json"))
    assert done["verdict"] == "promoted"
    assert done["report"]["asked"] >= 100
    assert "1 entries" in said("rollback", done["id"], "--settings", file)
    assert "safe deposit box" in said("gaps", file)
    assert "1 conversations" in said("erase", conversation.id, "--settings", file)
    assert "safe deposit box" not in said("gaps", file)
