"""kill -9 while many customers write: what was acknowledged is there, once, and is answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from serving import served
from supported import fill

from metier.store import conversations
from metier.store.store import Store

PROGRAM = Path(__file__).parent / "supported.py"
CUSTOMERS = 4
TEXTS = ("I have lost my card", "Please answer slowly", "What does a transfer cost")


class Writer(threading.Thread):
    """A customer who writes until the service is gone, and remembers what was acknowledged."""

    def __init__(self, url, calls):
        super().__init__(daemon=True)
        self.url, self.calls, self.acknowledged, self.id, self.called = url, calls, [], "", False

    def run(self):
        try:
            with httpx.Client(base_url=self.url, timeout=60, verify=False, trust_env=False) as http:
                made = http.post("/v1/chat/conversations", json={}).json()
                self.id = made["id"]
                http.headers["Authorization"] = f"Bearer {made['token']}"
                path = f"/v1/chat/conversations/{self.id}"
                for number in range(1_000):
                    text = TEXTS[number % len(TEXTS)]
                    found = http.post(f"{path}/messages", json={"text": text, "id": f"m-{number}"})
                    if found.status_code == 200:
                        self.acknowledged.append(f"m-{number}")
                    if number == self.calls:
                        self.called = http.post(f"{path}/acts", json={"act": "call"}).status_code == 200
        except (httpx.HTTPError, ValueError, KeyError):  # it was killed
            return


@pytest.mark.parametrize("after", [1, 6, 14])
def test_what_was_acknowledged_is_there_and_is_answered(tmp_path, after):
    with Store.open(tmp_path / "support.db") as store:
        fill(store)
    with served(tmp_path, program=(PROGRAM,)) as site:
        writers = [Writer(site.url, 1 if number == 0 else -1) for number in range(CUSTOMERS)]
        for one in writers:
            one.start()
        end = time.monotonic() + 120
        while sum(len(one.acknowledged) for one in writers) < after and time.monotonic() < end:
            time.sleep(0.005)
        site.process.kill()
        for one in writers:
            one.join(60)
    assert sum(len(one.acknowledged) for one in writers) >= after
    with served(tmp_path, program=(PROGRAM,)), Store.open(tmp_path / "support.db") as store:
        end = time.monotonic() + 120
        while _open(store) and time.monotonic() < end:
            time.sleep(0.1)
        assert not _open(store), "whoever waits for an answer gets one from the next process"
        with store.read() as connection:
            for one in writers:
                if not one.id:
                    continue
                said = conversations.transcript(connection, one.id)
                ids = [message.id for message in said if message.author == "visitor"]
                assert set(one.acknowledged) <= set(ids) and len(set(ids)) == len(ids)
                answers = Counter(message.answers for message in said if message.author == "bot")
                assert all(count == 1 for count in answers.values()), "none is answered twice"
                if one.called:
                    assert conversations.get(connection, one.id).state == "pending"


def _open(store):
    with store.read() as connection:
        return conversations.unanswered(connection, time.time() + 60)
