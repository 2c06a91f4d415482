"""The front end: one to four converters brought up, started and read together.

Owns what is true only of all chips at once: the common power-up and start, the parts against what was
expected, selects that reach the same chip, the daisy chain's dummy bits, and putting registers back. One
chip's commands belong to `firmware.ads1299`; samples, edges and recovery to the acquisition.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firmware.ads1299 import Ads1299
from firmware.daisy_chain import chain_gains, chain_layout
from firmware.errors import ChipError, ConfigError, EdgeError
from firmware.front_end_setup import (
    FrameRead,
    FrontEndSetup,
    check,
    check_wire,
    frame_read,
    gains_of,
    judge_parts,
    recording_registers,
)
from firmware.ports import Clock, SpiPort
from hw.chips import POWER_UP_TCLK, REFERENCE_START_NS, ChipSpec, wait_for_tclk_ns
from hw.frames import MOST_CHIPS, FrameLayout, lsb_uv
from hw.registers import Address, Mux, channel_set, config1, reference_v

__all__ = ["FrameRead", "FrontEnd", "FrontEndInfo", "FrontEndSetup", "StartPin"]

ROWS_OF_CHAIN = 8


class StartPin(Protocol):
    """The START line of all chips; an output port of one line will do."""

    def write(self, bits: int) -> None:
        """1: high, conversions run; 0: low."""
        ...


@dataclass(frozen=True, slots=True)
class FrontEndInfo:
    """What was brought up: the parts, where their bits lie in a row, how to fetch a row, and its scale.

    `frame_reads`: one for each port, their kept bytes one after the other are a row of `layout`. `lsb_uv`:
    microvolts per count of every channel. `retries`: commands that had to be sent again. `notes`: what is odd
    but harmless, a line each.
    """

    chips: tuple[ChipSpec, ...]
    layout: FrameLayout
    frame_reads: tuple[FrameRead, ...]
    lsb_uv: tuple[float, ...]
    rate_hz: float
    retries: int
    notes: tuple[str, ...]


class FrontEnd:
    """Chips on `ports`, one for each chip select in the order of their channels. Not thread-safe.

    With a `start_pin`, START is its level; without, a command to the only select.
    """

    def __init__(self, ports: Sequence[SpiPort], clock: Clock, start_pin: StartPin | None = None) -> None:
        self._ports, self._clock, self._start_pin = tuple(ports), clock, start_pin
        self._chips: tuple[Ads1299, ...] = ()
        self._setup = FrontEndSetup(0.0)
        self._layout = FrameLayout((8,))
        self._reads: tuple[FrameRead, ...] = ()

    def bring_up(self, setup: FrontEndSetup) -> FrontEndInfo:
        """From any state to configured and verified, ready for `start`; 0.3 s of the clock, 0.5 in a chain.

        Raises ConfigError for what cannot be had, before a byte is sent where that can be known, ChipError
        for chips that are not as expected or do not hold what was written, and whatever the ports raise.
        """
        check(setup, len(self._ports), self._start_pin is not None)
        self._setup = setup
        self._chips = tuple(
            Ads1299(port, self._clock, f"chip {k + 1}" if len(self._ports) > 1 else "", setup.sclk_hz)
            for k, port in enumerate(self._ports)
        )
        if self._start_pin is not None:
            self._start_pin.write(0)
        self._reset()
        part = self._chips[0].chip
        if setup.daisy:
            self._configure([chain_gains(setup, part)])
            layout = self._chain_layout(part)
        else:
            judge_parts(setup, [chip.chip for chip in self._chips])
            self._tell_apart()
            layout = FrameLayout(tuple(chip.chip.channels for chip in self._chips))
            check_wire(setup, layout, part)
            self._configure(gains_of(setup, [chip.chip for chip in self._chips]))
        self._layout = layout
        sizes = (layout.row_bytes,) if layout.daisy else layout.frame_bytes
        self._reads = tuple(frame_read(size, setup.read_mode) for size in sizes)
        return FrontEndInfo(
            chips=(part,) * layout.chips if setup.daisy else tuple(chip.chip for chip in self._chips),
            layout=layout,
            frame_reads=self._reads,
            lsb_uv=self.scales_uv(),
            rate_hz=setup.rate_hz,
            retries=sum(chip.retries for chip in self._chips),
            notes=tuple(note for chip in self._chips for note in chip.notes),
        )

    def start(self) -> None:
        """Begin conversions, all chips at once; the first data-ready comes a settling time later.

        Continuous reading is opened before: while nothing converts, no data-ready can make a chip miss it.
        """
        if self._setup.read_mode == "rdatac":
            for chip in self._chips:
                chip.open_frames()
        self._convert(True)

    def stop(self) -> None:
        """End conversions; registers keep their values and can be reached."""
        for chip in self._chips:
            chip.close_frames()
        self._convert(False)

    def read_frame(self) -> bytes:
        """The row of the latest conversion, all chips in order, as `FrontEndInfo.layout` says.

        To be called after data-ready falls. Raises PortError when a port returns fewer bytes than asked for.
        """
        self._select(0)
        return b"".join(chip.fetch(read) for chip, read in zip(self._chips, self._reads, strict=True))

    def read_registers(self, chip: int = 0) -> dict[int, int]:
        """All registers of chip `chip` (0 = first) by address."""
        return self._select(chip).read_registers()

    def write_registers(self, chip: int, wanted: Mapping[int, int]) -> None:
        """Write registers of chip `chip`, each read back; reserved and absent bits keep their value.

        In a daisy chain every chip hears it. Raises ConfigError for a chip or address that there is not.
        """
        self._select(chip).write_registers(wanted)

    def configure_channels(
        self,
        mux: Mux,
        gain: int | None = None,
        channels: Iterable[int] | None = None,
        power_down: bool = False,
        srb2: bool = False,
    ) -> None:
        """What `channels` (0 = first of all chips; None: all) look at, with `gain` or the one they have.

        For self-tests and impedance, inside `restored`. The next conversions are still settling. Raises
        ConfigError for a channel, gain or SRB2 that there is not.
        """
        total = sum(chip.chip.channels for chip in self._chips)
        wanted = set(range(total)) if channels is None else set(channels)
        if not wanted <= set(range(total)):
            raise ConfigError(f"channels {sorted(wanted)}: this front end has 0 to {total - 1}")
        first = 0
        for chip in self._chips:
            bytes_by_address = {}
            for own in range(chip.chip.channels):
                address = Address.CH1SET + own
                if first + own in wanted:
                    own_gain = chip.chip.gain_of(chip.held[address]) if gain is None else gain
                    try:
                        byte = channel_set(chip.chip, own_gain, mux, power_down, srb2)
                    except ValueError as error:
                        raise ConfigError(str(error)) from None
                    bytes_by_address[address] = byte
            chip.write_registers(bytes_by_address)
            first += chip.chip.channels

    def scales_uv(self) -> tuple[float, ...]:
        """Microvolts per count of every channel with the gains and references that are set now."""
        scales: list[float] = []
        for chip in self._chips:
            held, part = chip.held, chip.chip
            vref_v = reference_v(part, held[Address.CONFIG3])
            gains = (part.gain_of(held[Address.CH1SET + k]) for k in range(part.channels))
            scales += (lsb_uv(gain, vref_v) for gain in gains)
        return tuple(scales) * (self._layout.chips if self._setup.daisy else 1)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Inside, registers may be changed; on leaving they are put back and read back, whatever happens.

        Every chip is restored even if another cannot be; the first failure is raised.
        """
        before = [chip.held for chip in self._chips]
        try:
            yield
        finally:
            failure: EdgeError | None = None
            for chip, held in zip(self._chips, before, strict=True):
                try:
                    chip.restore(held)
                except EdgeError as error:
                    failure = failure or error
            if failure is not None:
                raise failure

    def still_configured(self) -> str:
        """The first chip that has lost its registers, in one line; "" when all hold what was written.

        Reads CONFIG1 to CH8SET while converting; with continuous reading some frames are lost to it.
        """
        return next(filter(None, (chip.still_configured() for chip in self._chips)), "")

    def _reset(self) -> None:
        """All chips reset and identified; one that gives the others their clock goes first."""
        self._clock.wait_ns(wait_for_tclk_ns(POWER_UP_TCLK))
        for k, chip in enumerate(self._chips):
            part = chip.reset()
            if k == 0 and self._setup.clock_output and len(self._chips) > 1:
                try:
                    chip.write(Address.CONFIG1, config1(part, self._setup.rate_hz, clock_output=True))
                except ValueError as error:
                    raise ConfigError(str(error)) from None
                self._clock.wait_ns(wait_for_tclk_ns(POWER_UP_TCLK))

    def _configure(self, gains: Sequence[Sequence[int]]) -> None:
        """Registers for recording on every chip; all references start at once and are waited for once."""
        in_use = sum(map(len, gains)) if self._setup.channels is None else self._setup.channels
        wanted = []
        for k, (chip, own) in enumerate(zip(self._chips, gains, strict=True)):
            used = min(max(in_use, 0), len(own))
            clock_output = self._setup.clock_output and k == 0
            wanted.append(recording_registers(chip.chip, self._setup, own, used, clock_output))
            in_use -= len(own)
        for chip, registers in zip(self._chips, wanted, strict=True):
            chip.write(Address.CONFIG3, registers[Address.CONFIG3])
        self._clock.wait_ns(REFERENCE_START_NS)
        for chip, registers in zip(self._chips, wanted, strict=True):
            chip.configure(registers)

    def _tell_apart(self) -> None:
        """ChipError when two selects reach the same chip: each gets its mark, then all are read.

        The registers written afterwards take the marks away.
        """
        if len(self._chips) == 1:
            return
        for k, chip in enumerate(self._chips):
            chip.write(Address.LOFF_FLIP, k + 1)
        for k, chip in enumerate(self._chips):
            got = chip.read_registers()[Address.LOFF_FLIP]
            if got != k + 1:
                raise ChipError(
                    f"chip {k + 1}: expected its own mark {k + 1} in LOFF_FLIP, got {got}: likely cause two "
                    "selects that reach the same chip; cure: check the select wires, one for each chip"
                )

    def _chain_layout(self, part: ChipSpec) -> FrameLayout:
        """How many chips answer in the chain and what lies between them, from rows of real conversions."""
        setup = self._setup
        members = setup.chips if setup.chips is not None else len(setup.parts) or None
        if members is not None and setup.daisy_gap_bits is not None:
            layout = FrameLayout((part.channels,) * members, True, setup.daisy_gap_bits)
        else:
            longest = FrameLayout((part.channels,) * (members or MOST_CHIPS), True, 1).row_bytes
            layout = chain_layout(self._sample_rows(part, longest), part, members, setup.daisy_gap_bits)
        gains_of(setup, (part,) * layout.chips)
        check_wire(setup, layout, part)
        return layout

    def _sample_rows(self, part: ChipSpec, row_bytes: int) -> NDArray[np.uint8]:
        """Some rows of `row_bytes`, converted and read now."""
        rate_hz, first = self._setup.rate_hz, self._chips[0]
        read = frame_read(row_bytes, "rdata")
        self._convert(True)
        self._clock.wait_ns(wait_for_tclk_ns(part.settling_tclk(rate_hz)))
        rows = []
        for _ in range(ROWS_OF_CHAIN):
            self._clock.wait_ns(wait_for_tclk_ns(part.sample_tclk(rate_hz)))
            rows.append(first.fetch(read))
        self._convert(False)
        return np.frombuffer(b"".join(rows), np.uint8).reshape(ROWS_OF_CHAIN, row_bytes)

    def _convert(self, on: bool) -> None:
        """START or STOP, by the pin where there is one."""
        if self._start_pin is not None:
            self._start_pin.write(int(on))
        elif on:
            self._select(0).start()
        else:
            self._select(0).stop()

    def _select(self, chip: int) -> Ads1299:
        """Chip number `chip`; ConfigError when there is none, or none yet."""
        if not self._chips:
            raise ConfigError("the front end is not configured: bring it up first")
        if not 0 <= chip < len(self._chips):
            raise ConfigError(f"chip {chip}: this front end has selects 0 to {len(self._chips) - 1}")
        return self._chips[chip]
