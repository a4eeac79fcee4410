"""The monitor over HTTP: every route for every role, and what each of them does to the store."""

from __future__ import annotations

import asyncio
import csv
import importlib
import io
import json

import pytest
from monitored import FORMULA, NOW, PASSWORD, ROLES, client_of, console

from metier.apps.monitor.sources.pushed import PushedSource
from metier.store import alerts, audit, interactions, notices

OPEN = ("/healthz", "/readyz")


@pytest.fixture
def app(filled, tmp_path):
    with console(filled, tmp_path) as made:
        yield made


def ask(app, method, path, key=None, address="127.0.0.1", cookies=None, **more):
    """An answer of the application; as a program with the key of a role, or as a browser with cookies."""

    async def once():
        async with client_of(app, key, address, cookies=cookies) as client:
            return await client.request(method, path, **more)

    return asyncio.run(once())


def firing(app, company="vantis-telecom"):
    with app.state.console.store.read() as connection:
        found = alerts.listing(connection, alerts.Wanted(states=("firing",)))
        return next(one for one in found if one.company == company)


def said(app, kind="alert"):
    with app.state.console.store.read() as connection:
        return [one for _, one in interactions.since(connection, app="monitor") if one.kind == kind]


def last_entry(app):
    with app.state.console.store.read() as connection:
        return audit.listing(connection, limit=1)[0]


# (method, path, least role, body, success)
ROUTES = [
    ("GET", "/v1/whoami", "viewer", None, 200),
    ("GET", "/v1/status", "viewer", None, 200),
    ("GET", "/metrics", "viewer", None, 200),
    ("GET", "/v1/series", "viewer", None, 200),
    ("GET", "/v1/series/products/*", "viewer", None, 200),
    ("GET", "/v1/companies?q=vant", "viewer", None, 200),
    ("GET", "/v1/alerts", "viewer", None, 200),
    ("GET", "/v1/alerts.csv", "viewer", None, 200),
    ("GET", "/v1/alerts.json", "viewer", None, 200),
    ("GET", "/v1/alerts/{alert}", "viewer", None, 200),
    ("GET", "/v1/alerts/{alert}/brief", "viewer", None, 200),
    ("POST", "/v1/alerts/{alert}/acknowledge", "analyst", {}, 200),
    ("POST", "/v1/alerts/{alert}/snooze", "analyst", {"until": NOW + 60}, 200),
    ("POST", "/v1/alerts/{alert}/verdict", "analyst", {"verdict": "true"}, 200),
    ("POST", "/v1/alerts/{alert}/comment", "analyst", {"comment": "seen"}, 200),
    ("POST", "/v1/alerts/{alert}/own", "analyst", {"owner": "Ada"}, 200),
    ("GET", "/v1/documents/scripted", "viewer", None, 200),
    ("GET", "/v1/stories/scripted", "viewer", None, 200),
    ("POST", "/v1/documents", "analyst", {"text": "Acme is sued"}, 202),
    ("POST", "/v1/feedback", "analyst", {"document": "scripted", "head": "sentiment"}, 201),
    ("GET", "/v1/quarantine", "analyst", None, 200),
    ("POST", "/v1/quarantine/replay", "analyst", {"numbers": [1], "contents": {"1": '{"text": "whole"}'}}, 202),
    ("GET", "/v1/unlinked", "viewer", None, 200),
    ("POST", "/v1/unlinked/settle", "analyst", {"names": ["Nobody Inc"]}, 200),
    ("GET", "/v1/silences", "viewer", None, 200),
    ("POST", "/v1/silences", "analyst", {"matchers": 'topic="fraud"', "ends": NOW + 60}, 201),
    ("DELETE", "/v1/silences/none", "analyst", None, 422),
    ("GET", "/v1/watchlists", "viewer", None, 200),
    ("POST", "/v1/watchlists", "viewer", {"name": "mine", "topics": ["fraud"]}, 201),
    ("DELETE", "/v1/watchlists/none", "viewer", None, (404, 422)),
    ("GET", "/v1/missed", "viewer", None, 200),
    ("POST", "/v1/missed", "analyst", {"topic": "fraud", "starts": NOW - 60, "ends": NOW}, 201),
    ("DELETE", "/v1/missed/none", "analyst", None, 422),
    ("GET", "/v1/people", "admin", None, 200),
    ("POST", "/v1/people", "admin", {"name": "Bo", "role": "viewer", "password": PASSWORD}, 201),
    ("PATCH", "/v1/people/viewer-1", "admin", {"role": "analyst"}, 204),
    ("POST", "/v1/keys", "admin", {"name": "wire", "role": "analyst"}, 201),
    ("DELETE", "/v1/keys/viewer-key", "admin", None, 204),
    ("GET", "/v1/audit", "admin", None, 200),
]  # fmt: skip


