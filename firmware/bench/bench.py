"""The bench at work on one box: chips brought up once, inputs set, captures taken and remembered.

Owns what several items need of one run; judges nothing. Registers are left as a recording wants them only by
the next bring-up: nobody is connected to a board on the bench.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from firmware.bench.access import RegisterAccess
from firmware.bench.box import Box, Capture, capture
from firmware.errors import ChipError, EdgeError
from firmware.front_end import FrontEnd, FrontEndInfo, FrontEndSetup
from firmware.held import Held
from firmware.ports import Edge, EdgePort
from hw.chips import ChipSpec, Opcode
from hw.registers import Address, CalFrequency, Mux, channel_set, config1, register_map

QUIET_RATE_HZ = 250.0
"""Where the converter is quietest, and its noise has a figure in the datasheet."""


class NoEdgesError(EdgeError):
    """Not one data-ready edge came; the message says what the chip does meanwhile."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What all channels look at. `own`: only this channel of every chip does, the others are shorted.

    `cal_double`, `cal_frequency`: the internal test signal, when `mux` is TEST_SIGNAL.
    """

    mux: Mux = Mux.SHORTED
    gain: int = 24
    rate_hz: float = QUIET_RATE_HZ
    cal_double: bool = False
    cal_frequency: CalFrequency = CalFrequency.HZ_1_95
    own: int | None = None


@dataclass(slots=True)
class Tally:
    """Frames seen by the whole bench, and those of them without a header, per chip."""

    frames: int = 0
    headless: list[int] = field(default_factory=list)


class Bench:
    """One run on `box`. `rate_hz`: of the items that have no rate of their own; `quick`: fewer samples."""

    def __init__(
        self, box: Box, rate_hz: float = 1000.0, quick: bool = False, seed: int = 1, soak: int | None = None
    ) -> None:
        self.box, self.rate_hz, self.quick, self.seed = box, rate_hz, quick, seed
        self.soak_samples = soak if soak is not None else 2_000 if quick else 10_000
        self.access = tuple(RegisterAccess(port, box.clock) for port in box.ports)
        self.front_end = FrontEnd(box.ports, box.clock, box.start_pin)
        self.tally = Tally()
        self.held: Held | None = None
        self._info: FrontEndInfo | None = None
        self._failure: ChipError | None = None
        self._captures: dict[tuple[Inputs, int], Capture] = {}
        self._edges: dict[float, EdgePort] = {}

    @property
    def info(self) -> FrontEndInfo:
        """The chips, brought up by whoever asks first. Raises ChipError, the same one every time."""
        if self._info is None:
            self.bring_up()
        if self._info is None:
            raise ChipError("the chips are not brought up")
        return self._info

    @property
    def ready(self) -> bool:
        """False once the chips could not be brought up."""
        return self._failure is None

    @property
    def chips(self) -> tuple[ChipSpec, ...]:
        """The parts that were brought up."""
        return self.info.chips

    def bring_up(self, read_mode: str = "rdata") -> FrontEndInfo:
        """From any state, all inputs shorted. Raises ChipError, and at once if it failed before."""
        if self._failure is not None:
            raise self._failure
        self._captures.clear()
        setup = FrontEndSetup(
            rate_hz=QUIET_RATE_HZ,
            gain=1,
            read_mode="rdatac" if read_mode == "rdatac" else "rdata",
            chips=None if self.box.daisy else self.box.chips,  # a chain has as many as answer
            daisy=self.box.daisy,
            srb1=False,
            bias=False,
            sclk_hz=self.box.sclk_hz,
        )
        try:
            self._info = self.front_end.bring_up(setup)
        except ChipError as error:
            self._failure = error
            raise
        return self._info

    def gains(self) -> tuple[int, ...]:
        """The amplifications of the parts, ascending."""
        return tuple(sorted(self.chips[0].gains))

    def samples(self, n: int, fewest: int = 64) -> int:
        """`n`, or half as many in a quick run."""
        return max(n // 2, fewest) if self.quick else n

    def set_inputs(self, inputs: Inputs) -> None:
        """Write rate, test signal and channels of every chip; each is read back."""
        selects = len(self.box.ports)
        for chip, part in enumerate(self.chips[:selects]):
            self.front_end.write_registers(chip, inputs_registers(part, inputs))

    def record(self, inputs: Inputs, n: int) -> Capture:
        """`n` settled samples of `inputs`; asked again, the same capture."""
        known = self._captures.get((inputs, n))
        if known is None:
            self.info  # noqa: B018 (brings the chips up)
            self.set_inputs(inputs)
            with self.running():
                known = self.take(n, inputs.rate_hz)
            self._captures[inputs, n] = known
        return known

    @contextmanager
    def running(self) -> Iterator[None]:
        """Conversions run inside, and are stopped whatever happens."""
        self.front_end.start()
        try:
            yield
        finally:
            self.front_end.stop()

    def take(self, n: int, rate_hz: float, on_sample: Callable[[int, Edge], None] | None = None) -> Capture:
        """`n` samples of a running front end, counted in the tally. Raises NoEdgesError for none at all."""
        layout = self.info.layout
        edges = self.edges(rate_hz)
        taken = capture(edges, self.front_end.read_frame, layout, rate_hz, n, on_sample)
        self.tally.frames += len(taken)
        missing = np.count_nonzero(~taken.frames.chip_header_ok, axis=0)
        if not len(taken):
            raise NoEdgesError("no data-ready edge")
        before = self.tally.headless or [0] * layout.chips
        self.tally.headless = [a + int(b) for a, b in zip(before, missing, strict=True)]
        return taken

    def edges(self, rate_hz: float) -> EdgePort:
        """The data-ready line, opened anew where the rate changes."""
        port = self._edges.get(rate_hz)
        if port is None:
            self._edges.clear()  # a line has one owner
            port = self._edges[rate_hz] = self.box.edges(rate_hz)
        return port

    def converts(self) -> bool:
        """Whether frames change although no edge comes: the chip is well and its line is not."""
        self.set_inputs(Inputs())
        with self.running():
            self.box.clock.wait_ns(100_000_000)
            frames = set()
            for _ in range(8):
                self.box.clock.wait_ns(20_000_000)
                frames.add(self.front_end.read_frame())
        return len(frames) > 4

    def was_reset(self) -> bool:
        """Whether a chip that was configured holds the values of RESET instead."""
        if self._info is None:
            return False
        for access, part in zip(self.access, self._info.chips, strict=False):
            access.command(Opcode.SDATAC)
            specs = register_map(part)
            first, last = Address.CONFIG1, Address.CH1SET + part.channels - 1
            got = access.read(first, last - first + 1)
            if all(byte == specs[first + k].reset for k, byte in enumerate(got)):
                return True
        return False

    def scales_uv(self) -> tuple[float, ...]:
        """Microvolts per count of every channel as set now."""
        return self.front_end.scales_uv()


def inputs_registers(part: ChipSpec, inputs: Inputs) -> dict[int, int]:
    """The register bytes that `inputs` mean on `part`."""
    cal = 0x10 | 0x04 * inputs.cal_double | inputs.cal_frequency  # both families [facts 1.5, 1.11]
    wanted: dict[int, int] = {
        Address.CONFIG1: config1(part, inputs.rate_hz),
        Address.CONFIG2: register_map(part)[Address.CONFIG2].reset
        | (cal if inputs.mux is Mux.TEST_SIGNAL else 0),
    }
    gain = inputs.gain if inputs.gain in part.gains else max(part.gains)
    for channel in range(part.channels):
        mux = inputs.mux if inputs.own in (None, channel) else Mux.SHORTED
        wanted[Address.CH1SET + channel] = channel_set(part, gain, mux)
    return wanted


def channel_names(chips: tuple[ChipSpec, ...]) -> list[str]:
    """How channels are called on the bench: `3`, and on several chips `2.3` for the third of the second."""
    if len(chips) == 1:
        return [str(k + 1) for k in range(chips[0].channels)]
    return [f"{c + 1}.{k + 1}" for c, part in enumerate(chips) for k in range(part.channels)]
