"""The doctor: each problem is found, counted and shown; a healthy data set has none."""

import json

import polars as pl
import pytest

from metier.data.columns import resolve
from metier.data.doctor import examine
from metier.data.languages import language
from metier.data.read import Columns
from metier.data.text_checks import share
from metier.errors import RecipeError
from metier.pipeline.doctor import Roles, diagnose

LABEL = Columns(labels={"label": ("label", "classify")})
SUBJECTS = ["the bank", "the mill", "the farm", "our shop", "their fleet", "a start-up", "the airline", "the miner"]
VERBS = [
    "raised its forecast",
    "cut its forecast",
    "hired engineers",
    "closed a plant",
    "opened a branch",
    "bought a rival",
]
TIMES = ["in spring", "in summer", "in autumn", "in winter", "this morning", "last night"]


def healthy():
    """Short texts of few words, each different, under two labels."""
    texts = [f"{s} {v} {t}" for s in SUBJECTS for v in VERBS for t in TIMES]
    return [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts)]


def diagnosed(rows, roles=LABEL, **options):
    found = examine(rows, roles, **options)
    json.dumps(found.to_json())
    assert all(isinstance(line, str) and "\n" not in line for line in found.lines())
    return {problem.code: problem for problem in found.problems}


def test_a_healthy_data_set():
    found = examine(healthy(), LABEL)
    assert found.healthy and not {p.code for p in found.problems} - {"near-duplicates"}
    assert found.to_json()["heads"]["label"]["labels"] == {"a": 144, "b": 144}
    assert found.lines()[0].startswith("288 rows: 0 errors")


def test_missing_columns_and_the_rest_at_once():
    roles = resolve(healthy(), ("txt",), ("lable", "label"), strict=False)
    rows = [*healthy(), *({"text": "x", "label": "A"} for _ in range(9))]
    found = examine(rows, roles)
    assert not found.healthy
    assert [(p.code, p.hint) for p in found.problems][:2] == [
        ("missing-column", "Did you mean 'text'?"),
        ("missing-column", "Did you mean 'label'?"),
    ]
    assert "label-spellings" in {p.code for p in found.problems}


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,b\nc\n")
    found = examine(tmp_path / "a.csv", LABEL)
    assert not found.healthy and "row 2" in found.problems[0].message
    found = examine(tmp_path / "b.csv", LABEL)
    assert [problem.code for problem in found.problems] == ["unreadable"]


def test_empty_texts():
    problem = diagnosed([*healthy(), {"text": " \u200b", "label": "a"}, {"text": None, "label": "b"}])["empty-text"]
    assert (problem.count, problem.severity) == (2, "warning")
    assert problem.samples[0].startswith("row 289")


def test_label_spellings():
    rows = [*healthy(), *({"text": f"some words about {i}", "label": "A "} for i in range(3))]
    problem = diagnosed(rows)["label-spellings"]
    assert problem.count == 3 and problem.samples == ("'a' (144) / 'A ' (3)",)


def test_contradictions_and_duplicates():
    rows = [
        *healthy(),
        {"text": "The Bank raised its forecast in spring", "label": "b"},
        {"text": "the mill hired engineers  in spring", "label": "a"},
    ]
    found = diagnosed(rows)
    assert found["contradictions"].count == 1
    assert "row 1:" in found["contradictions"].samples[0] and "row 289:" in found["contradictions"].samples[0]
    assert found["duplicates"].count == 2


def test_near_duplicates():
    long = "a rather long report of the company about its markets and plans that goes on and on for a while"
    rows = [*healthy(), {"text": long + " today", "label": "a"}, {"text": long + " yesterday", "label": "a"}]
    problem, before = (diagnosed(one)["near-duplicates"] for one in (rows, healthy()))
    assert problem.count == before.count + 1


def test_leakage():
    rows = [row | {"split": "test" if i % 10 == 0 else "train"} for i, row in enumerate(healthy())]
    rows += [rows[0] | {"split": "train"}, rows[10] | {"split": "dev"}, rows[3] | {"split": "unused"}]
    found = diagnosed(rows, Columns(labels=LABEL.labels, split="split"))
    assert (found["leakage"].count, found["valid-in-test"].count, found["other-splits"].count) == (1, 1, 1)


def test_no_train():
    rows = [row | {"split": "all"} for row in healthy()]
    assert diagnosed(rows, Columns(labels=LABEL.labels, split="split"))["no-train"].severity == "error"


def test_few_examples_and_unseen_labels():
    rows = [row | {"split": "train"} for row in healthy()]
    rows += [{"text": "once only", "label": "rare", "split": "train"}, {"text": "new", "label": "n", "split": "test"}]
    found = diagnosed(rows, Columns(labels=LABEL.labels, split="split"))
    assert found["few-examples"].samples == ("'rare': 1",)
    assert found["unseen-labels"].samples == ("'n'",)


def test_one_class_only():
    assert diagnosed([row | {"label": "a"} for row in healthy()])["one-class"].severity == "error"


def test_imbalance():
    rows = [row | {"label": "a" if i % 20 else "b"} for i, row in enumerate(healthy())]
    assert diagnosed(rows)["imbalance"].severity == "note"


@pytest.mark.parametrize(("label", "severity"), [(None, "error"), ("nan", "error"), ("", "error")])
def test_no_labels_at_all(label, severity):
    problem = diagnosed([row | {"label": label} for row in healthy()])["missing-labels"]
    assert (problem.count, problem.severity) == (288, severity)


