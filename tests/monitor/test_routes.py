"""`[alerts]`: what it says, and every mistake in it at once."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from metier.apps.monitor.alerts.dispatch import Told
from metier.apps.monitor.alerts.routes import AlertsPart
from metier.apps.tables import length
from metier.errors import RecipeError

WHOLE = """
for = "15m"
keep = 3
reopen = "1d"
external_url = "https://metier.example"
receiver = "desk"
group_by = ["topic", "severity"]
repeat_interval = "12h"

[severity]
critical = 5.0

[[receivers]]
name = "desk"
url = "https://hooks.example/desk"
secret_env = "DESK_KEY"

[[receivers]]
name = "pager"
apprise_env = "PAGER_URLS"
send_resolved = false
max_alerts = 5
language = "zh"

[[windows]]
name = "nights"
times = ["00:00-07:00", "22:00-24:00"]
weekdays = ["monday:friday"]
zone = "Asia/Shanghai"

[[routes]]
matchers = ['severity="critical"', 'owner=~"risk|credit"']
receiver = "pager"
group_by = ["..."]
group_wait = "30s"
continue = true
mute = ["nights"]
  [[routes.routes]]
  matchers = ['company="Acme"']
  repeat_interval = "1h"

[[inhibit]]
source = ['severity="critical"']
target = ['severity="info"']
equal = ["company"]

[[silences]]
matchers = ['topic="sport"']
from = 2026-01-01T00:00:00Z
until = 2026-02-01T00:00:00+08:00
comment = "the games"
"""


def test_everything_is_read() -> None:
    part = AlertsPart.read(tomllib.loads(WHOLE))
    rules, routing = part.rules(), part.routing()
    assert (rules.hold, rules.keep, rules.reopen, rules.scale.critical) == (900.0, 3, 86_400.0, 5.0)
    assert (routing.root.receiver, routing.root.group_by, routing.root.repeat) == (
        "desk",
        ("severity", "topic"),
        43_200.0,
    )
    child = routing.root.routes[0]
    assert child.group_by is None and child.going_on and child.wait == 30.0 and child.mute == ("nights",)
    below = child.routes[0]
    assert (below.receiver, below.group_by, below.wait, below.repeat, below.mute) == ("pager", None, 30.0, 3_600.0, ())
    assert routing.receivers["pager"] == Told(resolved=False, most=5)
    assert routing.windows["nights"].times == ((0, 420), (1_320, 1_440))
    assert routing.silences[0].starts_at == 1_767_225_600.0 and routing.silences[0].ends_at == 1_769_875_200.0
    assert len(routing.inhibitions) == 1


def test_without_anything_nobody_is_told_and_topics_go_over_companies() -> None:
    routing = AlertsPart.read({}).routing()
    assert routing.root.receiver == "" and routing.root.wait == 0.0
    rule = routing.inhibitions[0]
    assert rule.holds({"topic": "fraud"}, {"topic": "fraud", "company": "Acme"})
    assert not rule.holds({"topic": "fraud"}, {"topic": "rates", "company": "Acme"})
    sector = routing.inhibitions[1]
    assert sector.holds({"sector": "banks"}, {"sector": "banks", "company": "Acme"})
    assert not sector.holds({}, {"company": "Acme"})


def test_all_mistakes_are_told_at_once_with_the_nearest_name() -> None:
    wrong = WHOLE.replace("keep = 3", 'keep = 0\nrepaet_interval = "1h"').replace(
        'receiver = "pager"', 'receiver = "pagr"'
    )
    wrong = wrong.replace('mute = ["nights"]', 'mute = ["night"]').replace("critical = 5.0", "critical = 1.0")
    wrong = wrong.replace("continue = true", "contine = true").replace('for = "15m"', 'for = "15 minutes"')
    wrong = wrong.replace('equal = ["company"]', 'equal = ["a b"]').replace('topic="sport"', 'topic=~"("')
    with pytest.raises(RecipeError) as caught:
        AlertsPart.read(tomllib.loads(wrong), "monitor.toml")
    said = str(caught.value)
    for piece in (
        "monitor.toml: ", "alerts.keep", "'alerts.repaet_interval'. Did you mean 'repeat_interval'?",
        "'alerts.routes[1].contine'. Did you mean 'continue'?", "is under alerts.severity.warning",
        "'15 minutes' is no length of time", "'a b' is no name of a label", "The pattern '('",
    ):  # fmt: skip
        assert piece in said, piece


def test_names_that_are_not_there() -> None:
    wrong = WHOLE.replace('receiver = "pager"', 'receiver = "pagr"').replace('mute = ["nights"]', 'mute = ["night"]')
    wrong = wrong.replace('receiver = "desk"', 'receiver = "dask"')
    with pytest.raises(RecipeError) as caught:
        AlertsPart.read(tomllib.loads(wrong))
    for piece in (
        "no receiver 'pagr'. Did you mean 'pager'?",
        "no receiver 'dask'. Did you mean 'desk'?",
        "no window 'night'. Did you mean 'nights'?",
    ):
        assert piece in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"receivers": [{"name": "a"}]}, "one of url, url_env and apprise_env"),
        ({"receivers": [{"name": "a", "url": "https://x/", "apprise_env": "B"}]}, "url and apprise_env"),
        ({"receivers": [{"name": "a", "url": "https://me:secret@x/"}]}, "holds a password"),
        ({"receivers": [{"name": "a b", "url": "https://x/"}]}, "alerts.receivers[1].name"),
        ({"receivers": [{"name": "a", "url": "https://x/"}] * 2}, "has a more than once"),
        ({"windows": [{"name": "w", "zone": "Mars"}]}, "no time zone 'Mars'"),
        ({"windows": [{"name": "w", "times": ["9-5"]}]}, "no time of the day"),
        ({"routes": [{"receiver": "x"}]}, "'alerts.routes[1].matchers' is missing"),
        ({"silences": [{"matchers": ["a=b"]}]}, "'alerts.silences[1].from' is missing"),
        ({"keep": "4"}, "alerts.keep"),
        ({"external_url": "javascript:alert(1)"}, "alerts.external_url"),
    ],
)
def test_one_mistake(values: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        AlertsPart.read(values)
    assert said in str(caught.value) and "secret" not in str(caught.value)


def test_lengths_of_time() -> None:
    assert [length(text) for text in ("30s", "1h30m", "1d", "250ms", 7)] == [30.0, 5_400.0, 86_400.0, 0.25, 7]
    for wrong in ("", "5", "m", "1h30", "-1s", "1 hour"):
        with pytest.raises(ValueError, match="no length of time"):
            length(wrong)


def test_the_settings_of_the_documentation_are_valid() -> None:
    text = (Path(__file__).parents[2] / "docs" / "monitor-alerts.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml title=\"monitor.toml\"\n(.*?)```", text, re.DOTALL)
    tables = [found["alerts"] for block in blocks if "alerts" in (found := tomllib.loads(block))]
    assert len(tables) == 1
    assert AlertsPart.read(tables[0]).routing().root.routes
