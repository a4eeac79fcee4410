"""How fast a run is: every runtime, every cell, the page."""

import json

import pytest
from typer.testing import CliRunner

from metier.cli import app
from metier.errors import RecipeError
from metier.evaluate.bench_page import picture
from metier.models.tokeniser import Tokeniser
from metier.pipeline.bench import bench, texts
from metier.pipeline.watch import Silent


def test_every_cell_is_measured(toy_run):
    found = bench(toy_run, Silent(), lengths=(8, 16), batches=(1, 4), seconds=0.01, threads=1)
    assert [held.engine for held in found.held] == ["torch"]
    assert [(cell.length, cell.batch) for cell in found.cells] == [(8, 1), (8, 4), (16, 1), (16, 4)]
    for cell in found.cells:
        assert cell.calls >= 5 and 0 < cell.p50 <= cell.p95 <= cell.p99 and cell.rate > 0


def test_texts_have_the_asked_length(toy_backbone):
    tokeniser = Tokeniser.read(toy_backbone / "tokenizer.json", max_length=64)
    from metier.types import Document

    calls = texts(tokeniser, 12, 4)
    rows = tokeniser.rows([Document(" ".join(words)) for words in calls[0]])
    assert rows.lengths.tolist() == [12] * 4 and calls[0] != calls[1]


def test_the_command(toy_run, tmp_path):
    page = tmp_path / "bench.html"
    asked = ["bench", str(toy_run), "--length", "8", "--batch", "1", "--batch", "2", "--seconds", "0.01"]
    done = CliRunner().invoke(app, [*asked, "--threads", "1", "--page", str(page), "--json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["cells"]) == 2
    assert "<svg" in page.read_text() and "http" not in page.read_text().replace("http-equiv", "").split("</style>")[
        1
    ].replace("http://www.w3.org/2000/svg", "")


def test_nothing_to_measure(toy_run):
    with pytest.raises(RecipeError, match="above 0"):
        bench(toy_run, Silent(), lengths=(0,))


def test_a_thousand_is_written_as_people_write_it():
    cells = [{"engine": "torch", "length": 8, "batch": batch, "rate": 900.0 * batch} for batch in (1, 8, 32)]
    drawn = picture(cells, ["torch"], 8)
    assert ">1,000<" in drawn and ">10,000<" in drawn and "e+" not in drawn
