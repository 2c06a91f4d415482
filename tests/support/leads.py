"""A front end on modelled chips with electrodes, sample by sample in its own time, under a lead monitor."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from firmware.front_end import FrontEnd, FrontEndSetup
from firmware.leads.calibration import UNCALIBRATED, Calibration
from firmware.leads.monitor import LeadMonitor
from firmware.ports import Command, LeadCommand, Put
from hw.chips import ADS1299, ChipSpec
from hw.frames import decode_board
from hw.link import Configure, Description, Excited, Impedance, ImpedanceStart, Message
from hw.model.ads1299 import Ads1299Model
from hw.model.ads1299_options import ChipOptions, Surroundings
from hw.model.electrodes import Electrode
from hw.samples import Gap, SampleBlock
from tests.support.chips import ManualClock, StartLine, Wire

Said = TypeVar("Said")
GOOD = Electrode(series_ohm=5_000.0, parallel_ohm=0.0, parallel_farad=0.0)
OFF = Electrode(off=True)


def resistor(ohm: float) -> Electrode:
    """An electrode that is nothing but a resistor."""
    return Electrode(ohm, 0.0, 0.0)


def true_ohm(electrode: Electrode, frequency_hz: float) -> complex:
    """What the network really is at a frequency."""
    return complex(electrode.impedance_ohm(np.array(frequency_hz)))


class LeadRig:
    """Chips brought up and converting. `items` is what came out of the tapped `put`, in order."""

    def __init__(
        self,
        rate_hz: float = 250.0,
        chips: Sequence[ChipSpec] = (ADS1299,),
        gain: int = 12,
        noise: bool = True,
        around: Surroundings | None = None,
        calibration: Calibration = UNCALIBRATED,
        channels: int | None = None,
        read_mode: str = "rdata",
        tolerance: float = 0.0,
        bias: bool = True,
    ) -> None:
        self.clock = ManualClock()
        self.wires = [Wire(self.clock, chip) for chip in chips]
        for k, wire in enumerate(self.wires):
            options = ChipOptions(noise=noise, seed=11 + k, lead_off_tolerance=tolerance)
            wire.model = Ads1299Model(self.clock.now_ns, wire.model.chip, around, options)
            for channel in range(wire.model.chip.channels):
                wire.model.set_electrode(channel, "p", GOOD)
                if around is not None and around.negative_input == "pins":
                    wire.model.set_electrode(channel, "n", GOOD)
        line = StartLine(self.wires) if len(chips) > 1 else None
        self.front_end = FrontEnd(self.wires, self.clock, line)
        srb1 = None if around is None or around.negative_input == "srb1" else False
        parts = tuple(chip.name for chip in chips)
        setup = FrontEndSetup(rate_hz, gain, read_mode, parts=parts, srb1=srb1, bias=bias)
        self.info = self.front_end.bring_up(setup)
        self.brought_up = [len(wire.log) for wire in self.wires]
        self.names = tuple(f"E{k + 1}" for k in range(channels or len(self.info.lsb_uv)))
        self.monitor = LeadMonitor(self.front_end, self.info, self.names, self.clock, calibration)
        self.rate_hz = rate_hz
        self.volts: Callable[[int], Sequence[float]] = lambda index: [0.0] * 8
        self.items: list[SampleBlock | Message] = []
        self.index = 0
        self._started = False
        self._decode = self.monitor.watched(lambda rows: decode_board(rows, self.info.layout))

    def rename(self, names: Sequence[str]) -> None:
        """The channels of a case instead of E1 and so on; before the first sample."""
        self.names = tuple(names)
        self.monitor = LeadMonitor(self.front_end, self.info, names, self.clock)
        self._decode = self.monitor.watched(lambda rows: decode_board(rows, self.info.layout))

    def electrodes(self, *electrodes: Electrode, chip: int = 0, side: str = "p") -> "LeadRig":
        """Put them on the first channels of a chip."""
        for channel, electrode in enumerate(electrodes):
            self.wires[chip].model.set_electrode(channel, side, electrode)  # type: ignore[arg-type]
        return self

    def registers(self) -> list[list[int]]:
        """Every register of every chip, as it stands inside, flags of the comparators left out."""
        return [
            [wire.model.register(a) for a in range(wire.model.chip.registers) if a not in (0x12, 0x13)]
            for wire in self.wires
        ]

    def block(self, rows: int, gap: int = 0) -> SampleBlock:
        """The next `rows` samples; the `gap` before them were converted and are lost."""
        if not self._started:
            self.front_end.start()
            self._started = True
        raw = []
        for k in range(gap + rows):
            for wire in self.wires:
                wire.convert(self.volts(self.index + k)[: wire.model.chip.channels])
            self.clock.time_ns += round(1e9 / self.rate_hz)
            if k >= gap:
                raw.append(self.front_end.read_frame())
        gaps = (Gap(self.index, gap, "missed"),) if gap else ()
        first, self.index = self.index + gap, self.index + gap + rows
        decoded = self._decode(np.frombuffer(b"".join(raw), np.uint8).reshape(rows, -1))
        assert decoded.header_ok.all()
        counts = np.ascontiguousarray(decoded.counts[:, : len(self.names)])
        return SampleBlock(first, counts, decoded.trigger_bits, self.clock.now_ns(), gaps)

    def blocks(self, seconds: float) -> Iterator[SampleBlock]:
        """Blocks of 10 ms."""
        rows = max(1, round(0.01 * self.rate_hz))
        for _ in range(round(seconds * self.rate_hz / rows)):
            yield self.block(rows)

    @contextmanager
    def running(self) -> Iterator[Put]:
        """The tapped `put`, whose items are kept."""
        with self.monitor.tapped(self.items.append) as put:
            yield put

    def play(self, seconds: float, *commands: LeadCommand) -> None:
        """Samples after `commands`, to the end of the acquisition."""
        for command in commands:
            self.monitor.command(command)
        with self.running() as put:
            for block in self.blocks(seconds):
                put(block)

    def measure(self, command: ImpedanceStart | None = None, longest_s: float = 8.0) -> Impedance:
        """Samples until the result of `command` has come, within `longest_s`."""
        self.monitor.command(command or ImpedanceStart(1, 6, 0.0, 0, 0))
        before = len(self.said(Impedance))
        with self.running() as put:
            for block in self.blocks(longest_s):
                put(block)
                if len(self.said(Impedance)) > before:
                    break
        return self.said(Impedance)[before]

    def said(self, kind: type[Said]) -> list[Said]:
        """Messages of one kind."""
        return [item for item in self.items if isinstance(item, kind)]

    @property
    def spans(self) -> list[Excited]:
        """Where currents were said to flow."""
        return self.said(Excited)


def by_lead(result: Impedance) -> dict[str, tuple[float, float, float, float, str]]:
    """Lead -> ohm, low, high, phase, note."""
    rows = zip(result.ohm, result.low_ohm, result.high_ohm, result.phase_deg, result.notes, strict=True)
    return dict(zip(result.leads, rows, strict=True))


class RigSource:
    """A rig as a source; samples end after `seconds`."""

    patient = False

    def __init__(self, rig: LeadRig, seconds: float = 8.0) -> None:
        self._rig, self._seconds = rig, seconds

    def configure(self, wanted: Configure) -> Description:
        """The rig is what it is."""
        n = len(self._rig.names)
        lsb_uv = self._rig.info.lsb_uv
        return Description("bench", self._rig.rate_hz, self._rig.names, lsb_uv, (0.0,) * n, -0.5, 0)

    def command(self, command: Command) -> None:
        """No stimuli."""

    def lead_command(self, command: LeadCommand) -> None:
        """To the monitor."""
        self._rig.monitor.command(command)

    def run(self, put: Put, stop: threading.Event) -> None:
        """Samples, as a source brings them."""
        with self._rig.monitor.tapped(put) as tapped:
            for block in self._rig.blocks(self._seconds):
                if stop.is_set():
                    return
                tapped(block)
