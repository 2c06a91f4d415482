"""When edges come in lockstep and in real time, on a scripted board: whose reading lets time go on."""

from types import SimpleNamespace

import pytest

from firmware.rig import pace
from firmware.rig.faults import Faults
from firmware.rig.lines import Lines
from firmware.rig.pace import LOOKS_WHILE_READY, PATIENCE_TICKS, TICK_NS, Lockstep, RealTime
from firmware.rig.wires import Wires, Wiring, asks_frame
from hw.model.board import ReadyEdge

PERIOD_NS = 1_000_000
START, STOP, RDATA, SDATAC = b"\x08", b"\x0a", b"\x12" + bytes(27), b"\x11"


class Board:
    """Chips that convert every millisecond, chip k `phases_ns[k]` later; `overwritten` counts unread data."""

    def __init__(self, *phases_ns):
        self.phases = phases_ns
        self.chips = [SimpleNamespace(due_ns=None, steady=True) for _ in phases_ns]
        self.drdy = [False] * len(phases_ns)
        self.sent, self.t_ns, self.waiting = [], 0, []
        self.seq = [0] * len(phases_ns)
        self.overwritten = 0
        self.wires = None
        self.stimuli = []
        self.stopping = False
        self.periods = [PERIOD_NS] * len(phases_ns)

    def now_ns(self):
        return self.t_ns

    def next_ready_ns(self):
        return min((c.due_ns for c in self.chips if c.due_ns is not None), default=None)

    def advance(self, t_ns):
        while (due := self.next_ready_ns()) is not None and due <= t_ns:
            self.t_ns = due
            for k, chip in enumerate(self.chips):
                if chip.due_ns == due:
                    chip.due_ns = None if self.stopping else due + self.periods[k]
                    self.overwritten += self.drdy[k]
                    self.drdy[k] = True
                    self.waiting.append(ReadyEdge(k, self.seq[k], due))
                    self.seq[k] += 1
        self.t_ns = max(self.t_ns, t_ns)

    def edges(self):
        edges, self.waiting = self.waiting, []
        return edges

    def ready_high(self, chip):
        return not self.drdy[chip]

    def transfer(self, select, mosi, speed_hz=0, hold_ns=0):
        self.sent.append((select, mosi))
        self.drdy[select] = False
        if mosi == START:
            self.stopping = False
            for chip in self.chips:
                chip.steady = True
            for chip, phase in zip(self.chips, self.phases, strict=True):
                chip.due_ns = self.t_ns + PERIOD_NS + phase
        if mosi in (STOP, SDATAC + STOP):
            self.stopping = True
            for chip in self.chips:
                chip.steady = False
        return bytes(len(mosi))

    def set_stimulus(self, bits):
        self.stimuli.append((bits, self.seq[0]))


class Bench:
    """A pace on a scripted board; `heard`: the edges that watchers of `watched` got, as (line, time)."""

    def __init__(self, *phases_ns, watched=(), ready=(17, 27)):
        self.board, self.lines, self.faults = Board(*phases_ns), Lines(Faults()), Faults()
        wiring = Wiring(ready[: len(phases_ns)], (22,))
        self.wires = Wires(self.board, self.lines, wiring, self.faults, False)
        self.pace = Lockstep(self.wires, self.lines, len(phases_ns))
        self.wires.watcher = self.pace
        self.heard = []
        for offset in watched:
            self.watch(offset)

    def watch(self, offset):
        def edge(at, rising, t_ns):
            if not rising:
                self.heard.append((at, t_ns - self.start_ns))

        self.watcher = SimpleNamespace(edge=edge, unread=0)
        self.lines._watchers[offset].append(self.watcher)
        self.lines.watching.add(offset)

    def send(self, mosi, node=0):
        if mosi == START:
            self.wires.window(node, b"\0", 1, True, True)
            self.start_ns = self.board.now_ns()
        return self.wires.window(node, mosi, 1, True, True)

    @property
    def level(self):
        return self.lines.lines[17].level

    def look(self):
        self.pace.look()
        level = self.level
        self.pace.looked(not level)
        return level


