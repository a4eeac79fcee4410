"""Notices leave: stored, sent, marked; with real servers on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from monitor.listener import listening

from metier.apps.hooks import Answer, Hook, Webhook
from metier.apps.monitor.alerts.notices import Outbox, Outcome, Rate, Shelf, Waiting, sender
from metier.apps.monitor.alerts.routes import ReceiverPart
from metier.apps.monitor.alerts.senders import Apprise, written
from metier.errors import RecipeError

BODY = {
    "receiver": "desk", "status": "firing", "groupLabels": {"topic": "欺诈"}, "truncatedAlerts": 2,
    "alerts": [
        {
            "status": "firing", "labels": {"topic": "欺诈"}, "generatorURL": "https://metier.example/alerts/1",
            "annotations": {
                "summary": "Negative surge on 欺诈", "summary_zh": "负面激增：欺诈",
                "severity_reason": "Severity critical",
            },
        }
    ],
}  # fmt: skip


class Rows:
    """A store of notices in memory."""

    def __init__(self, *rows: Waiting) -> None:
        self.rows = {row.id: row for row in rows}
        self.outcomes: list[Outcome] = []
        self.away = 0

    def waiting(self, receiver: str, most: int) -> Sequence[Waiting]:
        return [row for row in self.rows.values() if row.receiver == receiver][:most]

    def mark(self, outcome: Outcome) -> None:
        if self.away:
            self.away -= 1
            raise OSError("the database is away")
        self.outcomes.append(outcome)
        row = self.rows[outcome.id]
        if outcome.state == "waiting":
            self.rows[row.id] = Waiting(row.id, row.receiver, row.body, row.stored_at, outcome.tries, outcome.again_at)
        else:
            del self.rows[row.id]

    def shelf(self) -> Shelf:
        return Shelf(self.waiting, self.mark)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A receiver that answers as it is told."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.names = list(answers), list[str]()

    def send(self, name: str, body: Any) -> Answer:
        self.names.append(name)
        return self.answers.pop(0) if self.answers else Answer(True)


def row(name: str, receiver: str = "desk") -> Waiting:
    return Waiting(name, receiver, BODY, 1_000.0)


def test_a_webhook_gets_the_body_signed_and_named() -> None:
    with listening() as there:
        hook = Hook(
            there.url + "/in?key=k", "the-token", "whsec_" + base64.b64encode(b"key").decode(), allow_private=True
        )
        assert Webhook(hook, clock=lambda: 1_700_000_000.0).send("n1", BODY) == Answer(True)
    path, headers, content = there.asked[0]
    assert path == "/in?key=k" and json.loads(content) == BODY and "欺诈".encode() in content
    assert headers["content-type"] == "application/json" and headers["idempotency-key"] == "n1"
    assert headers["authorization"] == "Bearer the-token"
    signed = hmac.new(b"key", b"n1.1700000000." + content, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(signed).decode()
    assert headers["host"] == there.url.removeprefix("http://")


@pytest.mark.parametrize(
    ("step", "again", "wait"),
    [
        (500, True, 0.0), ((429, {"Retry-After": "7"}), True, 7.0), (408, True, 0.0), (404, False, 0.0),
        ((302, {"Location": "http://169.254.169.254/"}), False, 0.0), ((503, {"Retry-After": "Mon"}), True, 0.0),
        ((503, {"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT"}), True, 10.0),
    ],
)  # fmt: skip
def test_what_an_answer_means(step: Any, again: bool, wait: float) -> None:
    with listening([step]) as there:
        hook = Webhook(Hook(there.url + "/secret", allow_private=True), clock=lambda: 1_700_000_000.0)
        answer = hook.send("n", BODY)
    assert (answer.taken, answer.again, answer.wait) == (False, again, wait)
    assert len(there.asked) == 1 and "secret" not in answer.fault and "status" in answer.fault


def test_the_certificate_is_that_of_the_name_though_the_address_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=hooks.example",
        "-addext",
        "subjectAltName=DNS:hooks.example",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with listening(context=context) as there:
        port = int(there.url.rpartition(":")[2])
        real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more))
        right, wrong = (
            Webhook(Hook(f"https://{name}:{port}/in", allow_private=True)).send("n", BODY)
            for name in ("hooks.example", "other.example")
        )
    assert right == Answer(True) and there.asked[0][1]["host"] == f"hooks.example:{port}"
    assert not wrong.taken and "cannot be reached" in wrong.fault and len(there.asked) == 1


def test_private_addresses_are_refused_unless_allowed() -> None:
    with listening() as there:
        answer = Webhook(Hook(there.url + "/secret")).send("n", BODY)
    assert not answer.taken and not answer.again and "no public address" in answer.fault
    assert not there.asked and "secret" not in answer.fault


def test_nobody_there_and_nobody_who_answers_is_tried_again_without_saying_a_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hook = Hook(f"http://127.0.0.1:{port}/T0/hush?key=hush", "hush", "hush", timeout=0.2, allow_private=True)
        start = time.monotonic()
        slow = Webhook(hook).send("n", BODY)
        assert time.monotonic() - start < 3
    gone = Webhook(hook).send("n", BODY)
    unknown = Webhook(Hook("http://no-such-name.invalid/hush", allow_private=True)).send("n", BODY)
    for answer in (slow, gone, unknown):
        assert not answer.taken and answer.again and "cannot be reached" in answer.fault
    assert "hush" not in f"{slow}{gone}{unknown}{hook!r}{caplog.text}"


def test_logs_of_a_good_one_hold_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    with listening() as there:
        Webhook(Hook(there.url + "/T0/hush", "hush", allow_private=True)).send("n", BODY)
    assert "hush" not in caplog.text


def test_what_fails_is_tried_again_later_and_later_in_order() -> None:
    clock, rows = Clock(), Rows(row("a"), row("b"))
    there = Told(*[Answer(False, again=True, fault="down")] * 3)
    outbox = Outbox({"desk": there}, rows.shelf(), clock=clock)
    pauses = []
    for _ in range(4):
        pauses.append(outbox.send_due("desk"))
        assert outbox.send_due("desk") > 0 or not rows.rows
        clock.now += pauses[-1]
    assert pauses[:3] == [2.0, 4.0, 8.0] and there.names == ["a", "a", "a", "a", "b"]
    assert [(one.id, one.state, one.tries) for one in rows.outcomes] == [
        ("a", "waiting", 1), ("a", "waiting", 2), ("a", "waiting", 3), ("a", "sent", 4), ("b", "sent", 1),
    ]  # fmt: skip


def test_what_can_never_be_sent_is_given_up_and_the_next_one_goes() -> None:
    rows = Rows(row("a"), row("b"))
    Outbox({"desk": Told(Answer(False, fault="gone"))}, rows.shelf(), clock=Clock()).send_due("desk")
    assert [(one.id, one.state, one.fault) for one in rows.outcomes] == [("a", "failed", "gone"), ("b", "sent", "")]
    clock, late = Clock(), Rows(row("c"))
    clock.now += 90_000
    Outbox({"desk": Told(Answer(False, again=True, fault="down"))}, late.shelf(), clock=clock).send_due("desk")
    assert late.outcomes[0].state == "failed", "older than a day"


def test_what_was_sent_is_not_sent_again_while_the_store_is_away() -> None:
    rows, there, clock = Rows(row("a"), row("b")), Told(), Clock()
    outbox = Outbox({"desk": there}, rows.shelf(), clock=clock)
    rows.away = 2
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            outbox.send_due("desk")
    outbox.send_due("desk")
    assert there.names == ["a", "b"] and [one.state for one in rows.outcomes] == ["sent", "sent"]


def test_a_receiver_gets_no_more_than_its_rate() -> None:
    clock, rows, there = Clock(), Rows(*(row(f"n{at:02}") for at in range(40))), Told()
    outbox = Outbox({"desk": there}, rows.shelf(), {"desk": 60}, clock)
    sent = []
    for _ in range(12):
        pause = outbox.send_due("desk")
        sent.append(len(there.names))
        clock.now += pause
    assert sent == [10 + at for at in range(12)] and clock.now == pytest.approx(1_012.0)
    bucket = Rate(6, 0.0)
    bucket.take(0.0)
    assert bucket.wait(0.0) == pytest.approx(10.0) and bucket.wait(-100.0) == pytest.approx(10.0)


def test_one_receiver_that_hangs_keeps_nobody_waiting() -> None:
    held = threading.Event()

    class Hung:
        def send(self, name: str, body: Any) -> Answer:
            held.wait(20)
            return Answer(True)

    rows, quick = Rows(row("a", "hung"), row("b", "quick")), Told()
    outbox = Outbox({"hung": Hung(), "quick": quick}, rows.shelf())
    start = time.monotonic()
    outbox.start()
    outbox.wake()
    assert time.monotonic() - start < 1, "nobody who counts has to wait"
    while not quick.names and time.monotonic() - start < 10:
        time.sleep(0.01)
    outbox.stop(0.1)
    held.set()
    outbox.stop(5.0)
    assert quick.names == ["b"]


def test_a_sender_that_is_broken_is_said_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def send(self, name: str, body: Any) -> Answer:
            raise ValueError("broken")

    rows, quick = Rows(row("a", "broken"), row("b", "quick")), Told()
    outbox = Outbox({"broken": Broken(), "quick": quick}, rows.shelf())
    outbox.start()
    start = time.monotonic()
    while not (quick.names and "have to wait" in caplog.text) and time.monotonic() - start < 10:
        time.sleep(0.01)
    outbox.stop()
    assert quick.names == ["b"] and "notices to broken have to wait" in caplog.text and "a" in rows.rows


KILLED = """
import os, sqlite3, sys
from metier.apps.monitor.alerts.notices import Outbox, Outcome, Shelf, Waiting
from metier.apps.hooks import Hook, Webhook

