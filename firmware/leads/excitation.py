"""Lead-off registers of all chips: changed while converting, and put back whatever happens.

Owns what stood there before; refuses to know why it is changed. With RDATA a register can be written between
two frames without losing one; every write is read back by the driver. CONFIG1 is never touched, since a write
to it restarts the filter.
"""

import math
from typing import ClassVar

from firmware.errors import ConfigError, EdgeError
from firmware.front_end import FrontEnd, FrontEndInfo
from firmware.ports import Clock
from hw.chips import Family
from hw.lead_off import EXCITATION, Tone, excitation_registers
from hw.registers import Address, Config4, Misc1
from hw.registers_ads1298 import Ads1298Config4
from hw.samples import SampleBlock

TOUCHED = (*EXCITATION, Address.CONFIG4)
TRIES = 3
LATEST_S = 10.0
"""What samples may wait on their way to us: the edge's ring holds no more."""
_ORDER_BACK = (
    Address.LOFF_SENSP,
    Address.LOFF_SENSN,
    Address.CONFIG4,
    Address.LOFF_FLIP,
    Address.LOFF,
)
"""Currents end first; only then may the frequency go (ADS1298, facts 1.11)."""


def refuse_front_end(info: FrontEndInfo) -> str:
    """Why leads cannot be excited one by one with this front end, in one line; "" when they can."""
    if info.layout.daisy and info.layout.chips > 1:
        return (
            "in a daisy chain every chip gets the same registers, so that single leads cannot be excited; "
            "wire a select to each chip"
        )
    if any(read.skip == 0 for read in info.frame_reads):
        return "frames are read continuously, registers only between them: set read to rdata"
    return ""


class Excitation:
    """The edge's `hw.leads.current.Current`: registers are written at once. Not thread-safe."""

    failure: ClassVar[type[Exception]] = EdgeError

    def __init__(self, front_end: FrontEnd, info: FrontEndInfo, clock: Clock) -> None:
        self._front_end, self._info, self._clock = front_end, info, clock
        self._before: dict[int, dict[int, int]] = {}
        self.shared_negative = False

    @property
    def held(self) -> bool:
        """True while there is something to put back."""
        return bool(self._before)

    def refuse(self) -> str:
        """Why leads cannot be excited one by one."""
        return refuse_front_end(self._info)

    def reached(self, block: SampleBlock) -> int:
        """The index that the converter has reached by now, or a little more: blocks wait on their way."""
        waited_s = min(max((self._clock.now_ns() - block.t_ns) / 1e9, 0.0), LATEST_S)
        return block.end_index + math.ceil(waited_s * self._info.rate_hz)

    def begin(self) -> None:
        """Note what stands in the registers. Raises what the driver raises; nothing is changed then.

        `shared_negative`: afterwards, whether SRB1 connects one electrode to every negative input.
        """
        found: dict[int, dict[int, int]] = {}
        for chip, part in enumerate(self._info.chips):
            registers = self._front_end.read_registers(chip)
            found[chip] = {address: registers[address] for address in TOUCHED}
            if part.family is Family.ADS1299:
                self.shared_negative = Misc1.decode(registers[Address.MISC1]).srb1
        self._before = found

    def drive(self, current_na: int, tones: tuple[Tone, ...], sense_p: int, sense_n: int) -> None:
        """Excite with a tone for each chip; see `excite`."""
        self.excite(current_na, tuple(t.code for t in tones), sense_p, sense_n)

    def excite(self, current_na: int, codes: tuple[int, ...], sense_p: int, sense_n: int) -> None:
        """Excite the leads of `sense_p` and `sense_n`, one bit per channel of the board.

        `codes`: LOFF.FLEAD_OFF for each chip. Raises ConfigError for a current that a part does not have,
        else what the driver raises.
        """
        for chip, (part, first) in enumerate(zip(self._info.chips, self._first_channels(), strict=True)):
            own_p, own_n = sense_p >> first & part.channel_bits, sense_n >> first & part.channel_bits
            try:
                wanted = excitation_registers(part, current_na, codes[chip], own_p, own_n)
            except ValueError as error:
                raise ConfigError(str(error)) from None
            self._front_end.write_registers(chip, wanted)

    def compare(self, on: bool) -> None:
        """Turn the lead-off comparators of all chips on or off."""
        for chip, part in enumerate(self._info.chips):
            kind = Ads1298Config4 if part.family is Family.ADS1298 else Config4
            own = kind(lead_off_comparators=True).encode()
            before = self._before[chip][Address.CONFIG4]
            byte = before | own if on else before & ~own & 0xFF
            self._front_end.write_registers(chip, {Address.CONFIG4: byte})

    def restore(self) -> None:
        """Put everything back, every chip even when another cannot be; raises the first failure.

        What could not be put back is tried again by the next call.
        """
        failure: EdgeError | None = None
        for chip in list(self._before):
            wanted: dict[int, int] = {a: self._before[chip][a] for a in _ORDER_BACK}
            for attempt in range(TRIES):
                try:
                    self._front_end.write_registers(chip, wanted)
                except EdgeError as error:
                    if attempt == TRIES - 1:
                        failure = failure or error
                else:
                    del self._before[chip]
                    break
        if failure is not None:
            raise failure

    def forget(self) -> None:
        """The chips were brought up anew: nothing is left to put back."""
        self._before = {}

    def _first_channels(self) -> tuple[int, ...]:
        at, first = 0, []
        for part in self._info.chips:
            first.append(at)
            at += part.channels
        return tuple(first)
