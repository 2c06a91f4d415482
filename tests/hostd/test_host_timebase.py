"""The host's time of a sample: the edge's fit less the filter's delay, never running back, told in status."""

import itertools
import math
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.playback import RecordingSource
from firmware.timebase import TimebaseReporter
from hostd import casefile, timebase
from hostd.case_folder import CaseFolder
from hostd.replay import Replay
from hostd.store import read_rows
from hostd.timebase import KEPT_REPORTS, STEP_NS, Timebase, filter_delay
from hostd.wire import pack_arrays
from hw.board import LATCH_LAG_SAMPLES, LATENCY_OFFSET_SAMPLES, SINC3_DELAY_SAMPLES
from hw.link import Description
from hw.link import Timebase as Report
from tests.hostd.conftest import Live
from tests.support.links import true_block
from tests.support.session import Ear, LiveHost

CASE = casefile.procedure("median_ssep")
UTC_NS = 1_767_600_000_000_000_000
MS = 1_000_000
DELAY_NS = 1_500_000  # of the filter, at 1 kSPS


def report(index: int, t_ns: int, ns_per_sample: float = 1e6, **over: float) -> Report:
    usual = {"ppm": 0.0, "wander_ppm": 0.5, "residual_ns": 2000.0, "refused": 3, "settled": 1}
    return Report(index, t_ns, ns_per_sample, **(usual | over))  # type: ignore[arg-type]


def edge_ns(base: Timebase, index: int) -> int:
    """Time of the edge of `index`, from that of its sample."""
    return base.at(index)[0] + DELAY_NS


def described(source: str) -> Description:
    return Description(source, 1000.0, ("A",), (1.0,), (0.0,), LATENCY_OFFSET_SAMPLES, 4)


@pytest.mark.parametrize(("source", "samples"), [("simulated", 1.5), ("pi", 1.5), ("file", 0.0)])
def test_a_sample_is_older_than_its_edge_unless_a_recording_says_its_time(
    source: str, samples: float
) -> None:
    delay = filter_delay(described(source))
    assert delay == samples
    base = Timebase(1000.0, delay, (10, 20 * MS), UTC_NS)
    assert base.at(10) == (20 * MS - round(samples * MS), UTC_NS + 20 * MS - round(samples * MS))


def test_the_latency_of_a_response_knows_the_same_delay() -> None:
    """A trigger bit is latched with its edge; its sample is SINC3_DELAY_SAMPLES older than that."""
    assert filter_delay(described("pi")) == SINC3_DELAY_SAMPLES == LATCH_LAG_SAMPLES - LATENCY_OFFSET_SAMPLES


