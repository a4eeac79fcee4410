"""Who is told what and when, as Alertmanager's documentation says it."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.alerts.dispatch import Dispatcher, Inhibition, Notice, Route, Routing, Silence, Told
from metier.apps.monitor.alerts.life import Alert, acknowledge, snooze
from metier.apps.monitor.alerts.matchers import fingerprint, parse
from metier.apps.monitor.alerts.severity import Measured, severity
from metier.apps.monitor.alerts.webhook import NEVER, body, stamp
from metier.apps.monitor.alerts.webhook import Group as Told_of
from metier.apps.monitor.alerts.windows import Window, named, numbers, times
from metier.apps.monitor.item import EVERYTHING, SeriesKey

T = 1_600_000_000.0
WALL = 1_800_000_000.0
"""Of the documents, and of the people who look at them years later."""
DESK = Route("desk", group_by=("topic",), wait=30.0, interval=300.0, repeat=3600.0)
TOPIC_OVER_COMPANY = Inhibition(parse('topic!="",company=""'), parse('company!=""'), ("topic",))


def alert(topic: str = "fraud", company: str = EVERYTHING, level: str = "critical", at: float = T) -> Alert:
    labels = {"alertname": "NegativeSurge", "topic": topic, "severity": level}
    labels |= {} if company == EVERYTHING else {"company": company}
    return Alert(
        f"{topic}-{company}", SeriesKey(topic, company), labels, "firing", at,
        severity(Measured(40, 4.0)), since=at - 900, starts_at=at, observed=40, expected=4.0,
    )  # fmt: skip


def over(one: Alert, at: float) -> Alert:
    return replace(one, status="resolved", ends_at=at)


def shapes(notices: list[Notice]) -> list[tuple[float, str, list[str]]]:
    return [
        (n.at - T, n.receiver, [f"{a['labels']['topic']}:{a['status']}" for a in n.body["alerts"]]) for n in notices
    ]


def test_the_first_notice_waits_for_the_rest_of_its_group() -> None:
    there = Dispatcher(Routing(DESK))
    assert there.tick(T, [alert()]) == []
    assert there.tick(T + 10, [alert(company="Acme", at=T + 10)]) == []
    found = there.tick(T + 60)
    assert [(n.at, len(n.alerts)) for n in found] == [(T + 30, 2)]
    assert found[0].group_key == '{}:{topic="fraud"}'


def test_nothing_new_is_not_told_again_before_the_repeat_interval() -> None:
    there = Dispatcher(Routing(DESK))
    found = [n for at in range(9) for n in there.tick(T + 900 * at, [replace(alert(), updated_at=T + 900 * at)])]
    # 30 s, then every 300 s somebody looks; the first look after an hour is 3630 s.
    assert [n.at - T for n in found] == [30, 3630]
    assert len({n.id for n in found}) == 2


def test_in_a_gap_nothing_is_told_again() -> None:
    there = Dispatcher(Routing(replace(DESK, wait=0.0)))
    assert len(there.tick(T, [alert(f"t{at}") for at in range(100)])) == 100
    start = time.process_time()
    assert there.tick(T + 21 * 86_400) == []
    assert time.process_time() - start < 30
    assert len(there.tick(T + 21 * 86_400 + 900, [replace(alert("t0"), updated_at=T + 21 * 86_400 + 900)])) == 1


def test_what_is_new_is_told_at_the_next_group_interval_and_so_is_the_end() -> None:
    there = Dispatcher(Routing(DESK))
    there.tick(T, [alert()])
    there.tick(T + 100, [alert(company="Acme")])
    found = there.tick(T + 700, [over(alert(), T + 700)])
    found += there.tick(T + 5_000, [over(alert(company="Acme"), T + 5_000)])
    found += there.tick(T + 9_000)
    assert [(n.at - T, n.status, [a["status"] for a in n.body["alerts"]]) for n in found] == [
        (330, "firing", ["firing", "firing"]),
        (930, "firing", ["resolved", "firing"]),
        (5130, "resolved", ["resolved"]),
    ]
    assert there.state()["groups"] == [] and there.state()["log"] == []


def test_what_ends_before_anybody_was_told_is_never_told() -> None:
    there = Dispatcher(Routing(DESK))
    there.tick(T, [alert()])
    assert there.tick(T + 20, [over(alert(), T + 20)]) == [] and there.tick(T + 10_000) == []


def test_ends_are_not_told_to_those_who_do_not_want_them() -> None:
    there = Dispatcher(Routing(DESK, receivers={"desk": Told(resolved=False)}))
    there.tick(T, [alert()])
    found = there.tick(T + 100) + there.tick(T + 200, [over(alert(), T + 200)]) + there.tick(T + 5_000)
    assert [n.status for n in found] == ["firing"]
    there.tick(T + 6_000, [alert(at=T + 6_000)])
    assert [n.at - T for n in there.tick(T + 6_100)] == [6_030], "the log knew of the end"


def test_the_tree_is_walked_as_alertmanager_does() -> None:
    tree = Route(
        "desk",
        routes=(
            Route("audit", parse('severity=~"warning|critical"'), going_on=True),
            Route("risk", parse('topic="fraud"'), routes=(Route("pager", parse('severity="critical"')),)),
            Route("never", parse('topic="fraud"')),
        ),
    )
    names = [
        [r.receiver for r in tree.match(one.labels)]
        for one in (alert(), alert(level="info"), alert("rates", level="info"))
    ]
    assert names == [["audit", "pager"], ["risk"], ["desk"]]
    assert [r.name for r in tree.numbered().match(alert().labels)] == [
        '{}/{severity=~"warning|critical"}', '{}/{topic="fraud"}/{severity="critical"}',
    ]  # fmt: skip


def test_a_topic_keeps_its_companies_quiet_and_itself_speaks() -> None:
    there = Dispatcher(Routing(replace(DESK, group_by=None, wait=0.0), (TOPIC_OVER_COMPANY,)))
    found = there.tick(T, [alert(company="Acme"), alert(), alert("rates", "Acme")])
    assert sorted(n.alerts[0] for n in found) == ["fraud-*", "rates-Acme"]
    assert there.why_silent(alert(company="Acme"), T) == ["inhibited by fraud-*"]
    there.tick(T + 650, [over(alert(), T + 650)])
    assert there.why_silent(alert(company="Acme"), T + 650) == []
    assert "fraud-Acme" in [n.alerts[0] for n in there.tick(T + 900)]


def test_an_alert_does_not_keep_itself_quiet_and_missing_labels_are_equal() -> None:
    both = Inhibition(parse('topic="fraud"'), parse('topic="fraud"'), ("region",))
    assert not both.holds(alert().labels, alert(company="Acme").labels)
    one_sided = Inhibition(parse('company=""'), parse('company!=""'), ("region",))
    assert one_sided.holds(alert().labels, alert("rates", "Acme").labels)


def test_a_silence_begins_and_ends() -> None:
    there = Dispatcher(Routing(replace(DESK, wait=0.0)))
    there.silences = (Silence("s1", parse('topic=~"fr.*"'), WALL, WALL + 1_000),)
    assert shapes(there.tick(T, [alert(), alert("rates")], WALL)) == [(0, "desk", ["rates:firing"])]
    assert there.tick(T + 1_500, wall=WALL + 999) == [], (
        "the documents may be ahead of the clock on the wall, or behind"
    )
    assert shapes(there.tick(T + 1_900, wall=WALL + 1_000)) == [(1_800, "desk", ["fraud:firing"])]
    assert not Silence("empty", (), T, T + 1).holds({}, T)


def test_a_silence_of_the_settings_goes_by_the_documents_time() -> None:
    games = Silence("settings-1", parse('topic="fraud"'), T, T + 1_000)
    for wall in (None, WALL):
        there = Dispatcher(Routing(replace(DESK, wait=0.0), silences=(games,)))
        assert there.tick(T, [alert()], wall) == []
        assert [n.at - T for n in there.tick(T + 1_500, wall=wall)] == [1_200]


def test_a_window_keeps_a_route_quiet_and_what_was_missed_is_told_after_it() -> None:
    night = Window("night", times=((0, 12 * 60 + 30),), zone="UTC")  # T is 12:26:40
    there = Dispatcher(Routing(replace(DESK, wait=0.0, mute=("night",)), windows={"night": night}))
    assert there.tick(T, [alert()]) == []
    assert [n.at - T for n in there.tick(T + 400)] == [300]


def test_snoozed_is_told_when_the_time_is_over_on_the_wall() -> None:
    there = Dispatcher(Routing(replace(DESK, wait=0.0)))
    there.tick(T, [alert()])
    asleep = snooze(alert(), WALL + 1_000, "li", WALL)
    assert there.tick(T + 10, [asleep], WALL) + there.tick(T + 90_000, wall=WALL + 999) == []
    assert there.why_silent(asleep, T + 90_000) == ["muted by a person"]
    found = there.tick(T + 90_400, wall=WALL + 1_000)
    assert [n.at - T for n in found] == [90_300]


def test_acknowledged_is_told_only_when_it_ends() -> None:
    there = Dispatcher(Routing(replace(DESK, wait=0.0)))
    there.tick(T, [alert()])
    there.tick(T + 2_100, [acknowledge(alert(), "li", WALL)])
    assert there.tick(T + 50_000) == []
    ended = there.tick(T + 50_001, [over(alert(), T + 50_001)]) + there.tick(T + 51_000)
    assert [n.status for n in ended] == ["resolved"]


def test_in_a_replay_nothing_is_snoozed_or_silenced_by_people() -> None:
    there = Dispatcher(Routing(replace(DESK, wait=0.0)))
    there.silences = (Silence("s1", parse('topic="fraud"'), 0.0, 2 * WALL),)
    asleep = snooze(alert(), 2 * WALL, "li", WALL)
    assert [n.at - T for n in there.tick(T, [asleep])] == [0]


def test_getting_worse_is_another_alert_to_whoever_is_told() -> None:
    tree = replace(DESK, group_by=("severity",), wait=0.0, routes=(Route("pager", parse('severity="critical"')),))
    there = Dispatcher(Routing(tree))
    there.tick(T, [alert(level="warning")])
    found = there.tick(T + 950, [alert(level="critical")]) + there.tick(T + 1_300)
    assert [(n.receiver, n.status, n.at - T) for n in found] == [("pager", "firing", 950), ("desk", "resolved", 1_200)]


def test_the_body_is_version_4_of_the_webhook() -> None:
    one, two = alert(company="Acme"), over(alert(company="Bolt & Sons"), T + 900.25)
    found = body(Told_of("desk", '{}:{topic="fraud"}', {"topic": "fraud"}), [one, two], "https://metier.example/")
    assert list(found) == [
        "receiver", "status", "alerts", "groupLabels", "commonLabels", "commonAnnotations", "externalURL", "version",
        "groupKey", "truncatedAlerts",
    ]  # fmt: skip
    assert (found["version"], found["truncatedAlerts"], found["status"], found["receiver"]) == (
        "4",
        0,
        "firing",
        "desk",
    )
    assert found["commonLabels"] == {"alertname": "NegativeSurge", "severity": "critical", "topic": "fraud"}
    assert "summary" not in found["commonAnnotations"] and "severity_reason" in found["commonAnnotations"]
    first, second = found["alerts"]
    assert list(first) == ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"]
    assert first["startsAt"] == "2020-09-13T12:26:40Z" and first["endsAt"] == NEVER
    assert second["endsAt"] == "2020-09-13T12:41:40.25Z" and second["status"] == "resolved"
    assert first["fingerprint"] == fingerprint(first["labels"]) and len(first["fingerprint"]) == 16
    assert second["generatorURL"] == "https://metier.example/alerts/fraud-Bolt%20%26%20Sons"
    assert all(isinstance(value, str) for part in ("labels", "annotations") for value in first[part].values())
    short = body(Told_of("desk", "k", {}, most=1), [two, one])
    assert (short["truncatedAlerts"], len(short["alerts"]), short["status"]) == (1, 1, "resolved")
    assert stamp(None) == NEVER


@pytest.mark.parametrize(
    ("window", "at", "holds"),
    [
        (Window("w", weekdays=((4, 0),)), T, True),  # a Sunday; Friday to Monday goes over the end of the week
        (Window("w", weekdays=((0, 4),)), T, False),
        (Window("w", days=((-18, -17),)), T, True),  # the 13th of 30 days
        (Window("w", days=((1, 12),)), T, False),
        (Window("w", months=((9, 9),), years=((2020, 2021),)), T, True),
        (Window("w", times=((20 * 60, 21 * 60),), zone="Asia/Shanghai"), T, True),
        (Window("w", times=((12 * 60, 12 * 60 + 26),)), T, False),
    ],
)
def test_windows(window: Window, at: float, holds: bool) -> None:
    assert window.holds(at) is holds


@pytest.mark.parametrize("text", ["9-17", "17:00-09:00", "25:00-26:00", "09:60-10:00", "x", "09:00", "9:00-9:00"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="time of the day"):
        times(text)


def test_ranges_of_windows() -> None:
    days = ("monday", "tuesday", "wednesday")
    assert times("9:00-24:00") == (540, 1440) and named("Monday:wednesday", days, 0) == (0, 2)
    assert named("2", days, 1) == (2, 2) and numbers("-3:-1", -31, 31) == (-3, -1)
    for wrong in ("0", "5:1", "40", "a", "1:2:3"):
        with pytest.raises(ValueError, match="range|understood"):
            numbers(wrong, -31, 31)
    with pytest.raises(ValueError, match="none of"):
        named("9", days, 1)


def test_changed_routes_tell_nobody_again_whose_route_is_the_same() -> None:
    pager = Route("pager", parse('topic="fraud"'))
    before = Dispatcher(Routing(replace(DESK, wait=0.0, routes=(pager,))))
    assert len(before.tick(T, [alert(), alert("rates")])) == 2
    more = (Route("audit", parse('topic="fx"')), pager)
    after = Dispatcher(Routing(replace(DESK, wait=0.0, routes=more)), json.loads(json.dumps(before.state())))
    assert after.tick(T + 600, [alert(), alert("rates")]) == []
    moved = Route("other", parse('topic="fraud"'), wait=0.0)
    gone = Dispatcher(Routing(replace(DESK, wait=0.0, routes=(moved,))), json.loads(json.dumps(before.state())))
    assert [n.receiver for n in gone.tick(T + 600, [alert(), alert("rates")])] == ["other"]


def test_thousands_of_alerts_at_once_are_told_quickly() -> None:
    there = Dispatcher(Routing(replace(DESK, wait=0.0), (TOPIC_OVER_COMPANY,)))
    many = [alert(f"t{at % 50}", f"c{at}") for at in range(2_000)] + [alert("t0")]
    start = time.process_time()
    found = there.tick(T, many) + there.tick(T + 3_000)
    assert time.process_time() - start < 20 and len(found) == 50
    assert next(n for n in found if n.group_key == '{}:{topic="t0"}').alerts == ("t0-*",)


EVENTS = st.lists(
    st.tuples(st.integers(1, 900), st.sampled_from(["fraud", "rates"]), st.sampled_from(["*", "Acme"]), st.booleans()),
    max_size=12,
)


@settings(max_examples=60)
@given(EVENTS, st.lists(st.integers(0, 8_000), max_size=4), st.integers(0, 12))
def test_notices_do_not_depend_on_batches(events: list[tuple[int, str, str, bool]], looks: list[int], cut: int) -> None:
    routing = Routing(DESK, (TOPIC_OVER_COMPANY,))

    def told(looks: list[int], cut: int) -> list[str]:
        there, now, found = Dispatcher(routing), T, []
        for place, (wait, topic, company, on) in enumerate(events):
            found += [n for look in sorted(looks) if now < T + look < now + wait for n in there.tick(T + look)]
            now += wait
            if place == cut:
                there = Dispatcher(routing, json.loads(json.dumps(there.state())))
            found += there.tick(now, [alert(topic, company) if on else over(alert(topic, company), now)])
        return [n.id for n in found + there.tick(now + 20_000)]

    once = told([], -1)
    assert told(looks, cut) == once and len(set(once)) == len(once)
