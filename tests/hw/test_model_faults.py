"""Every fault by name: an examination of the board sees it where it belongs and nowhere else."""

import numpy as np
import pytest

from hw.chips import ADS1299, ADS1299_4, Opcode
from hw.frames import decode_frames, lsb_uv
from hw.model.ads1299_options import ChipOptions, Surroundings
from hw.model.board import BoardModel, BoardSetup
from hw.model.electrodes import Electrode
from hw.model.faults import Fault, FaultKind
from hw.registers import Address
from tests.support.boards import Program, Volts

PROBE_V = [k * 1e-3 for k in range(1, 13)]
FRAMES = 250
Findings = dict[str, object]


class Examined(Program):
    """The first of two chips examined item by item; every item begins from RESET."""

    def __init__(self, *faults: Fault) -> None:
        options = ChipOptions(noise=True, seed=7)
        setup = BoardSetup((ADS1299, ADS1299_4), Surroundings(ground="bias"), options=options)
        model = BoardModel(setup, Volts(*PROBE_V, channels=12))
        super().__init__(model)
        for fault in faults:
            model.apply(fault)

    def fresh(self, channels: int, config3: int = 0xFC) -> None:
        self.send(Opcode.RESET)
        self.wait(20_000)
        self.set_up(0x96, channels, config3)
        self.write(Address.BIAS_SENSP, 0xFF)

    def trace(self, n: int, patience: int = 1) -> np.ndarray:  # type: ignore[type-arg]
        """Frames of a time in which `n` conversions end, one for each edge, (frame, byte).

        With `patience` until there are so many, or so many times the time is over.
        """
        self.send(Opcode.START)
        self.board.edges()
        end_ns, rows = self.board.now_ns() + patience * (n + 3) * 4_000_000 + 10_000, []
        while (due_ns := self.board.next_ready_ns()) is not None and due_ns <= end_ns:
            if patience > 1 and len(rows) == n:
                break
            self.board.advance(due_ns)
            if any(edge.chip == 0 for edge in self.board.edges()):
                rows.append(np.frombuffer(self.frame(), np.uint8))
        return np.array(rows, np.uint8).reshape(-1, 27)

    def volts(self, gain: int, n: int = 8) -> np.ndarray:  # type: ignore[type-arg]
        """Microvolts of what the registers as they stand give, settled."""
        rows = self.trace(n, patience=4)
        return decode_frames(rows).counts[4:] * lsb_uv(gain) if len(rows) > 4 else np.zeros((1, 8))

    def examine(self) -> Findings:
        found: Findings = {}
        self.send(Opcode.SDATAC)
        found["id"] = self.read(Address.ID)[0]
        self.select = 1
        self.send(Opcode.SDATAC)
        found["other id"] = self.read(Address.ID)[0]
        self.select = 0
        self._registers(found)
        self._shorted(found)
        self._electrodes(found)
        self._levels(found)
        self._lead_off(found)
        self._power(found)
        return found

    def _registers(self, found: Findings) -> None:
        self.fresh(0x60)
        for value in (0x55, 0xAA):
            self.write(Address.CH1SET, *[value] * 8)
            self.write(Address.LOFF_FLIP, value)
            found[f"registers {value:02x}"] = (self.read(Address.CH1SET, 8), self.read(Address.LOFF_FLIP))

    def _shorted(self, found: Findings) -> None:
        self.fresh(0x61)
        self.board.set_stimulus(0b0101)
        rows = self.trace(FRAMES)
        found["edges"] = len(rows)
        headers = rows[:, 0] >> 4 == 0xC
        found["headers"] = bool(headers.all())
        found["repeated"] = int((rows[1:] == rows[:-1]).all(axis=1).sum()) > 0
        found["gpio low"] = sorted({int(nibble) & 0b0101 for nibble in rows[headers, 2]})
        self.board.set_stimulus(0b1010)
        found["gpio high"] = sorted({int(nibble) & 0b0101 for nibble in self.trace(8)[:, 2]})
        self.board.set_stimulus(0)
        uv = decode_frames(rows).counts[4:] * lsb_uv(24) if len(rows) > 4 else np.zeros((1, 8))
        found["noise"] = [bool(0.1 < sd < 0.2) for sd in uv.std(axis=0)]

    def _electrodes(self, found: Findings) -> None:
        self.fresh(0x00)
        uv = self.volts(1)
        found["electrodes"] = [
            bool(abs(v - p * 1e6) < 30) for v, p in zip(uv.mean(axis=0), PROBE_V, strict=False)
        ]

    def _levels(self, found: Findings) -> None:
        self.fresh(0x05)
        self.write(Address.CONFIG2, 0xD3)
        uv = self.volts(1, 100)
        found["test signal"] = [bool(abs(v + 1875) < 20) for v in uv.mean(axis=0)]
        found["test signal steady"] = bool(uv.std(axis=0).max() < 5)
        self.fresh(0x03)
        uv = self.volts(1).mean(axis=0)
        found["analogue supply"] = bool(abs(uv[0] - 2.5e6) < 5e4)
        found["digital supply"] = bool(abs(uv[2] - 0.825e6) < 2e4)
        self.fresh(0x04)
        found["temperature"] = bool(abs(self.volts(1).mean(axis=0)[0] - 145_300) < 7_500)
        self.fresh(0x02)
        found["bias"] = bool(abs(self.volts(1).mean()) < 100)

    def _lead_off(self, found: Findings) -> None:
        self.fresh(0x00)
        self.write(Address.LOFF, 0x08)
        self.write(Address.LOFF_SENSP, 0xFF)
        self.write(Address.CONFIG4, 0x02)
        uv = self.volts(1).mean(axis=0) - np.array(PROBE_V[:8]) * 1e6
        found["flags"] = self.read(Address.LOFF_STATP)[0]
        found["lead-off current"] = [bool(abs(v - 43_200) < 500) for v in uv]

    def _power(self, found: Findings) -> None:
        good = 0
        for _ in range(60):
            self.board.power_cycle()
            self.wait(140_000_000)
            self.send(Opcode.RESET)
            self.wait(20_000)
            self.send(Opcode.SDATAC)
            good += self.read(Address.ID)[0] == found["id"]
        found["power-ups"] = good == 60


