"""The ring: what is dropped is named, what can wait waits, and what a lost host did not get is sent again."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import ring as ring_module
from firmware.ring import MOST_GAPS, Ring, joined
from hw.link import Ended, Message, Reply, Timebase
from hw.samples import Gap, SampleBlock
from tests.support.links import is_true, tiles, true_block

WITHIN_S = 10.0


def drain(ring: Ring) -> list[SampleBlock | Message]:
    items = []
    while (item := ring.get(0)) is not None:
        items.append(item)
    return items


def blocks_of(ring: Ring) -> list[SampleBlock]:
    return [item for item in drain(ring) if isinstance(item, SampleBlock)]


class Watched(threading.Condition):
    """A condition that tells when somebody is about to wait for room."""

    waiting = threading.Event()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        if not predicate():
            self.waiting.set()
        return super().wait_for(predicate, timeout)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    monkeypatch.setattr(ring_module.threading, "Condition", Watched)
    monkeypatch.setattr(Watched, "waiting", threading.Event())
    return Watched.waiting


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    thread.join(WITHIN_S)
    return not thread.is_alive()


def test_blocks_and_messages_come_out_in_order() -> None:
    ring = Ring(100, patient=False)
    items = [true_block(0, 10), Reply(1, ""), true_block(10, 10), Ended(20)]
    for item in items:
        ring.put(item)
    assert drain(ring) == items
    assert ring.get(0) is None


def test_the_oldest_blocks_go_first_and_the_next_one_names_what_is_missing() -> None:
    ring = Ring(30, patient=False)
    for first in range(0, 60, 10):
        ring.put(true_block(first, 10))
        ring.put(Reply(first, ""))
    got = drain(ring)
    assert [item.command for item in got if isinstance(item, Reply)] == [0, 10, 20, 30, 40, 50]
    first, *others = [item for item in got if isinstance(item, SampleBlock)]
    assert (first.first_index, first.gaps) == (30, (Gap(0, 30, "overflow"),))
    assert all(block.gaps == () for block in others)


def test_reports_of_the_clock_do_not_pile_up_when_nobody_listens() -> None:
    ring = Ring(30, patient=False)
    for first in range(0, 1000, 10):
        ring.put(Timebase(first, first, 1.0, 0.0, 0.0, 0.0, 0, 1))
        ring.put(Reply(first, ""))
        ring.put(true_block(first, 10))
    got = drain(ring)
    assert [item.index for item in got if isinstance(item, Timebase)] == [970, 980, 990]
    assert len([item for item in got if isinstance(item, Reply)]) == 100  # answers are never dropped
    assert [item.first_index for item in got if isinstance(item, SampleBlock)] == [970, 980, 990]


def test_gaps_of_dropped_blocks_are_kept_under_their_own_reasons() -> None:
    ring = Ring(20, patient=False)
    ring.put(true_block(5, 10, gaps=(Gap(0, 5, "torn"),)))
    ring.put(true_block(18, 10, gaps=(Gap(15, 3, "missed"),)))
    ring.put(true_block(29, 20, gaps=(Gap(28, 1, "missed"),)))
    (block,) = blocks_of(ring)
    assert block.gaps == (
        Gap(0, 5, "torn"),
        Gap(5, 10, "overflow"),
        Gap(15, 3, "missed"),
        Gap(18, 10, "overflow"),
        Gap(28, 1, "missed"),
    )


def test_a_block_larger_than_the_ring_is_kept_alone() -> None:
    ring = Ring(20, patient=False)
    ring.put(true_block(0, 10))
    ring.put(true_block(10, 50))
    (block,) = blocks_of(ring)
    assert (block.first_index, len(block.counts), block.gaps) == (10, 50, (Gap(0, 10, "overflow"),))


def steps(largest: int) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    """("put", samples, lost before them) and ("get", items, 0)."""
    put = st.tuples(st.just("put"), st.integers(1, largest), st.integers(0, 5))
    return st.lists(put | st.tuples(st.just("get"), st.integers(1, 4), st.just(0)), max_size=60)


@pytest.mark.control("H9.2")
@given(steps(70))
def test_gaps_and_samples_tile_the_time_line_whatever_the_order_of_puts_and_gets(steps: list) -> None:
    ring, at, got = Ring(50, patient=False), 0, []
    for what, n, lost in steps:
        if what == "put":
            gaps = (Gap(at, lost, "missed"),) if lost else ()
            ring.put(true_block(at + lost, n, gaps=gaps))
            at += lost + n
        else:
            got += [item for _ in range(n) if isinstance(item := ring.get(0), SampleBlock)]
    got += blocks_of(ring)
    assert tiles(got, 0)
    assert all(map(is_true, got))
    assert at == (got[-1].end_index if got else 0)


@given(steps(25), st.sets(st.integers(0, 59)))
def test_a_second_host_misses_nothing_that_the_first_did_not_keep(steps: list, cuts: set[int]) -> None:
    """At a cut, the last two blocks that were given were still under way and are lost with their host."""
    ring, at, kept, under_way = Ring(50, patient=False), 0, [], []
    for number, (what, n, lost) in enumerate(steps):
        if what == "put":
            ring.put(true_block(at + lost, n, gaps=(Gap(at, lost, "torn"),) if lost else ()))
            at += lost + n
        else:
            under_way += [item for _ in range(n) if isinstance(item := ring.get(0), SampleBlock)]
        if number in cuts:
            kept += under_way[:-2]
            under_way = []
            ring.rewind()
    kept += under_way + blocks_of(ring)
    reached = 0
    for block in kept:
        assert is_true(block)
        named = [g.index for g in block.gaps]
        assert min([*named, block.first_index]) <= reached  # nothing is missing without a name
        reached = max(reached, block.end_index)
    assert reached == at


def test_rewinding_gives_the_last_samples_again_and_no_more_than_the_ring_holds() -> None:
    ring = Ring(30, patient=False)
    for first in range(0, 100, 10):
        ring.put(true_block(first, 10))
        ring.put(Reply(first, ""))
        drain(ring)
    ring.put(true_block(100, 10))
    ring.rewind()
    ring.rewind()
    got = drain(ring)
    assert [block.first_index for block in got if isinstance(block, SampleBlock)] == [70, 80, 90, 100]
    assert len(got) == 4  # what was said is not said twice
    assert tiles(got, 70)


def test_what_was_rewound_takes_room_again() -> None:
    ring = Ring(30, patient=False)
    for first in (0, 10, 20):
        ring.put(true_block(first, 10))
    assert len(drain(ring)) == 3
    ring.rewind()
    for first in (30, 40):
        ring.put(true_block(first, 10))
    got = blocks_of(ring)
    assert [b.first_index for b in got] == [20, 30, 40]
    assert got[0].gaps == (Gap(0, 20, "overflow"),)


def test_gaps_of_a_rewound_block_come_again_with_it() -> None:
    ring = Ring(30, patient=False)
    ring.put(true_block(7, 10, gaps=(Gap(0, 7, "missed"),)))
    first = drain(ring)
    ring.rewind()
    assert [b.gaps for b in blocks_of(ring)] == [first[0].gaps] == [(Gap(0, 7, "missed"),)]


def test_a_message_that_could_not_be_sent_is_the_next_one_again() -> None:
    ring = Ring(30, patient=False)
    ring.put(true_block(0, 10))
    ring.put(Ended(10))
    block, end = drain(ring)
    ring.put_back(end)
    ring.put_back(block)  # blocks come again by rewinding only
    assert drain(ring) == [end]
    ring.put_back(end)
    ring.rewind()
    assert [type(item) for item in drain(ring)] == [SampleBlock, Ended]


def test_joined_gaps_stay_within_what_the_link_can_carry() -> None:
    assert joined([Gap(0, 5, "torn"), Gap(5, 2, "torn"), Gap(7, 1, "missed")]) == (
        Gap(0, 7, "torn"),
        Gap(7, 1, "missed"),
    )
    assert joined([Gap(0, 5, "torn"), Gap(6, 2, "torn")]) == (Gap(0, 5, "torn"), Gap(6, 2, "torn"))
    longest = (1 << 32) - 1
    long = joined(
        [Gap(0, longest, "overflow"), Gap(longest, longest, "overflow"), Gap(2 * longest, 5, "torn")]
    )
    assert long == (
        Gap(0, longest, "overflow"),
        Gap(longest, longest, "overflow"),
        Gap(2 * longest, 5, "torn"),
    )
    assert joined([Gap(9, 2 * longest + 1, "missed")]) == (
        Gap(9, longest, "missed"),
        Gap(9 + longest, longest, "missed"),
        Gap(9 + 2 * longest, 1, "missed"),
    )


def test_very_many_gaps_become_one_that_covers_them() -> None:
    many = [Gap(3 * k, 1 + 2 * (k % 2), "torn" if k % 2 else "missed") for k in range(2 * MOST_GAPS)]
    tiled, at = [], 0
    for gap in many:
        tiled.append(Gap(at, gap.length, gap.reason))
        at += gap.length
    assert joined(tiled[:MOST_GAPS]) == tuple(tiled[:MOST_GAPS])
    assert joined(tiled) == (Gap(0, at, "overflow"),)


@pytest.mark.control("H16.2")
def test_a_host_that_never_comes_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_module, "MOST_GAPS", 50)
    ring = Ring(20, patient=False)
    for first in range(0, 1000, 4):
        ring.put(true_block(first + 1, 3, gaps=(Gap(first, 1, "missed"),)))
    first_block = blocks_of(ring)[0]
    assert len(first_block.gaps) <= 50
    assert first_block.gaps[0].index == 0
    assert sum(g.length for g in first_block.gaps) == first_block.first_index


def test_a_patient_source_waits_until_there_is_room(watched: threading.Event) -> None:
    ring = Ring(20, patient=True)
    ring.put(true_block(0, 10))
    ring.put(true_block(10, 10))
    producer = in_thread(lambda: ring.put(true_block(20, 10)))
    assert watched.wait(WITHIN_S)
    ring.put(Reply(1, ""))  # a message needs no room
    assert producer.is_alive()
    first = ring.get(WITHIN_S)
    assert isinstance(first, SampleBlock)
    assert ended(producer)
    assert tiles([first, *blocks_of(ring)], 0)


def test_a_patient_source_never_loses_a_sample(watched: threading.Event) -> None:
    ring = Ring(20, patient=True)
    producer = in_thread(lambda: [ring.put(true_block(first, 7)) for first in range(0, 700, 7)])
    got = []
    while not got or got[-1].end_index < 700:
        got.append(ring.get(WITHIN_S))
    assert ended(producer)
    assert tiles(got, 0)
    assert not any(block.gaps for block in got)


def test_a_patient_source_gets_a_large_block_into_an_empty_ring(watched: threading.Event) -> None:
    ring = Ring(5, patient=True)
    assert ended(in_thread(lambda: ring.put(true_block(0, 50))))
    producer = in_thread(lambda: ring.put(true_block(50, 1)))
    assert watched.wait(WITHIN_S)
    assert [b.end_index for b in (ring.get(WITHIN_S), ring.get(WITHIN_S)) if b is not None] == [50, 51]
    assert ended(producer)


def test_closing_lets_go_of_who_waits_and_takes_nothing_more(watched: threading.Event) -> None:
    ring = Ring(10, patient=True)
    ring.put(true_block(0, 10))
    producer = in_thread(lambda: ring.put(true_block(10, 10)))
    assert watched.wait(WITHIN_S)
    ring.close()
    assert ended(producer)
    ring.put(Reply(1, ""))
    (block,) = drain(ring)  # what it held is still there
    assert isinstance(block, SampleBlock)
    assert block.end_index == 10


def test_who_waits_for_an_item_is_woken_by_it() -> None:
    ring, got = Ring(10, patient=False), []
    consumer = in_thread(lambda: got.append(ring.get(WITHIN_S)))
    ring.put(Ended(3))
    assert ended(consumer)
    assert got == [Ended(3)]
