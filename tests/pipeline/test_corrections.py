"""What people corrected becomes training text: in the place of old labels, never in what validates or tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from metier.errors import RecipeError, StoreError
from metier.pipeline.dataset import Dataset, read_dataset
from metier.pipeline.watch import Silent
from metier.recipe import Recipe
from metier.store import documents, interactions
from metier.store.documents import StoredDocument
from metier.store.store import Store
from metier.types import Interaction

ROWS = """text,tone,place,split
Sales rise,good,north,train
Sales fall again,bad,south,train
Profit is up,good,south,train
Costs weigh,bad,north,train
Orders shrink,bad,north,valid
Orders grow,good,south,test
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text(ROWS)
    return file


def said(subject: str, head: str, correction: object, at: float = 1.0, verdict: str = "corrected") -> Interaction:
    return Interaction("monitor", "document", subject, verdict, "ann", at, head=head, correction=correction)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.db"
    texts = {"1": "sales  RISE", "2": "Orders shrink", "3": "A strike ends", "4": "Costs weigh"}
    with Store.open(path) as opened, opened.write() as connection:
        documents.add(connection, (StoredDocument(id, text, 1.0, 1.0) for id, text in texts.items()))
        interactions.add(
            connection,
            [
                said("1", "tone", "good"), said("1", "tone", "bad", 2.0), said("2", "tone", "good"),
                said("3", "place", "south"), said("3", "tone", "splendid"), said("gone", "tone", "bad"),
                said("4", "tone", None, verdict="right"), said("4", "colour", "red"),
            ],
        )  # fmt: skip
    return path


def read(table: Path, store: Path | str) -> Dataset:
    heads = {name: {"column": name, "task": "classify"} for name in ("tone", "place")}
    recipe = Recipe.parse({"data": {"path": str(table), "interactions": str(store)}, "heads": heads})
    return read_dataset(recipe, table, Silent())


def test_corrections_are_learned_from(table: Path, store: Path) -> None:
    found = read(table, store)
    train = {example.document.text: dict(example.targets) for example in found.examples["train"]}
    assert train["Sales rise"] == {"tone": "bad", "place": "north"}  # the last word counts, the other head stays
    assert train["A strike ends"] == {"place": "south"}
    assert train["Costs weigh"] == {"tone": "bad", "place": "north"}
    assert len(train) == 5
    assert [dict(example.targets)["tone"] for example in found.examples["valid"]] == ["bad"]
    assert found.summary["corrections"] == {"taken": 2, "held out": 1, "unknown label": 1, "text gone": 1}
    assert found.summary["rows"]["train"] == 5


@pytest.mark.parametrize(
    ("task", "correction", "taken"),
    [
        ("classify", ["bad"], "bad"), ("classify", "bad", "bad"), ("classify", ["bad", "good"], None),
        ("classify", [], None), ("multilabel", ["bad"], ("bad",)), ("multilabel", "bad", ("bad",)),
        ("multilabel", ["good", "bad"], ("good", "bad")), ("multilabel", [], ()), ("multilabel", ["odd"], None),
    ],
)  # fmt: skip
def test_a_correction_has_the_form_of_its_head(
    table: Path, tmp_path: Path, task: str, correction: object, taken: object
) -> None:
    path = tmp_path / "one.db"
    with Store.open(path) as opened, opened.write() as connection:
        documents.add(connection, [StoredDocument("1", "A strike ends", 1.0, 1.0)])
        interactions.add(connection, [said("1", "tone", correction)])
    heads = {"tone": {"column": "tone", "task": task}}
    recipe = Recipe.parse({"data": {"path": str(table), "interactions": str(path)}, "heads": heads})
    train = {one.document.text: one.targets["tone"] for one in read_dataset(recipe, table, Silent()).examples["train"]}
    assert train.get("A strike ends") == taken


def test_mistakes(table: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        read(table, tmp_path / "nothing.db")
    with pytest.raises(RecipeError, match="PGPASSWORD"):
        read(table, "postgresql://ann:secret@host/db")