HEALTHY = Examined().examine()
ALL = set(HEALTHY)
READINGS = {"noise", "electrodes", "test signal", "analogue supply", "digital supply", "temperature"}
SCALED = {"electrodes", "test signal", "digital supply", "lead-off current"}
SILENT = ALL - {"other id", "flags", "headers", "repeated", "test signal steady", "bias", "power-ups"}
CASES: list[tuple[Fault, set[str]]] = [
    (Fault(FaultKind.WRONG_ID), {"id"}),
    (Fault(FaultKind.DEAD_CHIP), SILENT),
    (Fault(FaultKind.SELECT_STUCK_HIGH), SILENT),
    (Fault(FaultKind.DOUT_OPEN), SILENT - {"edges"} | {"headers", "repeated", "flags"}),
    (Fault(FaultKind.DOUT_SHORTED), SILENT - {"edges", "gpio high"} | {"headers", "repeated"}),
    (Fault(FaultKind.DIN_OPEN), SILENT),
    (Fault(FaultKind.BITS_SHIFTED), ALL - {"other id", "edges", "repeated", "flags", "power-ups"}),
    (Fault(FaultKind.HEADER_CORRUPTED, value=50), {"headers"}),
    (Fault(FaultKind.STALE_FRAME, value=50), {"repeated"}),
    (Fault(FaultKind.NO_DATA_READY), {"edges", *READINGS, "gpio low", "gpio high", "lead-off current"}),
    (Fault(FaultKind.LOST_DATA_READY), {"edges"}),
    (Fault(FaultKind.START_INTERRUPTED, value=100), {"edges"}),
    (Fault(FaultKind.BAD_POWER_UP, value=15), {"power-ups"}),
    (Fault(FaultKind.WRONG_CLOCK), {"edges", "power-ups"}),
    (Fault(FaultKind.WRONG_CLOCK, value=1.05), {"edges"}),
    (Fault(FaultKind.REGISTER_STUCK, address=Address.LOFF_FLIP, channel=1), {"registers aa"}),
    (
        Fault(FaultKind.REGISTER_STUCK, address=Address.CH3SET, channel=5, value=1),
        {"registers 55", *SCALED},
    ),
    (Fault(FaultKind.GPIO_STUCK_HIGH, channel=2), {"gpio high"}),
    (Fault(FaultKind.GPIO_STUCK_LOW, channel=2), {"gpio low"}),
    (Fault(FaultKind.DEAD_CHANNEL, channel=5), {"noise", "electrodes", "test signal", "lead-off current"}),
    (Fault(FaultKind.GAIN_ERROR, channel=6), {"electrodes", "test signal", "lead-off current"}),
    (Fault(FaultKind.NOISY_CHANNEL, channel=2), {"noise", "test signal steady"}),
    (Fault(FaultKind.CROSSTALK, channel=3), {"electrodes", "test signal", "lead-off current"}),
    (Fault(FaultKind.MAINS_PICKUP), {"noise"}),
    (Fault(FaultKind.REFERENCE_DEAD), {*READINGS, "bias", "lead-off current"}),
    (
        Fault(FaultKind.REFERENCE_OFF),
        {"electrodes", "analogue supply", "digital supply", "temperature", "lead-off current"},
    ),
    (Fault(FaultKind.REFERENCE_NOISY), {"test signal steady"}),
    (Fault(FaultKind.TEST_SIGNAL_DEAD), {"test signal"}),
    (Fault(FaultKind.DIGITAL_SUPPLY_LOW), {"digital supply"}),
    (Fault(FaultKind.ANALOG_SUPPLY_LOW), {"analogue supply"}),
    (Fault(FaultKind.HOT_CHIP), {"temperature"}),
    (Fault(FaultKind.BIAS_BROKEN), {"bias", "electrodes", "flags", "lead-off current"}),
    (Fault(FaultKind.SRB1_OPEN), {"electrodes", "flags", "lead-off current"}),
    (Fault(FaultKind.ELECTRODE_OFF, channel=4), {"electrodes", "flags", "lead-off current", "bias"}),
    (Fault(FaultKind.LEAD_OFF_STUCK, channel=6), {"flags"}),
    (Fault(FaultKind.LEAD_OFF_CURRENT_DEAD), {"lead-off current"}),
]
OTHERWISE = {
    FaultKind.SWAPPED_SELECTS,
    FaultKind.SELECT_STUCK_LOW,
    FaultKind.BIT_FLIPS,
    FaultKind.CHIP_RESET,
    FaultKind.CLOCK_WANDER,
}


