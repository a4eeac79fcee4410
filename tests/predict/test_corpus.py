"""A corpus to a scored file: every row once, in order, whatever happens on the way."""

import json

import polars as pl
import pytest
import toy
from commands import killed, metier, started

import metier as package
from metier.errors import DataError
from metier.pipeline import predict as pipeline
from metier.predict import corpus
from metier.predict.corpus import Job, Steps, attach
from metier.types import Document, Prediction, Span


def answer(documents):
    return [{"a": Prediction("x", 0.75, abstain=int(item.id) % 2 == 0)} for item in documents]


def frames(count=5, size=4):
    for at in range(count):
        yield pl.DataFrame({"text": [f"t{at * size + row}" for row in range(size)], "n": range(size)})


def documents(frame, first):
    return [Document(text, id=str(first + row)) for row, text in enumerate(frame["text"])]


def test_attach():
    frame = pl.DataFrame({"text": ["u", "v"], "a": ["old", "er"]})
    found = attach(frame, answer([Document("", id="0"), Document("", id="1")]), {"a": "classify"})
    assert found.columns == ["text", "a_input", "a", "a_score", "a_abstain"]
    assert found["a_abstain"].to_list() == [True, False] and found["a_input"].to_list() == ["old", "er"]


def test_attach_to_what_was_scored_before():
    frame = pl.DataFrame({"text": ["u"]})
    for _ in range(3):
        frame = attach(frame, answer([Document("", id="0")]), {"a": "classify"})
    kept = [name for number in ("", "_2") for name in (f"a_input{number}", f"a_score_input{number}")]
    assert set(kept) < set(frame.columns) and frame.columns[-3:] == ["a", "a_score", "a_abstain"]


def test_attach_lists():
    rows = [
        {"t": Prediction((Span(0, 2, "L", "uv", 0.9),), 0.9), "m": Prediction(("p", "q"), 0.6)},
        {"t": Prediction((), 1.0), "m": Prediction((), 0.7)},
    ]
    found = attach(pl.DataFrame({"text": ["uv", "w"]}), rows, {"t": "tag", "m": "multilabel"})
    assert found["t"].to_list() == [[{"start": 0, "end": 2, "label": "L", "text": "uv", "score": 0.9}], []]
    assert found["m"].to_list() == [["p", "q"], []]


STEPS = Steps(documents, answer)


@pytest.mark.parametrize("fails_at", [0, 2, 4])
def test_goes_on_after_the_last_whole_shard(tmp_path, fails_at):
    asked = []

    def breaking(items):
        if len(asked) == fails_at:
            raise KeyboardInterrupt
        asked.append(items[0].text)
        return answer(items)

    job = Job(tmp_path / "s.parquet", {"run": "1"}, {"a": "classify"})
    with pytest.raises(KeyboardInterrupt):
        corpus.score(job, frames(), Steps(documents, breaking))
    assert not job.out.exists()
    again = []
    assert (
        corpus.score(job, frames(), Steps(documents, lambda items: again.append(items[0].text) or answer(items))) == 20
    )
    assert asked + again == [f"t{at}" for at in range(0, 20, 4)]
    assert pl.read_parquet(job.out)["text"].to_list() == [f"t{at}" for at in range(20)]
    assert [item.name for item in tmp_path.iterdir()] == ["s.parquet"]


def test_shards_of_another_job_are_not_used(tmp_path):
    def broken(items):
        if items[0].text != "t0":
            raise KeyboardInterrupt
        return answer(items)

    with pytest.raises(KeyboardInterrupt):
        corpus.score(Job(tmp_path / "s.jsonl", {"run": "1"}, {"a": "classify"}), frames(), Steps(documents, broken))
    asked = []
    other = Job(tmp_path / "s.jsonl", {"run": "2"}, {"a": "classify"})
    corpus.score(other, frames(), Steps(documents, lambda items: asked.append(1) or answer(items)))
    assert len(asked) == 5


