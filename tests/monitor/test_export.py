"""Alerts as tables: nothing in them is a formula."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from monitor.test_dispatch import T, alert

from metier.apps.monitor.alerts.export import COLUMNS, csv_rows, guarded, json_rows
from metier.apps.monitor.alerts.life import Alert, judge


def test_a_table_with_what_people_said() -> None:
    one = judge(alert(topic='贷款, "new"\nline'), "false", "=cmd|' /C calc'!A0", T + 60, "\t=1+1")
    rows = list(csv.DictReader(io.StringIO("".join(csv_rows([one, replace(one, ends_at=T + 900.5)])), newline="")))
    assert list(rows[0]) == list(COLUMNS)
    assert rows[0]["topic"] == '贷款, "new"\nline' and rows[0]["company"] == "" and rows[0]["observed"] == "40"
    assert rows[0]["verdict_by"].startswith("'=cmd") and rows[0]["comment"].startswith("'\t=")
    assert rows[0]["ends_at"] == "" and rows[1]["ends_at"] == "2020-09-13T12:41:40.5Z"
    assert json.loads(rows[0]["labels"])["severity"] == "critical"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "|x", "\n=1"])
def test_a_formula_is_text(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"


def test_what_is_none_stays() -> None:
    assert guarded("Acme - a bank") == "Acme - a bank" and guarded(-3.5) == -3.5 and guarded("a\x00b") == "ab"


def test_json_is_whole_and_without_what_json_cannot_say() -> None:
    strange = replace(alert(), statistic={"cusum": float("inf")})
    found = json.loads("".join(json_rows([strange, alert("rates")])))
    assert found[0]["statistic"] == {"cusum": None} and Alert.from_json(found[1]) == alert("rates")
    assert json.loads("".join(json_rows([]))) == []
