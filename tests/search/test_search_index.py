"""An index through its life: built, searched, changed, merged, opened again, damaged, asked from many threads."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from toy_encoder import ToyEncoder

from metier.errors import StoreError
from metier.search import stored
from metier.search.index import Index, Ranking
from metier.search.stored import Entry

ENTRIES = [
    Entry("pin", "How do I change my PIN?", "pin", "en"),
    Entry("pin.2", "I forgot the secret number of my card", "pin", "en"),
    Entry("fee", "What does a transfer abroad cost?", "fee", "en"),
    Entry("lost", "My card was stolen", "lost", "en"),
    Entry("zh", "信用卡丢了怎么办", "lost-zh", "zh"),
    Entry("zh.2", "怎么修改密码", "pin-zh", "zh"),
]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.build(tmp_path / "index", ENTRIES, ToyEncoder(), mark=7, merge=0)


def first(index: Index, text: str, **settings: object) -> str:
    found = index.search(text, **settings)  # type: ignore[arg-type]
    return found[0].group if found else ""


def test_what_was_put_in_is_found(index: Index) -> None:
    assert len(index) == 6 and index.mark == 7
    assert first(index, "change pin") == "pin"
    assert first(index, "secret number") == "pin"
    assert first(index, "transfer abroad cost") == "fee"
    assert first(index, "信用卡丢了") == "lost-zh"
    assert first(index, "密码修改") == "pin-zh"


def test_a_slip_of_the_keyboard_is_forgiven(index: Index) -> None:
    assert first(index, "trasnfer abraod", vector=np.zeros(32)) == "fee"
    assert index.search("qqqqqqq", vector=np.zeros(32)) == []


def test_results_are_groups_with_their_best_text(index: Index) -> None:
    found = index.search("forgot the number of my card, how do I change my PIN?", limit=5)
    groups = [hit.group for hit in found]
    assert len(groups) == len(set(groups)) and groups[0] == "pin"
    assert all(0.0 <= hit.score <= 1.0 for hit in found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


def test_limit_counts_groups_even_where_one_has_many_texts(tmp_path: Path) -> None:
    many = [Entry(f"a{at}", f"card card number {at}", "many") for at in range(300)]
    index = Index.build(tmp_path / "index", [*many, Entry("b", "a card"), Entry("c", "that card there")], ToyEncoder())
    assert {hit.group for hit in index.search("card number", limit=3)} == {"many", "b", "c"}


def test_groups_can_be_chosen(index: Index) -> None:
    assert {hit.group for hit in index.search("my card", groups={"fee", "lost"})} <= {"fee", "lost"}
    assert index.search("my card", groups=()) == []
    index.put([Entry("new", "my card is blue", "blue")])
    assert [hit.group for hit in index.search("my card", groups={"blue"})] == ["blue"]


def test_a_known_vector_is_not_computed_again(index: Index) -> None:
    encode = index._encode
    assert isinstance(encode, ToyEncoder)
    vector = encode(["my card was stolen"])[0]
    calls = len(encode.calls)
    assert index.search("my card was stolen", vector=vector)[0].group == "lost"
    assert len(encode.calls) == calls


def test_changes_are_found_at_once(index: Index) -> None:
    index.put([Entry("app", "Where can I download the app?", "app")], mark=8)
    assert first(index, "download the app") == "app" and "app" in index and index.mark == 8
    index.put([Entry("fee", "Is there a student discount?", "fee")])
    assert first(index, "student discount") == "fee"
    assert "fee" not in [hit.group for hit in index.search("transfer abroad", vector=np.zeros(32))]
    index.remove(["app", "lost", "never there"], mark=9)
    assert "app" not in index and "lost" not in index and len(index) == 5 and index.mark == 9
    assert "lost" not in [hit.group for hit in index.search("card stolen")]


def test_a_change_takes_less_than_ten_milliseconds(index: Index) -> None:
    for at in range(300):
        index.put([Entry(f"n{at}", f"text number {at} about something")], vectors=np.ones((1, 32), dtype=np.float32))
    took = []
    for at in range(40):
        start = time.thread_time()
        index.put([Entry(f"m{at}", "another text")], vectors=np.ones((1, 32), dtype=np.float32))
        took.append(time.thread_time() - start)
    assert float(np.median(took)) < 0.01


def test_scores_in_memory_are_those_on_disk(tmp_path: Path) -> None:
    whole = Index.build(tmp_path / "whole", ENTRIES, ToyEncoder())
    grown = Index.build(tmp_path / "grown", ENTRIES[:3], ToyEncoder(), merge=0)
    grown.put(ENTRIES[3:])
    assert grown.merge() and not grown.merge()
    for text in ("my card was stolen", "信用卡", "transfer costs", "PIN"):
        assert [(h.group, round(h.score, 5), h.ranks) for h in whole.search(text)] == [
            (h.group, round(h.score, 5), h.ranks) for h in grown.search(text)
        ]


def test_merged_and_opened_again_nothing_is_lost(index: Index) -> None:
    index.put([Entry("app", "Where can I download the app?", "app")], mark=11)
    index.remove(["lost"])
    before = [(hit.group, hit.text) for hit in index.search("download the app")]
    assert index.merge()
    again = Index(index.folder, ToyEncoder())
    assert len(again) == len(index) == 6 and again.mark == 11
    assert [(hit.group, hit.text) for hit in again.search("download the app")] == before
    assert "lost" not in again
    assert sorted(path.name for path in index.folder.iterdir()) == ["000002", "current.json"]


def test_changes_during_a_merge_survive_it(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.put([Entry("one", "the first new text"), Entry("two", "the second new text")])
    write = stored.write

    def slow(*given: object, **named: object) -> object:
        made = write(*given, **named)  # type: ignore[arg-type]
        index.put([Entry("three", "came while it was written"), Entry("fee", "changed while it was written")])
        index.remove(["one", "pin"])
        return made

    monkeypatch.setattr(stored, "write", slow)
    assert index.merge()
    assert "one" not in index and "pin" not in index and "two" in index and "three" in index
    assert first(index, "changed while") == "fee" and len(index) == 7
    assert len(index.search("transfer abroad", vector=np.zeros(32))) == 0


def test_many_changes_are_written_in_the_background(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "index", ENTRIES, ToyEncoder(), merge=20)
    for at in range(25):
        index.put([Entry(f"n{at}", f"new text {at}")])
    index.wait()
    assert not index.trouble and index._stored.n >= 26 and len(index) == 31
    assert len(Index(tmp_path / "index", ToyEncoder())) >= 26


def test_asked_and_changed_from_many_threads(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "index", ENTRIES, ToyEncoder(), merge=15)
    wrong: list[BaseException] = []

    def change(part: int) -> None:
        try:
            for at in range(20):
                index.put([Entry(f"{part}.{at}", f"thread {part} text {at}")])
                assert index.search(f"thread {part} text {at}", limit=50)
                if at % 3 == 0:
                    index.remove([f"{part}.{at}"])
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            wrong.append(error)

    threads = [threading.Thread(target=change, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    index.wait()
    assert not wrong and len(index) == 6 + 4 * 13


def test_a_cut_off_generation_is_swept_away(index: Index) -> None:
    (index.folder / "000002.partial").mkdir()
    (index.folder / "000002.partial" / "texts.bin").write_bytes(b"half")
    (index.folder / "000003").mkdir()  # whole, but killed before it counted
    again = Index(index.folder, ToyEncoder(), merge=0)
    assert first(again, "transfer abroad") == "fee"
    assert sorted(path.name for path in index.folder.iterdir()) == ["000001", "current.json"]


def test_an_empty_index_takes_texts(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "index", [], ToyEncoder(), merge=0)
    assert index.search("anything") == [] and len(index) == 0
    index.put([Entry("a", "anything goes", "")])
    assert first(index, "anything") == "a"
    assert index.merge() and first(Index(index.folder, ToyEncoder()), "anything") == "a"


def test_odd_queries_find_nothing_or_something_but_do_not_fail(index: Index) -> None:
    for text in ("", " ", "?!", "\x00", "a" * 100_000, "\ud800", "🙂", "的"):
        assert isinstance(index.search(text), list)


def test_a_second_look_changes_the_order(tmp_path: Path) -> None:
    def last(query: str, texts: object) -> list[float]:
        return [1.0 if "stolen" in text else 0.0 for text in texts]  # type: ignore[attr-defined]

    ranking = Ranking(rerank=last, weight=1.0, seconds=5.0)
    index = Index.build(tmp_path / "index", ENTRIES, ToyEncoder(), ranking=ranking)
    assert first(index, "secret number of my card") == "lost"
    late = Index(tmp_path / "index", ToyEncoder(), ranking=Ranking(rerank=last, weight=1.0, seconds=-1.0))
    assert first(late, "secret number of my card") == "pin"


@pytest.mark.parametrize("name", ["facts.json", "texts.bin", "vectors.npy", "weights.npy", "group_of.npy"])
def test_a_cut_off_file_is_refused_in_one_line(index: Index, name: str) -> None:
    file = index.folder / "000001" / name
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(StoreError, match=name) as caught:
        Index(index.folder, ToyEncoder())
    assert "\n" not in str(caught.value) and "Try:" in str(caught.value)


def test_a_pickle_is_not_loaded(index: Index) -> None:
    file = index.folder / "000001" / "lengths.npy"
    np.save(file, np.array([{"a": 1}] * 6, dtype=object), allow_pickle=True)
    facts = json.loads((index.folder / "000001" / "facts.json").read_text())
    facts["files"]["lengths.npy"] = file.stat().st_size
    (index.folder / "000001" / "facts.json").write_text(json.dumps(facts))
    with pytest.raises(StoreError, match="cannot be read"):
        Index(index.folder, ToyEncoder())


def test_foreign_folders_are_refused(tmp_path: Path, index: Index) -> None:
    with pytest.raises(StoreError, match="is not an index"):
        Index(tmp_path, ToyEncoder())
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="no index"):
        Index.build(tmp_path / "notes", ENTRIES, ToyEncoder())
    (index.folder / "current.json").write_text('{"generation": "../../etc"}')
    with pytest.raises(StoreError, match="no generation"):
        Index(index.folder, ToyEncoder())


def test_another_encoder_is_refused(index: Index) -> None:
    other = ToyEncoder()
    other.version = "other"
    with pytest.raises(StoreError, match="encoder toy, not with other"):
        Index(index.folder, other)


def test_two_texts_with_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="'pin'"):
        Index.build(tmp_path / "index", [*ENTRIES, ENTRIES[0]], ToyEncoder())
    assert not list((tmp_path / "index").iterdir())
