"""The soak's judge, and a soak of some minutes in lockstep: what is bounded stays so, and a leak is found.

What a case remembers of its last sweeps is made short here, so that it is full in half a minute; `make soak`
takes days for it.
"""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from hostd import case_folder, casefile, store
from hostd.recorder import Recorder
from hw.link import Receiver, Reply, StimArm
from hw.model.scenario import NO_CHANGE
from tests.soak import campaign
from tests.soak.apart import EdgeApart
from tests.soak.box import Box
from tests.soak.edge import FastEdge
from tests.soak.gauges import rss_kb
from tests.soak.judge import evenness, trend
from tests.soak.memories import MEMORIES, shortened
from tests.soak.verdict import Bars, verdict

WARM_H, CLEAN_H, END_H = 0.04, 0.09, 0.14
BARS = Bars(
    growth={"blocks": 45_000.0, "rss_kb": 16_000.0, "handles": 0.5, "threads": 0.5, "waiting": 0.5},
    level={"time_off_us": 60.0},
    even={"raw_kb": 0.05},
)
"""What fills up in half an hour is still filling: blocks by 17,000 to 28,000 an hour, SQLite's own memory."""
LEAKED = 40
BLOCK = 100


def line(slope: float, noise: float, n: int = 60, seed: int = 1) -> tuple[Any, Any]:
    """Readings every tenth of an hour."""
    hours = np.arange(1, n + 1) / 10.0
    return hours, 1000.0 + slope * hours + noise * np.random.default_rng(seed).standard_normal(n)


def test_the_judge_tells_a_slope_with_its_error() -> None:
    off = []
    for seed in range(200):
        t = trend(*line(5.0, 10.0, seed=seed))
        off.append((t.slope - 5.0) / t.error)
    assert 0.7 < float(np.std(off)) < 1.3
    t = trend(*line(5.0, 0.0))
    assert t.slope == pytest.approx(5.0) and t.error == pytest.approx(0.0, abs=1e-9)
    assert (t.start, t.middle, t.end) == pytest.approx((1001.75, 1015.25, 1028.75))
    assert t.within(5.1) and not t.within(4.9) and t.level(5.1) and not trend(*line(-5.0, 0.0)).level(4.9)


def test_what_recurs_with_every_baseline_is_no_growth_and_hides_none() -> None:
    """A saw of 100 that is learnt anew every hour, from minute 3 on, 27 readings in 4.5 hours."""
    hours = np.arange(1, 28) / 6.0
    saw = 100.0 * np.minimum(1.0, 3.0 * ((hours - 0.05) % 1.0))
    off = []
    for seed in range(200):
        noise = np.random.default_rng(seed).standard_normal(len(hours))
        t = trend(hours, saw + 3.0 * hours + noise, 1.0)
        off.append((t.slope - 3.0) / t.error)
        assert t.within(4.0) and not t.within(2.2)
    assert 0.7 < float(np.std(off)) < 1.3
    assert not trend(hours, saw, 0.0).within(4.0), "by its line alone it could not be told"
    assert trend(hours, saw * hours, 1.0).slope > 30.0, "a saw that grows is growth"
    few = hours[:16]
    assert trend(few, saw[:16], 1.0) == trend(few, saw[:16]), "two periods are too few"
    seldom = np.cumsum([0.1, 1.02] * 8)  # hardly two of a moment
    assert trend(seldom, 5.0 * seldom, 1.0).slope == pytest.approx(5.0)


def test_what_cannot_be_told_is_not_good() -> None:
    t = trend(*line(0.0, 100.0))
    assert not t.within(1.0) and t.within(100.0)
    with pytest.raises(ValueError, match="7 points tell no slope; at least 8"):
        trend(*line(0.0, 1.0, 7))
    with pytest.raises(ValueError, match="no number"):
        trend(np.arange(9.0), np.full(9, np.nan))


def test_steps_make_the_error_larger_than_noise_does() -> None:
    hours = np.arange(60) / 10.0
    steps = np.repeat(np.random.default_rng(2).standard_normal(6), 10)
    mixed = np.random.default_rng(3).permutation(steps)
    assert trend(hours, steps).error > 2.0 * trend(hours, mixed).error