def test_every_route_is_in_the_table(app):
    table = {(method, path.partition("?")[0].replace("{alert}", "{id}")) for method, path, *_ in ROUTES}
    shapes = {
        "/v1/series/products/*": "/v1/series/{topic}/{company}", "/v1/documents/scripted": "/v1/documents/{id}",
        "/v1/stories/scripted": "/v1/stories/{id}", "/v1/silences/none": "/v1/silences/{id}",
        "/v1/watchlists/none": "/v1/watchlists/{id}", "/v1/missed/none": "/v1/missed/{id}",
        "/v1/people/viewer-1": "/v1/people/{name}", "/v1/keys/viewer-key": "/v1/keys/{name}",
    }  # fmt: skip
    known = {(method, shapes.get(path, path)) for method, path in table}
    document = ask(app, "GET", "/openapi.json").json()
    served = {(method.upper(), path) for path, entry in document["paths"].items() for method in entry}
    assert served == known


@pytest.mark.parametrize(("method", "path", "least", "body", "success"), ROUTES)
def test_who_may_what(app, method, path, least, body, success):
    path = path.replace("{alert}", firing(app).id)
    before = last_entry(app).number
    stranger = ask(app, method, path, json=body)
    assert stranger.status_code == 401
    assert stranger.headers["content-type"] == "application/problem+json"
    assert ask(app, method, path, json=body, headers={"Authorization": "Bearer metier_wrong"}).status_code == 401
    for role in ROLES[: ROLES.index(least)]:
        refused = ask(app, method, path, role, json=body)
        assert refused.status_code == 403, role
        assert least in refused.json()["detail"]
    assert last_entry(app).number == before, "nothing was done"
    allowed = ask(app, method, path, least, json=body)
    assert allowed.status_code in (success if isinstance(success, tuple) else (success,)), allowed.text
    written = method != "GET" and allowed.status_code < 300 and path != "/v1/documents"
    assert (last_entry(app).number > before) == written, "what was done is in the log, and nothing else"
    if written:
        assert last_entry(app).who == f"key {least}-key"


def test_an_admin_may_everything(app):
    for method, path, _, body, success in ROUTES[:20]:
        found = ask(app, method, path.replace("{alert}", firing(app).id), "admin", json=body)
        assert found.status_code == success, path


def test_a_false_alarm_is_an_interaction_that_training_reads(app):
    alert = firing(app)
    told = ask(
        app, "POST", f"/v1/alerts/{alert.id}/verdict", "analyst", json={"verdict": "false", "comment": "an old story"}
    ).json()
    assert (told["verdict"], told["verdict_by"], told["verdict_at"]) == ("false", "key analyst-key", NOW)
    (one,) = said(app)
    assert (one.verdict, one.subject, one.who, one.comment) == ("wrong", alert.id, "key analyst-key", "an old story")
    assert one.prediction["company"] == "vantis-telecom"
    assert one.version == "stand-in"
    page = ask(app, "GET", f"/v1/alerts/{alert.id}", "viewer").json()
    assert page["history"][-1]["comment"] == "an old story"
    assert page["history"][-1]["verdict"] == "false"


def test_nothing_is_written_where_an_act_is_refused(app):
    alert, before = firing(app), last_entry(app).number
    refused = {"verdict": {"verdict": "perhaps"}, "snooze": {"until": NOW - 1}, "comment": {"comment": ""}}
    for path, body in refused.items():
        assert ask(app, "POST", f"/v1/alerts/{alert.id}/{path}", "analyst", json=body).status_code == 422
    assert ask(app, "POST", "/v1/alerts/none/acknowledge", "analyst", json={}).status_code == 404
    assert last_entry(app).number == before
    assert said(app) == []


def test_what_is_acknowledged_and_snoozed_is_shown_so(app):
    alert = firing(app)
    assert ask(app, "POST", f"/v1/alerts/{alert.id}/acknowledge", "analyst", json={}).json()["acknowledged"]
    ask(app, "POST", f"/v1/alerts/{alert.id}/snooze", "analyst", json={"until": "2025-03-19T00:00:00Z"})
    row = ask(app, "GET", f"/v1/alerts/{alert.id}", "viewer").json()
    assert row["snoozed_until"] == 1_742_342_400.0
    assert [one["what"] for one in row["history"]] == ["acknowledge", "snooze"]
    assert (
        ask(app, "POST", f"/v1/alerts/{alert.id}/snooze", "analyst", json={"until": None}).json()["snoozed_until"]
        is None
    )


