"""Generators: a real server on this machine, and a tiny GPT-2 in a folder."""

import math
import time

import asked
import endpoints
import numpy as np
import pytest
import torch
from transformers.utils import logging

from metier.errors import BackboneError, RecipeError
from metier.models import generator
from metier.models.generator import Causal, Endpoint, prompt
from metier.models.hub import HubEncoder
from metier.models.verbaliser import MaskedEncoder
from metier.models.wording import Question, Wording, calibrated

MOOD = Wording("Text: {text}\nLabel: {label}", ("good", "card_arrival"), ("good", "card arrival"), "Choose: good, card")
KEY = "METIER_TEST_KEY"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(generator, "PAUSE", 0.0)


def chat(text, tops=None):
    first = {"top_logprobs": [{"token": token, "logprob": value} for token, value in (tops or {}).items()]}
    return {"choices": [{"message": {"content": text}, "logprobs": {"content": [first]} if tops else None}]}


def score(answer, texts=("Oslo",)):
    with endpoints.served(answer) as (address, heard):
        return Endpoint(address, "tiny", KEY).score(MOOD, [Question(text) for text in texts]), heard


def test_the_prompt_ends_where_the_label_goes():
    found = prompt(MOOD, Question("Oslo", (("Rome", 1),)))
    assert found == "Choose: good, card\n\nText: Rome\nLabel: card arrival\n\nText: Oslo\nLabel:"


def test_an_answer_is_one_of_the_labels_or_none(monkeypatch):
    monkeypatch.setenv(KEY, "s3cret")
    said = iter(["Good.", " card_arrival\n", "Card Arrival", "good or card arrival", "", "goodish"])
    found, heard = [], []
    for _ in range(6):
        one, requests = score(lambda path, content: (200, chat(next(said))))
        found.append(one[0])
        heard += requests
    assert [int(row.argmax()) if row.any() else None for row in found] == [0, 1, 1, None, None, None]
    assert np.exp(found[0]).sum() == pytest.approx(1.0)
    assert {item["path"] for item in heard} == {"/v1/chat/completions"}
    assert all(item["key"] == "Bearer s3cret" and item["temperature"] == 0 for item in heard)


def test_probabilities_are_taken_where_the_server_gives_them():
    tops = {"good": math.log(0.6), " card": math.log(0.3), "x": math.log(0.01)}
    found, _ = score(lambda path, content: (200, chat("good", tops)))
    np.testing.assert_allclose(np.exp(found[0]), [0.6, 0.3])
    alike, _ = score(lambda path, content: (200, chat("good", {"": -0.1, "zz": -3.0})))
    assert np.exp(alike[0][0]) == pytest.approx(generator.SURE)


def test_a_server_without_chat_is_asked_for_completions():
    def answer(path, content):
        if path.endswith("/chat/completions"):
            return 404, {}
        logs = {"top_logprobs": [{" good": -0.2, " card": -2.0}]}
        return 200, {"choices": [{"text": " good", "logprobs": logs}]}

    found, heard = score(answer)
    assert found[0].tolist() == [-0.2, -2.0]
    assert heard[-1]["path"] == "/v1/completions" and heard[-1]["prompt"].endswith("Label:")


def test_it_tries_again_and_gives_up_in_one_line(monkeypatch):
    monkeypatch.setenv(KEY, "s3cret")
    states = iter([503, 429, 200])
    found, heard = score(lambda path, content: (next(states), chat("good")))
    assert len(heard) == 3 and found[0].argmax() == 0
    with pytest.raises(BackboneError, match="status 500") as error:
        score(lambda path, content: (500, {"error": "s3cret"}))
    assert "s3cret" not in str(error.value)
    with pytest.raises(BackboneError, match=f"status 401.*{KEY}"):
        score(lambda path, content: (401, {}))
    with pytest.raises(BackboneError, match="does not answer"):
        Endpoint("http://127.0.0.1:9/v1", "tiny").score(MOOD, [Question("Oslo")])


def test_a_server_that_refuses_log_probabilities_is_asked_without():
    def answer(path, content):
        return (400, {"error": "no logprobs here"}) if "logprobs" in content else (200, chat("good"))

    with endpoints.served(answer) as (address, heard):
        endpoint = Endpoint(address, "tiny")
        found = endpoint.score(MOOD, [Question("Oslo")])
        assert endpoint.score(MOOD, [Question("Rome")]).argmax() == 0
    assert found[0].argmax() == 0 and ["logprobs" in item for item in heard] == [True, False, False]
    with pytest.raises(BackboneError, match="status 400"):
        score(lambda path, content: (400, {}))


def test_only_probabilities_are_calibrated():
    tops = {"good": math.log(0.6), " card": math.log(0.3)}
    empty = Question("N/A")

    def scores(numbers, **said):
        def answer(path, content):
            text = content["messages"][0]["content"].rpartition("Text: ")[2].partition("\n")[0]
            return 200, chat(said.get(text, "good"), tops if text in numbers else None)

        with endpoints.served(answer) as (address, heard):
            found = calibrated(Endpoint(address, "tiny"), MOOD, [Question("Oslo"), Question("Rome")], {})
            return found, [item["messages"][0]["content"].count(empty.text) for item in heard]

    bare, heard = scores((), Rome="card arrival")
    assert bare.argmax(axis=1).tolist() == [0, 1] and np.exp(bare).max() == pytest.approx(generator.SURE)
    assert sum(heard) == 0, "a text that says nothing is not even asked about"
    some, heard = scores(("Oslo", "N/A"), Rome="card arrival")
    assert sum(heard) == 1 and some[1].tolist() == bare[1].tolist()
    np.testing.assert_allclose(some[0], 0.0, atol=1e-9)
    alone, _ = scores(("Oslo",))
    np.testing.assert_allclose(np.exp(alone[0]), [0.6, 0.3])


