"""`metier monitor` and `metier store` as a user types them, on a run of the toy backbone."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest
from commands import metier
from monitor.listener import listening

from metier.store import notices
from metier.store.store import Store

HOUR = 3600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, toy_run: Path, toy_news: Path) -> Path:
    """A monitor.toml and an archive of three days."""
    made = tmp_path_factory.mktemp("watch")
    with toy_news.open(newline="") as file:
        texts = list(dict.fromkeys(row["text"] for row in csv.DictReader(file)))
    rows = [{"id": str(at), "text": text, "time": 1_700_000_000 + at * HOUR} for at, text in enumerate(texts[:72])]
    (made / "archive.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "no json\n")
    (made / "monitor.toml").write_text(f'run = "{toy_run}"\ntick = "1h"\n[heads]\ntopic = "place"\n')
    return made


def replayed(folder: Path, *more: str) -> dict[str, object]:
    done = metier("monitor", "replay", folder / "archive.jsonl", "--settings", folder / "monitor.toml", "--json", *more)
    assert done.code == 0, done.err
    return done.json


def test_a_replay_and_what_follows(folder: Path, tmp_path: Path) -> None:
    first = replayed(folder, "--to", "2023-11-16")
    assert 0 < int(str(first["new"])) < 72
    rest = replayed(folder)
    assert int(str(first["new"])) + int(str(rest["new"])) == 72 and rest["quarantined"] == 1
    assert replayed(folder)["new"] == 0

    said = metier("monitor", "evaluate", "--settings", folder / "monitor.toml", "--json")
    assert said.code == 0 and said.json["budget"] == 1.0

    store = folder / "monitor.db"
    assert metier("store", "verify", store).code == 0
    assert metier("store", "backup", store, tmp_path / "saved.db").code == 0
    assert metier("store", "restore", tmp_path / "saved.db", tmp_path / "again.db").code == 0
    assert "revision" in metier("store", "upgrade", tmp_path / "again.db").out
    assert metier("store", "forget", tmp_path / "again.db", "--older", "1d").code == 0


def test_notices_leave_while_it_runs_and_a_replay_sends_none(folder: Path, tmp_path: Path) -> None:
    with listening() as there:
        receiver = f'name = "desk"\nurl = "{there.url}"\nallow_private = true\n'
        asked = tmp_path / "monitor.toml"
        asked.write_text(
            (folder / "monitor.toml").read_text()
            + f'[alerts]\nreceiver = "desk"\n[[alerts.receivers]]\n{receiver}'
            + f'[[sources]]\nkind = "archive"\npath = "{folder / "archive.jsonl"}"\n'
        )
        with Store.open(tmp_path / "monitor.db") as store, store.write() as connection:
            notices.add(connection, [notices.StoredNotice("n", "desk", {"left": "here"}, time.time())])
        assert metier("monitor", "replay", folder / "archive.jsonl", "--settings", asked).code == 0
        assert there.asked == []
        assert metier("monitor", "run", asked, "--no-serve").code == 0
        assert [json.loads(body) for _, _, body in there.asked] == [{"left": "here"}]


def test_mistakes_are_one_line(folder: Path, tmp_path: Path, toy_run: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(f'run = "{toy_run}"\n[heads]\ntopic = "palce"\n')
    deaf = tmp_path / "deaf.toml"
    deaf.write_text(f'run = "{toy_run}"\n[heads]\ntopic = "place"\nnegative = ["Negative"]\n')
    for arguments, message in (
        (("monitor", "replay", tmp_path / "no.jsonl", "--settings", folder / "monitor.toml"), "is no file"),
        (("monitor", "replay", folder / "archive.jsonl", "--settings", wrong), "Did you mean 'place'"),
        (("monitor", "replay", folder / "archive.jsonl", "--settings", deaf), "Did you mean 'negative'"),
        (
            ("monitor", "replay", folder / "archive.jsonl", "--settings", folder / "monitor.toml", "--from", "soon"),
            "no time",
        ),
        (("monitor", "run", folder / "monitor.toml", "--no-serve"), "names no source"),
        (("monitor", "evaluate", "--settings", wrong), "no store"),
        (("store", "verify", tmp_path / "none.db"), "no store"),
    ):
        done = metier(*arguments)
        assert done.code == 2 and message in done.err, (arguments, done.err)
        assert len(done.err.strip().splitlines()) == 1
