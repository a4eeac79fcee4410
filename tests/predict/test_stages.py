"""Stages in threads: in order, no further ahead than there is room, and nobody left behind when one fails."""

import threading
import time

import pytest

from metier.predict.stages import Ahead, Behind


def threads():
    """Those of stages: a model of another test may still have its own."""
    return {thread.name for thread in threading.enumerate() if thread.name in ("metier-ahead", "metier-behind")}


def test_order_and_room():
    made = []

    def items():
        for at in range(50):
            made.append(at)
            yield at

    seen = []
    with Ahead(items()) as first, Ahead(map(str, first)) as second:
        for item in second:
            time.sleep(0.002)
            seen.append(item)
            assert len(made) - len(seen) <= 5, "two stages, each with one item waiting and one in hand, and ours"
    assert seen == [str(at) for at in range(50)] and not threads()


def test_they_work_at_the_same_time():
    def slow(item):
        time.sleep(0.05)
        return item

    start = time.perf_counter()
    with Behind(slow) as last, Ahead(map(slow, range(8))) as first, Ahead(map(slow, first)) as second:
        for item in map(slow, second):
            last.put(item)
    assert time.perf_counter() - start < 8 * 4 * 0.05 * 0.75


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["read", "tokenise", "compute", "write"])
def test_an_error_of_any_stage_ends_the_others(where, kind):
    written = []

    def step(name):
        def one(item):
            if name == where and item == 7:
                raise kind(name)
            return item

        return one

    with (
        pytest.raises(kind, match=where),
        Behind(lambda item: written.append(step("write")(item))) as last,
        Ahead(map(step("read"), iter(range(10**9)))) as read,
        Ahead(map(step("tokenise"), read)) as ready,
    ):
        for item in ready:
            last.put(step("compute")(item))
    assert not threads()
    assert written == list(range(7)), "what was computed before is written"


def test_the_last_item_fails():
    def fail(item):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Behind(fail) as last:
        last.put(1)
    assert not threads()


def test_who_stops_early_leaves_nobody():
    with Ahead(iter(range(10**9))) as items:
        assert next(items) == 0
    assert not threads()
