import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from scenes import INTENTS, findings, numbers, one_label, spans

import metier.evaluate
from metier import tasks
from metier.errors import RunError
from metier.evaluate import card, charts, phrases
from metier.evaluate.baselines import baselines
from metier.evaluate.evaluation import beside, judge, worst_errors
from metier.evaluate.findings import Findings, HeadFindings, verdicts
from metier.evaluate.report import page, render, table
from metier.types import Document, Prediction

EVIL = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>"


class Tags(HTMLParser):
    """The elements and attributes of a page, and whether every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.names, self.attributes, self.open = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes += attrs
        if tag not in ("meta", "input", "wbr", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def three():
    return findings(
        sentiment=one_label("classify", ["negative", "neutral", "positive"], accuracy=0.87),
        entities=spans(),
        grade=numbers(),
    )


@pytest.fixture(scope="module")
def many():
    accuracies = {"majority": 0.02, "lexical": 0.95, "probe": 0.926}
    return findings(intent=one_label("classify", INTENTS, accuracy=0.93, n=2000, others=accuracies))


def test_page_is_whole_and_needs_nothing(three):
    text = page(three)
    tags = Tags(text)
    assert tags.open == []
    assert not tags.names & {"script", "link", "img", "iframe", "object", "form"}
    names = {name for name, _ in tags.attributes}
    assert not names & {"style", "src", "srcset", "onclick", "onload"}
    assert all(value.startswith("#") for name, value in tags.attributes if name == "href")
    assert "http://" not in text
    assert "https://" not in text


def test_policy_allows_this_style_sheet_and_nothing_else(three):
    text = page(three)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in text
    assert "url(" not in style
    assert "@import" not in style


def test_markup_in_texts_stays_text(three):
    head = three.heads["sentiment"]
    evil = HeadFindings(
        task="classify",
        test={
            **head.test,
            "headline": {**head.test["headline"], "name": EVIL},
            "per_class": {EVIL: {"precision": 1.0, "recall": 1.0, "f1-score": 1.0, "support": 3}},
        },
        baselines={EVIL: head.baselines["majority"]},
        confusion={"labels": [EVIL, "b"], "matrix": [[1, 2], [3, 4]], "pairs": []},
        errors=[{"id": EVIL, "text": EVIL, "pair": EVIL, "gold": EVIL, "predicted": EVIL, "score": 0.5}],
        suspects=[{"text": EVIL, "given": EVIL, "suggested": EVIL, "score": 0.4}],
        notes=[{"says": phrases.CUT, "split": EVIL, "count": EVIL, "of": "{braces} {0}", "limit": 1}],
    )
    run = Findings(
        name=EVIL,
        heads={EVIL: evil},
        created=EVIL,
        metier=EVIL,
        method=EVIL,
        recipe=EVIL,
        data={"source": EVIL, "rows": {EVIL: 1}, "languages": {EVIL: 0.5}},
        curve=[{"step": 1, "loss": 1.0, "valid": {EVIL: 0.5}}, {"step": 2, "loss": 0.5, "valid": {EVIL: 0.6}}],
        costs={"stages": {EVIL: 1.0}},
        environment={EVIL: EVIL},
        backbone={"name": EVIL},
    )
    text = page(run)
    tags = Tags(text)
    assert tags.open == []
    assert not tags.names & {"script", "img"}
    assert not {name for name, _ in tags.attributes if name.startswith("on")}
    shown = re.sub(r"`[^`]*`", "", card.card(run).split("```")[0])  # Markdown escapes what is between back quotes
    assert "<script" not in shown
    assert "<img" not in shown


def test_losing_to_a_baseline_is_said_in_red(many):
    text = page(many)
    assert re.search(r'class="verdict bad" role="alert">.*TF-IDF', text)
    assert "Warning" in card.card(many)
    assert table(many)[1][-1] == "NO"


def test_verdicts_by_significance():
    def head(value, p_value):
        other = {"headline": {"name": "accuracy", "value": 0.9}, "versus": {"p_value": p_value}}
        return HeadFindings(
            "classify", test={"headline": {"name": "accuracy", "value": value}}, baselines={"lexical": other}
        )

    assert [verdicts(head(*case))[0].outcome for case in ((0.95, 0.01), (0.91, 0.4), (0.9, 1.0), (0.8, 0.01))] == [
        "beaten",
        "unclear",
        "not beaten",
        "not beaten",
    ]


def test_many_classes_show_the_most_confused_pairs_instead_of_a_matrix(many, three):
    assert many.heads["intent"].confusion["matrix"] is None
    assert 'aria-label="Confusion matrix"' not in page(many)
    assert "The pairs that are confused most" in page(many)
    assert 'aria-label="Confusion matrix"' in page(three)
    assert len(page(many)) < 400_000


def test_both_languages_are_there(three):
    english, chinese = page(three, lang="en"), page(three, lang="zh")
    assert re.search(r'id="lang-en"[^>]* checked', english)
    assert re.search(r'id="lang-zh"[^>]* checked', chinese)
    assert "与基线对比" in english
    assert "Beside the baselines" in chinese
    with pytest.raises(ValueError, match="fr"):
        page(three, lang="fr")


def test_every_phrase_has_its_translation():
    folder = Path(metier.evaluate.__file__).parent
    source = (folder / "templates" / "report.html.j2").read_text(encoding="utf-8")
    for path in ("report.py", "figures.py", "charts.py"):
        source += (folder / path).read_text(encoding="utf-8")
    used = set(re.findall(r'(?:\bt|phrases\.html|phrases\.svg|Axis)\(\s*"([^"]+)"', source))
    assert len(used) > 40
    unknown = used - set(phrases.CHINESE) - {"loss", "value"}
    assert not unknown
    for english, chinese in phrases.CHINESE.items():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", chinese)), english


def test_several_labels_and_similarities_have_their_page():
    documents = [Document("profit rose", "sales rose"), Document("orders fell", "profit rose")] * 20
    topics, likeness = tasks.build("multilabel", [("a", "b"), ("c",)]), tasks.build("embed", [1.0, 0.0])
    sets, close = [("a", "b"), ("c",)] * 20, [1.0, 0.0] * 20
    said = [Prediction(("a",), 0.7), Prediction(("c",), 0.9)] * 20
    angles = [Prediction(0.8, 0.9), Prediction(0.3, 0.7)] * 20
    run = findings(
        topics=HeadFindings(
            "multilabel",
            test=judge(topics, sets, said, documents),
            baselines=beside(topics, sets, said, baselines("multilabel", documents, sets, documents)),
            errors=worst_errors(documents, sets, said),
        ),
        likeness=HeadFindings(
            "embed",
            test=judge(likeness, close, angles, documents),
            baselines=beside(likeness, close, angles, baselines("embed", documents, close, documents)),
            errors=worst_errors(documents, close, angles),
        ),
    )
    assert "TF-IDF cosine" in page(run)
    assert "The answers with most parts wrong." in page(run)
    assert card.card(run)


def test_a_run_of_which_little_is_known():
    bare = Findings(name="bare", heads={"label": HeadFindings(task="classify")})
    assert Tags(page(bare)).open == []
    assert table(bare)[1][:2] == ["label", "classify"]
    assert "# bare" in card.card(bare)


def test_a_tick_says_where_it_stands():
    axis = charts.Axis("score", 0.695, 0.705)
    assert [axis.text(value) for value in axis.ticks()] == ["0.695", "0.6975", "0.7", "0.7025", "0.705"]
    axis = charts.Axis("score", 0.99, 1.0, percent=True)
    assert [axis.text(value) for value in axis.ticks()] == ["99%", "99.25%", "99.5%", "99.75%", "100%"]


def test_undefined_figures(three):
    head = three.heads["grade"]
    headline = {"name": "Pearson", "value": None, "interval": [None, None]}
    run = findings(grade=HeadFindings("score", test={**head.test, "headline": headline}, baselines=head.baselines))
    assert "–" in page(run)
    assert card.card(run)


def test_drawn_again_from_what_was_saved(three, tmp_path):
    three.write(tmp_path / "evaluation.json")
    again = Findings.read(tmp_path / "evaluation.json")
    assert page(again) == page(three)
    assert render(again, tmp_path / "report.html").read_text(encoding="utf-8") == page(three)
    saved = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    saved["new"] = saved["heads"]["grade"]["newer"] = 1
    assert Findings.from_json(saved).name == three.name


def test_long_fits_and_lone_surrogates(tmp_path):
    steps = [
        {"step": i, "loss": 1 / i, "rate": 0.5, "valid": {"a": 0.5, "metric": 0.5} if i == 7777 else None}
        for i in range(1, 9001)
    ]
    errors = [{"id": "1", "text": "half \ud83d", "gold": "x", "predicted": "y", "score": 0.5}]
    run = Findings(name="long", heads={"a": HeadFindings("classify", errors=errors)}, curve=steps)
    run.write(tmp_path / "evaluation.json")
    again = Findings.read(tmp_path / "evaluation.json")
    assert len(again.curve) < 2100
    assert any(record["valid"] for record in again.curve)
    text = render(run, tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'class="key head0">a<' in text
    assert ">metric<" not in text
    assert card.write(run, tmp_path / "card.md").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"heads": 3}', '{"heads": {"a": {}}, "name": "x"}'])
def test_broken_findings_are_refused(text, tmp_path):
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(RunError, match=r"evaluation\.json"):
        Findings.read(tmp_path / "evaluation.json")


def test_card_has_a_header_that_yaml_reads(three):
    yaml = pytest.importorskip("yaml")
    text = card.card(three)
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["license"] == "apache-2.0"
    assert (
        header["model-index"][0]["results"][0]["metrics"][0]["value"]
        == three.heads["sentiment"].test["headline"]["value"]
    )
    for title in ("Intended use", "Data", "Evaluation", "Calibration", "Limitations", "Training"):
        assert f"## {title}" in text