def test_who_could_not_be_told_of_an_alert_stands_on_it(app):
    alert, fate = firing(app), notices.Fate("failed", 3, fault="the receiver said 410 Gone")

    def keep(connection):
        found = [("n1", [alert.id, "another"], 1.0), ("n2", [f"{alert.id}0"], 2.0), ("n3", [alert.id], 3.0)]
        notices.add(connection, [notices.StoredNotice(id, "late shift", {}, at, own) for id, own, at in found])
        notices.mark(connection, "n1", fate)

    app.state.console.store.run(keep)
    row = ask(app, "GET", f"/v1/alerts/{alert.id}", "viewer").json()
    told = [(one["state"], one["fault"]) for one in row["notices"] if one["receiver"] == "late shift"]
    assert told == [("waiting", ""), ("failed", "the receiver said 410 Gone")]


def test_alerts_are_filtered_and_paged(app):
    everything = ask(app, "GET", "/v1/alerts", "viewer").json()
    assert everything["next"] is None
    ids = [one["id"] for one in everything["alerts"]]
    assert len(ids) >= 3
    found, after = [], ""
    while after is not None:
        page = ask(app, "GET", f"/v1/alerts?limit=1&after={after}", "viewer").json()
        found += [one["id"] for one in page["alerts"]]
        after = page["next"]
    assert found == ids
    only = ask(app, "GET", "/v1/alerts?state=firing&company=vantis-telecom&topic=*&verdict=", "viewer").json()["alerts"]
    assert [(one["company"], one["topic"]) for one in only] == [("vantis-telecom", "*")]
    over = ask(app, "GET", "/v1/alerts?state=resolved", "viewer").json()["alerts"]
    assert over and {one["status"] for one in over} == {"resolved"}
    assert ask(app, "GET", "/v1/alerts?state=firing&severity=nothing", "viewer").json()["alerts"] == []
    assert ask(app, "GET", "/v1/alerts?after=nonsense", "viewer").status_code == 422
    own = ask(app, "GET", "/v1/alerts?owner=Ada", "viewer").json()["alerts"]
    assert own == []


def test_an_export_holds_no_formula(app):
    alert = firing(app)
    ask(app, "POST", f"/v1/alerts/{alert.id}/comment", "analyst", json={"comment": FORMULA})
    ask(app, "POST", f"/v1/alerts/{alert.id}/verdict", "analyst", json={"verdict": "unclear"})
    found = ask(app, "GET", "/v1/alerts.csv", "viewer")
    assert found.headers["content-disposition"] == 'attachment; filename="alerts.csv"'
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(found.text))}
    assert rows[alert.id]["comment"] == f"'{FORMULA}"
    assert rows[alert.id]["verdict"] == "unclear"
    whole = {row["id"]: row for row in ask(app, "GET", "/v1/alerts.json", "viewer").json()}
    assert whole[alert.id]["deeds"][0]["comment"] == FORMULA


def test_a_series_has_its_silent_ticks_and_its_signals(app):
    found = ask(app, "GET", "/v1/series/*/vantis-telecom?start=2025-03-14T00:00:00Z", "viewer").json()
    starts = [row["start"] for row in found["ticks"]]
    assert starts == sorted(starts)
    assert {after - before for before, after in zip(starts, starts[1:], strict=False)} == {3600.0}
    assert any(row["stories"] == 0 for row in found["ticks"])
    assert [one["company"] for one in found["alerts"]] == ["vantis-telecom"]
    fired = [row for row in found["ticks"] if row.get("firing")]
    assert fired and fired[-1]["statistic"]["cusum"] > 0


