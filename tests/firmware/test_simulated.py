"""The simulated box as a source: repeatable, looped back like the board, plain about what it cannot be."""

import threading

import numpy as np
import pytest

from firmware import simulated
from firmware.errors import ConfigError
from firmware.ports import Command
from firmware.simulated import SimulatedSource
from hw.frames import lsb_uv
from hw.link import (
    ALL_PLANS,
    Configure,
    Description,
    Ended,
    Impedance,
    ImpedanceStart,
    Message,
    Reply,
    StimStop,
    Stimulus,
)
from hw.model.contacts import ElectrodeChange
from hw.model.plugs import Plugs
from hw.model.scenario import Scenario
from hw.samples import SampleBlock
from tests.support.links import tiles
from tests.support.looped import armed, plan
from tests.support.pace import PacedTime

CHANNELS = ("CP3", "CP4", "Fpz", "C5S")
LINES = ("left median", "right median")


def wanted(
    rate_hz: float = 4000.0,
    gain: int = 24,
    channels: tuple[str, ...] = CHANNELS,
    lines: tuple[str, ...] = LINES,
) -> Configure:
    return Configure(rate_hz, gain, channels, lines, ("",) * len(channels), "", float("nan"), ())


class Ran:
    """What a source delivered from start to end, `commands` queued before the first sample."""

    def __init__(
        self, source: SimulatedSource, *commands: Command, stop: threading.Event | None = None
    ) -> None:
        self.items: list[SampleBlock | Message] = []
        for command in commands:
            source.command(command)
        source.run(self.items.append, stop or threading.Event())
        self.blocks = [item for item in self.items if isinstance(item, SampleBlock)]
        self.counts = np.concatenate([b.counts for b in self.blocks])
        self.bits = np.concatenate([b.trigger_bits for b in self.blocks])

    def said(self, kind: type[Message]) -> list[Message]:
        return [item for item in self.items if isinstance(item, kind)]


def simulate(seconds: float, *commands: Command, seed: int = 1, **settings: object) -> Ran:
    source = SimulatedSource(None, seconds, seed)
    source.configure(wanted(**settings))  # type: ignore[arg-type]
    return Ran(source, *commands)


def test_the_description_is_what_was_wanted_in_microvolts_per_count() -> None:
    said = SimulatedSource(None, 0.1, 1).configure(wanted(gain=12))
    assert said == Description(
        "simulated", 4000.0, CHANNELS, (lsb_uv(12),) * 4, (0.0,) * 4, latency_offset_samples=-0.5, lines=4
    )


def test_the_same_seed_gives_the_same_samples_and_another_seed_others() -> None:
    commands = armed(plan(1, line=1, period=400, phase=7), plan(2, line=2, period=400, phase=207))
    first, second, other = (simulate(0.5, *commands, seed=seed) for seed in (3, 3, 4))
    assert len(first.blocks) == len(second.blocks)
    for a, b in zip(first.blocks, second.blocks, strict=True):
        assert (a.first_index, a.gaps) == (b.first_index, b.gaps)
        assert np.array_equal(a.counts, b.counts)
        assert np.array_equal(a.trigger_bits, b.trigger_bits)
    assert first.said(Stimulus) == second.said(Stimulus)
    assert not np.array_equal(first.counts, other.counts)


def test_four_channels_come_as_four_columns_without_a_gap() -> None:
    ran = simulate(0.25)
    assert ran.counts.shape == (1000, 4)
    assert tiles(ran.blocks, 0)
    assert not any(b.gaps for b in ran.blocks)
    assert ran.items[-1] == Ended(1000)
    assert np.abs(ran.counts).max() < 1 << 22  # the reference has settled before the first sample
    assert (ran.counts.std(axis=0) > 100).all()