@pytest.fixture(autouse=True)
def no_real_time(monkeypatch):
    """Real time stands still unless a test moves it."""
    clock = SimpleNamespace(t=5_000_000_000)
    monkeypatch.setattr(pace.time, "monotonic_ns", lambda: clock.t)
    return clock


def milliseconds(*n):
    return [(17, k * PERIOD_NS) for k in n]


def test_the_next_edge_comes_when_the_frame_was_read():
    bench = Bench(0, watched=(17,))
    bench.send(START)
    assert bench.heard == milliseconds(1)
    bench.send(b"\x20\0\0")
    assert bench.heard == milliseconds(1), "a register is no frame"
    for k in range(2, 6):
        bench.send(RDATA)
        assert bench.heard == milliseconds(*range(1, k + 1))


def test_frames_are_asked_for_by_rdata_or_zeros():
    assert asks_frame(RDATA) and asks_frame(bytes(27)) and asks_frame(SDATAC + RDATA)
    assert asks_frame(b"\x20\0\0" + RDATA) and asks_frame(b"\x41\1\2\3" + RDATA)
    assert not asks_frame(b"\x20\0\0") and not asks_frame(START) and not asks_frame(b"\x41\0\x12")


@pytest.mark.parametrize("how", [STOP, SDATAC + STOP])
def test_stop_lets_the_conversion_under_way_end(how):
    bench = Bench(0, watched=(17,))
    bench.send(START)
    assert bench.pace.timeout_ns == TICK_NS
    bench.send(RDATA)
    bench.send(how)
    assert bench.heard == milliseconds(1, 2, 3) and bench.pace.timeout_ns == -1
    bench.pace.idle(True, False)
    assert bench.heard == milliseconds(1, 2, 3)


def test_all_chips_are_waited_for_until_one_proves_unread():
    bench = Bench(0, 0, watched=(17,))
    bench.send(START)
    bench.send(RDATA, 0)
    assert bench.heard == milliseconds(1), "the second chip's sample must not be overwritten"
    bench.send(RDATA, 1)
    assert bench.heard == milliseconds(1, 2)
    bench.send(RDATA, 0)
    bench.pace.idle(True, False)
    assert bench.heard == milliseconds(1, 2, 3), "the program waits: it does not read the second chip"
    bench.send(RDATA, 0)
    assert bench.heard == milliseconds(1, 2, 3, 4)
    bench.send(RDATA, 1)
    bench.send(RDATA, 0)
    assert bench.heard == milliseconds(1, 2, 3, 4, 5), "it reads both again: both are waited for"
    bench.send(RDATA, 0)
    assert bench.heard == milliseconds(1, 2, 3, 4, 5)


def test_chips_out_of_step_each_keep_their_sample():
    bench = Bench(0, 300_000, watched=(17,))
    bench.send(START)
    for k in range(1, 6):
        assert bench.heard == milliseconds(*range(1, k + 1))
        bench.send(RDATA, 0)
        bench.send(RDATA, 1)
    assert bench.board.overwritten == 0 and bench.board.seq == [6, 5]


def test_a_chip_that_is_not_read_holds_nobody_up():
    bench = Bench(0, 300_000, watched=(17,))
    bench.send(START)
    bench.send(RDATA, 0)
    bench.send(RDATA, 0)
    assert bench.heard == milliseconds(1, 2) and bench.board.overwritten == 0
    bench.pace.idle(True, False)
    for k in range(3, 8):
        assert bench.heard == milliseconds(*range(1, k + 1))
        bench.send(RDATA, 0)


def test_a_fast_chip_is_not_run_over_for_a_slow_one():
    bench = Bench(0, 0, watched=(17,))
    bench.board.periods[1] = PERIOD_NS // 4
    bench.send(START)
    bench.send(RDATA, 0)
    bench.send(RDATA, 1)
    assert bench.heard == milliseconds(1) and bench.board.overwritten == 0
    bench.send(RDATA, 1)
    bench.send(RDATA, 1)
    bench.send(RDATA, 1)
    assert bench.heard == milliseconds(1, 2) and bench.board.overwritten == 0


