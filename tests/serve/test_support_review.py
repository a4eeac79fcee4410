"""From a thumb down over HTTP to a new answer, and back."""

from __future__ import annotations

import time

import pytest
from supported import encode, running

from metier.apps.support.answer.known import Known
from metier.apps.support.answer.sure import Sure
from metier.apps.support.learn.review import Opinion, Review
from metier.store.store import Store

UNKNOWN, ANSWER = "Do you sell gift vouchers", "Yes, from ten euros, at every till."
SLOWEST = 5.0
"""Seconds within which an answer is there on a busy machine; on an idle one it is one."""


@pytest.fixture
def site(tmp_path):
    with running(tmp_path) as made:
        yield made


def reply(customer, text):
    return customer.say(text).json()["replies"][0]


def judged(customer, number, verdict, correction=None):
    body = {"verdict": verdict} | ({} if correction is None else {"correction": correction})
    found = customer.http.post(f"{customer.path}/messages/{number}/verdict", json=body)
    assert found.status_code == 201, found.text


def corrected(site, text, answer):
    """A customer who says what would have been right."""
    customer = site.customer()
    judged(customer, reply(customer, text)["number"], "corrected", answer)


def waiting(site):
    return site.client("analyst").get("/v1/desk/review").json()["candidates"]


def posted(site, path, **body):
    found = site.client("analyst").post(f"/v1/desk{path}", json=body)
    assert found.status_code == 200, found.text
    return found.json()


def test_a_thumb_a_correction_a_review_the_new_answer_and_the_old_one_again(site):
    ann, bob, carl = site.customer(), site.customer(), site.customer()
    said = reply(ann, UNKNOWN)
    assert said["tier"] == "unknown"
    judged(ann, said["number"], "wrong")
    (thumb,) = waiting(site)
    assert (thumb["kind"], thumb["question"], thumb["answer"], thumb["who"]) == ("thumb", UNKNOWN, "", "visitor")
    for _ in range(2):
        judged(ann, said["number"], "corrected", f"{ANSWER} Mail ann@example.com")
    judged(bob, reply(bob, f"{UNKNOWN}?")["number"], "corrected", f"{ANSWER} Mail [email]")
    (candidate,) = waiting(site)
    assert (candidate["kind"], candidate["repeated"]) == ("correction", 1)
    assert candidate["answer"] == f"{ANSWER} Mail [email]"
    assert {one["id"] for one in candidate["near"]} <= {"lost", "fee", "slow", "order"} and candidate["near"]
    assert site.client("viewer").get("/v1/desk/review").status_code == 403
    report = posted(site, f"/review/{candidate['id']}/trial", answer=ANSWER)
    assert (report["reasons"], report["own"]) == ([], True)
    done = posted(site, f"/review/{candidate['id']}/promote", answer=ANSWER)
    begun = time.monotonic()
    new = reply(carl, UNKNOWN)
    seconds = time.monotonic() - begun
    assert (done["verdict"], new["tier"], new["text"]) == ("promoted", "template", ANSWER)
    assert seconds < SLOWEST
    assert waiting(site) == []
    assert posted(site, f"/promotions/{done['id']}/roll_back") == {"entries": 1}
    assert reply(site.customer(), UNKNOWN)["tier"] == "unknown"
    again = site.client("analyst").post(f"/v1/desk/promotions/{done['id']}/roll_back")
    assert again.status_code == 422 and "rolled_back" in again.json()["detail"]
    (row,) = site.client("analyst").get("/v1/desk/promotions").json()["promotions"]
    assert (row["verdict"], row["rolled_back_by"]) == ("rolled_back", "key analyst")


def test_a_correction_that_breaks_something_is_refused_with_reasons_in_two_languages(site):
    corrected(site, "I have lost my card", "Buy a new one.")
    (candidate,) = waiting(site)
    done = posted(site, f"/review/{candidate['id']}/promote")
    assert done["verdict"] == "refused"
    for one in done["report"]["reasons"]:
        assert one["why"] and one["en"].isascii() and not one["zh"].isascii()
    assert reply(site.customer(), "I have lost my card")["reply"]["citations"][0]["id"] == "lost"
    merged = site.client("analyst").post(f"/v1/desk/review/{candidate['id']}/promote", json={"merge": "lost"})
    assert merged.status_code == 422 and "refused already" in merged.json()["detail"]


def test_a_better_answer_takes_the_place_of_the_one_that_was_there(site):
    corrected(site, "What does a transfer cost", "A transfer costs a euro.")
    (candidate,) = waiting(site)
    assert candidate["entry"] == "fee"
    done = posted(site, f"/review/{candidate['id']}/promote", merge="fee", answer=candidate["answer"])
    assert done["verdict"] == "promoted"
    assert reply(site.customer(), "What does a transfer cost")["text"] == "A transfer costs a euro."
    posted(site, f"/promotions/{done['id']}/roll_back")
    assert reply(site.customer(), "What does a transfer cost")["text"] == "A transfer costs nothing."


def test_what_another_process_promotes_is_answered_here(site, tmp_path):
    from supported import Bags

    ann = site.customer()
    number = reply(ann, UNKNOWN)["number"]
    with Store.open(tmp_path / "support.db") as store:
        known = Known(store, Bags(), Sure())
        known.follow()
        review = Review(store, known, encode)
        candidate = review.judge(ann.id, number, Opinion("corrected", "analyst-1", ANSWER)).candidate
        assert review.promote(candidate.id, "analyst-1").verdict == "promoted"
        begun = time.monotonic()
    found = reply(site.customer(), UNKNOWN)
    while found["tier"] == "unknown" and time.monotonic() - begun < SLOWEST:
        time.sleep(0.05)
        found = reply(site.customer(), UNKNOWN)
    assert found["text"] == ANSWER


def test_a_reviewer_puts_a_candidate_away(site):
    corrected(site, UNKNOWN, "Rubbish.")
    (candidate,) = waiting(site)
    assert posted(site, f"/review/{candidate['id']}/refuse", reason="an insult")["state"] == "refused"
    assert waiting(site) == []
    corrected(site, UNKNOWN, "Rubbish.")
    assert waiting(site) == [], "what was refused does not come again"
    missing = site.client("analyst").post("/v1/desk/review/none/refuse", json={})
    assert missing.status_code == 422 and "no candidate" in missing.json()["detail"]
