"""A corpus over a Ray of this machine with two workers: the same file, and the same resuming, as without."""

import os
import time
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from commands import metier, refused

from metier.errors import DataError, RecipeError
from metier.pipeline import predict as pipeline
from metier.predict.corpus import Job, Steps
from metier.types import Prediction

HERE = [str(folder) for folder in (Path(__file__).parent, Path(__file__).parents[1])]

try:
    import ray
except ImportError:
    ray = None

with_ray = [
    pytest.mark.skipif(ray is None, reason="ray is not installed"),
    pytest.mark.filterwarnings("ignore"),  # theirs, of their own parts
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def cluster():
    from metier.predict import ray_corpus

    here = ray_corpus._here()
    here["runtime_env"]["env_vars"]["PYTHONPATH"] += os.pathsep + os.pathsep.join(HERE)
    ray.init(num_cpus=2, log_to_driver=False, **here)
    yield ray_corpus
    ray.shutdown()


def frames(count=12, *, broken_after=None):
    for at in range(count):
        if at == broken_after:
            raise DataError("The corpus is torn.")
        yield pl.DataFrame({"text": [f"t{at}-{row}" for row in range(20)]})


def steps(threads, *, word="", fails=False):
    def compute(texts):
        time.sleep(0.02)
        if fails:
            raise DataError("A text has no marks.", expected="<e1>")
        return [{"a": Prediction(f"{os.getpid()} {threads} {word}", 0.5)} for _ in texts]

    return Steps(lambda frame, first: [f"{first}"] * len(frame), compute)


def job(folder):
    return Job(folder / "s.parquet", {"run": 1}, {"a": "classify"})


@pytest.mark.usefixtures("cluster")
class TestWithRay:
    pytestmark = with_ray

    def test_two_workers_one_file(self, cluster, tmp_path):
        ticks = []
        assert cluster.score(job(tmp_path), frames, steps, (2, 1), ticks.append) == 240
        found = pl.read_parquet(tmp_path / "s.parquet")
        assert found["text"].to_list() == [text for frame in frames() for text in frame["text"]]
        workers = {label.split()[0] for label in found["a"].unique()}
        assert len(workers) == 2 and str(os.getpid()) not in workers
        assert sum(ticks) == 240 and [item.name for item in tmp_path.iterdir()] == ["s.parquet"]

    def test_it_goes_on_where_it_stopped(self, cluster, tmp_path):
        with pytest.raises(DataError, match=r"The corpus is torn\.$"):
            cluster.score(job(tmp_path), partial(frames, broken_after=5), partial(steps, word="first"), (2, 1))
        done = len(list((tmp_path / "s.parquet.parts").glob("0*.parquet")))
        assert 0 < done <= 5
        cluster.score(job(tmp_path), frames, partial(steps, word="second"), (1, 2))
        words = [label.split()[2] for label in pl.read_parquet(tmp_path / "s.parquet")["a"]]
        assert words == ["first"] * 20 * done + ["second"] * 20 * (12 - done)

    def test_a_mistake_is_one_line(self, cluster, tmp_path):
        with pytest.raises(DataError, match=r"^A text has no marks\. Expected: <e1>\.$"):
            cluster.score(job(tmp_path), frames, partial(steps, fails=True), (2, 1))
        with pytest.raises(RecipeError, match=r"3 workers with 2 threads each need 6 processors; Ray has 2\."):
            cluster.score(job(tmp_path), frames, steps, (3, 2))

    def test_a_run(self, toy_run, toy_news, tmp_path, monkeypatch):
        monkeypatch.setattr(pipeline, "SHARD", 30)
        command = ["predict", toy_run, toy_news, "--json", "--out"]
        assert metier(*command, tmp_path / "here.parquet").json["rows"] == 120
        found = metier(*command, tmp_path / "there.parquet", "--engine", "ray", "--workers", 2)
        assert found.code == 0 and found.json["rows"] == 120, found.err
        here, there = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("here", "there"))
        scores = [name for name in here.columns if name.endswith("_score")]
        assert here.drop(scores).equals(there.drop(scores))
        assert ((here.select(scores) - there.select(scores)).max_horizontal().abs() < 1e-5).all()


@pytest.mark.skipif(ray is not None, reason="ray is installed")
def test_without_ray(toy_run, toy_news, tmp_path):
    line = refused("predict", toy_run, toy_news, "--out", tmp_path / "o.csv", "--engine", "ray")
    assert line == "metier: ray is not installed. Try: pip install 'metier[ray]'."


def test_an_unknown_engine(toy_run, toy_news, tmp_path):
    assert "Did you mean 'ray'?" in refused("predict", toy_run, toy_news, "--engine", "rays")