def test_pushed_documents_are_on_the_disk_when_they_are_acknowledged(app):
    lines = b'{"id": "a", "text": "one"}\n\n{"id": "b", "text": "two"}\n'
    answers = [
        ask(app, "POST", "/v1/documents", "analyst", json={"text": "alone"}),
        ask(app, "POST", "/v1/documents", "analyst", json=[{"text": "x"}, {"text": "y"}]),
        ask(app, "POST", "/v1/documents", "analyst", content=lines, headers={"Content-Type": "application/x-ndjson"}),
    ]
    assert [(one.status_code, one.json()) for one in answers] == [
        (202, {"accepted": 1}), (202, {"accepted": 2}), (202, {"accepted": 2}),
    ]  # fmt: skip
    source = PushedSource(app.state.console.inbox.folder)
    assert [one.content["text"] for one in source.read("", 10, 0).received] == ["alone", "x", "y", "one", "two"]
    assert "metier_monitor_documents_total 5.0" in ask(app, "GET", "/metrics", "viewer").text


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b'[{"text": "a"}, "b"]', "application/json", 422),
        (b'"b"', "application/json", 422),
        (b'{"text": NaN}', "application/json", 400),
        (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "application/json", 400),
        (b'{"text": "a"}\n{"text"', "application/x-ndjson", 400),
        (b"text=a", "application/x-www-form-urlencoded", 415),
        (json.dumps([{"text": "a"}] * 1001).encode(), "application/json", 413),
        (b'{"text": "' + b"a" * (9 << 20) + b'"}', "application/json", 413),
        (b'{"text": "\xff"}', "application/json", 400),
    ],
)
def test_a_wrong_body_takes_nothing(app, content, kind, status):
    found = ask(app, "POST", "/v1/documents", "analyst", content=content, headers={"Content-Type": kind})
    assert found.status_code == status
    assert found.headers["content-type"] == "application/problem+json"
    assert app.state.console.inbox.waiting() == 0


def test_nothing_is_parsed_for_nobody_known_nor_of_too_many_lines(app, monkeypatch):
    parsed = []
    for module in ("metier.serve.body", "metier.serve.monitor.api_documents"):
        whole = importlib.import_module(module).parse
        monkeypatch.setattr(
            f"{module}.parse", lambda body, depth, whole=whole: parsed.append(body) or whole(body, depth)
        )
    empty = b"[" + b"[]," * 1000 + b"[]]"
    json_body = {"content": empty, "headers": {"Content-Type": "application/json"}}
    assert ask(app, "POST", "/v1/silences", **json_body).status_code == 401
    lines = {"content": b"1\n" * 1001, "headers": {"Content-Type": "application/x-ndjson"}}
    assert ask(app, "POST", "/v1/documents", "analyst", **lines).status_code == 413
    assert parsed == []
    assert ask(app, "POST", "/v1/silences", "viewer", **json_body).status_code == 403
    assert parsed == [empty], "the counter counts"


def test_a_full_spool_says_when_to_come_back(app):
    app.state.console.inbox.limit = 1
    found = ask(app, "POST", "/v1/documents", "analyst", json={"text": "too much"})
    assert (found.status_code, found.headers["retry-after"]) == (503, "6")


def test_without_a_push_source_documents_are_refused(filled, tmp_path):
    with console(filled, tmp_path, pushed=False) as app:
        assert ask(app, "POST", "/v1/documents", "analyst", json={"text": "a"}).status_code == 409
        assert ask(app, "POST", "/v1/quarantine/replay", "analyst", json={"numbers": [1]}).status_code == 422


def test_corrections_go_where_training_reads_them(app):
    sent = [
        {"head": "topic", "correction": ["fraud"]},
        {"head": "sentiment", "correction": "positive", "comment": "irony"},
        {"head": "company", "correction": []},
        {"head": "sentiment"},
    ]
    for body in sent:
        assert ask(app, "POST", "/v1/feedback", "analyst", json={"document": "scripted", **body}).status_code == 201
    found = said(app, "document")
    assert [(one.head, one.verdict, one.correction) for one in found] == [
        ("topic", "corrected", ["fraud"]), ("sentiment", "corrected", "positive"), ("company", "corrected", []),
        ("sentiment", "wrong", None),
    ]  # fmt: skip
    assert found[1].prediction["label"] == "negative"
    assert found[2].prediction == ["vantis-telecom"]
    assert {one.version for one in found} == {"stand-in"}
    several = {"head": "sentiment", "correction": [""]}
    for wrong in ({"head": "topic", "correction": "fraud"}, {"head": "mood"}, several):
        assert ask(app, "POST", "/v1/feedback", "analyst", json={"document": "scripted", **wrong}).status_code == 422
    assert ask(app, "POST", "/v1/feedback", "analyst", json={"document": "x", "head": "topic"}).status_code == 404