def test_an_unknown_format(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        corpus.score(Job(tmp_path / "s.xml", {}, {}), frames(), STEPS)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory, toy_backbone):
    folder = tmp_path_factory.mktemp("tagger")
    data = toy.cities(folder / "cities", rows=60)
    quick = {"epochs": 4.0, "baselines": False, "resamples": 20, "threads": 1, "learning_rate": 3e-3, "max_length": 32}
    return package.train(data, backbone=str(toy_backbone), out=folder / "run", **quick).run, data


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv"])
def test_tag(tagger, tmp_path, suffix):
    run, data = tagger
    out = tmp_path / f"s.{suffix}"
    assert metier("predict", run, data, "--out", out).code == 0
    if suffix == "csv":
        first = pl.read_csv(out).row(0, named=True)
        spans = json.loads(first["spans"])
    elif suffix == "jsonl":
        first = json.loads(out.read_text().splitlines()[0])
        spans = first["spans"]
    else:
        first = pl.read_parquet(out).row(0, named=True)
        spans = first["spans"]
    assert spans and all(first["text"][span["start"] : span["end"]] == span["text"] for span in spans)
    assert spans[0]["label"] == "LOC" and 0 <= first["spans_score"] <= 1 and "spans_input" in first


def test_small_shards_give_the_same_rows(toy_run, toy_news, tmp_path, monkeypatch):
    whole = tmp_path / "a.parquet"
    assert metier("predict", toy_run, toy_news, "--out", whole).code == 0
    monkeypatch.setattr(pipeline, "SHARD", 7)
    real, calls = corpus.run.write_bytes, []

    def dying(path, content):
        calls.append(path)
        if len(calls) == 6:
            raise KeyboardInterrupt
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(corpus.run, "write_bytes", dying)
        assert metier("predict", toy_run, toy_news, "--out", tmp_path / "b.parquet").code == 130
    assert metier("predict", toy_run, toy_news, "--out", tmp_path / "b.parquet", "--json").json["rows"] == 120
    first, second = pl.read_parquet(whole), pl.read_parquet(tmp_path / "b.parquet")
    scores = [name for name in first.columns if name.endswith("_score")]
    assert first.drop(scores).equals(second.drop(scores))
    assert ((first.select(scores) - second.select(scores)).max_horizontal().abs() < 1e-5).all()


def test_killed_and_called_again(toy_run, tmp_path):
    texts = [f"Berlin gains {at}" for at in range(30_000)]
    corpus_file, out = tmp_path / "c.csv", tmp_path / "s.parquet"
    pl.DataFrame({"text": texts}).write_csv(corpus_file)
    parts = tmp_path / "s.parquet.parts"
    process = started(tmp_path / "log", "predict", toy_run, corpus_file, "--out", out)
    killed(process, lambda: len(list(parts.glob("0*.parquet"))) >= 2)
    assert not out.exists()
    result = metier("predict", toy_run, corpus_file, "--out", out, "--json")
    assert result.code == 0 and result.json["rows"] == 30_000
    assert pl.read_parquet(out)["text"].to_list() == texts
    assert not parts.exists()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_cells_that_a_text_file_has_no_form_for(tmp_path, suffix):
    frame = pl.DataFrame({"text": ["u"], "n": [float("nan")], "b": [b"\xff"], "l": [[float("inf"), 1.0]]})
    out = tmp_path / f"o{suffix}"
    corpus.score(Job(out, {}, {"a": "classify"}), [frame], STEPS)
    text = out.read_text()
    if suffix == ".jsonl":
        found = json.loads(text, parse_constant=pytest.fail)
        assert (found["n"], found["b"], found["l"]) == (None, "ff", [None, 1.0])
    else:
        assert '"ff"' in text and "[null, 1.0]" in text


def test_what_is_in_the_way_stays(tmp_path, toy_run):
    (tmp_path / "o.csv").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        corpus.score(Job(tmp_path / "o.csv", {}, {}), frames(), STEPS)
    (tmp_path / "p.csv.parts").mkdir()
    (tmp_path / "p.csv.parts" / "precious.txt").touch()
    with pytest.raises(DataError, match="no shards"):
        corpus.score(Job(tmp_path / "p.csv", {}, {}), frames(), STEPS)
    assert (tmp_path / "p.csv.parts" / "precious.txt").exists()
    same = toy.lines(tmp_path / "same.jsonl", [{"text": "a"}])
    result = metier("predict", toy_run, same, "--out", same)
    assert result.code == 2 and "is the corpus itself" in result.err and same.read_text() == '{"text": "a"}\n'


