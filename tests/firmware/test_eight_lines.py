"""Boards with two chips have eight lines: from 5 on they return to the second chip, wherever it begins."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.acquisition import acquisition_state
from firmware.errors import ConfigError
from firmware.loop.samples import trigger_bits
from firmware.simulated import SimulatedSource
from firmware.wiring import parse_wiring
from hw.board import lines_of
from hw.frames import FrameLayout, decode_board, encode_frame
from hw.link import Configure, Excited, Fault, ImpedanceStart, Reply, StimState, Stimulus, Unfired
from hw.model.sites import SITES
from hw.samples import SampleBlock
from tests.support.looped import Looped, armed, plan

ELECTRODES = (
    *("CP3", "CP4", "Fpz", "C5S", "CPz", "Cz", "C3", "C4"),
    *("Fz", "A1", "A2", "T12S", "EPL", "EPR", "APBL", "APBR"),
)
CHANNELS = ELECTRODES[:4]
EIGHT = (*tuple(SITES), *("",) * 8)[:8]


def row_of(frames: list[bytes], gap_bits: int) -> bytes:
    """Frames with dummy bits between them, as one row: by text, slowly."""
    bits = ("1" * gap_bits).join("".join(f"{byte:08b}" for byte in frame) for frame in frames)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[k : k + 8], 2) for k in range(0, len(bits), 8))


@given(
    st.lists(st.sampled_from((4, 6, 8)), min_size=1, max_size=4),
    st.sampled_from((None, 0, 1)),
    st.integers(0, 8),
    st.lists(st.integers(0, 15), min_size=4, max_size=4),
    st.integers(-(1 << 23), (1 << 23) - 1),
)
def test_the_loop_and_the_decoder_see_the_same_levels(
    channels: list[int], gap: int | None, lines: int, gpio: list[int], count: int
) -> None:
    layout = FrameLayout(tuple(channels), gap is not None, gap or 0)
    frames = [encode_frame([count] * c, g, 0xFF, 0xFF) for c, g in zip(channels, gpio, strict=False)]
    row = np.frombuffer(row_of(frames, layout.gap_bits), np.uint8)
    state = acquisition_state(4000.0, lines, layout.row_bytes, layout.first_bits)
    expected = gpio[0] | (gpio[1] << 4 if lines > 4 and len(channels) > 1 else 0)
    assert trigger_bits(state, row) == expected
    assert decode_board(row[None, :], layout, lines).trigger_bits.tolist() == [expected]


@pytest.mark.parametrize(("chips", "lines"), [(1, 4), (2, 8), (3, 8), (4, 8)])
def test_four_lines_return_to_each_of_the_first_two_chips(chips: int, lines: int) -> None:
    assert lines_of(chips) == lines


@pytest.mark.control("H7.4")
def test_eight_lines_are_driven_and_proven_each() -> None:
    box = Looped(lines=8)
    for line in range(1, 9):
        assert box.sequencer.start(plan(line, line=line, period=800, phase=100 * line)) == ""
    assert "line 9 is not one of 1..8" in str(box.sequencer.start(plan(9, line=9)))
    box.run(1700)
    for line in range(1, 9):
        assert box.rises(line) == list(range(100 * line % 800, 1700, 800))
    assert len(box.proofs) == sum(len(box.rises(line)) for line in range(1, 9))
    assert box.faults == []


def wanted(lines: tuple[str, ...], channels: tuple[str, ...] = CHANNELS) -> Configure:
    return Configure(4000.0, 24, channels, lines, ("",) * len(channels), "", float("nan"), ())


class Ran:
    """A simulated box that was run to its end, `commands` queued before the first sample."""

    def __init__(
        self, seconds: float, configure: Configure, *commands: object, later: dict | None = None
    ) -> None:
        self.source = SimulatedSource(None, seconds, 1)
        self.description = self.source.configure(configure)
        self.items: list = []
        self._later = dict(later or {})
        for command in commands:
            self.source.command(command)  # type: ignore[arg-type]
        self.source.run(self._put, threading.Event())
        blocks = [item for item in self.items if isinstance(item, SampleBlock)]
        self.bits = np.concatenate([b.trigger_bits for b in blocks])
        self.counts = np.concatenate([b.counts for b in blocks])

    def _put(self, item: object) -> None:
        self.items.append(item)
        if isinstance(item, SampleBlock):
            for at in [at for at in self._later if item.end_index >= at]:
                self._later.pop(at)(self.source)

    def said(self, kind: type) -> list:
        return [item for item in self.items if isinstance(item, kind)]


def test_stimuli_on_all_eight_lines_of_the_simulated_box_come_back() -> None:
    plans = [plan(n, line=n, period=1000, phase=100 * n, hold=3) for n in range(1, 9)]
    ran = Ran(0.5, wanted(EIGHT), *armed(*plans))
    assert ran.description.lines == 8
    assert ran.said(Fault) == []
    proofs = [(p.line, p.commanded, p.seen) for p in ran.said(Stimulus)]
    assert proofs == [(n, at, at + 1) for base in (0, 1000) for n in range(1, 9) if (at := base + 100 * n)]
    expected = np.zeros(2000, np.uint8)
    for line, at, _ in proofs:
        expected[at + 1 : at + 4] |= 1 << (line - 1)
    assert np.array_equal(ran.bits, expected)
    (last,) = ran.said(StimState)[-1:]
    assert len(last.pulses) == 8


def test_a_stimulus_on_a_line_of_the_second_chip_reaches_the_patient() -> None:
    sites = ("", "", "", "", "left median")
    order = armed(plan(5, line=5, period=4000, phase=50))
    still, pulsed = Ran(0.05, wanted(sites)), Ran(0.05, wanted(sites), *order)
    changed = np.flatnonzero((still.counts != pulsed.counts).any(axis=1))
    assert 50 < changed[0] <= 53


@pytest.mark.parametrize(
    ("lines", "channels", "has"), [(4, 4, 4), (5, 4, 8), (0, 9, 8), (0, 8, 4), (8, 16, 8)]
)
def test_the_simulated_box_has_a_second_chip_when_it_is_needed(lines: int, channels: int, has: int) -> None:
    ran = Ran(0.02, wanted(("",) * lines, ELECTRODES[:channels]))
    assert ran.description.lines == has
    assert ran.counts.shape == (80, channels)


def test_nine_lines_are_too_many() -> None:
    with pytest.raises(ConfigError, match="9 stimulus lines"):
        SimulatedSource(None, 1.0, 1).configure(wanted(("",) * 9))


@pytest.mark.parametrize(
    ("table", "most"),
    [
        ({"spi": ["0.0"]}, 4),
        ({"spi": ["0.0", "0.1"]}, 8),
        ({"daisy": True}, 8),
        ({"spi": ["0.0", "0.1", "1.0"]}, 8),
    ],
)
def test_as_many_lines_may_be_wired_as_the_chips_can_see(table: dict, most: int) -> None:
    assert len(parse_wiring(table | {"lines": list(range(2, 2 + most))}).lines) == most
    with pytest.raises(ConfigError, match=f"{most + 1} stimulus lines: a board of these chips has {most}"):
        parse_wiring(table | {"lines": list(range(2, 3 + most))})


@pytest.mark.control("H4.2")
def test_impedance_locks_stimulation_until_its_current_has_ended() -> None:
    def measure(source: SimulatedSource) -> None:
        source.lead_command(ImpedanceStart(11, 6, 31.25, 0, 0))

    ran = Ran(6.0, wanted(("left median",)), *armed(plan(1, period=400, hold=2)), later={1000: measure})
    began, ended = ran.said(Excited)
    locked = [u.index for u in ran.said(Unfired)]
    fired = [p.commanded for p in ran.said(Stimulus)]
    assert {u.reason for u in ran.said(Unfired)} == {"impedance is being measured"}
    assert sorted(locked + fired) == list(range(0, 24_000, 400))
    assert not [at for at in fired if began.first_index <= at < ended.end_index]
    assert fired[-1] > ended.end_index - 1
    assert all(began.first_index - 2 <= at < ended.end_index + 400 for at in locked)
    assert Reply(11, "") in ran.said(Reply)
    assert ran.said(Fault) == []
    states = [s.locks for s in ran.said(StimState)]
    assert 1 in states
    assert states[-1] == 0