def test_there_is_a_case_for_every_kind() -> None:
    assert {fault.kind for fault, _ in CASES} | OTHERWISE == set(FaultKind)
    assert len(FaultKind) >= 28


def test_a_sound_board_passes() -> None:
    assert HEALTHY["id"] == 0x3E
    assert HEALTHY["other id"] == 0x3C
    assert HEALTHY["edges"] == FRAMES
    assert HEALTHY["registers aa"] == (b"\xaa" * 8, b"\xaa")
    assert HEALTHY["repeated"] is False
    assert (HEALTHY["gpio low"], HEALTHY["gpio high"], HEALTHY["flags"]) == ([5], [0], 0)
    for item in ("noise", "electrodes", "test signal", "lead-off current"):
        assert HEALTHY[item] == [True] * 8, item
    for item in (
        "headers",
        "test signal steady",
        "analogue supply",
        "digital supply",
        "temperature",
        "bias",
        "power-ups",
    ):
        assert HEALTHY[item] is True, item


@pytest.mark.parametrize(("fault", "seen"), CASES, ids=lambda case: str(getattr(case, "kind", "")))
def test_a_fault_is_seen_where_it_belongs_and_nowhere_else(fault: Fault, seen: set[str]) -> None:
    found = Examined(fault).examine()
    assert {item for item in ALL if found[item] != HEALTHY[item]} == seen


@pytest.mark.parametrize("kind", [FaultKind.DEAD_CHANNEL, FaultKind.GAIN_ERROR, FaultKind.NOISY_CHANNEL])
def test_a_channels_fault_is_on_that_channel_only(kind: FaultKind) -> None:
    found = Examined(Fault(kind, channel=5)).examine()
    item = "noise" if kind is FaultKind.NOISY_CHANNEL else "electrodes"
    assert found[item] == [True] * 5 + [False] + [True] * 2


def test_the_other_chip_has_its_own_faults() -> None:
    found = Examined(Fault(FaultKind.WRONG_ID, chip=1, value=0x1F)).examine()
    assert found["other id"] == 0x1F
    assert found["id"] == 0x3E