def test_triggers_come_back_one_sample_after_the_command_for_as_long_as_the_pulse() -> None:
    ran = simulate(
        0.5,
        *armed(plan(1, line=1, period=400, phase=7, hold=4), plan(2, line=2, period=800, phase=300, hold=8)),
    )
    assert [(p.line, p.commanded, p.seen) for p in ran.said(Stimulus)] == [
        (line, at, at + 1)
        for at, line in [(7, 1), (300, 2), (407, 1), (807, 1), (1100, 2), (1207, 1), (1607, 1), (1900, 2)]
    ]
    expected = np.zeros(2000, np.uint8)
    for at in range(8, 2000, 400):
        expected[at : at + 4] |= 1
    for at in range(301, 2000, 800):
        expected[at : at + 8] |= 2
    assert np.array_equal(ran.bits, expected)


def test_a_stimulus_reaches_the_patient() -> None:
    still, pulsed = simulate(0.1), simulate(0.1, *armed(plan(1, line=1, period=4000, phase=50)))
    changed = np.flatnonzero((still.counts != pulsed.counts).any(axis=1))
    assert still.counts.shape == pulsed.counts.shape
    assert 50 < changed[0] <= 53
    assert len(changed) > 40


def test_an_output_in_the_others_site_stimulates_there() -> None:
    def counts(line: int, lines: tuple[tuple[int, int], ...] = ()) -> np.ndarray:
        source = SimulatedSource(None, 0.1, 1, Scenario(plugs=(Plugs(0.0, lines=lines),)))
        source.configure(wanted())
        return Ran(source, *armed(plan(1, line=line, period=4000, phase=50))).counts

    left, right = counts(1), counts(2)
    assert not np.array_equal(left, right)
    assert np.array_equal(counts(1, ((1, 2),)), right) and np.array_equal(counts(2, ((1, 2),)), left)
    # Nothing is plugged into line 3 of this box, so that nobody is stimulated.
    assert np.array_equal(counts(1, ((1, 3),)), simulate(0.1).counts)