def test_nan_labels():
    frame = pl.DataFrame(healthy()).with_columns(pl.Series("label", [0.0, 1.0, float("nan")] * 96))
    problem = diagnosed(frame)["missing-labels"]
    assert (problem.count, problem.severity) == (96, "note")


def test_labels_that_cannot_be_read():
    rows = [row | {"label": "good"} for row in healthy()]
    problem = diagnosed(rows, Columns(labels={"grade": ("label", "score")}))["unreadable-labels"]
    assert problem.count == 288 and problem.samples[0] == "row 1: 'good' is no number"


def test_one_number():
    assert "one-value" in diagnosed(
        [row | {"label": 2.5} for row in healthy()], Columns(labels={"g": ("label", "score")})
    )


def test_truncation_and_unknown_characters():
    rows = [*healthy(), *({"text": "word " * 100 + str(i), "label": "a"} for i in range(40))]

    def count(texts):
        return [len(text.split()) for text in texts], 30, 1000

    found = diagnosed(rows, count_tokens=count, max_length=50)
    assert found["truncated"].count == 40 and found["truncated"].severity == "warning"
    assert found["unknown-characters"].severity == "warning"


def test_mixed_languages():
    rows = [*healthy(), *({"text": f"\u4eca\u5929\u5929\u6c14\u5f88\u597d{i}", "label": "a"} for i in range(40))]
    assert diagnosed(rows)["mixed-languages"].severity == "warning"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("The cat is on the table", "en"),
        ("\u4eca\u5929\u80a1\u5e02\u4e0a\u6da8 iPhone", "zh"),
        ("\u4eca\u65e5\u306f\u3044\u3044\u5929\u6c17", "ja"),
        ("Le chat est dans la maison", "fr"),
        ("Der Hund ist nicht im Haus", "de"),
        ("\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440", "cyrillic"),
        ("12 34", None),
        ("", None),
        ("A <e1>ridge</e1> in the <e2>surge</e2> of it", "en"),
    ],
)
def test_languages(text, name):
    assert language(text) == name


def test_repaired_tags(tmp_path):
    (tmp_path / "a.conll").write_text("a\tI-X\nb\tO\n\nc\tI-X\n")
    found = diagnosed(tmp_path / "a.conll", Columns(labels={"spans": ("spans", "tag")}))
    assert found["repaired-tags"].count == 2


def test_invisible_and_lost_characters():
    rows = [*healthy(), {"text": "zero\u200bwidth", "label": "a"}, {"text": "lost \ufffd", "label": "a"}]
    found = diagnosed(rows)
    assert (found["invisible-characters"].count, found["lost-characters"].count) == (1, 1)


@pytest.mark.parametrize(
    ("count", "rows", "shown"),
    [
        (1, 1, "1 row (100 %)"),
        (996, 1000, "996 rows (100 %)"),
        (1234, 10_000, "1,234 rows (12 %)"),
        (12, 1000, "12 rows (1.2 %)"),
        (999, 10_000, "999 rows (10 %)"),
        (3, 10_000, "3 rows (0.03 %)"),
        (1, 10_000_000, "1 row (under 0.01 %)"),
    ],
)
def test_shares(count, rows, shown):
    assert share(count, rows) == shown


def test_the_doctor_says_which_text_it_guessed(toy_backbone):
    rows = [{"body": row["text"], "label": row["label"]} for row in healthy()]
    lines = diagnose(rows, backbone=str(toy_backbone)).lines()
    assert "note    Read as the text: the column 'body'." in lines
    assert not any("Read as" in line for line in diagnose(rows, (), ("body",), backbone=str(toy_backbone)).lines())
    assert not any("Read as" in line for line in diagnose(healthy(), backbone=str(toy_backbone)).lines())


def test_the_doctor_takes_a_task_for_every_head(toy_backbone):
    rows = [row | {"label": str(i % 40)} for i, row in enumerate(healthy())]
    assert diagnose(rows, backbone=str(toy_backbone)).figures["heads"]["label"]["task"] == "classify"
    found = diagnose(rows, ["label"], task="score", backbone=str(toy_backbone))
    assert found.figures["heads"]["label"]["task"] == "score"
    with pytest.raises(RecipeError, match="no task 'scor'.*'score'"):
        diagnose(rows, task="scor", backbone=str(toy_backbone))


def test_the_doctor_looks_for_the_names_that_labels_are_about(toy_backbone):
    rows = [{"text": f"{row['text']} of Acme and Brix", "label": row["label"], "name": "Acme"} for row in healthy()]
    rows += [{**rows[0], "name": "Brix", "label": "b"}, {**rows[0], "name": "Vantis"}, {**rows[1], "name": ""}]
    found = diagnose(rows, ["label"], roles=Roles(mention=["name"]), backbone=str(toy_backbone))
    (stray,) = [problem for problem in found.problems if problem.code == "stray-mentions"]
    assert (stray.count, stray.severity) == (1, "error") and f"{len(rows) - 1}" in " ".join(stray.samples)
    assert not [problem for problem in found.problems if "conflict" in problem.code], "of another name"
    assert found.figures["heads"]["label"]["task"] == "classify"
    with pytest.raises(RecipeError, match="does not say of which head"):
        diagnose(rows, ["label", "text"], roles=Roles(mention=["name"]), backbone=str(toy_backbone))
