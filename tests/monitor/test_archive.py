"""A replay: in time order, the same every time, wherever it was interrupted."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.item import Received
from metier.apps.monitor.normalise import Item, normalise
from metier.apps.monitor.sources.archive import ArchiveSource, Span
from metier.errors import DataError

START = 1_767_312_000


def write(path: Path, times: list[float | None]) -> Path:
    rows = [{"id": str(at), "text": "x", "time": time} for at, time in enumerate(times)]
    path.write_text("".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows))
    return path


def read(path: Path, span: Span, *, limit: int = 7, again: random.Random | None = None) -> list[Received]:
    """All of it; with `again` each batch may be read by a new object."""
    source, position, found = ArchiveSource(path, span=span), "", []
    while True:
        batch = source.read(position, again.randint(1, limit) if again else limit, 0.0)
        position = batch.position
        found += batch.received
        if batch.ended:
            source.close()
            return found
        if again and again.random() < 0.3:
            source.close()
            source = ArchiveSource(path, span=span)


def ids(found: list[Received]) -> list[int]:
    return [int(one.content["id"]) for one in found]  # type: ignore[index]


@given(
    offsets=st.lists(st.integers(0, 60) | st.none(), min_size=1, max_size=60).filter(lambda them: them[0] is not None),
    buffer=st.integers(1, 70), seed=st.integers(0, 1000),
)  # fmt: skip
@settings(max_examples=60)
def test_wherever_it_is_interrupted_it_goes_on_the_same(
    tmp_path_factory: pytest.TempPathFactory, offsets: list[int | None], buffer: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("archive") / "a.jsonl"
    write(path, [None if offset is None else START + offset for offset in offsets])
    span = Span(buffer=buffer)
    whole = read(path, span)
    assert sorted(ids(whole)) == list(range(len(offsets)))
    assert read(path, span, again=random.Random(seed)) == whole
    arrivals = [one.at for one in whole]
    assert arrivals == sorted(arrivals)
    if buffer >= len(offsets):
        known: list[int] = []
        for offset in offsets:
            known.append(known[-1] if offset is None else offset)
        assert ids(whole) == sorted(range(len(offsets)), key=lambda at: (known[at], at))


def test_what_is_too_far_out_of_place_comes_late_and_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.jsonl", [START + 7200 + at for at in range(20)] + [START] + [START + 7300])
    found = read(path, Span(buffer=5))
    assert "out of order by more than 5 documents" in caplog.text
    late = found[ids(found).index(20)]
    item = normalise(late)
    assert isinstance(item, Item)
    assert item.time == START
    assert item.meta["marks"]["late"] >= 7200
    caplog.clear()
    assert ids(read(path, Span(buffer=30)))[0] == 20
    assert not caplog.text


def test_from_and_to(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [float(START + at) for at in range(1000)])
    assert ids(read(path, Span(START + 100, START + 110))) == list(range(100, 110))
    zipped = tmp_path / "a.jsonl.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert ids(read(zipped, Span(START + 990), again=random.Random(3))) == list(range(990, 1000))


def test_undated_and_future_ones_arrive_with_the_one_before(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [None, START, START + 5, None, 4e9, START + 6])
    found = read(path, Span())
    assert ids(found) == [0, 1, 2, 3, 4, 5]
    assert [one.at - START for one in found] == [0, 0, 5, 5, 5, 6]
    future = normalise(found[4])
    assert isinstance(future, Item)
    assert future.meta["marks"]["clock"] == "future"
    assert future.time == START + 5


def test_an_archive_without_times_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [None, None])
    with pytest.raises(DataError, match="None of the first 2 documents"):
        ArchiveSource(path).read("", 5, 0.0)
    with pytest.raises(DataError, match="no file"):
        ArchiveSource(tmp_path / "none.jsonl")


def test_lines_that_are_broken_keep_their_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [START, START + 1])
    path.write_text(path.read_text().replace("\n", "\n{broken\n", 1))
    found = read(path, Span())
    assert [bool(one.fault) for one in found] == [False, True, False]
    assert found[1].at == START