def test_commands_are_answered_among_the_samples() -> None:
    ran = simulate(0.05, *armed(plan(1)), plan(2, line=9), StimStop(7, ALL_PLANS))
    assert ran.said(Reply) == [
        Reply(201, ""),
        Reply(101, ""),
        Reply(102, "line 9 is not one of 1..4"),
        Reply(7, ""),
    ]
    assert not ran.bits.any()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"channels": ("CP3", "Xq9")}, "Xq9"),
        ({"channels": ()}, "no electrodes"),
        (
            {"channels": ("CP3",) * 33},
            "2 stimulus lines and 33 channels wanted, the simulated box has 8 and 32",
        ),
        ({"lines": ("left median", "elbow")}, "elbow"),
        (
            {"lines": ("left median",) * 9},
            "9 stimulus lines and 4 channels wanted, the simulated box has 8 and 32",
        ),
        ({"rate_hz": 4001.0}, "4001"),
        ({"rate_hz": 0.0}, "0"),
        ({"rate_hz": float("nan")}, "nan"),
        ({"rate_hz": float("inf")}, "inf"),
        ({"gain": 5}, "5"),
        ({"gain": 0}, "0"),
    ],
)
def test_what_it_cannot_be_is_one_line_with_the_culprit(settings: dict, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SimulatedSource(None, 0.1, 1).configure(wanted(**settings))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_negative_seed_is_one_line() -> None:
    with pytest.raises(ConfigError, match="seed = -1"):
        SimulatedSource(None, 0.1, -1).configure(wanted())


def test_it_can_be_configured_again_before_it_runs() -> None:
    source = SimulatedSource(None, 0.1, 1)
    source.configure(wanted(gain=24))
    with pytest.raises(ConfigError):
        source.configure(wanted(gain=7))
    source.configure(wanted(gain=1, rate_hz=1000.0, channels=("Fpz",)))
    again = Ran(source)
    assert again.counts.shape == (100, 1)
    assert np.array_equal(again.counts, simulate(0.1, gain=1, rate_hz=1000.0, channels=("Fpz",)).counts)


def test_configuring_again_and_again_delays_the_first_sample_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = PacedTime()
    monkeypatch.setattr(simulated, "time", clock)
    source = SimulatedSource(1.0, 0.01, 1)
    for _ in range(20):
        source.configure(wanted())
    start_ns = clock.now_ns
    source.run(lambda item: None, clock.stop_event())
    assert (clock.now_ns - start_ns) / 1e9 < 0.5


def test_nothing_runs_before_it_is_configured() -> None:
    source = SimulatedSource(None, 0.1, 1)
    source.command(StimStop(0, ALL_PLANS))  # heard and harmless
    with pytest.raises(ConfigError, match="not configured"):
        source.run(lambda item: None, threading.Event())


def test_as_fast_as_it_goes_it_waits_for_its_listener_and_never_for_the_clock() -> None:
    class Never(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise AssertionError("waited")

    source = SimulatedSource(None, 0.1, 1)
    assert source.patient
    source.configure(wanted())
    assert len(Ran(source, stop=Never()).counts) == 400


@pytest.mark.parametrize("speed", [1.0, 0.5, 20.0])
def test_its_time_is_the_real_one_times_the_speed(speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = PacedTime()
    monkeypatch.setattr(simulated, "time", clock)
    source = SimulatedSource(speed, 0.25, 1)
    assert not source.patient
    source.configure(wanted())
    arrived: list[tuple[int, SampleBlock]] = []
    source.run(lambda item: arrived.append((clock.now_ns, item)), clock.stop_event())  # type: ignore[arg-type]
    times_s, blocks = zip(*((t / 1e9, b) for t, b in arrived if isinstance(b, SampleBlock)), strict=True)
    assert tiles(list(blocks), 0)
    assert np.diff(times_s) == pytest.approx(0.01 / speed, abs=0.002 / speed)
    assert times_s[-1] - times_s[0] == pytest.approx(0.24 / speed, abs=0.002 / speed)
    stamps_ns = np.array([b.t_ns for b in blocks])
    assert np.array_equal(np.diff(stamps_ns), np.full(24, 10_000_000))  # its own time, exact
    if speed == 1.0:
        assert abs(stamps_ns[-1] / 1e9 - times_s[-1]) < 0.005


def test_stop_ends_it_and_leaves_no_end_behind() -> None:
    source, stop = SimulatedSource(None, None, 1), threading.Event()
    source.configure(wanted())
    items: list[object] = []

    def put(item: object) -> None:
        items.append(item)
        if len(items) == 5:
            stop.set()

    source.run(put, stop)
    assert 5 <= len(items) <= 6
    assert not any(isinstance(item, Ended) for item in items)


def test_how_electrodes_lie_is_found_by_the_impedance_measurement_too() -> None:
    changes = (
        ElectrodeChange(1.0, "CP4", "off"),
        ElectrodeChange(1.0, "C5S", "loose"),
        ElectrodeChange(0.0, "Fpz", "off"),
        ElectrodeChange(1.5, "Fpz", "ok"),
    )
    source = SimulatedSource(None, 6.0, 1, Scenario(electrode=changes))
    source.configure(wanted(rate_hz=2000.0))
    said: list[Impedance] = []
    asked: list[int] = []

    def put(item: SampleBlock | Message) -> None:
        if isinstance(item, SampleBlock) and item.first_index > 4000 and not asked:
            asked.append(item.first_index)
            source.lead_command(ImpedanceStart(5, 6, 0.0, 0, 0))
        elif isinstance(item, Impedance):
            said.append(item)

    source.run(put, threading.Event())
    (told,) = said
    good, off, back, loose, _ = told.ohm
    assert told.leads[:4] == ("CP3+", "CP4+", "Fpz+", "C5S+")
    assert good == pytest.approx(5000, rel=0.02) and back == pytest.approx(5000, rel=0.02)
    assert loose == pytest.approx(62_000, rel=0.02)
    assert np.isnan(off) and told.notes[1] == "not measured: the channel was at a rail"
