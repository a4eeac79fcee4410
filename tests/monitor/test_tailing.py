"""Files that grow: whatever is appended, cut, renamed, emptied or zipped meanwhile, each line is read once."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.item import Received
from metier.apps.monitor.normalise import Normaliser, Rules
from metier.apps.monitor.sources import DOCUMENT, Source
from metier.apps.monitor.sources.files import PLACES, FileSource, FolderSource
from metier.errors import DataError


def line(number: int, text: str = "x") -> bytes:
    return json.dumps({"id": str(number), "text": text}).encode() + b"\n"


def read(source: Source, position: str, limit: int = 1000) -> tuple[list[Received], str]:
    """Everything that is there now."""
    found: list[Received] = []
    while True:
        batch = source.read(position, limit, 0.0)
        position = batch.position
        found += batch.received
        if not batch.received:
            return found, position


def numbers(found: list[Received]) -> list[int]:
    return [int(one.content["id"]) for one in found if not isinstance(one.content, str)]


@given(data=st.data())
@settings(max_examples=60)
def test_a_file_cut_into_pieces_anywhere_is_read_line_by_line(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text(max_size=30), min_size=1, max_size=12))
    kind = data.draw(st.sampled_from(["jsonl", "gz", "csv"]))
    content = _as(kind, texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    folder = Path(tempfile.mkdtemp())
    path = folder / ("a.csv" if kind == "csv" else "a.jsonl")
    fresh = data.draw(st.booleans())
    source = FileSource(path)
    found: list[Received] = []
    position = ""
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        with path.open("ab") as file:
            file.write(content[start:end])
        if fresh:  # as if the process had been killed and started again
            source.close()
            source = FileSource(path)
        more, position = read(source, position, data.draw(st.integers(1, 5)))
        found += more
    source.close()
    shutil.rmtree(folder)
    assert [one.fault for one in found] == [""] * len(texts)
    assert [(one.content["id"], one.content["text"]) for one in found] == [  # type: ignore[index]
        (str(at), text) for at, text in enumerate(texts)
    ]


def _as(kind: str, texts: list[str]) -> bytes:
    texts[:] = [text.replace("\x00", "").replace("\r", "") for text in texts]
    if kind == "csv":
        rows = io.StringIO()
        writer = csv.writer(rows)
        writer.writerow(["id", "text"])
        writer.writerows([str(at), text] for at, text in enumerate(texts))
        return rows.getvalue().encode()
    lines = [line(at, text) for at, text in enumerate(texts)]
    if kind == "jsonl":
        return b"".join(lines)
    half = len(lines) // 2  # two members
    return gzip.compress(b"".join(lines[:half])) + gzip.compress(b"".join(lines[half:]))


def test_a_half_written_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1) + line(2)[:-5])
    source = FileSource(path)
    found, position = read(source, "")
    assert numbers(found) == [1]
    with path.open("ab") as file:
        file.write(line(2)[-5:])
    assert numbers(read(source, position)[0]) == [2]
    source.close()


def test_a_file_that_does_not_grow_ends_with_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + line(1) + b"\r\n\n" + line(2).rstrip())
    source = FileSource(path, follow=False)
    first = source.read("", 1, 0.0)
    second = source.read(first.position, 5, 0.0)
    assert numbers([*first.received, *second.received]) == [1, 2]
    assert not first.ended
    assert second.ended or source.read(second.position, 5, 0.0).ended
    assert json.loads(second.position)[0] == path.stat().st_size
    source.close()


@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("zipped", [False, True])
def test_rotation_loses_nothing(tmp_path: Path, alive: bool, zipped: bool) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(map(line, range(50))))
    source = FileSource(path)
    batch = source.read("", 20, 0.0)
    position = batch.position
    if not alive:
        source.close()
    for generation, start in enumerate((50, 60)):
        with path.open("ab") as file:
            file.write(b"".join(map(line, range(start, start + 10))))
        if generation:
            os.rename(tmp_path / "a.jsonl.1", tmp_path / "a.jsonl.2")
        os.rename(path, tmp_path / "a.jsonl.1")
        time.sleep(0.01)
        path.write_bytes(b"")
    path.write_bytes(b"".join(map(line, range(70, 80))))
    if zipped and not alive:
        old = tmp_path / "a.jsonl.2"
        stamp = old.stat()
        (tmp_path / "a.jsonl.2.gz").write_bytes(gzip.compress(old.read_bytes()))
        os.utime(tmp_path / "a.jsonl.2.gz", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        old.unlink()
    (tmp_path / "a.jsonl.idx").write_bytes(line(-1))
    if not alive:
        source = FileSource(path)
    found, position = read(source, position, 7)
    assert numbers(found) == list(range(20, 80))
    with path.open("ab") as file:
        file.write(line(80))
    assert numbers(read(source, position)[0]) == [80]
    source.close()


def test_a_file_that_was_renamed_before_its_first_line_was_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1)[:5])
    source = FileSource(path)
    found, position = read(source, "")
    with path.open("ab") as file:
        file.write(line(1)[5:])
    os.rename(path, tmp_path / "a.jsonl.1")
    path.write_bytes(line(2))
    assert numbers(read(source, position)[0]) == [1, 2]
    source.close()


def test_the_end_of_a_file_that_was_renamed_needs_no_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1) + line(2).rstrip())
    source = FileSource(path)
    found, position = read(source, "")
    os.rename(path, tmp_path / "a.jsonl.1")
    more, position = read(source, position)
    assert numbers(found + more) == [1]  # nobody knows yet that it is the end
    path.write_bytes(line(3))
    more, position = read(source, position)
    assert numbers(more) == [2, 3]
    source.close()


@pytest.mark.parametrize("longer", [True, False])
def test_a_file_that_was_emptied_is_begun_anew(tmp_path: Path, longer: bool, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(map(line, range(10))))
    source = FileSource(path)
    found, position = read(source, "")
    with path.open("r+b") as file:
        file.truncate()
        file.write(b"".join(map(line, range(100, 130 if longer else 103))))
    with caplog.at_level(logging.WARNING):
        more, position = read(source, position)
    assert numbers(more) == list(range(100, 130 if longer else 103))
    assert "from its beginning" in caplog.text
    source.close()


def test_a_copy_with_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(map(line, range(30))))
    source = FileSource(path)
    batch = source.read("", 10, 0.0)
    (tmp_path / "copy").write_bytes(path.read_bytes() + line(30))
    os.replace(tmp_path / "copy", path)
    assert numbers(read(FileSource(path), batch.position)[0]) == list(range(10, 31))
    source.close()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, zipped: bool) -> None:
    content = line(1) + b'{"id": "2", "text": "' + b"x" * (DOCUMENT + 100) + b'"}\n' + line(3)
    path = tmp_path / "a.jsonl"
    source = FileSource(path)
    path.write_bytes(gzip.compress(content, 1) if zipped else content[: DOCUMENT + 50])
    found, position = read(source, "")
    if not zipped:
        assert numbers(found) == [1]
        with path.open("ab") as file:
            file.write(content[DOCUMENT + 50 :])
        more, position = read(source, position)
        found += more
    assert numbers(found) == [1, 3]
    assert "line 2: longer than 10 MB" in found[1].fault
    assert len(found[1].content) == 1_000
    source.close()


def test_a_damaged_gzip_file_gives_what_lies_before(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    whole = gzip.compress(b"".join(map(line, range(5_000))))
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" * 100 + whole[len(whole) // 2 + 100 :])
    source = FileSource(path, follow=False)
    position, found, batch = "", [], None
    while batch is None or not batch.ended:
        batch = source.read(position, 1000, 0.0)
        position = batch.position
        found += batch.received
    assert numbers(found[:100]) == list(range(100))
    assert "damaged" in batch.fault
    path.write_bytes(whole[: len(whole) // 2])
    source = FileSource(path, follow=False)
    position, batch = "", None
    while batch is None or not batch.ended:
        batch = source.read(position, 1000, 0.0)
        position = batch.position
    assert "ends too early" in batch.fault
    source.close()


def test_rows_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('id;text\r\n1;"a\r\n""b"";c"\r\n2;5" disk\r\n3\r\n4;ü\r\n5;'.encode() + b"\xff\r\n6;x\r\n")
    source = FileSource(path)
    found, _ = read(source, "", 1)
    good = {one.content["id"]: one.content["text"] for one in found if not isinstance(one.content, str)}
    assert good == {"1": 'a\n"b";c', "2": '5" disk', "4": "ü", "6": "x"}
    assert [one.fault for one in found if one.fault] == [
        "line 5: 1 values, where the first line names 2 columns",
        "line 7: not UTF-8",
    ]
    source.close()


def test_a_quotation_mark_that_is_never_closed_swallows_no_more_than_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\n" + b'0,"open\n' + b"".join(f"{at},x\n".encode() for at in range(1, 1200)))
    source = FileSource(path)
    found, _ = read(source, "")
    assert numbers(found) == list(range(1, 1200))
    assert [one.fault for one in found if one.fault] == ["line 2: not CSV: unexpected end of data"]
    source.close()


def test_other_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"id": "1", "text": "利润下降"}\n'.encode("gb18030"))
    source = FileSource(path, encoding="GB18030")
    assert read(source, "")[0][0].content["text"] == "利润下降"  # type: ignore[index]
    source.close()
    with pytest.raises(DataError, match="cannot be read as 'utf-16'"):
        FileSource(path, encoding="utf-16")


def test_a_file_may_come_later(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    source = FileSource(path)
    batch = source.read("", 5, 0.0)
    assert batch.received == []
    assert "is not there yet" in batch.fault
    path.write_bytes(line(1))
    assert numbers(read(source, batch.position)[0]) == [1]
    source.close()


# -- folders -----------------------------------------------------------------------------------------------------
def test_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, start in (("b.jsonl", 10), ("a.jsonl", 0), ("c.csv", 0), (".d.jsonl", 30), ("e.jsonl.part", 40)):
        (tmp_path / name).write_bytes(b"".join(map(line, range(start, start + 10))) if name != "c.csv" else b"id\n20\n")
    source = FolderSource(tmp_path)
    found, position = read(source, "", 3)
    assert numbers(found) == list(range(21))
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(line(21))
    (tmp_path / "e.jsonl.part").rename(tmp_path / "e.jsonl")
    os.rename(tmp_path / "b.jsonl", tmp_path / "b-2026.jsonl")  # keeps its place
    (tmp_path / "b.jsonl").write_bytes(line(22))
    fresh = FolderSource(tmp_path)
    for one in (source, fresh):
        assert sorted(numbers(read(one, position)[0])) == [21, 22, *range(40, 50)]
        one.close()
    with pytest.raises(DataError, match="no folder"):
        FolderSource(tmp_path / "none")


def test_the_position_of_a_folder_is_bounded(tmp_path: Path) -> None:
    for number in range(3 * PLACES):
        (tmp_path / f"{number:04}.jsonl").write_bytes(line(2 * number) + line(2 * number + 1))
    position, found, rng = "", [], random.Random(1)
    source = FolderSource(tmp_path, follow=False)
    while True:
        batch = source.read(position, 3, 0.0)
        found += batch.received
        position = batch.position
        assert len(json.loads(position)["files"]) <= PLACES + 1
        if batch.ended:
            break
        if rng.random() < 0.1:
            source.close()
            source = FolderSource(tmp_path, follow=False)
    assert numbers(found) == list(range(6 * PLACES))
    source.close()


def test_reading_and_checking_is_fast(tmp_path: Path) -> None:
    """A floor far below what `benchmarks` measures: it notices a square, not a slow machine."""
    path = tmp_path / "a.jsonl"
    row: dict[str, Any] = {"text": "Shares of Acme fell on Monday after a warning", "time": "2026-01-02T03:04:05Z"}
    path.write_bytes(b"".join(json.dumps({**row, "id": str(at)}).encode() + b"\n" for at in range(20_000)))
    source, normalise = FileSource(path, follow=False), Normaliser(Rules())
    start, count, position, ended = time.process_time(), 0, "", False
    while not ended:
        batch = source.read(position, 256, 0.0)
        count += sum(1 for one in batch.received if normalise(one))
        position, ended = batch.position, batch.ended
    assert count == 20_000
    assert count / (time.process_time() - start) > 8_000
    source.close()
