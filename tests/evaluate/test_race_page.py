"""What the report and the terminal show of a race."""

import re

import pytest

from metier.evaluate import race
from metier.evaluate.findings import Findings, HeadFindings
from metier.evaluate.report import page


def line(name, fate, score=None, *, share=1.0, seconds=1.0, reason=None, **more):
    found = {"name": name, "method": name, "fate": fate, "reason": reason or {}}
    if score is None:
        return found
    measured = {"share": share, "rows": round(2400 * share), "score": score, "interval": [score - 0.03, score + 0.03]}
    size = 90_700_000 if name not in ("majority", "TF-IDF") else None
    cost = {"seconds": seconds, "rate": 450.0 if size else None, "size": size, "short": False, "spent": seconds}
    return {**found, **measured, **cost, "epochs": None, **more}


def scene():
    points = [{"rows": 600.0, "score": 0.86, "deviation": 0.01}, {"rows": 1200.0, "score": 0.91, "deviation": 0.01}]
    lower = [{**point, "score": point["score"] - 0.08} for point in points]
    ahead = [
        {"rows": 2400.0 * by, "score": 0.95 + 0.01 * by, "low": 0.93, "high": min(1.0, 0.97 + 0.005 * by)}
        for by in (1, 2, 3, 4)
    ]
    return {
        "budget": 600.0,
        "spent": 214.0,
        "margin": 0.5,
        "metric": "accuracy",
        "winner": "full",
        "rows": {"train": 2400, "valid": 300},
        "rungs": [
            line("majority", race.BASELINE, 0.23, seconds=0.001),
            line("TF-IDF", race.BASELINE, 0.81, seconds=0.4),
            line("zero_shot", race.UNDER, 0.41, seconds=2.0, reason={"says": race.POINTS, "gain": "-47.1"}),
            line("probe", race.UNDER, 0.87, seconds=6.0, reason={"says": race.POINTS, "gain": "-7.9"}),
            line("lora", race.BEATEN, 0.88, share=0.5, seconds=22.0),
            line("full", race.WON, 0.95, seconds=61.0),
            line("full + R-Drop", race.NO_TIME, reason={"says": race.NEEDS, "needed": "410", "left": "301"}),
            line("contrastive", race.IMPOSSIBLE, reason={"says": "A {tag} head <cannot> be fitted."}),
        ],
        "curves": {"probe": lower, "full": points, "lora": points[:1]},
        "outlook": ahead,
        "more_labels": [{"times": 2.0, **ahead[1]}, {"times": 4.0, **ahead[3]}],
    }


def report(found):
    headline = {"name": "accuracy", "value": 0.94, "interval": [0.92, 0.96]}
    head = HeadFindings("classify", test={"headline": headline, "documents": 300})
    return page(Findings(name="news", heads={"label": head}, race=found))


def test_the_table_has_every_rung_and_why():
    rows = race.table(scene())
    assert len(rows) == 9 and all(len(row) == len(race.COLUMNS) for row in rows)
    by_name = {row[0]: row for row in rows}
    assert by_name["full"][1:5] == ["2,400", "95.0%", "92.0% – 98.0%", "61.0"] and by_name["full"][-1] == "won"
    assert by_name["lora"][1] == "1,200"
    assert by_name["full + R-Drop"][-1] == "no time (about 410 s needed, 301 s left)"
    assert by_name["contrastive"][-1].endswith("(A {tag} head <cannot> be fitted.)")
    assert race.outlook(scene())[0] == "2 x the labels (4,800 texts): about 97.0% (93.0% - 98.0%)"


def test_the_report_has_the_pictures_in_both_languages():
    shown = report(scene())
    assert shown.count("<script") == 0 and "&lt;cannot&gt;" in shown
    section = shown[shown.index('id="race"') : shown.index('id="training"')]
    assert section.count('<svg class="chart"') == 2
    assert "约需 410 秒" in section and "预计 full 约可达到 97.0%" in section
    assert section.count('class="dot part"') == 1 and section.count('class="dot other"') == 2
    assert 'class="line forecast"' in section and 'class="band"' in section
    assert 'id="race"' not in report({})


def test_names_in_the_picture_do_not_cover_each_other():
    drawn = str(race.costs(scene()))
    found = re.findall(r'<text class="name( end)?" x="([\d.]+)" y="([\d.]+)">([^<]+)<', drawn)
    assert len(found) == 6
    boxes = []
    for end, x, y, name in found:
        width = 6.2 * len(name)
        left = float(x) - width if end else float(x)
        boxes.append((left, float(y), left + width, float(y) + 12))
    for at, one in enumerate(boxes):
        for other in boxes[at + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)


@pytest.mark.parametrize("missing", ["curves", "outlook"])
def test_a_race_without_a_curve_has_no_second_picture(missing):
    found = scene()
    found["curves"], found["outlook"], found["more_labels"] = {"full": []}, [], []
    assert race.curves(found) is None and missing in found
    assert report(found).count('id="race"') == 1