def test_what_was_set_aside_is_mended_and_replayed(app):
    (row,) = ask(app, "GET", "/v1/quarantine", "analyst").json()["quarantine"]
    number = row["number"]
    as_it_was = ask(app, "POST", "/v1/quarantine/replay", "analyst", json={"numbers": [number]})
    assert as_it_was.status_code == 422
    assert "no JSON" in as_it_was.json()["detail"]
    mended = {"numbers": [number], "contents": {str(number): '{"text": "half a story"}'}}
    assert ask(app, "POST", "/v1/quarantine/replay", "analyst", json=mended).json() == {"replayed": 1}
    assert ask(app, "GET", "/v1/quarantine", "analyst").json()["quarantine"] == []
    assert ask(app, "POST", "/v1/quarantine/replay", "analyst", json=mended).status_code == 422


@pytest.mark.parametrize("number", [2**63, 10**40])
def test_numbers_that_no_row_has_are_refused(app, number):
    for path in (f"/v1/quarantine?after={number}", f"/v1/audit?before={number}"):
        assert ask(app, "GET", path, "admin").status_code == 422
    assert ask(app, "POST", "/v1/quarantine/replay", "admin", json={"numbers": [number]}).status_code == 422


def test_a_missed_event_is_a_labelled_example(app):
    body = {"topic": "fraud", "company": "castellan-bank", "starts": "2025-03-10T08:00:00+08:00", "ends": NOW}
    made = ask(app, "POST", "/v1/missed", "analyst", json=body | {"documents": ["scripted"]}).json()
    assert made["starts"] == 1_741_564_800.0
    (one,) = said(app, "series")
    assert (one.verdict, one.correction["company"]) == ("missed", "castellan-bank")
    assert ask(app, "POST", "/v1/missed", "analyst", json=body | {"ends": 1.0}).status_code == 422
    assert ask(app, "POST", "/v1/missed", "analyst", json=body | {"documents": ["no"]}).status_code == 422
    assert ask(app, "DELETE", f"/v1/missed/{made['id']}", "analyst").status_code == 204
    assert ask(app, "GET", "/v1/missed", "viewer").json() == {"missed": []}


def test_silences_and_watchlists(app):
    body = {"matchers": 'topic="fraud", company=~"vantis.*"', "ends": NOW + 3600, "comment": "known"}
    made = ask(app, "POST", "/v1/silences", "analyst", json=body).json()
    assert made["matchers"][1]["isRegex"] is True
    for wrong in ({"matchers": "{}"}, {"ends": NOW - 1}, {"matchers": "nonsense"}, {"ends": NOW + 1e9}):
        assert ask(app, "POST", "/v1/silences", "analyst", json=body | wrong).status_code == 422
    assert ask(app, "DELETE", f"/v1/silences/{made['id']}", "analyst").status_code == 204
    (ended,) = ask(app, "GET", "/v1/silences", "viewer").json()["silences"]
    assert ended["ends"] == NOW
    mine = ask(app, "POST", "/v1/watchlists", "viewer", json={"name": "mine", "topics": ["fraud"]}).json()
    assert ask(app, "GET", "/v1/watchlists", "analyst").json() == {"watchlists": []}, "of others nobody is told"
    assert ask(app, "DELETE", f"/v1/watchlists/{mine['id']}", "analyst").status_code == 404
    again = ask(app, "POST", "/v1/watchlists", "viewer", json={"name": "ours", "topics": ["x"], "id": mine["id"]})
    assert again.json()["id"] == mine["id"]
    assert ask(app, "DELETE", f"/v1/watchlists/{mine['id']}", "viewer").status_code == 204


def test_the_brief_shows_a_script_as_text(app):
    found = ask(app, "GET", f"/v1/alerts/{firing(app).id}/brief?lang=zh&zone=Asia/Shanghai", "viewer")
    assert found.status_code == 200
    assert "&lt;script&gt;document.title" in found.text
    assert "<script" not in found.text
    assert "javascript:" not in found.text
    assert "script-src" not in found.headers["content-security-policy"]
    assert ask(app, "GET", f"/v1/alerts/{firing(app).id}/brief?zone=Mars/Base", "viewer").status_code == 422


def test_figures_name_no_paths_of_clients(app):
    for path in ("/v1/alerts/abc/brief", "/v1/stories/very/long/name", "/../../etc/passwd", "/v1/series/a/b"):
        ask(app, "GET", path, "viewer")
    text = ask(app, "GET", "/metrics", "viewer").text
    assert 'route="/v1/alerts/*/brief"' in text
    assert "passwd" not in text
    assert "metier_monitor_alerts_firing" in text
    assert 'metier_monitor_engine{name="steps"} 7.0' in text