def test_two_watched_lines_out_of_step():
    bench = Bench(0, 300_000, watched=(17, 27))
    bench.send(START)
    bench.send(RDATA, 0)
    bench.send(RDATA, 1)
    bench.send(RDATA, 0)
    assert bench.heard == [(17, 1_000_000), (27, 1_300_000), (17, 2_000_000), (27, 2_300_000)]


def test_who_waits_without_reading_gets_the_next_edge():
    bench = Bench(0, watched=(17,))
    bench.send(START)
    bench.pace.idle(False, False)
    assert bench.heard == milliseconds(1), "nobody waits"
    bench.pace.idle(True, False)
    assert bench.heard == milliseconds(1, 2)
    for _ in range(PATIENCE_TICKS - 1):
        bench.pace.idle(True, True)
    assert bench.heard == milliseconds(1, 2), "another thread computes"
    bench.pace.idle(True, True)
    assert bench.heard == milliseconds(1, 2, 3)


def test_a_stimulus_before_the_next_edge_is_known_is_in_the_next_sample():
    bench = Bench(0, watched=(17,))
    bench.send(START)
    bench.send(RDATA)
    assert bench.heard == milliseconds(1, 2)
    bench.watcher.unread = 1
    bench.wires.set_output(22, 1)
    assert bench.board.stimuli == [(1, 1)], "one conversion has ended: the second will show it"
    bench.watcher.unread = 0
    bench.wires.set_output(22, 0)
    assert bench.board.stimuli == [(1, 1), (0, 2)], "its edge was read: only the third will"
    bench.wires.set_output(22, 0)
    assert len(bench.board.stimuli) == 2
    bench.send(RDATA)
    assert bench.heard == milliseconds(1, 2, 3) and bench.board.seq == [2]


def test_nobody_listens_no_time_passes():
    bench = Bench(0)
    bench.send(START)
    assert bench.board.seq == [0]
    for k in range(1, 4):
        bench.send(RDATA)
        assert bench.board.seq == [k], "each reading unasked has a new sample"


def test_one_of_two_chips_read_unasked():
    bench = Bench(0, 0)
    bench.send(START)
    for k in (1, 2, 3):
        bench.send(RDATA, 1)
        assert bench.board.seq == [k, k]
    bench.send(RDATA, 0)
    assert bench.board.seq == [3, 3], "the first chip's sample of the same time"


def test_whoever_begins_to_listen_late_is_served():
    bench = Bench(0)
    bench.send(START)
    bench.watch(17)
    bench.pace.watched()
    assert bench.heard == milliseconds(1)
    bench.pace.watched()
    assert bench.heard == milliseconds(1), "unread"


def test_levels_alone():
    bench = Bench(0)
    bench.send(START)
    assert [bench.look() for _ in range(3)] == [1, 0, 0]
    bench.send(RDATA)
    assert [bench.look() for _ in range(2)] == [1, 0]


def test_a_look_at_a_ready_line_again_and_again_lets_it_rise():
    bench = Bench(0)
    bench.send(START)
    looks = [bench.look() for _ in range(3 * LOOKS_WHILE_READY)]
    low = [0] * LOOKS_WHILE_READY
    assert looks[: 2 * LOOKS_WHILE_READY + 2] == [1, *low, 1, *low] and bench.board.seq[0] >= 2


def test_looking_while_listening_needs_patience():
    bench = Bench(0, 0, watched=(17,))
    bench.send(START)
    bench.send(RDATA, 0)
    for _ in range(LOOKS_WHILE_READY - 1):
        bench.look()
    assert bench.heard == milliseconds(1)
    bench.look()
    assert bench.heard == milliseconds(1, 2)