def test_what_is_no_answer_or_too_long_is_refused(monkeypatch):
    with pytest.raises(BackboneError, match="sent what is no answer"):
        score(lambda path, content: (200, b"<html>"))
    monkeypatch.setattr(generator, "LIMIT", 100)
    with pytest.raises(BackboneError, match="more than 100 bytes"):
        score(lambda path, content: (200, chat("good" * 100)))


def test_it_says_what_it_likes_by_the_same_two_ways():
    def answer(path, content):
        if path.endswith("/chat/completions"):
            return 404, {}
        return 200, {"choices": [{"text": " Two lines.\nOf text."}]}

    with endpoints.served(lambda path, content: (200, chat("Two lines.\nOf text."))) as (address, heard):
        assert Endpoint(address, "tiny").say("What?", tokens=7) == "Two lines.\nOf text."
    assert heard == [
        {"path": "/v1/chat/completions", "key": None, "model": "tiny", "temperature": 0, "max_tokens": 7,
         "messages": [{"role": "user", "content": "What?"}]},
    ]  # fmt: skip
    with endpoints.served(answer) as (address, heard):
        assert Endpoint(address, "tiny").say("What?") == " Two lines.\nOf text."
    assert "stop" not in heard[1] and "logprobs" not in heard[1] and heard[1]["prompt"] == "What?"


@pytest.mark.parametrize("status", [200, 503])
def test_nothing_is_waited_for_after_the_deadline(monkeypatch, status):
    """A server that is slow, and one that asks to be left alone for longer than anybody waits."""
    monkeypatch.setattr(generator, "PAUSE", 60.0)

    def answer(path, content):
        time.sleep(1.5 if status == 200 else 0.0)
        return status, chat("late")

    with endpoints.served(answer) as (address, heard):
        began = time.monotonic()
        with pytest.raises(BackboneError, match="in time|status 503"):
            Endpoint(address, "tiny").say("What?", seconds=0.3)
        assert time.monotonic() - began < 1.4 and len(heard) == 1


@pytest.mark.parametrize("choices", [["text"], [{"message": "text"}], [{"logprobs": 7}], [{"message": [1]}], [None]])
def test_answers_of_another_form_are_one_line(choices):
    with pytest.raises(BackboneError, match="sent what is no answer"):
        score(lambda path, content: (200, {"choices": choices}))


def test_a_key_that_is_none(monkeypatch):
    monkeypatch.setenv(KEY, "s3cr\u00e9t")
    with pytest.raises(BackboneError, match=f"{KEY} holds no key") as error:
        Endpoint("http://127.0.0.1:9/v1", "tiny", KEY).say("What?")
    assert "s3cr" not in str(error.value)


@pytest.mark.parametrize(
    "address", ["ftp://h/v1", "h:80", "http://user:pw@h/v1", "http:///v1", "http://h:x/v1", "http://[::1/v1"]
)
def test_addresses_that_are_none(address):
    with pytest.raises(RecipeError, match=r"prompt\.endpoint is no address") as error:
        Endpoint(address, "tiny")
    assert "pw" not in str(error.value)


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return Causal(str(asked.causal(tmp_path_factory.mktemp("causal") / "gpt")))


def test_loading_shows_no_progress(tmp_path, capfd):
    Causal(str(asked.causal(tmp_path / "gpt")))
    MaskedEncoder.load(asked.masked(tmp_path / "bert"), None)
    HubEncoder.load(tmp_path / "bert", None)
    assert "Loading" not in capfd.readouterr().err
    assert logging.is_progress_bar_enabled(), "whoever calls Metier keeps theirs"


def test_a_causal_model_scores_words_by_their_mean_log_probability(causal):
    wording = Wording("{text} is {label}", ("a", "b"), ("profit", "strong loss"))
    found = causal.score(wording, [Question("Oslo falls")])
    start = causal._ids("Oslo falls is")
    for at, word in enumerate(wording.words):
        ids = causal._ids(word)
        with torch.inference_mode():
            logits = causal.model(input_ids=torch.tensor([start + ids])).logits[0].log_softmax(-1)
        each = [float(logits[len(start) - 1 + place, token]) for place, token in enumerate(ids)]
        assert found[0, at] == pytest.approx(sum(each) / len(each), abs=1e-5)


def test_long_prompts_lose_examples_then_the_end_of_the_text(causal):
    wording = Wording("{text} is {label}", ("a", "b"), ("profit", "loss"))
    shots = tuple((f"Berlin gains {at}", at % 2) for at in range(40))
    ids = causal._prompt(wording, Question("Oslo falls", shots), 1)
    assert len(ids) <= causal.window - 1
    assert causal.tokenizer.decode(ids).endswith("oslo falls is")
    long = causal._prompt(wording, Question("Oslo falls " * 90), 1)
    assert len(long) <= causal.window - 1 and causal.tokenizer.decode(long).endswith("is")


def test_a_folder_that_is_not_there():
    with pytest.raises(BackboneError, match="no folder"):
        Causal("/no/such/folder")
