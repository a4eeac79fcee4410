"""monitor.toml: strict, seen from its own folder, and every mistake told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from metier.apps.monitor.beginning import begin
from metier.apps.monitor.settings import MonitorSettings
from metier.errors import RecipeError


def test_what_init_writes_can_be_read(tmp_path: Path) -> None:
    written = begin(tmp_path / "here", tmp_path / "runs" / "news", sample=True)
    asked = MonitorSettings.read(written)
    assert Path(asked.run).resolve() == (tmp_path / "runs" / "news").resolve()
    assert asked.tick == 3600.0 and Path(asked.companies).is_file()
    with pytest.raises(RecipeError, match="is there already"):
        begin(tmp_path / "here", "run")


def test_every_mistake_is_told(tmp_path: Path) -> None:
    values = {
        "run": "r", "tick": "7m", "false_alarm": "1", "heads": {"topics": "a"},
        "sources": [{"kind": "feed"}, {"kind": "folder", "path": "a", "colour": 1}],
    }  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        MonitorSettings.parse(values)
    said = str(caught.value)
    known = ("unknown key 'false_alarm'. Did you mean 'false_alarms'?", "'heads.topics'", "'sources[2].colour'")
    for part in (*known, "sources[1]: a source of the kind feed needs url"):
        assert part in said


def test_values_which_may_be_secrets_are_not_repeated() -> None:
    with pytest.raises(RecipeError, match=r"^settings: sources\[1\]\.url: Input should be a valid string$"):
        MonitorSettings.parse({"run": "r", "sources": [{"kind": "feed", "url": ["https://me:secret@x/"]}]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tick": "7m"}, "divide a day"),
        ({"false_alarms": "few"}, "budget"),
        ({"calendar": {"zone": "Mars/Base"}}, "Mars"),
        ({"heads": {"sentiment": ""}}, "sentiment"),
        ({"stories": {"doubtful": 0.9, "sure": 0.2}}, "sure"),
        ({"sources": [{"kind": "push"}, {"kind": "push"}]}, "more than once"),
    ],
)
def test_what_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        MonitorSettings.parse({"run": "r", **values})


def test_paths_are_seen_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "monitor.toml"
    file.write_text('run = "r"\nstore = "postgresql://db/x"\n[[sources]]\nkind = "files"\npath = "a.jsonl"\n')
    asked = MonitorSettings.read(file)
    assert asked.store == "postgresql://db/x" and asked.sources[0].path == str(tmp_path / "a.jsonl")
    with pytest.raises(RecipeError, match="cannot be read"):
        MonitorSettings.read(tmp_path / "none.toml")


def test_who_writes_summaries(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"endpoint": "http://127.0.0.1:8080/v1", "model": "small", "timeout": "90s", "api_key_env": "DESK_KEY"}
    monkeypatch.setenv("DESK_KEY", "s3cret")
    asked = MonitorSettings.parse({"run": "r", "generator": given})
    assert asked.generator and asked.generator.timeout == 90.0 and asked.generator.generator().key == "DESK_KEY"
    assert "s3cret" not in repr(asked) + str(asked.shown()) and MonitorSettings.parse({"run": "r"}).generator is None
    for wrong, message in (
        ({"modell": "x"}, "unknown key 'generator.modell'.*'model'"), ({"model": ""}, "generator.model"),
        ({"timeout": "1h"}, "generator.timeout"), ({"endpoint": "http://ann:s3cret@h/v1"}, "generator.endpoint is no"),
    ):  # fmt: skip
        with pytest.raises(RecipeError, match=message) as caught:
            MonitorSettings.parse({"run": "r", "generator": {**given, **wrong}})
        assert "s3cret" not in str(caught.value)