def test_real_time_counts_only_before_start(no_real_time):
    bench = Bench(0, watched=(17,))
    no_real_time.t += 7_000_000
    bench.send(SDATAC)
    assert bench.board.now_ns() == 7_000_000
    bench.send(START)
    no_real_time.t += 50_000_000
    bench.send(RDATA)
    assert bench.heard == milliseconds(1, 2)
    bench.send(STOP)
    at_stop = bench.board.now_ns()
    no_real_time.t += 3_000_000
    bench.send(SDATAC)
    assert bench.board.now_ns() == at_stop + 3_000_000


def test_faults_of_edges():
    bench = Bench(0, watched=(17,))
    bench.send(START)
    bench.faults.set("missing_edge_every", 3)
    bench.send(RDATA)
    bench.send(RDATA)
    assert bench.heard == milliseconds(1, 2)
    bench.faults.clear()
    bench.faults.set("double_edge_every", 4)
    bench.send(RDATA)
    assert bench.heard == milliseconds(1, 2, 4, 4)
    bench.faults.clear()
    bench.faults.set("storm_edges", 3)
    bench.send(RDATA)
    bench.send(RDATA)
    assert bench.heard == milliseconds(1, 2, 4, 4, 5, 5, 5, 5, 6)
    bench.faults.set("stuck_ready", 1)
    bench.send(RDATA)
    assert bench.heard[-1:] == milliseconds(6) and bench.level == 1
    bench.faults.set("stuck_ready", 0)
    bench.send(RDATA)
    assert bench.level == 0
    bench.faults.clear()
    bench.send(RDATA)
    assert bench.heard[-1:] == milliseconds(9)


def test_real_time_edges_come_by_the_clock(no_real_time):
    bench = Bench(0, watched=(17,))
    bench.pace = RealTime(bench.wires, 2.0, lambda: no_real_time.t)
    bench.wires.watcher = bench.pace
    assert bench.pace.timeout_ns == -1
    bench.send(START)
    assert bench.pace.timeout_ns == PERIOD_NS // 2
    no_real_time.t += 400_000
    assert bench.pace.timeout_ns == 100_000
    bench.pace.idle(False, False)
    assert bench.heard == []
    no_real_time.t += 100_000
    bench.pace.idle(False, False)
    assert bench.heard == milliseconds(1)
    no_real_time.t += 5_000_000
    assert bench.pace.timeout_ns == 0
    bench.send(RDATA)
    assert bench.heard == milliseconds(*range(1, 12)), "a late program finds what came meanwhile"


def test_real_time_shows_the_short_rise_of_a_line_that_nobody_reads_for(no_real_time):
    """A program that polls for high waits for it; a look in those 2 us sees it, and no edge comes of it."""
    bench = Bench(0)
    bench.pace = RealTime(bench.wires, 1.0, lambda: no_real_time.t)
    bench.wires.watcher = bench.pace
    bench.send(START)
    no_real_time.t += PERIOD_NS
    bench.pace.look()
    assert bench.level == 0
    bench.board.ready_high = lambda chip: True
    no_real_time.t += PERIOD_NS - 1_000
    bench.pace.look()
    assert bench.level == 1
    bench.board.ready_high = lambda chip: False
    no_real_time.t += 1_000
    bench.pace.look()
    assert bench.level == 0


def test_a_chip_that_is_set_up_after_another_has_started_gets_its_time(no_real_time):
    """Free-running chips: RESET of the second needs its microseconds although the first converts already."""
    bench = Bench(0, 0)
    bench.send(START)
    bench.board.chips[1].due_ns = None
    before = bench.board.now_ns()
    no_real_time.t += 50_000
    bench.send(SDATAC, 1)
    assert bench.board.now_ns() == before + 50_000
    bench.board.chips[1].due_ns = bench.board.chips[0].due_ns
    before = bench.board.now_ns()
    no_real_time.t += 50_000
    bench.send(SDATAC, 1)
    assert bench.board.now_ns() == before, "once all convert the program's reading alone lets time go on"