def test_without_reports_time_goes_from_the_newest_edge() -> None:
    base = Timebase(1000.0, 1.5, (0, 0), UTC_NS)
    base.follow(99, 500 * MS)
    base.follow(109, 511 * MS)
    assert [edge_ns(base, i) // MS for i in (99, 109, 110)] == [501, 511, 512]
    assert base.status(110) == {
        "rate_hz": 1000.0,
        "ppm": None,
        "wander_ppm": None,
        "residual_us": None,
        "refused": 0,
        "settled": False,
        "filter_delay_samples": 1.5,
        "edge_ns": 512 * MS,
        "sample_ns": 512 * MS - DELAY_NS,
    }


def test_with_reports_time_lies_on_their_lines_and_a_late_edge_no_longer_counts() -> None:
    base = Timebase(1000.0, 1.5, (0, 0), UTC_NS)
    assert base.learn(report(100, 1000 * MS, 1.01e6))
    base.follow(109, 5000 * MS)  # seconds late
    assert edge_ns(base, 110) == 1000 * MS + 10_100_000
    assert edge_ns(base, 90) == 1000 * MS - 10_100_000
    assert base.learn(report(200, 1000 * MS + 101_500_000, 1.02e6))
    assert edge_ns(base, 150) == 1000 * MS + 50_750_000
    assert edge_ns(base, 100) == 1000 * MS
    assert edge_ns(base, 201) == 1000 * MS + 101_500_000 + 1_020_000
    assert base.at(200)[1] - base.at(200)[0] == UTC_NS


def test_status_says_what_the_edge_has_reported() -> None:
    base = Timebase(1000.0, 1.5, (0, 0), UTC_NS)
    base.learn(report(100, 7 * MS, ppm=-250.0, wander_ppm=1.25, residual_ns=2345.0, refused=17, settled=0))
    said = base.status(101)
    assert said["rate_hz"] == pytest.approx(999.75)
    assert (said["ppm"], said["wander_ppm"], said["residual_us"]) == (-250.0, 1.25, 2.345)
    assert (said["refused"], said["settled"]) == (17, False)
    assert (said["edge_ns"], said["sample_ns"]) == (8 * MS, 8 * MS - DELAY_NS)
    base.learn(report(200, 107 * MS, settled=1))
    assert base.status(200)["settled"] is True


@pytest.mark.control("H12.2")
@given(
    st.lists(st.tuples(st.integers(1, 3000), st.integers(-(STEP_NS - 1), STEP_NS)), min_size=1, max_size=12)
)
def test_time_never_runs_back_as_samples_come(steps: list[tuple[int, int]]) -> None:
    """Whatever the edge corrects, short of a clock that steps back by a second."""
    base = Timebase(1000.0, 1.5, (0, 0), UTC_NS)
    index, t_ns, said_ns = 0, 10**12, -1
    base.learn(report(0, t_ns))
    for n, correction_ns in steps:
        for reached in {index, index + n // 2, index + n}:
            base.at(reached)
        at_end_ns = edge_ns(base, index + n)
        assert at_end_ns >= said_ns
        index, said_ns = index + n, at_end_ns
        t_ns = max(t_ns + n * MS + correction_ns, at_end_ns - STEP_NS + 1)
        base.learn(report(index, t_ns))
        assert edge_ns(base, index) == max(t_ns, at_end_ns)
        assert edge_ns(base, index + 5000) == max(t_ns + 5000 * MS, at_end_ns)


def test_the_first_report_does_not_turn_back_from_a_late_anchor() -> None:
    base = Timebase(1000.0, 1.5, (0, 0), UTC_NS)
    base.follow(99, 205 * MS)  # 5 ms late
    base.learn(report(109, 210 * MS))
    assert edge_ns(base, 109) == 215 * MS == edge_ns(base, 114)
    assert edge_ns(base, 115) == 216 * MS


def test_a_clock_that_stepped_back_by_a_second_is_taken_at_its_word() -> None:
    base = Timebase(1000.0, 1.5, (0, 0), UTC_NS)
    base.learn(report(0, 10**12))
    base.learn(report(1000, 10**12))
    assert edge_ns(base, 1000) == 10**12


@pytest.mark.control("H12.2")
@pytest.mark.parametrize(
    "wrong",
    [
        report(100, 9 * MS),
        report(50, 9 * MS),
        report(200, 9 * MS, math.nan),
        report(200, 9 * MS, math.inf),
        report(200, 9 * MS, 0.0),
        report(200, 9 * MS, -1e6),
        report(200, 9 * MS, 2e6),
        report(200, 9 * MS, ppm=math.nan),
        report(200, 9 * MS, wander_ppm=math.inf),
        report(200, 9 * MS, residual_ns=math.nan),
    ],
)
def test_a_report_that_is_old_or_makes_no_sense_changes_nothing(wrong: Report) -> None:
    base = Timebase(1000.0, 1.5, (0, 0), UTC_NS)
    assert base.learn(report(100, 7 * MS, ppm=1.0))
    before = (base.at(300), base.status(300))
    assert base.learn(wrong) is False
    assert (base.at(300), base.status(300)) == before


def test_only_so_many_reports_are_kept() -> None:
    base = Timebase(1000.0, 0.0, (0, 0), UTC_NS)
    for k in range(KEPT_REPORTS + 500):
        base.learn(report(k * 1000, k * 1000 * MS))
    assert len(base._knots) == KEPT_REPORTS
    assert base.at(0)[0] == 0 and base.at(1_400_500)[0] == 1_400_500 * MS


@pytest.mark.parametrize("away_ns", [-59 * 10**9, 0, 59 * 10**9])
def test_an_edge_on_our_clock_shares_our_wall_time(away_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"mono": 10**15, "utc": UTC_NS}
    monkeypatch.setattr(timebase.time, "monotonic_ns", lambda: now["mono"])
    monkeypatch.setattr(timebase.time, "time_ns", lambda: now["utc"])
    base = Timebase(1000.0, 0.0)
    now["utc"] += 7  # the wall clock is set: the anchor stays
    base.follow(9, now["mono"] + away_ns)
    assert base.at(9) == (10**15 + away_ns, UTC_NS + away_ns)


def test_an_edge_with_a_clock_of_its_own_gets_its_wall_time_when_first_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = {"mono": 10**15, "utc": UTC_NS}
    monkeypatch.setattr(timebase.time, "monotonic_ns", lambda: now["mono"])
    monkeypatch.setattr(timebase.time, "time_ns", lambda: now["utc"])
    base = Timebase(1000.0, 0.0)
    base.follow(9, 5 * MS)  # counts from its own start
    assert base.at(9) == (5 * MS, UTC_NS)
    now["utc"] += 10**9
    base.follow(19, 15 * MS)
    assert base.at(19) == (15 * MS, UTC_NS + 10 * MS)


def test_what_the_edge_fits_is_what_the_host_tells() -> None:
    """Both ends together, over an oscillator that is 0.5 % slow and wanders by 0.3 ms in 5 s."""

    def true_ns(index: int) -> float:
        return index * 1e6 * 1.005 + 3e5 * math.sin(index / 1000 * 2 * math.pi / 5)

    reporter, base = TimebaseReporter(1000.0), Timebase(1000.0, 1.5, (0, 0), UTC_NS)
    off_ns = []
    for first in range(0, 12_000, 10):
        rows = range(first, first + 10)
        stamps_ns = np.array([round(true_ns(i)) for i in rows])
        told = reporter.watch(np.array(rows), stamps_ns)
        if told is not None:
            assert base.learn(told)
        if first >= 6000:
            off_ns += [edge_ns(base, i) - true_ns(i) for i in rows]
    assert max(map(abs, off_ns)) < 25_000
    assert base.status(12_000)["ppm"] == pytest.approx((1 / 1.005 - 1) * 1e6, abs=25)


def record(data: Path, reports: list[Report]) -> Path:
    """A recorded case of one second whose edge reported this; its directory."""
    n = len(CASE.channels)
    description = Description("pi", 4000.0, CASE.channels, (0.1,) * n, (0.0,) * n, -0.5, 4)
    folder = CaseFolder(data, "case", CASE, description)
    folder.anchor(39, 5 * MS, UTC_NS)
    for first in range(0, 4000, 40):
        folder.append(replace(true_block(first, 40, n), trigger_bits=np.zeros(40, np.uint8)))
    for told in reports:
        folder.fitted(told)
    folder.close()
    return data / "case"


def test_a_case_keeps_every_report_and_its_replay_tells_their_times(tmp_path: Path) -> None:
    told = [report(400, 10**12, 250_100.0), report(4400, 10**12 + 1_000_500_000, 250_200.0, ppm=-3.5)]
    case = record(tmp_path, told)
    rows = read_rows(case / "case.sqlite", "SELECT * FROM timebase ORDER BY sample")
    assert rows[1] == (4400, 10**12 + 1_000_500_000, 250_200.0, -3.5, 0.5, 2000.0, 3, 1)
    with Replay(case) as replay:
        times = [replay.timebase.at(i) for i in (0, 400, 2400, 4401)]
    delay_ns = 375_000
    assert [t + delay_ns - 10**12 for t, _ in times] == [-100_040_000, 0, 500_250_000, 1_000_750_200]
    assert all(utc - t == UTC_NS for t, utc in times)


@pytest.mark.parametrize("known", ["no report", "no table", "no delay"])
def test_a_case_without_reports_replays_from_its_anchor(known: str, tmp_path: Path) -> None:
    case = record(tmp_path, [])
    if known != "no report":  # as it was recorded before there were any
        with sqlite3.connect(case / "case.sqlite") as database:
            database.execute("DROP TABLE timebase")
            if known == "no delay":
                database.execute("DELETE FROM settings WHERE key = 'filter_delay_samples'")
        database.close()
    with Replay(case) as replay:
        t_ns, utc_ns = replay.timebase.at(43)
    assert t_ns == 6 * MS - (0 if known == "no delay" else 375_000)
    assert utc_ns - t_ns == UTC_NS


def test_the_results_of_a_replay_do_not_hang_on_the_timebase(live: Live, tmp_path: Path) -> None:
    """Principle 3: the same samples and commands under another clock give the same bits."""
    with Replay(live.case) as first, Replay(live.case) as second:
        second.timebase.know([(0, 0, 251_000.0), (9000, 10**10, 249_000.0)])
        assert first.timebase.at(9000) != second.timebase.at(9000)
        for a, b in itertools.zip_longest(first.messages(), second.messages()):
            assert (a.topic, a.index) == (b.topic, b.index)
            assert pack_arrays(a.fields) == pack_arrays(b.fields)


def test_a_session_tells_its_timebase_and_stamps_its_messages_with_it(live: Live) -> None:
    for m in live.of("status"):
        said = m.header["timebase"]
        assert said["filter_delay_samples"] == 1.5
        assert said["edge_ns"] - said["sample_ns"] == 375_000
        assert said["sample_ns"] == m.header["t_ns"]
        assert said["rate_hz"] == pytest.approx(4000.0, rel=1e-3)
    assert said["settled"] is True  # ten seconds of the simulated box, whose edges are exact
    assert (said["ppm"], said["wander_ppm"]) == pytest.approx((0.0, 0.0), abs=0.01)
    assert said["residual_us"] < 0.01 and said["refused"] == 0


def test_a_recording_that_is_played_reports_its_time_as_well(live: Live, tmp_path: Path) -> None:
    """From the edge's regression over the link into the status and every header."""
    source = RecordingSource(live.case, 4.0, None)
    with LiveHost(source=source, data=tmp_path) as host, Ear(host.bus) as ear:
        settled = ear.until(
            lambda m: m.topic == "status" and m.header["timebase"]["settled"], "a settled timebase"
        ).header
    said = settled["timebase"]
    assert said["ppm"] == pytest.approx(0.0, abs=0.01)
    assert (said["refused"], said["filter_delay_samples"]) == (0, 0.0)
    assert said["residual_us"] < 0.01
    assert settled["t_ns"] == pytest.approx(settled["index"] * 250_000, abs=1000)
    assert abs(settled["utc_ns"] - time.time_ns()) < 600e9
    (case,) = tmp_path.iterdir()
    rows = read_rows(case / "case.sqlite", "SELECT sample, t_ns, settled FROM timebase ORDER BY rowid")
    assert len(rows) > 5 and rows == sorted(rows) and rows[-1][2] == 1
    assert all(t_ns == sample * 250_000 for sample, t_ns, _ in rows)