def test_swapped_selects_reach_each_others_chip() -> None:
    program = Examined(Fault(FaultKind.SWAPPED_SELECTS))
    program.send(Opcode.SDATAC)
    assert program.read(Address.ID) == b"\x3c"
    assert not program.board.chips[1].continuous
    assert program.board.chips[0].continuous


def test_a_select_stuck_low_hears_everything_and_fights_for_the_line() -> None:
    program = Examined(Fault(FaultKind.SELECT_STUCK_LOW))
    program.select = 1
    program.send(Opcode.SDATAC)
    assert not program.board.chips[0].continuous
    assert program.read(Address.ID) == bytes([0x3C & 0x3E])
    program.write(Address.CONFIG2, 0xD0)
    assert program.board.chips[0].register(Address.CONFIG2) == 0xD0


def test_a_single_chip_works_with_its_select_tied_low() -> None:
    """As the datasheet allows: continuous reads begin at the first bit with every conversion."""
    model = BoardModel(body=Volts(1e-3))
    program = Program(model)
    model.apply(Fault(FaultKind.SELECT_STUCK_LOW))
    program.set_up(channels=0x00).start()
    program.send(Opcode.RDATAC)
    frames = []
    for _ in range(3):
        program.edge()
        frames.append(program.send(*bytes(27)))
    assert {frame[0] >> 4 for frame in frames} == {0xC}
    assert len(set(frames)) == 1


def test_bits_flip_at_the_rate_asked_for() -> None:
    program = Program(BoardModel()).set_up(channels=0x61).start()
    program.edge()
    clean = np.frombuffer(program.frame(), np.uint8)
    program.board.apply(Fault(FaultKind.BIT_FLIPS, value=0.01))
    flips = sum(
        int(np.unpackbits(clean ^ np.frombuffer(program.frame(), np.uint8)).sum()) for _ in range(500)
    )
    assert flips == pytest.approx(0.01 * 500 * 216, rel=0.15)


def test_a_chip_that_resets_itself_stops_and_forgets() -> None:
    program = Program(BoardModel(body=Volts(1e-3))).set_up(channels=0x00).start()
    program.edge()
    program.board.apply(Fault(FaultKind.CHIP_RESET, value=20))
    for _ in range(20):
        program.edge()
    assert program.board.next_ready_ns() is None
    program.wait(20_000)
    program.send(Opcode.SDATAC)
    assert program.read(Address.MISC1) == b"\0"
    program.set_up(channels=0x00).start()
    assert program.edge()  # once


def test_a_clock_that_wanders_shows_in_the_intervals() -> None:
    def spread_ppm(*faults: Fault) -> float:
        program = Program(BoardModel()).set_up(0x94)
        for fault in faults:
            program.board.apply(fault)
        edges = [program.start().edge(), *(program.edge() for _ in range(4000))]
        return float(np.ptp(np.diff(edges))) / 1.0

    assert spread_ppm() == 0
    assert spread_ppm(Fault(FaultKind.CLOCK_WANDER)) > 500


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(FaultKind.WRONG_ID, chip=1), "wrong_id: chip 1, the board has 1"),
        (Fault(FaultKind.SWAPPED_SELECTS), "swapped_selects: chip 0, the board has 1"),
        (Fault(FaultKind.DEAD_CHANNEL, channel=8), "dead_channel: 8 is not one of 0 to 7"),
        (Fault(FaultKind.CROSSTALK, channel=7), "crosstalk: 7 is not one of 0 to 6"),
        (Fault(FaultKind.GPIO_STUCK_LOW, channel=4), "gpio_stuck_low: 4 is not one of 0 to 3"),
        (Fault(FaultKind.LOST_DATA_READY, value=0), "lost_data_ready: every 0"),
        (Fault(FaultKind.WRONG_CLOCK, value=0.0), "an oscillator cannot be off by"),
    ],
)
def test_a_fault_that_cannot_be_is_one_line(fault: Fault, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BoardModel().apply(fault)


def test_faults_add_up() -> None:
    found = Examined(Fault(FaultKind.HOT_CHIP), Fault(FaultKind.GPIO_STUCK_HIGH, channel=2)).examine()
    assert {item for item in ALL if found[item] != HEALTHY[item]} == {"temperature", "gpio high"}


def test_an_electrode_put_back_ends_the_fault() -> None:
    program = Examined(Fault(FaultKind.ELECTRODE_OFF, channel=4))
    program.board.set_electrode(4, "p", Electrode())
    assert program.examine() == HEALTHY