def test_what_grows_faster_and_faster_is_not_even() -> None:
    hours = np.arange(1.0, 41.0)
    assert evenness(hours, 7.0 * hours) == pytest.approx(1.0)
    assert evenness(hours, hours**2) > 2.0


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A memory and segments of a minute, and commits that are not waited for."""
    monkeypatch.setattr(store, "COMMIT_EVERY_NS", 20_000_000)
    monkeypatch.setattr(case_folder, "Recorder", partial(Recorder, segment_s=60.0))
    with shortened():
        yield


@pytest.fixture
def handles() -> Iterator[list[BinaryIO]]:
    """Files that are left open until the test is over."""
    opened: list[BinaryIO] = []
    yield opened
    for file in opened:
        file.close()


def leaking(kept: list[bytes], handles: list[BinaryIO], box: Box) -> None:
    """From CLEAN_H on: a hundred bytes for each sweep, forty times over, and a file every minute."""
    late_s = box.taken / box.rate_hz - CLEAN_H * 3600.0
    if late_s < 0.0:
        box.counted = box.heard["sweep.left_median"]  # type: ignore[attr-defined]
        return
    due = LEAKED * (box.heard["sweep.left_median"] - box.counted)  # type: ignore[attr-defined]
    kept += [bytes(100 + k % 50) for k in range(len(kept), due)]
    while len(handles) < late_s // 60.0:
        handles.append(Path("/dev/null").open("rb"))  # noqa: SIM115 (a leak)


@pytest.mark.usefixtures("short")
def test_some_minutes_of_a_case_grow_no_more_than_they_may_and_a_leak_is_found(
    tmp_path: Path, handles: list[BinaryIO]
) -> None:
    kept: list[bytes] = []
    soak = campaign.small(END_H, warm_hours=WARM_H, every_s=9.0, block_s=2.0, bars=BARS)
    outcome = campaign.run(soak, tmp_path, harmed=partial(leaking, kept, handles))
    lost = [text for text in outcome.wrong if "per hour" not in text]
    assert lost == [], "every sample is on file, every message was heard, every pulse was proven"
    assert not list(tmp_path.glob("*/raw.bdf")), "the oldest segments were checked and removed"
    clean = [row for row in outcome.rows if row.hours < CLEAN_H]
    table, wrong = verdict(clean, WARM_H, BARS)
    # In a process of many tests some handle of another one may be closed, or open for a moment: a slope is no
    # measure, nor is one reading.
    assert [text for text in wrong if not text.startswith("handles")] == [] and len(table) == 7
    third = len(clean) // 3
    assert min(row.handles for row in clean[-third:]) <= max(row.handles for row in clean[:third])
    leaky = [row for row in outcome.rows if row.hours >= CLEAN_H]
    _, wrong = verdict(leaky, CLEAN_H, BARS)
    found = {text.partition(":")[0] for text in wrong}
    assert {"blocks", "handles"} <= found, outcome.table
    assert len(kept) > 500 and len(handles) >= 2


def test_memories_are_made_short_for_a_while_and_never_longer() -> None:
    before = [getattr(memory.module, memory.name) for memory in MEMORIES]
    with shortened():
        assert [getattr(memory.module, memory.name) for memory in MEMORIES] == [m.short for m in MEMORIES]
        with pytest.raises(ValueError, match=r"comparison\.RECENT is 64, shorter than 64"), shortened():
            pass
    assert [getattr(memory.module, memory.name) for memory in MEMORIES] == before


@pytest.fixture
def case() -> casefile.Case:
    return casefile.load(Path(campaign.__file__).with_name("small.toml"))


def test_blocks_are_the_same_and_commands_are_obeyed_a_block_later(case: casefile.Case) -> None:
    here = FastEdge(case, 1, NO_CHANGE, BLOCK)
    arm = StimArm(7, 1, 100)
    with EdgeApart(FastEdge(case, 1, NO_CHANGE, BLOCK)) as apart:
        assert apart.description == here.description and apart.block == BLOCK
        assert apart.frames() == here.frames()
        apart.command(arm)
        assert apart.frames() == here.frames(), "the block after was under way"
        here.command(arm)
        told = apart.frames()
        assert told == here.frames()
        assert [m for m in Receiver().feed(told) if isinstance(m, Reply)] == [Reply(7, "")]
        assert 1e3 < rss_kb(apart.pid) < 1e7


def test_the_death_of_the_edge_is_told_at_once_and_its_end_leaves_no_process(case: casefile.Case) -> None:
    with EdgeApart(FastEdge(case, 1, NO_CHANGE, BLOCK)) as apart:
        pid = apart.pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises((EOFError, ConnectionError)):
            for _ in range(3):
                apart.frames()
    assert not Path(f"/proc/{pid}").exists()
