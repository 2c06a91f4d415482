"""The web display's pure parts: the browser's frame, the state that late joiners get, the outboxes."""

import asyncio
import datetime
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd import wire
from hostd.web.board import MAX_TOPICS, Board
from hostd.web.clients import PER_TOPIC_QUEUED, Outbox
from hostd.web.frame import pack_frame
from hostd.web.history import Trend
from hostd.web.pages import LIBRARY, STATIC, pages
from hostd.wire import Message
from tests.support.webclient import array, unframe


def message(topic: str, seq: int, boot: str = "b1", **fields: object) -> Message:
    header, parts = wire.pack_arrays({"boot": boot, "seq": seq, "t_ns": seq * 10**9, **fields})
    return Message(topic, header, parts)


@given(st.text(max_size=40), st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_every_buffer_is_aligned_and_comes_back_exactly(text: str, lengths: list[int]) -> None:
    arrays = {f"a{k}": np.arange(n, dtype="<f4") * 1.5 for k, n in enumerate(lengths)}
    said, buffers = unframe(pack_frame(message("average.x", 1, text=text, **arrays)))
    assert said["header"]["text"] == text and "past" not in said
    for key, expected in arrays.items():
        assert said["header"][key]["offset"] % 8 == 0
        assert array(said, buffers, key).tobytes() == expected.tobytes()


def test_what_json_cannot_say_is_null() -> None:
    odd = {
        "nan": math.nan,
        "inf": [math.inf, 1.0],
        "raw": b"x",
        "when": datetime.datetime.now(datetime.UTC),
        7: (1, {3: -math.inf}),
    }
    said, _ = unframe(pack_frame(Message("status", odd)))
    assert said["header"] == {
        "nan": None,
        "inf": [None, 1.0],
        "raw": None,
        "when": None,
        "7": [1, {"3": None}],
    }


@pytest.mark.parametrize(
    "described",
    [
        {"dtype": "<f4", "shape": [3], "part": 0},
        {"dtype": "<f4", "shape": [2], "part": 1},
        {"dtype": "<f4", "shape": [2], "part": -1},
        {"dtype": "O", "shape": [1], "part": 0},
        {"dtype": "<f4", "shape": "2", "part": 0},
        {"dtype": [["a", "<f4"]], "shape": [2], "part": 0},
    ],
)
def test_an_array_that_disagrees_with_its_buffer_is_null(described: dict) -> None:
    said, _ = unframe(pack_frame(Message("average.x", {"mean_uv": described}, [bytes(8)])))
    assert said["header"]["mean_uv"] is None


@pytest.mark.control("H8.5")
def test_the_board_takes_only_what_is_newer_and_of_this_boot() -> None:
    board = Board()
    assert board.accept(message("status", 5))
    assert not board.accept(message("status", 5)) and not board.accept(message("status", 4))
    assert board.accept(message("status", 1, boot="b2")), "a new daemon counts from 1 again"
    assert not board.accept(message("status", 9, boot="b1")), "stragglers of the old one are refused"
    assert board.boot == "b2"
    assert [unframe(frame)[0]["header"]["seq"] for frame in board.frames()] == [1]


@pytest.mark.parametrize(
    "header", [{}, {"boot": 1, "seq": 1}, {"boot": "b", "seq": "1"}, {"boot": "b", "seq": True}]
)
def test_the_board_refuses_headers_without_boot_or_seq(header: dict) -> None:
    board = Board()
    assert not board.accept(Message("status", header))
    assert board.refused == 1 and not list(board.frames())


def test_the_board_is_bounded_in_topics() -> None:
    board = Board()
    for k in range(MAX_TOPICS + 50):
        board.accept(message(f"average.{k}", 1))
    assert len(list(board.frames())) == MAX_TOPICS and board.refused == 50


def test_a_late_joiner_gets_the_journal_as_past_and_every_alert() -> None:
    board = Board()
    board.accept(message("alert", 1, id="a", state="raised"))
    board.accept(message("stim", 1, verified=True))
    board.accept(message("stim", 2, verified=False))
    for seq in range(1, 600):
        board.accept(message("event", seq, text=str(seq)))
    said = [unframe(frame)[0] for frame in board.frames()]
    past = [one for one in said if one.get("past")]
    assert past[0]["topic"] == "alert", "kept although the journal has long turned over"
    assert past[-1]["header"]["text"] == "599"
    assert {one["topic"] for one in said if not one.get("past")} == {"alert", "stim", "event"}


def test_the_trend_keeps_the_whole_case_within_its_limit() -> None:
    trend = Trend()
    for second in range(5000):
        peak = {
            "name": "N20",
            "present": second % 2 == 0,
            "latency_ms": 20.0,
            "latency_ci_ms": None,
            "amplitude_uv": second,
        }
        trend.add(message("measure.x", second + 1, peaks=[peak]))
    said, buffers = unframe(pack_frame(trend.message("x", "b1")))
    rows = array(said, buffers, "rows")
    assert said["topic"] == "trend.x" and said["header"]["name"] == "N20"
    assert 500 < len(rows) <= Trend.LIMIT
    assert rows[0, 4] == 0 and rows[-1, 4] == 4999, "the first and the newest stay"
    assert np.all(np.diff(rows[:, 0]) > 0) and np.isnan(rows[0, 2])


@pytest.mark.parametrize("peaks", [None, [], ["x"], [{"latency_ms": "20"}], [{"latency_ci_ms": [1]}]])
def test_the_trend_survives_any_peaks(peaks: object) -> None:
    trend = Trend()
    trend.add(message("measure.x", 1, peaks=peaks))
    pack_frame(trend.message("x", "b1"))


def drain(outbox: Outbox) -> list[bytes | None]:
    async def all_of_it() -> list[bytes | None]:
        return [await outbox.get() for _ in range(len(outbox._frames))]

    return asyncio.run(all_of_it())


@pytest.mark.control("H8.6")
def test_a_slow_browser_loses_old_averages_but_no_event_and_no_baseline() -> None:
    outbox = Outbox()
    for k in range(50):
        outbox.put("average.left", b"L%d" % k)
        outbox.put("measure.left", b"m%d" % k)
        outbox.put("baseline.left", b"b%d" % k)
    outbox.put("average.right", b"R0")
    kept = drain(outbox)
    assert [frame for frame in kept if frame and frame[:1] in b"LR"] == [b"L48", b"L49", b"R0"]
    assert sum(frame[:1] in b"mb" for frame in kept if frame) == 100
    assert outbox.dropped == 50 - PER_TOPIC_QUEUED
    outbox.put("average.left", b"L50")
    assert drain(outbox) == [b"L50"], "counts follow what was sent"


@pytest.mark.control("H11.7")
def test_an_outbox_that_cannot_keep_its_events_ends_instead_of_dropping_one() -> None:
    outbox = Outbox(events_queued=3)
    for k in range(4):
        outbox.put("event", b"%d" % k)
    assert outbox.overflowed and asyncio.run(outbox.get()) is None


def test_a_lost_message_with_nothing_behind_it_is_missed_after_a_second() -> None:
    board = Board()

    def said(topic: str, seq: int, **fields: object) -> Message:
        message = Message(topic, {"boot": "b", "seq": seq, "t_ns": 0, **fields})
        board.accept(message)
        return message

    said("alert", 1, id="a")
    said("average.x", 4)
    said("average.x", 7)
    assert board.missed == 2, "a hole in the numbers"
    asks = []
    for beat in range(1, 30):
        said("average.x", 10 * beat)  # always a message behind what the beat tells: on its way
        latest = {"alert": 2, "average.x": 10 * beat + 1, "sweep.x": 9, 3: 4, "emg": "x"}
        asks.append(board.behind(said("beat", beat, latest=latest), ("alert", "average.")))
    assert asks.index(True) == 9 and asks.count(True) == 1, "of the alert alone, and once"
    said("alert", 2, id="a")
    assert not board.behind(said("beat", 99, latest={"alert": 2}), ("alert",))
    assert not board.behind(said("beat", 100, latest="nonsense"), ("alert",))


def test_all_pages_together_weigh_less_than_half_a_megabyte() -> None:
    files = pages()
    assert {"", "index.html", "wall", "reader", "uplot.js", "uplot.css", "main.js"} - set(files) == {""}
    if not LIBRARY.is_dir():
        pytest.skip("no uPlot here: make setup installs it")
    assert len(files["uplot.js"][0]) > 50_000 and sum(len(body) for body, _ in files.values()) < 500_000


def test_the_readme_names_every_file() -> None:
    told = (STATIC.parent / "README.md").read_text("utf-8")
    files = [*STATIC.parent.glob("*.py"), *STATIC.glob("*.js")]
    missing = [path.name for path in files if f"`{path.name}`" not in told and path.name != "__init__.py"]
    assert missing == []
