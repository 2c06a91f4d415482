"""A program of three lines for the modelled board: registers, START, frames, all in the board's own time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hw.chips import ADS1299, ChipSpec, Opcode
from hw.frames import decode_frames
from hw.model.ads1299_options import ChipOptions, Surroundings
from hw.model.board import BoardModel, BoardSetup, Body
from hw.registers import Address

AWAKE_NS = 140_000_000
REFERENCE_NS = 160_000_000


class Volts:
    """The same volts at every conversion; `volts` may be changed, `seen` lists the conversions read."""

    def __init__(self, *volts: float, channels: int = 8) -> None:
        self.volts = [*volts, *[0.0] * (channels - len(volts))]
        self.seen: list[int] = []
        self.stimuli: list[tuple[float, str]] = []

    def read(self, sample: int) -> Sequence[float]:
        self.seen.append(sample)
        return list(self.volts)

    def stimulate(self, at: float, site: str) -> None:
        self.stimuli.append((at, site))


class Counting(Volts):
    """Conversion k gives k microvolts on channel 1, so that counts at gain 24 tell which one was read."""

    def read(self, sample: int) -> Sequence[float]:
        return [sample * 1e-6, *self.volts[1:]]


class Program:
    """Talks to one chip of a board that has been up for long enough."""

    def __init__(
        self, board: BoardModel | None = None, select: int = 0, speed_hz: int = 0, awake: bool = True
    ) -> None:
        self.board = board or BoardModel()
        self.select, self.speed_hz = select, speed_hz
        self.chip: ChipSpec = self.board.chips[select].chip
        if awake:
            self.wait(AWAKE_NS)

    def wait(self, duration_ns: int) -> None:
        self.board.advance(self.board.now_ns() + duration_ns)

    def send(self, *mosi: int, speed_hz: int | None = None, hold_ns: int = 2_000) -> bytes:
        speed_hz = self.speed_hz if speed_hz is None else speed_hz
        return self.board.transfer(self.select, bytes(mosi), speed_hz, hold_ns)

    def write(self, address: int, *values: int) -> None:
        self.send(Opcode.WREG | address, len(values) - 1, *values)

    def read(self, address: int, count: int = 1) -> bytes:
        return self.send(Opcode.RREG | address, count - 1, *bytes(count))[2:]

    def set_up(
        self, config1: int = 0x96, channels: int = 0x60, config3: int = 0xE0, srb1: bool = True
    ) -> "Program":
        """Reference up, one setting on all channels, SRB1 closed; in SDATAC mode, not started."""
        self.send(Opcode.SDATAC)
        self.write(Address.CONFIG3, config3)
        self.wait(REFERENCE_NS)
        self.write(Address.CONFIG1, config1)
        self.write(Address.CH1SET, *[channels] * self.chip.channels)
        if srb1:
            self.write(Address.MISC1, 0x20)
        return self

    def start(self) -> "Program":
        self.send(Opcode.START)
        return self

    def edge(self) -> int:
        """Time runs to the next data-ready edge of this chip; its time."""
        while True:
            due_ns = self.board.next_ready_ns()
            assert due_ns is not None, "no conversion is under way"
            self.board.advance(due_ns)
            for edge in self.board.edges():
                if edge.chip == self.select:
                    return edge.t_ns

    def frame(self) -> bytes:
        """The frame of the last conversion."""
        return self.send(Opcode.RDATA, *bytes(self.chip.frame_bytes))[1:]

    def next(self) -> bytes:
        """The frame of the next conversion."""
        self.edge()
        return self.frame()

    def counts(self, n: int = 1) -> NDArray[np.int32]:
        """Counts of the next `n` conversions, (conversion, channel)."""
        frames = b"".join(self.next() for _ in range(n))
        decoded = decode_frames(np.frombuffer(frames, np.uint8).reshape(n, -1))
        assert decoded.header_ok.all()
        return decoded.counts


def board(
    *volts: float,
    chips: tuple[ChipSpec, ...] = (ADS1299,),
    around: Surroundings | None = None,
    body: Body | None = None,
    **setup: object,
) -> BoardModel:
    """A board whose electrodes see `volts`; options of the chips and of the board by name."""
    names = ChipOptions.__dataclass_fields__
    options = ChipOptions(**{k: v for k, v in setup.items() if k in names})  # type: ignore[arg-type]
    rest = {k: v for k, v in setup.items() if k not in names}
    wanted = BoardSetup(chips, around or Surroundings(), options=options, **rest)  # type: ignore[arg-type]
    return BoardModel(wanted, body or Volts(*volts, channels=sum(chip.channels for chip in chips)))


def lsb_v(gain: int) -> float:
    """Volts per count."""
    return 4.5 / gain / (1 << 23)