def test_long_texts_make_small_shards(monkeypatch):
    monkeypatch.setattr(pipeline, "SHARD_BYTES", 100)
    frame = pl.DataFrame({"text": ["a" * 30] * 10, "other": ["b" * 1000] * 10})
    pieces = list(pipeline.bounded(frame, ["text"]))
    assert [len(piece) for piece in pieces] == [4, 4, 2] and pl.concat(pieces).equals(frame)
    assert [len(piece) for piece in pipeline.bounded(pl.DataFrame({"text": ["a" * 300, "b"]}), ["text"])] == [1, 1]
    assert len(list(pipeline.bounded(pl.DataFrame({"text": [None, None]}), ["text"]))) == 1


def test_a_corpus_that_changes_between_two_tries(toy_run, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "SHARD", 10)
    source, out = tmp_path / "c.csv", tmp_path / "s.parquet"
    pl.DataFrame({"text": [f"Berlin gains {at}" for at in range(50)]}).write_csv(source)
    with monkeypatch.context() as patch:
        calls = []
        real = corpus.run.write_bytes
        patch.setattr(
            corpus.run, "write_bytes", lambda path, content: calls.append(1) or _die(calls) or real(path, content)
        )
        with pytest.raises(RuntimeError, match="power"):
            metier("predict", toy_run, source, "--out", out)
    assert len(list((tmp_path / "s.parquet.parts").glob("0*.parquet"))) == 2
    texts = [f"Oslo falls {at}" for at in range(30)]
    pl.DataFrame({"text": texts}).write_csv(source)
    assert metier("predict", toy_run, source, "--out", out, "--json").json["rows"] == 30
    assert pl.read_parquet(out)["text"].to_list() == texts, "no shard of the other corpus is in it"


def _die(calls):
    if len(calls) == 4:  # the marker, two shards
        raise RuntimeError("power cut")


def test_a_corpus_that_changes_while_it_is_read(toy_run, tmp_path, monkeypatch):
    source = tmp_path / "c.csv"
    pl.DataFrame({"text": ["Berlin gains"] * 50}).write_csv(source)
    real = pipeline.read.frames

    def growing(path, rows):
        yield from real(path, rows=rows)
        with source.open("a") as file:
            file.write("Oslo falls\n")

    monkeypatch.setattr(pipeline.read, "frames", growing)
    result = metier("predict", toy_run, source, "--out", tmp_path / "s.csv")
    assert result.code == 2 and "changed while it was read" in result.err and not (tmp_path / "s.csv").exists()


def test_cut_off_while_the_shards_are_removed(tmp_path, monkeypatch):
    """The output is whole by then; the next try finds its shards, or some of them, and makes the same of them."""
    job = Job(tmp_path / "s.parquet", {}, {"a": "classify"})
    with monkeypatch.context() as patch:
        patch.setattr(corpus.shutil, "rmtree", lambda folder: _die([1] * 4))
        with pytest.raises(RuntimeError):
            corpus.score(job, frames(), STEPS)
    before = pl.read_parquet(job.out)
    assert corpus.score(job, frames(), STEPS) == 20 and pl.read_parquet(job.out).equals(before)
    assert [item.name for item in tmp_path.iterdir()] == ["s.parquet"]


def test_row_groups_are_large(tmp_path):
    out = tmp_path / "s.parquet"
    corpus.score(Job(out, {}, {"a": "classify"}), frames(200, 5), STEPS)
    assert corpus.pa.parquet.ParquetFile(out).num_row_groups == 1


def test_a_text_column_of_another_name_is_told(toy_run, tmp_path):
    corpus = tmp_path / "corpus.csv"
    corpus.write_text("number,said\n1,Berlin gains\n2,Oslo sinks\n")
    done = metier("predict", str(toy_run), str(corpus), "--out", str(tmp_path / "out.csv"), "--threads", "1")
    assert done.code == 0 and "No column text: the texts are read from said (--text)." in done.err
    assert pl.read_csv(tmp_path / "out.csv").columns[:2] == ["number", "said"]
    told = metier("predict", str(toy_run), str(corpus), "--out", str(tmp_path / "o.csv"), "--text", "said")
    assert told.code == 0 and "No column" not in told.err