base = sqlite3.connect(sys.argv[1], isolation_level=None)
def waiting(receiver, most):
    rows = base.execute("select id, at from notices where state = 'waiting' order by id").fetchall()
    return [Waiting(name, receiver, {"n": name}, at) for name, at in rows]
def mark(outcome):
    if outcome.id == sys.argv[3]:
        os._exit(9)  # as kill -9 does: between the answer and the mark
    base.execute("update notices set state = ? where id = ?", (outcome.state, outcome.id))
Outbox({"desk": Webhook(Hook(sys.argv[2], allow_private=True))}, Shelf(waiting, mark)).send_due("desk")
"""


def test_a_kill_loses_none_and_the_one_it_doubles_has_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "notices.db"
    with sqlite3.connect(path) as base:
        base.execute("create table notices (id text primary key, at real, state text)")
        base.executemany("insert into notices values (?, ?, 'waiting')", [(f"n{at}", time.time()) for at in range(3)])
    base.close()
    with listening() as there:
        for victim, code in (("n1", 9), ("", 0)):
            command = [sys.executable, "-c", KILLED, str(path), there.url, victim]
            done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, timeout=120)
            assert done.returncode == code, done.stderr
    assert [headers["idempotency-key"] for _, headers, _ in there.asked] == ["n0", "n1", "n1", "n2"]


def test_a_receiver_of_the_settings() -> None:
    secrets = {"URL": "https://hooks.example/hush", "KEY": "hush", "MANY": "json://127.0.0.1/ xml://127.0.0.1/"}
    hook = sender(ReceiverPart(name="a", url_env="URL", secret_env="KEY"), secrets)
    assert isinstance(hook, Webhook) and hook.hook.secret == "hush" and "hush" not in repr(hook.hook)
    assert isinstance(sender(ReceiverPart(name="b", apprise_env="MANY", language="zh"), secrets), Apprise)
    with pytest.raises(RecipeError, match="NO_SUCH, which is not set"):
        sender(ReceiverPart(name="c", url_env="NO_SUCH"), secrets)
    with pytest.raises(RecipeError, match="Address 1 of 1") as caught:
        sender(ReceiverPart(name="d", apprise_env="BAD"), {"BAD": "nonsense://hush"})
    assert "hush" not in str(caught.value)
    with pytest.raises(RecipeError, match="base64"):
        sender(ReceiverPart(name="e", url="https://x/", secret_env="KEY"), {"KEY": "whsec_?"})


def test_apprise_sends_a_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    with listening() as there:
        place = there.url.removeprefix("http://")
        assert Apprise([f"json://{place}/hush"], "zh").send("n", BODY) == Answer(True)
        answer = None
        there.script = [500]
        answer = Apprise([f"json://{place}/hush"]).send("n", BODY)
    said = json.loads(there.asked[0][2])
    assert said["title"] == "[触发:3] 欺诈" and "负面激增：欺诈" in said["message"] and "另有 2 条" in said["message"]
    assert not answer.taken and answer.again and "hush" not in caplog.text + answer.fault


def test_a_text_cannot_begin_a_header() -> None:
    title, text = written({**BODY, "groupLabels": {"topic": "a\r\nBcc: all@example.com"}})
    assert "\n" not in title and "\r" not in title
    assert text.startswith("[firing] Negative surge on 欺诈\nSeverity critical\nhttps://metier.example/alerts/1")
